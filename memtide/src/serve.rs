//! `memtide serve`: proxy, engine and admin HTTP in one process.

use std::net::TcpListener;
use std::process::ExitCode;
use std::sync::Arc;

use memtide_proxy::limits::REJECTIONS_MAX;
use memtide_proxy::{Listeners, Observer, PROTOCOL_VERSION, Proxy, ProxyConfig};
use memtide_service::admin::{
    self, Answers, Cache, CacheDescription, CacheLimits, CacheState, CacheUsage, Endpoint, Range,
};
use memtide_service::drain::Drain;
use memtide_service::listen::listen;
use memtide_service::metrics::{BuildInfo, ProcessSource, Registry};
use memtide_service::signals::{Request, Signals, StopSignal};
use memtide_service::tls::{self, Made, Reloader, Tls};
use memtide_service::{host, logging};
use memtide_topology::HashSeed;

use crate::failure::Failure;
use crate::settings::ServeConfig;
use crate::welcome;

/// Descriptors beside those of client connections: listeners, admin, files.
const DESCRIPTORS_BESIDE: u64 = 256;
/// Descriptors that a core has beside those of its connections: clients over the maximum that it is
/// telling so, and its event queue.
const DESCRIPTORS_PER_CORE: u64 = REJECTIONS_MAX as u64 + 8;
/// Fewer connections than this are no default for anybody.
const CONNECTIONS_DEFAULT_MIN: u64 = 256;

/// Checks what can be checked without serving, and shows the configuration.
pub fn check(mut config: ServeConfig) -> Result<ExitCode, Failure> {
    Tls::check(&config.tls).map_err(Failure::environment)?;
    hold_connections(&mut config)?;
    for warning in &config.warnings {
        welcome::print(&format!("# warning: {warning}\n"));
    }
    welcome::print(&config.shown);
    Ok(ExitCode::SUCCESS)
}

/// Serves until a signal ends it.
pub fn run(mut config: ServeConfig) -> Result<ExitCode, Failure> {
    // What fails up to "starting" is told in one line, without a log around it.
    hold_connections(&mut config)?;
    let listen_on = |flag, port| listen(flag, &config.bind, port).map_err(Failure::environment);
    let listeners = Listeners {
        primary: listen_on("--port", config.port)?,
        read_optimized: listen_on("--read-port", config.read_port)?,
    };
    let admin_listener = listen("--admin", &[config.admin.ip()], config.admin.port())
        .map_err(Failure::environment)?
        .pop()
        .expect("one address gives one listener");
    let endpoint = Endpoint {
        host: config.advertise.clone(),
        port: port_of(listeners.primary.first())?,
        read_port: port_of(listeners.read_optimized.first())?,
    };
    let admin_address = admin_listener.local_addr().map_err(Failure::environment)?;
    let (tls, made) = Tls::open(config.tls.clone()).map_err(Failure::environment)?;
    let tls = Arc::new(tls);
    logging::install(config.log_format, &config.log_filter);
    log_start(&config, &tls, made);

    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Failure::environment)?;
    let signals = {
        let _in_runtime = runtime.enter();
        Signals::new().map_err(Failure::environment)?
    };
    let drain = Drain::new();
    let proxy = Proxy::start(proxy_config(&config), listeners, &tls, drain.watch())
        .map_err(Failure::environment)?;
    let reloader = tls::watch(Arc::clone(&tls)).map_err(Failure::environment)?;
    let answers = answers(&config, &endpoint, proxy.observer(), &tls, &drain);
    let admin = admin::serve(admin_listener, answers).map_err(Failure::environment)?;

    tracing::info!(
        port = endpoint.port,
        read_port = endpoint.read_port,
        admin = %admin_address,
        "listening"
    );
    welcome::greet(&config, &endpoint, admin_address, tls.ca_path().as_deref());
    let code = runtime.block_on(until_stopped(&config, signals, &drain, &reloader, proxy));
    drop(admin);
    Ok(code)
}

