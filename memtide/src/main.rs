//! memtide: a self-hosted serverless Memcached in one program.
//!
//! `main` reads the command line and hands over: [`settings`] turns what was given into a
//! configuration, [`serve`] runs it, [`failure`] says what an exit code means.

mod cli;
mod failure;
mod healthcheck;
mod serve;
mod settings;
mod welcome;

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let outcome = match cli::parse() {
        cli::Command::Serve(flags) => settings::load(&flags).and_then(serve::run),
        cli::Command::ConfigCheck(flags) => settings::load(&flags).and_then(serve::check),
        cli::Command::Healthcheck(flags) => {
            settings::gather(&flags).and_then(|given| healthcheck::run(&given))
        }
    };
    outcome.unwrap_or_else(|failure| failure.report())
}
