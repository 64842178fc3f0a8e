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
