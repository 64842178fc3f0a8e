#!/usr/bin/env python3
"""Shows that the Dockerfile works where there is no Docker engine.

Carries out its instructions, as they stand there, in roots made by debootstrap; then starts the
result as its user, waits for its HEALTHCHECK, asks it something over TLS, and stops it by its
STOPSIGNAL. Needs root, debootstrap, and this machine's Rust, which takes the place of the rust
image's: that root gets no more than a C compiler besides.

With `--binary FILE`, that file takes the place of what the stage `build` would make, which is most
of the time that this takes.
"""

import argparse
import json
import os
import re
import shlex
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
DEADLINE_S = 30


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--binary", type=Path, help="instead of building one")
    arguments.add_argument("--phase", choices=["build", "run"], help=argparse.SUPPRESS)
    arguments.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    given = arguments.parse_args()
    if given.phase == "build":
        build(given.work, given.binary)
    elif given.phase == "run":
        run(given.work)
    else:
        both_phases(given.binary)


def both_phases(binary):
    for tool in ("debootstrap", "unshare", "ip", "cargo"):
        if shutil.which(tool) is None:
            sys.exit(f"no {tool} here: apt-get install debootstrap util-linux iproute2, or Rust")
    work = Path(tempfile.mkdtemp(prefix="memtide-dockerfile-"))
    me = [sys.executable, __file__, "--work", work]
    if binary:
        me += ["--binary", binary.resolve()]
    try:
        # Mounts end with their namespace. The second one has a network of its own, so that the
        # ports which the image exposes are free.
        subprocess.run(["unshare", "--mount", *me, "--phase", "build"], check=True)
        subprocess.run(["unshare", "--mount", "--net", *me, "--phase", "run"], check=True)
    finally:
        shutil.rmtree(work)


def entry():
    try:
        main()
    except subprocess.CalledProcessError as error:
        sys.exit(f"exit code {error.returncode} from: {shlex.join(map(str, error.cmd))}")


# ---- The Dockerfile ----


class Stage:
    """A stage as far as it has been built; what its last instructions said of running it."""

    def __init__(self, root, env):
        self.root, self.env = root, env
        self.user, self.directory = "0:0", "/"
        self.said = {}

    def command(self, arguments, user=None):
        """The command line that runs this in the root, as a container would run it."""
        env = [f"{name}={value}" for name, value in self.env.items()]
        shell = f"cd {self.directory} && exec \"$@\""
        chroot = ["chroot", f"--userspec={user or self.user}", "--groups=", self.root]
        return [*chroot, "/usr/bin/env", "-i", *env, "/bin/sh", "-c", shell, "-", *arguments]


def instructions():
    text = (REPOSITORY / "Dockerfile").read_text()
    text = re.sub(r"^\s*#.*\n", "", text, flags=re.M)
    for line in text.replace("\\\n", " ").splitlines():
        if line.strip():
            yield line.strip().split(maxsplit=1)


def build(work, binary):
    stages, stage, is_replaced = {}, None, False
    for name, rest in instructions():
        if name == "FROM":
            image, _as, alias = rest.split()
            is_replaced = binary is not None and alias == "build"
        if is_replaced:
            stages["build"] = None
            if name == "FROM":
                check_context()
            continue
        print(f"-- {name} {rest}", flush=True)
        if name == "FROM":
            stage = stages[alias] = base(image, work / alias)
        elif name == "RUN":
            subprocess.run(stage.command(["/bin/sh", "-c", rest]), check=True)
        elif name == "COPY":
            copy(rest, stage, stages, binary)
        elif name == "ENV":
            stage.env.update(pair.split("=", 1) for pair in shlex.split(rest))
        elif name == "USER":
            stage.user = rest
        elif name == "WORKDIR":
            stage.directory = rest
            (stage.root / rest.lstrip("/")).mkdir(parents=True, exist_ok=True)
        elif name in ("ENTRYPOINT", "CMD", "STOPSIGNAL", "EXPOSE", "HEALTHCHECK", "VOLUME"):
            stage.said[name] = rest
        else:
            sys.exit(f"{name} is not known here: teach {__file__}")
    last = {k: v for k, v in vars(stage).items() if k != "root"} | {"root": str(stage.root)}
    (work / "last.json").write_text(json.dumps(last))


def check_context():
    """Shows that cargo finds the whole workspace in the build's context."""
    with tempfile.TemporaryDirectory() as context:
        copy_context(Path(context))
        metadata = ["cargo", "metadata", "--locked", "--no-deps", "--format-version=1"]
        subprocess.run(metadata, cwd=context, check=True, stdout=subprocess.DEVNULL)


def copy(rest, stage, stages, binary):
    words = rest.split()
    option = words.pop(0) if words[0].startswith("--from=") else None
    source, target = words
    target = stage.root / os.path.join(stage.directory, target).lstrip("/")
    if option:
        other = stages[option.removeprefix("--from=")]
        shutil.copy2(other.root / source.lstrip("/") if other else binary, target)
        return
    copy_context(target)


