//! What a command says can be had: JSON, which its author has to get right.

use std::time::Duration;

use memtide_control::Capacity;
use memtide_limits::units;
use memtide_service::config;
use memtide_topology::{NODES_MAX, Zone};
use serde::Deserialize;
use serde_json::Value;

use super::Supply;
use super::limits::{KIND_LEN_MAX, READY_IN_MAX, SUPPLIES_MAX};

/// Where nobody says otherwise.
const MEMORY_MIN: u64 = 64 << 20;
const READY_IN: Duration = Duration::from_secs(30);

/// A supply, as it is written. Quantities are numbers, or texts with a unit.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Said {
    #[serde(default)]
    kind: String,
    zone: String,
    memory: Value,
    cpus: Option<Value>,
    ecpu: Option<Value>,
    network: Option<Value>,
    memory_min: Option<Value>,
    nodes: u32,
    ready_in: Option<Value>,
}

/// Reads an answer.
///
/// # Errors
/// The first mistake in it, in one line.
pub fn supplies(answer: &[u8]) -> Result<Vec<Supply>, String> {
    let said: Vec<Said> = serde_json::from_slice(answer).map_err(|error| error.to_string())?;
    if said.len() > SUPPLIES_MAX {
        return Err(format!("{} supplies; {SUPPLIES_MAX} are the most", said.len()));
    }
    let mut supplies: Vec<Supply> = Vec::with_capacity(said.len());
    for (at, said) in said.iter().enumerate() {
        let supply = supply(said).map_err(|problem| format!("supply {}: {problem}", at + 1))?;
        if supplies.iter().any(|it| it.kind == supply.kind && it.zone == supply.zone) {
            let (kind, zone) = (&supply.kind, &supply.zone);
            return Err(format!(
                "supply {}: zone {zone} has kind \"{kind}\" already; give another kind",
                at + 1
            ));
        }
        supplies.push(supply);
    }
    Ok(supplies)
}

fn supply(said: &Said) -> Result<Supply, String> {
    let read = |name: &str, value: &Option<Value>, read: fn(&str) -> Result<u64, String>| {
        value.as_ref().map_or(Ok(None), |value| quantity(name, value, read).map(Some))
    };
    let memory = quantity("memory", &said.memory, units::size)?;
    let memory_min = read("memory_min", &said.memory_min, units::size)?;
    let memory_min = memory_min.unwrap_or(MEMORY_MIN.min(memory));
    if memory == 0 || memory_min > memory {
        let (most, least) = (units::show_size(memory), units::show_size(memory_min));
        return Err(format!("memory: {most}, and {least} is the least (memory_min)"));
    }
    if said.kind.chars().count() > KIND_LEN_MAX || said.kind.chars().any(char::is_control) {
        return Err(format!("kind: give at most {KIND_LEN_MAX} printable characters"));
    }
    if u64::from(said.nodes) > NODES_MAX as u64 {
        return Err(format!("nodes: {} is out of range; give 0 to {NODES_MAX}", said.nodes));
    }
    let ready_in = match &said.ready_in {
        None => READY_IN,
        Some(value) => {
            config::duration(&text(value)).map_err(|it| wrong("ready_in", value, &it))?
        }
    };
    Ok(Supply {
        kind: said.kind.clone(),
        zone: Zone::new(&said.zone).ok_or_else(|| {
            let most = Zone::LEN_MAX;
            let remedy = format!("give 1 to {most} printable characters without spaces");
            wrong("zone", &Value::from(said.zone.clone()), &remedy)
        })?,
        capacity: Capacity {
            memory,
            cpu: read("cpus", &said.cpus, thousandths)?.unwrap_or(0),
            ecpu: read("ecpu", &said.ecpu, units::count)?.unwrap_or(0),
            network: read("network", &said.network, units::size)?.unwrap_or(0),
        },
        memory_min,
        nodes: said.nodes,
        ready_in: ready_in.min(READY_IN_MAX),
        names: Vec::new(),
        there: Vec::new(),
    })
}

