//! Classic commands: what is read, what is refused, and how far the stream is then.

mod common;

use common::check;
use expect_test::expect;
use memtide_protocol::fuzzing;

#[test]
fn retrieval() {
    check(
        "get a\r\ngets a  b \ngat 0 a\r\ngats -1 a b\r\n",
        &expect![[r#"
            7 Retrieve(Retrieve { with_cas: false, keys: ["a"] })
            11 Retrieve(Retrieve { with_cas: true, keys: ["a", "b"] })
            9 Retrieve(Retrieve { with_cas: false, touch: Some(Never), keys: ["a"] })
            13 Retrieve(Retrieve { with_cas: true, touch: Some(Immediate), keys: ["a", "b"] })
            needs 1"#]],
    );
}

#[test]
fn retrieval_refused() {
    check(
        "get\r\nget \r\ngets\r\ngat\r\ngat 0\r\ngat x a\r\ngat x\r\n",
        &expect![[r#"
            5 +0 CLIENT_ERROR bad command line format
            6 +0 CLIENT_ERROR bad command line format
            6 +0 CLIENT_ERROR bad command line format
            5 +0 CLIENT_ERROR bad command line format
            7 +0 CLIENT_ERROR bad command line format
            9 +0 CLIENT_ERROR invalid exptime argument
            7 +0 CLIENT_ERROR bad command line format
            needs 1"#]],
    );
}

#[test]
fn keys_have_250_bytes() {
    let (long, longer) = ("k".repeat(250), "k".repeat(251));
    for name in ["get", "gets", "gat 0", "delete"] {
        assert!(steps(&format!("{name} {long}\r\n"))[0].contains(" {"), "{name}");
    }
    check(
        format!("get {longer}\r\nget a {longer} b\r\ngat 0 {longer}\r\n"),
        &expect![[r#"
            257 +0 CLIENT_ERROR bad command line format
            261 +0 CLIENT_ERROR bad command line format
            259 +0 CLIENT_ERROR bad command line format
            needs 1"#]],
    );
    check(
        format!("delete {longer}\r\ndelete {longer} noreply\r\n"),
        &expect![[r#"
            260 +0 CLIENT_ERROR bad command line format
            268 +0 CLIENT_ERROR bad command line format, silent
            needs 1"#]],
    );
    check(
        format!("incr {longer} 1\r\ntouch {longer} 0 noreply\r\n"),
        &expect![[r#"
            260 +0 CLIENT_ERROR bad command line format
            269 +0 CLIENT_ERROR bad command line format, silent
            needs 1"#]],
    );
    check(
        format!("set {longer} 0 0 1\r\n1\r\nmn\r\n"),
        &expect![[r#"
            263 +3 CLIENT_ERROR bad command line format
            4 MetaNoOp
            needs 1"#]],
    );
}

#[test]
fn storage() {
    check(
        "set a 0 0 1\r\n1\r\nadd a 4294967295 60 0\r\n\r\n",
        &expect![[r#"
            16 Store(Store { verb: Set, key: "a", client_flags: 0, exptime: Never, value: "1", noreply: false })
            25 Store(Store { verb: Add, key: "a", client_flags: 4294967295, exptime: Relative(60), value: "", noreply: false })
            needs 1"#]],
    );
    check(
        "replace a 1 -1 2\r\n\r\n\r\nappend a 0 0 1 x\r\n1\r\n",
        &expect![[r#"
            22 Store(Store { verb: Replace, key: "a", client_flags: 1, exptime: Immediate, value: "\r\n", noreply: false })
            21 Store(Store { verb: Append, key: "a", client_flags: 0, exptime: Never, value: "1", noreply: false })
            needs 1"#]],
    );
    check(
        "prepend a 0 0 1 noreply\n1\r\ncas a 0 0 1 7\r\n1\r\n",
        &expect![[r#"
            27 Store(Store { verb: Prepend, key: "a", client_flags: 0, exptime: Never, value: "1", noreply: true })
            18 Store(Store { verb: Cas(7), key: "a", client_flags: 0, exptime: Never, value: "1", noreply: false })
            needs 1"#]],
    );
    check(
        "cas a 0 0 1 18446744073709551615 noreply\r\n1\r\n",
        &expect![[r#"
            45 Store(Store { verb: Cas(18446744073709551615), key: "a", client_flags: 0, exptime: Never, value: "1", noreply: true })
            needs 1"#]],
    );
    check(
        "set  a  +1\t  +0  1  x y noreply \r\n1\r\n",
        &expect![[r#"
            37 Store(Store { verb: Set, key: "a", client_flags: 1, exptime: Never, value: "1", noreply: true })
            needs 1"#]],
    );
}

#[test]
fn storage_without_a_length_loses_its_data_block() {
    check(
        "set\r\nset a\r\nset a 0 0\r\nabc\r\n",
        &expect![[r#"
            5 +0 CLIENT_ERROR bad command line format
            7 +0 CLIENT_ERROR bad command line format
            11 +0 CLIENT_ERROR bad command line format
            5 +0 ERROR
            needs 1"#]],
    );
    check(
        "set a 0 0 -1\r\nset a 0 0 x noreply\r\nset a 0 0 +1\r\n",
        &expect![[r#"
            14 +0 CLIENT_ERROR bad command line format
            21 +0 CLIENT_ERROR bad command line format
            14 +0 CLIENT_ERROR bad command line format
            needs 1"#]],
    );
    check(
        "set a 0 0 2147483646\r\nset a 0 0 4294967297\r\nx\r\n",
        &expect![[r#"
            22 +0 CLIENT_ERROR bad command line format
            22 +0 CLIENT_ERROR bad command line format
            3 +0 CLIENT_ERROR bad command line format
            needs 1"#]],
    );
}

#[test]
fn storage_refused_drops_its_data_block() {
    check(
        "set a x 0 1\r\n1\r\nset a -1 0 1\r\n1\r\nset a 4294967296 0 1\r\n1\r\n",
        &expect![[r#"
            13 +3 CLIENT_ERROR bad command line format
            14 +3 CLIENT_ERROR bad command line format
            22 +3 CLIENT_ERROR bad command line format
            needs 1"#]],
    );
    check(
        "set a 0 x 1\r\n1\r\nset a 0 9223372036854775808 1 noreply\r\n1\r\n",
        &expect![[r#"
            13 +3 CLIENT_ERROR bad command line format
            39 +3 CLIENT_ERROR bad command line format, silent
            needs 1"#]],
    );
    check(
        "cas a 0 0 1\r\n1\r\ncas a 0 0 1 x\r\n1\r\ncas a 0 0 1 noreply\r\n1\r\n",
        &expect![[r#"
            13 +3 CLIENT_ERROR bad command line format
            15 +3 CLIENT_ERROR bad command line format
            21 +3 CLIENT_ERROR bad command line format, silent
            needs 1"#]],
    );
    check(
        "set a 0 0 2147483645\r\nmn\r\n",
        &expect![[r#"
            22 +2147483647 SERVER_ERROR object too large for cache, unlink b"a"
            needs 1"#]],
    );
}

#[test]
fn a_bad_data_block_takes_the_length_that_was_named() {
    check(
        "set a 0 0 1\r\n123\r\nmn\r\n",
        &expect![[r#"
            16 +0 CLIENT_ERROR bad data chunk
            2 +0 CLIENT_ERROR bad command line format
            4 MetaNoOp
            needs 1"#]],
    );
    check(
        "set a 0 0 3\r\n1\r\nmn\r\nversion\r\n",
        &expect![[r#"
            18 +0 CLIENT_ERROR bad data chunk
            2 +0 CLIENT_ERROR bad command line format
            9 Version
            needs 1"#]],
    );
    check(
        "set a 0 0 1 noreply\r\n1\nxmn\r\n",
        &expect![[r#"
            24 +0 CLIENT_ERROR bad data chunk, silent
            4 MetaNoOp
            needs 1"#]],
    );
}

/// 48 + 8 + 1 + 1 + 2 bytes are not the value's, and 4 more with client flags: of 512, 452 and 448
/// are left.
#[test]
fn an_item_over_the_limit_is_refused_and_set_unlinks_its_predecessor() {
    let over = "x".repeat(453);
    assert!(steps(&format!("set k 0 0 452\r\n{}\r\n", &over[1..]))[0].contains(" {"));
    assert!(steps(&format!("set k 1 0 448\r\n{}\r\n", &over[5..]))[0].contains(" {"));
    check(
        format!("set k 0 0 453\r\n{over}\r\nmn\r\n"),
        &expect![[r#"
            15 +455 SERVER_ERROR object too large for cache, unlink b"k"
            4 MetaNoOp
            needs 1"#]],
    );
    check(
        format!("set k 1 0 449 noreply\r\n{}\r\nmn\r\n", &over[4..]),
        &expect![[r#"
            23 +451 SERVER_ERROR object too large for cache, silent, unlink b"k"
            4 MetaNoOp
            needs 1"#]],
    );
    check(
        format!("add k 0 0 453\r\n{over}\r\nmn\r\n"),
        &expect![[r#"
            15 +455 SERVER_ERROR object too large for cache
            4 MetaNoOp
            needs 1"#]],
    );
    check(
        format!("cas k 0 0 453 1\r\n{over}\r\nmn\r\n"),
        &expect![[r#"
            17 +455 SERVER_ERROR object too large for cache
            4 MetaNoOp
            needs 1"#]],
    );
}

#[test]
fn delete() {
    check(
        "delete a\r\ndelete a noreply\r\ndelete a 0\r\ndelete a 0 noreply\r\n",
        &expect![[r#"
            10 Delete(Delete { key: "a", noreply: false })
            18 Delete(Delete { key: "a", noreply: true })
            12 Delete(Delete { key: "a", noreply: false })
            20 Delete(Delete { key: "a", noreply: true })
            needs 1"#]],
    );
    check(
        "delete noreply\r\ndelete\r\n",
        &expect![[r#"
            16 Delete(Delete { key: "noreply", noreply: false })
            8 +0 CLIENT_ERROR bad command line format
            needs 1"#]],
    );
}

#[test]
fn arithmetic() {
    check(
        "incr a 1\r\ndecr a 18446744073709551615 noreply\r\nincr a +1 x y\r\n",
        &expect![[r#"
            10 Arithmetic(Arithmetic { direction: Increment, key: "a", delta: 1, noreply: false })
            37 Arithmetic(Arithmetic { direction: Decrement, key: "a", delta: 18446744073709551615, noreply: true })
            15 Arithmetic(Arithmetic { direction: Increment, key: "a", delta: 1, noreply: false })
            needs 1"#]],
    );
    check(
        "incr a\r\nincr a x\r\nincr a -1\r\nincr a 18446744073709551616\r\n",
        &expect![[r#"
            8 +0 CLIENT_ERROR bad command line format
            10 +0 CLIENT_ERROR invalid numeric delta argument
            11 +0 CLIENT_ERROR invalid numeric delta argument
            29 +0 CLIENT_ERROR invalid numeric delta argument
            needs 1"#]],
    );
    check(
        "incr a noreply\r\nincr a x noreply\r\nincr a noreply x\r\nincr noreply\r\n",
        &expect![[r#"
            16 +0 CLIENT_ERROR invalid numeric delta argument, silent
            18 +0 CLIENT_ERROR invalid numeric delta argument, silent
            18 +0 CLIENT_ERROR invalid numeric delta argument
            14 +0 CLIENT_ERROR bad command line format
            needs 1"#]],
    );
}

#[test]
fn touch() {
    check(
        "touch a 0\r\ntouch a 2592001 noreply\r\ntouch a 2147483648 x\r\n",
        &expect![[r#"
            11 Touch(Touch { key: "a", exptime: Never, noreply: false })
            25 Touch(Touch { key: "a", exptime: Absolute(2592001), noreply: true })
            22 Touch(Touch { key: "a", exptime: Absolute(2147483648), noreply: false })
            needs 1"#]],
    );
    check(
        "touch a\r\ntouch a x\r\ntouch a noreply\r\n",
        &expect![[r#"
            9 +0 CLIENT_ERROR bad command line format
            11 +0 CLIENT_ERROR invalid exptime argument
            17 +0 CLIENT_ERROR invalid exptime argument, silent
            needs 1"#]],
    );
}

#[test]
fn flush_all_takes_no_delay() {
    check(
        "flush_all\r\nflush_all noreply\r\nflush_all 0\r\nflush_all -1 noreply\r\n",
        &expect![[r#"
            11 FlushAll { noreply: false }
            19 FlushAll { noreply: true }
            13 FlushAll { noreply: false }
            22 FlushAll { noreply: true }
            needs 1"#]],
    );
    check(
        "flush_all 1\r\nflush_all 10 noreply\r\nflush_all x\r\n",
        &expect![[r#"
            13 +0 CLIENT_ERROR flush_all with a delay is not supported
            22 +0 CLIENT_ERROR flush_all with a delay is not supported, silent
            13 +0 CLIENT_ERROR invalid exptime argument
            needs 1"#]],
    );
    check(
        "flush_all x noreply\r\nflush_all noreply x\r\n",
        &expect![[r#"
            21 +0 CLIENT_ERROR invalid exptime argument, silent
            21 +0 CLIENT_ERROR invalid exptime argument
            needs 1"#]],
    );
}

#[test]
fn stats() {
    check(
        "stats\r\nstats \r\nstats reset\r\nstats reset x\r\n",
        &expect![[r#"
            7 Stats
            8 Stats
            13 StatsReset
            15 StatsReset
            needs 1"#]],
    );
    check(
        "stats items\r\nstats rese\r\nstats noreply\r\nstats detail on\r\n",
        &expect![[r#"
            13 +0 ERROR
            12 +0 ERROR
            15 +0 ERROR
            17 +0 ERROR
            needs 1"#]],
    );
}

#[test]
fn commands_without_arguments_ignore_theirs() {
    check(
        "version\r\nversion x\r\nquit\nquit x\r\nmn\r\nmn\nmn x\r\n",
        &expect![[r#"
            9 Version
            11 Version
            5 Quit
            8 Quit
            4 MetaNoOp
            3 MetaNoOp
            6 MetaNoOp
            needs 1"#]],
    );
    check(
        "config get cluster\r\nconfig  get  cluster \r\n",
        &expect![[r#"
            20 ConfigGetCluster
            23 ConfigGetCluster
            needs 1"#]],
    );
}

#[test]
fn unknown_commands() {
    check(
        "config\r\nconfig get\r\nconfig set cluster\r\nconfig get cluster x\r\n",
        &expect![[r#"
            8 +0 ERROR
            12 +0 ERROR
            20 +0 ERROR
            22 +0 ERROR
            needs 1"#]],
    );
    check(
        "bogus\r\nbogus noreply\r\nGet a\r\n get a\r\nget\ta\r\nma\tk\r\n",
        &expect![[r#"
            7 +0 ERROR
            15 +0 ERROR, silent
            7 +0 ERROR
            8 +0 ERROR
            7 +0 ERROR
            6 +0 ERROR
            needs 1"#]],
    );
    check(
        "\r\n\na\r\n \r\n  \r\n",
        &expect![[r#"
            2 +0 CLIENT_ERROR bad command line format
            1 +0 CLIENT_ERROR bad command line format
            3 +0 CLIENT_ERROR bad command line format
            3 +0 CLIENT_ERROR bad command line format
            4 +0 ERROR
            needs 1"#]],
    );
    for line in [
        "lru tune 10 25 0.1 2.0",
        "lru_crawler enable",
        "slabs automove 0",
        "watch",
        "watch fetchers",
        "verbosity 1",
        "cache_memlimit 64",
        "shutdown",
        "misbehave",
        "me a",
        "refresh_certs",
        "debugtime 1",
        "stats settings",
    ] {
        assert!(steps(&format!("{line}\r\n"))[0].ends_with(" ERROR"), "{line}");
    }
}

#[test]
fn what_cannot_be_a_client_is_hung_up() {
    check(
        "mn\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n",
        &expect![[r#"
            4 MetaNoOp
            close"#]],
    );
    check(
        "HTTP/1.1\r\nget / HTTP/1.1\r\n",
        &expect![[r#"
            10 +0 ERROR
            16 Retrieve(Retrieve { with_cas: false, keys: ["/", "HTTP/1.1"] })
            needs 1"#]],
    );
    check(
        b"mn\r\n\x80\x0b\0\0mn\r\n",
        &expect![[r#"
            4 MetaNoOp
            close CLIENT_ERROR the binary protocol is not supported"#]],
    );
}

#[test]
fn lines_have_a_longest() {
    let padded = |start: &str, len: usize| format!("{start}{}\n", " ".repeat(len - start.len()));
    let is_closed_on = |line: &str| {
        let last = steps(line).pop().unwrap_or_default();
        last.starts_with("close CLIENT_ERROR line too long")
    };
    let is_close = |line: String| {
        let without_end = is_closed_on(&line[..line.len() - 1]);
        assert_eq!(is_closed_on(&line), without_end, "the end of the line made a difference");
        without_end
    };
    for (start, len_max) in [
        ("delete a", 2048),
        ("mg a", 2048),
        ("set a 0 0 0", 2048),
        ("getx a", 2048),
        ("get a", 16384),
        ("gets a", 16384),
        ("gat 0 a", 16384),
        ("gats 0 a", 16384),
    ] {
        assert!(!is_close(padded(start, len_max)), "{start}");
        assert!(is_close(padded(start, len_max + 1)), "{start}");
        assert!(is_close(padded(start, 70_000)), "{start}");
    }
}

fn steps(stream: &str) -> Vec<String> {
    let steps = fuzzing::walk(stream.as_bytes(), |_| stream.len());
    steps.iter().map(fuzzing::describe).collect()
}
