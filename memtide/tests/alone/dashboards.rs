//! Every query of the dashboard gives data from a real Prometheus that scrapes a loaded memtide.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use memtide_dashboards::ROWS;
use memtide_testkit::{Fleet, Memtide, Server, http_get, wait_until};

const PROGRAM: &str = env!("CARGO_BIN_EXE_memtide");

/// Prometheus starts, scrapes twice and has data of the last seconds.
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn every_query_of_the_dashboard_gives_data() {
    let alone = Memtide::builder(PROGRAM).args(["--memory", "16m"]).start();
    let fleet = Fleet::start(PROGRAM, 2, "a,b", 1);
    let home = tempfile::tempdir().unwrap();
    let targets = [alone.admin_address(), fleet.memtide().admin_address()];
    let prometheus = Prometheus::start(home.path(), &targets);

    let mut clients = [alone.connect(), fleet.memtide().connect()];
    let panels = ROWS.iter().flat_map(|row| row.panels);
    for (query, _) in panels.flat_map(|panel| panel.queries) {
        wait_until(query, PATIENCE, || {
            for client in &mut clients {
                client.ask(b"set key 0 0 5\r\nvalue\r\n").unwrap();
                client.ask(b"get key\r\n").unwrap();
            }
            prometheus.has_data(query).then_some(())
        });
    }
}

/// A Prometheus that scrapes each second.
struct Prometheus {
    process: Child,
    address: SocketAddr,
}

impl Prometheus {
    fn start(home: &Path, targets: &[SocketAddr]) -> Self {
        let targets: Vec<_> = targets.iter().map(ToString::to_string).collect();
        // JSON is YAML.
        let configuration = serde_json::json!({
            "global": { "scrape_interval": "1s" },
            "scrape_configs":
                [{ "job_name": "memtide", "static_configs": [{ "targets": targets }] }],
        });
        let file = home.join("prometheus.yml");
        std::fs::write(&file, configuration.to_string()).unwrap();
        // It cannot say which port it was given, so it gets one that was free a moment ago.
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let process = Command::new("prometheus")
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", home.join("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| {
                panic!("failed to start prometheus ({error}): `apt-get install prometheus`")
            });
        let started = Self { process, address };
        wait_until("prometheus is ready", PATIENCE, || {
            TcpStream::connect(address).ok()?;
            (http_get(address, "/-/ready").status == 200).then_some(())
        });
        started
    }

    /// Whether there is a number, and not only the quotient of nothing by nothing.
    fn has_data(&self, query: &str) -> bool {
        let query = query.replace("$__rate_interval", "10s").replace("$job", ".+");
        let reply = http_get(self.address, &format!("/api/v1/query?query={}", escaped(&query)));
        assert_eq!(reply.status, 200, "{query}: {}", reply.body);
        let json: serde_json::Value = serde_json::from_str(&reply.body).unwrap();
        let series = json["data"]["result"].as_array().unwrap();
        series.iter().any(|series| series["value"][1] != "NaN")
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        // Both fail only where it has ended already.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// As a value in a URL.
fn escaped(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}
