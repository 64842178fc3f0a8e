use std::error::Error as _;

use tonic::{Code, Status};

use crate::limits::REASON_BYTES_MAX;

/// Why something was not had of etcd.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EtcdError {
    /// No member did it in time. It may be done all the same.
    #[error("etcd does not answer: {0}")]
    Away(String),
    /// It does not want to, and was not done.
    #[error("etcd refuses: {0}")]
    Refused(String),
    /// The lease is over.
    #[error("the lease is over")]
    LeaseOver,
}

/// What to do about a status.
#[derive(Debug)]
pub enum Verdict {
    /// Another member may fare better.
    Next(String),
    /// The token is too old, or of before a change of users.
    Authenticate(String),
    /// There is no use in trying.
    Final(EtcdError),
}

/// Reads a status as etcd 3.4 to 3.6 give them (api/v3rpc/rpctypes/error.go there).
pub fn judge(status: &Status) -> Verdict {
    let text = with_causes(status);
    let why = text[..text.floor_char_boundary(REASON_BYTES_MAX)].to_owned();
    let has = |part: &str| text.contains(part);
    match status.code() {
        Code::Unauthenticated => Verdict::Authenticate(why),
        Code::InvalidArgument if has("revision of auth store is old") => Verdict::Authenticate(why),
        Code::NotFound if has("lease not found") => Verdict::Final(EtcdError::LeaseOver),
        Code::InvalidArgument
        | Code::NotFound
        | Code::AlreadyExists
        | Code::PermissionDenied
        | Code::FailedPrecondition
        | Code::OutOfRange
        | Code::ResourceExhausted
        | Code::Unimplemented => Verdict::Final(EtcdError::Refused(why)),
        _ => Verdict::Next(if why.is_empty() { status.code().to_string() } else { why }),
    }
}

/// What is wrong with a connection is told by the last of the causes.
fn with_causes(status: &Status) -> String {
    let mut text = status.message().to_owned();
    let mut cause = status.source();
    while let Some(error) = cause {
        let why = error.to_string();
        if !text.contains(&why) {
            text = if text.is_empty() { why } else { format!("{text}: {why}") };
        }
        cause = error.source();
    }
    text
}
