//! The supervisor, and the provisioner that asks it, with processes that are no nodes: shells that do as their
//! instance is called.
#![allow(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc;

use memtide_scaler::Provisioner as _;
use memtide_testkit::PATIENCE;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::*;

/// Writes down its arguments, and then waits to be told to end, drained: unless it is of the stubborn kind.
const NODE: &str = r#"
    directory=$1; shift
    while [ $# -gt 0 ]; do
        case $1 in
        --instance) name=$2 ;;
        --memory) memory=$2 ;;
        --zone) zone=$2 ;;
        --spare) spare=yes ;;
        esac
        shift
    done
    case $name in
    stubborn*) trap '' TERM ;;
    *) trap 'exit 0' TERM ;;
    esac
    echo "$memory $zone $spare" > "$directory/$name.new"
    mv "$directory/$name.new" "$directory/$name.$$"
    while :; do sleep 0.05; done"#;

struct Rig {
    provisioner: ChildProvisioner,
    running: Running,
    dead: mpsc::Receiver<u64>,
    events: Events,
    supervising: JoinHandle<()>,
    directory: tempfile::TempDir,
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.supervising.abort();
    }
}

fn rig(nodes_min: usize, nodes_max: usize, drain_timeout: Duration) -> Rig {
    let directory = tempfile::tempdir().unwrap();
    let script = directory.path().join("node");
    fs::write(&script, NODE).unwrap();
    let zones = ["a", "b"].map(|name| Zone::new(name).unwrap()).to_vec();
    let (node_memory_min, node_memory_max, node_cpu) = (64 << 20, 1 << 30, 1000);
    let room = Room { nodes_min, nodes_max, zones, node_memory_min, node_memory_max, node_cpu };
    let (provisioner, asked) = ChildProvisioner::new(room);
    let ((on_death, dead), events) = (mpsc::channel(), Events::new());
    let plan = Plan {
        program: "/bin/sh",
        first: provisioner.initial(),
        asked: Some(asked),
        arguments: vec![script.into(), directory.path().into()],
        on_death: Box::new(move |token| on_death.send(token).unwrap()),
        drain_timeout,
        events: events.clone(),
    };
    let supervisor = Supervisor::start(plan).unwrap();
    let running = supervisor.running();
    let supervising = tokio::spawn(supervisor.run());
    Rig { provisioner, running, dead, events, supervising, directory }
}

impl Rig {
    /// The process of an instance, once it has written down what it was told.
    async fn wait_started(&self, instance: &str) -> (Process, String) {
        let look = async {
            loop {
                let process = self.running.all().into_iter().find(|it| it.instance == instance);
                let told = process.and_then(|process| {
                    let told = fs::read_to_string(self.file(&process)).ok()?;
                    Some((process, told.trim().to_owned()))
                });
                match told {
                    Some(told) => return told,
                    None => tokio::task::yield_now().await,
                }
            }
        };
        timeout(PATIENCE, look).await.unwrap_or_else(|_| panic!("{instance} does not start"))
    }

    fn file(&self, process: &Process) -> PathBuf {
        self.directory.path().join(format!("{}.{}", process.instance, process.pid))
    }

    async fn wait_dead(&self, process: &Process) {
        let look = async {
            while self.dead.try_recv() != Ok(process.token) {
                tokio::task::yield_now().await;
            }
        };
        timeout(PATIENCE, look).await.unwrap_or_else(|_| panic!("{process:?} does not end"));
    }

    fn instances(&self) -> Vec<String> {
        self.running.all().into_iter().map(|it| it.instance).collect()
    }

    /// How many more there may be of zones a and b.
    fn left(&self) -> Vec<u32> {
        self.provisioner.supplies().iter().map(|it| it.nodes).collect()
    }

    fn last_event(&self) -> String {
        self.events.after(0).events.last().unwrap().text.clone()
    }
}

fn order(instance: &str, zone: &str) -> Order {
    let (instance, kind, zone) = (instance.to_owned(), String::new(), Zone::new(zone).unwrap());
    Order { instance, kind, zone, memory: 100 << 20, is_spare: false }
}

fn runs(process: &Process) -> bool {
    Path::new(&format!("/proc/{}", process.pid)).exists()
}

