#!/usr/bin/env python3
"""Checks the Helm chart offline: check.py MEMTIDE [CHART]

Renders it with its defaults and each file of its ci/; holds every manifest to the schemas of Kubernetes (no field that
they do not know), and to what is said below; asks the program MEMTIDE whether it takes what each pod gives it, and
whether it takes odd values, too, where the chart does.
Prints a line for each check, and fails with all that is wrong.
"""

import functools
import re
import sys
from pathlib import Path

import kubernetes_validate
import yaml
from helm_python import chart as helm
from helm_python.errors import HelmError
from program import Program
from values import LONG, ODD, WRONG, ZONES

# It reads the schemas of a version anew for every manifest.
kubernetes_validate.utils.schema_contents = functools.cache(kubernetes_validate.utils.schema_contents)

CHART = Path(__file__).resolve().parents[2] / "deploy/helm/memtide"
VERSIONS = ["1.27", "1.30", "1.33", "1.35", "1.37"]
# Not of Kubernetes itself.
FOREIGN = {"ServiceMonitor", "PodMonitor"}
# What the chart gives with etcd, of which a program that was built without may not know.
ETCD = {"--advertise", "--etcd", "--etcd-ca", "--etcd-cert", "--etcd-key"}

problems = []


def expect(is_so, what):
    if not is_so:
        problems.append(what)


def main():
    program = Program(sys.argv[1])
    path = Path(sys.argv[2]) if len(sys.argv) > 2 else CHART
    cases = {"defaults": {}}
    for file in sorted((path / "ci").glob("*.yaml")):
        cases[file.stem] = yaml.safe_load(file.read_text())
    expect(len(cases) > 4, "there are values files in ci/")
    checks = 0
    with helm.Chart.load(path) as chart:
        for name, values in cases.items():
            try:
                manifests, notes = rendered(chart, values, name)
            except HelmError as error:
                problems.append(f"{name} is refused: {error}")
                continue
            checks += validate(manifests, name)
            checks += Case(name, manifests, notes, program).check()
            lint(path, values, name)
            print(f"ok {name}: {len(manifests)} manifests")
        checks += validate(rendered(chart, {}, "release no", release="no")[0], "release no")
        for values, said in WRONG:
            refuse(chart, values, said)
            checks += 1
        # What is wrong whatever the values are would be told again of each of them.
        for setting, (right, odd) in () if problems else ODD.items():
            checks += tried(chart, program, setting, right, odd)
        for zones in ZONES:
            for fullname in ("", "no", LONG):
                checks += named(chart, zones, fullname)
    for problem in problems:
        print(f"WRONG {problem}")
    print(f"{checks} checks")
    sys.exit(1 if problems else 0)


def rendered(chart, values, name, release="shop"):
    chart.validate_schema(helm_values(chart, values))
    files = chart.render(values, name=release, namespace="caches", is_install=True)
    manifests, notes = [], ""
    for path, text in sorted(files.items()):
        if path.endswith("NOTES.txt"):
            notes = text
        if path.endswith(".yaml"):
            manifests += parsed(text)
    seen = set()
    for it in manifests:
        key = (it["kind"], it["metadata"]["name"])
        expect(key not in seen, f"{name}: {key} is there twice")
        seen.add(key)
        # Pods of a set are called after it and a number, and have its name with a hash of up to 10 letters in a label:
        # each of these has at most 63.
        most = 52 if it["kind"] == "StatefulSet" else 63
        expect(len(str(it["metadata"]["name"])) <= most, f"{name}: the name of {key} has more than {most} letters")
    return manifests, notes


def helm_values(chart, values):
    return chart.merge_values(values)


@functools.cache
def parsed(text):
    return [it for it in yaml.load_all(text, StrictLoader) if it]


