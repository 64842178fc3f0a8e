//! A double of Kubernetes: an API server with what is asked of one here, and a controller that has pods come and go
//! as their `StatefulSet`s want. It can be told to fail.
#![allow(dead_code, reason = "no test uses all of it")]

mod api;
mod state;
mod tls;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::Duration;

use axum::serve::Listener as _;
use memtide_kubernetes::{Access, KubernetesProvisioner, Set, Timing};
use memtide_testkit::Authority;
use memtide_topology::Zone;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

pub use self::state::{Faults, State};
use self::tls::TlsListener;

/// What a token is at first.
const TOKEN: &str = "first-token";

/// One that runs until it is dropped.
pub struct Cluster {
    state: Arc<Mutex<State>>,
    address: SocketAddr,
    directory: tempfile::TempDir,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Cluster {
    /// With a set for each zone, of so many pods.
    pub fn start(sets: &[(&str, u32)]) -> Self {
        let state = Arc::new(Mutex::new(State::new(TOKEN)));
        for (name, replicas) in sets {
            state.lock().unwrap().put_set(name, *replicas);
        }
        let directory = tempfile::tempdir().unwrap();
        let authority = Authority::new("the API server's CA");
        let identity = authority.issue("the API server");
        let account =
            [("token", TOKEN), ("ca.crt", &authority.certificate_pem), ("namespace", "shop")];
        for (name, text) in account {
            std::fs::write(directory.path().join(name), text).unwrap();
        }
        let (stop, stopped) = oneshot::channel();
        let (bound, address) = std::sync::mpsc::channel();
        let shared = Arc::clone(&state);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(async {
                let listener = TlsListener::bind(&identity).await;
                bound.send(listener.local_addr().unwrap()).unwrap();
                let serve = axum::serve(listener, api::router(shared));
                tokio::select! {
                    served = serve => served.unwrap(),
                    _ = stopped => {}
                }
            });
        });
        let address = address.recv().unwrap();
        Self { state, address, directory, stop: Some(stop), thread: Some(thread) }
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Goes wrong from now on.
    pub fn faults(&self, faults: Faults) {
        self.state().faults = faults;
    }

    /// The token counts no more; another one is in the file.
    pub fn rotate_token(&self) {
        "second-token".clone_into(&mut self.state().token);
        std::fs::write(self.account().join("token"), "second-token").unwrap();
    }

    /// The account's CA is not that of this API server.
    pub fn distrust(&self) {
        let other = Authority::new("another CA").certificate_pem;
        std::fs::write(self.account().join("ca.crt"), other).unwrap();
    }

    /// As a scaler has it, for these sets, of at most four pods each.
    pub fn provisioner(&self, runtime: &Handle, sets: &[(&str, &str)]) -> KubernetesProvisioner {
        self.provisioner_with(runtime, sets, quick())
    }

    pub fn provisioner_with(
        &self,
        runtime: &Handle,
        sets: &[(&str, &str)],
        timing: Timing,
    ) -> KubernetesProvisioner {
        let url = format!("https://{}", self.address);
        let access = Access::at(&url, "shop", self.account()).unwrap();
        let set = |(zone, name): &(&str, &str)| Set {
            zone: Zone::new(zone).unwrap(),
            name: (*name).to_owned(),
        };
        let sets = sets.iter().map(set).collect();
        KubernetesProvisioner::spawn(runtime, access, sets, (4, timing))
    }

    /// The files of a service account, as they are in a pod.
    pub fn account(&self) -> &Path {
        self.directory.path()
    }

    pub const fn address(&self) -> SocketAddr {
        self.address
    }
}

/// For tests, which wait for what takes long.
pub fn quick() -> Timing {
    Timing {
        request_max: Duration::from_millis(500),
        call_max: Duration::from_secs(20),
        watch: Duration::from_secs(1),
        watch_grace: Duration::from_millis(500),
        view_age_max: Duration::from_secs(10),
        pauses: (Duration::from_millis(10), Duration::from_millis(100)),
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(ended.is_ok() || std::thread::panicking(), "the API server failed");
        }
    }
}