fn log_start(config: &ServeConfig, tls: &Tls, made: Made) {
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        memory_max_bytes = config.memory_max,
        connections_max = config.connections_max,
        threads = config.threads,
        certificate_not_after = %tls.not_after(),
        "starting"
    );
    for warning in &config.warnings {
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
fn hold_connections(config: &mut ServeConfig) -> Result<(), Failure> {
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
    config.warnings.push(format!("at most {possible} client connections, because {error}"));
    Ok(())
}

fn port_of(listener: Option<&TcpListener>) -> Result<u16, Failure> {
    let listener = listener.expect("listening gives at least one socket");
    Ok(listener.local_addr().map_err(Failure::environment)?.port())
}

fn proxy_config(config: &ServeConfig) -> ProxyConfig {
    ProxyConfig {
        advertise: config.advertise.clone(),
        threads: config.threads,
        memory_max: config.memory_max,
        item_size_max: config.item_size_max,
        connections_max: config.connections_max,
        idle_timeout: config.idle_timeout,
        handshake_timeout: config.handshake_timeout,
        handshakes_per_second_max: config.handshakes_per_second_max,
        seed: random_seed(),
        metered_bytes_min: config.data_storage_min,
    }
}

/// The seed that std's own hash maps get from the operating system: one process, one seed.
fn random_seed() -> HashSeed {
    use std::hash::{BuildHasher as _, RandomState};
    HashSeed::new(RandomState::new().hash_one(1_u8), RandomState::new().hash_one(2_u8))
}

/// Waits for signals; the first that stops drains, a second one stops at once.
async fn until_stopped(
    config: &ServeConfig,
    mut signals: Signals,
    drain: &Drain,
    reloader: &Reloader,
    proxy: Proxy,
) -> ExitCode {
    let signal = next_stop(&mut signals, reloader).await;
    let secs = config.drain_timeout.as_secs();
    tracing::info!(signal = signal.name(), deadline_secs = secs, "draining");
    let deadline = tokio::time::Instant::now() + config.drain_timeout;
    drain.begin(deadline);
    let mut joined = tokio::task::spawn_blocking(move || proxy.join());
    tokio::select! {
        _ = &mut joined => {
            tracing::info!("drained");
            return ExitCode::SUCCESS;
        }
        () = tokio::time::sleep_until(deadline) => {
            tracing::warn!("the drain took too long; connections are dropped");
        }
        signal = next_stop(&mut signals, reloader) => {
            tracing::warn!(signal = signal.name(), "stopping at once");
            // The threads hold nothing that must be saved.
            std::process::exit(i32::from(signal.exit_code()));
        }
    }
    drain.stop();
    // The cores drop what they have as soon as they are polled.
    let _ = joined.await;
    ExitCode::SUCCESS
}

async fn next_stop(signals: &mut Signals, reloader: &Reloader) -> StopSignal {
    loop {
        match signals.next().await {
            Request::Stop(signal) => return signal,
            Request::Reload => reloader.reload(),
        }
    }
}

fn answers(
    config: &ServeConfig,
    endpoint: &Endpoint,
    observer: Observer,
    tls: &Arc<Tls>,
    drain: &Drain,
) -> Answers {
    let metrics = Registry::new();
    metrics.register(Arc::new(BuildInfo { version: env!("CARGO_PKG_VERSION") }));
    metrics.register(Arc::new(ProcessSource::new()));
    metrics.register(Arc::clone(tls) as _);
    metrics.register(Arc::new(observer.clone()));
    let cache = Served { config: config.clone(), endpoint: endpoint.clone(), observer };
    Answers { metrics, cache: Arc::new(cache), drain: drain.watch() }
}

/// The cache, as the admin HTTP tells of it.
struct Served {
    config: ServeConfig,
    endpoint: Endpoint,
    observer: Observer,
}

impl Cache for Served {
    fn describe(&self) -> CacheDescription {
        CacheDescription {
            name: self.config.name.clone(),
            status: CacheState::Available,
            engine: "memcached",
            engine_version: PROTOCOL_VERSION.to_owned(),
            endpoint: self.endpoint.clone(),
            limits: CacheLimits {
                data_storage_bytes: Range {
                    min: self.config.data_storage_min,
                    max: self.config.memory_max,
                },
                ecpu_per_second: Range { min: 0, max: 0 },
                item_size_bytes_max: u64::from(self.config.item_size_max),
                connections_max: self.config.connections_max as u64,
            },
            usage: self.usage(),
        }
    }

    fn ready(&self) -> Result<(), String> {
        // The admin port opens after both of the endpoint's do.
        Ok(())
    }

    fn healthy(&self) -> Result<(), String> {
        self.observer.check_cores()
    }
}

impl Served {
    #[expect(clippy::cast_precision_loss, reason = "a report for people; metrics are exact")]
    fn usage(&self) -> CacheUsage {
        let usage = self.observer.usage();
        CacheUsage {
            items: usage.items,
            data_storage_bytes: usage.data_bytes,
            data_storage_metered_bytes: usage.data_bytes.max(self.config.data_storage_min),
            data_storage_gb_hours: usage.metered_byte_seconds as f64 / (3600.0 * (1 << 30) as f64),
            ecpus: usage.ecpu_units as f64 / 1024.0,
            connections: usage.connections,
        }
    }
}
