//! I6: metered units equal a recount of the traffic.
//!
//! The test sends random commands and counts the bytes of each and of its reply itself; memtide must
//! come to the same sum, to the last 1/1024 ECPU. `MEMTIDE_TEST_SEED` replays the commands.

use memtide_testkit::{
    Agreement, Client, CommandStream, Memtide, Recount, Rng, Server, Unit, seed_from_environment,
};

const UNITS: usize = 10_000;

#[test]
fn a_recount_gives_the_same_units() {
    let seed = seed_from_environment();
    println!("replay with MEMTIDE_TEST_SEED={seed}");
    let memtide = Memtide::builder(env!("CARGO_BIN_EXE_memtide")).start();
    let mut clients = [memtide.connect(), Client::tls(memtide.read_address(), memtide.tls())];
    let mut stream = CommandStream::new(seed);
    let mut recount = Recount::default();
    let mut agreement = Agreement::default();
    let mut done = 0;
    while done < UNITS {
        let batch: Vec<Unit> = std::iter::repeat_with(|| stream.next_unit())
            .filter(|unit| !unit.breaks_framing)
            .take(1 + done % 17)
            .collect();
        let mut rng = Rng::new(stream.rng().next_u64());
        let client = &mut clients[done % 2];
        let sent: Vec<_> = batch.iter().map(|unit| unit.render(&agreement.seen[0])).collect();
        client.send_in_parts(&sent, &mut rng).unwrap();
        for (unit, sent) in batch.iter().zip(&sent) {
            let reply = client.read_reply().unwrap();
            recount.add(unit.items, sent.len(), reply.len());
            recount.add(1, b"mn\r\n".len(), b"MN\r\n".len());
            // Only for the CAS uniques.
            agreement.check(unit.key, &reply, &reply).unwrap();
        }
        done += batch.len();
    }
    let (units, commands) = metered(&memtide);
    assert_eq!(units, recount.units, "MEMTIDE_TEST_SEED={seed}, {} commands", recount.commands);
    assert_eq!(commands, recount.commands, "MEMTIDE_TEST_SEED={seed}");
}

/// The price list's own examples, and what is at its edges.
#[test]
fn what_single_commands_cost() {
    let memtide = Memtide::builder(env!("CARGO_BIN_EXE_memtide")).start();
    let mut client = memtide.connect();
    let mut before = metered(&memtide).0;
    let mut check = |what: &str, request: &str, reply: &str, units: u64| {
        client.send(request.as_bytes()).unwrap();
        assert_eq!(client.read_exact(reply.len()).unwrap(), reply.as_bytes(), "{what}");
        // A refusal is metered when all of its data block has come; this comes after it.
        assert_eq!(client.ask(b"").unwrap(), "", "{what}");
        let now = metered(&memtide).0;
        assert_eq!(now - before, units + 1024, "{what}, and a mn");
        before = now;
    };
    let two_kb = "v".repeat(2_000);
    let stored = "STORED\r\n";
    check("a miss", "get a\r\n", "END\r\n", 1024);
    check("a command without a key", "mn\r\n", "MN\r\n", 1024);
    check("nothing known", "nonsense\r\n", "ERROR\r\n", 1024);
    check("an empty line", "\r\n", "CLIENT_ERROR bad command line format\r\n", 1024);
    check("three keys", "get a b c\r\n", "END\r\n", 3 * 1024);
    check("the same key thrice", "get a a a\r\n", "END\r\n", 3 * 1024);
    check("a small set", "set a 0 0 1\r\nx\r\n", stored, 1024);
    let set = format!("set a 0 0 2000\r\n{two_kb}\r\n");
    check("a set of 2 KB", &set, stored, u64::try_from(set.len() + stored.len()).unwrap());
    let hit = format!("VALUE a 0 2000\r\n{two_kb}\r\nEND\r\n");
    check(
        "a get of 2 KB",
        "get a\r\n",
        &hit,
        u64::try_from("get a\r\n".len() + hit.len()).unwrap(),
    );
    check("3 keys and 2 KB", "get a b c\r\n", &hit, 3 * 1024);
    let large = format!("set a 0 0 1100000\r\n{}\r\n", "x".repeat(1_100_000));
    let refused = "SERVER_ERROR object too large for cache\r\n";
    check(
        "what is refused was transferred",
        &large,
        refused,
        u64::try_from(large.len() + refused.len()).unwrap(),
    );
}

/// Units and commands so far.
fn metered(memtide: &Memtide) -> (u64, u64) {
    let metrics = memtide.metrics();
    let integer = |name: &str| -> u64 {
        let value = metrics.get(name).unwrap_or_else(|| panic!("no {name}"));
        value.to_string().parse().unwrap_or_else(|_| panic!("{name} is {value}"))
    };
    (integer("memtide_ecpu_units_total"), integer("memtide_commands_total"))
}
