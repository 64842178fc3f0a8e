//! Meta commands: what is read and what is refused.

mod common;

use common::check;
use expect_test::expect;
use memtide_protocol::{Step, fuzzing, parse};

#[test]
fn get() {
    check(
        "mg a\r\nmg  a  v  Oabc \r\n",
        &expect![[r#"
            6 MetaGet(MetaGet { key: Key { token: "a", is_base64: false }, flags: "", recache: None })
            17 MetaGet(MetaGet { key: Key { token: "a", is_base64: false }, flags: ["v", "Oabc"], wants_value: true, recache: None })
            needs 1"#]],
    );
    check(
        "mg a q u k s t c f h l Px L b v\r\n",
        &expect![[r#"
            33 +0 CLIENT_ERROR error decoding key
            needs 1"#]],
    );
    check(
        "mg Zm9v b C1 E2 T3 N-1 R0\r\n",
        &expect![[r#"
            27 MetaGet(MetaGet { key: Key { token: "Zm9v", is_base64: true }, flags: ["b", "C1", "E2", "T3", "N-1", "R0"], known_cas: Some(1), new_cas: Some(2), touch: Some(Relative(3)), vivify: Some(Immediate), recache: Some(Never) })
            needs 1"#]],
    );
}

#[test]
fn set() {
    check(
        "ms a 2\r\nab\r\nms a 0 q\r\n\r\n",
        &expect![[r#"
            12 MetaSet(MetaSet { key: Key { token: "a", is_base64: false }, flags: "", value: "ab", mode: Set, client_flags: 0, exptime: Never, invalidate: false })
            12 MetaSet(MetaSet { key: Key { token: "a", is_base64: false }, flags: ["q"], value: "", is_quiet: true, mode: Set, client_flags: 0, exptime: Never, invalidate: false })
            needs 1"#]],
    );
    check(
        "ms a 1 MA N30 T60 F7 C1 E2 I c s Ox\r\n1\r\n",
        &expect![[r#"
            40 MetaSet(MetaSet { key: Key { token: "a", is_base64: false }, flags: ["MA", "N30", "T60", "F7", "C1", "E2", "I", "c", "s", "Ox"], value: "1", mode: Append, client_flags: 7, exptime: Relative(60), vivify: Some(Relative(30)), compare_cas: Some(1), new_cas: Some(2), invalidate: true })
            needs 1"#]],
    );
    for mode in ["S", "E", "A", "P", "R", "SET"] {
        check_mode(mode);
    }
}

fn check_mode(mode: &str) {
    assert!(is_command(&format!("ms a 1 M{mode}\r\n1\r\n")), "{mode}");
}

fn is_command(text: &str) -> bool {
    matches!(parse(text.as_bytes(), &fuzzing::LIMITS), Step::Command { .. })
}

#[test]
fn delete() {
    check(
        "md a\r\nmd a q I T30 C1 x E2 F3 k Oab\r\n",
        &expect![[r#"
            6 MetaDelete(MetaDelete { key: Key { token: "a", is_base64: false }, flags: "", client_flags: 0, exptime: None })
            31 MetaDelete(MetaDelete { key: Key { token: "a", is_base64: false }, flags: ["q", "I", "T30", "C1", "x", "E2", "F3", "k", "Oab"], is_quiet: true, compare_cas: Some(1), new_cas: Some(2), invalidate: true, removes_value: true, client_flags: 3, exptime: Some(Relative(30)) })
            needs 1"#]],
    );
}

#[test]
fn arithmetic() {
    check(
        "ma a\r\nma a N0 J13 D5 T30 MD C1 E2 q v t c k\r\n",
        &expect![[r#"
            6 MetaArithmetic(MetaArithmetic { key: Key { token: "a", is_base64: false }, flags: "", direction: Increment, delta: 1, initial: 0, new_cas: None })
            39 MetaArithmetic(MetaArithmetic { key: Key { token: "a", is_base64: false }, flags: ["N0", "J13", "D5", "T30", "MD", "C1", "E2", "q", "v", "t", "c", "k"], is_quiet: true, wants_value: true, direction: Decrement, delta: 5, initial: 13, vivify: Some(Never), touch: Some(Relative(30)), compare_cas: Some(1), new_cas: Some(2) })
            needs 1"#]],
    );
    check(
        "ma a MI\r\nma a M+\r\nma a Mincr\r\nma a MD\r\nma a M-\r\n",
        &expect![[r#"
            9 MetaArithmetic(MetaArithmetic { key: Key { token: "a", is_base64: false }, flags: ["MI"], direction: Increment, delta: 1, initial: 0, new_cas: None })
            9 MetaArithmetic(MetaArithmetic { key: Key { token: "a", is_base64: false }, flags: ["M+"], direction: Increment, delta: 1, initial: 0, new_cas: None })
            12 +0 CLIENT_ERROR invalid mode for ma M token
            9 MetaArithmetic(MetaArithmetic { key: Key { token: "a", is_base64: false }, flags: ["MD"], direction: Decrement, delta: 1, initial: 0, new_cas: None })
            9 MetaArithmetic(MetaArithmetic { key: Key { token: "a", is_base64: false }, flags: ["M-"], direction: Decrement, delta: 1, initial: 0, new_cas: None })
            needs 1"#]],
    );
}

#[test]
fn words_missing() {
    check(
        "mg\r\nmg \r\nmd\r\nma\r\nms\r\nms a\r\nms a x\r\nms a -1\r\nms a S2\r\n",
        &expect![[r#"
            4 +0 CLIENT_ERROR bad command line format
            5 +0 CLIENT_ERROR bad command line format
            4 +0 CLIENT_ERROR bad command line format
            4 +0 CLIENT_ERROR bad command line format
            4 +0 CLIENT_ERROR bad command line format
            6 +0 CLIENT_ERROR bad command line format
            8 +0 CLIENT_ERROR bad command line format
            9 +0 CLIENT_ERROR bad command line format
            9 +0 CLIENT_ERROR bad command line format
            needs 1"#]],
    );
}

#[test]
fn keys() {
    let (long, longer) = ("A".repeat(250), "A".repeat(251));
    check(
        format!("mg {longer}\r\nma {longer}\r\nms {longer} 1\r\n1\r\nmn\r\n"),
        &expect![[r#"
            256 +0 CLIENT_ERROR bad command line format
            256 +0 CLIENT_ERROR invalid or duplicate flag
            258 +3 CLIENT_ERROR bad command line format
            4 MetaNoOp
            needs 1"#]],
    );
    check(
        format!("mg {long} b\r\nms Zm9 1 b\r\n1\r\nmd ! b\r\nma A=== b\r\n"),
        &expect![[r#"
            257 +0 CLIENT_ERROR error decoding key
            12 +3 CLIENT_ERROR error decoding key
            8 +0 CLIENT_ERROR error decoding key
            11 +0 CLIENT_ERROR invalid or duplicate flag
            needs 1"#]],
    );
}

#[test]
fn flags_refused() {
    check(
        "mg a v v\r\nmg a z\r\nmg a 1\r\nmg a !\r\nmg a \x7f\r\nmg a S1\r\n",
        &expect![[r#"
            10 +0 CLIENT_ERROR duplicate flag
            8 +0 CLIENT_ERROR invalid flag
            8 +0 CLIENT_ERROR invalid flag
            8 +0 CLIENT_ERROR invalid flag
            8 +0 CLIENT_ERROR invalid flag
            9 +0 CLIENT_ERROR invalid flag
            needs 1"#]],
    );
    check(
        b"mg a \xff\r\nma a \xff\r\nma a v v\r\nmd a v v\r\n",
        &expect![[r#"
            8 +0 CLIENT_ERROR invalid flag
            8 +0 CLIENT_ERROR invalid or duplicate flag
            10 +0 CLIENT_ERROR invalid or duplicate flag
            10 +0 CLIENT_ERROR duplicate flag
            needs 1"#]],
    );
    check(
        "ms a 1 c c\r\n1\r\nms a 1 z\r\n1\r\nms a 1 noreply\r\n1\r\nmn\r\n",
        &expect![[r#"
            12 +3 CLIENT_ERROR duplicate flag
            10 +3 CLIENT_ERROR invalid flag
            16 +3 CLIENT_ERROR invalid flag
            4 MetaNoOp
            needs 1"#]],
    );
}

#[test]
fn tokens_refused() {
    check(
        "mg a T\r\nmg a Tx\r\nmg a Nx\r\nmg a Rx\r\nmg a Cx\r\nmg a E-1\r\n",
        &expect![[r#"
            8 +0 CLIENT_ERROR bad token in command line format
            9 +0 CLIENT_ERROR bad token in command line format
            9 +0 CLIENT_ERROR bad token in command line format
            9 +0 CLIENT_ERROR bad token in command line format
            9 +0 CLIENT_ERROR bad token in command line format
            10 +0 CLIENT_ERROR bad token in command line format
            needs 1"#]],
    );
    check(
        "mg a Dx\r\nmg a Jx\r\nmg a Fx\r\nmg a Fx Tx\r\nmg a Tx Fx\r\n",
        &expect![[r#"
            9 +0 CLIENT_ERROR invalid numeric delta value
            9 +0 CLIENT_ERROR invalid numeric initial value
            9 +0 CLIENT_ERROR bad command line format
            12 +0 CLIENT_ERROR bad token in command line format
            12 +0 CLIENT_ERROR bad token in command line format
            needs 1"#]],
    );
    check(
        "mg a Tx Dx\r\nmg a Tx v v\r\nmg ! b Tx\r\nmg ! Tx b\r\n",
        &expect![[r#"
            12 +0 CLIENT_ERROR invalid numeric delta value
            13 +0 CLIENT_ERROR duplicate flag
            11 +0 CLIENT_ERROR bad token in command line format
            11 +0 CLIENT_ERROR error decoding key
            needs 1"#]],
    );
    check(
        "ma a Dx\r\nma a Tx\r\nma a Mx\r\nma a M\r\n",
        &expect![[r#"
            9 +0 CLIENT_ERROR invalid or duplicate flag
            9 +0 CLIENT_ERROR invalid or duplicate flag
            9 +0 CLIENT_ERROR invalid mode for ma M token
            8 +0 CLIENT_ERROR invalid mode for ma M token
            needs 1"#]],
    );
    check(
        "ms a 1 Mx\r\n1\r\nms a 1 M\r\n1\r\nms a 1 Tx q\r\n1\r\nmn\r\n",
        &expect![[r#"
            11 +3 CLIENT_ERROR invalid mode for ms M token
            10 +3 CLIENT_ERROR invalid mode for ms M token
            13 +3 CLIENT_ERROR bad token in command line format
            4 MetaNoOp
            needs 1"#]],
    );
}

#[test]
fn opaques_have_32_bytes_with_their_flag() {
    let (long, longer) = ("O".repeat(32), "O".repeat(33));
    check(
        format!("mg a {long}\r\nmg a {longer}\r\nmd a {longer}\r\n"),
        &expect![[r#"
            39 MetaGet(MetaGet { key: Key { token: "a", is_base64: false }, flags: ["OOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOO"], recache: None })
            40 +0 CLIENT_ERROR opaque token too long
            40 +0 CLIENT_ERROR opaque token too long
            needs 1"#]],
    );
    check(
        format!("ma a Mx {longer}\r\nma a {longer}\r\n"),
        &expect![[r#"
            43 +0 CLIENT_ERROR invalid mode for ma M token
            40 +0 CLIENT_ERROR opaque token too long
            needs 1"#]],
    );
    check(
        format!("ms a 1 {longer}\r\n1\r\nmn\r\n"),
        &expect![[r#"
            42 +3 CLIENT_ERROR opaque token too long
            4 MetaNoOp
            needs 1"#]],
    );
}

#[test]
fn a_meta_command_has_20_words() {
    let flags = "b k s t c f v h l u q x I C1 E1 T1 N1 R1";
    assert_eq!(flags.split(' ').count(), 18);
    check(
        format!("mg AAAA {flags}\r\nmg AAAA {flags} F1\r\nmg AAAA {flags} b\r\n"),
        &expect![[r#"
            50 MetaGet(MetaGet { key: Key { token: "AAAA", is_base64: true }, flags: ["b", "k", "s", "t", "c", "f", "v", "h", "l", "u", "q", "x", "I", "C1", "E1", "T1", "N1", "R1"], is_quiet: true, wants_value: true, is_unbumped: true, known_cas: Some(1), new_cas: Some(1), touch: Some(Relative(1)), vivify: Some(Relative(1)), recache: Some(Relative(1)) })
            53 +0 CLIENT_ERROR options flags are too long
            52 +0 CLIENT_ERROR options flags are too long
            needs 1"#]],
    );
    check(
        format!("mg AAAA b b {flags}\r\nma AAAA {flags} F1\r\n"),
        &expect![[r#"
            54 +0 CLIENT_ERROR options flags are too long
            53 +0 CLIENT_ERROR invalid or duplicate flag
            needs 1"#]],
    );
    check(
        format!("ms AAAA 1 {flags}\r\n1\r\nmn\r\n"),
        &expect![[r#"
            52 +3 CLIENT_ERROR options flags are too long
            4 MetaNoOp
            needs 1"#]],
    );
}

#[test]
fn a_bad_data_block_takes_the_length_that_was_named() {
    check(
        "ms a 1 q\r\n123\r\nmn\r\n",
        &expect![[r#"
            13 +0 CLIENT_ERROR bad data chunk
            2 +0 CLIENT_ERROR bad command line format
            4 MetaNoOp
            needs 1"#]],
    );
}

/// The key that counts is the decoded one. Every mode unlinks, as in memcached.
#[test]
fn an_item_over_the_limit_is_refused_and_unlinked() {
    let over = "x".repeat(453);
    check(
        format!("ms k 453 q\r\n{over}\r\nmn\r\n"),
        &expect![[r#"
            12 +455 SERVER_ERROR object too large for cache, unlink b"k"
            4 MetaNoOp
            needs 1"#]],
    );
    check(
        format!("ms k 449 F1 MA\r\n{}\r\nmn\r\n", &over[4..]),
        &expect![[r#"
            16 +451 SERVER_ERROR object too large for cache, unlink b"k"
            4 MetaNoOp
            needs 1"#]],
    );
    check(
        format!("ms Zm9v 451 b\r\n{}\r\nmn\r\n", &over[2..]),
        &expect![[r#"
            15 +453 SERVER_ERROR object too large for cache, unlink b"foo"
            4 MetaNoOp
            needs 1"#]],
    );
    assert!(is_command(&format!("ms Zm9v 450 b\r\n{}\r\n", &over[3..])));
}
