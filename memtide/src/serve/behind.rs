//! What stands behind an endpoint: nothing but itself, a fleet that it joins, or node processes and
//! a scaler that it starts.

use std::sync::{Arc, OnceLock};

use memtide_control::{ProxyControl, ProxyRegistration, TicketSecret};
use memtide_limits::{ProxyId, Succession};
use memtide_manager::Settings;
use memtide_proxy::{EmbeddedBackend, FleetBackend};
use memtide_scaler::{Scaler, ScalerConfig, ScalerHandle};
use memtide_service::admin::{Condition, Health as _, RoleRoutes};
use memtide_service::events::Events;
use memtide_service::metrics::Source;
use memtide_service::tls::fleet::{FleetTls, Role};
use memtide_service::tls::{self, Reloader};
use memtide_topology::{CacheId, HashSeed, Topology, Zone};
use tokio::runtime::Handle;
use tokio::sync::watch;

use super::children::{self, Children};
use super::conditions;
use super::fleet::{Fleet, Supervising};
use super::hold::{self, Granting};
use super::parent_tls::ParentTls;
use super::scaler_port;
use crate::failure::Failure;
use crate::limits::KeptLimits;
use crate::settings::{self, Backend, EndpointConfig, Join};
use crate::stock::{Metered, Stored};
use crate::supervisor::Supervisor;

/// Certificates and sockets, taken before there is a log.
pub enum Prepared {
    Embedded,
    Joined { join: Join, tls: FleetTls },
    Processes { children: Box<Children>, scaler: Scaler, tls: Box<ParentTls>, limits: KeptLimits },
}

/// What runs behind the endpoint; ends when dropped.
pub enum Behind {
    Embedded,
    Joined {
        control: Arc<ProxyControl>,
        /// Why the scaler does not want this proxy, once it has said so.
        refused: Arc<OnceLock<String>>,
        zone: Option<Zone>,
        tls: FleetTls,
    },
    Processes {
        fleet: Box<Fleet>,
        tls: Box<ParentTls>,
    },
}

/// Takes what may fail for a reason that a user can do something about.
pub fn prepare(
    config: &EndpointConfig,
    events: &Events,
    limits: Option<&KeptLimits>,
) -> Result<Prepared, Failure> {
    let dir = &config.common.fleet_tls;
    let load = |role| FleetTls::load(dir, role).map_err(Failure::environment);
    match &config.backend {
        Backend::Embedded => Ok(Prepared::Embedded),
        Backend::Joined(join) => {
            Ok(Prepared::Joined { join: join.clone(), tls: load(Role::Proxy)? })
        }
        Backend::Processes(nodes) => {
            let limits = limits.expect("who has a scaler keeps the limits").clone();
            let tls = Box::new(ParentTls::make(dir).map_err(Failure::environment)?);
            let (children, scaling) = children::prepare(nodes);
            let scaler = Scaler::start(ScalerConfig {
                cache: cache(config),
                replicas: nodes.replicas,
                data_dir: config.common.fleet_dir.clone(),
                listener: scaler_port::listen(&config.common.fleet_dir)?,
                tls: tls.scaler.clone(),
                item_size_max: config.item_size_max,
                settings: Settings { nodes_min: nodes.count, ..Settings::default() },
                limits: limits.follow(),
                scaling,
                events: events.of("scaler"),
            });
            let scaler = scaler.map_err(Failure::environment)?;
            scaler_port::remember(&config.common.fleet_dir, scaler.address().port());
            Ok(Prepared::Processes { children: Box::new(children), scaler, tls, limits })
        }
    }
}

