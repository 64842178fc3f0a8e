//! Between the messages of the schema and plain types.

use memtide_engine_core::replication::{CopyName, Report};
use memtide_topology::{ADDRESS_BYTES_MAX, CacheId, Epoch, NodeId, SlotId, Zone};

use crate::limits::{INSTANCE_BYTES_MAX, PROGRAM_VERSION_BYTES_MAX};
use crate::schema::{self, report};
use crate::{Adopted, Capacity, Counted, NodeUsage, Program, Registration, SlotUse};

/// What in a message is not what it must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// The stream begins with something else.
    #[error("the first message is no registration")]
    NoRegistration,
    /// The stream goes on with one.
    #[error("a second registration")]
    SecondRegistration,
    /// See [`CacheId::new`].
    #[error("the name of the cache is not 1 to 40 letters, digits and hyphens")]
    Cache,
    /// See [`Zone::new`].
    #[error("the name of the zone is not 1 to 63 printable characters without spaces")]
    Zone,
    /// Others could not reach it.
    #[error("the address is not host:port")]
    Address,
    /// From [`memtide_topology::SLOTS`] on.
    #[error("a report of slot {0}, which no cache has")]
    Slot(u32),
    /// See [`INSTANCE_BYTES_MAX`].
    #[error("the name of the instance is not up to 253 printable characters without spaces")]
    Instance,
    /// See [`crate::limits::SLOT_USES_MAX`].
    #[error("what too many slots take in one message")]
    SlotUsesMax,
    /// See [`crate::limits::REPORTS_PER_MESSAGE_MAX`].
    #[error("too many reports in one message")]
    ReportsMax,
}

impl From<&Registration> for schema::NodeRegistration {
    fn from(registration: &Registration) -> Self {
        Self {
            cache: registration.cache.name().to_owned(),
            node: registration.node.map_or(0, NodeId::number),
            zone: registration.zone.name().to_owned(),
            address: registration.address.clone(),
            memory_max: registration.memory_max,
            parent_token: registration.parent_token,
            process: registration.process,
            fleet: registration.adopted.fleet,
            adopted: registration.adopted.epoch.number(),
            item_size_max: registration.item_size_max,
            instance: registration.instance.clone(),
            is_spare: registration.is_spare,
            capacity: Some(schema::Capacity::from(&registration.capacity)),
            program: Some(schema::Program::from(&registration.program)),
        }
    }
}

impl TryFrom<schema::NodeRegistration> for Registration {
    type Error = Malformed;

    fn try_from(it: schema::NodeRegistration) -> Result<Self, Malformed> {
        if !is_address(&it.address) {
            return Err(Malformed::Address);
        }
        Ok(Self {
            cache: CacheId::new(&it.cache).ok_or(Malformed::Cache)?,
            node: (it.node != 0).then(|| NodeId::new(it.node)),
            zone: Zone::new(&it.zone).ok_or(Malformed::Zone)?,
            address: it.address,
            memory_max: it.memory_max,
            parent_token: it.parent_token,
            process: it.process,
            adopted: Adopted { fleet: it.fleet, epoch: Epoch::new(it.adopted) },
            item_size_max: it.item_size_max,
            instance: instance(it.instance)?,
            is_spare: it.is_spare,
            capacity: it.capacity.map(Capacity::from).unwrap_or_default(),
            program: it.program.map(Program::from).unwrap_or_default(),
        })
    }
}

/// A word of printable characters, or nothing.
fn instance(name: String) -> Result<String, Malformed> {
    let is_word = name.bytes().all(|byte| byte.is_ascii_graphic());
    if is_word && name.len() <= INSTANCE_BYTES_MAX { Ok(name) } else { Err(Malformed::Instance) }
}

impl From<&Capacity> for schema::Capacity {
    fn from(it: &Capacity) -> Self {
        Self { memory: it.memory, cpu: it.cpu, ecpu: it.ecpu, network: it.network }
    }
}

impl From<schema::Capacity> for Capacity {
    fn from(it: schema::Capacity) -> Self {
        Self { memory: it.memory, cpu: it.cpu, ecpu: it.ecpu, network: it.network }
    }
}

impl From<&Program> for schema::Program {
    fn from(it: &Program) -> Self {
        let (wire_min, wire_max) = (u32::from(it.wire_min), u32::from(it.wire_max));
        Self { version: it.version.clone(), wire_min, wire_max }
    }
}

