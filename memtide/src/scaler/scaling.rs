//! How a scaler by itself changes its fleet.

use std::env;
use std::fs::metadata;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;

use memtide_scaler::{CommandProvisioner, CommandSettings, Provisioner, Scaling};
use memtide_topology::CacheId;
use tokio::runtime::Handle;

use super::kubernetes;
use crate::failure::Failure;
use crate::settings::{Program, Provision, ScalerConfig};

/// As configured; who starts nodes is asked from now on, on this runtime, what nodes can be had.
///
/// # Errors
/// Where it cannot be asked at all.
pub fn scaling(
    config: &ScalerConfig,
    cache: &CacheId,
    runtime: &Handle,
) -> Result<Option<Scaling>, Failure> {
    let Some(scaling) = &config.scaling else { return Ok(None) };
    let (policy, spares_per_zone) = (scaling.policy.clone(), scaling.spares_per_zone);
    let provisioner: Option<Arc<dyn Provisioner>> = match scaling.provision.clone() {
        None => None,
        Some(Provision::Program(Program { words: program, time_max })) => {
            let settings = CommandSettings { program, time_max, cache: cache.clone() };
            Some(Arc::new(CommandProvisioner::spawn(runtime, settings)))
        }
        Some(Provision::Kubernetes(sets)) => {
            // Spares come on top of the nodes, and one for a pod that is told to end.
            let nodes_max = u32::try_from(policy.nodes_max).unwrap_or(u32::MAX);
            let pods_max = nodes_max.saturating_add(spares_per_zone).saturating_add(1);
            Some(kubernetes::provisioner(runtime, sets, pods_max)?)
        }
    };
    Ok(Some(Scaling { policy, provisioner, spares_per_zone }))
}

/// Whether who starts nodes is there.
///
/// # Errors
/// What is wrong with it.
pub fn check(config: &ScalerConfig) -> Result<(), Failure> {
    match config.scaling.as_ref().and_then(|scaling| scaling.provision.as_ref()) {
        Some(Provision::Program(Program { words, .. })) => check_program(&words[0]),
        Some(Provision::Kubernetes(_)) => kubernetes::check(),
        None => Ok(()),
    }
}

fn check_program(name: &str) -> Result<(), Failure> {
    let path = env::var_os("PATH").unwrap_or_default();
    let found = match name.contains('/') {
        true => can_run(Path::new(name)),
        false => env::split_paths(&path).find_map(|directory| can_run(&directory.join(name))),
    };
    let wrong = |why| Err(Failure::Environment(format!("--provision {name}: {why}")));
    match found {
        Some(true) => Ok(()),
        Some(false) => wrong("not a program that may be run; correct it, or chmod +x it"),
        None => wrong("there is no such program; correct it, or make it"),
    }
}

/// Whether a file can be executed by somebody; `None` where there is none.
fn can_run(path: &Path) -> Option<bool> {
    let metadata = metadata(path).ok()?;
    Some(metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}
