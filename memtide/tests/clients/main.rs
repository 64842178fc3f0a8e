//! Clients of the languages that memtide's users write in, unmodified, over TLS with the server
//! verified, against the running program.
//!
//! Each has a program in `tests/clients/` that exercises the whole library, and a section in the
//! README whose snippet is run as it stands there. A client whose language or library is not on
//! this machine is skipped with the reason; with `MEMTIDE_REQUIRE_CLIENTS=1` that is a failure.

#![allow(clippy::unwrap_used, reason = "a test ends where something is not as it must be")]

mod client;
mod readme;
mod toolchain;
mod tunnel;

use client::{Client, Reach};

#[test]
fn python_pymemcache() {
    Client {
        heading: "Python: pymemcache",
        program: "python/pymemcache_client.py",
        toolchain: toolchain::python("pymemcache"),
        reach: Reach::Tls,
    }
    .check();
}

#[test]
fn python_emcache() {
    Client {
        heading: "Python: emcache",
        program: "python/emcache_client.py",
        toolchain: toolchain::python("emcache"),
        reach: Reach::Tls,
    }
    .check();
}

#[test]
fn node_memcache_client() {
    Client {
        heading: "Node.js: memcache-client",
        program: "node/client.js",
        toolchain: toolchain::node(),
        reach: Reach::Tls,
    }
    .check();
}

#[test]
fn rust_memcache() {
    Client {
        heading: "Rust: memcache",
        program: "rust/src/main.rs",
        toolchain: toolchain::rust(),
        reach: Reach::Tls,
    }
    .check();
}

#[test]
fn go_gomemcache() {
    Client {
        heading: "Go: gomemcache",
        program: "go/main.go",
        toolchain: toolchain::go(),
        reach: Reach::Tls,
    }
    .check();
}

#[test]
fn php_memcached() {
    Client {
        heading: "PHP: memcached",
        program: "php/client.php",
        toolchain: toolchain::php(),
        reach: Reach::Stunnel,
    }
    .check();
}

#[test]
fn java_spymemcached() {
    Client {
        heading: "Java: spymemcached",
        program: "java/Client.java",
        toolchain: toolchain::java(),
        reach: Reach::Stunnel,
    }
    .check();
}

#[test]
fn openssl_s_client() {
    Client {
        heading: "By hand: openssl",
        program: "openssl/client.sh",
        toolchain: toolchain::shell(),
        reach: Reach::Tls,
    }
    .check();
}

/// A snippet that no test runs soon stops working.
#[test]
fn every_client_of_the_readme_is_tested() {
    let tested = include_str!("main.rs");
    for section in readme::client_sections().iter().filter(|section| section.has_code()) {
        let heading = format!("heading: \"{}\"", section.heading);
        assert!(tested.contains(&heading), "no test for the README's `### {}`", section.heading);
    }
}
