//! What `deploy/` asks Prometheus for is what memtide exports, and fires when it should.
#![allow(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use expect_test::expect_file;
use memtide_dashboards::{ROWS, dashboard};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(path: &str) -> String {
    fs::read_to_string(repository().join(path)).unwrap()
}

/// Runs promtool in `deploy/prometheus`; what it says, where it is content.
fn promtool(arguments: &[&str]) -> String {
    let directory = repository().join("deploy/prometheus");
    let output = Command::new("promtool").args(arguments).current_dir(directory).output();
    let output = output.unwrap_or_else(|error| {
        panic!("failed to start promtool ({error}): install it with `apt-get install prometheus`")
    });
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(output.status.success(), "promtool {arguments:?}: {said}");
    said
}

const RULES: [&str; 2] = ["memtide.recording.yml", "memtide.alerts.yml"];

fn alerts() -> Vec<String> {
    let rules = read("deploy/prometheus/memtide.alerts.yml");
    let names = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: "));
    names.map(str::to_owned).collect()
}

#[test]
fn the_dashboard_is_the_one_that_is_generated() {
    let text = serde_json::to_string_pretty(&dashboard()).unwrap() + "\n";
    expect_file!["../../../deploy/grafana/dashboards/memtide.json"].assert_eq(&text);
}

#[test]
fn promtool_finds_no_fault_with_the_configuration_and_the_rules() {
    promtool(&["check", "config", "prometheus.yml"]);
    let said = promtool(&[&["check", "rules"][..], &RULES[..]].concat());
    assert!(!said.contains("FAILED"), "{said}");
}

#[test]
fn alerts_fire_when_they_should_and_not_when_they_should_not() {
    promtool(&["test", "rules", "tests/memtide.test.yml"]);
}

/// Each alert is tested, and says where to read what to do.
#[test]
fn each_alert_has_a_test_that_fires_and_a_line_in_operations() {
    let tests = read("deploy/prometheus/tests/memtide.test.yml");
    let operations = read("docs/operations.md");
    let alerts = alerts();
    assert!(alerts.len() > 10, "{alerts:?}");
    for alert in alerts {
        let fires = format!("alertname: {alert}\n        exp_alerts:\n          - exp_labels");
        assert!(tests.contains(&fires), "{alert} has no test that fires");
        assert!(
            operations.contains(&format!("| `{alert}` |")),
            "{alert} has no line in docs/operations.md"
        );
    }
}

/// A metric that is renamed must be renamed here, or its alert would be silent for ever.
#[test]
fn every_metric_that_is_asked_for_is_exported() {
    let exported = [
        "proxy/src/exposition.rs",
        "engine/src/exposition.rs",
        "scaler/src/metrics.rs",
        "memtide/src/usage/mod.rs",
        "memtide/src/scaler/etcd_files.rs",
        "memtide/src/stock.rs",
        "crates/service/src/admin/access.rs",
        "crates/service/src/tls/fleet.rs",
        "crates/service/src/tls/mod.rs",
        "crates/service/src/metrics/mod.rs",
        "crates/service/src/metrics/process.rs",
    ]
    .map(read)
    .concat();
    let mut asked: BTreeSet<String> = BTreeSet::new();
    for rules in RULES {
        asked.extend(metrics(&read(&format!("deploy/prometheus/{rules}"))));
    }
    for (query, _) in ROWS.iter().flat_map(|row| row.panels).flat_map(|panel| panel.queries) {
        asked.extend(metrics(query));
    }
    assert!(asked.len() > 20, "{asked:?}");
    for metric in asked {
        let name = metric.strip_suffix("_bucket").unwrap_or(&metric);
        assert!(exported.contains(&format!("\"{name}\"")), "{metric} is not exported");
    }
}

/// promtool reads queries in rules only: so each becomes one, with Grafana's variables filled in.
#[test]
fn every_query_of_the_dashboard_is_promql() {
    let panels = ROWS.iter().flat_map(|row| row.panels);
    let rules: Vec<_> = panels
        .flat_map(|panel| panel.queries)
        .zip(1..)
        .map(|((query, _), number)| {
            let query = query.replace("$__rate_interval", "5m").replace("$job", ".+");
            serde_json::json!({ "record": format!("query{number}"), "expr": query })
        })
        .collect();
    // JSON is YAML.
    let file = serde_json::json!({ "groups": [{ "name": "dashboard", "rules": rules }] });
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("dashboard.rules.yml");
    fs::write(&path, file.to_string()).unwrap();
    promtool(&["check", "rules", path.to_str().unwrap()]);
}

/// The names of metrics in PromQL; not those that our own rules record, which have colons.
fn metrics(query: &str) -> Vec<String> {
    let is_of_name =
        |letter: char| letter.is_ascii_alphanumeric() || letter == '_' || letter == ':';
    let words = query.split(|letter| !is_of_name(letter));
    let ours = words.filter(|word| word.starts_with("memtide_") || word.starts_with("process_"));
    ours.map(str::to_owned).collect()
}

/// What is named in the compose file and the provisioning is there.
#[test]
fn the_compose_file_names_files_that_exist() {
    let compose = read("deploy/compose.yml");
    let mounted = compose.lines().filter_map(|line| line.trim().strip_prefix("- ./"));
    let mut count = 0;
    for mount in mounted {
        let file = mount.split(':').next().unwrap();
        assert!(repository().join("deploy").join(file).exists(), "deploy/{file}");
        count += 1;
    }
    assert!(count >= 3, "{count} files are mounted");
    let source = read("deploy/grafana/provisioning/datasources/prometheus.yml");
    assert!(source.contains("uid: prometheus\n"), "the dashboard's data source");
}
