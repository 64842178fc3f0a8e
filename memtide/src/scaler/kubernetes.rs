//! Nodes that are pods, where this program was built for them.

use std::sync::Arc;

use memtide_scaler::Provisioner;
use memtide_topology::Zone;
use tokio::runtime::Handle;

use crate::failure::Failure;

/// Scales these sets, each of at most so many pods.
///
/// # Errors
/// Where this process is in no pod.
#[cfg(feature = "kubernetes")]
pub fn provisioner(
    runtime: &Handle,
    sets: Vec<(Zone, String)>,
    pods_max: u32,
) -> Result<Arc<dyn Provisioner>, Failure> {
    use memtide_kubernetes::{KubernetesProvisioner, Set, Timing};

    let sets = sets.into_iter().map(|(zone, name)| Set { zone, name }).collect();
    let limits = (pods_max, Timing::default());
    Ok(Arc::new(KubernetesProvisioner::spawn(runtime, access()?, sets, limits)))
}

/// Whether the API server can be asked at all.
///
/// # Errors
/// Where this process is in no pod.
#[cfg(feature = "kubernetes")]
pub fn check() -> Result<(), Failure> {
    access().map(drop)
}

#[cfg(feature = "kubernetes")]
fn access() -> Result<memtide_kubernetes::Access, Failure> {
    let access = memtide_kubernetes::Access::of_this_pod();
    access.map_err(|error| Failure::Environment(format!("--kubernetes-statefulsets: {error}")))
}

/// The setting is refused before.
#[cfg(not(feature = "kubernetes"))]
pub fn provisioner(
    _: &Handle,
    _: Vec<(Zone, String)>,
    _: u32,
) -> Result<Arc<dyn Provisioner>, Failure> {
    Err(not_built())
}

/// The setting is refused before.
#[cfg(not(feature = "kubernetes"))]
pub fn check() -> Result<(), Failure> {
    Err(not_built())
}

#[cfg(not(feature = "kubernetes"))]
fn not_built() -> Failure {
    Failure::Environment("this memtide was built without Kubernetes".to_owned())
}
