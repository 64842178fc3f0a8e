//! Properties of any stream of commands, valid or not.

use memtide_protocol::{
    Arithmetic, Command, Delete, Direction, Exptime, Limits, Step, Store, StoreVerb, Touch,
    fuzzing, parse, request,
};
use proptest::prelude::*;

/// Inputs that the fuzzer has found worth keeping, replayed.
#[test]
fn the_fuzzing_corpus_holds() {
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus/parse_stream");
    let mut count = 0;
    for entry in std::fs::read_dir(corpus).unwrap() {
        fuzzing::parse_stream(&std::fs::read(entry.unwrap().path()).unwrap());
        count += 1;
    }
    assert!(count > 100, "{count} inputs in {corpus}");
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 2000,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn parse_of_encode_is_identity(
        key in key(),
        value in prop::collection::vec(any::<u8>(), 0..100),
        numbers in (any::<u32>(), any::<u64>(), exptime()),
        noreply in any::<bool>(),
        which in 0..13u8,
    ) {
        let (client_flags, delta, exptime) = numbers;
        let store = |verb| {
            Command::Store(Store { verb, key: &key, client_flags, exptime, value: &value, noreply })
        };
        let direction = if delta % 2 == 0 { Direction::Increment } else { Direction::Decrement };
        is_identity(&match which {
            0 => store(StoreVerb::Set),
            1 => store(StoreVerb::Add),
            2 => store(StoreVerb::Replace),
            3 => store(StoreVerb::Append),
            4 => store(StoreVerb::Prepend),
            5 => store(StoreVerb::Cas(delta)),
            6 => Command::Delete(Delete { key: &key, noreply }),
            7 => Command::Arithmetic(Arithmetic { direction, key: &key, delta, noreply }),
            8 => Command::Touch(Touch { key: &key, exptime, noreply }),
            9 => Command::FlushAll { noreply },
            10 => Command::Stats,
            11 => Command::MetaNoOp,
            _ => Command::ConfigGetCluster,
        });
    }

    #[test]
    fn keys_come_back_from_any_offset(
        keys in prop::collection::vec(key(), 1..50),
        with_cas in any::<bool>(),
        touch in prop::option::of(exptime()),
    ) {
        let mut line = Vec::new();
        request::retrieve(&mut line, keys.iter().map(Vec::as_slice), with_cas, touch);
        let step = parse(&line, &Limits::default());
        let Step::Command { command: Command::Retrieve(get), .. } = step else {
            panic!("{step:?}")
        };
        prop_assert_eq!((get.with_cas, get.touch), (with_cas, touch));
        prop_assert!(get.keys().eq(keys.iter().map(Vec::as_slice)));
        let mut walk = get.keys();
        for at in 0..keys.len() {
            prop_assert!(get.keys_from(walk.offset()).eq(keys[at..].iter().map(Vec::as_slice)));
            walk.next();
        }
        prop_assert_eq!(get.keys_from(walk.offset()).next(), None);
        is_identity(&Command::Retrieve(get));
    }

    #[test]
    fn any_split_parses_alike(
        pieces in prop::collection::vec(piece(), 1..12),
        cuts in prop::collection::vec(1..40usize, 1..8),
    ) {
        let stream = pieces.concat();
        let whole = fuzzing::walk(&stream, |_| stream.len());
        let mut cut = cuts.iter().cycle();
        let split = fuzzing::walk(&stream, |at| at + cut.next().copied().unwrap_or(1));
        prop_assert_eq!(&whole, &split);
        prop_assert_eq!(&whole, &fuzzing::walk(&stream, |at| at + 1));
    }

    #[test]
    fn no_input_panics(data in prop::collection::vec(any::<u8>(), 0..400)) {
        fuzzing::parse_stream(&data);
    }
}

fn is_identity(command: &Command) {
    let mut bytes = Vec::new();
    request::command(&mut bytes, command);
    let expected = Step::Command { consumed: bytes.len(), command: *command };
    assert_eq!(parse(&bytes, &Limits::default()), expected, "{}", bytes.escape_ascii());
}

fn key() -> impl Strategy<Value = Vec<u8>> {
    let byte = any::<u8>().prop_map(|byte| if b" \r\n".contains(&byte) { b'_' } else { byte });
    prop::collection::vec(byte, 1..=250)
}

fn exptime() -> impl Strategy<Value = Exptime> {
    any::<i64>().prop_map(Exptime::from_wire)
}

/// A piece of a stream: a command, most of one, a mistake, data, or noise.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    let name = prop::sample::select(vec![
        "get",
        "gets",
        "gat",
        "gats",
        "set",
        "add",
        "replace",
        "append",
        "prepend",
        "cas",
        "delete",
        "incr",
        "decr",
        "touch",
        "mg",
        "ms",
        "md",
        "ma",
        "mn",
        "flush_all",
        "stats",
        "version",
        "quit",
        "config",
        "verbosity",
        "",
    ]);
    let word = prop_oneof![
        4 => "[a-z]{1,8}",
        4 => "[0-9]{1,3}",
        4 => "[bCDEFIJkLMNOPqRsTtcfvhlux][0-9a-zA-Z]{0,3}",
        1 => prop::sample::select(vec![
            "noreply", "-1", "2592001", "4294967296", "99999999999999999999", "Zm9v", "reset",
            "get", "cluster", "HTTP/1.1", "", "\t", "2147483645", "453", "452",
        ]).prop_map(str::to_owned),
        1 => (248..252usize).prop_map(|len| "k".repeat(len)),
    ];
    let end = prop_oneof![8 => Just("\r\n"), 1 => Just("\n"), 1 => Just("\r\r\n"), 1 => Just("")];
    let line = (name, prop::collection::vec(word, 0..6), end)
        .prop_map(|(name, words, end)| format!("{name} {}{end}", words.join(" ")).into_bytes());
    let storage =
        (prop::sample::select(vec!["set", "add", "cas", "append"]), 0..500usize, 0..3usize)
            .prop_map(|(name, len, off)| {
                let block = "x".repeat((len + off).saturating_sub(1));
                format!("{name} k 1 0 {len} 5\r\n{block}\r\n").into_bytes()
            });
    let meta = ("[a-zA-Z]{4}", 0..500usize, "( [bkqscIO]| [CETFN][0-9]{1,2}| M[EAPRSX]){0,5}")
        .prop_map(|(key, len, flags)| {
            format!("ms {key} {len}{flags}\r\n{}\r\n", "y".repeat(len)).into_bytes()
        });
    prop_oneof![
        6 => line,
        2 => storage,
        2 => meta,
        1 => prop::collection::vec(any::<u8>(), 0..30),
        1 => (2040..2060usize).prop_map(|len| vec![b' '; len]),
    ]
}
