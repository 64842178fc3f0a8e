//! `memtide scaler`: says who holds what in a fleet, and keeps what its cache may use and did use.

mod etcd;
mod etcd_files;
mod kept;
mod kubernetes;
mod scaling;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use memtide_manager::Settings;
use memtide_scaler::{EtcdSettings, Scaler, ScalerConfig as Config};
use memtide_service::admin::{self, Access, RoleAnswers};
use memtide_service::drain::Drain;
use memtide_service::events::EventKind;
use memtide_service::metrics::{BuildInfo, ProcessSource, Registry};
use memtide_service::systemd::Notifier;
use memtide_service::tls::fleet::{FleetTls, Role};
use memtide_service::tls::{self, Reloader};
use memtide_service::{host, logging};
use memtide_topology::CacheId;

use self::etcd_files::EtcdFiles;
use self::kept::Kept;
use crate::failure::Failure;
use crate::settings::ScalerConfig;
use crate::stock::{Metered, StockMetrics};
use crate::watch;

/// Streams of nodes and proxies, and what a process has open beside.
const DESCRIPTORS: u64 = 16 * 1024;

/// Whoever has lost a scaler tries again within half of it: nodes and proxies of a fleet whose data
/// directory is not this one are heard before a new cache begins.
const FOUNDING_WAIT: Duration = Duration::from_secs(1);

/// Whether what it is to run and to show is there.
///
/// # Errors
/// What is wrong with it.
pub fn check(config: &ScalerConfig) -> Result<(), Failure> {
    scaling::check(config)?;
    etcd::check(config)
}

/// Runs until a signal ends it; nodes and proxies go on with what they know.
pub fn run(config: &ScalerConfig) -> Result<ExitCode, Failure> {
    check(config)?;
    let (runtime, mut signals) = crate::begin()?;
    // Where fewer are allowed, streams beyond them fail and are tried again.
    let _ = host::raise_descriptors(DESCRIPTORS);
    let common = &config.common;
    let listener = crate::one_listener("--port", config.bind.as_slice(), config.port)?;
    let admin_listener = crate::one_listener("--admin", &[common.admin.ip()], common.admin.port())?;
    let admin_address = admin_listener.local_addr().map_err(Failure::environment)?;
    let tls = FleetTls::load(&common.fleet_tls, Role::Scaler).map_err(Failure::environment)?;
    let access = crate::admin_access(common, tls.certificate())?;
    let kept = Kept::open(config)?;
    let (events, limits) = (kept.events.clone(), kept.limits.clone());
    let cache = CacheId::new(&common.name).expect("the name was checked");
    let scaling = scaling::scaling(config, &cache, runtime.handle())?;
    let of_scaler = Config {
        cache,
        replicas: config.replicas,
        data_dir: common.fleet_dir.clone(),
        listener,
        tls: tls.clone(),
        item_size_max: config.item_size_max,
        settings: manager(config),
        limits: limits.follow(),
        scaling,
        events: events.clone(),
    };
    let files = etcd::files(config)?;
    let scaler = start(of_scaler, etcd::settings(config, files.as_ref(), admin_address))?;
    if let Some(shared) = scaler.shared_limits() {
        limits.join(shared.clone());
        runtime.spawn(limits.clone().follow_shared(shared));
    }
    logging::install(common.log_format, &common.log_filter, "scaler");
    for warning in common.warnings.iter().chain(&kept.faults) {
        tracing::warn!("{warning}");
    }
    let keeping = kept.keep_usage(&scaler.handle()).map_err(crate::cannot_start)?;
    let metered = Metered::default();
    runtime.spawn(metered.clone().sample(scaler.handle(), limits));
    runtime.spawn(watch::watch(kept.look(&scaler.handle()), events.clone()));
    let drain = Drain::new();
    let admin = answers(&scaler, (&kept, metered), &access, &drain);
    let renewing = Renewing::begin((tls, access, files), &admin)?;
    let health = Arc::clone(&admin.health);
    let admin = admin::serve_role(admin_listener, admin).map_err(crate::cannot_start)?;
    let port = scaler.address().port();
    tracing::info!(port, admin = %admin_address, "listening");
    events.record(EventKind::Listening, format!("on port {port}"));
    let health = move || health.healthy();
    let notifier = Notifier::started(runtime.handle(), drain.watch(), health);

    let signal = runtime.block_on(signals.next_stop(|| renewing.renew()));
    tracing::info!(signal = signal.name(), "stopping");
    drop(keeping);
    drop(scaler);
    drop((admin, renewing, notifier));
    events.settle();
    Ok(ExitCode::SUCCESS)
}

fn start(config: Config, etcd: Option<EtcdSettings>) -> Result<Scaler, Failure> {
    let started = match etcd {
        None => Scaler::start(config),
        Some(etcd) => Scaler::start_shared(config, etcd),
    };
    started.map_err(Failure::environment)
}

fn manager(config: &ScalerConfig) -> Settings {
    Settings { nodes_min: config.nodes_min, founding_wait: FOUNDING_WAIT, ..Settings::default() }
}

/// What is put in force again when its files change, and on SIGHUP, for as long as this is kept.
struct Renewing {
    tls: FleetTls,
    access: Access,
    etcd: Option<Reloader>,
    _tls: Reloader,
}

impl Renewing {
    /// Shows in the metrics what of it is in force.
    fn begin(
        (tls, access, files): (FleetTls, Access, Option<EtcdFiles>),
        RoleAnswers { metrics, events, .. }: &RoleAnswers,
    ) -> Result<Self, Failure> {
        metrics.register(Arc::new(tls.clone()));
        let etcd = files.map(|files| {
            metrics.register(Arc::new(files.clone()));
            tls::watch(Arc::new(files), events.clone()).map_err(crate::cannot_start)
        });
        let watching = crate::watch_fleet_tls(&tls, events)?;
        Ok(Self { tls, access, etcd: etcd.transpose()?, _tls: watching })
    }

    fn renew(&self) {
        crate::reload_fleet_tls(&self.tls);
        crate::reload_admin(&self.access);
        if let Some(etcd) = &self.etcd {
            etcd.reload();
        }
    }
}

fn answers(
    scaler: &Scaler,
    (kept, metered): (&Kept, Metered),
    access: &Access,
    drain: &Drain,
) -> RoleAnswers {
    let metrics = Registry::new();
    metrics.register(Arc::new(BuildInfo { version: env!("CARGO_PKG_VERSION") }));
    metrics.register(Arc::new(ProcessSource::new()));
    metrics.register(scaler.metrics());
    metrics.register(Arc::new(StockMetrics { scaler: scaler.handle(), metered }));
    metrics.register(Arc::new(kept.usage.clone()));
    let routes = scaler.routes().merge(kept.limits.routes()).merge(kept.usage.routes());
    let handle = scaler.handle();
    RoleAnswers {
        metrics,
        health: Arc::new(scaler.handle()),
        events: kept.events.clone(),
        drain: drain.watch(),
        access: access.clone(),
        routes: routes.gated(move || handle.standby()),
    }
}
