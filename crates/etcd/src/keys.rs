use std::time::Duration;

use bytes::Bytes;

use crate::schema::compare::{CompareResult, CompareTarget, TargetUnion};
use crate::schema::request_op::Request as Asked;
use crate::schema::response_op::Response as Answered;
use crate::schema::{self, DeleteRangeRequest, PutRequest, RangeRequest, RequestOp, TxnRequest};
use crate::{Client, EtcdError};

/// A key and its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// The whole key.
    pub key: String,
    /// Its value.
    pub value: Bytes,
    /// The revision that made it.
    pub created: i64,
    /// The revision that changed it last.
    pub changed: i64,
    /// The lease that it is kept under; 0 of none.
    pub lease: i64,
}

/// Keys as they were at one revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Which.
    pub revision: i64,
    /// By their order.
    pub kept: Vec<Kept>,
}

/// What must be so for a transaction to be carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Compare {
    /// The key was made by this revision; 0 is that there is none.
    Created(String, i64),
    /// The key was changed last by this revision; 0 is that there is none.
    Changed(String, i64),
}

/// What a transaction does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// Gives the key this value; with a lease, until that is over.
    Put(String, Bytes, Option<i64>),
    /// Removes the key.
    Delete(String),
}

/// What became of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Transacted {
    /// It was carried out, at this revision.
    Done(i64),
    /// It was not, because something was compared to what it is not: the keys that were asked for.
    Not(Vec<Kept>),
}

impl Client {
    /// All keys that begin so, as the majority has them.
    ///
    /// # Errors
    /// Where etcd does not answer within this time, or refuses.
    pub async fn read(&self, prefix: &str, within: Duration) -> Result<Snapshot, EtcdError> {
        let (key, range_end) = range(prefix);
        let asked = RangeRequest { key, range_end };
        let answer = self
            .call(within, |channel| {
                let request = channel.request(asked.clone());
                async move { channel.keys().range(request).await }
            })
            .await?
            .into_inner();
        let revision = answer.header.map_or(0, |header| header.revision);
        Ok(Snapshot { revision, kept: answer.kvs.into_iter().map(Kept::from).collect() })
    }

    /// Does all of this, if all of that is so; otherwise reads these keys. It may be carried out though there was
    /// no answer, or at a later time: what is compared must not be so any more once it was.
    ///
    /// # Errors
    /// As of [`Self::read`].
    pub async fn transact(
        &self,
        (compares, ops): (&[Compare], &[Op]),
        else_read: &[&str],
        within: Duration,
    ) -> Result<Transacted, EtcdError> {
        let read = |key: &&str| {
            let key = Bytes::copy_from_slice(key.as_bytes());
            op(Asked::RequestRange(RangeRequest { key, range_end: Bytes::new() }))
        };
        let asked = TxnRequest {
            compare: compares.iter().map(compare).collect(),
            success: ops.iter().map(to_op).collect(),
            failure: else_read.iter().map(read).collect(),
        };
        let answer = self
            .call(within, |channel| {
                let request = channel.request(asked.clone());
                async move { channel.keys().txn(request).await }
            })
            .await?
            .into_inner();
        if answer.succeeded {
            return Ok(Transacted::Done(answer.header.map_or(0, |header| header.revision)));
        }
        let kept = answer.responses.into_iter().flat_map(|response| match response.response {
            Some(Answered::ResponseRange(it)) => it.kvs,
            _ => Vec::new(),
        });
        Ok(Transacted::Not(kept.map(Kept::from).collect()))
    }
}

/// All keys that begin with this: from it on, to where its last byte is one more.
pub fn range(prefix: &str) -> (Bytes, Bytes) {
    let key = Bytes::copy_from_slice(prefix.as_bytes());
    let mut end = prefix.as_bytes().to_vec();
    // A prefix is ASCII: there is always one more.
    if let Some(last) = end.last_mut() {
        *last = last.saturating_add(1);
    }
    (key, end.into())
}

fn compare(of: &Compare) -> schema::Compare {
    let (key, target, union) = match of {
        Compare::Created(key, at) => (key, CompareTarget::Create, TargetUnion::CreateRevision(*at)),
        Compare::Changed(key, at) => (key, CompareTarget::Mod, TargetUnion::ModRevision(*at)),
    };
    schema::Compare {
        result: CompareResult::Equal.into(),
        target: target.into(),
        key: Bytes::copy_from_slice(key.as_bytes()),
        target_union: Some(union),
    }
}

fn to_op(of: &Op) -> RequestOp {
    op(match of {
        Op::Put(key, value, lease) => Asked::RequestPut(PutRequest {
            key: Bytes::copy_from_slice(key.as_bytes()),
            value: value.clone(),
            lease: lease.unwrap_or(0),
        }),
        Op::Delete(key) => Asked::RequestDeleteRange(DeleteRangeRequest {
            key: Bytes::copy_from_slice(key.as_bytes()),
            range_end: Bytes::new(),
        }),
    })
}

const fn op(request: Asked) -> RequestOp {
    RequestOp { request: Some(request) }
}

impl From<schema::KeyValue> for Kept {
    fn from(it: schema::KeyValue) -> Self {
        Self {
            // Keys of others than memtide are never asked for.
            key: String::from_utf8_lossy(&it.key).into_owned(),
            value: it.value,
            created: it.create_revision,
            changed: it.mod_revision,
            lease: it.lease,
        }
    }
}
