use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::{self, Instant};
use tonic::metadata::AsciiMetadataValue;
use tonic::{Request, Status};

use crate::EtcdError;
use crate::access::{Access, Credentials};
use crate::connection::{Connection, Requests};
use crate::error::{Verdict, judge};
use crate::limits::{MESSAGE_BYTES_MAX, ROUND_PAUSE_MAX, ROUND_PAUSE_MIN, TRY_TIME_MAX};
use crate::schema::AuthenticateRequest;
use crate::schema::auth_client::AuthClient;
use crate::schema::kv_client::KvClient;
use crate::schema::lease_client::LeaseClient;
use crate::schema::watch_client::WatchClient;

/// Where etcd is, and how it knows who asks.
#[derive(Clone, Debug)]
pub struct Config {
    /// Its members, to be tried in turn; not empty.
    pub endpoints: Vec<Endpoint>,
    /// What is shown to them.
    pub access: Access,
}

/// A member of etcd.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Whether it speaks TLS.
    pub is_tls: bool,
    /// A name, or an address without brackets.
    pub host: String,
    /// Of clients: 2379 mostly.
    pub port: u16,
}

/// Asks etcd; clones are the same. To be used from within one tokio runtime.
#[derive(Clone, Debug)]
pub struct Client(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    config: Config,
    state: Mutex<State>,
    /// How often a member was left: the one of the connection, or the next one to try, has this number, but for
    /// multiples of how many there are.
    turn: AtomicUsize,
}

#[derive(Debug, Default)]
struct State {
    connection: Option<Arc<Connection>>,
    token: Option<AsciiMetadataValue>,
}

/// A connection with what a call over it has to show.
#[derive(Clone, Debug)]
pub struct Channel {
    connection: Arc<Connection>,
    token: Option<AsciiMetadataValue>,
}

impl Client {
    /// Nothing is asked before the first call.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self(Arc::new(Inner { config, state: Mutex::default(), turn: AtomicUsize::new(0) }))
    }

    /// Calls until a member has answered for good, for so long at most. What is called may come to be done twice.
    pub(crate) async fn call<T, F: Future<Output = Result<T, Status>>>(
        &self,
        within: Duration,
        call: impl Fn(Channel) -> F,
    ) -> Result<T, EtcdError> {
        let deadline = Instant::now() + within;
        let (mut failures, mut pause) = (0, ROUND_PAUSE_MIN);
        loop {
            let turn = self.turn();
            let ends = deadline.min(Instant::now() + TRY_TIME_MAX);
            let tried = time::timeout_at(ends, self.try_once(&call)).await;
            let late = || Err(Verdict::Next("no answer in time".to_owned()));
            let why = match tried.unwrap_or_else(|_| late()) {
                Ok(done) => return Ok(done),
                Err(Verdict::Final(EtcdError::Refused(why))) if self.forget_former().await => why,
                Err(Verdict::Final(error)) => return Err(error),
                Err(Verdict::Authenticate(why)) => {
                    self.forget_token().await;
                    why
                }
                Err(Verdict::Next(why)) => {
                    self.next(turn).await;
                    why
                }
            };
            failures += 1;
            if failures % self.0.config.endpoints.len() == 0 {
                time::sleep_until(deadline.min(Instant::now() + pause)).await;
                pause = (pause * 2).min(ROUND_PAUSE_MAX);
            }
            if Instant::now() >= deadline {
                return Err(EtcdError::Away(why));
            }
        }
    }

    async fn try_once<T, F: Future<Output = Result<T, Status>>>(
        &self,
        call: &impl Fn(Channel) -> F,
    ) -> Result<T, Verdict> {
        let channel = self.channel().await?;
        call(channel).await.map_err(|status| judge(&status))
    }

    /// An open connection, and a token where one is needed.
    pub(crate) async fn channel(&self) -> Result<Channel, Verdict> {
        let mut state = self.0.state.lock().await;
        let Config { endpoints, access } = &self.0.config;
        let shown = access.now();
        let open = state.connection.take().filter(|connection| !connection.is_closed());
        let connection = match open {
            Some(connection) => connection,
            None => {
                let endpoint = &endpoints[self.turn() % endpoints.len()];
                let opened = Connection::open(endpoint, shown.tls.as_ref()).await;
                Arc::new(opened.map_err(Verdict::Next)?)
            }
        };
        state.connection = Some(Arc::clone(&connection));
        if let Some(credentials) = &shown.credentials
            && state.token.is_none()
        {
            state.token = Some(authenticate(&connection, credentials).await?);
        }
        Ok(Channel { connection, token: state.token.clone() })
    }

    /// To be looked at before a member is asked.
    pub(crate) fn turn(&self) -> usize {
        self.0.turn.load(Ordering::Acquire)
    }

    /// The member that was asked in this turn is not well: the next one's turn, unless others who asked it have found
    /// so before.
    pub(crate) async fn next(&self, turn: usize) {
        let mut state = self.0.state.lock().await;
        if self.turn() == turn {
            state.connection = None;
            self.0.turn.store(turn.wrapping_add(1), Ordering::Release);
        }
    }

    /// Forgets a connection that has shown another certificate than it would by now, which may be of somebody who may do
    /// less; whether it was one.
    async fn forget_former(&self) -> bool {
        let mut state = self.0.state.lock().await;
        let shown = self.0.config.access.now();
        let is_former = |it: &mut Arc<Connection>| !it.has_shown(shown.tls.as_ref());
        state.connection.take_if(is_former).is_some()
    }

    /// It is not good any more.
    pub(crate) async fn forget_token(&self) {
        self.0.state.lock().await.token = None;
    }
}

