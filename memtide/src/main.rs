//! memtide: a self-hosted serverless Memcached in one program.
//!
//! `main` reads the command line and hands over: [`settings`] turns what was given into a
//! configuration, [`serve`] runs it, [`failure`] says what an exit code means.

mod allocator;
mod cli;
mod failure;
mod healthcheck;
mod serve;
mod settings;
mod welcome;

use std::process::ExitCode;

use memtide_loadtest::program;

use crate::cli::Command;
use crate::failure::Failure;

fn main() -> ExitCode {
    cli::parse(std::env::args_os()).and_then(run).unwrap_or_else(Failure::report)
}

fn run(command: Command) -> Result<ExitCode, Failure> {
    match command {
        Command::Serve(flags) => serve::run(settings::load(&flags)?),
        Command::ConfigCheck(flags) => serve::check(settings::load(&flags)?),
        Command::Healthcheck { flags, is_of_readiness } => {
            healthcheck::run(&settings::gather(&flags)?, is_of_readiness)
        }
        Command::LoadTest(arguments) => Ok(program::run(&arguments)?),
        Command::Print(text) => {
            welcome::print(&text);
            Ok(ExitCode::SUCCESS)
        }
    }
}
