//! Requests to an API server.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use futures_util::stream::BoxStream;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::autoscaling::v1::{Scale, ScaleSpec};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, ListParams, ObjectList, PostParams, WatchEvent, WatchParams};
use kube::{Client, Config};
use tokio::time::timeout;

use crate::limits::Timing;
use crate::trouble::{Trouble, chain};

/// Where an API server is, and as whom it is asked.
#[derive(Clone, Debug)]
pub struct Access {
    config: Config,
}

/// This process is in no pod, or in one without a service account.
#[derive(Debug, thiserror::Error)]
#[error(
    "this process has no access to the API of Kubernetes ({0}); run it in a pod with a service account"
)]
pub struct AccessError(String);

impl Access {
    /// As the service account of the pod that this process is in.
    ///
    /// # Errors
    /// Where it is in none.
    pub fn of_this_pod() -> Result<Self, AccessError> {
        let config = Config::incluster().map_err(|error| AccessError(chain(&error)))?;
        Ok(Self { config })
    }

    /// By a URL, in a namespace, as the service account whose files are in a directory: `token` and `ca.crt`.
    ///
    /// # Errors
    /// Where it is no URL.
    pub fn at(url: &str, namespace: &str, account: &Path) -> Result<Self, AccessError> {
        let url = url.parse().map_err(|error| AccessError(format!("{url}: {error}")))?;
        let mut config = Config::new(url);
        namespace.clone_into(&mut config.default_namespace);
        config.auth_info.token_file = Some(account.join("token").to_string_lossy().into_owned());
        config.root_cert_file = Some(account.join("ca.crt"));
        Ok(Self { config })
    }
}

/// An API server, as far as it is asked something here.
pub struct Cluster {
    config: Config,
    timing: Timing,
    /// None before the first request, and after one whose token did not count.
    client: Mutex<Option<Client>>,
}

impl Cluster {
    pub fn new(access: Access, timing: Timing) -> Self {
        let Access { mut config } = access;
        // It is tried again here, and for so long as the call has time.
        config.default_retry = false;
        config.connect_timeout = Some(timing.request_max);
        Self { config, timing, client: Mutex::default() }
    }

    /// How often the set is to be there, by its scale.
    pub async fn scale(&self, set: &str) -> Result<Scale, Trouble> {
        let (sets, set) = (self.namespaced(), set.to_owned());
        let ask = move |client| {
            let (sets, set): (Api<StatefulSet>, _) = (sets.with(client), set.clone());
            async move { sets.get_scale(&set).await }
        };
        self.ask(ask).await
    }

    /// Has a set scaled that was so until now; nothing is done where it has changed since.
    pub async fn scale_to(&self, set: &str, seen: Scale, replicas: u32) -> Result<(), Trouble> {
        let replicas = i32::try_from(replicas).unwrap_or(i32::MAX);
        // The version is in the metadata.
        let spec = Some(ScaleSpec { replicas: Some(replicas) });
        let wanted = Scale { spec, status: None, ..seen };
        let (sets, set) = (self.namespaced(), set.to_owned());
        let ask = move |client| {
            let (set, wanted) = (set.clone(), wanted.clone());
            let sets: Api<StatefulSet> = sets.with(client);
            async move { sets.replace_scale(&set, &PostParams::default(), &wanted).await }
        };
        self.ask(ask).await.map(drop)
    }

    /// Whether there is such a pod, running, about to, or not quite gone.
    pub async fn has_pod(&self, pod: &str) -> Result<bool, Trouble> {
        let (pods, pod) = (self.namespaced(), pod.to_owned());
        let ask = move |client| {
            let (pods, pod): (Api<Pod>, _) = (pods.with(client), pod.clone());
            async move { pods.get_metadata_opt(&pod).await }
        };
        Ok(self.ask(ask).await?.is_some())
    }

    /// The set of this name, and as of which version; none where there is none.
    pub async fn list(&self, set: &str) -> Result<ObjectList<StatefulSet>, Trouble> {
        let only = ListParams::default().fields(&format!("metadata.name={set}"));
        let sets = self.namespaced();
        let ask = move |client| {
            let (sets, only): (Api<StatefulSet>, _) = (sets.with(client), only.clone());
            async move { sets.list(&only).await }
        };
        self.ask(ask).await
    }

    /// What becomes of it after a version.
    pub async fn watch(&self, set: &str, version: &str) -> Result<Watched, Trouble> {
        let seconds = u32::try_from(self.timing.watch.as_secs()).unwrap_or(u32::MAX).max(1);
        let only = WatchParams::default().fields(&format!("metadata.name={set}")).timeout(seconds);
        let (sets, version) = (self.namespaced(), version.to_owned());
        let ask = move |client| {
            let sets: Api<StatefulSet> = sets.with(client);
            let (only, version) = (only.clone(), version.clone());
            async move {
                let events = sets.watch(&only, &version).await?;
                Ok(Box::pin(events) as Watched)
            }
        };
        self.ask(ask).await
    }

    pub fn namespace(&self) -> &str {
        &self.config.default_namespace
    }

    fn namespaced(&self) -> Namespaced {
        Namespaced(self.namespace().to_owned())
    }

    /// A request, bounded in time. Where the token did not count, it is read anew and shown once more.
    async fn ask<T, F>(&self, request: impl Fn(Client) -> F) -> Result<T, Trouble>
    where
        F: Future<Output = Result<T, kube::Error>>,
    {
        let first = self.within(request(self.connected()?)).await;
        if !matches!(first, Err(Trouble::Token(_))) {
            return first;
        }
        self.client().take();
        self.within(request(self.connected()?)).await
    }

    async fn within<T>(
        &self,
        request: impl Future<Output = Result<T, kube::Error>>,
    ) -> Result<T, Trouble> {
        match timeout(self.timing.request_max, request).await {
            Err(_) => {
                let millis = self.timing.request_max.as_millis();
                Err(Trouble::Passing(format!("no answer from the API server in {millis} ms")))
            }
            Ok(result) => result.map_err(|error| Trouble::of(&error, self.namespace())),
        }
    }

    fn connected(&self) -> Result<Client, Trouble> {
        let mut client = self.client();
        if let Some(client) = &*client {
            return Ok(client.clone());
        }
        let made = Client::try_from(self.config.clone());
        let made = made.map_err(|error| Trouble::of(&error, self.namespace()))?;
        Ok(client.insert(made).clone())
    }

    fn client(&self) -> MutexGuard<'_, Option<Client>> {
        self.client.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A namespace, for things of a kind that has them.
struct Namespaced(String);

impl Namespaced {
    fn with<K>(&self, client: Client) -> Api<K>
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(client, &self.0)
    }
}

/// What becomes of a set.
pub type Watched = BoxStream<'static, Result<WatchEvent<StatefulSet>, kube::Error>>;
