//! Long and broken-up pipelines, large replies and several connections, on both servers.

use memtide_testkit::{Client, Memcached, Memtide, Rng, Server};

/// Runs a test against memcached and against memtide.
fn on_both(test: impl Fn(&dyn Server)) {
    test(&Memcached::start());
    test(&Memtide::builder(env!("CARGO_BIN_EXE_memtide")).start());
}

/// Sends all of it at once and expects exactly this back.
fn exchange(client: &mut Client, request: &str, expected: &str) {
    client.send(request.as_bytes()).unwrap();
    let reply = client.read_exact(expected.len()).unwrap();
    if reply != expected.as_bytes() {
        let same =
            reply.iter().zip(expected.bytes()).take_while(|(one, other)| **one == *other).count();
        let around = |text: &[u8]| {
            text[same.saturating_sub(60)..text.len().min(same + 60)].escape_ascii().to_string()
        };
        panic!("differs at byte {same}:\n  {}\n  {}", around(&reply), around(expected.as_bytes()));
    }
    assert_eq!(client.ask(b"").unwrap(), "", "nothing more");
}

/// I5: replies are in request order and none is missing.
#[test]
fn thousands_of_mixed_commands_in_one_write() {
    let (mut request, mut expected) = (String::new(), String::new());
    for number in 0..10_000 {
        let key = format!("key{}", number % 100);
        let len = number.to_string().len();
        let (command, reply) = match number % 9 {
            0 => (format!("set {key} {number} 0 {len}\r\n{number}\r\n"), "STORED\r\n".to_owned()),
            1 => (format!("set {key} 0 0 {len} noreply\r\n{number}\r\n"), String::new()),
            2 => (format!("set {key} 1 0 {len}\r\n{number}\r\nget {key} absent {key}\r\n"), {
                let value = format!("VALUE {key} 1 {len}\r\n{number}\r\n");
                format!("STORED\r\n{value}{value}END\r\n")
            }),
            3 => (format!("ms {key} {len} O{number}\r\n{number}\r\n"), format!("HD O{number}\r\n")),
            4 => (
                format!("ms {key} {len} q\r\n{number}\r\nmg {key} v k q\r\n"),
                format!("VA {len} k{key}\r\n{number}\r\n"),
            ),
            5 => (format!("mg absent{number} v q\r\nmn\r\n"), "MN\r\n".to_owned()),
            6 => (
                format!("delete absent{number}\r\nnonsense {number}\r\n"),
                "NOT_FOUND\r\nERROR\r\n".to_owned(),
            ),
            7 => {
                (format!("ma new{number} N0 J{number} v\r\n"), format!("VA {len}\r\n{number}\r\n"))
            }
            _ => (
                format!("set {key} 0 0 {len}\r\n{number}\r\nincr {key} 1\r\n"),
                format!("STORED\r\n{}\r\n", number + 1),
            ),
        };
        request.push_str(&command);
        expected.push_str(&reply);
    }
    on_both(|server| exchange(&mut server.connect(), &request, &expected));
}

#[test]
fn a_stream_cut_anywhere_is_the_same_stream() {
    const REQUEST: &str = "set a 5 0 6\r\nab\r\ncd\r\nget a b\r\nms b 3 c q k\r\nxyz\r\nmg b v k\r\n\
        set c 0 0 2\r\nxx\r\nmg a b\r\nnonsense a b\r\nincr a 1\r\nma n N0 J7 v\r\nma n v\r\ngat 0 a b c\r\n\
        cas a 0 0 1 99999999\r\nz\r\ntouch a 0\nmd a q\r\ndelete a noreply\r\nmn\r\nget a\r\n";
    const EXPECTED: &str = "STORED\r\nVALUE a 5 6\r\nab\r\ncd\r\nEND\r\nVA 3 kb\r\nxyz\r\nSTORED\r\n\
        CLIENT_ERROR error decoding key\r\nERROR\r\n\
        CLIENT_ERROR cannot increment or decrement non-numeric value\r\nVA 1\r\n7\r\nVA 1\r\n8\r\n\
        VALUE a 5 6\r\nab\r\ncd\r\nVALUE b 0 3\r\nxyz\r\nVALUE c 0 2\r\nxx\r\nEND\r\n\
        EXISTS\r\nTOUCHED\r\nMN\r\nEND\r\n";
    on_both(|server| {
        let mut client = server.connect();
        let mut janitor = server.connect();
        // Where the first cut is, then a second one at random.
        let mut rng = Rng::new(1);
        for cut in 0..REQUEST.len() {
            drop(janitor.ask(b"delete a\r\ndelete b\r\ndelete c\r\ndelete n\r\n").unwrap());
            let (head, rest) = REQUEST.split_at(cut);
            let (middle, tail) = rest.split_at(rng.below(rest.len() + 1));
            for part in [head, middle, tail] {
                client.send(part.as_bytes()).unwrap();
            }
            let reply = client.read_exact(EXPECTED.len()).unwrap();
            assert_eq!(
                String::from_utf8_lossy(&reply),
                EXPECTED,
                "{:?}, cut at {cut}",
                server.side()
            );
        }
        assert_eq!(client.ask(b"").unwrap(), "");
    });
}

