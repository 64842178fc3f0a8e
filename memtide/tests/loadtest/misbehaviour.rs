//! Endpoints that break the protocol or the connection: counted by kind, never believed, never
//! waited for without end.

use crate::program::{Ended, LoadTest};
use crate::stub::{Answer, stub, turning_away};

/// A short load of gets on two connections.
fn gets(answer: impl Fn(&str) -> Answer + Send + Sync + 'static) -> Ended {
    gets_within("30s", answer)
}

/// The same; a request waits for so long.
fn gets_within(timeout: &str, answer: impl Fn(&str) -> Answer + Send + Sync + 'static) -> Ended {
    let test = LoadTest::of_plain(stub(answer));
    let words = ["--mix", "get=1", "--connections", "2", "--timeout", timeout, "--rate", "200"];
    test.run(&words).success()
}

#[track_caller]
fn check(ended: &Ended, trouble: &str, replies: bool) {
    assert!(ended.troubles(trouble) > 0, "no {trouble}: {}", ended.stdout);
    let all = ended.json["troubles"].as_array().unwrap();
    assert_eq!(all.len(), 1, "only {trouble} is wanted: {all:?}");
    assert_eq!(ended.count("totals/replies") > 0, replies, "{}", ended.stdout);
    let answered = ended.count("totals/replies") + ended.count("totals/lost");
    assert_eq!(ended.count("totals/requests"), answered, "{}", ended.stdout);
}

#[test]
fn bytes_that_are_no_reply() {
    check(&gets(|_| Answer::text("HTTP/1.1 400 Bad Request\r\n\r\n")), "garbled", false);
    check(&gets(|_| Answer::text("VALUE a 0 3\r\nabcdef\r\nEND\r\n")), "garbled", false);
}

#[test]
fn a_reply_to_another_request() {
    check(&gets(|_| Answer::text("STORED\r\n")), "garbled", false);
    check(&gets(|_| Answer::text("VALUE other 0 3\r\nabc\r\nEND\r\n")), "garbled", false);
}

#[test]
fn a_reply_that_nobody_asked_for() {
    check(&gets(|_| Answer::text("END\r\nEND\r\n")), "garbled", true);
}

#[test]
fn a_connection_that_ends_in_the_middle_of_a_reply() {
    let cut = |_: &str| Answer::Last(b"VALUE some-key 0 100\r\nabc".to_vec());
    check(&gets(cut), "truncated", false);
}

#[test]
fn a_connection_that_ends_after_a_reply() {
    let ended = gets(|_| Answer::Last(b"END\r\n".to_vec()));
    assert!(ended.troubles("closed") > 0, "{}", ended.stdout);
    assert!(ended.count("totals/replies") > 0, "{}", ended.stdout);
    // A request may be under way when the connection goes; then it is reset, and nothing else.
    let known = ["closed", "reset"];
    let troubles = ended.json["troubles"].as_array().unwrap();
    let mut kinds = troubles.iter().map(|it| it["trouble"].as_str().unwrap());
    assert!(kinds.all(|kind| known.contains(&kind)), "{}", ended.stdout);
}

#[test]
fn a_connection_that_is_reset() {
    check(&gets(|_| Answer::Reset), "reset", false);
}

#[test]
fn connections_that_are_closed_as_soon_as_they_are_open() {
    let words = "ERROR Too many open connections";
    for connections in [["--connections", "8"], ["--idle-connections", "8"]] {
        let test = LoadTest::of_plain(turning_away(3, format!("{words}\r\n")));
        let ended = test.run(&[&connections[..], &["--rate", "100"]].concat());
        // As they are opened, or, where the goodbye is late, in the run.
        let broke = if ended.code == 69 { 1 } else { ended.troubles("closed") };
        assert!(broke > 0, "{}\n{}", ended.stderr, ended.stdout);
        assert!(ended.code == 0 || ended.stderr.contains("closed again: "), "{}", ended.stderr);
    }
}

#[test]
fn keys_that_the_fill_could_not_store_are_told() {
    let full = |request: &str| match request.starts_with("set") {
        true => Answer::text("SERVER_ERROR out of memory storing object\r\n"),
        false => Answer::text("END\r\n"),
    };
    let test = LoadTest::of_plain(stub(full));
    let words = ["--fill", "--keys", "10", "--mix", "get=1", "--connections", "2", "--rate", "100"];
    let ended = test.run(&words).success();
    let told = "--fill: 10 keys were not stored (SERVER_ERROR out of memory storing object)";
    assert!(ended.stderr.contains(told), "{}", ended.stderr);
}

#[test]
fn an_answer_that_nobody_asked_for_is_no_consistency() {
    let test = LoadTest::of_plain(stub(|_| Answer::text("END\r\nEND\r\n")));
    let words = ["--verify", "--connections", "2", "--fail-on", "stale"];
    let ended = test.run(&words);
    assert_eq!(ended.code, 1, "{}\n{}", ended.stderr, ended.stdout);
}

#[test]
fn silence() {
    check(&gets_within("1s", |_| Answer::Silence), "timeout", false);
}

#[test]
fn a_line_without_an_end() {
    check(&gets(|_| Answer::Bytes(vec![b'A'; 20_000])), "garbled", false);
}
