//! Why an API server did not do something, for an operator.

use crate::limits::TOLD_LETTERS_MAX;

/// What came of a request that failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// It may be done another time.
    #[error("{0}")]
    Passing(String),
    /// Somebody else has changed it meanwhile.
    #[error("it was changed by somebody else meanwhile")]
    Conflict,
    /// There is no such thing.
    #[error("there is no such one in the namespace {0}")]
    Missing(String),
    /// The token does not count any more.
    #[error("the token of the service account does not count: {0}")]
    Token(String),
    /// The state that was asked for is forgotten: it is to be listed again.
    #[error("the version is too old")]
    Old,
    /// It will not be done however often it is asked for.
    #[error("{0}")]
    Lasting(String),
}

impl Trouble {
    /// Of a request in this namespace.
    pub fn of(error: &kube::Error, namespace: &str) -> Self {
        let kube::Error::Api(status) = error else {
            return Self::Passing(format!("failed to ask the API server: {}", chain(error)));
        };
        let said = told(&status.message);
        match status.code {
            401 => Self::Token(said),
            403 => Self::Lasting(format!(
                "the API server forbids it ({said}); give the scaler's service account a role that may"
            )),
            404 => Self::Missing(namespace.to_owned()),
            409 => Self::Conflict,
            410 => Self::Old,
            400 | 405 | 422 => {
                Self::Lasting(format!("the API server refuses it ({}): {said}", status.code))
            }
            code => Self::Passing(format!("the API server answers {code}: {said}")),
        }
    }

    /// Whether it makes sense to ask again.
    pub const fn is_passing(&self) -> bool {
        !matches!(self, Self::Missing(_) | Self::Lasting(_))
    }
}

/// An error and what has caused it, in one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.contains(&next) {
            text = format!("{text}: {next}");
        }
        cause = error.source();
    }
    told(&text)
}

/// Printable, and not too long.
fn told(text: &str) -> String {
    let letters = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    letters.take(TOLD_LETTERS_MAX).collect::<String>().trim().to_owned()
}
