//! The node processes of `serve`: what they are told, and how many there are.

use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use memtide_scaler::{Order, Scaler, Scaling};
use memtide_service::events::Events;
use memtide_service::host;
use memtide_service::logging::LogFormat;

use crate::settings::{EndpointConfig, Processes};
use crate::supervisor::{Asked, ChildProvisioner, Plan, Room, THIS_PROGRAM};

/// A core, in thousandths: a node has one thread that serves.
const CORE: u64 = 1000;

/// What is known of them before there is a scaler.
pub struct Children {
    first: Vec<Order>,
    asked: Option<Asked>,
}

/// How they follow the load, if they do, for the scaler.
pub fn prepare(nodes: &Processes) -> (Children, Option<Scaling>) {
    let Some(scaling) = &nodes.scaling else {
        return (Children { first: always(nodes), asked: None }, None);
    };
    let (provisioner, asked) = ChildProvisioner::new(room(nodes, host::cores()));
    let children = Children { first: provisioner.initial(), asked: Some(asked) };
    let scaling = Scaling {
        policy: scaling.policy.clone(),
        provisioner: Some(Arc::new(provisioner)),
        spares_per_zone: scaling.spares_per_zone,
    };
    (children, Some(scaling))
}

impl Children {
    /// What the supervisor is told, whose children join this scaler.
    pub fn plan(self, config: &EndpointConfig, scaler: &Scaler, events: &Events) -> Plan {
        let (handle, Self { first, asked }) = (scaler.handle(), self);
        let room = asked.as_ref().map(|asked| &asked.room);
        Plan {
            program: THIS_PROGRAM,
            first,
            arguments: node_arguments(config, room, scaler.address()),
            asked,
            on_death: Box::new(move |token| handle.child_ended(token)),
            drain_timeout: config.common.drain_timeout,
            events: events.clone(),
        }
    }
}

/// As many as there always are.
fn always(nodes: &Processes) -> Vec<Order> {
    let zones = nodes.zones.iter().cycle().take(nodes.count);
    let order = |zone: &memtide_topology::Zone| Order {
        instance: String::new(),
        kind: String::new(),
        zone: zone.clone(),
        memory: nodes.node_memory_max,
        is_spare: false,
    };
    zones.map(order).collect()
}

/// This host is divided evenly.
fn room(nodes: &Processes, cores: usize) -> Room {
    let nodes_max = nodes.count_max();
    let cores = cores as u64 * CORE / nodes_max.max(1) as u64;
    Room {
        nodes_min: nodes.count,
        nodes_max,
        zones: nodes.zones.clone(),
        node_memory_min: nodes.node_memory_min(),
        node_memory_max: nodes.node_memory_max,
        node_cpu: cores.clamp(1, CORE),
    }
}

