//! How a scaler is reached: endpoints in turn, with pauses that grow.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustls::ClientConfig;
use tokio::time;

use crate::hearing::client;
use crate::limits::{
    BACKOFF_MAX, BACKOFF_MIN, LEADS_ASKED_INTERVAL, LEADS_ASKED_INTERVAL_MAX, ONE_SCALER, Patience,
    SEVERAL_SCALERS,
};
use crate::schema::LeadsAsked;
use crate::transport::{ALPN, ConnectError, Connection};

/// Where a scaler may be, and what became of the tries to reach it.
#[derive(Debug)]
pub struct Reach {
    endpoints: Vec<String>,
    tls: Arc<ClientConfig>,
    /// The next endpoint to try.
    next: usize,
    /// The scaler that leads, as another said: tried once, before the next one.
    leader: Option<String>,
    /// The one that is tried, or has the stream.
    at: String,
    /// The one that was lost last: others may say that it leads until its lease is over, and the first of them is not
    /// believed.
    lost: String,
    patience: Patience,
    /// The next pause, before its jitter.
    backoff: Duration,
    /// Whether the next try is the first of all, which comes without a pause.
    is_first: bool,
    rng: u64,
    trouble: Arc<Trouble>,
}

/// Where a scaler leads, once that is known; whoever is not in doubt does not ask.
pub type Another = Option<Pin<Box<dyn Future<Output = String> + Send>>>;

/// Waits for it.
pub async fn found(another: &mut Another) -> String {
    match another {
        None => std::future::pending().await,
        Some(another) => another.await,
    }
}

/// Why there is no stream now, for those who ask.
#[derive(Debug, Default)]
pub struct Trouble(Mutex<Reasons>);

#[derive(Debug, Default)]
struct Reasons {
    last: Option<String>,
    /// What was logged of each endpoint: tries go round, and only what is new is told.
    by_endpoint: BTreeMap<String, String>,
}

impl Reach {
    /// `seed` is for the jitter, so that those who lost a scaler together do not come back together.
    pub fn new(
        endpoints: Vec<String>,
        tls: &ClientConfig,
        seed: u64,
        trouble: Arc<Trouble>,
    ) -> Self {
        let mut tls = tls.clone();
        tls.alpn_protocols = vec![ALPN.to_vec()];
        let patience = if endpoints.len() > 1 { SEVERAL_SCALERS } else { ONE_SCALER };
        Self {
            patience,
            lost: String::new(),
            endpoints,
            tls: Arc::new(tls),
            next: 0,
            leader: None,
            at: String::new(),
            backoff: BACKOFF_MIN,
            is_first: true,
            rng: seed,
            trouble,
        }
    }

    /// Tries until a scaler is there.
    pub async fn connect(&mut self) -> Connection {
        loop {
            self.pause().await;
            let Some(endpoint) = self.turn() else {
                self.trouble.note("none", "no endpoint of a scaler is given");
                continue;
            };
            self.at = endpoint;
            let tls = Arc::clone(&self.tls);
            let opened = Connection::open(&self.at, tls, self.patience);
            let opened = time::timeout(self.patience.connect, opened).await;
            match opened.unwrap_or(Err(ConnectError::Late)) {
                Ok(connection) => return connection,
                Err(error) => self.failed(&error.to_string()),
            }
        }
    }

    /// The stream at this endpoint ended, or none was had: the next one's turn.
    pub fn failed(&mut self, why: &str) {
        self.trouble.note(&self.at, why);
        self.lost.clone_from(&self.at);
    }

    /// The scaler there stands by, and has said who leads. Its certificate was a scaler's of this fleet, and
    /// that of the other one is looked at before anything is said there.
    pub fn follow(&mut self, why: &str, leader: String) {
        self.trouble.note(&self.at, why);
        // Once: it may have lost nothing but the stream, and lead on.
        let is_lost = std::mem::take(&mut self.lost) == leader;
        self.leader = Some(leader).filter(|_| !is_lost);
    }

    /// The scaler of the stream is in doubt, or no more.
    pub fn doubt(&self, is_so: bool) -> Another {
        is_so.then(|| Box::pin(self.another_leads()) as _)
    }

