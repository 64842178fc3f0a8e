//! A fleet of node processes answers clients as one process does: the tables of `cases/`, on both
//! ports.

use std::path::Path;

use memtide_testkit::{Client, Delivery, Fleet, Memtide, Server, Side, Table, run_table};

const PROGRAM: &str = env!("CARGO_BIN_EXE_memtide");

fn tables() -> Vec<Table> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let table = |path: std::path::PathBuf| {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        Table::parse(&name, &std::fs::read_to_string(path).unwrap())
    };
    entries.map(table).collect()
}

#[track_caller]
fn check(server: &dyn Server, tables: Vec<Table>, deliveries: &[Delivery]) {
    let mut failures = Vec::new();
    for table in tables {
        for delivery in deliveries {
            failures.extend(run_table(&table, server, *delivery));
        }
    }
    let report: Vec<String> = failures.iter().map(ToString::to_string).collect();
    assert!(failures.is_empty(), "{} failures\n\n{}", failures.len(), report.join("\n\n"));
}

#[test]
fn every_table_passes_on_the_primary_port() {
    let fleet = Fleet::start(PROGRAM, 3, "a,b,c", 1);
    check(fleet.memtide(), tables(), &[Delivery::Stepwise, Delivery::Pipelined]);
}

/// The read-optimized port of a server.
struct ReadOptimized<'a>(&'a Memtide);

impl Server for ReadOptimized<'_> {
    fn side(&self) -> Side {
        Side::Memtide
    }

    fn connect(&self) -> Client {
        Client::tls(self.0.read_address(), self.0.tls())
    }
}

/// Cases that ask again without waiting for a reply, or for what a copy does not know.
const OF_THE_PRIMARY: [&str; 5] = [
    "a classic get counts as a hit",
    "noreply stores without a word",
    "classic and meta commands mixed in a pipeline",
    "errors in a pipeline leave the rest in step",
    "the order of replies of a pipeline",
];

/// Without failures, a copy has what was acknowledged before it was asked; but it does not wait for
/// what comes before it in a pipeline, and knows only its own hits. See docs/consistency.md.
#[test]
fn every_table_passes_on_the_read_optimized_port() {
    let fleet = Fleet::start(PROGRAM, 2, "a,b", 1);
    let mut tables = tables();
    for table in &mut tables {
        table.cases.retain(|case| !OF_THE_PRIMARY.contains(&case.name.as_str()));
    }
    check(&ReadOptimized(fleet.memtide()), tables, &[Delivery::Stepwise]);
}

#[test]
fn a_multiget_over_all_slots_keeps_its_order() {
    let fleet = Fleet::start(PROGRAM, 3, "a,b,c", 1);
    let mut client = fleet.memtide().connect();
    let keys: Vec<String> = (0..200).map(|number| format!("key-{number}")).collect();
    for key in keys.iter().step_by(2) {
        let set = format!("set {key} 7 0 {}\r\n{key}\r\n", key.len());
        assert_eq!(client.ask(set.as_bytes()).unwrap(), "STORED\r\n");
    }
    client.send(format!("get {}\r\n", keys.join(" ")).as_bytes()).unwrap();
    let reply = client.read_until(b"END\r\n").unwrap();
    let hits = keys.iter().step_by(2);
    let expected: String =
        hits.map(|key| format!("VALUE {key} 7 {}\r\n{key}\r\n", key.len())).collect();
    assert_eq!(String::from_utf8(reply).unwrap(), expected + "END\r\n");
}
