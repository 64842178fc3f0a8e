//! What this host really allows, and what it is called.

mod cgroup;
mod cpu;
mod descriptors;
mod memory;

pub use self::{
    cpu::cpu_millis,
    descriptors::{DescriptorsError, raise_descriptors},
    memory::{AllowedMemory, allowed_memory},
};

/// The host's name, as the system has it; `localhost` where it has none.
#[must_use]
pub fn name() -> String {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    if name.is_empty() { "localhost".to_owned() } else { name }
}

/// Cores that this process may use: at least 1; CPU affinity and cgroup quotas count.
#[must_use]
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}