/// The command line of every node process, but for what is its own.
fn node_arguments(
    config: &EndpointConfig,
    room: Option<&Room>,
    scaler: SocketAddr,
) -> Vec<OsString> {
    let format = match config.common.log_format {
        LogFormat::Auto => "auto",
        LogFormat::Text => "text",
        LogFormat::Json => "json",
    };
    let drain_timeout = format!("{}ms", config.common.drain_timeout.as_millis());
    let text = [
        ("--name", config.common.name.clone()),
        ("--join", scaler.to_string()),
        ("--bind", Ipv4Addr::LOCALHOST.to_string()),
        ("--port", "0".to_owned()),
        ("--admin", format!("{}:0", Ipv4Addr::LOCALHOST)),
        ("--wire-version-max", config.versions.max.to_string()),
        ("--item-size-max", config.item_size_max.to_string()),
        ("--drain-timeout", drain_timeout),
        ("--log-format", format.to_owned()),
        ("--log-level", config.common.log_filter.clone()),
    ];
    let text = text.into_iter().flat_map(|(flag, value)| [flag.to_owned(), value]);
    let mut arguments = vec![OsString::from("engine")];
    arguments.extend(text.map(OsString::from));
    if let Some(Room { node_memory_max, node_cpu, .. }) = room {
        let cpus = format!("{}.{:03}", node_cpu / 1000, node_cpu % 1000);
        arguments.extend(
            ["--memory-max", &node_memory_max.to_string(), "--cpus", &cpus].map(OsString::from),
        );
    }
    if let Some(token) = &config.common.admin_token {
        arguments.extend([OsString::from("--admin-token-file"), token.clone().into()]);
    }
    if let Some(ca) = &config.common.admin_client_ca {
        arguments.extend([OsString::from("--admin-client-ca"), ca.clone().into()]);
    }
    arguments.extend([OsString::from("--fleet-tls"), config.common.fleet_tls.clone().into()]);
    arguments
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{self, Command};
    use crate::settings::{self, Backend};

    fn config(nodes: &str) -> EndpointConfig {
        let flags = [("nodes", nodes), ("memory", "64m"), ("name", "x")];
        let flags = flags.map(|(name, value)| (name, value.to_owned())).to_vec();
        settings::load_endpoint(settings::Role::Serve, &flags).unwrap()
    }

    fn processes(config: &EndpointConfig) -> &Processes {
        let Backend::Processes(nodes) = &config.backend else { panic!("{:?}", config.backend) };
        nodes
    }

    /// What a node understands that is started with these arguments, and these of its own.
    fn engine(arguments: Vec<OsString>, own: &[&str]) -> settings::EngineConfig {
        let own = own.iter().chain(&["--zone", "a", "--parent", "1/2"]).map(OsString::from);
        let line = std::iter::once("memtide".into()).chain(arguments).chain(own);
        let Ok(Command::Run(settings::Role::Engine, flags)) = cli::parse(line) else {
            panic!("no engine")
        };
        settings::load_engine(&flags).unwrap()
    }

    #[test]
    fn the_command_line_of_a_node_is_understood() {
        let config = config("processes=2");
        let (children, scaling) = prepare(processes(&config));
        assert!(scaling.is_none());
        let first: Vec<_> = children.first.iter().map(|it| (it.zone.name(), it.memory)).collect();
        assert_eq!(first, [("default", 32 << 20); 2]);
        let arguments = node_arguments(&config, None, ([127, 0, 0, 1], 7).into());
        let engine = engine(arguments, &["--memory", "33554432"]);
        assert_eq!((engine.memory_max, engine.common.name.as_str()), (32 << 20, "x"));
        assert_eq!(engine.join.scalers, ["127.0.0.1:7"]);
        assert_eq!(engine.join.zone.unwrap().name(), "a");
        assert_eq!(engine.common.fleet_tls, config.common.fleet_tls);
        assert_eq!((engine.parent.unwrap().token, engine.versions), (2, config.versions));
    }

    #[test]
    fn a_host_is_divided_by_the_most_nodes() {
        let config = config("processes=1..3");
        let nodes = processes(&config);
        let (children, scaling) = prepare(nodes);
        let [first] = &children.first[..] else { panic!("{:?}", children.first) };
        let share = (64 << 20) / 3;
        assert_eq!((first.instance.as_str(), first.memory), ("first-1", share));
        let scaling = scaling.unwrap();
        assert_eq!((scaling.policy.nodes_min, scaling.policy.nodes_max), (1, 3));
        assert_eq!(scaling.policy.memory_min, share);
        assert_eq!(scaling.provisioner.unwrap().running(), children.first);
        for (cores, cpu) in [(1, 333), (2, 666), (3, 1000), (8, 1000)] {
            assert_eq!(room(nodes, cores).node_cpu, cpu, "{cores} cores");
        }
        let arguments = node_arguments(&config, Some(&room(nodes, 2)), ([127, 0, 0, 1], 7).into());
        let text: Vec<_> = arguments.iter().map(|it| it.to_str().unwrap()).collect();
        let own = ["--memory-max", "22369621", "--cpus", "0.666"];
        assert!(text.windows(4).any(|words| words == own), "{text:?}");
    }
}