def copy_context(target):
    """Copies the build's context: what .dockerignore lets in by name."""
    for line in (REPOSITORY / ".dockerignore").read_text().split():
        if line.startswith("!"):
            let_in = REPOSITORY / line[1:]
            if let_in.is_dir():
                shutil.copytree(let_in, target / line[1:], ignore=shutil.ignore_patterns("target"))
            else:
                shutil.copy2(let_in, target)
        elif line not in ("*", "**/target"):
            sys.exit(f"{line} in .dockerignore is not known here: teach {__file__}")


# ---- The images that it starts from ----


def base(image, root):
    """A root that holds no more than what the image holds."""
    if image == "debian:bookworm-slim":
        debootstrap(root, [])
        return Stage(root, {"PATH": PATH})
    rust = re.fullmatch(r"rust:([\d.]+)-bookworm", image)
    if not rust:
        sys.exit(f"image {image} is not known here: teach {__file__}")
    version = output("rustc", "--version").split()[1]
    if not f"{version}.".startswith(f"{rust[1]}."):
        sys.exit(f"{image} is asked for, and the Rust here is {version}")
    debootstrap(root, ["ca-certificates", "gcc", "libc6-dev"])
    toolchain = Path("/usr/local/toolchain")
    mount(output("rustc", "--print", "sysroot"), root, toolchain)
    # Downloads are not what is shown here: the crates come from this machine.
    subprocess.run(["cargo", "fetch", "--locked"], cwd=REPOSITORY, check=True)
    host_home = os.environ.get("CARGO_HOME", os.path.expanduser("~/.cargo"))
    mount(f"{host_home}/registry", root, Path("/usr/local/cargo/registry"))
    env = {"CARGO_HOME": "/usr/local/cargo", "CARGO_NET_OFFLINE": "true"}
    return Stage(root, env | {"PATH": f"{toolchain}/bin:{PATH}", "HOME": "/root"})


def debootstrap(root, packages):
    include = [f"--include={','.join(packages)}"] if packages else []
    command = ["debootstrap", "--variant=minbase", *include, "bookworm", root]
    made = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if made.returncode != 0:
        sys.exit(f"debootstrap failed:\n{made.stdout[-2000:]}")
    mount_kernel(root)


def mount_kernel(root):
    """What the kernel shows of itself in any container."""
    for device in ("null", "urandom"):
        path = root / "dev" / device
        path.touch()
        subprocess.run(["mount", "--bind", f"/dev/{device}", path], check=True)
    mount("/proc", root, Path("/proc"))


def mount(source, root, target):
    path = root / str(target).lstrip("/")
    path.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "--rbind", source, path], check=True)


def output(*command):
    done = subprocess.run(command, cwd=REPOSITORY, check=True, stdout=subprocess.PIPE, text=True)
    return done.stdout.strip()


# ---- The container ----


def run(work):
    last = json.loads((work / "last.json").read_text())
    stage = Stage(Path(last["root"]), last["env"])
    stage.user, stage.directory, stage.said = last["user"], last["directory"], last["said"]
    mount_kernel(stage.root)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)

    if stage.user.split(":")[0] in ("0", "root"):
        sys.exit("the image runs as root")
    command = json.loads(stage.said["ENTRYPOINT"]) + json.loads(stage.said["CMD"])
    print(f"-- as {stage.user} in {stage.directory}: {shlex.join(command)}", flush=True)
    server = subprocess.Popen(stage.command(command))
    try:
        check(stage, server)
    finally:
        server.kill()
        server.wait()


def check(stage, server):
    healthcheck = json.loads(stage.said["HEALTHCHECK"].split("CMD", 1)[1])
    wait(lambda: subprocess.run(stage.command(healthcheck)).returncode == 0, "HEALTHCHECK")
    uid = os.stat(f"/proc/{server.pid}").st_uid
    if str(uid) != stage.user.split(":")[0]:
        sys.exit(f"the server runs as {uid}, not as {stage.user}")
    volume = stage.root / stage.said["VOLUME"].lstrip("/")
    mode = (volume / "tls/server.key").stat().st_mode & 0o777
    if mode != 0o600:
        sys.exit(f"the server's key has mode {mode:o}")
    ports = [int(port) for port in stage.said["EXPOSE"].split()]
    ask(ports[0], volume / "tls/ca.pem")
    for port in ports:
        socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_S).close()
        print(f"ok port {port} listens")
    server.send_signal(signal.Signals[stage.said["STOPSIGNAL"]])
    code = server.wait(timeout=DEADLINE_S)
    if code != 0:
        sys.exit(f"stopped by {stage.said['STOPSIGNAL']}, it exits {code}")
    print(f"ok {stage.said['STOPSIGNAL']} stops it")


def ask(port, ca):
    tls = ssl.create_default_context(cafile=ca)
    with socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_S) as plain:
        with tls.wrap_socket(plain, server_hostname="localhost") as stream:
            stream.sendall(b"set k 0 0 1\r\nv\r\nget k\r\nquit\r\n")
            reply = stream.makefile("rb").read()
    if reply != b"STORED\r\nVALUE k 0 1\r\nv\r\nEND\r\n":
        sys.exit(f"it answers {reply!r}")
    print("ok it serves over TLS, verified")


def wait(condition, what):
    end = time.monotonic() + DEADLINE_S
    while not condition():
        if time.monotonic() > end:
            sys.exit(f"not within {DEADLINE_S} s: {what}")
        time.sleep(0.1)
    print(f"ok {what}")


entry()
