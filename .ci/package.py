#!/usr/bin/env python3
"""Shows that the Debian package works: builds it around a binary, installs it in a root made by debootstrap, has
systemd check its units, and boots that root, where systemd runs every role of memtide, kills it, stops it and
has its watchdog find it hanging. Removes the package in the end.

Needs root, debootstrap, systemd-nspawn and cargo-deb.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
CHECK = REPOSITORY / ".ci/package-check.sh"
ROLES = ("serve", "scaler", "engine", "proxy")
# systemd's own measure of how much a service could do to the host, in tenths; 100 is all.
EXPOSURE_MAX = 20
BOOT_TIME_MAX_S = 180


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--binary", type=Path, required=True, help="what is packed")
    binary = arguments.parse_args().binary
    for tool in ("debootstrap", "systemd-nspawn", "cargo-deb"):
        if shutil.which(tool) is None:
            sys.exit(f"no {tool} here: apt-get install debootstrap systemd-container, cargo install cargo-deb")
    work = Path(tempfile.mkdtemp(prefix="memtide-package-"))
    try:
        check(work, pack(work, binary))
    finally:
        shutil.rmtree(work)


def pack(work, binary):
    target = work / "target"
    (target / "release").mkdir(parents=True)
    shutil.copy2(binary, target / "release/memtide")
    package = work / "memtide.deb"
    run("cargo-deb", "deb", "--quiet", "--fast", "--no-build", "--locked", "--package=memtide",
        f"--output={package}", cwd=REPOSITORY, env=os.environ | {"CARGO_TARGET_DIR": str(target)})
    print(f"ok packed, {package.stat().st_size >> 20} MiB")
    return package


def check(work, package):
    root = work / "root"
    made = subprocess.run(["debootstrap", "--variant=minbase", "--include=systemd,adduser", "bookworm", root],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if made.returncode != 0:
        sys.exit(f"debootstrap failed:\n{made.stdout[-2000:]}")
    shutil.copy2(package, root / "memtide.deb")
    run("chroot", root, "dpkg", "--install", "/memtide.deb")
    units = [f"memtide-{role}.service" for role in ROLES]
    run("chroot", root, "systemd-analyze", "verify", *units)
    for unit in units:
        run("chroot", root, "systemd-analyze", "security", "--offline=true", f"--threshold={EXPOSURE_MAX}",
            "--no-pager", unit, stdout=subprocess.DEVNULL)
    print(f"ok installed; systemd takes {', '.join(units)}, exposure at most {EXPOSURE_MAX / 10}")
    boot(root)
    run("chroot", root, "dpkg", "--purge", "memtide")
    left = [path for path in ("etc/memtide/serve.toml", "var/lib/memtide", "usr/bin/memtide") if (root / path).exists()]
    if left:
        sys.exit(f"left by the package when it was purged: {', '.join(left)}")
    print("ok removed, with all that it had kept")


def boot(root):
    """Boots the root, with a service in it that looks and then powers off."""
    shutil.copy2(CHECK, root / "check.sh")
    units = root / "etc/systemd/system"
    (units / "check.service").write_text(
        "[Service]\nType=oneshot\nExecStart=/bin/sh /check.sh\nExecStopPost=/bin/sh -c 'systemctl poweroff --no-block 2>/dev/null'\n"
        "TimeoutStartSec=150\nStandardOutput=append:/check.log\nStandardError=append:/check.log\n")
    wants = units / "multi-user.target.wants"
    wants.mkdir(exist_ok=True)
    (wants / "check.service").symlink_to(units / "check.service")
    nspawn = ["systemd-nspawn", "--quiet", "--directory", root, "--boot", "--register=no", "--keep-unit",
              "--private-network", "--link-journal=no"]
    try:
        booted = subprocess.run(nspawn, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, text=True, timeout=BOOT_TIME_MAX_S).stdout
    except subprocess.TimeoutExpired as error:
        booted = (error.output or b"").decode(errors="replace")
    log = root / "check.log"
    if not log.exists():
        print(f"skipped: systemd does not boot in a container here\n{booted[-1000:]}")
        return
    said = log.read_text()
    print(said, end="")
    if not said.endswith("ok all\n"):
        sys.exit("a check failed")


def run(*command, **how):
    subprocess.run(command, check=True, **how)


if __name__ == "__main__":
    main()
