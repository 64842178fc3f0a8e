use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::time::Duration;

use bytes::Bytes;
use memtide_etcd::{Compare, EtcdError, Lease, Op, Transacted};
use tokio::time::{self, MissedTickBehavior};

use super::{Leader, Shared};
use crate::limits::{ETCD_CALL_TIME_MAX, ETCD_RESIGN_TIME_MAX, LEASE_KEPT_INTERVAL, LEASE_SECONDS};

/// What became of a try to lead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Campaign {
    /// This scaler leads.
    Won,
    /// Somebody else does, or did.
    Lost,
}

impl Shared {
    /// Tries once to lead: where nobody does, and with `after`, the fence of an earlier time, nobody else did since.
    ///
    /// # Errors
    /// Where etcd does not answer. It may be known later who leads.
    pub async fn campaign(&self, after: Option<i64>) -> Result<Campaign, EtcdError> {
        let asked = crate::now();
        let lease = self.0.client.grant(random_name(), LEASE_SECONDS, ETCD_CALL_TIME_MAX).await?;
        self.campaign_by((asked, &lease), after).await
    }

    /// The same by a lease that was asked for at this time.
    pub(super) async fn campaign_by(
        &self,
        (asked, lease): (Duration, &Lease),
        after: Option<i64>,
    ) -> Result<Campaign, EtcdError> {
        let (client, keys, within) = (&self.0.client, &self.0.keys, ETCD_CALL_TIME_MAX);
        let mut compares = vec![Compare::Created(keys.leader(), 0)];
        compares.extend(after.map(|fence| Compare::Changed(keys.term(), fence)));
        let me = Bytes::from(serde_json::to_vec(&self.0.me).expect("three texts can be encoded"));
        let ops = [
            Op::Put(keys.leader(), me.clone(), Some(lease.id)),
            Op::Put(keys.term(), me.clone(), None),
        ];
        let done = client.transact((&compares, &ops), &[&keys.leader()], within).await?;
        let kept = match done {
            Transacted::Done(revision) => {
                self.0.fence.take(revision, asked, lease);
                return Ok(Campaign::Won);
            }
            Transacted::Not(kept) => kept.into_iter().next().filter(|kept| kept.value == me),
        };
        // By the try before this one, whose answer was lost.
        if let Some(kept) = kept.as_ref().filter(|kept| kept.lease == lease.id) {
            self.0.fence.take(kept.created, asked, lease);
            return Ok(Campaign::Won);
        }
        // What was won by an earlier campaign is given up: nobody kept that lease alive.
        let won_before = kept.map(|kept| kept.lease);
        for lease in won_before.into_iter().chain([lease.id]) {
            client.revoke(lease, within).await?;
        }
        Ok(Campaign::Lost)
    }

    /// Leads on, until somebody else does; for ever, where nobody can.
    pub async fn hold(&self) -> Option<Leader> {
        let mut seen = self.0.seen.subscribe();
        let mut due = time::interval(LEASE_KEPT_INTERVAL);
        due.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let fence = self.0.fence.created()?;
            let other = seen.borrow_and_update().leader.clone();
            if let Some((leader, created)) = other
                && created > fence
                && leader != self.0.me
            {
                return Some(leader);
            }
            tokio::select! {
                _ = due.tick() => {}
                Ok(()) = seen.changed() => continue,
            }
            let kept = self.keep(fence).await;
            self.look();
            if kept == Some(Campaign::Lost) {
                return self.0.seen.borrow().leader.clone().map(|(leader, _)| leader);
            }
        }
    }

    /// Keeps the lease alive, or leads again by another one.
    pub(super) async fn keep(&self, fence: i64) -> Option<Campaign> {
        let lease = self.0.fence.lease()?;
        let asked = crate::now();
        match self.0.client.keep_alive(lease, ETCD_CALL_TIME_MAX).await {
            Ok(lease) => {
                self.0.fence.extend(asked, &lease);
                return Some(Campaign::Won);
            }
            Err(EtcdError::LeaseOver) => {}
            Err(error) => {
                tracing::debug!("the lease was not kept alive: {error}");
                return None;
            }
        }
        let campaign = self.campaign(Some(fence)).await.ok()?;
        if campaign == Campaign::Won {
            tracing::info!("the lease was over, and nobody else has led since: leading on");
        }
        Some(campaign)
    }

    /// Leads no more. Another may at once, where etcd hears of it; otherwise once the lease is over.
    pub async fn resign(&self) {
        self.0.in_doubt.send_replace(false);
        if let Some(lease) = self.0.fence.leave() {
            let revoked = self.0.client.revoke(lease, ETCD_RESIGN_TIME_MAX).await;
            if let Err(error) = revoked {
                tracing::debug!("the lease was not given back: {error}");
            }
        }
    }
}

/// Above 0, and no other's.
fn random_name() -> i64 {
    i64::try_from(RandomState::new().hash_one(5_u8) >> 1).unwrap_or(1).max(1)
}
