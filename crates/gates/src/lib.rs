//! What the benches share. They count the instructions that valgrind sees, and `cargo xtask
//! bench-gates` holds the counts to those of `instructions.toml`: see docs/testing.md.

use std::process::{Command, Stdio};

/// How often a row does what it is named for; `cargo xtask bench-gates` divides by it.
pub const REPEATS: usize = 100;

/// Items of a store before a row: far from what it may hold.
pub const ITEMS: usize = 10_000;

/// The value of each item.
pub const VALUE: [u8; 100] = [b'x'; 100];

/// One of the keys, 16 bytes long.
#[must_use]
pub fn key(number: usize) -> String {
    format!("user:{number:011}")
}

/// `get` of 16 keys, this one and those after it.
#[must_use]
pub fn multiget_16(first: usize) -> Vec<u8> {
    let keys: Vec<_> = (first..first + 16).map(key).collect();
    format!("get {}\r\n", keys.join(" ")).into_bytes()
}

/// `get` of one key.
#[must_use]
pub fn get(number: usize) -> Vec<u8> {
    format!("get {}\r\n", key(number)).into_bytes()
}

/// `set` of one key to [`VALUE`].
#[must_use]
pub fn set(number: usize) -> Vec<u8> {
    let mut request = format!("set {} 0 0 {}\r\n", key(number), VALUE.len()).into_bytes();
    request.extend_from_slice(&VALUE);
    request.extend_from_slice(b"\r\n");
    request
}

/// Ends the program with one line where valgrind is missing; gungraun's own are many.
#[expect(clippy::print_stderr, reason = "for the developer who started the benches")]
pub fn require_valgrind() {
    let version = Command::new("valgrind").arg("--version").stdout(Stdio::null()).status();
    if !version.is_ok_and(|status| status.success()) {
        eprintln!("no valgrind: the benches count instructions with it; apt-get install valgrind");
        std::process::exit(1);
    }
}
