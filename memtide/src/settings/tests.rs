use expect_test::{Expect, expect};
use memtide_service::config::ConfigError;

use memtide_topology::Zone;

use super::*;

mod etcd;
mod scaling;

fn host_of(gib: u64) -> Host {
    let memory = AllowedMemory { bytes: gib << 30, limited_by: "host".to_owned() };
    Host { memory: Some(memory), cores: 4, cpu_millis: 4000, name: "box".to_owned() }
}

fn resolved(flags: &[(&'static str, &str)], file: &str) -> Result<EndpointConfig, ConfigError> {
    let flags: Vec<_> = flags.iter().map(|&(name, value)| (name, value.to_owned())).collect();
    let file = Some((Path::new("memtide.toml"), file));
    endpoint::resolve(&Given::gather(Role::Serve.schema(), &flags, &|_| None, file)?, &host_of(10))
}

fn check(flags: &[(&'static str, &str)], expected: Expect) {
    expected.assert_eq(&resolved(flags, "").unwrap_err().to_string());
}

#[test]
fn the_defaults_are_those_of_the_documentation() {
    let config = resolved(&[], "").unwrap();
    assert_eq!((config.port, config.read_port), (11211, 11212));
    assert_eq!(config.common.admin.to_string(), "127.0.0.1:9150");
    assert_eq!(config.item_size_max, 1 << 20);
    assert_eq!(config.idle_timeout, None);
    assert_eq!(config.memory_max, 6 << 30);
    assert_eq!((config.threads, config.advertise.as_str()), (4, "box"));
    assert_eq!(config.common.warnings, [""; 0]);
}

#[test]
fn an_address_that_cannot_be_meant() {
    check(
        &[("port", "70000")],
        expect![[r#"--port: "70000": give a whole number from 0 to 65535"#]],
    );
    check(
        &[("read-port", "11211")],
        expect![[r#"--read-port: "11211": the same as --port; give another one"#]],
    );
    check(
        &[("admin", "127.0.0.1:11212")],
        expect![[r#"--admin: "127.0.0.1:11212": the port of --read-port; give another one"#]],
    );
    check(
        &[("admin", "9150")],
        expect![[r#"--admin: "9150": give an IP address and a port, such as 127.0.0.1:9150"#]],
    );
}

#[test]
fn an_amount_that_cannot_be_meant() {
    check(
        &[("memory", "1m")],
        expect![[r#"--memory: "1m": less than 16 MiB, too little for a cache; give more"#]],
    );
    check(
        &[("memory", "11g")],
        expect![[
            r#"--memory: "11g": more than there is, 10 GiB (host); give less, or a share: 60%"#
        ]],
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
            r#"--item-size-max: "8m": more than an eighth of the memory that a node may take; give less, or more memory"#
        ]],
    );
}

#[test]
fn a_name_or_a_file_that_cannot_be_meant() {
    check(
        &[("bind", "::1,example.org")],
        expect![[
            r#"--bind: "::1,example.org": example.org is no IP address; give such as 127.0.0.1 or 127.0.0.1,::1"#
        ]],
    );
    check(
        &[("advertise", "cache:11211")],
        expect![[r#"--advertise: "cache:11211": give a host name or an IP address, without port"#]],
    );
    check(
        &[("tls-cert", "a.pem")],
        expect![[r#"--tls-cert: "a.pem": a certificate needs --tls-key too"#]],
    );
    check(&[("tls-key", "a.key")], expect![[r#"--tls-key: "a.key": a key needs --tls-cert too"#]]);
}

#[test]
fn a_number_or_a_word_that_cannot_be_meant() {
    check(
        &[("connections-max", "0")],
        expect![[r#"--connections-max: "0": give a whole number from 1 to 16777216"#]],
    );
    check(&[("threads", "0")], expect![[r#"--threads: "0": give a whole number from 1 to 1024"#]]);
    check(
        &[("drain-timeout", "25h")],
        expect![[r#"--drain-timeout: "25h": give at most a day, 24h"#]],
    );
    check(
        &[("handshake-timeout", "1ms")],
        expect![[
            r#"--handshake-timeout: "1ms": less than 100ms closes honest clients; give more"#
        ]],
    );
    check(&[("log-format", "xml")], expect![[r#"--log-format: "xml": give auto, text or json"#]]);
    for guard in ["tls-client-ca", "admin-client-ca", "admin-token-file"] {
        let refused = resolved(&[(guard, "")], "").unwrap_err().to_string();
        assert_eq!(refused, format!("--{guard}: \"\": give a file, or leave it out"));
    }
    for filter in ["a=b=c", "inof", "info,memtide_proxy"] {
        let refused = resolved(&[("log-level", filter)], "").unwrap_err().to_string();
        let why =
            "give error, warn, info, debug or trace, or a list such as info,memtide_proxy=debug";
        assert_eq!(refused, format!("--log-level: {filter:?}: {why}"));
    }
    check(
        &[("name", "a b")],
        expect![[r#"--name: "a b": give 1 to 40 letters, digits and hyphens"#]],
    );
}

#[test]
fn a_share_of_too_little_is_explained() {
    let mut host = host_of(0);
    let given = |memory: &str| {
        Given::gather(Role::Serve.schema(), &[("memory", memory.to_owned())], &|_| None, None)
            .unwrap()
    };
    let line = |memory: &str, host: &Host| {
        endpoint::resolve(&given(memory), host).unwrap_err().to_string()
    };
    host.memory =
        Some(AllowedMemory { bytes: 20 << 20, limited_by: "/sys/fs/cgroup/memory.max".to_owned() });
    expect![[r#"--memory: "60%": of 20 MiB (/sys/fs/cgroup/memory.max) is less than 16 MiB, too little for a cache; give more"#]].assert_eq(&line("60%", &host));
    host.memory = None;
    expect![[r#"--memory: "60%": this host does not say how much memory it has; give bytes"#]]
        .assert_eq(&line("60%", &host));
    assert!(endpoint::resolve(&given("64m"), &host).is_ok());
}

#[test]
fn admin_may_share_a_port_on_another_address() {
    let flags = [("bind", "127.0.0.2"), ("admin", "127.0.0.1:11211")];
    assert!(resolved(&flags, "").is_ok());
}

#[test]
fn memory_may_follow_the_data() {
    let config = resolved(&[("memory", "64m..40%"), ("scale-in-after", "5s")], "").unwrap();
    let policy = config.growth.as_ref().unwrap();
    assert_eq!((policy.memory_min, config.memory_max), (64 << 20, 4 << 30));
    assert_eq!((policy.in_after.as_secs(), policy.nodes_max), (5, 1));
    let shown = "memory = \"64m..40%\"  # 64 MiB to 4 GiB of 10 GiB (host); --memory";
    assert!(config.common.shown.contains(shown), "{}", config.common.shown);
    let large = [("memory", "64m..1g"), ("item-size-max", "32m")];
    assert_eq!(resolved(&large, "").unwrap().memory_least(), 256 << 20);
    assert!(resolved(&[("memory", "1g")], "").unwrap().growth.is_none());
    let line = |memory: &str| resolved(&[("memory", memory)], "").unwrap_err().to_string();
    expect![[
        r#"--memory: "2g..1g": more at the start than at most, 2 GiB and 1 GiB; give less first"#
    ]]
    .assert_eq(&line("2g..1g"));
    expect![[r#"--memory: "1m..1g": less than 16 MiB, too little for a cache; give more"#]]
        .assert_eq(&line("1m..1g"));
    expect![[
        r#"--memory: "64m..": give bytes such as 67108864, 512m or 2GiB, or a share such as 60%"#
    ]]
    .assert_eq(&line("64m.."));
    check(
        &[("memory", "64m..1g"), ("nodes", "processes=2")],
        expect![[
            r#"--memory: "64m..1g": node processes begin with as little as can be by themselves; give the most of all of them, and --nodes processes=A..B"#
        ]],
    );
}

#[test]
fn nearly_all_of_the_memory_is_a_warning() {
    let config = resolved(&[("memory", "95%")], "").unwrap();
    expect!["--memory 9.5 GiB leaves connections and the process itself little of 10 GiB (host)"]
        .assert_eq(&config.common.warnings.join("\n"));
}

#[test]
fn what_is_shown_is_a_file_that_gives_the_same() {
    let flags = [("bind", "127.0.0.1,::1"), ("data-dir", "a \"b\"\\c"), ("advertise", "[::1]")];
    let config = resolved(&flags, "memory = \"1g\"\nthreads = 2").unwrap();
    expect![[r#"
        name = "default"
        nodes = "embedded"
        # zones
        replicas = "0"
        spares = "0"
        scale_in_after = "2m"
        bind = "127.0.0.1,::1"  # --bind
        port = "11211"
        read_port = "11212"
        admin = "127.0.0.1:9150"
        # admin_token_file
        # admin_client_ca
        advertise = "[::1]"  # --advertise
        data_dir = "a \"b\"\\c"  # --data-dir
        # fleet_tls
        # tls_cert  # made in a "b"\c/tls
        # tls_key  # made in a "b"\c/tls
        # tls_client_ca  # clients need no certificate
        memory = "1g"  # 1 GiB of 10 GiB (host); memtide.toml:1: memory
        # wire_version_max  # 2, the newest that it knows
        item_size_max = "1m"
        # data_storage_max  # no limit
        # data_storage_min  # 1 GiB is metered at least; 0 for what there is
        # ecpu_per_second_max  # no limit
        # ecpu_per_second_min
        connections_max = "10000"
        handshakes_per_second = "0"  # no limit
        address_connections_max = "0"  # no limit
        address_handshakes_per_second = "0"  # no limit
        # allow  # all networks
        # read_allow  # as --allow
        # proxy_protocol_from  # no balancer
        threads = "2"  # memtide.toml:2: threads
        idle_timeout = "0"  # never
        handshake_timeout = "10s"
        drain_timeout = "30s"
        log_format = "auto"
        log_level = "info"
    "#]]
    .assert_eq(&config.common.shown);
    let again = resolved(&[], &config.common.shown).unwrap();
    assert_eq!(again.bind, config.bind);
    assert_eq!((again.memory_max, again.tls), (config.memory_max, config.tls));
    assert_eq!((again.threads, again.advertise), (config.threads, config.advertise));
}

mod fleets {
    use super::*;

    const ADDRESS: (&str, &str) = ("join", "scaler.example:11213");

    fn engine(flags: &[(&'static str, &str)]) -> Result<EngineConfig, ConfigError> {
        let flags: Vec<_> = flags.iter().map(|&(name, value)| (name, value.to_owned())).collect();
        let given = Given::gather(Role::Engine.schema(), &flags, &|_| None, None)?;
        apart::resolve_engine(&given, &host_of(10))
    }

    fn check_engine(flags: &[(&'static str, &str)], expected: Expect) {
        expected.assert_eq(&engine(flags).unwrap_err().to_string());
    }

    #[test]
    fn nodes_of_serve_are_embedded_or_processes_over_zones() {
        assert_eq!(resolved(&[], "").unwrap().backend, Backend::Embedded);
        let flags = [("nodes", "processes=3"), ("zones", "a, b"), ("replicas", "1")];
        let config = resolved(&flags, "memory = \"3g\"").unwrap();
        let Backend::Processes(nodes) = &config.backend else { panic!("{:?}", config.backend) };
        assert_eq!((nodes.count, nodes.replicas, nodes.node_memory_max), (3, Some(1), 1 << 30));
        let zones: Vec<_> = nodes.zones.iter().map(Zone::name).collect();
        assert_eq!(zones, ["a", "b"]);
        assert_eq!(config.common.fleet_tls, Path::new("memtide-data/fleet/tls"));
        assert!(config.common.shown.contains("nodes = \"processes=3\"  # 1 GiB of memory each;"));
        assert!(resolved(&[("nodes", "processes=1000"), ("memory", "100%")], "").is_err());
    }

    #[test]
    fn nodes_of_serve_that_cannot_be_meant() {
        let wrong = |text: &str| {
            format!(
                "--nodes: \"{text}\": give embedded, or processes=N or processes=A..B with 1 to 1000 of them"
            )
        };
        for text in ["processes=0", "processes=1001", "processes=", "3", "", "processes=-1"] {
            assert_eq!(resolved(&[("nodes", text)], "").unwrap_err().to_string(), wrong(text));
        }
        check(
            &[("zones", "a,b")],
            expect![[r#"--zones: "a,b": the embedded node is one; give --nodes processes=N too"#]],
        );
        check(
            &[("replicas", "1")],
            expect![[r#"--replicas: "1": the embedded node is one; give --nodes processes=N too"#]],
        );
        let three = ("nodes", "processes=3");
        check(
            &[three, ("replicas", "3")],
            expect![[
                r#"--replicas: "3": 3 nodes hold at most 2 replicas; give less, or more --nodes"#
            ]],
        );
        check(
            &[three, ("replicas", "5")],
            expect![[r#"--replicas: "5": give a whole number from 0 to 4"#]],
        );
        check(
            &[three, ("zones", "a,b,c,d")],
            expect![[
                r#"--zones: "a,b,c,d": more zones than --nodes has processes, 3; give fewer"#
            ]],
        );
        check(
            &[three, ("zones", "a,b,a")],
            expect![[r#"--zones: "a,b,a": a is named twice; name each zone once"#]],
        );
        check(
            &[three, ("zones", "a b")],
            expect![[r#"--zones: "a b": give 1 to 63 printable characters without spaces"#]],
        );
        check(
            &[three, ("memory", "32m")],
            expect![[
                r#"--memory: "32m": 10.6 MiB for each of 3 nodes, and 16 MiB is the least; give more"#
            ]],
        );
        check(
            &[three, ("memory", "60m"), ("item-size-max", "3m")],
            expect![[
                r#"--item-size-max: "3m": more than an eighth of the memory that a node may take; give less, or more memory"#
            ]],
        );
    }

    #[test]
    fn an_engine_joins_a_scaler_from_a_zone() {
        let config = engine(&[ADDRESS, ("bind", "127.0.0.1"), ("parent", "12/34")]).unwrap();
        assert_eq!(config.join.scalers, ["scaler.example:11213"]);
        assert_eq!((config.port, config.advertise.as_str()), (11214, "127.0.0.1"));
        assert_eq!(config.join.zone.as_ref().map(Zone::name), Some("default"));
        assert_eq!(config.parent, Some(Parent { pid: 12, token: 34 }));
        assert!(!config.common.shown.contains("parent"), "{}", config.common.shown);
        assert_eq!(engine(&[ADDRESS]).unwrap().advertise, "box");
        let both = engine(&[("join", "a:1, [::1]:2")]).unwrap();
        assert_eq!(both.join.scalers, ["a:1", "[::1]:2"]);
        check_engine(
            &[],
            expect![[
                r#"--join: "": give the scaler to join, such as --join scaler.example:11213"#
            ]],
        );
        check_engine(
            &[("join", "scaler")],
            expect![[
                r#"--join: "scaler": scaler: give a host and a port, such as scaler.example:11213"#
            ]],
        );
        check_engine(
            &[("join", "::1:11213")],
            expect![[
                r#"--join: "::1:11213": ::1:11213: give a host and a port, such as scaler.example:11213"#
            ]],
        );
        check_engine(&[ADDRESS, ("zone", "a,b")], expect![[r#"--zone: "a,b": give one zone"#]]);
        check_engine(
            &[ADDRESS, ("bind", "127.0.0.1,::1")],
            expect![[r#"--bind: "127.0.0.1,::1": give one address, or none for all interfaces"#]],
        );
        check_engine(
            &[ADDRESS, ("parent", "x")],
            expect![[r#"--parent: "x": only memtide serve gives this; leave it out"#]],
        );
    }

    #[test]
    fn a_node_says_what_it_can_do() {
        let config = engine(&[ADDRESS, ("memory", "1g")]).unwrap();
        let capacity = config.capacity;
        assert_eq!((config.memory_max, capacity.memory), (1 << 30, 1 << 30));
        assert_eq!((capacity.cpu, capacity.ecpu, capacity.network), (1000, 150_000, 0));
        assert_eq!((config.instance, config.is_spare), (None, false));
        let flags = [
            ("memory", "64m"),
            ("memory-max", "50%"),
            ("cpus", "0.5"),
            ("network-max", "100m"),
            ("instance", "pod-3"),
            ("spare", "true"),
        ];
        let config = engine(&[&[ADDRESS], &flags[..]].concat()).unwrap();
        let capacity = config.capacity;
        assert_eq!((config.memory_max, capacity.memory), (64 << 20, 5 << 30));
        assert_eq!((capacity.cpu, capacity.ecpu, capacity.network), (500, 75_000, 100 << 20));
        assert_eq!((config.instance.as_deref(), config.is_spare), (Some("pod-3"), true));
        let shown = config.common.shown;
        assert!(shown.contains("memory_max = \"50%\"  # 5 GiB;"), "{shown}");
        assert!(shown.contains("# ecpu_max  # 75k\n"), "{shown}");
        let little = engine(&[ADDRESS, ("memory-max", "2g"), ("ecpu-max", "1.5M")]).unwrap();
        assert_eq!((little.memory_max, little.capacity.memory), (2 << 30, 2 << 30));
        assert_eq!(little.capacity.ecpu, 1_500_000);
        let flags = [("memory", "64m"), ("memory-max", "1g"), ("item-size-max", "100m")];
        let large = engine(&[&[ADDRESS], &flags[..]].concat()).unwrap();
        assert_eq!(large.memory_max, 800 << 20, "room for eight of the largest item");
        let flags = [(ADDRESS.0, ADDRESS.1.to_owned())];
        let given = Given::gather(Role::Engine.schema(), &flags, &|_| None, None).unwrap();
        let part = Host { cpu_millis: 250, ..host_of(10) };
        let capacity = apart::resolve_engine(&given, &part).unwrap().capacity;
        assert_eq!((capacity.cpu, capacity.ecpu), (250, 37_500), "a quarter of a core");
    }

    #[test]
    fn what_a_node_cannot_do() {
        let check = |flags: &[(&'static str, &str)], expected| {
            check_engine(&[&[ADDRESS], flags].concat(), expected);
        };
        check(
            &[("memory", "2g"), ("memory-max", "1g")],
            expect![[r#"--memory-max: "1g": less than --memory, 2 GiB; give more"#]],
        );
        check(
            &[("memory-max", "11g")],
            expect![[
                r#"--memory-max: "11g": more than there is, 10 GiB (host); give less, or a share: 60%"#
            ]],
        );
        check(
            &[("memory-max", "1m")],
            expect![[r#"--memory-max: "1m": less than 16 MiB, too little for a cache; give more"#]],
        );
        check(
            &[("memory", "64m"), ("memory-max", "512m"), ("item-size-max", "65m")],
            expect![[
                r#"--item-size-max: "65m": more than an eighth of the memory that a node may take; give less, or more memory"#
            ]],
        );
        for text in ["0", "1.5", "x", "0.0001"] {
            let refused = engine(&[ADDRESS, ("cpus", text)]).unwrap_err().to_string();
            let why =
                "give a share of a core up to 1, such as 0.5: a node has one thread that serves";
            assert_eq!(refused, format!("--cpus: {text:?}: {why}"));
        }
        check(&[("spare", "yes")], expect![[r#"--spare: "yes": give true or false"#]]);
        check(
            &[("instance", "a b")],
            expect![[r#"--instance: "a b": give 1 to 253 printable characters without spaces"#]],
        );
    }

    #[test]
    fn a_proxy_has_no_memory_and_a_scaler_no_clients() {
        let flags = [(ADDRESS.0, ADDRESS.1.to_owned())];
        let given = Given::gather(Role::Proxy.schema(), &flags, &|_| None, None).unwrap();
        let proxy = endpoint::resolve(&given, &host_of(10)).unwrap();
        let Backend::Joined(join) = &proxy.backend else { panic!("{:?}", proxy.backend) };
        assert_eq!((join.zone.clone(), proxy.memory_max), (None, 0));
        assert!(!proxy.common.shown.contains("memory"), "{}", proxy.common.shown);

        let file = Some((Path::new("memtide.toml"), "threads = 2"));
        let error = Given::gather(Role::Scaler.schema(), &[], &|_| None, file).unwrap_err();
        expect![[
            r#"memtide.toml:1: "threads" is for proxy and serve, not for scaler; remove the line"#
        ]]
        .assert_eq(&error.to_string());
        let given = Given::gather(Role::Scaler.schema(), &[], &|_| None, None).unwrap();
        let scaler = apart::resolve_scaler(&given).unwrap();
        assert_eq!((scaler.port, scaler.replicas, scaler.nodes_min), (11213, None, 1));
        assert_eq!(scaler.common.admin.port(), 9151);
        assert_eq!(scaler.common.fleet_dir, Path::new("memtide-data/fleet"));
    }
}

#[test]
fn limits_in_units_and_their_mistakes() {
    let config = resolved(&[("data-storage-max", "10GB"), ("ecpu-per-second-max", "100k")], "");
    let given = config.unwrap().limits;
    assert_eq!(
        (given.limits.data_storage.max, given.limits.ecpu_per_second.max),
        (10 << 30, 100_000)
    );
    assert_eq!(
        metered_bytes_min(&given.limits, given.is_metered_min_said),
        1 << 30,
        "as the reference"
    );
    let given = resolved(&[("data-storage-min", "0")], "").unwrap().limits;
    assert_eq!(metered_bytes_min(&given.limits, given.is_metered_min_said), 0, "as it is");
    check(
        &[("data-storage-max", "1GB"), ("data-storage-min", "2GB")],
        expect![[
            r#"--data-storage-min: "2GB": data_storage: the minimum 2 GiB is above the maximum 1 GiB; lower the one or raise the other"#
        ]],
    );
    check(
        &[("ecpu-per-second-max", "999")],
        expect![[
            r#"--ecpu-per-second-max: "999": ecpu_per_second.max: 999 is out of range; give 1k to 15M, or 0 for none"#
        ]],
    );
    check(
        &[("ecpu-per-second-max", "many")],
        expect![[
            r#"--ecpu-per-second-max: "many": give a whole number such as 30000, 100k or 1.5M"#
        ]],
    );
}