async fn authenticate(
    connection: &Connection,
    credentials: &Credentials,
) -> Result<AsciiMetadataValue, Verdict> {
    let (requests, origin) = connection.requests();
    let Credentials { user: name, password } = credentials.clone();
    let asked = AuthClient::with_origin(requests, origin)
        .authenticate(AuthenticateRequest { name, password })
        .await;
    let answer = asked.map_err(|status| match judge(&status) {
        Verdict::Authenticate(why) => Verdict::Final(EtcdError::Refused(why)),
        verdict => verdict,
    })?;
    let token = AsciiMetadataValue::try_from(answer.into_inner().token);
    token.map_err(|_| Verdict::Final(EtcdError::Refused("its token is no text".to_owned())))
}

impl Channel {
    /// For keys.
    pub(crate) fn keys(&self) -> KvClient<Requests> {
        let (requests, origin) = self.connection.requests();
        KvClient::with_origin(requests, origin)
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX)
    }

    /// For leases.
    pub(crate) fn leases(&self) -> LeaseClient<Requests> {
        let (requests, origin) = self.connection.requests();
        LeaseClient::with_origin(requests, origin)
    }

    /// For watches.
    pub(crate) fn watches(&self) -> WatchClient<Requests> {
        let (requests, origin) = self.connection.requests();
        WatchClient::with_origin(requests, origin).max_decoding_message_size(MESSAGE_BYTES_MAX)
    }

    /// A request that shows who asks.
    pub(crate) fn request<T>(&self, of: T) -> Request<T> {
        let mut request = Request::new(of);
        if let Some(token) = &self.token {
            request.metadata_mut().insert("token", token.clone());
        }
        request
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_tls { "https" } else { "http" };
        match self.host.contains(':') {
            true => write!(f, "{scheme}://[{}]:{}", self.host, self.port),
            false => write!(f, "{scheme}://{}:{}", self.host, self.port),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A member that is well would be left because of the one before it.
    #[tokio::test]
    async fn calls_that_fail_together_leave_one_member() {
        let endpoint = |port| Endpoint { is_tls: false, host: "127.0.0.1".to_owned(), port };
        let endpoints = vec![endpoint(1), endpoint(2), endpoint(3)];
        let client = Client::new(Config { endpoints, access: Access::default() });
        let turn = client.turn();
        for _ in 0..4 {
            client.next(turn).await;
        }
        assert_eq!(client.turn(), turn + 1);
        client.next(client.turn()).await;
        assert_eq!(client.turn(), turn + 2);
    }
}
