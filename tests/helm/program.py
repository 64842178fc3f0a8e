"""What the program says of the flags that a pod gives it."""

import re
import subprocess
import tempfile
from pathlib import Path

# Files that are there in a pod, and which of those that `memtide tls init` makes stands for each here.
FILES = {
    "--fleet-tls": "",
    "--tls-cert": "proxy.pem",
    "--tls-key": "proxy.key",
    "--tls-client-ca": "ca.pem",
    "--etcd-ca": "ca.pem",
    "--etcd-cert": "scaler.pem",
    "--etcd-key": "scaler.key",
    "--admin-token-file": "admin.token",
    "--data-dir": "",
}
# What is not wrong with the flags, but with this machine.
HERE = ["no access to the API of Kubernetes", "raise that limit (ulimit -n"]


class Program:
    def __init__(self, path):
        self.path = path
        self.flags = {role: self.known_flags(role) for role in ("scaler", "engine", "proxy")}
        self.scratch = tempfile.TemporaryDirectory()
        self.run("tls", "init", "--dir", self.scratch.name).check_returncode()
        self.said = {}

    def run(self, *words):
        # No variable of this process is to set anything.
        return subprocess.run([self.path, *words], capture_output=True, text=True, env={})

    def known_flags(self, role):
        text = self.run(role, "--help").stdout
        return set(re.findall(r"(?m)^\s+(?:-\w, )?(--[a-z-]+)", text))

    def complaint(self, container):
        """What `memtide config check` has against a container's arguments; empty where that is nothing."""
        role, *given = [in_pod(container, argument) for argument in container["args"]]
        return self.complaint_of(role, [self.with_file(argument) for argument in given])

    def complaint_of(self, role, given):
        key = (role, *given)
        if key not in self.said:
            self.said[key] = self.ask(role, given)
        return self.said[key]

    def ask(self, role, given):
        answer = self.run("config", "check", role, *given)
        if answer.returncode == 0 or any(it in answer.stderr for it in HERE):
            return ""
        if "more than there is" in answer.stderr:
            # This machine has less memory than the pod: what a node begins with is little.
            (least,) = [it for it in given if it.startswith("--memory=")]
            return self.complaint_of(role, replaced(given, "--memory-max", least.replace("=", "-max=", 1)))
        if "was built without Kubernetes" in answer.stderr:
            return self.complaint_of(role, replaced(given, "--kubernetes-statefulsets", "--provision=/bin/true"))
        return answer.stderr.strip()

    def with_file(self, argument):
        flag, _, value = argument.partition("=")
        if flag not in FILES or not value:
            return argument
        return f"{flag}={Path(self.scratch.name) / FILES[flag]}"


def in_pod(container, argument):
    """As Kubernetes gives it to the program."""
    is_ipv6 = any(it.startswith("--admin=[") for it in container["args"])
    values = {"metadata.name": "shop-0", "status.podIP": "fd00::7" if is_ipv6 else "10.0.0.7"}
    for it in container.get("env", []):
        value = values[it["valueFrom"]["fieldRef"]["fieldPath"]]
        argument = argument.replace(f"$({it['name']})", value)
    return argument


def replaced(given, flag, other):
    return [other if it.startswith(flag + "=") else it for it in given]
