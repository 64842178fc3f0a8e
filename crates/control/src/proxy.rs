use std::sync::Arc;

use memtide_limits::{Grant, Report};
use memtide_topology::{Epoch, Topology};
use rustls::ClientConfig;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{self, MissedTickBehavior};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use crate::grants::to_demand;
use crate::hearing::{End, Heard, client, hear};
use crate::limits::{COUNTED_PER_BEAT_MAX, LEAVE_TIME_MAX, PROXY_BEAT_INTERVAL};
use crate::reach::{Another, Reach, Trouble, found};
use crate::schema::{self, ScalerSays, proxy_says};
use crate::topologies::Followed;
use crate::transport::Connection;
use crate::{Adopted, Counted, ProxyRegistration, TicketSecret};

/// A proxy's side of the control stream; may be used from any thread. It ends when this is dropped,
/// and the topologies stay what they were.
#[derive(Debug)]
pub struct ProxyControl {
    topologies: watch::Receiver<Arc<Topology>>,
    refused: watch::Receiver<Option<String>>,
    trouble: Arc<Trouble>,
    demand: watch::Sender<Demand>,
    grants: watch::Receiver<Option<Grant>>,
    counted: watch::Sender<Vec<Counted>>,
    written: watch::Receiver<Vec<u64>>,
    tickets: watch::Receiver<Vec<TicketSecret>>,
    process: u64,
    task: JoinHandle<()>,
}

/// What the proxy wants of the limit of ECPUs.
#[derive(Clone, Copy, Debug, Default)]
struct Demand {
    report: Option<Report>,
    /// It serves nobody any more.
    is_leaving: bool,
}

/// What the task tells the others.
struct Told {
    registration: ProxyRegistration,
    topologies: watch::Sender<Arc<Topology>>,
    refused: watch::Sender<Option<String>>,
    demand: watch::Receiver<Demand>,
    grants: watch::Sender<Option<Grant>>,
    counted: watch::Receiver<Vec<Counted>>,
    written: watch::Sender<Vec<u64>>,
    tickets: watch::Sender<Vec<TicketSecret>>,
}

impl ProxyControl {
    /// Follows the topologies of a cache from whichever of these scalers (`host:port`) answers, from a
    /// task on `runtime`, and keeps at it for as long as it is not refused; once it has a topology, for
    /// ever.
    ///
    /// `tls` is to verify that the peer is called [`crate::SCALER_NAME`], and shows the certificate of a
    /// proxy.
    #[must_use]
    pub fn spawn(
        runtime: &Handle,
        endpoints: Vec<String>,
        tls: &ClientConfig,
        registration: ProxyRegistration,
    ) -> Self {
        let (to_topologies, topologies) = watch::channel(Arc::new(Topology::empty()));
        let (to_refused, refused) = watch::channel(None);
        let trouble = Arc::<Trouble>::default();
        let process = registration.process;
        let reach = Reach::new(endpoints, tls, process, Arc::clone(&trouble));
        let (demand, demanded) = watch::channel(Demand::default());
        let (to_grants, grants) = watch::channel(None);
        let (counted, to_say) = watch::channel(Vec::new());
        let (to_written, written) = watch::channel(Vec::new());
        let (to_tickets, tickets) = watch::channel(Vec::new());
        let told = Told {
            registration,
            topologies: to_topologies,
            refused: to_refused,
            demand: demanded,
            grants: to_grants,
            counted: to_say,
            written: to_written,
            tickets: to_tickets,
        };
        let task = runtime.spawn(run(told, reach));
        Self {
            topologies,
            refused,
            trouble,
            demand,
            grants,
            counted,
            written,
            tickets,
            process,
            task,
        }
    }

    /// The newest topology; [`Topology::empty`] before the first.
    #[must_use]
    pub fn topologies(&self) -> watch::Receiver<Arc<Topology>> {
        self.topologies.clone()
    }

    /// Says what is wanted of the limit of ECPUs. Only the newest is sent, and none that was said while
    /// there was no stream.
    pub fn report(&self, report: Report) {
        self.demand.send_modify(|demand| demand.report = Some(report));
    }

    /// The newest answer to a report.
    #[must_use]
    pub fn grants(&self) -> watch::Receiver<Option<Grant>> {
        self.grants.clone()
    }

    /// Says what this process has counted since it began, and behind that what processes before it had, at
    /// most [`COUNTED_PER_BEAT_MAX`] together: at once, again with each beat, and on each stream.
    pub fn count(&self, mut counted: Vec<Counted>) {
        counted.truncate(COUNTED_PER_BEAT_MAX);
        self.counted.send_replace(counted);
    }

    /// The random number of this process.
    #[must_use]
    pub const fn process(&self) -> u64 {
        self.process
    }

    /// Processes whose counts, as they were said, the scaler has written down: what it said last.
    #[must_use]
    pub fn written(&self) -> Vec<u64> {
        self.written.borrow().clone()
    }

    /// What the fleet's proxies make the keys of session tickets from, the newest first; none before the
    /// scaler has said so.
    #[must_use]
    pub fn ticket_secrets(&self) -> watch::Receiver<Vec<TicketSecret>> {
        self.tickets.clone()
    }

    /// Says that this proxy serves nobody any more, so that others may have what it was granted, and ends
    /// the stream. What it has counted is said before. Waits until that was heard, for [`LEAVE_TIME_MAX`] at most.
    pub async fn leave(&self) {
        self.demand.send_modify(|demand| demand.is_leaving = true);
        // Without a stream, nobody is told.
        let mut grants = self.grants.clone();
        let _ =
            time::timeout(LEAVE_TIME_MAX, async { while grants.changed().await.is_ok() {} }).await;
    }

