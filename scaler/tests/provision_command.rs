//! The command hook against programs as operators write them.
#![allow(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use memtide_scaler::{CommandProvisioner, CommandSettings, Order, Provisioned, Provisioner as _};
use memtide_testkit::{PATIENCE, wait_until};
use memtide_topology::{CacheId, Zone};
use serde_json::{Value, json};
use tokio::runtime::{Builder, Runtime};

/// A provisioner that runs a shell script, and what it needs.
struct Rig {
    provisioner: CommandProvisioner,
    runtime: Runtime,
    directory: tempfile::TempDir,
}

/// `$1` is the directory of the test, `$2` what is called.
fn rig(script: &str, time_max: Duration) -> Rig {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    fs::write(path("script"), script).unwrap();
    // The shell is what is executed: a file that was just written may still be open in a process that another test starts.
    let program = ["/bin/sh".to_owned(), path("script"), path("")].to_vec();
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let settings = CommandSettings { program, time_max, cache: CacheId::new("shop").unwrap() };
    let provisioner = CommandProvisioner::spawn(runtime.handle(), settings);
    Rig { provisioner, runtime, directory }
}

impl Rig {
    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// What it ends with; the script's own words stand behind how it was called.
    fn done(&self, call: Provisioned) -> Result<(), String> {
        self.runtime.block_on(call).map_err(|error| {
            let words =
                format!("/bin/sh {} {} ", self.path("script").display(), self.path("").display());
            error.to_string().strip_prefix(&words).unwrap().to_owned()
        })
    }

    fn start(&self) -> Result<(), String> {
        self.done(self.provisioner.start(order("x-1")))
    }

    /// Waits until the script has offered something: the zone, and how many.
    fn wait_supplies(&self) -> Vec<(String, u32)> {
        wait_until("nodes are offered", PATIENCE, || {
            self.runtime.block_on(tokio::task::yield_now());
            let supplies = self.provisioner.supplies();
            let said = supplies.iter().map(|it| (it.zone.name().to_owned(), it.nodes));
            (!supplies.is_empty()).then(|| said.collect())
        })
    }
}

fn order(instance: &str) -> Order {
    let (instance, kind) = (instance.to_owned(), "big".to_owned());
    Order { instance, kind, zone: Zone::new("a").unwrap(), memory: 64 << 20, is_spare: true }
}

const MINUTE: Duration = Duration::from_secs(60);

#[test]
fn a_script_is_told_what_to_do() {
    let rig = rig(r#"cat > "$1/$2.json""#, MINUTE);
    let (provisioner, read) = (&rig.provisioner, |name: &str| -> Value {
        serde_json::from_slice(&fs::read(rig.path(name)).unwrap()).unwrap()
    });
    rig.start().unwrap();
    let start = json!({
        "version": 1, "call": "start", "cache": "shop", "instance": "x-1", "kind": "big",
        "zone": "a", "memory": 64 << 20, "spare": true,
    });
    assert_eq!(read("start.json"), start);
    rig.done(provisioner.resize("x-1".to_owned(), 5)).unwrap();
    let resize =
        json!({ "version": 1, "call": "resize", "cache": "shop", "instance": "x-1", "memory": 5 });
    assert_eq!(read("resize.json"), resize);
    rig.done(provisioner.end("x-1".to_owned())).unwrap();
    let end = json!({ "version": 1, "call": "end", "cache": "shop", "instance": "x-1" });
    assert_eq!(read("end.json"), end);
    assert!(provisioner.outlives_scaler());
    assert_eq!(provisioner.running(), []);
}

#[test]
fn a_script_offers_nodes_and_what_is_taken_is_not_offered_again() {
    let script = r#"
        case $2 in
        supplies) echo '[{"kind":"big","zone":"a","memory":"8GiB","nodes":4},{"zone":"b","memory":"1g","nodes":2}]' ;;
        *) exit 0 ;;
        esac"#;
    let rig = rig(script, MINUTE);
    let offered = |a: u32| [("a".to_owned(), a), ("b".to_owned(), 2)];
    assert_eq!(rig.wait_supplies(), offered(4));
    rig.start().unwrap();
    assert_eq!(rig.wait_supplies(), offered(3), "the script has not been asked since");
}

