use memtide_service::config::{Given, Setting, show_size};
use memtide_service::host::AllowedMemory;
use memtide_service::tls::Identity;

use super::read::Common;
use super::{Backend, EndpointConfig, Host};

/// The configuration as a TOML file that gives the same; what it comes to by `meaning`, and where
/// each value was given, stand behind it. No setting is a secret: keys are named by their files.
pub fn show(given: &Given, meaning: impl Fn(&str) -> Option<String>) -> String {
    let mut text = String::new();
    let is_shown = |setting: &&Setting| setting.name != "config" && !setting.help.is_empty();
    for setting in given.schema().of_role().filter(is_shown) {
        let key = setting.name.replace('-', "_");
        let value = match given.text(setting.name) {
            Some(value) => format!("{key} = {}", quoted(value)),
            None => format!("# {key}"),
        };
        let notes = [meaning(setting.name), given.origin(setting.name)];
        let notes: Vec<String> = notes.into_iter().flatten().collect();
        text.push_str(&value);
        if !notes.is_empty() {
            text.push_str("  # ");
            text.push_str(&notes.join("; "));
        }
        text.push('\n');
    }
    text
}

/// What a value of every role comes to, where it does not say so itself.
pub fn of_common(name: &str, given: &Given, common: &Common) -> Option<String> {
    match name {
        "bind" if given.text(name).is_none_or(str::is_empty) => Some("all interfaces".to_owned()),
        "data-storage-max" | "ecpu-per-second-max" if given.text(name).is_none() => {
            Some("no limit".to_owned())
        }
        "data-storage-min" if given.text(name).is_none() => {
            Some("1 GiB is metered at least; 0 for what there is".to_owned())
        }
        "wire-version-max" if given.text(name).is_none() => {
            Some(format!("{}, the newest that it knows", memtide_wire::VERSION_MAX))
        }
        "fleet-tls" if given.text(name).is_none() => Some(common.fleet_tls.display().to_string()),
        _ => None,
    }
}

/// What a value of an endpoint comes to on this host, where it does not say so itself.
pub fn of_endpoint(
    name: &str,
    given: &Given,
    config: &EndpointConfig,
    on: &Host,
) -> Option<String> {
    let is_given = given.text(name).is_some();
    match name {
        "fleet-tls" if config.backend == Backend::Embedded => None,
        "nodes" => match &config.backend {
            Backend::Processes(nodes) => {
                let [least, most] = [nodes.node_memory_min(), nodes.node_memory_max].map(show_size);
                let least = if least == most { String::new() } else { format!("{least} to ") };
                Some(format!("{least}{most} of memory each"))
            }
            _ => None,
        },
        "advertise" => Some(config.advertise.clone()).filter(|_| !is_given),
        "tls-cert" | "tls-key" => match &config.tls.identity {
            Identity::Given { .. } => None,
            Identity::Made { dir, .. } => Some(format!("made in {}", dir.display())),
        },
        "tls-client-ca" if config.tls.client_ca.is_none() => {
            Some("clients need no certificate".to_owned())
        }
        "memory" => {
            let most = show_size(config.memory_max);
            let memory = match &config.growth {
                Some(policy) => format!("{} to {most}", show_size(policy.memory_min)),
                None => most,
            };
            let of = |there: &AllowedMemory| {
                format!(" of {} ({})", show_size(there.bytes), there.limited_by)
            };
            Some(memory + &on.memory.as_ref().map(of).unwrap_or_default())
        }
        "threads" => Some(format!("{}, the cores", config.threads)).filter(|_| !is_given),
        "idle-timeout" if config.idle_timeout.is_none() => Some("never".to_owned()),
        "handshakes-per-second" if config.handshakes_per_second_max.is_none() => {
            Some("no limit".to_owned())
        }
        "address-connections-max" if config.door.address_connections_max.is_none() => {
            Some("no limit".to_owned())
        }
        "address-handshakes-per-second"
            if config.door.address_handshakes_per_second_max.is_none() =>
        {
            Some("no limit".to_owned())
        }
        "allow" if config.door.allow.is_empty() => Some("all networks".to_owned()),
        "proxy-protocol-from" if !is_given => Some("no balancer".to_owned()),
        "read-allow" if !is_given => Some("as --allow".to_owned()),
        _ => of_common(name, given, &config.common),
    }
}

/// A TOML string: basic, so that every text can stand in it.
fn quoted(text: &str) -> String {
    let mut quoted = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => quoted.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}
