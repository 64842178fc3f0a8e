//! `memtide engine`: a node of a fleet.

mod beat;
mod control;
mod described;
mod held;
mod parent;
mod save;
mod spare;
mod uses;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use memtide_control::{Adopted, NodeControl, Registration};
use memtide_engine::{Ended, Node, NodeConfig, feed};
use memtide_engine_core::replication::ReplicationSettings;
use memtide_service::drain::Drain;
use memtide_service::events::{EventKind, Events};
use memtide_service::signals::Signals;
use memtide_service::systemd::Notifier;
use memtide_service::tls::fleet::{FleetTls, Role};
use memtide_service::{admin, host, logging};
use memtide_topology::{CacheId, Zone};

use self::control::Talk;
use self::held::Held;
use crate::failure::{self, Failure};
use crate::settings::{self, EngineConfig};

/// Links to and from other nodes and the cores of proxies, and what a process has open beside.
const DESCRIPTORS: u64 = 16 * 1024;

/// Holds slots until a signal, the scaler or its parent's end ends it.
pub fn run(config: &EngineConfig) -> Result<ExitCode, Failure> {
    if let Some(parent) = config.parent {
        parent::follow(parent)?;
    } else if config.is_spare {
        spare::set_its_name()?;
    }
    let (runtime, mut signals) = crate::begin()?;
    // Where fewer are allowed, links beyond them fail and are tried again.
    let _ = host::raise_descriptors(DESCRIPTORS);
    let common = &config.common;
    let listener = crate::one_listener("--port", config.bind.as_slice(), config.port)?;
    let port = listener.local_addr().map_err(Failure::environment)?.port();
    let admin_listener = crate::one_listener("--admin", &[common.admin.ip()], common.admin.port())?;
    let admin_address = admin_listener.local_addr().map_err(Failure::environment)?;
    let tls = FleetTls::load(&common.fleet_tls, Role::Node).map_err(Failure::environment)?;
    let access = crate::admin_access(common, tls.certificate())?;
    logging::install(common.log_format, &common.log_filter, "engine");
    for warning in &common.warnings {
        tracing::warn!("{warning}");
    }

    let drain = Drain::new();
    let (source, feed) = feed();
    let node = Node::start(node_config(config, &tls), listener, feed, drain.watch());
    let node = node.map_err(crate::cannot_start)?;
    let observer = node.observer();
    let registration = registration(config, port);
    let (zone, address) = (registration.zone.clone(), registration.address.clone());
    let control = NodeControl::spawn(
        runtime.handle(),
        config.join.scalers.clone(),
        &tls.client(),
        registration,
    );
    let control = Arc::new(control);
    let events = Events::new().of("engine");
    let kept = (events.clone(), access.clone());
    let of_node = (&observer, &control, config.is_spare);
    let mut answers = described::answers(of_node, kept, drain.watch());
    answers.metrics.register(Arc::new(tls.clone()));
    answers.routes = save::routes(observer.clone(), common.fleet_dir.clone());
    let health = Arc::clone(&answers.health);
    let admin = admin::serve_role(admin_listener, answers).map_err(crate::cannot_start)?;
    tracing::info!(port, admin = %admin_address, %zone, address, "listening");
    events.record(EventKind::Listening, format!("on port {port}"));
    let health = move || health.healthy();
    let notifier = Notifier::started(runtime.handle(), drain.watch(), health);
    let kept_up = (crate::watch_fleet_tls(&tls, &events)?, notifier);

    if config.is_spare {
        tracing::info!("a spare: it waits until the scaler takes it as a node");
    }
    let is_spare = config.is_spare;
    let talk = Talk { control, observer: observer.clone(), source, tls, access, is_spare };
    let (ended, held) =
        runtime.block_on(talk.until_ended(node, &mut signals, &drain, common.drain_timeout));
    drop((admin, kept_up));
    let pause = spare::starts_over_after(&ended, observer.id().is_some());
    let is_stopped = drain.watch().is_draining();
    if let Some(pause) = pause.filter(|_| config.is_spare && !is_stopped) {
        return Ok(runtime.block_on(wait_again(&mut signals, ended, held, pause)));
    }
    Ok(told(ended, held))
}