#[test]
fn a_script_that_fails_is_quoted_by_its_end() {
    let script = r#"
        head -c 100000 /dev/zero | tr '\0' x >&2
        printf 'no room\nin zone %s\n' a >&2
        exit 3"#;
    let error = rig(script, MINUTE).start().unwrap_err();
    let (status, said) = error.split_once(": xx").unwrap();
    assert_eq!(status, "start: exit status: 3");
    assert!(said.ends_with("xxno room; in zone a"), "{said}");
    assert!(said.len() < 512, "{}", said.len());
}

#[test]
fn a_script_that_is_not_there_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let program = directory.path().join("nothing").to_str().unwrap().to_owned();
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let cache = CacheId::new("shop").unwrap();
    let settings = CommandSettings { program: vec![program.clone()], time_max: MINUTE, cache };
    let provisioner = CommandProvisioner::spawn(runtime.handle(), settings);
    let error = runtime.block_on(provisioner.end("x".to_owned())).unwrap_err();
    let expected = format!("{program} end: failed to run: No such file or directory (os error 2)");
    assert_eq!(error.to_string(), expected);
}

/// Starts a process in its own group, writes down the two, and hangs.
const HANGS: &str = r#"
    sleep 1000 &
    echo "$$ $!" > "$1/$2.new"
    echo trying >&2
    mv "$1/$2.new" "$1/$2.pids"
    wait"#;

#[test]
fn a_script_that_hangs_is_killed_with_all_that_it_started() {
    let rig = rig(HANGS, Duration::from_secs(5));
    let error = rig.start().unwrap_err();
    assert_eq!(error, "start: it took more than 5s, and was killed: trying");
    wait_ended(&rig.path("start.pids"));
}

#[test]
fn a_call_that_nobody_waits_for_any_more_is_killed() {
    let rig = rig(HANGS, MINUTE);
    let call = rig.runtime.spawn(rig.provisioner.start(order("x")));
    let pids = rig.path("start.pids");
    rig.runtime.block_on(async {
        while !pids.exists() {
            tokio::task::yield_now().await;
        }
    });
    call.abort();
    assert!(rig.runtime.block_on(call).unwrap_err().is_cancelled());
    wait_ended(&pids);
}

fn wait_ended(pids: &Path) {
    let pids = fs::read_to_string(pids).unwrap();
    wait_until("its processes have ended", PATIENCE, || {
        (!pids.split_whitespace().any(runs)).then_some(())
    });
}

/// One that nobody has waited for yet does not.
fn runs(pid: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(')').next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with(" Z"))
}

#[test]
fn what_a_script_leaves_behind_goes_on() {
    let script = r#"
        [ "$2" = start ] || exit 1
        sleep 1000 &
        echo $! > "$1/left""#;
    let rig = rig(script, MINUTE);
    rig.start().unwrap();
    let pid = fs::read_to_string(rig.path("left")).unwrap();
    let is_left = runs(pid.trim());
    std::process::Command::new("kill").arg(pid.trim()).status().unwrap();
    assert!(is_left, "it holds the output open, and yet nobody waits for it");
}

#[test]
fn a_script_that_does_not_listen_is_none_the_worse() {
    rig("exec <&-; exit 0", MINUTE).start().unwrap();
}

#[test]
fn one_that_says_too_much_is_killed() {
    let rig = rig(r#"echo $$ > "$1/$2.pids"; exec cat /dev/zero"#, MINUTE);
    let error = rig.start().unwrap_err();
    assert_eq!(error, "start: it said more than 64 KiB");
    wait_ended(&rig.path("start.pids"));
}

#[test]
fn an_answer_that_is_none_offers_nothing() {
    for answer in [
        r#"[{"zone":"a","memory":"1g","nodes":2,"color":"red"}]"#,
        r#"[{"zone":"not a zone","memory":"1g","nodes":2}]"#,
    ] {
        let script = r#"
            if [ "$2" = supplies ]; then
                cat "$1/answer"
                echo >> "$1/asked"
            fi"#;
        let rig = rig(script, MINUTE);
        fs::write(rig.path("answer"), answer).unwrap();
        let wait_asked = |times: usize| {
            wait_until("it was asked", PATIENCE, || {
                rig.runtime.block_on(tokio::task::yield_now());
                let asked = fs::read(rig.path("asked")).unwrap_or_default().len();
                (asked >= times).then_some(())
            });
        };
        wait_asked(1);
        // It is asked again once something has changed, and has been heard before.
        rig.done(rig.provisioner.end("x".to_owned())).unwrap();
        wait_asked(2);
        assert_eq!(rig.provisioner.supplies(), [], "{answer}");
    }
}
