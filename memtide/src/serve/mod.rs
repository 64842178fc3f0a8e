//! `memtide serve`: proxy, engine and admin HTTP in one process.

mod behind;
mod children;
mod conditions;
mod described;
mod fleet;
mod growth;
mod hold;
mod kept;
mod parent_tls;
mod scaler_port;
mod stop;
mod tickets;

use std::net::{SocketAddr, TcpListener};
use std::process::ExitCode;
use std::sync::Arc;

use memtide_proxy::limits::REJECTIONS_MAX;
use memtide_proxy::{Listeners, Proxy, ProxyConfig};
use memtide_service::admin::{self, Endpoint};
use memtide_service::drain::Drain;
use memtide_service::events::{EventKind, Events};
use memtide_service::listen::listen;
use memtide_service::systemd::Notifier;
use memtide_service::tls::{
    self, Made, Tls,
    fleet::{FleetTls, Role},
};
use memtide_service::{host, logging};
use tokio::runtime::Runtime;

use self::behind::Behind;
use self::described::Served;
use self::kept::{Kept, Stock};
use self::stop::Running;
use crate::failure::Failure;
use crate::limits::KeptLimits;
use crate::records::Records;
use crate::settings::{self, Backend, EndpointConfig};
use crate::stock::Evictions;
use crate::{watch, welcome};

/// Descriptors beside those of client connections: listeners, admin, files.
const DESCRIPTORS_BESIDE: u64 = 256;
/// Descriptors that a core has beside those of its connections: clients over the maximum that it is
/// telling so, and its event queue.
const DESCRIPTORS_PER_CORE: u64 = REJECTIONS_MAX as u64 + 8;
/// Fewer connections than this are no default for anybody.
const CONNECTIONS_DEFAULT_MIN: u64 = 256;

/// Checks what can be checked without serving, and shows the configuration.
pub fn check(mut config: EndpointConfig) -> Result<ExitCode, Failure> {
    Tls::check(&config.tls).map_err(Failure::environment)?;
    hold_connections(&mut config)?;
    if matches!(config.backend, Backend::Joined(_)) {
        FleetTls::load(&config.common.fleet_tls, Role::Proxy).map_err(Failure::environment)?;
    } else {
        let directory = Records::of_keeper(&config.common, settings::Role::Serve);
        KeptLimits::check(&directory, &config.limits)?;
    }
    welcome::print_configuration(&config.common);
    Ok(ExitCode::SUCCESS)
}

/// Serves until a signal ends it.
pub fn run(mut config: EndpointConfig) -> Result<ExitCode, Failure> {
    // Signals come first: one that comes during the start must drain, and a process with the id 1
    // would not get it at all.
    let (runtime, signals) = crate::begin()?;
    // What fails up to "starting" is told in one line, without a log around it.
    hold_connections(&mut config)?;
    let Sockets { listeners, admin_listener, endpoint } = Sockets::bind(&config)?;
    let admin_address = admin_listener.local_addr().map_err(Failure::environment)?;
    let (tls, made) = Tls::open(config.tls.clone()).map_err(Failure::environment)?;
    let tls = Arc::new(tls);
    let access = crate::admin_access(&config.common, Arc::clone(&tls) as _)?;
    let kept = Kept::open(&config)?;
    let events = kept.events.clone();
    let limits = kept_limits(&config, &kept)?;
    let prepared = behind::prepare(&config, &events, limits.as_ref())?;
    logging::install(config.common.log_format, &config.common.log_filter, prepared.log_role());
    log_start(&config, &tls, made);
    kept.log_faults();

    let drain = Drain::new();
    let behind = prepared.start(&config, runtime.handle(), &events);
    let (behind, supervising) = behind.map_err(crate::cannot_start)?;
    if let Some(secrets) = behind.ticket_secrets() {
        runtime.spawn(tickets::follow(Arc::clone(&tls), secrets));
    }
    let behind = Arc::new(behind);
    let proxy_config = proxy_config(&config, &behind, limits.as_ref());
    let proxy =
        Proxy::start(proxy_config, listeners, &tls, drain.watch()).map_err(crate::cannot_start)?;
    let granting = behind.granting(kept.succession);
    let growth = growth::start(&config, &proxy, limits.as_ref(), &events, runtime.handle());
    let hold = hold::Hold::new(proxy.limiter(), granting.as_ref());
    let stock = Stock { observer: proxy.observer(), behind: Arc::clone(&behind) };
    let keeping = kept.keep_usage(&stock, limits.as_ref()).map_err(crate::cannot_start)?;
    let served = Served {
        config: config.clone(),
        endpoint: endpoint.clone(),
        stock: stock.clone(),
        limits: limits.clone(),
        held: hold.held.clone(),
    };
    runtime.spawn(hold.run(granting, limits.clone(), growth::memory(&config)));
    let answers = described::answers(served, &tls, &drain, (events.clone(), access.clone()));
    kept.metrics().into_iter().for_each(|usage| answers.metrics.register(usage));
    growth.iter().for_each(|growth| answers.metrics.register(Arc::new(growth.clone())));
    let reloader = tls::watch(Arc::clone(&tls), events.clone()).map_err(crate::cannot_start)?;
    let of_fleet = behind.watch_tls(&events).map_err(crate::cannot_start)?;
    let of_limits = limits.as_ref().map(KeptLimits::routes).unwrap_or_default();
    let of_growth = growth.map(growth::Growth::routes).unwrap_or_default();
    let routes = behind.routes().merge(kept.routes()).merge(of_limits).merge(of_growth);
    let cache = Arc::clone(&answers.cache);
    let admin = admin::serve_with(admin_listener, answers, routes).map_err(crate::cannot_start)?;

    tell_listening(&endpoint, admin_address, &events);
    let notifier = Notifier::started(runtime.handle(), drain.watch(), move || cache.healthy());
    welcome::greet(&config, &endpoint, admin_address, tls.ca_path().as_deref());
    watch_stock(&runtime, &config, (stock, limits), &events);
    let events_of_stop = events.clone();
    let running =
        Running { drain, reloader, access, behind, events: events_of_stop, proxy, keeping };
    let code = runtime.block_on(stop::until_stopped(config.common.drain_timeout, signals, running));
    runtime.block_on(supervising.end());
    drop((admin, notifier, of_fleet));
    events.settle();
    Ok(code)
}

