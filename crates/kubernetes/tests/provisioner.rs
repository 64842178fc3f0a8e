//! What is asked of an API server, and what is made of its answers and of none.
#![allow(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

mod cluster;

use std::time::Duration;

use cluster::{Cluster, Faults, quick};
use memtide_kubernetes::{KubernetesProvisioner, Timing};
use memtide_scaler::{Order, Provisioned, Provisioner as _};
use memtide_testkit::{PATIENCE, Rng, seed_from_environment};
use memtide_topology::Zone;
use tokio::runtime::{Builder, Runtime};

struct Rig {
    provisioner: KubernetesProvisioner,
    runtime: Runtime,
    cluster: Cluster,
}

fn rig(replicas: u32) -> Rig {
    rig_with(replicas, quick())
}

/// Where each request is answered, though it may take long.
fn patient() -> Timing {
    Timing { request_max: PATIENCE, ..quick() }
}

/// A set `n` of zone a.
fn rig_with(replicas: u32, timing: Timing) -> Rig {
    let cluster = Cluster::start(&[("n", replicas)]);
    Rig::of(cluster, &[("a", "n")], timing)
}

fn order(pod: &str) -> Order {
    let (instance, kind) = (pod.to_owned(), "n".to_owned());
    Order { instance, kind, zone: Zone::new("a").unwrap(), memory: 64 << 20, is_spare: false }
}

impl Rig {
    fn of(cluster: Cluster, sets: &[(&str, &str)], timing: Timing) -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let provisioner = cluster.provisioner_with(runtime.handle(), sets, timing);
        Self { provisioner, runtime, cluster }
    }

    /// Lets what runs in the background go on until it is so.
    fn until(&self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let wait = async {
            while !is_so(self) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let waited = self.runtime.block_on(async { tokio::time::timeout(PATIENCE, wait).await });
        assert!(waited.is_ok(), "not in time: {what}; offered: {:?}", self.there());
    }

    fn done(&self, call: Provisioned) -> Result<(), String> {
        self.runtime.block_on(call).map_err(|error| error.to_string())
    }

    fn start(&self, pod: &str) -> Result<(), String> {
        self.done(self.provisioner.start(order(pod)))
    }

    fn end(&self, pod: &str) -> Result<(), String> {
        self.done(self.provisioner.end(pod.to_owned()))
    }

    /// The pods that it knows of, the last first; `None` where it offers nothing.
    fn there(&self) -> Option<Vec<String>> {
        self.provisioner.supplies().first().map(|it| it.there.clone())
    }

    fn until_there(&self, pods: &[&str]) {
        let what = format!("{pods:?}");
        self.until(&what, |rig| rig.there().is_some_and(|there| there == pods));
    }

    fn scales(&self) -> Vec<u32> {
        self.cluster.state().scales.iter().map(|(_, replicas)| *replicas).collect()
    }

    /// Processes end when they are told to.
    fn end_processes(&self) {
        let mut state = self.cluster.state();
        let ending = state.pods.iter().filter(|(_, is_ending)| **is_ending);
        let ending: Vec<String> = ending.map(|(pod, _)| pod.clone()).collect();
        ending.iter().for_each(|pod| state.pod_ended(pod));
    }

    /// While all of these go on.
    fn done_while_processes_end(&self, calls: Vec<Provisioned>) -> Vec<Result<(), String>> {
        let calls: Vec<_> = calls.into_iter().map(|call| self.runtime.spawn(call)).collect();
        self.until("all calls to end", |rig| {
            rig.end_processes();
            calls.iter().all(tokio::task::JoinHandle::is_finished)
        });
        let results = calls.into_iter().map(|call| self.runtime.block_on(call).unwrap());
        results.map(|it| it.map_err(|error| error.to_string())).collect()
    }
}

#[test]
fn what_can_be_had_is_what_the_set_says_and_follows_it() {
    let rig = rig_with(2, Timing { watch_grace: PATIENCE, ..patient() });
    rig.until_there(&["n-1", "n-0"]);
    let supply = rig.provisioner.supplies().remove(0);
    assert_eq!((supply.zone.name(), supply.kind.as_str()), ("a", "n"));
    assert_eq!((supply.capacity.memory, supply.ready_in), (4 << 30, Duration::from_secs(2)));
    assert_eq!(supply.names, ["n-0", "n-1", "n-2", "n-3"]);
    // By hand.
    rig.cluster.state().put_set("n", 3);
    rig.until_there(&["n-2", "n-1", "n-0"]);
    // Each watch ends in time, and goes on from where it was.
    rig.until("a third watch", |rig| rig.cluster.state().watches >= 3);
    rig.cluster.state().put_set("n", 0);
    rig.until_there(&[]);
    assert_eq!(rig.cluster.state().lists, 1);
}

