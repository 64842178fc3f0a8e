//! The Helm chart gives manifests that Kubernetes takes, and flags that this program takes.
//!
//! `tests/helm/install` gets what it needs. Where that is missing it is skipped with the reason; with
//! `MEMTIDE_REQUIRE_CLIENTS=1` that is a failure.
#![allow(clippy::print_stdout, reason = "a skipped test says why")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const PROGRAM: &str = env!("CARGO_BIN_EXE_memtide");

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Runs the checks on a chart; `None` where this machine has not what they need.
fn check(chart: &Path) -> Option<Output> {
    let python = repository().join("tests/helm/.venv/bin/python");
    if !python.exists() {
        let is_required =
            std::env::var_os("MEMTIDE_REQUIRE_CLIENTS").is_some_and(|value| value == "1");
        assert!(!is_required, "no Helm here: run tests/helm/install");
        println!("skipped: no Helm here; tests/helm/install gets it");
        return None;
    }
    let script = repository().join("tests/helm/check.py");
    Some(Command::new(python).arg(script).arg(PROGRAM).arg(chart).output().unwrap())
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr[..]].concat()).into_owned()
}

#[test]
fn every_manifest_is_one_that_kubernetes_takes_and_that_this_program_understands() {
    let Some(output) = check(&repository().join("deploy/helm/memtide")) else { return };
    let said = said(&output);
    assert!(output.status.success(), "{said}");
    let checks = said.lines().last().and_then(|line| line.strip_suffix(" checks"));
    assert!(checks.unwrap().parse::<u32>().unwrap() > 2000, "{said}");
}

/// What the checks are worth: each of these mistakes in the chart is found.
#[test]
fn mistakes_in_the_chart_are_found() {
    let mistakes = [
        ("nodes.yaml", "--drain-timeout=", "--drain-time=", "memtide engine has no --drain-time"),
        ("nodes.yaml", "podManagementPolicy:", "podPolicy:", "podPolicy"),
        ("nodes.yaml", "--instance=$(POD_NAME)", "--instance=$(POD)", "no such variable"),
        ("nodes.yaml", "  minReadySeconds:", "  replicas: 3\n  minReadySeconds:", "would undo"),
        ("scaler.yaml", "--port=11213", "--port=", "gives nothing"),
        (
            "_helpers.tpl",
            "readOnlyRootFilesystem: true",
            "readOnlyRootFilesystem: false",
            "can write its root",
        ),
        ("proxies.yaml", "targetPort: primary", "targetPort: first", "no port first"),
        ("rbac.yaml", "verbs: [get, update]", "verbs: [get, update, delete]", "the scaler may do"),
        ("_helpers.tpl", "trunc (mul -1 $room | int)", "trunc 12", "eu-central-1c of a-name-"),
        ("_helpers.tpl", "sub 46", "sub 60", "has more than 52 letters"),
        (
            "nodes.yaml",
            "memtide/zone: {{ $zone | quote }}",
            "memtide/zone: {{ $zone }}",
            "1 is not",
        ),
        (
            "nodes.yaml",
            "{{ include \"memtide.number\" $.Values.nodes.ecpuMax | quote }}",
            "{{ $.Values.nodes.ecpuMax | quote }}",
            "the scaler is told ecpu-max 2e+06",
        ),
        (
            "proxies.yaml",
            "{{ .Values.admin.host | default \"0.0.0.0\" }}",
            "0.0.0.0",
            "the admin HTTP of all listens",
        ),
        (
            "_numbers.tpl",
            "\"1s\" \"24h\"",
            "\"1ms\" \"24h\"",
            "takes scaler.scaleInAfter '999ms', and",
        ),
        ("../values.schema.json", "^[-a-zA-Z0-9]{1,40}$", ".", "takes cache.name 'a b', and"),
    ];
    for (file, right, wrong, expected) in mistakes {
        let scratch = tempfile::tempdir().unwrap();
        let source = repository().join("deploy/helm/memtide");
        let copied = Command::new("cp").arg("-r").arg(&source).arg(scratch.path()).status();
        assert!(copied.unwrap().success());
        let chart = scratch.path().join("memtide");
        let file = chart.join("templates").join(file);
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(text.contains(right), "{right}");
        std::fs::write(&file, text.replace(right, wrong)).unwrap();
        let Some(output) = check(&chart) else { return };
        let said = said(&output);
        assert!(!output.status.success() && said.contains(expected), "{wrong}: {said}");
    }
}
