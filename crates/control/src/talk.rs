//! A scaler's side of one stream.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use memtide_limits::{Grant, ProxyId};
use memtide_topology::{CacheId, Epoch, Topology};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time;
use tonic::{Status, Streaming};

use crate::codec::{self, Malformed};
use crate::grants::{of_demand, to_grant};
use crate::hearing::LEADER_METADATA;
use crate::limits::{
    COUNTED_PER_BEAT_MAX, REGISTRATION_TIME_MAX, REPORTS_PER_MESSAGE_MAX, SLOT_USES_MAX,
};
use crate::pushes::Pushes;
use crate::schema::{self, NodeSays, ProxySays, ScalerSays, node_says, proxy_says, scaler_says};
use crate::session::Order;
use crate::topologies::Encodings;
use crate::{
    Adopted, Closed, Counted, Incoming, NodeUsage, Program, Registration, Session, SessionId,
    SlotUse, TicketSecret, fleet_of,
};

/// What all streams share.
pub struct Talk {
    pub cache: CacheId,
    pub topologies: watch::Receiver<Arc<Topology>>,
    pub encodings: Encodings,
    pub item_size_max: u32,
    pub closed: watch::Receiver<Option<Closed>>,
    pub in_doubt: watch::Receiver<bool>,
    pub tickets: watch::Receiver<Vec<TicketSecret>>,
    pub incoming: mpsc::Sender<Incoming>,
}

/// Where a stream's messages go.
pub type Say = mpsc::Sender<Result<ScalerSays, Status>>;

/// A node's stream, from its registration to its end.
pub async fn with_node(
    talk: &Talk,
    (id, peer): (SessionId, SocketAddr),
    mut heard: Streaming<NodeSays>,
    say: Say,
) {
    let registration = match first(heard.message()).await.and_then(node_registration) {
        Ok(registration) => registration,
        Err(status) => return talk.refuse(&say, peer, status).await,
    };
    let comes = Comes {
        who: format!("the node at {}", registration.address),
        cache: registration.cache.clone(),
        adopted: registration.adopted,
        item_size_max: registration.item_size_max,
    };
    if let Err(status) = talk.check(comes).await {
        return talk.refuse(&say, peer, status).await;
    }
    let (session, orders) = Session::new(id, peer);
    if talk.incoming.send(Incoming::NodeCame { session, registration }).await.is_err() {
        return;
    }
    let pushes = Pushes::new(talk);
    if let Err(status) = node_stream(talk, id, (&mut heard, &say), (orders, pushes)).await {
        talk.refuse(&say, peer, status).await;
    }
    // Where the loop is gone, nobody wants to know.
    let _ = talk.incoming.send(Incoming::NodeLeft { session: id }).await;
}

/// A proxy's stream, from its registration to its end.
pub async fn with_proxy(
    talk: &Talk,
    (id, peer): (SessionId, SocketAddr),
    mut heard: Streaming<ProxySays>,
    say: Say,
) {
    let program = match proxy_registered(talk, peer, &mut heard).await {
        Ok(program) => program,
        Err(status) => return talk.refuse(&say, peer, status).await,
    };
    if talk.incoming.send(Incoming::ProxyCame { session: id, program }).await.is_err() {
        return;
    }
    let mut pushes = Pushes::of_proxy(talk);
    let (mut closed, mut in_doubt) = (talk.closed.clone(), talk.in_doubt.clone());
    let mut tickets = talk.tickets.clone();
    tickets.mark_changed();
    let (adopted, counted, written) = (Epoch::ZERO, Vec::new(), None);
    let mut came = Some(Incoming::ProxyBeat { session: id, peer, adopted, counted, written });
    let mut answers = Answers::default();
    loop {
        if let Some(came) = came.take() {
            let is_last = matches!(came, Incoming::ProxyLeaving { .. });
            if talk.incoming.send(came).await.is_err() {
                return;
            }
            if is_last {
                break;
            }
        }
        tokio::select! {
            message = heard.message() => match message.ok().flatten().map(|it| it.says) {
                None => break,
                Some(Some(proxy_says::Says::SendWhole(_))) => pushes.from = None,
                Some(says) => came = proxy_said((id, peer), says, &mut answers),
            },
            grant = answered(&mut answers.grant) => pushes.grant = grant.as_ref().map(grant_message),
            written = answered(&mut answers.written) => pushes.written = written.map(written_message),
            Ok(()) = in_doubt.changed() => pushes.in_doubt(*in_doubt.borrow_and_update()),
            Ok(()) = tickets.changed() => {
                pushes.tickets = tickets_message(&tickets.borrow_and_update());
            }
            is_open = pushes.next(talk, &say) => if !is_open { break },
            Ok(status) = why_closed(&mut closed) => {
                talk.refuse(&say, peer, status).await;
                break;
            }
        }
    }
    let _ = talk.incoming.send(Incoming::ProxyLeft { session: id }).await;
}

