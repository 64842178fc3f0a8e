//! How a fleet follows the load.

use std::time::Duration;

use expect_test::{Expect, expect};
use memtide_planner::Policy;
use memtide_service::config::{ConfigError, Given};

use super::*;

type Flags<'f> = &'f [(&'static str, &'f str)];

fn given(role: Role, flags: Flags) -> Result<Given, ConfigError> {
    let flags: Vec<_> = flags.iter().map(|&(name, value)| (name, value.to_owned())).collect();
    Given::gather(role.schema(), &flags, &|_| None, None)
}

fn serve(flags: Flags) -> Result<Processes, ConfigError> {
    let config = endpoint::resolve(&given(Role::Serve, flags)?, &host_of(10))?;
    let Backend::Processes(nodes) = config.backend else { panic!("{:?}", config.backend) };
    let shown = format!("nodes = \"{}\"", flags[0].1);
    assert!(config.common.shown.contains(&shown), "{}", config.common.shown);
    Ok(nodes)
}

fn scaler(flags: Flags) -> Result<ScalerConfig, ConfigError> {
    apart::resolve_scaler(&given(Role::Scaler, flags)?)
}

#[test]
fn processes_from_so_many_to_so_many() {
    let nodes = ("nodes", "processes=2..4");
    let flags = [nodes, ("memory", "4g"), ("zones", "a,b"), ("replicas", "1"), ("spares", "1")];
    let nodes = serve(&flags).unwrap();
    let scaling = nodes.scaling.clone().unwrap();
    let policy = &scaling.policy;
    assert_eq!((nodes.count, policy.nodes_min, policy.nodes_max), (2, 2, 4));
    assert_eq!((nodes.node_memory_max, policy.memory_min), (1 << 30, 64 << 20));
    assert_eq!(scaling.spares_per_zone, 1);
    let Policy { in_after, in_after_max, cool_down, .. } = *policy;
    let minutes = [in_after, in_after_max, cool_down].map(|it| it.as_secs() / 60);
    assert_eq!(minutes, [2, 32, 1]);

    let small = serve(&[("nodes", "processes=1..3"), ("memory", "96m")]).unwrap();
    assert_eq!(small.node_memory_min(), 32 << 20, "no more than its part");
    let large = [("nodes", "processes=1..3"), ("memory", "3g"), ("item-size-max", "16m")];
    assert_eq!(serve(&large).unwrap().node_memory_min(), 128 << 20, "its items must fit");
    assert!(serve(&[("nodes", "processes=3"), ("memory", "3g")]).unwrap().scaling.is_none());
    assert!(serve(&[("nodes", "processes=3..3"), ("memory", "3g")]).unwrap().scaling.is_some());
}

