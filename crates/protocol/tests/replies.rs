//! Replies to meta commands: flags in request order, marks, and what `q` hides.

use expect_test::{Expect, expect};
use memtide_protocol::encode::{
    ItemMeta, Marks, MetaStatus, Ttl, meta_arithmetic_done, meta_arithmetic_failed, meta_delete,
    meta_get_hit, meta_get_miss, meta_set,
};
use memtide_protocol::{Command, Limits, Step, parse};

const ITEM: ItemMeta = ItemMeta {
    client_flags: 7,
    cas: 42,
    ttl: Ttl::Secs(30),
    last_access_secs: 5,
    hit_before: true,
    value_len: 3,
};

/// All the replies that there are to one command, one a line.
fn check(line: &str, expected: &Expect) {
    let input = format!("{line}\r\n1\r\n");
    let limits = Limits::default();
    let Step::Command { command, .. } = parse(input.as_bytes(), &limits) else {
        panic!("{line} is no command")
    };
    let mut out = Vec::new();
    match &command {
        Command::MetaGet(command) => {
            let with_value = meta_get_hit(&mut out, command, &ITEM, Marks::default());
            out.extend_from_slice(if with_value { b"abc\r\n" } else { b"" });
            meta_get_miss(&mut out, command);
        }
        Command::MetaSet(command) => {
            for status in [MetaStatus::Done, MetaStatus::NotStored] {
                meta_set(&mut out, command, status, 42, 9);
            }
            for status in [MetaStatus::Exists, MetaStatus::NotFound] {
                meta_set(&mut out, command, status, 0, 1);
            }
        }
        Command::MetaDelete(command) => {
            for status in [MetaStatus::Done, MetaStatus::Exists, MetaStatus::NotFound] {
                meta_delete(&mut out, command, status);
            }
        }
        Command::MetaArithmetic(command) => {
            meta_arithmetic_done(&mut out, command, u64::MAX, 42, Ttl::Never);
            for status in [MetaStatus::NotStored, MetaStatus::Exists, MetaStatus::NotFound] {
                meta_arithmetic_failed(&mut out, command, status);
            }
        }
        _ => panic!("{line} is no meta command"),
    }
    expected.assert_eq(&String::from_utf8_lossy(&out).replace("\r\n", "\n"));
}

#[test]
fn get() {
    check(
        "mg k",
        &expect![[r#"
        HD
        EN
    "#]],
    );
    check(
        "mg k v",
        &expect![[r#"
        VA 3
        abc
        EN
    "#]],
    );
    check(
        "mg k s v k Oabc t f c h l u Px L",
        &expect![[r#"
        VA 3 s3 kk Oabc t30 f7 c42 h1 l5
        abc
        EN kk Oabc
    "#]],
    );
    check(
        "mg k l h c f t O k v s q",
        &expect![[r#"
        VA 3 l5 h1 c42 f7 t30 O kk s3
        abc
    "#]],
    );
    check(
        "mg k T30 N0 R5 E1 M I x J1 D1 F1",
        &expect![[r#"
        HD
        EN
    "#]],
    );
}

#[test]
fn a_known_cas_saves_the_value() {
    check(
        "mg k v c C42",
        &expect![[r#"
        HD c42
        EN
    "#]],
    );
    check(
        "mg k v c C41",
        &expect![[r#"
        VA 3 c42
        abc
        EN
    "#]],
    );
}

#[test]
fn a_base64_key_comes_back_canonical() {
    check(
        "mg Zh== k b",
        &expect![[r#"
        HD kZg== b
        EN kZg== b
    "#]],
    );
    check(
        "md Z!m9v Ox b k",
        &expect![[r#"
        HD Ox kZm9v b
        EX Ox kZm9v b
        NF Ox kZm9v b
    "#]],
    );
}

#[test]
fn marks_come_last() {
    let Step::Command { command: Command::MetaGet(command), .. } =
        parse(b"mg k t\r\n", &Limits::default())
    else {
        panic!("mg is a command")
    };
    let mut out = Vec::new();
    for (won, stale, win_sent) in
        [(true, false, false), (true, true, false), (false, true, true), (false, false, true)]
    {
        let item = ItemMeta { ttl: Ttl::Never, ..ITEM };
        let _ = meta_get_hit(&mut out, &command, &item, Marks { won, stale, win_sent });
    }
    expect![[r#"HD t-1 W\r\nHD t-1 X W\r\nHD t-1 Z X\r\nHD t-1 Z\r\n"#]]
        .assert_eq(&out.escape_ascii().to_string());
}

#[test]
fn set() {
    check(
        "ms k 1 q",
        &expect![[r#"
        NS
        EX
        NF
    "#]],
    );
    check(
        "ms k 1 s Oabc c k v t",
        &expect![[r#"
        HD s9 Oabc c42 kk
        NS s9 Oabc c42 kk
        EX s1 Oabc c0 kk
        NF s1 Oabc c0 kk
    "#]],
    );
}

#[test]
fn delete() {
    check(
        "md k q",
        &expect![[r#"
        EX
        NF
    "#]],
    );
    check(
        "md k Oabc k c v",
        &expect![[r#"
        HD Oabc kk
        EX Oabc kk
        NF Oabc kk
    "#]],
    );
}

#[test]
fn arithmetic() {
    check(
        "ma k",
        &expect![[r#"
        HD
        NS
        EX
        NF
    "#]],
    );
    check(
        "ma k q v",
        &expect![[r#"
        NS
        EX
        NF
    "#]],
    );
    check(
        "ma k t c v k Oabc s",
        &expect![[r#"
        VA 20 t-1 c42 kk Oabc
        18446744073709551615
        NS kk Oabc
        EX kk Oabc
        NF kk Oabc
    "#]],
    );
}
