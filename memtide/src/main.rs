//! memtide: a self-hosted serverless Memcached in one program.
//!
//! `main` reads the command line and hands over: [`settings`] turns what was given into a
//! configuration, [`serve`] runs an endpoint, [`supervisor`] the node processes of `serve`;
//! [`cache`] asks a running one, [`failure`] says what an exit code means.

mod allocator;
mod cache;
mod cli;
mod failure;
mod healthcheck;
mod serve;
mod settings;
mod supervisor;
mod welcome;

use std::process::ExitCode;

use memtide_loadtest::program;
use memtide_service::tls::fleet::{self, FleetTls};

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
        Role::Engine => Err(Failure::Environment(settings::load_engine(flags)?.advertise)),
        Role::Scaler => Err(Failure::Environment(settings::load_scaler(flags)?.common.name)),
        role => serve::run(settings::load_endpoint(role, flags)?),
    }
}

/// Checks what can be checked without running, and shows the configuration.
fn check(role: Role, flags: &Flags) -> Result<ExitCode, Failure> {
    let common = match role {
        Role::Engine => settings::load_engine(flags)?.common,
        Role::Scaler => settings::load_scaler(flags)?.common,
        role => return serve::check(settings::load_endpoint(role, flags)?),
    };
    let me = if role == Role::Engine { fleet::Role::Node } else { fleet::Role::Scaler };
    FleetTls::load(&common.fleet_tls, me).map_err(Failure::environment)?;
    welcome::print_configuration(&common);
    Ok(ExitCode::SUCCESS)
}