/// What this process listens on.
struct Sockets {
    listeners: Listeners,
    admin_listener: TcpListener,
    endpoint: Endpoint,
}

impl Sockets {
    fn bind(config: &EndpointConfig) -> Result<Self, Failure> {
        let listen_on = |flag, port| listen(flag, &config.bind, port).map_err(Failure::environment);
        let listeners = Listeners {
            primary: listen_on("--port", config.port)?,
            read_optimized: listen_on("--read-port", config.read_port)?,
            door: config.door.clone(),
        };
        let admin = config.common.admin;
        let admin_listener = crate::one_listener("--admin", &[admin.ip()], admin.port())?;
        let endpoint = Endpoint {
            host: config.advertise.clone(),
            port: port_of(listeners.primary.first())?,
            read_port: port_of(listeners.read_optimized.first())?,
        };
        Ok(Self { listeners, admin_listener, endpoint })
    }
}

/// The cache's limits, where this process keeps them.
fn kept_limits(config: &EndpointConfig, kept: &Kept) -> Result<Option<KeptLimits>, Failure> {
    match &config.backend {
        Backend::Joined(_) => Ok(None),
        Backend::Embedded | Backend::Processes(_) => {
            KeptLimits::open(kept.directory(), config.limits, &kept.events).map(Some)
        }
    }
}

/// Looks once a second what happens by itself.
fn watch_stock(
    runtime: &Runtime,
    config: &EndpointConfig,
    (stock, limits): (Stock, Option<KeptLimits>),
    events: &Events,
) {
    let memory_max = config.memory_max;
    let mut evictions = Evictions::default();
    let look = move || stock.look((limits.as_ref(), memory_max), &mut evictions);
    runtime.spawn(watch::watch(look, events.clone()));
}

fn tell_listening(endpoint: &Endpoint, admin: SocketAddr, events: &Events) {
    let Endpoint { port, read_port, .. } = endpoint;
    tracing::info!(port, read_port, %admin, "listening");
    events.record(EventKind::Listening, format!("on ports {port} and {read_port}"));
}

fn log_start(config: &EndpointConfig, tls: &Tls, made: Made) {
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        memory_max_bytes = config.memory_max,
        connections_max = config.connections_max,
        threads = config.threads,
        certificate_not_after = %tls.expires(),
        "starting"
    );
    for warning in &config.common.warnings {
        tracing::warn!("{warning}");
    }
    let ca = tls.ca_path().unwrap_or_default();
    match made {
        Made::Nothing => {}
        Made::Server => tracing::info!(ca = %ca.display(), "issued a new server certificate"),
        Made::All => {
            tracing::info!(ca = %ca.display(), "made a CA, which clients must trust, and a server certificate");
        }
    }
}

/// Sees to it that the process may open as many connections as it is to hold. A maximum that
/// nobody asked for gives way to the limit of the host.
fn hold_connections(config: &mut EndpointConfig) -> Result<(), Failure> {
    let beside = DESCRIPTORS_BESIDE + DESCRIPTORS_PER_CORE * config.threads as u64;
    let connections = config.connections_max as u64;
    let Err(error) = host::raise_descriptors(connections + beside) else { return Ok(()) };
    let possible = error.allowed.saturating_sub(beside);
    if config.is_connections_max_given || possible < CONNECTIONS_DEFAULT_MIN {
        return Err(Failure::Environment(format!(
            "--connections-max {connections}: {error}; raise that limit (ulimit -n, LimitNOFILE=) \
             or give fewer"
        )));
    }
    config.connections_max = usize::try_from(possible).unwrap_or(config.connections_max);
    config.common.warnings.push(format!("at most {possible} client connections, because {error}"));
    Ok(())
}

fn port_of(listener: Option<&TcpListener>) -> Result<u16, Failure> {
    let listener = listener.expect("listening gives at least one socket");
    Ok(listener.local_addr().map_err(Failure::environment)?.port())
}

fn proxy_config(
    config: &EndpointConfig,
    behind: &Behind,
    limits: Option<&KeptLimits>,
) -> ProxyConfig {
    ProxyConfig {
        advertise: config.advertise.clone(),
        threads: config.threads,
        item_size_max: config.item_size_max,
        connections_max: config.connections_max,
        idle_timeout: config.idle_timeout,
        handshake_timeout: config.handshake_timeout,
        handshakes_per_second_max: config.handshakes_per_second_max,
        ecpu_units_per_second_max: hold::units_at_start(behind, limits),
        give_back_memory: crate::allocator::give_back,
        backend: behind.backend(config, limits),
    }
}
