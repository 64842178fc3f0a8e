"""Threads with a pymemcache client each that get what they can, as an application does that goes on
after an error. Ends when its standard input does."""

import os
import ssl
import sys
import threading

from pymemcache.client.base import Client

THREADS = int(sys.argv[1])


def flood():
    tls = ssl.create_default_context(cafile=os.environ["MEMTIDE_CA"])
    address = (os.environ["MEMTIDE_HOST"], int(os.environ["MEMTIDE_PORT"]))
    client = Client(address, tls_context=tls, connect_timeout=10, timeout=10)
    while True:
        try:
            client.get("k")
        except Exception:
            pass


for _ in range(THREADS):
    threading.Thread(target=flood, daemon=True).start()
sys.stdin.read()
os._exit(0)