/// What a proxy runs that registers, and may.
async fn proxy_registered(
    talk: &Talk,
    peer: SocketAddr,
    heard: &mut Streaming<ProxySays>,
) -> Result<Program, Status> {
    let Some(proxy_says::Says::Registration(mut it)) = first(heard.message()).await?.says else {
        return Err(malformed(Malformed::NoRegistration));
    };
    let program = it.program.take().map(Program::from).unwrap_or_default();
    talk.check(proxy_comes(&it, peer)?).await?;
    Ok(program)
}

/// Where the loop's answers to what a proxy said come from.
#[derive(Default)]
struct Answers {
    grant: Option<oneshot::Receiver<Grant>>,
    written: Option<oneshot::Receiver<Vec<u64>>>,
}

/// What a proxy says to the loop.
fn proxy_said(
    (session, peer): (SessionId, SocketAddr),
    says: Option<proxy_says::Says>,
    answers: &mut Answers,
) -> Option<Incoming> {
    Some(match says {
        Some(proxy_says::Says::Beat(it)) => {
            let counted = it.counted.into_iter().take(COUNTED_PER_BEAT_MAX).map(Counted::from);
            let (adopted, counted) = (Epoch::new(it.adopted), counted.collect::<Vec<_>>());
            // One that tells of processes before it wants to be rid of them.
            let written = (counted.len() > 1).then(|| {
                let (reply, replied) = oneshot::channel();
                answers.written = Some(replied);
                reply
            });
            Incoming::ProxyBeat { session, peer, adopted, counted, written }
        }
        Some(proxy_says::Says::Demand(it)) => {
            let (reply, replied) = oneshot::channel();
            answers.grant = Some(replied);
            let (proxy, demand) = of_demand(&it);
            Incoming::ProxyDemand { proxy, demand, reply }
        }
        Some(proxy_says::Says::Leaving(it)) => {
            Incoming::ProxyLeaving { proxy: ProxyId(it.process) }
        }
        // A newer proxy's, or none of the loop's.
        Some(proxy_says::Says::Registration(_) | proxy_says::Says::SendWhole(_)) | None => {
            return None;
        }
    })
}

/// The newest answer, once it is there; `None` where there is to be none.
async fn answered<T>(answering: &mut Option<oneshot::Receiver<T>>) -> Option<T> {
    let Some(replied) = answering else { return std::future::pending().await };
    let answer = replied.await.ok();
    *answering = None;
    answer
}

const fn written_message(processes: Vec<u64>) -> ScalerSays {
    ScalerSays { says: Some(scaler_says::Says::CountsWritten(schema::CountsWritten { processes })) }
}

/// `None` where there are none.
fn tickets_message(secrets: &[TicketSecret]) -> Option<ScalerSays> {
    let secrets: Vec<_> =
        secrets.iter().map(|secret| Bytes::copy_from_slice(secret.bytes())).collect();
    let says = scaler_says::Says::TicketSecrets;
    (!secrets.is_empty())
        .then(|| ScalerSays { says: Some(says(schema::TicketSecrets { secrets })) })
}

