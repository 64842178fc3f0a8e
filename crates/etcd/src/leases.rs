use std::time::Duration;

use tonic::{Code, Status};

use crate::schema::{LeaseGrantRequest, LeaseKeepAliveRequest, LeaseRevokeRequest};
use crate::{Client, EtcdError};

/// What keys can be kept under, for as long as it is kept alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// Its name.
    pub id: i64,
    /// For so long from when it was asked for.
    pub term: Duration,
}

impl Client {
    /// A lease by this name, which is to be random and above 0, for so many seconds.
    ///
    /// # Errors
    /// Where etcd does not answer within this time, or refuses.
    pub async fn grant(&self, id: i64, seconds: i64, within: Duration) -> Result<Lease, EtcdError> {
        let asked = LeaseGrantRequest { ttl: seconds, id };
        let granted = self.call(within, |channel| async move {
            match channel.leases().lease_grant(channel.request(asked)).await {
                Ok(answer) => Ok(answer.into_inner().ttl),
                // An answer before was lost.
                Err(status) if is_there(&status) => Ok(seconds),
                Err(status) => Err(status),
            }
        });
        Ok(Lease { id, term: term(granted.await?) })
    }

    /// Makes it last its term from now on.
    ///
    /// # Errors
    /// Where it is over, and as of [`Self::grant`].
    pub async fn keep_alive(&self, id: i64, within: Duration) -> Result<Lease, EtcdError> {
        let kept = self.call(within, |channel| async move {
            let asked = tokio_stream::once(LeaseKeepAliveRequest { id });
            let answers = channel.leases().lease_keep_alive(channel.request(asked)).await;
            let answer = answers?.into_inner().message().await?;
            answer.map(|answer| answer.ttl).ok_or_else(|| Status::unavailable("no answer"))
        });
        match kept.await? {
            ..=0 => Err(EtcdError::LeaseOver),
            seconds => Ok(Lease { id, term: term(seconds) }),
        }
    }

    /// Ends it, and removes the keys that are kept under it.
    ///
    /// # Errors
    /// As of [`Self::grant`]; none where it was over.
    pub async fn revoke(&self, id: i64, within: Duration) -> Result<(), EtcdError> {
        let asked = LeaseRevokeRequest { id };
        let revoked = self.call(within, |channel| async move {
            channel.leases().lease_revoke(channel.request(asked)).await
        });
        match revoked.await {
            Ok(_) | Err(EtcdError::LeaseOver) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

fn is_there(status: &Status) -> bool {
    status.code() == Code::FailedPrecondition && status.message().contains("lease already exists")
}

fn term(seconds: i64) -> Duration {
    Duration::from_secs(u64::try_from(seconds).unwrap_or(0))
}