/// A spare that is a node no more is one again, unless it is told to stop.
async fn wait_again(signals: &mut Signals, ended: Ended, held: Held, pause: Duration) -> ExitCode {
    let why = match &ended {
        Ended::Refused(why) => why,
        Ended::Drained => "drained",
        _ => "taken out of the topology",
    };
    tracing::info!(why, "starts over as a spare");
    tokio::select! {
        signal = signals.next_stop(|| {}) => {
            tracing::info!(signal = signal.name(), "stopped while it held nothing");
            return ExitCode::SUCCESS;
        }
        () = tokio::time::sleep(pause) => {}
    }
    let error = spare::start_over();
    tracing::error!(%error, "failed to start over as a spare");
    told(ended, held)
}

fn node_config(config: &EngineConfig, tls: &FleetTls) -> NodeConfig {
    NodeConfig {
        cache: cache(config),
        memory_max: config.memory_max,
        memory_capacity: config.capacity.memory,
        item_size_max: config.item_size_max,
        replication: ReplicationSettings::default(),
        versions: config.versions,
        tls: tls.clone(),
    }
}

fn registration(config: &EngineConfig, port: u16) -> Registration {
    let host = &config.advertise;
    let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
    let zone = config.join.zone.clone();
    let (address, process) = (format!("{host}:{port}"), crate::random());
    // Nobody else gives a spare a name, and no later process of this address has the same.
    let own_name =
        || if config.is_spare { format!("{address}/{process:016x}") } else { String::new() };
    let instance = config.instance.clone().unwrap_or_else(own_name);
    Registration {
        cache: cache(config),
        node: None,
        zone: zone.unwrap_or_else(|| Zone::new("default").expect("it is a word")),
        address,
        memory_max: config.memory_max,
        parent_token: config.parent.map(|parent| parent.token),
        process,
        adopted: Adopted::default(),
        item_size_max: config.item_size_max,
        instance,
        is_spare: config.is_spare,
        capacity: config.capacity,
        program: settings::program(config.versions),
    }
}

fn cache(config: &EngineConfig) -> CacheId {
    CacheId::new(&config.common.name).expect("the name was checked")
}

/// Tells how it ended, and gives the exit code.
fn told(ended: Ended, Held { is_member, slots, alone, others, .. }: Held) -> ExitCode {
    match ended {
        Ended::Drained => {
            tracing::info!("drained");
            ExitCode::SUCCESS
        }
        Ended::Stopped if slots == 0 => {
            tracing::info!("drained");
            ExitCode::SUCCESS
        }
        Ended::Stopped if others == 0 => {
            tracing::error!(
                slots,
                alone,
                "this node ends with {slots} slots, {alone} of which nobody else has: all other nodes have left"
            );
            ExitCode::from(failure::DRAIN_CUT)
        }
        Ended::Stopped => {
            tracing::error!(
                slots,
                alone,
                "the drain took too long: this node ends with {slots} slots, {alone} of which nobody else has; give more --drain-timeout, or drain it by memtide cache before it is stopped"
            );
            ExitCode::from(failure::DRAIN_CUT)
        }
        Ended::Refused(why) if !is_member => {
            tracing::error!(
                why,
                "the scaler does not take this process with these settings; starting it again will not help"
            );
            ExitCode::from(failure::REFUSED)
        }
        Ended::Refused(why) => {
            tracing::error!(why, "the scaler does not want this process; start it anew");
            ExitCode::from(failure::START_ANEW)
        }
        Ended::Removed => {
            tracing::error!("this node was taken out of the topology; start it anew");
            ExitCode::from(failure::START_ANEW)
        }
        Ended::Panicked => ExitCode::from(failure::INTERNAL),
    }
}