fn grant_message(grant: &Grant) -> ScalerSays {
    ScalerSays { says: Some(scaler_says::Says::Grant(to_grant(grant))) }
}

/// `Ok` where the stream ended or broke, or the loop let it go; `Err` where the node is to be told why.
async fn node_stream(
    talk: &Talk,
    session: SessionId,
    (heard, say): (&mut Streaming<NodeSays>, &Say),
    (mut orders, mut pushes): (mpsc::UnboundedReceiver<Order>, Pushes),
) -> Result<(), Status> {
    let mut is_refused = false;
    let (mut closed, mut in_doubt) = (talk.closed.clone(), talk.in_doubt.clone());
    loop {
        tokio::select! {
            Ok(status) = why_closed(&mut closed) => return Err(status),
            Ok(()) = in_doubt.changed() => pushes.in_doubt(*in_doubt.borrow_and_update()),
            order = orders.recv(), if !is_refused => {
                // Without a session nobody is interested in this node: it is to try again.
                let order = order.ok_or_else(|| talk.dropped())?;
                is_refused = match order {
                    Order::TurnAway(why) => return Err(Status::unavailable(why)),
                    order => pushes.order(order),
                };
            }
            message = heard.message() => {
                let Some(message) = message.ok().flatten() else { return Ok(()) };
                match message.says {
                    Some(node_says::Says::SendWhole(_)) => pushes.from = None,
                    says => {
                        let Some(incoming) = node_said(session, says).map_err(malformed)? else {
                            continue;
                        };
                        if talk.incoming.send(incoming).await.is_err() {
                            return Ok(());
                        }
                    }
                }
            }
            is_open = pushes.next(talk, say) => {
                if !is_open || pushes.is_over {
                    return Ok(());
                }
            }
        }
    }
}

fn node_said(
    session: SessionId,
    says: Option<node_says::Says>,
) -> Result<Option<Incoming>, Malformed> {
    Ok(Some(match says {
        Some(node_says::Says::Beat(it)) => {
            let usage = it.usage.map(NodeUsage::from).unwrap_or_default();
            Incoming::NodeBeat { session, adopted: Epoch::new(it.adopted), usage }
        }
        Some(node_says::Says::SlotUses(it)) => {
            if it.slots.len() > SLOT_USES_MAX {
                return Err(Malformed::SlotUsesMax);
            }
            let slots = it.slots.into_iter().map(SlotUse::try_from).collect::<Result<_, _>>()?;
            Incoming::NodeSlotUses { session, slots }
        }
        Some(node_says::Says::Reports(it)) => {
            if it.reports.len() > REPORTS_PER_MESSAGE_MAX {
                return Err(Malformed::ReportsMax);
            }
            let known = it.reports.iter().filter_map(|it| codec::report(it).transpose());
            Incoming::NodeReports { session, reports: known.collect::<Result<_, _>>()? }
        }
        Some(node_says::Says::Leaving(_)) => Incoming::NodeLeaving { session },
        Some(node_says::Says::Registration(_)) => return Err(Malformed::SecondRegistration),
        // A newer node's, or none of the loop's.
        Some(node_says::Says::SendWhole(_)) | None => return Ok(None),
    }))
}

/// What is looked at before a peer is taken.
struct Comes {
    /// For people.
    who: String,
    cache: CacheId,
    adopted: Adopted,
    item_size_max: u32,
}

impl Talk {
    /// Whether this scaler is the one that the peer follows.
    async fn check(&self, comes: Comes) -> Result<(), Status> {
        let Comes { who, cache: theirs, adopted, item_size_max } = comes;
        if theirs != self.cache {
            let why = format!("this scaler is of the cache {}, not {theirs}", self.cache);
            return Err(Status::failed_precondition(why));
        }
        if ![0, self.item_size_max].contains(&item_size_max) {
            let why = format!(
                "--item-size-max of this fleet is {} bytes, not {item_size_max}; give the same to the scaler, all nodes and all proxies",
                self.item_size_max
            );
            return Err(Status::failed_precondition(why));
        }
        let closed = self.closed.borrow().as_ref().map(turned_away);
        // Who is ahead is told of all the same: it may be further ahead.
        let ahead = self.ahead(adopted);
        if ahead.is_some() && self.incoming.send(Incoming::Ahead { who, adopted }).await.is_err() {
            return Err(Status::unavailable("the scaler stops"));
        }
        closed.or_else(|| ahead.map(Status::unavailable)).map_or(Ok(()), Err)
    }

