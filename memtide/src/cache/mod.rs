//! `memtide cache`: looks at and changes a running cache, by the admin HTTP of its scaler.

pub mod ask;
mod events;
mod limits;
mod scaling;
mod table;
mod view;
mod wait;

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use memtide_records::usage::seconds;
use memtide_service::admin::token_of;
use memtide_service::config::{Given, duration};
use serde_json::json;

use self::ask::{Ask, Asked, Method};
use self::events::Wanted;
use crate::admin_tls::AdminTlsClient;
use crate::failure::Failure;
use crate::{settings, welcome};

/// Look at and change a running cache
#[derive(Args, Clone, Debug)]
pub struct Arguments {
    /// Print JSON as the admin HTTP gives it
    #[arg(long, global = true)]
    json: bool,

    /// What to look at or to change
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand, Clone, Debug)]
enum What {
    /// Show who holds which slots
    Topology {
        /// All ranges of slots, however many
        #[arg(long)]
        slots: bool,
    },
    /// Show the nodes: where they are, how they are, what they use
    Nodes,
    /// Show the slots that are on the move, and how far they are
    Migrations,
    /// Show what the scaler decides of the fleet by itself, why, and what came of it
    Scaling {
        /// May be left out
        #[arg(value_parser = ["explain"])]
        what: Option<String>,
    },
    /// Show what was used and what is metered for it, hour by hour
    Usage {
        /// From this hour on: a UTC time such as 2026-11-21T07:00:00Z, a day, or seconds since 1970
        #[arg(long, value_name = "TIME", value_parser = time)]
        from: Option<u64>,
        /// Before this one
        #[arg(long, value_name = "TIME", value_parser = time)]
        to: Option<u64>,
        /// How to print them
        #[arg(long, value_name = "FORMAT", default_value = "table")]
        format: Format,
    },
    /// Show what happened
    Events {
        /// Go on with what happens from now on, until stopped
        #[arg(long)]
        follow: bool,
        /// Only what happened after the event with this sequence
        #[arg(long, value_name = "SEQUENCE", default_value_t = 0, value_parser = sequence)]
        after: u64,
    },
    /// Have a node write its topology into a file, for a scaler that has lost its own; give --admin of that node
    SaveTopology,
    /// Change a node
    Node {
        #[command(subcommand)]
        change: NodeChange,
    },
    /// Change where slots are
    Slots {
        #[command(subcommand)]
        change: SlotsChange,
    },
    /// Show what the cache may use, or change it
    Limits {
        #[command(subcommand)]
        change: Option<LimitsChange>,
    },
    /// Change how many copies each slot has beside its primary
    Replicas {
        /// How many
        count: u8,
    },
}

#[derive(Subcommand, Clone, Debug)]
enum NodeChange {
    /// Move all slots away from a node; it leaves once it holds none
    Drain {
        /// Such as n3
        node: Node,
        /// Wait until it has left, for at most so long, such as 60s
        #[arg(long, value_name = "DURATION", value_parser = duration)]
        wait: Option<Duration>,
    },
    /// Let a node that is being drained hold slots again
    Undrain {
        /// Such as n3
        node: Node,
    },
    /// Tell that a node's process has ended for good; what only it held is lost
    Forget {
        /// Such as n3
        node: Node,
    },
}

#[derive(Subcommand, Clone, Debug)]
enum LimitsChange {
    /// Change them; what is not named stays as it is
    Set(limits::Set),
}

#[derive(Subcommand, Clone, Debug)]
enum SlotsChange {
    /// Make a node the primary of slots, with all that they hold
    Move {
        /// Such as 0-99,200
        slots: Slots,
        /// The node, such as n3
        #[arg(long, value_name = "NODE")]
        to: Node,
    },
}

/// How usage is printed.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    /// For people.
    Table,
    /// As the admin HTTP gives it.
    Json,
    /// For spreadsheets.
    Csv,
}

fn time(text: &str) -> Result<u64, String> {
    seconds(text).ok_or_else(|| {
        "give a UTC time such as 2026-11-21T07:00:00Z, a day, or seconds since 1970".to_owned()
    })
}

fn sequence(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| "give the sequence of an event, a whole number".to_owned())
}

/// A node's name, `n3`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Node(String);

impl std::str::FromStr for Node {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = text.strip_prefix('n').unwrap_or(text);
        let number: u64 = number.parse().map_err(|_| "give a node such as n3".to_owned())?;
        Ok(Self(format!("n{number}")))
    }
}

/// Slots as the admin HTTP takes them, `0-99,200`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Slots(String);