#[test]
fn processes_that_cannot_be_meant() {
    let check = |flags: Flags, expected: Expect| {
        expected.assert_eq(&serve(flags).unwrap_err().to_string());
    };
    check(
        &[("nodes", "processes=3..2")],
        expect![[
            r#"--nodes: "processes=3..2": more at the start than at most; give processes=2..3"#
        ]],
    );
    for text in
        ["processes=0..2", "processes=..2", "processes=1..", "processes=1..2..3", "processes=1...2"]
    {
        let line = format!(
            "--nodes: \"{text}\": give embedded, or processes=N or processes=A..B with 1 to 1000 of them"
        );
        assert_eq!(serve(&[("nodes", text)]).unwrap_err().to_string(), line);
    }
    let nodes = ("nodes", "processes=2..4");
    check(
        &[nodes, ("memory", "60m")],
        expect![[
            r#"--memory: "60m": 15 MiB for each of 4 nodes, and 16 MiB is the least; give more"#
        ]],
    );
    check(
        &[nodes, ("replicas", "2")],
        expect![[
            r#"--replicas: "2": 2 nodes hold at most 1 replicas; give less, or more --nodes"#
        ]],
    );
    check(
        &[nodes, ("zones", "a,b,c")],
        expect![[r#"--zones: "a,b,c": more zones than --nodes has processes, 2; give fewer"#]],
    );
    check(
        &[nodes, ("zones", "a,b"), ("spares", "2")],
        expect![[
            r#"--spares: "2": --nodes has room for 1 in each zone beside the 2 of the start; give fewer, or more --nodes"#
        ]],
    );
    check(
        &[("nodes", "processes=2"), ("spares", "1")],
        expect![[r#"--spares: "1": there are always as many nodes; give --nodes processes=A..B"#]],
    );
    check(
        &[("nodes", "embedded"), ("spares", "1")],
        expect![[r#"--spares: "1": the embedded node is one; give --nodes processes=A..B too"#]],
    );
    check(&[nodes, ("scale-in-after", "0")], expect![[r#"--scale-in-after: "0": give 1s to 24h"#]]);
}

#[test]
fn a_scaler_that_changes_its_fleet() {
    assert_eq!(scaler(&[]).unwrap().scaling, None);
    let most = ("nodes-max", "8");
    let config = scaler(&[most, ("replicas", "2"), ("scale-in-after", "10s")]).unwrap();
    let scaling = config.scaling.unwrap();
    assert_eq!((scaling.policy.nodes_min, scaling.policy.nodes_max), (3, 8));
    assert_eq!(scaling.policy.cool_down, Duration::from_secs(5));
    assert_eq!((config.nodes_min, scaling.provision), (1, None));
    let program = ("provision", "./nodes.sh, --zone ,x");
    let flags = [most, ("nodes-min", "4"), program, ("provision-timeout", "5s"), ("spares", "2")];
    let scaling = scaler(&flags).unwrap().scaling.unwrap();
    assert_eq!((scaling.policy.nodes_min, scaling.spares_per_zone), (4, 2));
    let words = ["./nodes.sh", "--zone", "x"].map(ToOwned::to_owned).to_vec();
    let time_max = Duration::from_secs(5);
    let program = |words| Some(Provision::Program(Program { words, time_max }));
    assert_eq!(scaling.provision, program(words));
    let file = "nodes_max = 3\nprovision = [\"./nodes.sh\", \"x y\"]\nprovision_timeout = 5";
    let file = Some((Path::new("memtide.toml"), file));
    let given = Given::gather(Role::Scaler.schema(), &[], &|_| None, file).unwrap();
    let scaling = apart::resolve_scaler(&given).unwrap().scaling.unwrap();
    assert_eq!(scaling.provision, program(vec!["./nodes.sh".to_owned(), "x y".to_owned()]));
    let shown = scaler(&[]).unwrap().common.shown;
    assert!(shown.contains("nodes_max = \"0\"  # others start and drain the nodes\n"), "{shown}");
    assert!(shown.contains("# provision\nprovision_timeout = \"60s\"\n"), "{shown}");
}

#[test]
fn a_scaler_that_cannot_be_meant() {
    let check = |flags: Flags, expected: Expect| {
        expected.assert_eq(&scaler(flags).unwrap_err().to_string());
    };
    let (most, program) = (("nodes-max", "3"), ("provision", "./x"));
    check(
        &[program],
        expect![[
            r#"--provision: "./x": the scaler leaves the nodes as they are; give --nodes-max too"#
        ]],
    );
    check(
        &[("spares", "1")],
        expect![[
            r#"--spares: "1": the scaler leaves the nodes as they are; give --nodes-max too"#
        ]],
    );
    check(
        &[most, ("spares", "1")],
        expect![[
            r#"--spares: "1": nobody would start them; give --provision or --kubernetes-statefulsets too"#
        ]],
    );
    check(
        &[most, ("replicas", "3")],
        expect![[
            r#"--nodes-max: "3": at least 4 nodes are needed (--nodes-min, --replicas); give more"#
        ]],
    );
    check(
        &[most, ("nodes-min", "5")],
        expect![[
            r#"--nodes-max: "3": at least 5 nodes are needed (--nodes-min, --replicas); give more"#
        ]],
    );
    check(
        &[("nodes-max", "1025")],
        expect![[r#"--nodes-max: "1025": give a whole number from 0 to 1024"#]],
    );
    check(
        &[most, ("provision", "")],
        expect![[r#"--provision: "": give a program, such as ./nodes.sh"#]],
    );
    check(
        &[most, program, ("provision-timeout", "0")],
        expect![[r#"--provision-timeout: "0": give 1s to 1h"#]],
    );
}

#[test]
fn pods_as_nodes() {
    let (most, name) = (("nodes-max", "8"), "kubernetes-statefulsets");
    let given = |sets| scaler(&[most, (name, sets), ("spares", "1")]);
    if cfg!(not(feature = "kubernetes")) {
        let problem = given("a=node-a").unwrap_err().to_string();
        assert!(problem.contains("this memtide was built without Kubernetes"), "{problem}");
        return;
    }
    let scaling = given("eu-1a=node-a, eu-1b=node-b,eu-1b=big.b").unwrap().scaling.unwrap();
    let set = |zone, name: &str| (Zone::new(zone).unwrap(), name.to_owned());
    let sets = vec![set("eu-1a", "node-a"), set("eu-1b", "node-b"), set("eu-1b", "big.b")];
    assert_eq!(scaling.provision, Some(Provision::Kubernetes(sets)));
    let wrong = |flags: Flags, expected: &str| {
        let problem = scaler(flags).unwrap_err().to_string();
        assert!(problem.ends_with(expected), "{problem}");
    };
    for sets in ["node-a", "a=", "=node-a", "a=Node", "a=-x", "a=x-", "a=x,,b=y", "a b=x"] {
        wrong(&[most, (name, sets)], "give zones and names, such as eu-1a=memtide-node-eu-1a");
    }
    wrong(&[most, (name, "a=x,b=x")], "a name is there twice");
    wrong(&[(name, "a=x")], "the scaler leaves the nodes as they are; give --nodes-max too");
    let both = [most, (name, "a=x"), ("provision", "./x")];
    wrong(&both, "nodes are started by one of the two; leave --provision out");
}