    /// Whether this scaler leads, as far as it can know.
    pub fn leads(&self) -> bool {
        self.closed.borrow().is_none() && !*self.in_doubt.borrow()
    }

    /// What a node is told whose session was dropped.
    fn dropped(&self) -> Status {
        let closed = self.closed.borrow();
        closed.as_ref().map_or_else(|| Status::unavailable("replaced or shut down"), turned_away)
    }

    /// Why a peer cannot have it from here what it has adopted.
    fn ahead(&self, adopted: Adopted) -> Option<String> {
        let topology = self.topologies.borrow();
        let (ours, has) = (fleet_of(&topology), topology.epoch().number());
        let epoch = adopted.epoch.number();
        if adopted.is_nothing() {
            return None;
        }
        if adopted.fleet != ours {
            let theirs = adopted.fleet;
            return Some(format!(
                "it is of the fleet {ours:016x}, and this process of {theirs:016x}"
            ));
        }
        (epoch > has)
            .then(|| format!("it has epoch {has} of the topology, and this process epoch {epoch}"))
    }

    async fn refuse(&self, say: &Say, peer: SocketAddr, status: Status) {
        self.note_refusal(peer, status.message().to_owned());
        // Whoever has gone meanwhile need not know.
        let _ = say.send(Err(status)).await;
    }

    /// Tells the loop that a peer was turned away.
    pub fn note_refusal(&self, peer: SocketAddr, why: String) {
        // There may be many of them, and others are heard first.
        let _ = self.incoming.try_send(Incoming::Refused { peer, why });
    }
}

fn node_registration(message: NodeSays) -> Result<Registration, Status> {
    match message.says {
        Some(node_says::Says::Registration(it)) => Registration::try_from(it).map_err(malformed),
        _ => Err(malformed(Malformed::NoRegistration)),
    }
}

fn proxy_comes(it: &schema::ProxyRegistration, peer: SocketAddr) -> Result<Comes, Status> {
    Ok(Comes {
        who: format!("a proxy at {}", peer.ip()),
        cache: CacheId::new(&it.cache).ok_or_else(|| malformed(Malformed::Cache))?,
        adopted: Adopted { fleet: it.fleet, epoch: Epoch::new(it.adopted) },
        item_size_max: it.item_size_max,
    })
}

/// Ready with the reason once nobody is heard any more; an error where that can never be.
async fn why_closed(
    closed: &mut watch::Receiver<Option<Closed>>,
) -> Result<Status, watch::error::RecvError> {
    let closed = closed.wait_for(Option::is_some).await?;
    Ok(turned_away(closed.as_ref().expect("it was waited for")))
}

/// What a peer is told: why, and where to go next.
fn turned_away(closed: &Closed) -> Status {
    let mut status = Status::unavailable(closed.why.clone());
    let leader = closed.leader.as_ref().and_then(|leader| leader.parse().ok());
    if let Some(leader) = leader {
        status.metadata_mut().insert(LEADER_METADATA, leader);
    }
    status
}

/// The first message of a stream, within [`REGISTRATION_TIME_MAX`].
async fn first<T>(message: impl Future<Output = Result<Option<T>, Status>>) -> Result<T, Status> {
    let message = time::timeout(REGISTRATION_TIME_MAX, message).await;
    let message = message.map_err(|_| Status::deadline_exceeded("no registration in time"))??;
    message.ok_or_else(|| malformed(Malformed::NoRegistration))
}

fn malformed(error: Malformed) -> Status {
    Status::invalid_argument(error.to_string())
}