impl Prepared {
    /// What the log says of its lines: those of `serve` are all there are, or stand among others
    /// that say whose they are.
    pub const fn log_role(&self) -> &'static str {
        match self {
            Self::Joined { .. } => "proxy",
            _ => "",
        }
    }

    /// Starts it, on the runtime of the main thread.
    pub fn start(
        self,
        config: &EndpointConfig,
        runtime: &Handle,
        events: &Events,
    ) -> std::io::Result<(Behind, Supervising)> {
        let behind = match self {
            Self::Embedded => Behind::Embedded,
            Self::Joined { join, tls } => {
                let registration = ProxyRegistration {
                    cache: cache(config),
                    item_size_max: config.item_size_max,
                    process: crate::random(),
                    program: settings::program(config.versions),
                };
                let control =
                    ProxyControl::spawn(runtime, join.scalers, &tls.client(), registration);
                let (control, refused) = (Arc::new(control), Arc::<OnceLock<String>>::default());
                runtime.spawn(tell_refused(Arc::clone(&control), Arc::clone(&refused)));
                Behind::Joined { control, refused, zone: join.zone, tls }
            }
            Self::Processes { children, scaler, tls, limits } => {
                let plan = children.plan(config, &scaler, events);
                let _in_runtime = runtime.enter();
                let supervisor = Supervisor::start(plan)?;
                let running = supervisor.running();
                let supervising = Supervising::by(runtime.spawn(supervisor.run()));
                let metered = Metered::default();
                runtime.spawn(metered.clone().sample(scaler.handle(), limits));
                let fleet = Box::new(Fleet { scaler, running, metered });
                return Ok((Behind::Processes { fleet, tls }, supervising));
            }
        };
        Ok((behind, Supervising::default()))
    }
}

impl Behind {
    /// What the proxy is told.
    pub fn backend(
        &self,
        config: &EndpointConfig,
        limits: Option<&KeptLimits>,
    ) -> memtide_proxy::Backend {
        let (tls, zone) = match self {
            Self::Embedded => {
                let limits = limits.expect("who has the items keeps the limits");
                let most = hold::memory_max(config.memory_max, &limits.now());
                let does_grow = config.growth.is_some();
                return memtide_proxy::Backend::Embedded(EmbeddedBackend {
                    memory_max: config.memory_least().min(most),
                    memory_ceiling: if does_grow { most } else { 0 },
                    memory_capacity: if does_grow { config.memory_max } else { most },
                    seed: HashSeed::new(crate::random(), crate::random()),
                    metered_bytes_min: limits.metered_bytes_min(),
                });
            }
            Self::Joined { tls, zone, .. } => (tls, zone.clone()),
            Self::Processes { tls, .. } => (&tls.proxy, None),
        };
        memtide_proxy::Backend::Fleet(FleetBackend {
            tls: tls.client(),
            versions: config.versions,
            topologies: self.topologies().expect("a fleet has a topology"),
            settings: memtide_routing::Settings { zone, ..memtide_routing::Settings::default() },
        })
    }

    /// Whether every slot has somebody who answers for it.
    ///
    /// # Errors
    /// What is missing, as a fragment.
    pub fn ready(&self) -> Result<(), String> {
        let mut needed = self.conditions().into_iter().filter(|condition| condition.is_needed);
        needed.try_for_each(|condition| condition.state)
    }

    /// What is behind, and should be: the most needed first.
    pub fn conditions(&self) -> Vec<Condition> {
        let Some(topologies) = self.topologies() else { return Vec::new() };
        let topology = Arc::clone(&topologies.borrow());
        let scaler = match self {
            Self::Processes { fleet, .. } => {
                let ready = fleet.scaler.handle().ready();
                Condition::needed("the scaler of this process decides and stores", ready)
            }
            _ => Condition::wished("the scaler can be reached", self.trouble().map_or(Ok(()), Err)),
        };
        let slots = conditions::every_slot_has_a_primary(&topology, || self.trouble());
        vec![scaler, slots, conditions::every_slot_has_its_replicas(&topology)]
    }

    /// Has the certificates read again that the roles of a fleet know each other by: those of this
    /// process, and those of the processes that it has started.
    pub fn reload_tls(&self) {
        match self {
            Self::Embedded => {}
            Self::Joined { tls, .. } => crate::reload_fleet_tls(tls),
            Self::Processes { tls, fleet } => {
                tls.reload();
                fleet.running.reload();
            }
        }
    }

    /// Puts them in force by itself when their files change, for as long as that is kept.
    pub fn watch_tls(&self, events: &Events) -> std::io::Result<Option<Reloader>> {
        match self {
            Self::Embedded => Ok(None),
            Self::Joined { tls, .. } => tls::watch(Arc::new(tls.clone()), events.clone()).map(Some),
            Self::Processes { tls, .. } => {
                tls::watch(Arc::new(ParentTls::clone(tls)), events.clone()).map(Some)
            }
        }
    }