    /// Ready once another of the endpoints says that it leads, with which.
    fn another_leads(&self) -> impl Future<Output = String> + Send + use<> {
        let others = self.endpoints.iter().filter(|endpoint| **endpoint != self.at);
        let others: Vec<String> = others.cloned().collect();
        let (tls, patience) = (Arc::clone(&self.tls), self.patience);
        let (mut rng, mut interval) = (self.rng, LEADS_ASKED_INTERVAL);
        async move {
            loop {
                for endpoint in &others {
                    time::sleep(part_of(interval, &mut rng)).await;
                    let asked = leads(endpoint, Arc::clone(&tls), patience);
                    if time::timeout(patience.connect, asked).await == Ok(Some(true)) {
                        return endpoint.clone();
                    }
                }
                if others.is_empty() {
                    return std::future::pending().await;
                }
                interval = (interval * 2).min(LEADS_ASKED_INTERVAL_MAX);
            }
        }
    }

    /// Whose turn it is: the one that leads, as was said last; otherwise one endpoint after the other.
    fn turn(&mut self) -> Option<String> {
        if let Some(leader) = self.leader.take() {
            return Some(leader);
        }
        let endpoint = self.endpoints.get(self.next)?.clone();
        self.next = (self.next + 1) % self.endpoints.len();
        Some(endpoint)
    }

    /// The scaler took this process in: another loss is a new one.
    pub fn succeeded(&mut self) {
        self.trouble.clear();
        self.lost.clear();
        self.backoff = BACKOFF_MIN;
    }

    async fn pause(&mut self) {
        if std::mem::take(&mut self.is_first) {
            return;
        }
        let pause = part_of(self.backoff, &mut self.rng);
        self.backoff = (self.backoff * 2).min(BACKOFF_MAX);
        time::sleep(pause).await;
    }
}

/// Half of a pause to all of it.
fn part_of(pause: Duration, rng: &mut u64) -> Duration {
    *rng = rng.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
    let jitter = u32::try_from(*rng >> 48).unwrap_or(0);
    pause / 2 + pause / 2 * jitter / (1 << 16)
}

/// Whether the scaler there leads; `None` where it does not say.
async fn leads(endpoint: &str, tls: Arc<ClientConfig>, patience: Patience) -> Option<bool> {
    let connection = Connection::open(endpoint, tls, patience).await.ok()?;
    let answer = client(&connection).leads(LeadsAsked {}).await;
    answer.ok().map(|answer| answer.into_inner().leads)
}

impl Trouble {
    /// The last reason, while there is no stream.
    pub fn now(&self) -> Option<String> {
        self.reasons().last.clone()
    }

    fn note(&self, endpoint: &str, why: &str) {
        let mut reasons = self.reasons();
        let told = format!("scaler at {endpoint}: {why}");
        let before = reasons.by_endpoint.insert(endpoint.to_owned(), why.to_owned());
        if before.is_none_or(|before| before != why) {
            tracing::warn!("not connected to a scaler, trying again: {told}");
        }
        reasons.last = Some(told);
    }

    fn clear(&self) {
        let was = std::mem::take(&mut *self.reasons());
        if was.last.is_some() {
            tracing::info!("connected to a scaler again");
        }
    }

    /// Nothing is left half done under this lock.
    fn reasons(&self) -> MutexGuard<'_, Reasons> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use rustls::RootCertStore;
    use rustls::crypto::aws_lc_rs;

    use super::*;

    /// By chance a stream to one that stands by may also break before it says anything.
    #[test]
    fn the_one_that_was_lost_is_not_gone_back_to_the_first_time_that_it_is_said_to_lead() {
        let tls = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("there are some")
            .with_root_certificates(RootCertStore::empty())
            .with_no_client_auth();
        let endpoint = |name: &str| Some(format!("{name}:11213"));
        let mut reach =
            Reach::new(endpoint("standby").into_iter().collect(), &tls, 1, Arc::default());
        reach.at = "leader:11213".to_owned();
        reach.failed("it broke");
        let told = [(); 3].map(|()| {
            reach.at = "standby:11213".to_owned();
            reach.follow("it stands by", "leader:11213".to_owned());
            reach.turn()
        });
        assert_eq!(told, ["standby", "leader", "leader"].map(endpoint));
    }
}
