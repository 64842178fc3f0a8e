//! What a node can do at most, and what it is called: what a scaler plans with.

use memtide_control::Capacity;
use memtide_control::limits::INSTANCE_BYTES_MAX;
use memtide_limits::units;
use memtide_service::config::{ConfigError, Given, memory, show_size, size};

use super::Host;
use super::read::{MEMORY_MIN, memory_max};

/// ECPUs a second that a core of a node does of small requests that come one by one: 210,000 without replicas
/// (`memtide-fleet` less `memtide`, `mixed`), and fewer of sets with a replica. docs/benchmarks.md, "A fleet". Where they come
/// together it is a multiple.
const ECPU_PER_CORE: u64 = 150_000;
/// The data thread of a node is one.
const CPU_MILLIS_MAX: u64 = 1000;

/// Bytes that a node begins with, and what it can do at most.
pub fn node(
    given: &Given,
    on: &Host,
    warnings: &mut Vec<String>,
) -> Result<(u64, Capacity), ConfigError> {
    let capacity = memory_capacity(given, on)?;
    let is_given = given.is_given("memory");
    let mut memory_max = memory_max(given, on, warnings)?;
    if let Some(capacity) = capacity.filter(|capacity| memory_max > *capacity) {
        if is_given {
            let problem = format!("less than --memory, {}; give more", show_size(memory_max));
            return Err(given.complain("memory-max", &problem));
        }
        memory_max = capacity;
    }
    let cpu = match given.text("cpus") {
        None => on.cpu_millis.min(CPU_MILLIS_MAX),
        Some(_) => given.read("cpus", cpu_millis)?,
    };
    let ecpu = match given.text("ecpu-max") {
        None => ECPU_PER_CORE * cpu / 1000,
        Some(_) => given.read("ecpu-max", units::count)?,
    };
    let network = given.read("network-max", size)?;
    Ok((memory_max, Capacity { memory: capacity.unwrap_or(memory_max), cpu, ecpu, network }))
}

/// What a node is called; `None` where nobody said.
pub fn instance(given: &Given) -> Result<Option<String>, ConfigError> {
    let read = |text: &str| {
        let is_printable = text.bytes().all(|byte| byte.is_ascii_graphic());
        match text.len() {
            1..=INSTANCE_BYTES_MAX if is_printable => Ok(text.to_owned()),
            _ => Err(format!("give 1 to {INSTANCE_BYTES_MAX} printable characters without spaces")),
        }
    };
    given.text("instance").map(|_| given.read("instance", read)).transpose()
}

/// Yes or no.
pub fn is_spare(given: &Given) -> Result<bool, ConfigError> {
    given.read("spare", |text| match text {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err("give true or false".to_owned()),
    })
}

/// What may be granted, where it was said.
fn memory_capacity(given: &Given, on: &Host) -> Result<Option<u64>, ConfigError> {
    if given.text("memory-max").is_none() {
        return Ok(None);
    }
    let allowed = on.memory.as_ref();
    let read = |text: &str| memory(text, allowed.map(|memory| memory.bytes));
    let bytes = given.read("memory-max", read)?;
    if bytes < MEMORY_MIN {
        let problem =
            format!("less than {}, too little for a cache; give more", show_size(MEMORY_MIN));
        return Err(given.complain("memory-max", &problem));
    }
    match allowed.filter(|allowed| bytes > allowed.bytes) {
        None => Ok(Some(bytes)),
        Some(allowed) => {
            let there_is = format!("{} ({})", show_size(allowed.bytes), allowed.limited_by);
            let problem = format!("more than there is, {there_is}; give less, or a share: 60%");
            Err(given.complain("memory-max", &problem))
        }
    }
}

/// Cores with up to three decimals, in thousandths.
fn cpu_millis(text: &str) -> Result<u64, String> {
    let millis = units::count(&format!("{}k", text.trim())).ok();
    millis.filter(|millis| (1..=CPU_MILLIS_MAX).contains(millis)).ok_or_else(|| {
        "give a share of a core up to 1, such as 0.5: a node has one thread that serves".to_owned()
    })
}
