//! Who does what the executor wants.

use std::sync::Arc;
use std::time::{Duration, Instant};

use memtide_executor::{Call, CallId, Effect, Event};
use memtide_manager::Operation;
use memtide_service::events::{EventKind, Events};
use tokio::sync::oneshot;
use tokio::time;

use super::{Answer, Driver, Explained, LOOK_INTERVAL, record};
use crate::run::Loop;
use crate::{Order, Provisioned};

/// A call that takes longer has failed, where the provisioner has no bound of its own.
const CALL_TIME_MAX: Duration = Duration::from_secs(120);

/// The manager stores what it has accepted in this time, or it is asked again.
const OPERATE_TIME_MAX: Duration = Duration::from_secs(10);

impl Loop {
    /// Looks at the fleet where it is time, and begins what is to be done.
    pub fn scale(&mut self, now: Duration) {
        let is_idle = self.behind.is_some() || !self.ends.lead.is_certain();
        let Some(mut driver) = self.scaling.take_if(|_| !is_idle) else { return };
        let interval = interval(self.fill.look_interval(LOOK_INTERVAL), driver.took);
        let began = Instant::now();
        if driver.looked.is_none_or(|looked| looked + interval <= now)
            && let Some(sight) = self.sight(now, &mut driver)
        {
            driver.looked = Some(now);
            driver.executor.look(Arc::new(sight));
            self.carry_out(now, &mut driver);
            driver.took = began.elapsed();
        }
        self.scaling = Some(driver);
    }

    /// An answer for the executor.
    pub fn scaling_answered(&mut self, now: Duration, answer: Answer) {
        // One that stands still goes on with nothing.
        let is_idle = self.behind.is_some();
        let Some(mut driver) = self.scaling.take_if(|_| !is_idle) else { return };
        match answer {
            Answer::Stored(version, result) => driver.executor.stored(now, version, result),
            Answer::Call(call, result) => driver.executor.answered(now, call, result),
        }
        self.carry_out(now, &mut driver);
        self.scaling = Some(driver);
    }

    /// Does what the executor wants, and tells what has come of it.
    fn carry_out(&mut self, now: Duration, driver: &mut Driver) {
        while let Some(effect) = driver.executor.poll() {
            match effect {
                Effect::Event(event) => self.scaling_happened(&event),
                Effect::Store { version, record } => {
                    let (documents, answers) =
                        (Arc::clone(&driver.documents), driver.answers.clone());
                    driver.spawn(async move {
                        let stored = record::store(&*documents, &record).await;
                        let result = stored.map_err(|error| error.to_string());
                        // A loop that has ended needs no answer.
                        let _ = answers.send(Answer::Stored(version, result));
                    });
                }
                Effect::Call(id, Call::Operate(operation)) => {
                    self.operate_for(now, driver, (id, operation));
                }
                Effect::Call(id, Call::Take { instance, memory }) => {
                    let result = self.take_spare(now, &instance, memory);
                    driver.executor.answered(now, id, result);
                }
                Effect::Call(id, Call::Release { instance }) => {
                    self.release(&instance);
                    driver.executor.answered(now, id, Ok(()));
                }
                Effect::Call(id, call) => driver.provision(id, call),
            }
        }
        let explained = Explained::of(&driver.executor, now, self.spares.len());
        driver.explained.send_replace(Some(Arc::new(explained)));
    }

    fn operate_for(
        &mut self,
        now: Duration,
        driver: &mut Driver,
        (id, operation): (CallId, Operation),
    ) {
        let (reply, replied) = oneshot::channel();
        self.operate(now, operation, reply);
        let answers = driver.answers.clone();
        driver.spawn(async move {
            let result = match time::timeout(OPERATE_TIME_MAX, replied).await {
                Err(_) => Err("it was not stored in time".to_owned()),
                Ok(Err(_)) => Err("the scaler has stopped".to_owned()),
                Ok(Ok(answer)) => answer.map(|_| ()).map_err(|error| error.to_string()),
            };
            let _ = answers.send(Answer::Call(id, result));
        });
    }

    fn take_spare(&mut self, now: Duration, instance: &str, memory: u64) -> Result<(), String> {
        let (session, mut registration) =
            self.spares.take(instance).ok_or("no such spare waits any more")?;
        registration.memory_max = match registration.capacity.memory {
            0 => registration.memory_max,
            most => memory.min(most),
        };
        self.register(now, session, registration);
        Ok(())
    }

    /// What was taken is not to become a node. Where its process still waits, it is turned away.
    fn release(&mut self, instance: &str) {
        if let Some((session, _)) = self.spares.take(instance) {
            self.sessions.turn_away(session, &super::not_wanted(instance));
        }
    }

    fn scaling_happened(&self, event: &Event) {
        tell(event, &self.ends.events);
    }
}

/// From one look to the next: what it is to be, but four fifths of the time are for failover, leases and grants.
fn interval(wanted: Duration, took: Duration) -> Duration {
    wanted.max(took.saturating_mul(5))
}

/// Logs and records what an executor tells.
pub fn tell(event: &Event, events: &Events) {
    let kind = match event {
        Event::Decided(_) | Event::Absent { .. } => EventKind::ScalingDecided,
        Event::Carried { .. } => EventKind::ScalingEnded,
        Event::Noted(_) => EventKind::ScalingShort,
        Event::Failed { .. }
        | Event::EndFailed { .. }
        | Event::SpareFailed { .. }
        | Event::StoreFailed(_) => EventKind::ScalingFailed,
    };
    if event.is_bad() {
        tracing::warn!("{event}");
    } else {
        tracing::info!("{event}");
    }
    events.record(kind, event.to_string());
}

impl Driver {
    /// A task that ends with the driver: what another scaler is to decide is not done here any more.
    fn spawn(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        while self.tasks.try_join_next().is_some() {}
        self.tasks.spawn(task);
    }

    /// Has the provisioner do something, in a task of its own.
    fn provision(&mut self, id: CallId, call: Call) {
        let answers = self.answers.clone();
        let Some(done) = self.provisioner.as_ref().and_then(|it| begin(&**it, call)) else {
            let why = "there is no provisioner; give --provision".to_owned();
            let _ = answers.send(Answer::Call(id, Err(why)));
            return;
        };
        let time_max = self.provisioner.as_ref().map_or(CALL_TIME_MAX, |it| it.call_time_max());
        self.spawn(async move {
            let result = match time::timeout(time_max, done).await {
                Err(_) => Err(format!("no answer after {} s", time_max.as_secs())),
                Ok(result) => result.map_err(|error| error.to_string()),
            };
            let _ = answers.send(Answer::Call(id, result));
        });
    }
}

fn begin(provisioner: &dyn crate::Provisioner, call: Call) -> Option<Provisioned> {
    Some(match call {
        Call::Start { instance, kind, zone, memory, is_spare } => {
            provisioner.start(Order { instance, kind, zone, memory, is_spare })
        }
        Call::Resize { instance, memory } => provisioner.resize(instance, memory),
        Call::End { instance } => provisioner.end(instance),
        Call::Operate(_) | Call::Take { .. } | Call::Release { .. } => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_that_take_long_leave_time_for_the_rest() {
        let check = |wanted, took, expected| {
            let millis = Duration::from_millis;
            assert_eq!(interval(millis(wanted), millis(took)), millis(expected), "{took} ms");
        };
        check(1_000, 0, 1_000);
        check(100, 20, 100);
        check(100, 120, 600);
        check(1_000, 120, 1_000);
        check(1_000, 400, 2_000);
    }
}