#[test]
fn a_multiget_of_many_large_values() {
    on_both(|server| {
        let mut client = server.connect();
        let values: Vec<String> =
            (0..40u8).map(|number| char::from(b'A' + number).to_string().repeat(500_000)).collect();
        let mut expected = String::new();
        for (number, value) in values.iter().enumerate() {
            exchange(
                &mut client,
                &format!("set big{number} 0 0 {}\r\n{value}\r\n", value.len()),
                "STORED\r\n",
            );
            expected.push_str(&format!("VALUE big{number} 0 {}\r\n{value}\r\n", value.len()));
        }
        expected.push_str("END\r\n");
        let keys: String = (0..values.len()).map(|number| format!(" big{number}")).collect();
        exchange(&mut client, &format!("get{keys}\r\n"), &expected);
        // Meta commands, pipelined, with a small one behind each.
        let request: String =
            (0..values.len()).map(|number| format!("mg big{number} v s\r\nmn\r\n")).collect();
        let expected: String = values
            .iter()
            .map(|value| format!("VA {0} s{0}\r\n{value}\r\nMN\r\n", value.len()))
            .collect();
        exchange(&mut client, &request, &expected);
    });
}

#[test]
fn a_multiget_of_many_keys() {
    on_both(|server| {
        let mut client = server.connect();
        let numbers = 0..1_500;
        let sets: String = numbers
            .clone()
            .map(|number| format!("set key{number} 0 0 1 noreply\r\nx\r\n"))
            .collect();
        client.send(sets.as_bytes()).unwrap();
        let keys: String = numbers.clone().map(|number| format!(" key{number}")).collect();
        let values: String =
            numbers.map(|number| format!("VALUE key{number} 0 1\r\nx\r\n")).collect();
        exchange(&mut client, &format!("get{keys}\r\n"), &format!("{values}END\r\n"));
    });
}

/// I2, I3: what one connection was told is what every other one sees from then on.
#[test]
fn connections_see_each_others_writes_at_once() {
    on_both(|server| {
        let mut clients: Vec<Client> = (0..4).map(|_| server.connect()).collect();
        for round in 0..200usize {
            let writer = round % clients.len();
            let value = round.to_string();
            let write = match round % 3 {
                0 => format!("set shared 0 0 {}\r\n{value}\r\n", value.len()),
                1 => format!("ms shared {}\r\n{value}\r\n", value.len()),
                _ => "delete shared\r\n".to_owned(),
            };
            drop(clients[writer].ask(write.as_bytes()).unwrap());
            let expected = if round % 3 == 2 {
                "END\r\n".to_owned()
            } else {
                format!("VALUE shared 0 {}\r\n{value}\r\nEND\r\n", value.len())
            };
            for client in &mut clients {
                assert_eq!(client.ask(b"get shared\r\n").unwrap(), expected, "round {round}");
            }
        }
    });
}

#[test]
fn counting_by_many_connections_loses_nothing() {
    const CONNECTIONS: usize = 8;
    const EACH: usize = 500;
    on_both(|server| {
        let mut first = server.connect();
        assert_eq!(first.ask(b"set count 0 0 1\r\n0\r\n").unwrap(), "STORED\r\n");
        let clients: Vec<Client> = (0..CONNECTIONS).map(|_| server.connect()).collect();
        let counting: Vec<_> = clients
            .into_iter()
            .map(|mut client| {
                std::thread::spawn(move || {
                    let replies = client.ask("incr count 1\r\n".repeat(EACH).as_bytes()).unwrap();
                    replies.lines().map(|line| line.parse().unwrap()).collect::<Vec<usize>>()
                })
            })
            .collect();
        let mut seen: Vec<usize> =
            counting.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
        seen.sort_unstable();
        let all: Vec<usize> = (1..=CONNECTIONS * EACH).collect();
        assert_eq!(seen, all, "every number once");
    });
}

/// Optimistic updates: of all that hold the same CAS unique, one is stored.
#[test]
fn one_of_many_cas_wins() {
    on_both(|server| {
        let mut clients: Vec<Client> = (0..6).map(|_| server.connect()).collect();
        for round in 0..50 {
            let reply = clients[0].ask(b"ms shared 1 c\r\nx\r\n").unwrap();
            let cas = reply.trim().strip_prefix("HD c").unwrap().to_owned();
            let request = if round % 2 == 0 {
                format!("cas shared 0 0 1 {cas}\r\ny\r\n")
            } else {
                format!("ms shared 1 C{cas}\r\ny\r\n")
            };
            for client in &mut clients {
                client.send(request.as_bytes()).unwrap();
            }
            let replies: Vec<String> =
                clients.iter_mut().map(|client| client.read_line().unwrap()).collect();
            let won =
                replies.iter().filter(|reply| matches!(reply.as_str(), "STORED" | "HD")).count();
            let lost =
                replies.iter().filter(|reply| matches!(reply.as_str(), "EXISTS" | "EX")).count();
            assert_eq!((won, lost), (1, clients.len() - 1), "{replies:?}");
        }
    });
}