    /// Those that this process is known by.
    pub fn tls_metrics(&self) -> Vec<Arc<dyn Source>> {
        match self {
            Self::Embedded => Vec::new(),
            Self::Joined { tls, .. } => vec![Arc::new(tls.clone())],
            Self::Processes { tls, .. } => {
                vec![Arc::new(tls.scaler.clone()), Arc::new(tls.proxy.clone())]
            }
        }
    }

    /// Whether what this process has started still runs.
    ///
    /// # Errors
    /// What does not, as a fragment.
    pub fn healthy(&self) -> Result<(), String> {
        match self {
            Self::Processes { fleet, .. } => fleet.scaler.handle().healthy(),
            _ => Ok(()),
        }
    }

    /// What the admin HTTP answers of it.
    pub fn routes(&self) -> RoleRoutes {
        match self {
            Self::Processes { fleet, .. } => fleet.routes(),
            _ => RoleRoutes::default(),
        }
    }

    /// What `/metrics` shows of it.
    pub fn metrics(&self) -> Option<Arc<dyn Source>> {
        match self {
            Self::Processes { fleet, .. } => Some(fleet.metrics()),
            _ => None,
        }
    }

    /// What is stored, each item counted once; `None` where this process does not know.
    pub fn stored(&self) -> Option<Stored> {
        match self {
            Self::Processes { fleet, .. } => Some(fleet.stored()),
            _ => None,
        }
    }

    /// How this proxy comes by its part of the limit of ECPUs; `None` where it is the only one.
    pub fn granting(&self, succession: Option<Succession>) -> Option<Granting> {
        match self {
            Self::Embedded => None,
            Self::Joined { control, .. } => {
                let (control, grants) = (Arc::clone(control), control.grants());
                let report = Box::new(move |report| control.report(report));
                Some(Granting { succession, report, grants })
            }
            Self::Processes { fleet, .. } => {
                let (to, grants) = watch::channel(None);
                let (scaler, proxy) = (fleet.scaler.handle(), ProxyId(crate::random()));
                let report = Box::new(move |report| scaler.demand(proxy, report, &to));
                // Its scaler begins and ends with it.
                Some(Granting { succession: None, report, grants })
            }
        }
    }

    /// What the proxies of the fleet make the keys of session tickets from; `None` of the only one.
    pub fn ticket_secrets(&self) -> Option<watch::Receiver<Vec<TicketSecret>>> {
        match self {
            Self::Embedded => None,
            Self::Joined { control, .. } => Some(control.ticket_secrets()),
            Self::Processes { fleet, .. } => Some(fleet.scaler.ticket_secrets()),
        }
    }

    /// This process serves nobody any more.
    pub async fn leave(&self) {
        if let Self::Joined { control, .. } = self {
            control.leave().await;
        }
    }

    /// The scaler of this process.
    pub fn scaler(&self) -> Option<ScalerHandle> {
        match self {
            Self::Processes { fleet, .. } => Some(fleet.scaler.handle()),
            _ => None,
        }
    }

    /// How this proxy tells its scaler what it has counted, where that keeps the usage.
    pub fn control(&self) -> Option<Arc<ProxyControl>> {
        match self {
            Self::Joined { control, .. } => Some(Arc::clone(control)),
            _ => None,
        }
    }

    /// Why the scaler cannot be reached.
    fn trouble(&self) -> Option<String> {
        match self {
            Self::Joined { control, refused, .. } => {
                refused.get().cloned().or_else(|| control.trouble())
            }
            _ => None,
        }
    }

    /// The topology of the fleet, as it changes.
    pub fn topologies(&self) -> Option<watch::Receiver<Arc<Topology>>> {
        match self {
            Self::Embedded => None,
            Self::Joined { control, .. } => Some(control.topologies()),
            Self::Processes { fleet, .. } => Some(fleet.scaler.handle().topologies()),
        }
    }
}

/// A proxy that is refused goes on with what it has, and has nothing where it never had.
async fn tell_refused(control: Arc<ProxyControl>, refused: Arc<OnceLock<String>>) {
    let why = control.refused().await;
    tracing::error!(why, "the scaler does not want this proxy");
    let _ = refused.set(why);
}

fn cache(config: &EndpointConfig) -> CacheId {
    CacheId::new(&config.common.name).expect("the name was checked")
}
