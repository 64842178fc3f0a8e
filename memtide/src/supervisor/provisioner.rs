//! Node processes of this one as the scaler's to start and end.
//!
//! ```text
//! scaler's thread: ChildProvisioner --Ask--> Asked: the supervisor, on the main thread
//!                          ^------ answer, zones of all seats -----'
//! ```

use std::time::Duration;

use memtide_control::Capacity;
use memtide_limits::units::show_size;
use memtide_scaler::{Order, ProvisionError, Provisioned, Provisioner, Supply};
use memtide_topology::Zone;
use tokio::sync::{mpsc, oneshot, watch};

/// Asks that wait for the supervisor; more wait for these.
const ASKS_MAX: usize = 16;
/// ECPUs a second of a thousandth of a core: what a node says of itself.
const ECPU_PER_CPU: u64 = 150;
/// A process of this program joins in less.
const READY_IN: Duration = Duration::from_secs(1);

/// How many node processes there may be, and what each may have.
#[derive(Clone, Debug)]
pub struct Room {
    /// As many are started at once.
    pub nodes_min: usize,
    /// Over all zones, which have equal parts of it.
    pub nodes_max: usize,
    /// Not empty.
    pub zones: Vec<Zone>,
    /// Bytes that a node begins with.
    pub node_memory_min: u64,
    /// Bytes that a node can have.
    pub node_memory_max: u64,
    /// Thousandths of a core that a node can have.
    pub node_cpu: u64,
}

/// Starts node processes, and ends them; clones are the same.
#[derive(Clone, Debug)]
pub struct ChildProvisioner {
    room: Room,
    asks: mpsc::Sender<Ask>,
    /// The zone of each process that runs or is about to.
    seats: watch::Receiver<Vec<Zone>>,
}

/// The supervisor's end of it.
#[derive(Debug)]
pub struct Asked {
    pub room: Room,
    asks: mpsc::Receiver<Ask>,
    seats: watch::Sender<Vec<Zone>>,
}

/// What the supervisor is asked.
#[derive(Debug)]
pub struct Ask {
    pub what: What,
    pub answer: Answer,
}

/// Who waits for it.
pub type Answer = oneshot::Sender<Result<(), ProvisionError>>;

#[derive(Debug)]
pub enum What {
    /// As [`Provisioner::start`].
    Start(Order),
    /// As [`Provisioner::resize`].
    Resize(String, u64),
    /// As [`Provisioner::end`].
    End(String),
}

impl Room {
    /// The nodes that are there from the start.
    pub fn first(&self) -> Vec<Order> {
        let zones = self.zones.iter().cycle().take(self.nodes_min);
        let order = |(at, zone): (usize, &Zone)| Order {
            instance: format!("first-{}", at + 1),
            kind: String::new(),
            zone: zone.clone(),
            memory: self.node_memory_min,
            is_spare: false,
        };
        zones.enumerate().map(order).collect()
    }

    /// Whether a node that is ordered fits beside those that there are.
    ///
    /// # Errors
    /// Where it does not: why.
    pub fn check(&self, order: &Order, seats: &[Zone]) -> Result<(), ProvisionError> {
        let Order { kind, zone, .. } = order;
        if !kind.is_empty() {
            return Err(ProvisionError(format!("there is no kind \"{kind}\" of node processes")));
        }
        self.check_memory(order.memory)?;
        if self.left(zone, seats) == 0 {
            let most = self.nodes_max_in(zone);
            return Err(ProvisionError(format!(
                "zone {zone} has room for {most} node processes, and has as many"
            )));
        }
        Ok(())
    }

    /// Whether a node can have so much.
    ///
    /// # Errors
    /// Where it cannot: why.
    pub fn check_memory(&self, memory: u64) -> Result<(), ProvisionError> {
        let (least, most) = (self.node_memory_min, self.node_memory_max);
        if (least..=most).contains(&memory) {
            return Ok(());
        }
        let [memory, least, most] = [memory, least, most].map(show_size);
        Err(ProvisionError(format!(
            "{memory} for a node process, which can have {least} to {most}"
        )))
    }

    /// How many more fit into a zone.
    fn left(&self, zone: &Zone, seats: &[Zone]) -> usize {
        let there = seats.iter().filter(|it| *it == zone).count();
        self.nodes_max_in(zone).saturating_sub(there)
    }

    fn nodes_max_in(&self, zone: &Zone) -> usize {
        let Some(at) = self.zones.iter().position(|it| it == zone) else { return 0 };
        let zones = self.zones.len();
        self.nodes_max / zones + usize::from(at < self.nodes_max % zones)
    }

    fn supply(&self, zone: &Zone, seats: &[Zone]) -> Supply {
        Supply {
            kind: String::new(),
            zone: zone.clone(),
            capacity: Capacity {
                memory: self.node_memory_max,
                cpu: self.node_cpu,
                ecpu: self.node_cpu * ECPU_PER_CPU,
                ..Capacity::default()
            },
            memory_min: self.node_memory_min,
            nodes: u32::try_from(self.left(zone, seats)).unwrap_or(u32::MAX),
            ready_in: READY_IN,
            names: Vec::new(),
            there: Vec::new(),
        }
    }
}

