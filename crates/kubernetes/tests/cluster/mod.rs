//! A double of Kubernetes: an API server with what is asked of one here, and a controller that has pods come and go
//! as their `StatefulSet`s want. It can be told to fail.
#![allow(dead_code, reason = "no test uses all of it")]

mod api;
mod state;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::Duration;

use memtide_kubernetes::{Access, KubernetesProvisioner, Set, Timing};
use memtide_topology::Zone;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

pub use self::state::{Faults, State};

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
        std::fs::write(directory.path().join("token"), TOKEN).unwrap();
        let (stop, stopped) = oneshot::channel();
        let (bound, address) = std::sync::mpsc::channel();
        let shared = Arc::clone(&state);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(async {
                let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
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

    fn token_file(&self) -> PathBuf {
        self.directory.path().join("token")
    }

    /// The token counts no more; another one is in the file.
    pub fn rotate_token(&self) {
        "second-token".clone_into(&mut self.state().token);
        std::fs::write(self.token_file(), "second-token").unwrap();
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
        let url = format!("http://{}", self.address);
        let access = Access::at(&url, "shop", self.token_file()).unwrap();
        let set = |(zone, name): &(&str, &str)| Set {
            zone: Zone::new(zone).unwrap(),
            name: (*name).to_owned(),
        };
        let sets = sets.iter().map(set).collect();
        KubernetesProvisioner::spawn(runtime, access, sets, (4, timing))
    }

    pub fn path(&self) -> &Path {
        self.directory.path()
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
