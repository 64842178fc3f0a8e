use expect_test::{Expect, expect};

use super::*;

fn resolved(flags: &[(&'static str, &str)]) -> Result<ServeConfig, ConfigError> {
    let flags: Vec<_> = flags.iter().map(|&(name, value)| (name, value.to_owned())).collect();
    resolve(&Given::gather(SETTINGS, "MEMTIDE", &flags, &|_| None, None).unwrap())
}

fn check(flags: &[(&'static str, &str)], expected: Expect) {
    expected.assert_eq(&resolved(flags).unwrap_err().to_string());
}

#[test]
fn the_defaults_are_those_of_the_documentation() {
    let config = resolved(&[]).unwrap();
    assert_eq!((config.port, config.read_port), (11211, 11212));
    assert_eq!(config.admin.to_string(), "127.0.0.1:9150");
    assert_eq!(config.item_size_max, 1 << 20);
    assert_eq!(config.idle_timeout, None);
    let allowed = host::allowed_memory().unwrap().bytes;
    assert!(config.memory_max.abs_diff(allowed / 100 * 60) < 100);
}

#[test]
fn a_mistake_gets_one_line_that_says_what_to_do() {
    check(
        &[("port", "70000")],
        expect![[r#"--port: "70000": give a whole number from 0 to 65535"#]],
    );
    check(
        &[("read-port", "11211")],
        expect![[r#"--read-port: "11211": the same as --port; give another one"#]],
    );
    check(
        &[("memory", "1m")],
        expect![[r#"--memory: "1m": less than 16 MiB does not hold a cache; give more"#]],
    );
    check(
        &[("memory", "lots")],
        expect![[
            r#"--memory: "lots": give bytes such as 67108864, 512m or 2GiB, or a share such as 60%"#
        ]],
    );
    check(
        &[("item-size-max", "2g")],
        expect![[r#"--item-size-max: "2g": give a size from 1k to 1g"#]],
    );
    check(
        &[("memory", "16m"), ("item-size-max", "8m")],
        expect![[
            r#"--item-size-max: "8m": more than an eighth of --memory; give less, or more memory"#
        ]],
    );
    check(
        &[("bind", "::1,example.org")],
        expect![[r#"--bind: "::1,example.org": example.org is no IP address"#]],
    );
    check(
        &[("admin", "9150")],
        expect![[r#"--admin: "9150": give an IP address and a port, such as 127.0.0.1:9150"#]],
    );
    check(
        &[("tls-cert", "a.pem")],
        expect![[r#"--tls-cert: "a.pem": a certificate needs --tls-key too"#]],
    );
    check(&[("tls-key", "a.key")], expect![[r#"--tls-key: "a.key": a key needs --tls-cert too"#]]);
    check(
        &[("connections-max", "0")],
        expect![[r#"--connections-max: "0": give a whole number from 1 to 16777216"#]],
    );
    check(&[("log-format", "xml")], expect![[r#"--log-format: "xml": not auto, text or json"#]]);
    check(
        &[("name", "a b")],
        expect![[r#"--name: "a b": give 1 to 40 letters, digits and hyphens"#]],
    );
    check(
        &[("handshake-timeout", "1ms")],
        expect![[
            r#"--handshake-timeout: "1ms": less than 100ms closes honest clients; give more"#
        ]],
    );
}

#[test]
fn more_memory_than_there_is_is_refused() {
    let error = resolved(&[("memory", "9000t")]).unwrap_err().to_string();
    assert!(error.starts_with("--memory: \"9000t\": this host or its cgroup allows "), "{error}");
}
