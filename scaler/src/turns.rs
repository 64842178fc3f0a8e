//! A scaler that is one of several: it leads, or stands by until it may.
//!
//! ```text
//! stands by: all streams end with who leads --nobody leads, and a campaign is won--> leads: Loop
//!      ^---------------------another one leads; all that is not stored is dropped-------+
//! ```

use std::sync::Arc;

use memtide_control::{Closed, Incoming};
use memtide_service::events::EventKind;
use tokio::sync::oneshot;
use tokio::time;

use crate::documents::Documents;
use crate::ends::Ends;
use crate::etcd::{Campaign, Shared};
use crate::handle::{Ask, OperateError};
use crate::limits::{ETCD_PAUSE, LEAD_PAUSE};
use crate::tenure::Begin;
use crate::{ScalerError, TopologyStore};

/// Takes turns until the scaler is stopped, and makes way then.
pub async fn take_turns(
    shared: Shared,
    (begin, ends): (Begin, Ends),
    stopped: oneshot::Receiver<()>,
) {
    tokio::select! {
        () = shared.follow() => {}
        () = turns(&shared, &begin, ends) => {}
        // The sender is only ever dropped.
        _ = stopped => {}
    }
    shared.resign().await;
}

async fn turns(shared: &Shared, begin: &Begin, mut ends: Ends) {
    loop {
        tokio::select! {
            () = lead_once_free(shared) => {}
            () = stand_by(shared, &mut ends) => return,
        }
        let stores: (Arc<dyn TopologyStore>, Arc<dyn Documents>) =
            (Arc::new(shared.clone()), Arc::new(shared.clone()));
        let tenure = match begin.tenure(stores, &ends.explained).await {
            Ok(tenure) => tenure,
            Err(error) => {
                cannot_lead(shared, &ends, &error);
                shared.resign().await;
                time::sleep(LEAD_PAUSE).await;
                continue;
            }
        };
        shared.cannot_lead(None);
        let epoch = tenure.topology.epoch();
        tracing::info!(%epoch, "this scaler leads");
        ends.events.record(EventKind::ScalerLeads, format!("from epoch {epoch} on"));
        let mut run = tenure.begin(ends);
        shared.works(true);
        let other = tokio::select! {
            () = run.run() => return,
            other = shared.hold() => other,
        };
        shared.works(false);
        // What was not stored is nobody's now. No answer is lost: whoever waits is told.
        let why = shared.stands_by();
        ends = run.end(Closed { why: why.clone(), leader: other.map(|leader| leader.address) });
        tracing::warn!("this scaler led until now: {why}");
        ends.events.record(EventKind::ScalerStandsBy, why);
        shared.resign().await;
    }
}

fn cannot_lead(shared: &Shared, ends: &Ends, error: &ScalerError) {
    let why = format!("this scaler cannot lead: {error}");
    if shared.cannot_lead(Some(why.clone())) {
        tracing::error!("{why}");
        ends.events.record(EventKind::StoreFailed, why.clone());
    }
    ends.closed.send_replace(Some(Closed { why, leader: None }));
}

/// Ready once this scaler leads.
async fn lead_once_free(shared: &Shared) {
    let mut seen = shared.seen();
    loop {
        let is_free = {
            let seen = seen.borrow_and_update();
            let leader = seen.leader.as_ref().map(|(leader, _)| leader);
            // Its own is left from a campaign whose answer was lost.
            seen.is_read && seen.away.is_none() && leader.is_none_or(|it| it == shared.me())
        };
        if is_free {
            match shared.campaign(None).await {
                Ok(Campaign::Won) => return,
                Ok(Campaign::Lost) => {}
                Err(error) => tracing::debug!("a campaign failed: {error}"),
            }
            time::sleep(ETCD_PAUSE).await;
        } else if seen.changed().await.is_err() {
            return std::future::pending().await;
        }
    }
}

/// Tells everybody who leads, for as long as somebody has a handle.
async fn stand_by(shared: &Shared, ends: &mut Ends) {
    let mut seen = shared.seen();
    loop {
        let leader = seen.borrow_and_update().leader.clone().map(|(leader, _)| leader);
        let leader = leader.filter(|leader| leader != shared.me());
        let closed = Closed { why: shared.stands_by(), leader: leader.map(|it| it.address) };
        ends.closed.send_replace(Some(closed.clone()));
        tokio::select! {
            _ = seen.changed() => {}
            came = ends.incoming.recv() => match came {
                None => return,
                Some(Incoming::NodeCame { session, .. }) => session.turn_away(closed.why),
                // Whose stream ends, and who hears of it from the one that leads.
                Some(_) => {}
            },
            asked = ends.asks.recv() => match asked {
                None => return,
                Some(Ask::Operate(_, reply)) => {
                    let _ = reply.send(Err(OperateError::Behind(closed.why)));
                }
                Some(_) => {}
            },
        }
    }
}