class StrictLoader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
    """A key that is there twice is a mistake."""

    def construct_mapping(self, node, deep=False):
        keys = [key.value for key, _ in node.value]
        double = {key for key in keys if keys.count(key) > 1}
        expect(not double, f"keys twice in one mapping: {double}")
        return super().construct_mapping(node, deep)


def validate(manifests, name):
    checks = 0
    for it in manifests:
        if it["kind"] in FOREIGN:
            continue
        for version in VERSIONS:
            checks += 1
            try:
                kubernetes_validate.validate(it, version, strict=True)
            except kubernetes_validate.ValidationError as error:
                where = f"{name}: {it['kind']} {it['metadata']['name']}, Kubernetes {version}"
                problems.append(f"{where}: {error.path}: {error.message}")
    return checks


def lint(path, values, name):
    for said in helm.lint(path, values, strict=True)["messages"]:
        expect(said["severity"] < 2, f"{name}: helm lint: {said['error']}")


def refuse(chart, values, said):
    try:
        chart.validate_schema(helm_values(chart, values))
        chart.render(values, name="shop", namespace="caches")
        problems.append(f"{values} is taken for right")
    except HelmError as error:
        expect(said in str(error), f"{values}: {error}")


def tried(chart, program, setting, right, odd):
    """The chart takes what is right, and of what is odd no more than the program does."""
    for value in [*right, *odd]:
        values = value
        for name in reversed(setting.split(".")):
            values = {name: values}
        try:
            manifests, _ = rendered(chart, values, f"{setting} {value!r}")
        except HelmError as error:
            expect(value not in right, f"{setting} {value!r} is refused: {error}")
            continue
        for it in manifests:
            if it["kind"] in ("StatefulSet", "Deployment"):
                said = program.complaint(containers(it)[0])
                expect(not said, f"the chart takes {setting} {value!r}, and the program does not: {said}")
    return len(right) + len(odd)


def named(chart, zones, fullname):
    """Each zone has its set, whose pods can be called after it."""
    case = f"zones {', '.join(zones)} of {fullname or 'a release'}"
    values = {"fullnameOverride": fullname, "nodes": {"zones": [{"name": zone} for zone in zones]}}
    try:
        manifests, _ = rendered(chart, values, case)
    except HelmError as error:
        problems.append(f"{case} are refused: {error}")
        return 1
    sets = [it["metadata"]["name"] for it in manifests if it["kind"] == "StatefulSet"]
    expect(len(sets) == len(zones) + 1, f"{case} have the sets {sets}")
    for name in sets:
        expect(re.fullmatch("[a-z0-9]([-a-z0-9]*[a-z0-9])?", name), f"{case}: {name} is no name")
    return len(sets)


