//! memtide over TLS and Debian's memcached over TCP answer the same tables, in `cases/`.
//!
//! A case states the reply of both servers; where they differ it says why. `MEMTIDE_TEST_CASE`
//! runs only the cases whose name contains its value, `MEMTIDE_TEST_SERVER` (`memtide` or
//! `memcached`) only one server. See docs/testing.md.

use std::path::Path;

use memtide_testkit::{Delivery, Difference, Memcached, Memtide, Server, Table, run_table};

fn table(name: &str) -> Table {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases").join(name);
    let text = std::fs::read_to_string(&path).unwrap();
    Table::parse(name, &text)
}

fn is_wanted(server: &str) -> bool {
    std::env::var("MEMTIDE_TEST_SERVER").map_or(true, |only| only == server)
}

/// Runs a table against both servers, delivered in each of the ways.
fn check(name: &str) {
    let table = table(name);
    let mut failures = Vec::new();
    let mut run = |server: &dyn Server| {
        for delivery in [Delivery::Stepwise, Delivery::ByteByByte, Delivery::Pipelined] {
            failures.extend(run_table(&table, server, delivery));
        }
    };
    if is_wanted("memcached") {
        run(&Memcached::start());
    }
    if is_wanted("memtide") {
        run(&Memtide::builder(env!("CARGO_BIN_EXE_memtide")).start());
    }
    let count = failures.len();
    let report: Vec<String> = failures.iter().map(ToString::to_string).collect();
    assert!(failures.is_empty(), "{count} failures\n\n{}", report.join("\n\n"));
}

#[test]
fn retrieve() {
    check("retrieve.case");
}

#[test]
fn store() {
    check("store.case");
}

#[test]
fn arithmetic() {
    check("arithmetic.case");
}

#[test]
fn remove() {
    check("remove.case");
}

#[test]
fn lines() {
    check("lines.case");
}

#[test]
fn service() {
    check("service.case");
}

#[test]
fn expiry() {
    check("expiry.case");
}

#[test]
fn meta_get() {
    check("meta_get.case");
}

#[test]
fn meta_set() {
    check("meta_set.case");
}

#[test]
fn meta_delete() {
    check("meta_delete.case");
}

#[test]
fn meta_arithmetic() {
    check("meta_arithmetic.case");
}

#[test]
fn stale() {
    check("stale.case");
}

fn tables() -> Vec<Table> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let entries = std::fs::read_dir(directory).unwrap();
    entries.map(|entry| table(&entry.unwrap().file_name().into_string().unwrap())).collect()
}

/// Every file in `cases/` is one of the above.
#[test]
fn every_table_runs() {
    let here = include_str!("blackbox.rs");
    for Table { file, .. } in tables() {
        assert!(here.contains(&format!("check(\"{file}\")")), "{file} runs nowhere");
    }
}

/// What differs from memcached is documented: the words of each case stand in docs/protocol.md, of a
/// deviation above the list of what is merely newer.
#[test]
fn every_difference_is_documented() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/protocol.md");
    let plain = |text: &str| {
        let words = text.replace('`', "").replace('|', " ").to_lowercase();
        words.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let document = std::fs::read_to_string(path).unwrap();
    let (contract, newer) = document.split_once("## What changed after 1.6.18").unwrap();
    let (contract, newer) = (plain(contract), plain(newer));
    let mut missing = Vec::new();
    for Table { file, cases } in tables() {
        for case in cases {
            let is_documented = match &case.difference {
                Difference::Same => true,
                Difference::Deviation(words) => contract.contains(&plain(words)),
                Difference::Since(words) => newer.contains(&plain(words)),
            };
            if !is_documented {
                missing.push(format!("{file}:{} {:?}", case.line, case.difference));
            }
        }
    }
    assert!(missing.is_empty(), "not in docs/protocol.md:\n{}", missing.join("\n"));
}
