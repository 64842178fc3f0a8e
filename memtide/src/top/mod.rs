//! `memtide top`: watches a running cache in a terminal, by its admin HTTP.
//!
//! [`ask`] looks, [`model`] makes rates of two looks and says what is wrong, [`view`] draws that; [`terminal`] does so
//! again and again. All but the first and the last are pure.

mod ask;
mod kept;
mod keys;
mod latency;
mod metrics;
mod model;
mod page;
mod screen;
mod terminal;
mod text;
mod trouble;
mod view;

use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::time::Duration;
use std::{env, io, thread};

use clap::Args;
use memtide_service::config::{Given, duration};
use ratatui::crossterm::terminal::size;

use self::ask::{Lack, Look, Looker, PART_WAIT};
use self::keys::Controls;
use self::model::Model;
use crate::failure::Failure;
use crate::{cache, welcome};

/// Columns of a text that no terminal shows.
const COLUMNS: u16 = 120;
/// More often than this tells nothing, and costs the cache.
const INTERVAL_MIN: Duration = Duration::from_millis(200);
const INTERVAL_MAX: Duration = Duration::from_secs(3_600);

/// Watch a running cache in the terminal
#[derive(Args, Clone, Debug)]
pub struct Arguments {
    /// Time between two looks, 200ms at least
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = interval)]
    interval: Duration,

    /// Look twice, an interval apart, print that as text and end; needs no terminal
    #[arg(long)]
    once: bool,
}

fn interval(text: &str) -> Result<Duration, String> {
    let interval = duration(text)?;
    let is_right = (INTERVAL_MIN..=INTERVAL_MAX).contains(&interval);
    is_right.then_some(interval).ok_or_else(|| "give 200ms to 1h".to_owned())
}

/// Watches until it is told to end.
///
/// # Errors
/// What is wrong with what was given, or that nobody answers the first time.
pub fn run(arguments: &Arguments, given: &Given) -> Result<ExitCode, Failure> {
    let asked = cache::asked(given)?;
    if !arguments.once && !io::stdout().is_terminal() {
        let line = "top: standard output is no terminal; give --once for a look as text, or use memtide cache";
        return Err(Failure::Configuration(line.to_owned()));
    }
    let address = asked.address.to_string();
    let mut looker = Looker::new(asked, PART_WAIT);
    let first = looker.look();
    check(&first, &address)?;
    let mut model = Model::new(address);
    model.hear(first);
    let mut controls = Controls::new(arguments.interval);
    if arguments.once {
        thread::sleep(arguments.interval);
        model.hear(looker.look());
        let width = size().ok().filter(|_| io::stdout().is_terminal());
        let width = width.map_or(COLUMNS, |(width, _)| width);
        welcome::print(&view::plain(&model.screen(), &mut controls, width));
        return Ok(ExitCode::SUCCESS);
    }
    // See https://no-color.org.
    let has_colours = env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    terminal::run(looker, model, controls, has_colours)
}

/// Later failures are shown; at the first there is nothing yet to be shown beside them.
fn check(first: &Look, address: &str) -> Result<(), Failure> {
    match first.trouble() {
        None | Some(Lack::NotHere) => Ok(()),
        Some(Lack::Refused(why)) => Err(Failure::Configuration(why.clone())),
        Some(Lack::Failed(why)) => Err(Failure::Environment(format!(
            "no answer from {address}: {why}; give --admin of a memtide serve or scaler that runs, and --admin-ca where that has --admin-client-ca"
        ))),
    }
}