const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn nodes_are_started_and_ended_as_asked() {
    let rig = rig(1, 4, HOUR);
    let (first, told) = rig.wait_started("first-1").await;
    assert_eq!((first.zone.name(), told.as_str()), ("a", "67108864 a"));
    assert_eq!(rig.left(), [1, 2]);

    rig.provisioner.start(order("x-1", "b")).await.unwrap();
    assert_eq!(rig.left(), [1, 1]);
    let (started, told) = rig.wait_started("x-1").await;
    assert_eq!(told, "104857600 b");
    rig.provisioner.start(order("x-1", "b")).await.unwrap();
    assert_eq!(rig.instances(), ["first-1", "x-1"], "it was started already");
    let spare = Order { is_spare: true, ..order("x-2", "b") };
    rig.provisioner.start(spare).await.unwrap();
    assert_eq!(rig.wait_started("x-2").await.1, "104857600 b yes");
    let full = rig.provisioner.start(order("x-3", "b")).await.unwrap_err().to_string();
    assert_eq!(full, "zone b has room for 2 node processes, and has as many");

    let end = rig.provisioner.end("x-1".to_owned());
    timeout(PATIENCE, end).await.unwrap().unwrap();
    assert!(!runs(&started));
    assert_eq!((rig.instances().len(), rig.left()), (2, vec![1, 1]));
    let ended = format!(
        "process {} in zone b, called x-1: exit status: 0; it is not replaced",
        started.pid
    );
    assert_eq!(rig.last_event(), ended);
    rig.wait_dead(&started).await;
    rig.provisioner.end("x-1".to_owned()).await.unwrap();
    rig.provisioner.end("unknown".to_owned()).await.unwrap();
    rig.provisioner.start(order("x-3", "b")).await.unwrap();
}

#[tokio::test]
async fn one_that_fails_is_replaced_by_its_name_and_one_that_was_drained_is_not() {
    let rig = rig(2, 4, HOUR);
    let (failing, _) = rig.wait_started("first-2").await;
    rig.provisioner.resize("first-2".to_owned(), 200 << 20).await.unwrap();
    let too_much = rig.provisioner.resize("first-2".to_owned(), 2 << 30).await.unwrap_err();
    let line = "2 GiB for a node process, which can have 64 MiB to 1 GiB";
    assert_eq!(too_much.to_string(), line);
    let (drained, _) = rig.wait_started("first-1").await;
    let signal = |process: &Process, signal| {
        let pid = i32::try_from(process.pid).ok().and_then(Pid::from_raw).unwrap();
        kill_process(pid, signal).unwrap();
    };
    signal(&failing, Signal::KILL);
    rig.wait_dead(&failing).await;
    let (again, told) = rig.wait_started("first-2").await;
    assert_ne!((again.pid, again.token), (failing.pid, failing.token));
    assert_eq!(told, "209715200 b", "it begins with what it had");
    signal(&drained, Signal::TERM);
    rig.wait_dead(&drained).await;
    assert_eq!((rig.instances(), rig.left()), (vec!["first-2".to_owned()], vec![2, 1]));
}

#[tokio::test]
async fn one_that_does_not_end_is_killed() {
    let rig = rig(1, 4, Duration::from_millis(200));
    rig.provisioner.start(order("stubborn", "a")).await.unwrap();
    let (stubborn, _) = rig.wait_started("stubborn").await;
    let end = || timeout(PATIENCE, rig.provisioner.end("stubborn".to_owned()));
    let (first, second) = tokio::join!(end(), end());
    assert_eq!((first, second), (Ok(Ok(())), Ok(Ok(()))));
    assert!(!runs(&stubborn));
    assert!(rig.last_event().ends_with("signal: 9 (SIGKILL); it is not replaced"));
}

#[tokio::test]
async fn one_that_is_being_ended_is_not_started() {
    let rig = rig(1, 4, HOUR);
    rig.provisioner.start(order("stubborn", "a")).await.unwrap();
    rig.wait_started("stubborn").await;
    let ending = tokio::spawn(rig.provisioner.end("stubborn".to_owned()));
    tokio::task::yield_now().await;
    let late = rig.provisioner.start(order("stubborn", "a")).await;
    assert_eq!(late.unwrap_err().to_string(), "stubborn is being ended");
    assert!(!ending.is_finished());
}

#[tokio::test]
async fn nobody_starts_nodes_once_the_supervisor_is_gone() {
    let rig = rig(1, 4, HOUR);
    let (first, _) = rig.wait_started("first-1").await;
    rig.supervising.abort();
    let error = rig.provisioner.start(order("x-1", "a")).await.unwrap_err();
    assert_eq!(error.to_string(), "node processes are not looked after any more");
    assert_eq!(rig.left(), [0; 0]);
    assert!(!runs(&first), "they end with it");
}
