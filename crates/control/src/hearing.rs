//! What nodes and proxies make alike of what a scaler says.

use std::error::Error as _;
use std::sync::Arc;

use memtide_limits::{DataPart, Grant};
use memtide_topology::{ADDRESS_BYTES_MAX, Epoch, NodeId, Topology};
use tonic::{Code, Status};

use crate::grants::of_grant;
use crate::limits::{REASON_BYTES_MAX, TOPOLOGY_MESSAGE_BYTES_MAX};
use crate::schema::control_client::ControlClient;
use crate::schema::scaler_says::Says;
use crate::schema::{Refused, ScalerSays};
use crate::topologies::Followed;
use crate::transport::{Connection, Requests};
use crate::{Adopted, TicketSecret};

/// In the status of a stream: where the scaler is that leads.
pub const LEADER_METADATA: &str = "memtide-leader";

/// How a stream ended.
#[derive(Debug, PartialEq, Eq)]
pub enum End {
    /// To be tried again.
    Lost(String),
    /// By one that stands by: to be tried at the scaler that leads, at this `host:port`.
    Elsewhere(String, String),
    /// For good.
    Refused(String),
}

/// What a message is.
#[derive(Debug)]
pub enum Heard {
    Welcome(NodeId),
    Topology(Arc<Topology>),
    Grant(Grant),
    DataPart(DataPart),
    TicketSecrets(Vec<TicketSecret>),
    /// The counts that these processes said last are written down.
    CountsWritten(Vec<u64>),
    /// Another scaler may lead, from now on; or not any more.
    InDoubt(bool),
    /// Of a kind that this version does not know.
    Nothing,
    /// A difference that starts from another topology: all is to be asked for.
    Unfit,
    End(End),
}

impl End {
    /// By the status of a stream, of one that has adopted this. Whoever holds something goes on with it
    /// whatever a scaler answers: that may be the wrong one, or one whose certificate, configuration or
    /// data directory is wrong for a while.
    pub fn of_status(status: &Status, adopted: Adopted) -> Self {
        let why = cut(status.message());
        let leader = status.metadata().get(LEADER_METADATA).and_then(|it| it.to_str().ok());
        let leader = leader.filter(|it| (1..=ADDRESS_BYTES_MAX).contains(&it.len()));
        match status.code() {
            Code::Unavailable if let Some(leader) = leader => {
                Self::Elsewhere(why, leader.to_owned())
            }
            // What the scaler answers to what it will never take.
            Code::FailedPrecondition
            | Code::InvalidArgument
            | Code::PermissionDenied
            | Code::Unimplemented
                if adopted.is_nothing() =>
            {
                Self::Refused(why)
            }
            _ => Self::Lost(cut(&with_causes(why, status))),
        }
    }

    /// The scaler of the stream is in doubt, and this one leads.
    pub fn moved(leader: String) -> Self {
        Self::Elsewhere("it cannot know whether it leads, and another does".to_owned(), leader)
    }

