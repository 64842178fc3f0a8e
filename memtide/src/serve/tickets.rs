//! Session tickets that are good at all proxies of a fleet.

use std::sync::Arc;
use std::time::{Duration, Instant};

use memtide_control::TicketSecret;
use memtide_service::tls::Tls;
use tokio::sync::watch;
use tokio::time;

/// Most that are known at once: two of the scaler that is there, and those of scalers before.
const KEPT_MAX: usize = 4;

/// A secret is good for so long after it was last heard of: twice as long as it is the newest.
const KEPT_FOR: Duration = Duration::from_secs(12 * 60 * 60);

/// Between two looks whether one is too old.
const LOOK_INTERVAL: Duration = Duration::from_secs(10 * 60);

/// A secret, and when it was last heard of.
type Known = (TicketSecret, Duration);

/// Has the endpoint take what the scaler says, and go on to know for a while what scalers before it have said:
/// clients come with tickets of then.
pub async fn follow(tls: Arc<Tls>, mut secrets: watch::Receiver<Vec<TicketSecret>>) {
    let began = Instant::now();
    let mut known = Vec::new();
    secrets.mark_changed();
    loop {
        let news = match time::timeout(LOOK_INTERVAL, secrets.changed()).await {
            Ok(Ok(())) => secrets.borrow_and_update().clone(),
            Err(_) => Vec::new(),
            Ok(Err(_)) => return,
        };
        let before = bytes(&known);
        known = with(&known, &news, began.elapsed());
        let now = bytes(&known);
        if now == before {
            continue;
        }
        if let Err(error) = tls.share_tickets(&now) {
            tracing::error!(%error, "sessions do not resume at other proxies");
        }
    }
}

fn bytes(known: &[Known]) -> Vec<[u8; TicketSecret::BYTES]> {
    known.iter().map(|(secret, _)| *secret.bytes()).collect()
}

/// The newest first; none that is too old, and no more than matter.
fn with(known: &[Known], news: &[TicketSecret], now: Duration) -> Vec<Known> {
    let heard = news.iter().map(|secret| (*secret, now));
    let before = known.iter().filter(|(secret, _)| !news.contains(secret)).copied();
    let known = heard.chain(before).filter(|(_, heard)| now.saturating_sub(*heard) < KEPT_FOR);
    known.take(KEPT_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_scaler_says_comes_first_and_what_was_said_before_stays_for_a_while() {
        let mut known = Vec::new();
        let mut check = |hours: u64, news: &[u8], expected: &[u8]| {
            let secret = |byte: &u8| TicketSecret::new([*byte; TicketSecret::BYTES]);
            let news: Vec<_> = news.iter().map(secret).collect();
            known = with(&known, &news, Duration::from_secs(hours * 60 * 60));
            let first: Vec<_> = bytes(&known).iter().map(|bytes| bytes[0]).collect();
            assert_eq!(first, expected, "after {hours} hours");
        };
        check(0, &[1], &[1]);
        check(6, &[2, 1], &[2, 1]);
        check(7, &[7], &[7, 2, 1]);
        check(13, &[8, 7], &[8, 7, 2, 1]);
        check(18, &[], &[8, 7]);
        check(20, &[9, 8], &[9, 8, 7]);
        check(32, &[], &[]);
    }
}