class Case:
    """What must be so whatever the values are."""

    def __init__(self, name, manifests, notes, program):
        self.notes = notes
        self.name, self.manifests, self.program, self.checks = name, manifests, program, 0

    def so(self, is_so, what):
        self.checks += 1
        expect(is_so, f"{self.name}: {what}")

    def of_kind(self, kind):
        return [it for it in self.manifests if it["kind"] == kind]

    def check(self):
        self.so("--admin-token-file /" in self.notes, "the notes say how to ask the scaler")
        self.workloads = self.of_kind("StatefulSet") + self.of_kind("Deployment")
        self.hosts = set()
        for it in self.workloads:
            self.pod(it["metadata"]["name"], it["spec"]["template"])
        # Pods are probed at their address, whichever it is.
        expected = {"[::]"} if self.name == "ipv6" else {"0.0.0.0"}
        self.so(self.hosts == expected, f"the admin HTTP of all listens at {expected}, and not {self.hosts}")
        self.nodes()
        self.services()
        self.role()
        return self.checks

    def pod(self, name, template):
        spec = template["spec"]
        (container,) = spec["containers"]
        self.arguments(name, container)
        security = spec["securityContext"]
        self.so(security["runAsNonRoot"] is True and security["runAsUser"] > 0, f"{name} runs as root")
        self.so(security["seccompProfile"]["type"] == "RuntimeDefault", f"{name} has no seccomp")
        own = container["securityContext"]
        self.so(own["readOnlyRootFilesystem"] is True, f"{name} can write its root")
        self.so(own["allowPrivilegeEscalation"] is False, f"{name} can gain privileges")
        self.so(own["capabilities"] == {"drop": ["ALL"]}, f"{name} has capabilities")
        ports = {port["name"] for port in container["ports"]}
        for probe in ("livenessProbe", "readinessProbe"):
            get = container[probe]["httpGet"]
            self.so(get["port"] in ports, f"{name} is probed at a port that it has not")
        self.so(container["livenessProbe"]["httpGet"]["path"] == "/healthz", f"{name}: liveness")
        ready = container["readinessProbe"]["httpGet"]["path"]
        self.so(ready.startswith("/readyz"), f"{name}: readiness")
        self.so("memory" in container["resources"]["limits"], f"{name} has no limit of memory")
        volumes = {it["name"] for it in spec["volumes"]} | {"data"}
        mounts = {it["name"] for it in container["volumeMounts"]}
        self.so(mounts == volumes, f"{name} mounts {mounts} and has {volumes}")
        self.so(template["metadata"]["labels"].items() > {}.items(), f"{name} has no labels")
        drain = [it for it in container["args"] if it.startswith("--drain-timeout=")]
        for it in drain:
            seconds = int(it.removeprefix("--drain-timeout=").removesuffix("s"))
            grace = spec["terminationGracePeriodSeconds"]
            self.so(grace > seconds, f"{name} is killed after {grace} s, and may drain for {seconds}")
        may_ask = spec.get("automountServiceAccountToken")
        is_scaler = container["args"][0] == "scaler"
        self.so(may_ask is is_scaler, f"{name}: only the scaler asks Kubernetes for anything")

    def arguments(self, name, container):
        role, *given = container["args"]
        known = self.program.flags[role]
        for argument in given:
            flag = argument.split("=", 1)[0]
            is_built_without = flag in ETCD and "--etcd" not in known and role == "scaler"
            self.so(flag in known or is_built_without, f"{name}: memtide {role} has no {flag}")
            self.so("=" in argument and not argument.endswith("="), f"{name}: {argument} gives nothing")
        complaint = self.program.complaint(container)
        self.so(not complaint, f"{name}: the program says: {complaint}")
        (admin,) = [it for it in given if it.startswith("--admin=")]
        (port,) = [it["containerPort"] for it in container["ports"] if it["name"] == "admin"]
        self.hosts.add(admin.removeprefix("--admin=").removesuffix(f":{port}"))
        mounted = [it["mountPath"] for it in container["volumeMounts"]]
        variables = {it["name"] for it in container.get("env", [])}
        for argument in given:
            for used in re.findall(r"\$\((\w+)\)", argument):
                self.so(used in variables, f"{name}: {argument}, and no such variable")
            value = argument.split("=", 1)[1]
            if value.startswith("/"):
                is_there = any(value == it or value.startswith(it + "/") for it in mounted)
                self.so(is_there, f"{name}: {argument} is on no volume")

    def nodes(self):
        (scaler,) = [it for it in self.workloads if args(it)[0] == "scaler"]
        nodes = {it["metadata"]["name"]: it for it in self.workloads if args(it)[0] == "engine"}
        sets = dict(reversed(pair.split("=")) for pair in flag(scaler, "--kubernetes-statefulsets").split(","))
        self.so(set(sets) == set(nodes), f"the scaler is told of {set(sets)}, and there are {set(nodes)}")
        for name, it in nodes.items():
            zone = flag(it, "--zone")
            self.so(zone == sets.get(name), f"{name} is in zone {zone}, and the scaler thinks {sets.get(name)}")
            self.so("replicas" not in it["spec"], f"{name} says how many there are: an upgrade would undo the scaler")
            self.so(flag(it, "--instance") == "$(POD_NAME)", f"{name}: a node is called as its pod")
            self.so(flag(it, "--spare") == "true", f"{name}: pods begin as spares")
            said = it["metadata"]["annotations"]
            for setting in ("memory", "memory-max", "cpus", "ecpu-max", "network-max"):
                told, given = said[f"node.memtide/{setting}"], flag(it, f"--{setting}")
                self.so(told == given, f"{name}: the scaler is told {setting} {told}, the node {given}")
            if zone != "default":
                terms = it["spec"]["template"]["spec"]["affinity"]["nodeAffinity"]
                terms = terms["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
                places = [value for term in terms for it in term["matchExpressions"] for value in it["values"]]
                self.so(places == [zone], f"{name} runs in {places}, and says {zone}")
            limit = it["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]["memory"]
            self.so(mebibytes(limit) > mebibytes(flag(it, "--memory-max")), f"{name}: {limit} is too little")
        joined = {flag(it, "--join") for it in self.workloads if args(it)[0] != "scaler"}
        self.so(len(joined) == 1, f"all join the same scalers, and not {joined}")
        count = len(joined.pop().split(","))
        self.so(count == scaler["spec"]["replicas"], f"{count} scalers are joined")
        has_etcd = any(it.startswith("--etcd=") for it in args(scaler))
        self.so(has_etcd or count == 1, "several scalers need etcd")

    def services(self):
        for it in self.of_kind("Service") + self.of_kind("PodDisruptionBudget") + self.of_kind("NetworkPolicy"):
            spec = it["spec"]
            selector = spec.get("podSelector", spec["selector"] if "selector" in spec else {})
            selector = selector.get("matchLabels", selector)
            chosen = [w for w in self.workloads if selector.items() <= labels(w).items()]
            what = f"{it['kind']} {it['metadata']['name']}"
            self.so(chosen, f"{what} selects nothing")
            self.so(len({args(w)[0] for w in chosen}) == 1, f"{what} selects several roles")
            ports = {p["name"] for w in chosen for p in containers(w)[0]["ports"]}
            if it["kind"] == "Service":
                for port in spec["ports"]:
                    self.so(port["targetPort"] in ports, f"{what}: no port {port['targetPort']}")
            for rule in spec.get("ingress", []):
                for port in rule["ports"]:
                    self.so(port["port"] in ports, f"{what}: no port {port['port']}")
        names = {it["metadata"]["name"] for it in self.of_kind("Service")}
        for it in self.of_kind("StatefulSet"):
            self.so(it["spec"]["serviceName"] in names, f"{it['metadata']['name']}: no such Service")

    def role(self):
        (role,) = self.of_kind("Role")
        nodes = {it["metadata"]["name"] for it in self.workloads if args(it)[0] == "engine"}
        allowed = {}
        for rule in role["rules"]:
            for resource in rule["resources"]:
                allowed[resource] = (set(rule["verbs"]), set(rule.get("resourceNames", [])))
        expected = {
            "statefulsets": ({"get", "list", "watch"}, nodes),
            "statefulsets/scale": ({"get", "update"}, nodes),
            "pods": ({"get"}, set()),
        }
        self.so(allowed == expected, f"the scaler may do {allowed}")


def containers(workload):
    return workload["spec"]["template"]["spec"]["containers"]


def args(workload):
    return containers(workload)[0]["args"]


def labels(workload):
    return workload["spec"]["template"]["metadata"]["labels"]


def flag(workload, name):
    values = [it.split("=", 1)[1] for it in args(workload) if it.startswith(name + "=")]
    return values[-1] if values else ""


def mebibytes(size):
    if not size:
        return 0
    units = {"Ki": 1 / 1024, "Mi": 1, "Gi": 1024, "Ti": 1024 * 1024}
    return float(size[:-2]) * units[size[-2:]]


main()
