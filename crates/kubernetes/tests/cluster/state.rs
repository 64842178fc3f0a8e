//! What is in the cluster, and what has happened to it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use tokio::sync::watch;

/// What goes wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// So many of the next requests are answered 500.
    pub errors: u32,
    /// So many of the next scales are refused, as if somebody else had changed the set.
    pub conflicts: u32,
    /// So many of the next scales are done and answered 500 for all that.
    pub lost_answers: u32,
    /// So many of the next requests are never answered.
    pub hangs: u32,
    /// So many of the next watches are cut in the middle of an event.
    pub cuts: u32,
    /// So many of the next watches say nothing, and do not end.
    pub silences: u32,
    /// The role of the service account may not scale.
    pub is_forbidden: bool,
    /// New pods find no machine.
    pub is_full: bool,
    /// Pods that were told to end do not.
    pub is_stuck: bool,
}

/// A `StatefulSet`.
#[derive(Clone, Debug)]
pub struct Set {
    pub replicas: u32,
    pub version: u64,
    pub annotations: BTreeMap<String, String>,
}

/// All of it.
pub struct State {
    pub token: String,
    pub faults: Faults,
    pub sets: BTreeMap<String, Set>,
    /// Whether each is being ended.
    pub pods: BTreeMap<String, bool>,
    /// What has happened to sets, by version: the event's type and the set.
    log: Vec<(u64, String, Value)>,
    /// Versions up to this one are forgotten.
    forgotten: u64,
    version: u64,
    /// Told of every version.
    pub news: watch::Sender<u64>,
    /// Numbers of pods that each set was scaled to, in order.
    pub scales: Vec<(String, u32)>,
    pub watches: u32,
    pub lists: u32,
}

impl State {
    pub fn new(token: &str) -> Self {
        Self {
            token: token.to_owned(),
            faults: Faults::default(),
            sets: BTreeMap::new(),
            pods: BTreeMap::new(),
            log: Vec::new(),
            forgotten: 0,
            version: 100,
            news: watch::channel(100).0,
            scales: Vec::new(),
            watches: 0,
            lists: 0,
        }
    }

    pub fn put_set(&mut self, name: &str, replicas: u32) {
        let said = [("node.memtide/memory-max", "4Gi"), ("node.memtide/ready-in", "2s")];
        let annotations = said.map(|(name, it)| (name.to_owned(), it.to_owned())).into();
        let is_new = !self.sets.contains_key(name);
        self.sets.insert(name.to_owned(), Set { replicas, version: 0, annotations });
        self.changed(if is_new { "ADDED" } else { "MODIFIED" }, name);
    }

    /// Somebody has written to it.
    pub fn changed(&mut self, event: &str, name: &str) {
        self.version += 1;
        self.sets.entry(name.to_owned()).and_modify(|it| it.version = self.version);
        let object = self.object(name);
        self.log.push((self.version, event.to_owned(), object));
        self.news.send_replace(self.version);
        self.reconcile();
    }

    /// Whoever watches from before this moment is told that it is too late.
    pub fn forget(&mut self) {
        // Something else was changed last.
        self.version += 1;
        self.forgotten = self.version;
        self.log.clear();
        // Those that are being told now end, and begin again.
        self.news.send_replace(self.version);
    }

    /// As the API server shows it.
    pub fn object(&self, name: &str) -> Value {
        let set = &self.sets[name];
        json!({
            "apiVersion": "apps/v1", "kind": "StatefulSet",
            "metadata": {
                "name": name, "namespace": "shop", "resourceVersion": set.version.to_string(),
                "annotations": set.annotations,
            },
            "spec": {
                "replicas": set.replicas, "serviceName": name, "selector": {},
                "template": { "metadata": {}, "spec": { "containers": [] } },
            },
        })
    }

    pub fn scale_object(&self, name: &str) -> Value {
        let set = &self.sets[name];
        json!({
            "apiVersion": "autoscaling/v1", "kind": "Scale",
            "metadata": {
                "name": name, "namespace": "shop", "resourceVersion": set.version.to_string(),
                "uid": "d9607e19-f88f-11e6-a518-42010a800195",
            },
            "spec": { "replicas": set.replicas },
            "status": { "replicas": set.replicas, "selector": "app=node" },
        })
    }

    /// Scales a set as of this version.
    pub fn scale(&mut self, name: &str, version: &str, replicas: u32) -> Result<(), u16> {
        let set = self.sets.get(name).ok_or(404_u16)?;
        if self.faults.conflicts > 0 {
            self.faults.conflicts -= 1;
            // Its status, or somebody's annotation.
            self.changed("MODIFIED", name);
            return Err(409);
        }
        if set.version.to_string() != version {
            return Err(409);
        }
        self.scales.push((name.to_owned(), replicas));
        self.sets.entry(name.to_owned()).and_modify(|it| it.replicas = replicas);
        self.changed("MODIFIED", name);
        Ok(())
    }

    pub const fn version(&self) -> u64 {
        self.version
    }

    /// What has happened after a version; `None` where that is forgotten.
    pub fn since(&self, version: u64) -> Option<Vec<(u64, String, Value)>> {
        let after = self.log.iter().filter(|(at, ..)| *at > version);
        (version >= self.forgotten).then(|| after.cloned().collect())
    }

    /// Pods come, and are told to end. Their processes are the test's.
    pub fn reconcile(&mut self) {
        let mut wanted = BTreeSet::new();
        for (name, set) in &self.sets {
            wanted.extend((0..set.replicas).map(|at| format!("{name}-{at}")));
        }
        for pod in &wanted {
            if !self.faults.is_full {
                self.pods.entry(pod.clone()).or_insert(false);
            }
        }
        for (pod, is_ending) in &mut self.pods {
            *is_ending |= !wanted.contains(pod);
        }
    }

    /// The process of a pod has ended; it is begun anew where it is wanted.
    pub fn pod_ended(&mut self, pod: &str) {
        if !self.faults.is_stuck {
            self.pods.remove(pod);
            self.reconcile();
        }
    }

    /// Somebody wants its machine: it is told to end, and comes again.
    pub fn evict(&mut self, pod: &str) {
        self.pods.entry(pod.to_owned()).and_modify(|is_ending| *is_ending = true);
    }

    pub fn replicas(&self) -> Vec<u32> {
        self.sets.values().map(|it| it.replicas).collect()
    }
}
