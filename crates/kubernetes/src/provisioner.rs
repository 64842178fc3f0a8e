//! Starts and ends nodes by scaling sets.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use memtide_scaler::{Order, ProvisionError, Provisioned, Provisioner, Supply};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use crate::cluster::{Access, Cluster};
use crate::limits::Timing;
use crate::set::{Set, ToEnd, to_end, to_start};
use crate::trouble::Trouble;
use crate::view::{Follower, View};

/// Has nodes by scaling `StatefulSet`s of Kubernetes. They are watched until this is dropped.
pub struct KubernetesProvisioner {
    sets: Arc<Sets>,
    following: Vec<JoinHandle<()>>,
}

/// What calls share.
struct Sets {
    cluster: Arc<Cluster>,
    timing: Timing,
    sets: Vec<Set>,
    pods_max: u32,
    view: Arc<View>,
    /// Pods that are being ended, by the place of their set: they may go together.
    ending: Mutex<BTreeSet<(usize, u32)>>,
}

/// What is to become of a pod.
#[derive(Clone, Copy, Debug)]
enum Wish {
    Start,
    End,
}

impl KubernetesProvisioner {
    /// Watches these sets from now on, on this runtime; each may have so many pods.
    #[must_use]
    pub fn spawn(
        runtime: &Handle,
        access: Access,
        sets: Vec<Set>,
        (pods_max, timing): (u32, Timing),
    ) -> Self {
        let cluster = Arc::new(Cluster::new(access, timing));
        let view = Arc::<View>::default();
        let follow = |set: &Set| {
            let (cluster, view) = (Arc::clone(&cluster), Arc::clone(&view));
            runtime.spawn(Follower::new(cluster, timing, view, set.name.clone()).follow())
        };
        let following = sets.iter().map(follow).collect();
        let ending = Mutex::default();
        let sets = Arc::new(Sets { cluster, timing, sets, pods_max, view, ending });
        Self { sets, following }
    }
}

impl Drop for KubernetesProvisioner {
    fn drop(&mut self) {
        self.following.iter().for_each(JoinHandle::abort);
    }
}

impl fmt::Debug for KubernetesProvisioner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("KubernetesProvisioner").field(&self.sets.sets).finish()
    }
}

impl Provisioner for KubernetesProvisioner {
    fn name(&self) -> &'static str {
        "kubernetes"
    }

    fn supplies(&self) -> Vec<Supply> {
        let Sets { view, timing, sets, pods_max, .. } = &*self.sets;
        if !view.is_of(sets.len()) {
            // Who decides by the first that is seen has all nodes in its zone.
            return Vec::new();
        }
        let now = memtide_scaler::now();
        let supply = |set: &Set| {
            let seen = view.of(&set.name, now, timing.view_age_max)?;
            Some(set.supply(&seen, *pods_max))
        };
        sets.iter().filter_map(supply).collect()
    }

    fn outlives_scaler(&self) -> bool {
        true
    }

    fn call_time_max(&self) -> Duration {
        // Its own bound says more of why.
        self.sets.timing.call_max + self.sets.timing.request_max
    }

    fn start(&self, order: Order) -> Provisioned {
        let sets = Arc::clone(&self.sets);
        Box::pin(async move {
            let pod = order.instance;
            let Some((at, ordinal)) = sets.find(&pod).filter(|(_, it)| *it < sets.pods_max) else {
                return Err(ProvisionError(format!("{pod} is the name of no pod that may be")));
            };
            sets.persist(Wish::Start, (at, ordinal)).await
        })
    }

    fn resize(&self, _instance: String, _memory: u64) -> Provisioned {
        // A pod has all that its node can be granted.
        Box::pin(async { Ok(()) })
    }

    fn end(&self, instance: String) -> Provisioned {
        let sets = Arc::clone(&self.sets);
        // Nobody else has begun it, so there is nothing to be done of it here.
        let Some((at, ordinal)) = sets.find(&instance) else { return Box::pin(async { Ok(()) }) };
        // From now on, and not from when it is first looked at: others may be ended with it.
        let ending = Ending::of(&sets, (at, ordinal));
        Box::pin(async move { ending.sets.persist(Wish::End, (at, ordinal)).await })
    }
}

impl Sets {
    fn find(&self, pod: &str) -> Option<(usize, u32)> {
        let mut sets = self.sets.iter().enumerate();
        sets.find_map(|(at, set)| Some((at, set.ordinal(pod)?)))
    }

    /// Done as soon as the set is to have the pod.
    async fn try_start(&self, at: usize, ordinal: u32) -> Result<(), Trouble> {
        let set = &self.sets[at].name;
        let scale = self.cluster.scale(set).await?;
        let Some(replicas) = to_start(replicas(&scale), ordinal) else { return Ok(()) };
        self.cluster.scale_to(set, scale, replicas).await?;
        tracing::info!(set, replicas, "scaled up");
        Ok(())
    }

    /// Done where the pod is gone, or stays because others above it do.
    async fn try_end(&self, at: usize, ordinal: u32) -> Result<(), Trouble> {
        let set = &self.sets[at];
        let scale = self.cluster.scale(&set.name).await?;
        let to_end = to_end(replicas(&scale), ordinal, &self.ending_of(at));
        match to_end {
            ToEnd::Keep => return Ok(()),
            ToEnd::Wait => {}
            ToEnd::Scale(replicas) => {
                self.cluster.scale_to(&set.name, scale, replicas).await?;
                tracing::info!(set = set.name, replicas, "scaled down");
            }
        }
        let pod = set.pod(ordinal);
        match self.cluster.has_pod(&pod).await? {
            false => Ok(()),
            true => Err(Trouble::Passing(format!("{pod} is told to end, and has not ended yet"))),
        }
    }

    /// Tries until it is done, cannot be, or takes too long.
    async fn persist(&self, wish: Wish, (at, ordinal): (usize, u32)) -> Result<(), ProvisionError> {
        let deadline = Instant::now() + self.timing.call_max;
        let (mut pause, pause_max) = self.timing.pauses;
        loop {
            let done = match wish {
                Wish::Start => self.try_start(at, ordinal).await,
                Wish::End => self.try_end(at, ordinal).await,
            };
            let Err(trouble) = done else { return Ok(()) };
            if !trouble.is_passing() || Instant::now() + pause > deadline {
                let set = &self.sets[at].name;
                return Err(ProvisionError(format!("StatefulSet {set}: {trouble}")));
            }
            sleep(pause).await;
            pause = (pause * 2).min(pause_max);
        }
    }

    fn ending_of(&self, at: usize) -> BTreeSet<u32> {
        self.ending().iter().filter(|(set, _)| *set == at).map(|(_, ordinal)| *ordinal).collect()
    }

    fn ending(&self) -> MutexGuard<'_, BTreeSet<(usize, u32)>> {
        self.ending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn replicas(scale: &k8s_openapi::api::autoscaling::v1::Scale) -> u32 {
    let replicas = scale.spec.as_ref().and_then(|spec| spec.replicas);
    replicas.and_then(|it| u32::try_from(it).ok()).unwrap_or(0)
}

/// A pod that is being ended, however that ends.
struct Ending {
    sets: Arc<Sets>,
    pod: (usize, u32),
}

impl Ending {
    fn of(sets: &Arc<Sets>, pod: (usize, u32)) -> Self {
        sets.ending().insert(pod);
        Self { sets: Arc::clone(sets), pod }
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.sets.ending().remove(&self.pod);
    }
}