impl std::str::FromStr for Slots {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let last = memtide_topology::SLOTS - 1;
        let slot = |text: &str| text.trim().parse().ok().filter(|slot: &u16| *slot <= last);
        let is_part = |part: &str| match part.split_once('-') {
            Some((from, to)) => slot(from).zip(slot(to)).is_some_and(|(from, to)| from <= to),
            None => slot(part).is_some(),
        };
        let is_right = text.split(',').all(is_part);
        is_right
            .then(|| Self(text.to_owned()))
            .ok_or_else(|| format!("give slots such as 0-99,200, of 0 to {last}"))
    }
}

/// Asks, and prints what came back.
pub fn run(arguments: &Arguments, given: &Given) -> Result<ExitCode, Failure> {
    let admin = asked(given)?;
    if let What::Events { follow, after } = arguments.what {
        let wanted = Wanted { after, is_followed: follow, is_json: arguments.json };
        return events::run(&admin, wanted);
    }
    if let What::Limits { change: Some(LimitsChange::Set(set)) } = &arguments.what {
        set.check()?;
    }
    let reply = ask::ask(&admin, &what_to_ask(&arguments.what))?;
    if let What::Node { change: NodeChange::Drain { node, wait: Some(wait) } } = &arguments.what {
        wait::until_left(&admin, &node.0, *wait)?;
    }
    let text = match serde_json::from_str(&reply) {
        Ok(value) if !arguments.json && matches!(arguments.what, What::Scaling { .. }) => {
            scaling::show(&value)
        }
        Ok(value) if !arguments.json && !arguments.what.is_json() => {
            table::show(&view::of(&arguments.what, value))
        }
        // Already JSON, or a word for people.
        _ => reply,
    };
    let end = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
    welcome::print(&format!("{text}{end}"));
    Ok(ExitCode::SUCCESS)
}

/// Whom the settings say to ask.
///
/// # Errors
/// What is missing, or cannot be used.
pub fn asked(given: &Given) -> Result<Asked, Failure> {
    let token = given.text("admin-token-file").map(|file| token_of(Path::new(file))).transpose();
    let token = token.map_err(Failure::environment)?;
    let address = settings::admin(given)?;
    Ok(Asked { address, token, tls: AdminTlsClient::of(given, address)? })
}

impl What {
    /// Whether the answer is wanted as it is.
    const fn is_json(&self) -> bool {
        matches!(self, Self::Usage { format: Format::Json, .. })
    }
}

fn what_to_ask(what: &What) -> Ask {
    let get = |path: &str| Ask::get(path.to_owned());
    let post = |path: String| Ask { method: Method::Post, path, body: None };
    let of_node = |node: &Node, verb: &str| post(format!("/v1/nodes/{}/{verb}", node.0));
    match what {
        What::Topology { .. } => get("/v1/topology"),
        What::Nodes => get("/v1/nodes"),
        What::Migrations => get("/v1/migrations"),
        What::Scaling { .. } => get("/v1/scaling"),
        What::Usage { from, to, format } => {
            let (from, to) = (from.unwrap_or(0), to.unwrap_or(u64::MAX));
            let format = if *format == Format::Csv { "csv" } else { "json" };
            get(&format!("/v1/cache/usage?from={from}&to={to}&format={format}"))
        }
        What::Events { after, .. } => get(&format!("/v1/events?after={after}")),
        What::SaveTopology => post("/v1/topology/save".to_owned()),
        What::Node { change: NodeChange::Drain { node, .. } } => of_node(node, "drain"),
        What::Node { change: NodeChange::Undrain { node } } => of_node(node, "undrain"),
        What::Node { change: NodeChange::Forget { node } } => of_node(node, "forget"),
        What::Slots { change: SlotsChange::Move { slots, to } } => Ask {
            body: Some(json!({ "slots": slots.0, "to": to.0 })),
            ..post("/v1/slots/move".to_owned())
        },
        What::Limits { change: None } => get("/v1/cache/limits"),
        What::Limits { change: Some(LimitsChange::Set(set)) } => Ask {
            method: Method::Patch,
            path: "/v1/cache/limits".to_owned(),
            body: Some(json!(set.patch())),
        },
        What::Replicas { count } => Ask {
            method: Method::Put,
            path: "/v1/replicas".to_owned(),
            body: Some(json!({ "replicas": count })),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_and_slots_as_people_write_them() {
        let node = |text: &str| text.parse::<Node>().ok().map(|node| node.0);
        assert_eq!(node("n3").as_deref(), Some("n3"));
        assert_eq!(node("12").as_deref(), Some("n12"));
        for bad in ["", "n", "x3", "n-1", "n3/../x"] {
            assert_eq!(node(bad), None, "{bad}");
        }
        let is_slots = |text: &str| text.parse::<Slots>().is_ok();
        for good in ["0", "0-99,200", "16383", "7-7"] {
            assert!(is_slots(good), "{good}");
        }
        for bad in ["", "16384", "9-3", "1,", "a", "-1", "1-"] {
            assert!(!is_slots(bad), "{bad}");
        }
    }
}