fn quantity(
    name: &str,
    value: &Value,
    read: fn(&str) -> Result<u64, String>,
) -> Result<u64, String> {
    read(&text(value)).map_err(|problem| wrong(name, value, &problem))
}

fn wrong(name: &str, value: &Value, problem: &str) -> String {
    format!("{name}: {value}: {problem}")
}

/// As it would stand on a command line.
fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned)
}

/// Of a decimal number; what is beyond three decimals is cut off.
fn thousandths(text: &str) -> Result<u64, String> {
    let wrong = || "give cores such as 1, 0.5 or 2.25".to_owned();
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let is_number = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !is_number(whole) || !is_number(part) {
        return Err(wrong());
    }
    let part: String = part.chars().chain("000".chars()).take(3).collect();
    let (whole, part): (u64, u64) =
        (whole.parse().map_err(|_| wrong())?, part.parse().map_err(|_| wrong())?);
    whole.checked_mul(1000).and_then(|it| it.checked_add(part)).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_numbers_or_have_units() {
        let all = br#"[{"kind":"big","zone":"a","memory":"8GiB","cpus":1.5,"ecpu":"100k",
            "network":125000000,"memory_min":"128m","nodes":4,"ready_in":"2m"},
            {"zone":"a","memory":33554432,"nodes":0}]"#;
        let supplies = supplies(all).unwrap();
        let big = &supplies[0];
        let (memory, network) = (8 << 30, 125_000_000);
        assert_eq!(big.capacity, Capacity { memory, cpu: 1500, ecpu: 100_000, network });
        assert_eq!((big.kind.as_str(), big.zone.name(), big.memory_min), ("big", "a", 128 << 20));
        assert_eq!((big.nodes, big.ready_in), (4, Duration::from_secs(120)));
        let least = &supplies[1];
        assert_eq!(least.capacity, Capacity { memory: 32 << 20, ..Capacity::default() });
        assert_eq!((least.memory_min, least.ready_in), (32 << 20, Duration::from_secs(30)));
        assert_eq!(super::supplies(b" [] ").unwrap(), []);
    }

    #[test]
    fn a_mistake_is_named() {
        let check = |answer: &str, expected: &str| {
            let problem = supplies(answer.as_bytes()).unwrap_err();
            assert!(problem.starts_with(expected), "{answer}: {problem}");
        };
        check("", "EOF while parsing a value");
        check("{}", "invalid type: map, expected a sequence");
        check("[] x", "trailing characters");
        check(r#"[{"zone":"a","memory":1,"nodes":1,"mem":2}]"#, "unknown field `mem`, expected");
        check(r#"[{"zone":"a","nodes":1}]"#, "missing field `memory`");
        check(r#"[{"zone":"a","memory":1,"nodes":-1}]"#, "invalid value: integer `-1`");
        let with = |field: &str| format!(r#"[{{"zone":"a","memory":"1g","nodes":1,{field}}}]"#);
        check(&with(r#""cpus":"many""#), r#"supply 1: cpus: "many": give cores such as"#);
        check(&with(r#""ecpu":-1"#), "supply 1: ecpu: -1: give a whole number such as");
        check(&with(r#""memory_min":"2g""#), "supply 1: memory: 1 GiB, and 2 GiB is the least");
        check(&with(r#""ready_in":"soon""#), r#"supply 1: ready_in: "soon": give seconds such"#);
        check(r#"[{"zone":"a b","memory":1,"nodes":1}]"#, r#"supply 1: zone: "a b": give 1 to 63"#);
        check(r#"[{"zone":"","memory":1,"nodes":1}]"#, r#"supply 1: zone: "": give 1 to 63"#);
        let twice = r#"{"zone":"a","memory":1,"nodes":1}"#;
        check(&format!("[{twice},{twice}]"), r#"supply 2: zone a has kind "" already; give"#);
        check(r#"[{"zone":"a","memory":1,"nodes":4000000}]"#, "supply 1: nodes: 4000000 is out of");
    }
}