#[test]
fn a_watch_that_fails_hangs_or_comes_too_late_is_begun_anew() {
    let rig = rig(1);
    rig.until_there(&["n-0"]);
    let check = |faults: Faults, replicas: u32, what: &str| {
        rig.cluster.faults(faults);
        let watches = rig.cluster.state().watches;
        rig.until(what, |rig| rig.cluster.state().watches > watches);
        rig.cluster.state().put_set("n", replicas);
        rig.until(what, |rig| rig.there().is_some_and(|it| it.len() == replicas as usize));
    };
    check(Faults { cuts: 1, ..Faults::default() }, 2, "after a cut");
    check(Faults { silences: 1, ..Faults::default() }, 3, "after silence");
    check(Faults { errors: 3, ..Faults::default() }, 1, "after errors");
    check(Faults { hangs: 1, ..Faults::default() }, 2, "after a request that hangs");
    let lists = rig.cluster.state().lists;
    rig.cluster.state().forget();
    rig.until("a list after 410 Gone", |rig| rig.cluster.state().lists > lists);
    rig.cluster.state().put_set("n", 4);
    rig.until_there(&["n-3", "n-2", "n-1", "n-0"]);
}

#[test]
fn nothing_is_offered_of_a_set_that_is_not_seen_or_does_not_say_what_its_pods_are() {
    let rig = rig_with(1, Timing { view_age_max: Duration::from_millis(1500), ..quick() });
    rig.until_there(&["n-0"]);
    rig.cluster.faults(Faults { errors: u32::MAX, ..Faults::default() });
    rig.until("nothing to be offered", |rig| rig.there().is_none());
    rig.cluster.faults(Faults::default());
    rig.until_there(&["n-0"]);
    {
        let mut state = rig.cluster.state();
        state.sets.get_mut("n").unwrap().annotations.clear();
        state.changed("MODIFIED", "n");
    }
    rig.until("nothing to be offered", |rig| rig.there().is_none());
    rig.cluster.state().put_set("n", 1);
    rig.until_there(&["n-0"]);
}

/// Who decides by the first set that is seen has all nodes in its zone.
#[test]
fn nothing_is_offered_before_each_set_was_looked_for() {
    let begin = |timing: Timing| {
        let cluster = Cluster::start(&[("n", 1), ("m", 1)]);
        cluster.faults(Faults { hangs: 1, ..Faults::default() });
        let rig = Rig::of(cluster, &[("a", "n"), ("b", "m"), ("c", "missing")], timing);
        // It was seen, too.
        rig.until("one to be watched", |rig| rig.cluster.state().watches > 0);
        rig
    };
    assert_eq!(begin(patient()).provisioner.supplies().len(), 0, "one has not answered yet");
    let rig = begin(quick());
    rig.until("both that there are to be offered", |rig| rig.provisioner.supplies().len() == 2);
}

#[test]
fn a_start_scales_up_once_whatever_goes_wrong() {
    let check = |faults: Faults| {
        let rig = rig(1);
        rig.cluster.faults(faults);
        for _ in 0..2 {
            rig.start("n-2").unwrap();
        }
        assert_eq!(rig.scales(), [3], "{faults:?}");
        rig.until_there(&["n-2", "n-1", "n-0"]);
        // One that is there is no reason to scale down.
        rig.start("n-0").unwrap();
        assert_eq!(rig.scales(), [3], "{faults:?}");
    };
    check(Faults::default());
    check(Faults { errors: 4, ..Faults::default() });
    check(Faults { conflicts: 3, ..Faults::default() });
    check(Faults { lost_answers: 1, ..Faults::default() });
    check(Faults { hangs: 2, ..Faults::default() });
}

