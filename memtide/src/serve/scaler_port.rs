//! The port of the scaler in `serve`: the same at each start, where it is free, so that nodes and proxies
//! that have joined from outside find it again.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};

use crate::failure::Failure;

/// Listens on the port of the last time, or on another one.
pub fn listen(fleet_dir: &Path) -> Result<TcpListener, Failure> {
    let local = [Ipv4Addr::LOCALHOST.into()];
    let last = fs::read_to_string(file(fleet_dir)).ok();
    if let Some(port) = last.and_then(|text| text.trim().parse().ok()).filter(|port| *port != 0)
        && let Ok(listener) = crate::one_listener("--nodes", &local, port)
    {
        return Ok(listener);
    }
    crate::one_listener("--nodes", &local, 0)
}

/// Keeps it for the next time. Who cannot be found again is no reason not to start.
pub fn remember(fleet_dir: &Path, port: u16) {
    let _ = fs::write(file(fleet_dir), format!("{port}\n"));
}

fn file(fleet_dir: &Path) -> PathBuf {
    fleet_dir.join("port")
}
