//! The `memcache` crate over TLS with verification: every kind of command that the library has.
//!
//! Without `protocol=ascii` it speaks the binary protocol, which memtide refuses.

use memcache::{Client, CommandError, MemcacheError};
use std::error::Error;
use std::time::{Duration, Instant};

const DEADLINE: Duration = Duration::from_secs(10);

type Outcome = Result<(), Box<dyn Error>>;

fn main() -> Outcome {
    let client = connect("protocol=ascii", DEADLINE)?;
    let mut checks = Checks::default();
    let parts = [store, many, delete, arithmetic, cas, time_to_live, values, server];
    for part in parts {
        part(&client, &mut checks)?;
    }
    the_binary_protocol_is_refused(&mut checks)?;
    println!("{} checks passed", checks.passed);
    Ok(())
}

/// A client with these parameters in its URL. Its pool tries again until the deadline.
fn connect(parameters: &str, deadline: Duration) -> Result<Client, Box<dyn Error>> {
    let builder = Client::builder().with_connection_timeout(deadline);
    Ok(builder.add_server(url(parameters)?)?.build()?)
}

/// The cache's URL, verified against the CA, with these parameters.
fn url(parameters: &str) -> Result<String, std::env::VarError> {
    let variable = |name| std::env::var(name);
    let (host, port) = (variable("MEMTIDE_HOST")?, variable("MEMTIDE_PORT")?);
    let ca = variable("MEMTIDE_CA")?;
    Ok(format!(
        "memcache+tls://{host}:{port}?verify_mode=peer&ca_path={ca}&timeout=10&{parameters}"
    ))
}

#[derive(Default)]
struct Checks {
    passed: u32,
}

impl Checks {
    /// Prints a line for a check that holds; ends the program at the first that does not.
    fn that(&mut self, name: &str, holds: bool) {
        if !holds {
            eprintln!("FAILED {name}");
            std::process::exit(1);
        }
        self.passed += 1;
        println!("ok {name}");
    }
}

fn store(c: &Client, checks: &mut Checks) -> Outcome {
    c.set("rs:a", "1", 0)?;
    checks.that("set and get", c.get("rs:a")? == Some("1".to_string()));
    checks.that("get of a missing key", c.get::<String>("rs:none")?.is_none());
    c.add("rs:a", "2", 0)?;
    checks.that("add keeps what is there", c.get("rs:a")? == Some("1".to_string()));
    c.replace("rs:none", "2", 0)?;
    checks.that("replace stores nothing new", c.get::<String>("rs:none")?.is_none());
    c.append("rs:a", "2")?;
    c.prepend("rs:a", "0")?;
    checks.that("append and prepend", c.get("rs:a")? == Some("012".to_string()));
    Ok(())
}

fn many(c: &Client, checks: &mut Checks) -> Outcome {
    let keys: Vec<String> = (0..100).map(|i| format!("rs:m{i}")).collect();
    for key in &keys {
        c.set(key, key.as_str(), 0)?;
    }
    let mut named: Vec<&str> = keys.iter().map(String::as_str).collect();
    named.push("rs:none");
    let found = c.gets::<String>(&named)?;
    checks.that("gets of 100 keys", found.len() == 100 && found.iter().all(|(k, v)| k == v));
    Ok(())
}

fn delete(c: &Client, checks: &mut Checks) -> Outcome {
    c.set("rs:d", "x", 0)?;
    checks.that("delete", c.delete("rs:d")?);
    checks.that("delete of a missing key", !c.delete("rs:d")?);
    checks.that("get after delete", c.get::<String>("rs:d")?.is_none());
    Ok(())
}

fn arithmetic(c: &Client, checks: &mut Checks) -> Outcome {
    c.set("rs:n", 10, 0)?;
    checks.that("increment", c.increment("rs:n", 32)? == 42);
    checks.that("decrement", c.decrement("rs:n", 2)? == 40);
    checks.that("decrement stops at 0", c.decrement("rs:n", 1000)? == 0);
    c.set("rs:n", u64::MAX, 0)?;
    checks.that("increment wraps at 64 bits", c.increment("rs:n", 1)? == 0);
    let missing = c.increment("rs:none", 1);
    checks.that(
        "increment of a missing key",
        matches!(missing, Err(MemcacheError::CommandError(CommandError::KeyNotFound))),
    );
    Ok(())
}

fn cas(c: &Client, checks: &mut Checks) -> Outcome {
    c.set("rs:c", "old", 0)?;
    let found = c.gets::<(Vec<u8>, u32, Option<u64>)>(&["rs:c"])?;
    let (value, flags, token) = &found["rs:c"];
    let token = token.ok_or("no cas in the reply to gets")?;
    checks.that("gets", value == b"old" && *flags == 0 && token > 0);
    checks.that("cas", c.cas("rs:c", "new", 0, token)?);
    checks.that("cas with an old token", !c.cas("rs:c", "x", 0, token)?);
    checks.that("cas of a missing key", !c.cas("rs:none", "x", 0, token)?);
    checks.that("get after cas", c.get("rs:c")? == Some("new".to_string()));
    Ok(())
}

fn time_to_live(c: &Client, checks: &mut Checks) -> Outcome {
    c.set("rs:t", "x", 600)?;
    checks.that("touch", c.touch("rs:t", 1)?);
    checks.that("a touched item expires", expires(c, "rs:t")?);
    checks.that("touch of a missing key", !c.touch("rs:t", 1)?);
    c.set("rs:e", "x", 1)?;
    checks.that("an item expires", expires(c, "rs:e")?);
    Ok(())
}

/// Whether the key is gone before the deadline.
fn expires(c: &Client, key: &str) -> Result<bool, MemcacheError> {
    let start = Instant::now();
    while start.elapsed() < DEADLINE {
        if c.get::<Vec<u8>>(key)?.is_none() {
            return Ok(true);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(false)
}

fn values(c: &Client, checks: &mut Checks) -> Outcome {
    let large: Vec<u8> = (0..900 * 1024u32).map(|i| (i * 31 % 251) as u8).collect();
    c.set("rs:large", &large[..], 0)?;
    checks.that("900 KB come back", c.get("rs:large")? == Some(large));
    let binary: Vec<u8> = (0..=255).chain(*b"\r\nEND\r\n\0\r\n").collect();
    c.set("rs:binary", &binary[..], 0)?;
    checks.that("every byte comes back", c.get("rs:binary")? == Some(binary));
    c.set("rs:empty", "", 0)?;
    checks.that("an empty value comes back", c.get("rs:empty")? == Some(String::new()));
    Ok(())
}

fn server(c: &Client, checks: &mut Checks) -> Outcome {
    let version = c.version()?.pop().ok_or("no reply to version")?.1;
    let numbers: Vec<u32> = version.split('.').filter_map(|n| n.parse().ok()).collect();
    checks.that("version is 1.6.27 or newer", numbers >= vec![1, 6, 27]);
    c.flush()?;
    checks.that("flush", c.get::<String>("rs:a")?.is_none());
    Ok(())
}

fn the_binary_protocol_is_refused(checks: &mut Checks) -> Outcome {
    // The first command may be lost in the socket; the refusal is seen at its reply.
    let refused = match connect("protocol=binary", Duration::from_secs(2)) {
        Ok(client) => client.version().is_err(),
        Err(_) => true,
    };
    checks.that("the binary protocol is refused", refused);
    Ok(())
}
