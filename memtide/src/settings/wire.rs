//! What is spoken between proxies and nodes, and what they say of it.

use memtide_control::Program;
use memtide_service::config::{ConfigError, Given};
use memtide_wire::{VERSION_MAX, VERSION_MIN, Versions};

/// The versions of the node protocol that this process is to speak.
pub fn versions(given: &Given) -> Result<Versions, ConfigError> {
    let read = |text: &str| {
        let max = text.trim().parse().ok().and_then(Versions::up_to);
        max.ok_or_else(|| {
            format!("give a version that this program knows, {VERSION_MIN} to {VERSION_MAX}")
        })
    };
    let given_max = given.text("wire-version-max").map(|_| given.read("wire-version-max", read));
    Ok(given_max.transpose()?.unwrap_or(Versions::KNOWN))
}

/// What the scaler is told of this process.
pub fn program(versions: Versions) -> Program {
    let version = env!("CARGO_PKG_VERSION").to_owned();
    Program { version, wire_min: versions.min, wire_max: versions.max }
}
