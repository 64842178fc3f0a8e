"""pymemcache over TLS with verification: every kind of command that the library has."""

import ssl

from pymemcache import MemcacheUnexpectedCloseError
from pymemcache.client.base import Client, PooledClient

from checks import BINARY, CA, HOST, LARGE, PORT, check, finish, polls


def connect(kind=Client, **options):
    tls = ssl.create_default_context(cafile=CA)
    return kind((HOST, PORT), tls_context=tls, connect_timeout=10, timeout=10, **options)


def store(c):
    check("set", c.set("py:a", b"1", noreply=False) is True)
    check("get", c.get("py:a") == b"1")
    check("get of a missing key", c.get("py:none") is None)
    check("set with flags", c.raw_command(b"set py:f 4294967295 0 1\r\nx", b"\r\n") == b"STORED")
    flags = c.raw_command(b"get py:f", b"END\r\n")
    check("flags come back", flags == b"VALUE py:f 4294967295 1\r\nx\r\n", flags)
    check("add", c.add("py:a", b"2", noreply=False) is False)
    check("replace", c.replace("py:none", b"2", noreply=False) is False)
    check("append", c.append("py:a", b"2", noreply=False) is True)
    check("prepend", c.prepend("py:a", b"0", noreply=False) is True)
    check("append and prepend keep the value", c.get("py:a") == b"012")
    check("the longest key", c.set("py:" + "k" * 247, b"v", noreply=False) is True)
    check("get of the longest key", c.get("py:" + "k" * 247) == b"v")


def many(c):
    items = {f"py:m{i}": b"v%d" % i for i in range(100)}
    check("set_many", c.set_many(items, noreply=False) == [])
    check("get_many", c.get_many([*items, "py:none"]) == items)
    check("gets_many", set(c.gets_many(items)) == set(items))
    check("delete_many", c.delete_many(items, noreply=False) is True)
    check("get_many after delete_many", c.get_many(items) == {})


def delete(c):
    c.set("py:d", b"x", noreply=False)
    check("delete", c.delete("py:d", noreply=False) is True)
    check("delete of a missing key", c.delete("py:d", noreply=False) is False)
    check("get after delete", c.get("py:d") is None)


def arithmetic(c):
    c.set("py:n", b"10", noreply=False)
    check("incr", c.incr("py:n", 32) == 42)
    check("decr", c.decr("py:n", 2) == 40)
    check("decr stops at 0", c.decr("py:n", 1000) == 0)
    check("incr of a missing key", c.incr("py:none", 1) is None)
    c.set("py:n", b"18446744073709551615", noreply=False)
    check("incr wraps at 64 bits", c.incr("py:n", 1) == 0)


def cas(c):
    c.set("py:c", b"old", noreply=False)
    value, token = c.gets("py:c")
    check("gets", value == b"old" and token.isdigit(), token)
    check("cas", c.cas("py:c", b"new", token, noreply=False) is True)
    check("cas with an old token", c.cas("py:c", b"x", token, noreply=False) is False)
    check("cas of a missing key", c.cas("py:none", b"x", token, noreply=False) is None)
    check("get after cas", c.get("py:c") == b"new")


def time_to_live(c):
    c.set("py:t", b"x", expire=600, noreply=False)
    check("touch", c.touch("py:t", 1, noreply=False) is True)
    check("touch of a missing key", c.touch("py:none", 1, noreply=False) is False)
    check("a touched item expires", any(c.get("py:t") is None for _ in polls()))
    c.set("py:e", b"x", expire=1, noreply=False)
    c.set("py:kept", b"x", expire=600, noreply=False)
    check("an item expires", any(c.get("py:e") is None for _ in polls()))
    check("a longer-lived item stays", c.get("py:kept") == b"x")
    check("a negative exptime expires at once", c.set("py:e", b"x", expire=-1, noreply=False) is True)
    check("get of what expired at once", c.get("py:e") is None)
    gat = c.raw_command(b"gat 600 py:kept", b"END\r\n")
    check("gat", gat == b"VALUE py:kept 0 1\r\nx\r\n", gat)


def values(c):
    check("set of 900 KB", c.set("py:large", LARGE, noreply=False) is True)
    check("get of 900 KB", c.get("py:large") == LARGE)
    check("set of every byte", c.set("py:binary", BINARY, noreply=False) is True)
    check("get of every byte", c.get("py:binary") == BINARY)
    check("set of nothing", c.set("py:empty", b"", noreply=False) is True)
    check("get of nothing", c.get("py:empty") == b"")


def noreply(c):
    c.set("py:q", b"1", noreply=True)
    c.append("py:q", b"0", noreply=True)
    c.incr("py:q", 5, noreply=True)
    check("noreply set, append, incr", c.get("py:q") == b"15", c.get("py:q"))
    c.touch("py:q", 600, noreply=True)
    c.add("py:q", b"x", noreply=True)
    check("noreply touch and add", c.get("py:q") == b"15")
    c.delete("py:q", noreply=True)
    check("noreply delete", c.get("py:q") is None)
    c.set_many({f"py:q{i}": b"%d" % i for i in range(1000)}, noreply=True)
    check("1,000 noreply sets", len(c.get_many([f"py:q{i}" for i in range(1000)])) == 1000)


def server(c):
    version = c.version().decode().split(".")
    check("version is 1.6.27 or newer", [int(n) for n in version[:3]] >= [1, 6, 27], version)
    stats = c.stats()
    check("stats", stats[b"curr_connections"] >= 1 and stats[b"cmd_get"] > 0, stats)


def pool():
    c = connect(PooledClient, max_pool_size=4)
    check("pooled set", c.set("py:pool", b"x", noreply=False) is True)
    check("pooled get", c.get("py:pool") == b"x")
    c.close()


def quit_closes():
    c = connect()
    c.set("py:a", b"1", noreply=False)
    try:
        c.raw_command(b"quit")
        closed = False
    except (MemcacheUnexpectedCloseError, OSError):
        closed = True
    check("quit closes the connection", closed)


client = connect()
for part in (store, many, delete, arithmetic, cas, time_to_live, values, noreply, server):
    part(client)
client.quit()
pool()
quit_closes()
finish()
