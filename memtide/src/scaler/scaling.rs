//! How a scaler by itself changes its fleet.

use std::env;
use std::fs::metadata;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;

use memtide_scaler::{CommandProvisioner, CommandSettings, Provisioner, Scaling};
use memtide_topology::CacheId;
use tokio::runtime::Handle;

use crate::failure::Failure;
use crate::settings::{Provision, ScalerConfig};

/// As configured; a program is asked from now on, on this runtime, what nodes can be had.
pub fn scaling(config: &ScalerConfig, cache: &CacheId, runtime: &Handle) -> Option<Scaling> {
    let scaling = config.scaling.as_ref()?;
    let provisioner = scaling.provision.as_ref().map(|provision| {
        let Provision { program, time_max } = provision.clone();
        let settings = CommandSettings { program, time_max, cache: cache.clone() };
        Arc::new(CommandProvisioner::spawn(runtime, settings)) as Arc<dyn Provisioner>
    });
    let spares_per_zone = scaling.spares_per_zone;
    Some(Scaling { policy: scaling.policy.clone(), provisioner, spares_per_zone })
}

/// Whether the program that starts nodes can be run.
///
/// # Errors
/// What is wrong with it.
pub fn check(config: &ScalerConfig) -> Result<(), Failure> {
    let provision = config.scaling.as_ref().and_then(|scaling| scaling.provision.as_ref());
    let Some(name) = provision.and_then(|provision| provision.program.first()) else {
        return Ok(());
    };
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
