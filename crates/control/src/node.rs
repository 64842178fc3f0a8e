use std::sync::Arc;

use rustls::ClientConfig;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use crate::hearing::{End, Heard, client, hear};
use crate::limits::{SLOT_USES_MAX, SPARE_CONNECTED_AFTER};
use crate::mailbox::{Inbox, Next, Outbox};
use crate::reach::{Another, Reach, Trouble, found};
use crate::schema::{self, ScalerSays, node_says};
use crate::topologies::Followed;
use crate::transport::Connection;
use crate::{Adopted, FromScaler, Registration, ToScaler};

/// A node's side of the control stream; may be used from any thread. It ends when this is dropped.
///
/// ```text
/// connect --> registered --> welcome --> topologies ... --> lost --> connect, as the same node
///                  \--> refused, for good: by a status only who was never welcome, else by a scaler
///                       that knows all that this node has adopted
/// ```
#[derive(Debug)]
pub struct NodeControl {
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Shared {
    outbox: Outbox,
    inbox: Inbox,
    trouble: Arc<Trouble>,
}

impl NodeControl {
    /// Registers with whichever of these scalers (`host:port`) answers, from a task on `runtime`, and
    /// keeps at it for as long as it is not refused.
    ///
    /// `tls` is to verify that the peer is called [`crate::SCALER_NAME`], and shows the certificate of a node.
    #[must_use]
    pub fn spawn(
        runtime: &Handle,
        endpoints: Vec<String>,
        tls: &ClientConfig,
        registration: Registration,
    ) -> Self {
        let shared = Arc::new(Shared::default());
        let trouble = Arc::clone(&shared.trouble);
        let reach = Reach::new(endpoints, tls, registration.process, trouble);
        let task = runtime.spawn(run(Arc::clone(&shared), reach, registration));
        Self { shared, task }
    }

    /// Says something; never waits. See [`ToScaler`] for what is dropped when.
    pub fn say(&self, said: ToScaler) {
        self.shared.outbox.put(said);
    }

    /// What is heard next; waits for it. Whoever is slow misses topologies that were followed by newer
    /// ones. Nothing is lost where the future is dropped. One caller at a time.
    pub async fn heard(&self) -> FromScaler {
        self.shared.inbox.next().await
    }

    /// Why there is no stream now, or `None` where there is one or none was tried.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        self.shared.trouble.now()
    }
}

impl Drop for NodeControl {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Shared {
    /// All that this node has heard of and adopted, from whomever.
    fn adopted(&self) -> Adopted {
        let heard = self.inbox.newest();
        Adopted { epoch: heard.epoch.max(self.outbox.adopted()), ..heard }
    }
}

async fn run(shared: Arc<Shared>, mut reach: Reach, mut registration: Registration) {
    loop {
        let connection = reach.connect().await;
        match stream(&shared, &connection, &mut reach, &mut registration).await {
            End::Lost(why) => reach.failed(&why),
            End::Elsewhere(why, leader) => reach.follow(&why, leader),
            End::Refused(why) => return shared.inbox.refuse(why),
        }
    }
}

/// One stream from its registration to its end.
async fn stream(
    shared: &Shared,
    connection: &Connection,
    reach: &mut Reach,
    registration: &mut Registration,
) -> End {
    registration.adopted = shared.adopted();
    let (say, said) = mpsc::channel(1);
    let first = node_says::Says::Registration((&*registration).into());
    let mut heard = match open(connection, &say, said, first).await {
        Ok(heard) => heard,
        Err(status) => return End::of_status(&status, shared.adopted()),
    };
    shared.outbox.begin();
    let mut followed = Followed::new(registration.cache.clone(), registration.adopted.fleet);
    let mut is_waiting = registration.is_spare && registration.node.is_none();
    let connected = tokio::time::sleep(SPARE_CONNECTED_AFTER);
    tokio::pin!(connected);
    let mut another: Another = None;
    loop {
        tokio::select! {
            leader = found(&mut another) => return End::moved(leader),
            () = &mut connected, if is_waiting => {
                is_waiting = false;
                reach.succeeded();
            }
            message = heard.message() => {
                let message = match message {
                    Ok(Some(message)) => message,
                    Ok(None) => return End::Lost("it ended the stream".to_owned()),
                    Err(status) => return End::of_status(&status, shared.adopted()),
                };
                match hear(&mut followed, message, shared.adopted()) {
                    Heard::Welcome(node) => {
                        (registration.node, is_waiting) = (Some(node), false);
                        registration.is_spare = false;
                        reach.succeeded();
                        shared.inbox.welcome(node);
                    }
                    Heard::Topology(topology) => shared.inbox.topology(topology),
                    Heard::InDoubt(is_so) => another = reach.doubt(is_so),
                    Heard::DataPart(part) => shared.inbox.data_part(part),
                    Heard::Grant(_)
                    | Heard::CountsWritten(_)
                    | Heard::TicketSecrets(_)
                    | Heard::Nothing => {}
                    Heard::Unfit => {
                        let again = node_says::Says::SendWhole(schema::SendWhole {});
                        if say.send(message_of(again)).await.is_err() {
                            return End::Lost("the stream broke".to_owned());
                        }
                    }
                    Heard::End(end) => return end,
                }
            }
            permit = next(&shared.outbox, &say) => match permit {
                Some((permit, next)) => permit.send(message_of(says(next))),
                None => return End::Lost("the stream broke".to_owned()),
            }
        }
    }
}

async fn open(
    connection: &Connection,
    say: &mpsc::Sender<schema::NodeSays>,
    said: mpsc::Receiver<schema::NodeSays>,
    first: node_says::Says,
) -> Result<Streaming<ScalerSays>, Status> {
    let mut client = client(connection);
    say.try_send(message_of(first)).expect("the channel has room for one");
    Ok(client.node(ReceiverStream::new(said)).await?.into_inner())
}

/// A place in the stream, and then what to put there: so what waits for a place is the newest.
async fn next<'a>(
    outbox: &Outbox,
    say: &'a mpsc::Sender<schema::NodeSays>,
) -> Option<(mpsc::Permit<'a, schema::NodeSays>, Next)> {
    let permit = say.reserve().await.ok()?;
    Some((permit, outbox.next().await))
}

fn says(next: Next) -> node_says::Says {
    match next {
        Next::Leaving => node_says::Says::Leaving(schema::Leaving {}),
        Next::Beat(adopted, usage) => {
            let usage = Some(schema::NodeUsage::from(&usage));
            node_says::Says::Beat(schema::NodeBeat { adopted: adopted.number(), usage })
        }
        Next::SlotUses(uses) => {
            let slots = uses.iter().take(SLOT_USES_MAX).map(schema::SlotUse::from).collect();
            node_says::Says::SlotUses(schema::SlotUses { slots })
        }
        Next::Reports(reports) => {
            let reports = reports.into_iter().map(schema::Report::from).collect();
            node_says::Says::Reports(schema::Reports { reports })
        }
    }
}

fn message_of(says: node_says::Says) -> schema::NodeSays {
    schema::NodeSays { says: Some(says) }
}