/// What people cannot read is left out: nobody is turned away for it.
impl From<schema::Program> for Program {
    fn from(it: schema::Program) -> Self {
        let number = |number: u32| u16::try_from(number).unwrap_or_default();
        let version = it.version;
        let is_word = version.len() <= PROGRAM_VERSION_BYTES_MAX
            && version.bytes().all(|byte| byte.is_ascii_graphic());
        let version = if is_word { version } else { String::new() };
        Self { version, wire_min: number(it.wire_min), wire_max: number(it.wire_max) }
    }
}

impl From<&SlotUse> for schema::SlotUse {
    fn from(it: &SlotUse) -> Self {
        Self { slot: u32::from(it.slot.number()), bytes: it.bytes, ecpu: it.ecpu }
    }
}

impl TryFrom<schema::SlotUse> for SlotUse {
    type Error = Malformed;

    fn try_from(it: schema::SlotUse) -> Result<Self, Malformed> {
        Ok(Self { slot: slot(it.slot)?, bytes: it.bytes, ecpu: it.ecpu })
    }
}

fn is_address(address: &str) -> bool {
    let is_port = |port: &str| port.parse::<u16>().is_ok_and(|port| port != 0);
    address.len() <= ADDRESS_BYTES_MAX
        && address.bytes().all(|byte| byte.is_ascii_graphic())
        && address.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && is_port(port))
}

impl From<&NodeUsage> for schema::NodeUsage {
    fn from(it: &NodeUsage) -> Self {
        Self {
            memory_used: it.memory_used,
            memory_max: it.memory_max,
            items: it.items,
            data_bytes: it.data_bytes,
            evicted: it.evicted,
            expired: it.expired,
            get_hits: it.get_hits,
            get_misses: it.get_misses,
            cmd_get: it.cmd_get,
            cmd_set: it.cmd_set,
            requests: it.requests,
            cpu_micros: it.cpu_micros,
            bytes_in: it.bytes_in,
            bytes_out: it.bytes_out,
            copy_items: it.copy_items,
            copy_bytes: it.copy_bytes,
            ecpu_units: it.ecpu_units,
        }
    }
}

impl From<schema::NodeUsage> for NodeUsage {
    fn from(it: schema::NodeUsage) -> Self {
        Self {
            memory_used: it.memory_used,
            memory_max: it.memory_max,
            items: it.items,
            data_bytes: it.data_bytes,
            evicted: it.evicted,
            expired: it.expired,
            get_hits: it.get_hits,
            get_misses: it.get_misses,
            cmd_get: it.cmd_get,
            cmd_set: it.cmd_set,
            requests: it.requests,
            cpu_micros: it.cpu_micros,
            bytes_in: it.bytes_in,
            bytes_out: it.bytes_out,
            copy_items: it.copy_items,
            copy_bytes: it.copy_bytes,
            ecpu_units: it.ecpu_units,
        }
    }
}

impl From<&Counted> for schema::Counted {
    fn from(it: &Counted) -> Self {
        Self {
            process: it.process,
            ecpu_units: it.ecpu_units,
            commands: it.commands,
            throttled_commands: it.throttled_commands,
            delayed_commands: it.delayed_commands,
            began_ms: it.began_ms,
            bytes_in: it.bytes_in,
            bytes_out: it.bytes_out,
        }
    }
}

impl From<schema::Counted> for Counted {
    fn from(it: schema::Counted) -> Self {
        Self {
            process: it.process,
            ecpu_units: it.ecpu_units,
            commands: it.commands,
            throttled_commands: it.throttled_commands,
            delayed_commands: it.delayed_commands,
            began_ms: it.began_ms,
            bytes_in: it.bytes_in,
            bytes_out: it.bytes_out,
        }
    }
}

impl From<Report> for schema::Report {
    fn from(report: Report) -> Self {
        let copy = |slot: SlotId, name: CopyName| schema::Copy {
            slot: u32::from(slot.number()),
            epoch: name.epoch.number(),
            node: name.node.number(),
            since: name.since.number(),
        };
        let report = match report {
            Report::CaughtUp(slot, name) => report::Report::CaughtUp(copy(slot, name)),
            Report::Diverged(slot, name) => report::Report::Diverged(copy(slot, name)),
            Report::Unreachable(slot, name) => report::Report::Unreachable(copy(slot, name)),
            Report::Incomplete(slot, epoch) => report::Report::Incomplete(schema::Incomplete {
                slot: u32::from(slot.number()),
                epoch: epoch.number(),
            }),
        };
        Self { report: Some(report) }
    }
}

