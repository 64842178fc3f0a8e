use memtide_service::config::{Given, show_size};
use memtide_service::tls::Identity;

use super::{Host, SETTINGS, ServeConfig};

/// The configuration as a TOML file that gives the same; what it comes to, and where each value was
/// given, stand behind it. No setting is a secret: keys are named by their files.
pub fn show(given: &Given, config: &ServeConfig, on: &Host) -> String {
    let mut text = String::new();
    for setting in SETTINGS.iter().filter(|setting| setting.name != "config") {
        let key = setting.name.replace('-', "_");
        let value = match given.text(setting.name) {
            Some(value) => format!("{key} = {}", quoted(value)),
            None => format!("# {key}"),
        };
        let notes: Vec<String> =
            [meaning(setting.name, given, (config, on)), given.origin(setting.name)]
                .into_iter()
                .flatten()
                .collect();
        text.push_str(&value);
        if !notes.is_empty() {
            text.push_str("  # ");
            text.push_str(&notes.join("; "));
        }
        text.push('\n');
    }
    text
}

/// What a value comes to on this host, where it does not say so itself.
fn meaning(name: &str, given: &Given, (config, on): (&ServeConfig, &Host)) -> Option<String> {
    let is_given = given.text(name).is_some();
    match name {
        "bind" if config.bind.is_empty() => Some("all interfaces".to_owned()),
        "advertise" => Some(config.advertise.clone()).filter(|_| !is_given),
        "tls-cert" | "tls-key" => match &config.tls.identity {
            Identity::Given { .. } => None,
            Identity::Made { dir, .. } => Some(format!("made in {}", dir.display())),
        },
        "tls-client-ca" if config.tls.client_ca.is_none() => {
            Some("clients need no certificate".to_owned())
        }
        "memory" => Some(match &on.memory {
            Some(allowed) => format!(
                "{} of {} ({})",
                show_size(config.memory_max),
                show_size(allowed.bytes),
                allowed.limited_by
            ),
            None => show_size(config.memory_max),
        }),
        "threads" => Some(format!("{}, the cores", config.threads)).filter(|_| !is_given),
        "idle-timeout" if config.idle_timeout.is_none() => Some("never".to_owned()),
        "handshakes-per-second" if config.handshakes_per_second_max.is_none() => {
            Some("no limit".to_owned())
        }
        _ => None,
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