#[test]
fn pods_go_from_the_last_on() {
    let rig = rig(4);
    // Those above stay, so it does; and what is none of its own is nothing to it.
    for pod in ["n-1", "n-2", "m-3", "n-9"] {
        assert_eq!(rig.end(pod), Ok(()), "{pod}");
    }
    assert_eq!(rig.scales(), [0; 0]);
    let end = |pod: &str| rig.provisioner.end(pod.to_owned());
    rig.cluster.faults(Faults { errors: 2, conflicts: 2, lost_answers: 1, ..Faults::default() });
    assert_eq!(rig.done_while_processes_end(vec![end("n-3")]), [Ok(())]);
    assert_eq!(rig.scales(), [3]);
    // Together, in whatever order they are asked for.
    let ended = rig.done_while_processes_end(vec![end("n-1"), end("n-0"), end("n-2")]);
    assert_eq!(ended, [Ok(()), Ok(()), Ok(())]);
    assert_eq!(rig.scales(), [3, 0]);
    assert!(rig.cluster.state().pods.is_empty());
}

#[test]
fn an_end_waits_until_the_pod_is_gone() {
    let rig = rig_with(2, Timing { call_max: Duration::from_millis(300), ..quick() });
    rig.cluster.faults(Faults { is_stuck: true, ..Faults::default() });
    let why = rig.end("n-1").unwrap_err();
    assert_eq!(why, "StatefulSet n: n-1 is told to end, and has not ended yet");
    rig.cluster.faults(Faults::default());
    rig.end_processes();
    assert_eq!((rig.end("n-1"), rig.scales()), (Ok(()), vec![1]));
}

#[test]
fn what_will_not_be_done_is_not_asked_for_again_and_says_why() {
    let rig = rig_with(1, patient());
    rig.cluster.faults(Faults { is_forbidden: true, ..Faults::default() });
    let why = rig.start("n-1").unwrap_err();
    assert!(why.starts_with("StatefulSet n: the API server forbids it (User cannot"), "{why}");
    assert!(why.ends_with("give the scaler's service account a role that may"), "{why}");
    assert_eq!(rig.start("n-4").unwrap_err(), "n-4 is the name of no pod that may be");
    rig.cluster.state().sets.clear();
    let why = rig.start("n-1").unwrap_err();
    assert_eq!(why, "StatefulSet n: there is no such one in the namespace shop");
    let brief = rig_with(1, Timing { call_max: Duration::from_millis(100), ..patient() });
    brief.cluster.faults(Faults { errors: u32::MAX, ..Faults::default() });
    let why = brief.start("n-1").unwrap_err();
    assert_eq!(why, "StatefulSet n: the API server answers 500: etcdserver: leader changed");
}

#[test]
fn a_token_that_has_expired_is_read_anew_at_once() {
    let rig = rig(1);
    rig.until_there(&["n-0"]);
    rig.cluster.rotate_token();
    rig.start("n-1").unwrap();
    rig.until_there(&["n-1", "n-0"]);
}

#[test]
fn an_api_server_that_is_another_is_told_nothing() {
    let rig = rig_with(1, Timing { call_max: Duration::from_millis(300), ..patient() });
    rig.cluster.distrust();
    let why = rig.start("n-1").unwrap_err();
    let expected = "StatefulSet n: failed to ask the API server: ";
    assert!(why.starts_with(expected) && why.contains("invalid peer certificate"), "{why}");
    assert_eq!((rig.there(), rig.cluster.state().lists), (None, 0));
}

/// Each holds to the version that it has seen: nobody takes away what another one has just ordered.
#[test]
fn two_scalers_do_not_undo_one_another() {
    let mut rng = Rng::new(seed_from_environment());
    for _ in 0..20 {
        let rig = rig(1);
        let other = rig.cluster.provisioner(rig.runtime.handle(), &[("a", "n")]);
        rig.cluster.state().faults.conflicts = u32::try_from(rng.below(3)).unwrap();
        let mut calls = vec![
            rig.provisioner.start(order("n-1")),
            other.start(order("n-2")),
            rig.provisioner.end("n-3".to_owned()),
            other.end("n-3".to_owned()),
            rig.provisioner.start(order("n-2")),
        ];
        for _ in 0..rng.below(5) {
            calls.rotate_left(1);
        }
        let ended = rig.done_while_processes_end(calls);
        assert!(ended.iter().all(Result::is_ok), "{ended:?}");
        assert_eq!(rig.cluster.state().replicas(), [3], "{:?}", rig.scales());
        let scales = rig.scales();
        assert!(scales.is_sorted(), "{scales:?}");
    }
}