/// `None` of a kind that this version does not know.
pub fn report(it: &schema::Report) -> Result<Option<Report>, Malformed> {
    let copy = |it: &schema::Copy| {
        let name = CopyName {
            epoch: Epoch::new(it.epoch),
            node: NodeId::new(it.node),
            since: Epoch::new(it.since),
        };
        Ok((slot(it.slot)?, name))
    };
    Ok(match &it.report {
        None => None,
        Some(report::Report::CaughtUp(it)) => {
            let (slot, name) = copy(it)?;
            Some(Report::CaughtUp(slot, name))
        }
        Some(report::Report::Diverged(it)) => {
            let (slot, name) = copy(it)?;
            Some(Report::Diverged(slot, name))
        }
        Some(report::Report::Unreachable(it)) => {
            let (slot, name) = copy(it)?;
            Some(Report::Unreachable(slot, name))
        }
        Some(report::Report::Incomplete(it)) => {
            Some(Report::Incomplete(slot(it.slot)?, Epoch::new(it.epoch)))
        }
    })
}

fn slot(number: u32) -> Result<SlotId, Malformed> {
    u16::try_from(number).ok().and_then(SlotId::new).ok_or(Malformed::Slot(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn registration() -> Registration {
        Registration {
            cache: CacheId::default(),
            node: Some(NodeId::new(7)),
            zone: Zone::new("a").unwrap(),
            address: "127.0.0.1:7000".to_owned(),
            memory_max: 1 << 30,
            parent_token: Some(0),
            process: 9,
            adopted: Adopted { fleet: 5, epoch: Epoch::new(8) },
            item_size_max: 1 << 20,
            instance: "n-1".to_owned(),
            is_spare: true,
            capacity: Capacity { memory: 1, cpu: 2, ecpu: 3, network: 4 },
            program: Program { version: "0.2.0".to_owned(), wire_min: 1, wire_max: 2 },
        }
    }

    #[test]
    fn a_registration_comes_as_it_went() {
        for it in
            [registration(), Registration { node: None, parent_token: None, ..registration() }]
        {
            assert_eq!(Registration::try_from(schema::NodeRegistration::from(&it)), Ok(it));
        }
    }

    #[test]
    fn a_malformed_registration_is_refused_by_what_is_wrong() {
        let sent = schema::NodeRegistration::from(&registration());
        for address in ["", "host", ":1", "host:", "host:0", "host:65536", "a b:1", "h\u{e4}:1"] {
            let it = schema::NodeRegistration { address: address.to_owned(), ..sent.clone() };
            assert_eq!(Registration::try_from(it), Err(Malformed::Address), "{address}");
        }
        let it = schema::NodeRegistration { cache: "a b".to_owned(), ..sent.clone() };
        assert_eq!(Registration::try_from(it), Err(Malformed::Cache));
        for instance in ["a b".to_owned(), "x".repeat(INSTANCE_BYTES_MAX + 1)] {
            let it = schema::NodeRegistration { instance, ..sent.clone() };
            assert_eq!(Registration::try_from(it), Err(Malformed::Instance));
        }
        let it = schema::NodeRegistration { zone: String::new(), ..sent };
        assert_eq!(Registration::try_from(it), Err(Malformed::Zone));
    }

    #[test]
    fn a_report_comes_as_it_went_and_only_of_a_slot() {
        let slot = SlotId::new(16_383).unwrap();
        let name = CopyName { epoch: Epoch::new(3), node: NodeId::new(4), since: Epoch::new(5) };
        for it in [
            Report::CaughtUp(slot, name),
            Report::Diverged(slot, name),
            Report::Unreachable(slot, name),
            Report::Incomplete(slot, Epoch::new(6)),
        ] {
            assert_eq!(report(&it.into()), Ok(Some(it)));
        }
        let wrong = schema::Incomplete { slot: 16_384, epoch: 6 };
        let wrong = schema::Report { report: Some(report::Report::Incomplete(wrong)) };
        assert_eq!(report(&wrong), Err(Malformed::Slot(16_384)));
        assert_eq!(report(&schema::Report { report: None }), Ok(None));
    }
}
