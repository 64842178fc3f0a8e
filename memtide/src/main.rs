//! memtide: a self-hosted serverless Memcached in one program.
//!
//! `main` reads the command line and hands over: [`settings`] turns what was given into a
//! configuration, [`serve`] runs an endpoint, [`engine`] a node, [`scaler`] the scaler, [`supervisor`] the node processes of `serve`;
//! [`limits`] keeps what a cache may use, [`cache`] asks a running one, [`top`] watches it, [`failure`] says what an exit code means.

mod admin_tls;
mod allocator;
mod cache;
mod cli;
mod engine;
mod failure;
mod healthcheck;
mod limits;
mod records;
mod scaler;
mod serve;
mod settings;
mod stock;
mod supervisor;
mod top;
mod usage;
mod watch;
mod welcome;

use std::net::IpAddr;
use std::process::ExitCode;
use std::sync::Arc;

use memtide_loadtest::program;
use memtide_service::admin::Access;
use memtide_service::events::Events;
use memtide_service::listen::listen;
use memtide_service::signals::Signals;
use memtide_service::tls::fleet::{self, FleetTls};
use memtide_service::tls::{self, AdminTls, Reloader};
use rustls::server::ResolvesServerCert;

use crate::cli::{Command, Flags};
use crate::failure::Failure;
use crate::settings::Role;

fn main() -> ExitCode {
    cli::parse(std::env::args_os()).and_then(run).unwrap_or_else(Failure::report)
}

fn run(command: Command) -> Result<ExitCode, Failure> {
    match command {
        Command::Run(role, flags) => run_role(role, &flags),
        Command::ConfigCheck(role, flags) => check(role, &flags),
        Command::Healthcheck { role, flags, is_of_readiness } => {
            healthcheck::run(&settings::gather(role, &flags)?, is_of_readiness)
        }
        Command::Cache(arguments, flags) => {
            cache::run(&arguments, &settings::gather(Role::Cache, &flags)?)
        }
        Command::Top(arguments, flags) => {
            top::run(&arguments, &settings::gather(Role::Cache, &flags)?)
        }
        Command::TlsInit(dir) => {
            FleetTls::make(&dir).map_err(Failure::environment)?;
            welcome::print(&welcome::of_fleet_tls(&dir));
            Ok(ExitCode::SUCCESS)
        }
        Command::LoadTest(arguments) => Ok(program::run(&arguments)?),
        Command::Print(text) => {
            welcome::print(&text);
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn run_role(role: Role, flags: &Flags) -> Result<ExitCode, Failure> {
    match role {
        Role::Engine => engine::run(&settings::load_engine(flags)?),
        Role::Scaler => scaler::run(&settings::load_scaler(flags)?),
        role => serve::run(settings::load_endpoint(role, flags)?),
    }
}

/// Checks what can be checked without running, and shows the configuration.
fn check(role: Role, flags: &Flags) -> Result<ExitCode, Failure> {
    let common = match role {
        Role::Engine => settings::load_engine(flags)?.common,
        Role::Scaler => {
            let config = settings::load_scaler(flags)?;
            scaler::check(&config)?;
            let directory = records::Records::of_keeper(&config.common, role);
            records::Records::check(&config.common, role)?;
            limits::KeptLimits::check(&directory, &config.limits)?;
            config.common
        }
        role => {
            let config = settings::load_endpoint(role, flags)?;
            records::Records::check(&config.common, role)?;
            return serve::check(config);
        }
    };
    let me = if role == Role::Engine { fleet::Role::Node } else { fleet::Role::Scaler };
    FleetTls::load(&common.fleet_tls, me).map_err(Failure::environment)?;
    welcome::print_configuration(&common);
    Ok(ExitCode::SUCCESS)
}

/// What each role begins with: signals come first, as one that comes during the start must count too.
fn begin() -> Result<(tokio::runtime::Runtime, Signals), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(cannot_start)?;
    let signals = {
        let _in_runtime = runtime.enter();
        Signals::new().map_err(cannot_start)?
    };
    Ok((runtime, signals))
}

/// Reads the certificates of the fleet again; connections that stand go on with what they have.
fn reload_fleet_tls(tls: &FleetTls) {
    match tls.reload() {
        Ok(()) => tracing::info!("read the certificates of the fleet again"),
        Err(error) => tracing::error!(%error, "the certificates of the fleet stay as they are"),
    }
}

/// Puts them in force by itself when their files change, for as long as that is kept.
fn watch_fleet_tls(tls: &FleetTls, events: &Events) -> Result<Reloader, Failure> {
    tls::watch(Arc::new(tls.clone()), events.clone()).map_err(cannot_start)
}

/// Who may ask the admin HTTP, which shows this certificate where it speaks TLS.
fn admin_access(
    common: &settings::Common,
    certificate: Arc<dyn ResolvesServerCert>,
) -> Result<Access, Failure> {
    let access = match &common.admin_token {
        None => Access::open(),
        Some(file) => Access::by_token(file).map_err(Failure::environment)?,
    };
    let access = access.of_role(common.role);
    match &common.admin_client_ca {
        None => Ok(access),
        Some(file) => {
            let tls = AdminTls::open(file, certificate).map_err(Failure::environment)?;
            Ok(access.or_by(tls))
        }
    }
}

/// Reads again who may ask the admin HTTP.
fn reload_admin(access: &Access) {
    if let Err(error) = access.reload() {
        tracing::error!(error, "who may ask the admin HTTP stays as it was");
    }
}

/// A number that the operating system made up.
fn random() -> u64 {
    // The key of a hash map of the standard library is one.
    use std::hash::{BuildHasher as _, RandomState};
    RandomState::new().hash_one(0_u8)
}

/// Listens on one address, or on all interfaces where there is none.
fn one_listener(
    flag: &'static str,
    ips: &[IpAddr],
    port: u16,
) -> Result<std::net::TcpListener, Failure> {
    let listeners = listen(flag, ips, port).map_err(Failure::environment)?;
    Ok(listeners.into_iter().next().expect("listening gives at least one socket"))
}

/// Threads and event queues are all that is taken once the sockets are there.
#[expect(clippy::needless_pass_by_value, reason = "so that it fits map_err")]
fn cannot_start(error: std::io::Error) -> Failure {
    Failure::Environment(format!(
        "failed to start a thread or its event queue: {error}; raise the limits of this user or \
         container (ulimit -u and -n, TasksMax=, pids.max) or give fewer --threads"
    ))
}