    /// Ready once the scaler has refused this proxy for good, with the reason.
    pub async fn refused(&self) -> String {
        let mut refused = self.refused.clone();
        let why = refused.wait_for(Option::is_some).await.ok().and_then(|why| why.clone());
        match why {
            Some(why) => why,
            // The task ends without a word only where its runtime does.
            None => std::future::pending().await,
        }
    }

    /// Why there is no stream now, or `None` where there is one or none was tried.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        self.trouble.now()
    }
}

impl Drop for ProxyControl {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn run(mut told: Told, mut reach: Reach) {
    loop {
        let connection = reach.connect().await;
        match stream(&mut told, &connection, &mut reach).await {
            // It has heard that this proxy leaves.
            End::Lost(_) | End::Elsewhere(..) if told.demand.borrow().is_leaving => return,
            End::Lost(why) => reach.failed(&why),
            End::Elsewhere(why, leader) => reach.follow(&why, leader),
            End::Refused(why) => {
                told.refused.send_replace(Some(why));
                return;
            }
        }
    }
}

/// One stream from its registration to its end.
async fn stream(told: &mut Told, connection: &Connection, reach: &mut Reach) -> End {
    let (say, said) = mpsc::channel(1);
    let mut heard = match open(connection, &say, said, told).await {
        Ok(heard) => heard,
        Err(status) => return End::of_status(&status, told.adopted()),
    };
    let mut followed = Followed::new(told.registration.cache.clone(), told.adopted().fleet);
    let mut beats = time::interval(PROXY_BEAT_INTERVAL);
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // What was wanted before is out of date.
    told.demand.mark_unchanged();
    let mut another: Another = None;
    loop {
        let says = tokio::select! {
            leader = found(&mut another) => return End::moved(leader),
            message = heard.message() => {
                let message = match message {
                    Ok(Some(message)) => message,
                    Ok(None) => return End::Lost("it ended the stream".to_owned()),
                    Err(status) => return End::of_status(&status, told.adopted()),
                };
                match hear(&mut followed, message, told.adopted()) {
                    Heard::Topology(topology) => {
                        reach.succeeded();
                        told.topology(topology);
                        continue;
                    }
                    Heard::Unfit => proxy_says::Says::SendWhole(schema::SendWhole {}),
                    Heard::End(end) => return end,
                    Heard::InDoubt(is_so) => {
                        another = reach.doubt(is_so);
                        continue;
                    }
                    other => {
                        told.heard(other);
                        continue;
                    }
                }
            }
            Ok(()) = told.demand.changed() => match told.wants() {
                Some(says) => {
                    // Nothing is heard after that.
                    let is_last = matches!(says, proxy_says::Says::Leaving(_));
                    if is_last && say.send(message_of(told.beat())).await.is_err() {
                        return End::Lost("the stream broke".to_owned());
                    }
                    says
                }
                None => continue,
            },
            Ok(()) = told.counted.changed() => told.beat(),
            _ = beats.tick() => told.beat(),
        };
        if say.send(message_of(says)).await.is_err() {
            return End::Lost("the stream broke".to_owned());
        }
    }
}

impl Told {
    /// What is only to be passed on; of the rest nothing is a proxy's.
    fn heard(&self, heard: Heard) {
        match heard {
            Heard::Grant(grant) => drop(self.grants.send_replace(Some(grant))),
            Heard::CountsWritten(processes) => drop(self.written.send_replace(processes)),
            Heard::TicketSecrets(secrets) => drop(self.tickets.send_replace(secrets)),
            _ => {}
        }
    }

    /// What is to be said of the limit of ECPUs.
    fn wants(&self) -> Option<proxy_says::Says> {
        let process = self.registration.process;
        let Demand { report, is_leaving } = *self.demand.borrow();
        if is_leaving {
            return Some(proxy_says::Says::Leaving(schema::ProxyLeaving { process }));
        }
        report.map(|report| proxy_says::Says::Demand(to_demand(process, &report)))
    }

    /// That it lives, what it routes by, and what it has counted.
    fn beat(&mut self) -> proxy_says::Says {
        let adopted = self.topologies.borrow().epoch().number();
        let counted = self.counted.borrow_and_update().iter().map(schema::Counted::from).collect();
        proxy_says::Says::Beat(schema::ProxyBeat { adopted, counted })
    }

    fn adopted(&self) -> Adopted {
        Adopted::of(&self.topologies.borrow())
    }

    /// Only newer ones: an endpoint that was away may have an older one.
    fn topology(&self, topology: Arc<Topology>) {
        self.topologies.send_if_modified(|now| {
            let is_newer = now.epoch() < topology.epoch() || now.epoch() == Epoch::ZERO;
            if is_newer {
                *now = topology;
            }
            is_newer
        });
    }
}

async fn open(
    connection: &Connection,
    say: &mpsc::Sender<schema::ProxySays>,
    said: mpsc::Receiver<schema::ProxySays>,
    told: &Told,
) -> Result<Streaming<ScalerSays>, Status> {
    let mut client = client(connection);
    let adopted = told.adopted();
    let first = schema::ProxyRegistration {
        cache: told.registration.cache.name().to_owned(),
        fleet: adopted.fleet,
        adopted: adopted.epoch.number(),
        item_size_max: told.registration.item_size_max,
        program: Some(schema::Program::from(&told.registration.program)),
    };
    let first = message_of(proxy_says::Says::Registration(first));
    say.try_send(first).expect("the channel has room for one");
    Ok(client.proxy(ReceiverStream::new(said)).await?.into_inner())
}

fn message_of(says: proxy_says::Says) -> schema::ProxySays {
    schema::ProxySays { says: Some(says) }
}