    /// By a refusal, which counts only where its scaler knows all that the refused one has adopted.
    fn of_refusal(refused: &Refused, adopted: Adopted) -> Self {
        let why = cut(&refused.why);
        let knows_all =
            refused.fleet == adopted.fleet && Epoch::new(refused.epoch) >= adopted.epoch;
        if adopted.is_nothing() || knows_all { Self::Refused(why) } else { Self::Lost(why) }
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

/// Takes a message in, of one that has adopted this.
pub fn hear(followed: &mut Followed, message: ScalerSays, adopted: Adopted) -> Heard {
    let topology = match message.says {
        Some(Says::Welcome(it)) => return Heard::Welcome(NodeId::new(it.node)),
        Some(Says::Refused(it)) => return Heard::End(End::of_refusal(&it, adopted)),
        Some(Says::Grant(it)) => return Heard::Grant(of_grant(&it)),
        Some(Says::DataPart(it)) => {
            return Heard::DataPart(DataPart { bytes: it.bytes, keeps_held: it.keeps_held });
        }
        Some(Says::TicketSecrets(it)) => {
            return Heard::TicketSecrets(TicketSecret::of_message(&it.secrets));
        }
        Some(Says::InDoubt(it)) => return Heard::InDoubt(it.is_so),
        Some(Says::CountsWritten(it)) => return Heard::CountsWritten(it.processes),
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
    use memtide_topology::{CacheId, Change, Epoch, HashSeed, Update};

    use super::*;

    /// So it is asked for anew, and the stream goes on.
    #[test]
    fn a_difference_that_does_not_fit_is_no_end() {
        let first = Topology::new(CacheId::default(), HashSeed::new(1, 2), 0).unwrap();
        let changes = vec![Change::SetReplicas { replicas: 1 }];
        let second = first.apply(&Update { parent: first.epoch(), changes }).unwrap();
        let third = Update { parent: second.epoch(), changes: Vec::new() };
        let third = second.apply(&third).unwrap();
        let mut followed = Followed::new(CacheId::default(), 0);
        let nothing = Adopted::default();
        let mut hear = |says| hear(&mut followed, ScalerSays { says: Some(says) }, nothing);
        let difference = Topology::diff(&second, &third).encode();
        assert!(matches!(hear(Says::Whole(first.encode().into())), Heard::Topology(_)));
        assert!(matches!(hear(Says::Difference(difference.clone().into())), Heard::Unfit));
        assert!(matches!(hear(Says::Whole(second.encode().into())), Heard::Topology(_)));
        let heard = hear(Says::Difference(difference.into()));
        assert!(matches!(heard, Heard::Topology(topology) if *topology == third));
    }

    #[test]
    fn one_that_stands_by_says_where_to_go_and_nobody_else_does() {
        let with = |code, leader: &str| {
            let mut status = Status::new(code, "it stands by");
            status.metadata_mut().insert(LEADER_METADATA, leader.parse().unwrap());
            End::of_status(&status, Adopted::default())
        };
        let there = End::Elsewhere("it stands by".to_owned(), "b:11213".to_owned());
        assert_eq!(with(Code::Unavailable, "b:11213"), there);
        assert_eq!(
            with(Code::FailedPrecondition, "b:11213"),
            End::Refused("it stands by".to_owned())
        );
        let long = "b".repeat(ADDRESS_BYTES_MAX + 1);
        assert_eq!(with(Code::Unavailable, &long), End::Lost("it stands by".to_owned()));
    }

    #[test]
    fn what_a_newer_scaler_says_is_passed_over_and_what_is_broken_is_not() {
        let mut followed = Followed::new(CacheId::default(), 0);
        let mut hear = |says| hear(&mut followed, ScalerSays { says }, Adopted::default());
        assert!(matches!(hear(None), Heard::Nothing));
        let broken = Some(Says::Whole(b"x".to_vec().into()));
        assert!(matches!(hear(broken), Heard::End(End::Lost(_))));
    }

    /// Of all that a scaler can answer, only one that knows as much may end who holds something.
    #[test]
    fn who_holds_something_obeys_a_refusal_of_its_own_fleet_that_is_no_older_and_nothing_else() {
        let adopted = Adopted { fleet: 7, epoch: Epoch::new(9) };
        for code in (0..=16).map(Code::from) {
            let end = End::of_status(&Status::new(code, "no"), adopted);
            assert!(matches!(end, End::Lost(_)), "{code}: {end:?}");
        }
        let wrong = End::of_status(&Status::failed_precondition("no"), Adopted::default());
        assert_eq!(wrong, End::Refused("no".to_owned()));
        let end = |fleet, epoch, adopted| {
            End::of_refusal(&Refused { why: String::new(), fleet, epoch }, adopted)
        };
        let (ends, stays) = (End::Refused(String::new()), End::Lost(String::new()));
        assert_eq!([end(7, 9, adopted), end(7, 8, adopted)], [ends, stays]);
        assert_eq!(end(8, 99, adopted), End::Lost(String::new()), "another fleet's");
        assert_eq!(end(0, 0, adopted), End::Lost(String::new()), "one that does not say");
        assert_eq!(end(0, 0, Adopted::default()), End::Refused(String::new()));
    }
}
