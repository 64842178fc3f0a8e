"""What the Python programs share: where the cache is, counting checks, waiting for a condition."""

import os
import sys
import time

HOST = os.environ["MEMTIDE_HOST"]
PORT = int(os.environ["MEMTIDE_PORT"])
CA = os.environ["MEMTIDE_CA"]

# Every byte there is, with line ends and a NUL where a careless parser would stop.
BINARY = bytes(range(256)) + b"\r\nEND\r\n\x00\r\n"
LARGE = bytes(i * 31 % 251 for i in range(900 * 1024))
DEADLINE_S = 10

_passed = 0


def check(name, condition, seen=""):
    """Prints a line for a check that holds; ends the program at the first that does not."""
    global _passed
    if not condition:
        print(f"FAILED {name}: {seen!r:.200}")
        sys.exit(1)
    _passed += 1
    print(f"ok {name}")


def polls():
    """Yields until the deadline, for loops that wait on a condition."""
    end = time.monotonic() + DEADLINE_S
    while time.monotonic() < end:
        yield
        time.sleep(0.05)


def finish():
    print(f"{_passed} checks passed")
