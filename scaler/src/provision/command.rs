//! Nodes that an operator's program starts and ends: the command hook. docs/operations/scaling.md is its contract.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use memtide_topology::CacheId;
use serde_json::{Value, json};
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::limits::{ASK_INTERVAL, ASK_INTERVAL_MIN};
use super::offered::{Offered, Word};
use super::script::Script;
use super::{Order, ProvisionError, Provisioned, Provisioner, Supply, said};
use crate::clock;

/// Of the JSON that the program is given; another number where a program must be changed for it.
const VERSION: u32 = 1;

/// What is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandSettings {
    /// A program, not empty, and its first arguments.
    pub program: Vec<String>,
    /// A call that takes longer is ended, with all that it has started in its process group.
    pub time_max: Duration,
    /// Whose nodes they are.
    pub cache: CacheId,
}

/// Calls a program for each of what a [`Provisioner`] does. What can be had is asked in the background until this is
/// dropped.
pub struct CommandProvisioner {
    hook: Arc<Hook>,
    asking: JoinHandle<()>,
}

struct Hook {
    script: Script,
    cache: CacheId,
    offered: Mutex<Offered>,
    /// What can be had is another thing than before.
    changed: Notify,
}

impl CommandProvisioner {
    /// Asks what can be had from now on, on this runtime.
    #[must_use]
    pub fn spawn(runtime: &Handle, settings: CommandSettings) -> Self {
        let CommandSettings { program: words, time_max, cache } = settings;
        let script = Script { words, time_max };
        let (offered, changed) = (Mutex::default(), Notify::new());
        let hook = Arc::new(Hook { script, cache, offered, changed });
        let asking = runtime.spawn(Arc::clone(&hook).ask());
        Self { hook, asking }
    }
}

impl Drop for CommandProvisioner {
    fn drop(&mut self) {
        self.asking.abort();
    }
}

impl fmt::Debug for CommandProvisioner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CommandProvisioner").field(&self.hook.script.words).finish()
    }
}

impl Provisioner for CommandProvisioner {
    fn name(&self) -> &'static str {
        "command"
    }

    fn supplies(&self) -> Vec<Supply> {
        self.hook.offered().supplies(clock::now())
    }

    fn outlives_scaler(&self) -> bool {
        true
    }

    fn call_time_max(&self) -> Duration {
        // The program's own bound says more of why.
        self.hook.script.time_max + Duration::from_secs(5)
    }

    fn start(&self, order: Order) -> Provisioned {
        let hook = Arc::clone(&self.hook);
        Box::pin(async move {
            let _taking = Taking::of(&hook, &order);
            let Order { instance, kind, zone, memory, is_spare } = order;
            let zone = zone.name();
            let of = json!({ "instance": instance, "kind": kind, "zone": zone, "memory": memory, "spare": is_spare });
            hook.call("start", of).await.map(drop)
        })
    }

    fn resize(&self, instance: String, memory: u64) -> Provisioned {
        let hook = Arc::clone(&self.hook);
        Box::pin(async move {
            let of = json!({ "instance": instance, "memory": memory });
            hook.call("resize", of).await.map(drop)
        })
    }

    fn end(&self, instance: String) -> Provisioned {
        let hook = Arc::clone(&self.hook);
        Box::pin(async move {
            hook.call("end", json!({ "instance": instance })).await?;
            hook.changed.notify_one();
            Ok(())
        })
    }
}

impl Hook {
    async fn call(&self, name: &'static str, of: Value) -> Result<Vec<u8>, ProvisionError> {
        let mut input = json!({ "version": VERSION, "call": name, "cache": self.cache.name() });
        if let (Value::Object(all), Value::Object(of)) = (&mut input, of) {
            all.extend(of);
        }
        self.script.call(name, format!("{input}\n").into_bytes()).await
    }

    async fn supplies(&self) -> Result<Vec<Supply>, ProvisionError> {
        let answer = self.call("supplies", json!({})).await?;
        said::supplies(&answer).map_err(|problem| {
            ProvisionError(format!("{} supplies: {problem}", self.script.words.join(" ")))
        })
    }

    /// Keeps what is offered up to date, for ever.
    async fn ask(self: Arc<Self>) {
        loop {
            let ask = self.offered().begin_ask();
            let answer = self.supplies().await;
            let word = self.offered().hear(clock::now(), ask, answer);
            word.as_ref().into_iter().for_each(tell);
            sleep(ASK_INTERVAL_MIN).await;
            let rest = ASK_INTERVAL.saturating_sub(ASK_INTERVAL_MIN);
            // Whichever comes first.
            let _ = timeout(rest, self.changed.notified()).await;
        }
    }

    fn offered(&self) -> MutexGuard<'_, Offered> {
        self.offered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn tell(word: &Word) {
    match word {
        Word::Trouble(error) => tracing::warn!(%error, "what nodes can be had is as it was before"),
        Word::Nothing(error) => tracing::error!(%error, "no nodes can be had"),
        Word::Well => tracing::info!("the provisioning command says again what nodes can be had"),
    }
}

/// A node that is being started, however that ends.
struct Taking {
    hook: Arc<Hook>,
    id: u64,
}

impl Taking {
    fn of(hook: &Arc<Hook>, order: &Order) -> Self {
        let id = hook.offered().take(order);
        Self { hook: Arc::clone(hook), id }
    }
}

impl Drop for Taking {
    fn drop(&mut self) {
        self.hook.offered().taken(self.id);
        self.hook.changed.notify_one();
    }
}
