//! What proxies make the keys of their session tickets from, so that sessions resume at each of them.

use std::io;

use memtide_control::TicketSecret;
use rustls::crypto::aws_lc_rs;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::{self, MissedTickBehavior};

use crate::limits::TICKET_SECRET_INTERVAL;

/// Random ones, the newest first: one that was replaced is known for as long again. Another scaler makes its own,
/// and proxies go on to know those that they have heard of.
pub fn secrets(runtime: &Handle) -> io::Result<watch::Receiver<Vec<TicketSecret>>> {
    let (told, secrets) = watch::channel(vec![random()?]);
    runtime.spawn(async move {
        let mut interval = time::interval(TICKET_SECRET_INTERVAL);
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        interval.tick().await;
        loop {
            interval.tick().await;
            if told.is_closed() {
                return;
            }
            match random() {
                Ok(secret) => told.send_modify(|secrets| replace(secrets, secret)),
                Err(error) => tracing::error!(%error, "session tickets keep their keys"),
            }
        }
    });
    Ok(secrets)
}

fn replace(secrets: &mut Vec<TicketSecret>, next: TicketSecret) {
    secrets.insert(0, next);
    secrets.truncate(2);
}

fn random() -> io::Result<TicketSecret> {
    let mut bytes = [0; TicketSecret::BYTES];
    let filled = aws_lc_rs::default_provider().secure_random.fill(&mut bytes);
    filled.map_err(|_| io::Error::other("the system gives no random bytes"))?;
    Ok(TicketSecret::new(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_known_for_twice_as_long_as_it_is_the_newest() {
        let mut secrets = vec![random().unwrap()];
        for _ in 0..3 {
            let (before, next) = (secrets[0], random().unwrap());
            assert_ne!(before, next);
            replace(&mut secrets, next);
            assert_eq!(secrets, [next, before]);
        }
        assert_eq!(format!("{secrets:?}"), "[TicketSecret(..), TicketSecret(..)]");
    }
}
