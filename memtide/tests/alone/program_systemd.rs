//! What systemd hears of a process that it has started, by its own protocol (sd_notify(3)).

use std::os::unix::net::UnixDatagram;
use std::process::{Child, Command, Stdio};

use memtide_testkit::{PATIENCE, Signal, signal};

struct Service {
    process: Child,
    socket: UnixDatagram,
    scratch: tempfile::TempDir,
}

impl Service {
    fn start(words: &[&str]) -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let process = Command::new(env!("CARGO_BIN_EXE_memtide"))
            .args(words)
            .args(["--port", "0", "--read-port", "0", "--admin", "127.0.0.1:0", "--data-dir"])
            .arg(scratch.path().join("data"))
            .env("NOTIFY_SOCKET", &path)
            .env("WATCHDOG_USEC", "100000")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self { process, socket, scratch }
    }

    fn hears(&self) -> String {
        let mut text = [0; 256];
        let length = self.socket.recv(&mut text).unwrap();
        String::from_utf8(text[..length].to_vec()).unwrap().trim_end().to_owned()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn is_told_from_the_start_to_the_end(words: &[&str]) {
    let mut service = Service::start(words);
    assert_eq!(service.hears(), "READY=1");
    // Those that it starts itself say nothing: there is one process that systemd knows.
    for _ in 0..20 {
        assert_eq!(service.hears(), "WATCHDOG=1");
    }
    signal(service.process.id(), Signal::TERM);
    let said: Vec<_> = std::iter::from_fn(|| Some(service.hears()))
        .take_while(|said| said != "STOPPING=1")
        .collect();
    assert!(said.iter().all(|said| said == "WATCHDOG=1"), "{said:?}");
    assert!(service.process.wait().unwrap().success());
    assert!(service.scratch.path().join("data").exists());
}

#[test]
fn of_one_process() {
    is_told_from_the_start_to_the_end(&["--memory", "16m"]);
}

#[test]
fn of_one_with_node_processes() {
    let nodes = ["--nodes", "processes=2", "--zones", "a,b", "--memory", "64m"];
    is_told_from_the_start_to_the_end(&nodes);
}
