use std::{fmt::Debug, path::Path};

use expect_test::{Expect, expect};

use std::time::Duration;

use super::*;

const SETTINGS: &[Setting] = &[
    Setting { name: "port", value: "PORT", default: "11211", help: "", heading: "" },
    Setting { name: "read-port", value: "PORT", default: "11212", help: "", heading: "" },
    Setting { name: "memory", value: "SIZE", default: "60%", help: "", heading: "" },
    Setting { name: "bind", value: "IP", default: "", help: "", heading: "" },
];

fn parse_file(text: &str) -> Result<ConfigFile, ConfigError> {
    ConfigFile::parse(Path::new("memtide.toml"), text, SETTINGS)
}

#[test]
fn files_with_an_error_name_file_line_and_key() {
    fn check(text: &str, expected: &Expect) {
        expected.assert_eq(&parse_file(text).unwrap_err().to_string());
    }
    check("\n\nprot = 1\n", &expect!["memtide.toml:3: unknown key prot; did you mean port?"]);
    check(
        "# c\nread_port = 1",
        &expect!["memtide.toml:2: unknown key read_port; did you mean read-port?"],
    );
    check(
        "zzz = 1\nprot = 2",
        &expect!["memtide.toml:1: unknown key zzz; memtide --help lists the settings"],
    );
    check(
        "port = 1\n[serve]\nport = 2",
        &expect!["memtide.toml:2: unknown key serve; memtide --help lists the settings"],
    );
    check(
        "\"po\\nrt\" = 1",
        &expect![[r#"memtide.toml:1: unknown key po\nrt; did you mean port?"#]],
    );
    check("port = 1\nport = 2", &expect!["memtide.toml:2: not TOML: duplicate key"]);
    check(
        "port = \n",
        &expect![[
            r#"memtide.toml:1: not TOML: string values must be quoted, expected literal string"#
        ]],
    );
    check("memory = 60%", &expect!["memtide.toml:1: not TOML: string values must be quoted, expected literal string"]);
    check(
        "[port]\nx = 1",
        &expect![[
            r#"memtide.toml:1: port cannot be a table; give a string, a number or an array of them"#
        ]],
    );
    check(
        "port = 2026-01-31",
        &expect![[
            r#"memtide.toml:1: port cannot be a date; give a string, a number or an array of them"#
        ]],
    );
}

#[test]
fn flags_over_environment_over_file_over_defaults() {
    let file =
        parse_file("port = 1\nmemory = '1g'\nbind = ['127.0.0.1', '::1']\nread-port = 0x10\n");
    let file = file.unwrap();
    let flag = |name: &str| (name == "port").then(|| "3".to_owned());
    let env = |name: &str| match name {
        "MEMTIDE_PORT" | "MEMTIDE_MEMORY" => Some("2".to_owned()),
        "MEMTIDE_READ_PORT" => Some("tcp://10.0.0.1:11212".to_owned()),
        _ => None,
    };
    let none = |_: &str| None;
    let layers = Layers::merge(SETTINGS, flag, env, Some(&file));
    let places = ["port", "memory", "bind", "read-port"].map(|name| layers.given(name).place());
    assert_eq!(
        places,
        [
            "--port 3",
            "MEMTIDE_MEMORY=2",
            "memtide.toml:3: bind = 127.0.0.1,::1",
            "memtide.toml:4: read-port = 0x10"
        ]
    );
    let defaults = Layers::merge(SETTINGS, none, none, None);
    assert_eq!(defaults.given("memory").origin, Origin::Default);
    assert_eq!(defaults.parse("port", port).unwrap(), 11211);
    let error = layers.parse("read-port", port).unwrap_err().to_string();
    assert_eq!(
        error,
        "memtide.toml:4: read-port = 0x10: not a port; give 0 (any free one) to 65535"
    );
}

#[test]
fn a_file_that_cannot_be_read() {
    let error = ConfigFile::read(Path::new("/no/such"), SETTINGS).unwrap_err().to_string();
    assert!(error.starts_with("--config /no/such: failed to read: "), "{error}");
}

fn check<T: Debug + PartialEq>(
    parse: impl Fn(&str) -> Result<T, String>,
    good: &[(&str, T)],
    bad: &[&str],
) {
    for (text, expected) in good {
        assert_eq!(parse(text).as_ref(), Ok(expected), "{text}");
    }
    for text in bad {
        let error = parse(text).expect_err(text);
        assert!(!error.contains('\n') && error.contains("; "), "{text}: {error}");
    }
}

#[test]
fn sizes() {
    check(
        size,
        &[
            ("0", 0),
            ("1048576", 1 << 20),
            ("1m", 1 << 20),
            ("1M", 1 << 20),
            ("2GiB", 2 << 30),
            ("2 gib", 2 << 30),
            ("1GB", 1_000_000_000),
            ("64k", 64 << 10),
            ("16777215t", 16_777_215 << 40),
        ],
        &["", "m", "-1", "1.5g", "1x", "1 m m", "16777216t", "99999999999999999999", "٣m"],
    );
    let shown = [0, 1023, 1024, 1536, (1 << 30) - 1, 1 << 30, 15_032_385_536].map(show_size);
    let expected = ["0 bytes", "1023 bytes", "1 KiB", "1.5 KiB", "1023.9 MiB", "1 GiB", "14 GiB"];
    assert_eq!(shown, expected);
}

#[test]
fn memories() {
    let good = [
        ("60%", Memory::Share(60)),
        ("100 %", Memory::Share(100)),
        ("512m", Memory::Bytes(512 << 20)),
    ];
    check(memory, &good, &["0%", "101%", "60.5%", "%", "much", ""]);
}

#[test]
fn durations() {
    let good = [
        ("0", Duration::ZERO),
        ("30", Duration::from_secs(30)),
        ("30s", Duration::from_secs(30)),
        ("500ms", Duration::from_millis(500)),
        ("5m", Duration::from_secs(300)),
        ("8760h", Duration::from_secs(365 * 86400)),
    ];
    check(duration, &good, &["", "s", "-1", "1.5s", "1d", "8761h", "99999999999999999999ms"]);
}

#[test]
fn addresses_and_names() {
    let ip = |text: &str| text.parse().unwrap();
    check(port, &[("0", 0), ("65535", 65535)], &["", "-1", "65536", "http"]);
    let good = [("", vec![]), ("127.0.0.1, ::1,127.0.0.1", vec![ip("127.0.0.1"), ip("::1")])];
    check(ips, &good, &["localhost", "127.0.0.1:80", "*"]);
    let good = [("127.0.0.1:0", "127.0.0.1:0".parse().unwrap())];
    check(socket, &good, &["9150", ":9150", "localhost:9150", "127.0.0.1"]);
    let good = [
        ("cache.example", "cache.example".to_owned()),
        ("[::1]", "::1".to_owned()),
        ("my_host", "my_host".to_owned()),
    ];
    check(host, &good, &["", "a b", "http://x", "x:11211", "*.x"]);
    check(|text| number(text, &(1..=8_u16)), &[("8", 8)], &["0", "9", "x", ""]);
}

#[test]
fn logs() {
    check(log_format, &[("json", crate::logging::LogFormat::Json)], &["", "JSON", "xml"]);
    let good =
        [("info", "info".to_owned()), ("warn,memtide=trace", "warn,memtide=trace".to_owned())];
    check(filter, &good, &["info,,=", "a=b=c"]);
}
