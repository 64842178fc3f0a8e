use tokio::sync::mpsc;
use tokio::time;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;
use tonic::metadata::AsciiMetadataValue;

use crate::client::Channel;
use crate::error::{Verdict, judge};
use crate::keys::range;
use crate::limits::{TRY_TIME_MAX, WATCH_SILENCE_MAX};
use crate::schema::event::EventType;
use crate::schema::watch_request::RequestUnion;
use crate::schema::{WatchCreateRequest, WatchProgressRequest, WatchRequest, WatchResponse};
use crate::{Client, Kept};

/// What happens to keys, in order.
#[derive(Debug)]
pub struct Watching {
    heard: Streaming<WatchResponse>,
    /// The stream ends when this is dropped.
    asks: mpsc::Sender<WatchRequest>,
    _channel: Channel,
    client: Client,
    /// A revision that the store has had.
    known: i64,
    /// The turn of members in which it began.
    turn: usize,
}

/// What happened at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changes {
    /// Of the last of it: all up to there is known. 0 where it is only that the watch has begun.
    pub revision: i64,
    /// In order.
    pub changes: Vec<Change>,
}

/// What happened to a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// It has this value now.
    Put(Kept),
    /// It is no more, from this revision on.
    Deleted(String, i64),
}

/// Why there is nothing more.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WatchEnd {
    /// It can go on from the last revision that was heard of.
    #[error("the watch of etcd ended: {0}")]
    Broken(String),
    /// Some of what happened is not known any more, or etcd was put back to a snapshot: all is to be read anew.
    #[error("etcd has compacted what was to be watched, or was put back to a snapshot")]
    Compacted,
}

impl Client {
    /// What happens to all keys that begin so, from this revision on. The member ends it where it has lost its leader.
    ///
    /// # Errors
    /// Where it cannot begin, or not there.
    pub async fn watch(&self, prefix: &str, revision: i64) -> Result<Watching, WatchEnd> {
        let turn = self.turn();
        let began = time::timeout(TRY_TIME_MAX, self.begin(prefix, revision, turn)).await;
        match began {
            Ok(Ok(watching)) => Ok(watching),
            Ok(Err(verdict)) => Err(self.ended(verdict, turn).await),
            Err(_) => Err(self.ended(Verdict::Next("no answer in time".to_owned()), turn).await),
        }
    }

    async fn begin(
        &self,
        prefix: &str,
        start_revision: i64,
        turn: usize,
    ) -> Result<Watching, Verdict> {
        let channel = self.channel().await?;
        let (key, range_end) = range(prefix);
        // From one before it on, what is of that left out: a member that is not as far as where a watch begins does not
        // say how far it is (from etcd 3.6.2 on).
        let known = start_revision - 1;
        let create = WatchCreateRequest { key, range_end, start_revision: known.max(1) };
        let create = WatchRequest { request_union: Some(RequestUnion::CreateRequest(create)) };
        let (asks, asked) = mpsc::channel(1);
        asks.try_send(create).expect("the channel has room for one");
        let mut request = channel.request(ReceiverStream::new(asked));
        request.metadata_mut().insert("hasleader", AsciiMetadataValue::from_static("true"));
        let heard = channel.watches().watch(request).await.map_err(|status| judge(&status))?;
        let heard = heard.into_inner();
        let client = self.clone();
        Ok(Watching { heard, asks, _channel: channel, client, known, turn })
    }

    async fn ended(&self, verdict: Verdict, turn: usize) -> WatchEnd {
        WatchEnd::Broken(match verdict {
            Verdict::Authenticate(why) => {
                self.forget_token().await;
                why
            }
            Verdict::Next(why) => {
                self.next(turn).await;
                why
            }
            Verdict::Final(error) => error.to_string(),
        })
    }
}

impl Watching {
    /// What happened next; waits for it. A member that is not there any more is noticed within seconds.
    ///
    /// # Errors
    /// The end of this watch.
    pub async fn next(&mut self) -> Result<Changes, WatchEnd> {
        let message = match self.message().await {
            Ok(Some(message)) => message,
            Ok(None) => return Err(WatchEnd::Broken("the stream ended".to_owned())),
            Err(verdict) => return Err(self.client.ended(verdict, self.turn).await),
        };
        if message.compact_revision > 0 {
            return Err(WatchEnd::Compacted);
        }
        // The watch is of what comes after a revision that was heard of: the store was put back to one before it.
        if message.header.as_ref().is_some_and(|header| header.revision < self.known) {
            return Err(WatchEnd::Compacted);
        }
        if message.canceled {
            let why = message.cancel_reason;
            let verdict = match why.contains("auth") || why.contains("permission") {
                true => Verdict::Authenticate(why),
                false => Verdict::Next(why),
            };
            return Err(self.client.ended(verdict, self.turn).await);
        }
        // The header has that of the store, and the events until there may come later.
        let revisions = message.events.iter().filter_map(|event| event.kv.as_ref());
        let revisions = revisions.map(|kept| kept.mod_revision);
        let revision = revisions.filter(|it| *it > self.known).max().unwrap_or(0);
        let changes = message.events.into_iter().filter_map(|event| {
            let is_put = event.r#type() == EventType::Put;
            let kept = Kept::from(event.kv.filter(|kept| kept.mod_revision > self.known)?);
            Some(if is_put { Change::Put(kept) } else { Change::Deleted(kept.key, kept.changed) })
        });
        Ok(Changes { revision, changes: changes.collect() })
    }

    /// The next one, of a member that lives.
    async fn message(&mut self) -> Result<Option<WatchResponse>, Verdict> {
        let mut is_asked = false;
        loop {
            if let Ok(heard) = time::timeout(WATCH_SILENCE_MAX, self.heard.message()).await {
                return heard.map_err(|status| judge(&status));
            }
            if is_asked {
                return Err(Verdict::Next("it says nothing any more".to_owned()));
            }
            // The answer is as one without changes.
            let ask = RequestUnion::ProgressRequest(WatchProgressRequest {});
            let _ = self.asks.try_send(WatchRequest { request_union: Some(ask) });
            is_asked = true;
        }
    }
}
