//! The terminal: taken, drawn on until the end is asked for, and given back however that comes.

use std::io;
use std::process::ExitCode;
use std::sync::mpsc::{self, Receiver, Sender, TryRecvError};
use std::thread;
use std::time::{Duration, Instant};

use memtide_service::signals::{Request, Signals};
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyEventKind};

use super::ask::{Look, Looker};
use super::keys::{Controls, Step};
use super::model::Model;
use super::view;
use crate::failure::Failure;

/// Longest time until a look, a signal or an end is noticed.
const TICK: Duration = Duration::from_millis(100);
/// 128 and the number of SIGHUP.
const HUNG_UP: u8 = 129;

/// Shows what `looker` sees until a key or a signal ends it.
///
/// # Errors
/// When the terminal cannot be used.
pub fn run(
    looker: Looker,
    mut model: Model,
    mut controls: Controls,
    has_colours: bool,
) -> Result<ExitCode, Failure> {
    let mut watch = Watch { signals: signals()?, looking: Looking::start(looker), has_colours };
    let unusable = |error: io::Error| {
        Failure::Environment(format!(
            "top: the terminal cannot be used: {error}; give --once for a look as text"
        ))
    };
    let given_back = GivenBack;
    // It has panics give the terminal back before they are told.
    let terminal = ratatui::try_init().map_err(unusable)?;
    let ended = watch.run(terminal, &mut model, &mut controls);
    drop(given_back);
    ended.map_err(unusable)
}

/// Gives the terminal back as it was.
struct GivenBack;

impl Drop for GivenBack {
    fn drop(&mut self) {
        // Where that fails there is no terminal any more.
        let _ = ratatui::try_restore();
    }
}

struct Watch {
    /// The exit code of the one that came.
    signals: Receiver<u8>,
    looking: Looking,
    has_colours: bool,
}

impl Watch {
    fn run(
        &mut self,
        mut terminal: DefaultTerminal,
        model: &mut Model,
        controls: &mut Controls,
    ) -> io::Result<ExitCode> {
        let mut screen = model.screen();
        let mut looked = Instant::now();
        let mut is_drawn = false;
        loop {
            if !is_drawn {
                terminal.draw(|frame| {
                    view::draw(&screen, controls, self.has_colours, frame.buffer_mut());
                })?;
            }
            let nodes = screen.nodes.body.as_ref().map_or(0, Vec::len);
            let step = read_keys(controls, nodes)?;
            if step == Some(Step::Quit) {
                return Ok(ExitCode::SUCCESS);
            }
            is_drawn = step.is_none();
            if let Ok(code) = self.signals.try_recv() {
                return Ok(ExitCode::from(code));
            }
            if let Some(look) = self.looking.receive()? {
                model.hear(look);
                screen = model.screen();
                is_drawn = false;
            }
            if !controls.is_paused && looked.elapsed() >= controls.interval() {
                looked = Instant::now();
                self.looking.order();
            }
        }
    }
}

/// Waits a moment for the first key, and does what all that have come say; `None` where nothing has come, not even
/// another size of the terminal.
fn read_keys(controls: &mut Controls, nodes: usize) -> io::Result<Option<Step>> {
    let (mut wait, mut step) = (TICK, None);
    while step != Some(Step::Quit) && has_event(wait)? {
        wait = Duration::ZERO;
        step = Some(match event::read()? {
            Event::Key(key) if key.kind != KeyEventKind::Release => controls.press(key, nodes),
            _ => Step::GoOn,
        });
    }
    Ok(step)
}

fn has_event(wait: Duration) -> io::Result<bool> {
    match event::poll(wait) {
        // A signal came; it is looked at next.
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(false),
        polled => polled,
    }
}

/// Looks on a thread of their own: keys go on while one waits for an answer.
struct Looking {
    orders: Sender<()>,
    looks: Receiver<Look>,
    is_under_way: bool,
}

impl Looking {
    fn start(mut looker: Looker) -> Self {
        let (orders, ordered) = mpsc::channel::<()>();
        let (told, looks) = mpsc::channel();
        thread::spawn(move || while ordered.recv().is_ok() && told.send(looker.look()).is_ok() {});
        Self { orders, looks, is_under_way: false }
    }

    /// One at a time: where it takes longer than the interval, the next comes later.
    fn order(&mut self) {
        if !self.is_under_way {
            self.is_under_way = self.orders.send(()).is_ok();
        }
    }

    fn receive(&mut self) -> io::Result<Option<Look>> {
        match self.looks.try_recv() {
            Ok(look) => {
                self.is_under_way = false;
                Ok(Some(look))
            }
            Err(TryRecvError::Empty) => Ok(None),
            Err(TryRecvError::Disconnected) => Err(io::Error::other("nothing looks any more")),
        }
    }
}

fn signals() -> Result<Receiver<u8>, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(crate::cannot_start)?;
    let mut signals = {
        let _in_runtime = runtime.enter();
        Signals::new().map_err(crate::cannot_start)?
    };
    let (told, codes) = mpsc::channel();
    thread::spawn(move || {
        let code = match runtime.block_on(signals.next()) {
            Request::Stop(signal) => signal.exit_code(),
            Request::Reload => HUNG_UP,
        };
        // It ends by itself, perhaps.
        let _ = told.send(code);
    });
    Ok(codes)
}