impl ChildProvisioner {
    /// One for as many nodes as there is room for, and what the supervisor has of it.
    pub fn new(room: Room) -> (Self, Asked) {
        let (to_supervisor, asks) = mpsc::channel(ASKS_MAX);
        let zones = room.first().into_iter().map(|order| order.zone).collect();
        let (now, seats) = watch::channel(zones);
        let asked = Asked { room: room.clone(), asks, seats: now };
        (Self { room, asks: to_supervisor, seats }, asked)
    }

    /// The nodes that the supervisor starts by itself.
    pub fn initial(&self) -> Vec<Order> {
        self.room.first()
    }

    fn ask(&self, what: What) -> Provisioned {
        let asks = self.asks.clone();
        let gone = || ProvisionError("node processes are not looked after any more".to_owned());
        Box::pin(async move {
            let (answer, answered) = oneshot::channel();
            asks.send(Ask { what, answer }).await.map_err(|_| gone())?;
            answered.await.unwrap_or_else(|_| Err(gone()))
        })
    }
}

impl Provisioner for ChildProvisioner {
    fn name(&self) -> &'static str {
        "processes"
    }

    fn supplies(&self) -> Vec<Supply> {
        if self.asks.is_closed() {
            return Vec::new();
        }
        let seats = self.seats.borrow();
        self.room.zones.iter().map(|zone| self.room.supply(zone, &seats)).collect()
    }

    fn outlives_scaler(&self) -> bool {
        false
    }

    fn running(&self) -> Vec<Order> {
        self.initial()
    }

    fn start(&self, order: Order) -> Provisioned {
        self.ask(What::Start(order))
    }

    fn resize(&self, instance: String, memory: u64) -> Provisioned {
        self.ask(What::Resize(instance, memory))
    }

    fn end(&self, instance: String) -> Provisioned {
        self.ask(What::End(instance))
    }
}

impl Asked {
    /// The next ask; never where nobody asks any more.
    pub async fn next(&mut self) -> Ask {
        match self.asks.recv().await {
            Some(ask) => ask,
            None => std::future::pending().await,
        }
    }

    /// Says which zones have processes, a zone as often as it has some.
    pub fn show(&self, seats: Vec<Zone>) {
        self.seats.send_if_modified(|now| {
            let is_news = *now != seats;
            *now = seats;
            is_news
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub fn room(nodes_min: usize, nodes_max: usize, zones: &[&str]) -> Room {
        Room {
            nodes_min,
            nodes_max,
            zones: zones.iter().map(|name| Zone::new(name).unwrap()).collect(),
            node_memory_min: 64 << 20,
            node_memory_max: 1 << 30,
            node_cpu: 500,
        }
    }

    fn left(provisioner: &ChildProvisioner) -> Vec<(String, u32)> {
        let supplies = provisioner.supplies().into_iter();
        supplies.map(|it| (it.zone.name().to_owned(), it.nodes)).collect()
    }

    #[test]
    fn each_zone_offers_what_is_left_of_its_part() {
        let (provisioner, asked) = ChildProvisioner::new(room(4, 8, &["a", "b", "c"]));
        let first: Vec<_> = provisioner.running().into_iter().map(|it| it.instance).collect();
        assert_eq!(first, ["first-1", "first-2", "first-3", "first-4"]);
        let offers = |a, b, c| [("a", a), ("b", b), ("c", c)].map(|(it, n)| (it.to_owned(), n));
        // Of 3, 3 and 2, two of a and one each of the others run.
        assert_eq!(left(&provisioner), offers(1, 2, 1));
        asked.show(["a", "a", "a", "c", "c"].map(|name| Zone::new(name).unwrap()).to_vec());
        assert_eq!(left(&provisioner), offers(0, 3, 0));
        let supply = provisioner.supplies().remove(0);
        let capacity = Capacity { memory: 1 << 30, cpu: 500, ecpu: 75_000, network: 0 };
        assert_eq!((supply.capacity, supply.memory_min), (capacity, 64 << 20));
        drop(asked);
        assert_eq!(left(&provisioner), [], "nobody would start any");
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let room = room(1, 3, &["a", "b"]);
        let [a, b, c] = ["a", "b", "c"].map(|name| Zone::new(name).unwrap());
        let order = |zone: &Zone, memory: u64| {
            let (instance, zone) = ("x".to_owned(), zone.clone());
            Order { instance, kind: String::new(), zone, memory, is_spare: false }
        };
        let check = |order: &Order, seats: &[&Zone]| {
            let seats: Vec<_> = seats.iter().copied().cloned().collect();
            room.check(order, &seats).map_err(|error| error.to_string())
        };
        let memory = 64 << 20;
        assert_eq!(check(&order(&a, memory), &[&a]), Ok(()));
        assert_eq!(check(&order(&b, 1 << 30), &[&a, &a]), Ok(()));
        let full = "zone a has room for 2 node processes, and has as many";
        assert_eq!(check(&order(&a, memory), &[&a, &a]).unwrap_err(), full);
        let nowhere = "zone c has room for 0 node processes, and has as many";
        assert_eq!(check(&order(&c, memory), &[]).unwrap_err(), nowhere);
        let large = "2 GiB for a node process, which can have 64 MiB to 1 GiB";
        assert_eq!(check(&order(&a, 2 << 30), &[]).unwrap_err(), large);
        let odd = Order { kind: "big".to_owned(), ..order(&a, memory) };
        let kind = "there is no kind \"big\" of node processes";
        assert_eq!(check(&odd, &[]).unwrap_err(), kind);
    }
}
