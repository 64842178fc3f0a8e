//! Session tickets that are good at all proxies of a fleet.

use std::sync::Arc;

use memtide_control::TicketSecret;
use memtide_service::tls::Tls;
use tokio::sync::watch;

/// Those of scalers before, beside the two of the one that is there.
const KEPT_MAX: usize = 4;

/// Has the endpoint take what the scaler says, and go on to know what scalers before it have said: clients
/// come with tickets of then.
pub async fn follow(tls: Arc<Tls>, mut secrets: watch::Receiver<Vec<TicketSecret>>) {
    let mut known = Vec::new();
    secrets.mark_changed();
    while secrets.changed().await.is_ok() {
        known = with(&known, &secrets.borrow_and_update());
        let bytes: Vec<_> = known.iter().map(|secret: &TicketSecret| *secret.bytes()).collect();
        if let Err(error) = tls.share_tickets(&bytes) {
            tracing::error!(%error, "sessions do not resume at other proxies");
        }
    }
}

/// The newest first; no more than matter.
fn with(known: &[TicketSecret], news: &[TicketSecret]) -> Vec<TicketSecret> {
    let before = known.iter().filter(|secret| !news.contains(secret));
    news.iter().chain(before).copied().take(KEPT_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_scaler_says_comes_first_and_what_was_said_before_stays_for_a_while() {
        let of = |bytes: &[u8]| -> Vec<_> {
            bytes.iter().map(|byte| TicketSecret::new([*byte; TicketSecret::BYTES])).collect()
        };
        assert_eq!(with(&of(&[]), &of(&[1])), of(&[1]));
        assert_eq!(with(&of(&[1]), &of(&[2, 1])), of(&[2, 1]));
        assert_eq!(with(&of(&[2, 1]), &of(&[7])), of(&[7, 2, 1]), "another scaler");
        assert_eq!(with(&of(&[7, 2, 1]), &of(&[8, 7])), of(&[8, 7, 2, 1]));
        assert_eq!(with(&of(&[8, 7, 2, 1]), &of(&[9, 8])), of(&[9, 8, 7, 2]));
    }
}
