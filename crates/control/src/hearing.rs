//! What nodes and proxies make alike of what a scaler says.

use std::error::Error as _;
use std::sync::Arc;

use memtide_topology::{NodeId, Topology};
use tonic::{Code, Status};

use crate::limits::{REASON_BYTES_MAX, TOPOLOGY_MESSAGE_BYTES_MAX};
use crate::schema::ScalerSays;
use crate::schema::control_client::ControlClient;
use crate::schema::scaler_says::Says;
use crate::topologies::Followed;
use crate::transport::{Connection, Requests};

/// How a stream ended.
#[derive(Debug, PartialEq, Eq)]
pub enum End {
    /// To be tried again.
    Lost(String),
    /// For good.
    Refused(String),
}

/// What a message is.
#[derive(Debug)]
pub enum Heard {
    Welcome(NodeId),
    Topology(Arc<Topology>),
    /// Of a kind that this version does not know.
    Nothing,
    /// A difference that starts from another topology: all is to be asked for.
    Unfit,
    End(End),
}

impl From<Status> for End {
    fn from(status: Status) -> Self {
        let why = cut(status.message());
        match status.code() {
            // What the scaler answers to what it will never take.
            Code::FailedPrecondition
            | Code::InvalidArgument
            | Code::PermissionDenied
            | Code::Unimplemented => Self::Refused(why),
            _ => Self::Lost(cut(&with_causes(why, &status))),
        }
    }
}

/// What is wrong with a connection is told by the last of the causes, such as an alert of TLS.
fn with_causes(mut why: String, status: &Status) -> String {
    let mut cause = status.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if !why.contains(&text) {
            why = if why.is_empty() { text } else { format!("{why}: {text}") };
        }
        cause = error.source();
    }
    why
}

/// For the one request of a connection.
pub fn client(connection: &Connection) -> ControlClient<Requests> {
    let origin = http::Uri::from_static("https://scaler.memtide");
    ControlClient::with_origin(connection.requests(), origin)
        .max_decoding_message_size(TOPOLOGY_MESSAGE_BYTES_MAX)
}

/// Takes a message in.
pub fn hear(followed: &mut Followed, message: ScalerSays) -> Heard {
    let topology = match message.says {
        Some(Says::Welcome(it)) => return Heard::Welcome(NodeId::new(it.node)),
        Some(Says::Refused(it)) => return Heard::End(End::Refused(cut(&it.why))),
        None => return Heard::Nothing,
        Some(Says::Whole(bytes)) => followed.whole(&bytes),
        Some(Says::Difference(bytes)) => match followed.difference(&bytes) {
            Ok(Ok(topology)) => Ok(topology),
            Ok(Err(error)) => {
                tracing::info!(%error, "asking the scaler for the whole topology");
                return Heard::Unfit;
            }
            Err(error) => Err(error),
        },
    };
    match topology {
        Ok(topology) => Heard::Topology(topology),
        Err(error) => Heard::End(End::Lost(error.to_string())),
    }
}

/// A peer's text, not longer than one may be.
fn cut(why: &str) -> String {
    why[..why.floor_char_boundary(REASON_BYTES_MAX)].to_owned()
}

#[cfg(test)]
mod tests {
    use memtide_topology::{CacheId, Change, HashSeed, Update};

    use super::*;

    /// So it is asked for anew, and the stream goes on.
    #[test]
    fn a_difference_that_does_not_fit_is_no_end() {
        let first = Topology::new(CacheId::default(), HashSeed::new(1, 2), 0).unwrap();
        let changes = vec![Change::SetReplicas { replicas: 1 }];
        let second = first.apply(&Update { parent: first.epoch(), changes }).unwrap();
        let third = Update { parent: second.epoch(), changes: Vec::new() };
        let third = second.apply(&third).unwrap();
        let mut followed = Followed::new(CacheId::default());
        let mut hear = |says| hear(&mut followed, ScalerSays { says: Some(says) });
        let difference = Topology::diff(&second, &third).encode();
        assert!(matches!(hear(Says::Whole(first.encode().into())), Heard::Topology(_)));
        assert!(matches!(hear(Says::Difference(difference.clone().into())), Heard::Unfit));
        assert!(matches!(hear(Says::Whole(second.encode().into())), Heard::Topology(_)));
        let heard = hear(Says::Difference(difference.into()));
        assert!(matches!(heard, Heard::Topology(topology) if *topology == third));
    }

    #[test]
    fn what_a_newer_scaler_says_is_passed_over_and_what_is_broken_is_not() {
        let mut followed = Followed::new(CacheId::default());
        assert!(matches!(hear(&mut followed, ScalerSays { says: None }), Heard::Nothing));
        let broken = ScalerSays { says: Some(Says::Whole(b"x".to_vec().into())) };
        assert!(matches!(hear(&mut followed, broken), Heard::End(End::Lost(_))));
    }
}
