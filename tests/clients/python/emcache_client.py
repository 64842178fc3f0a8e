"""emcache (asyncio) over TLS with verification: every kind of command that the library has."""

import asyncio
import logging

import emcache

from checks import BINARY, CA, HOST, LARGE, PORT, check, finish, polls

NODE = emcache.MemcachedHostAddress(HOST, PORT)


async def connect(**options):
    return await emcache.create_client(
        [NODE], ssl=True, ssl_verify=True, ssl_extra_ca=CA, timeout=10, connection_timeout=10, **options
    )


async def raises(error, awaitable):
    """Whether the command ends with exactly this error of the library."""
    try:
        await awaitable
    except emcache.CommandError as e:
        return type(e) is error
    return False


async def value(c, key):
    item = await c.get(key)
    return item and item.value


async def expires(c, key):
    for _ in polls():
        if await c.get(key) is None:
            return True
    return False


async def store(c):
    await c.set(b"em:a", b"1", flags=65535)
    item = await c.get(b"em:a", return_flags=True)
    check("set and get", item.value == b"1", item)
    check("flags come back", item.flags == 65535, item)
    check("get of a missing key", await c.get(b"em:none") is None)
    not_stored = emcache.NotStoredStorageCommandError
    check("add of a key that exists", await raises(not_stored, c.add(b"em:a", b"2")))
    check("replace of a missing key", await raises(not_stored, c.replace(b"em:none", b"2")))
    await c.append(b"em:a", b"2")
    await c.prepend(b"em:a", b"0")
    check("append and prepend", await value(c, b"em:a") == b"012")


async def many(c):
    items = {b"em:m%d" % i: b"v%d" % i for i in range(100)}
    await asyncio.gather(*(c.set(k, v) for k, v in items.items()))
    found = await c.get_many([*items, b"em:none"])
    check("get_many", {k: item.value for k, item in found.items()} == items)
    found = await c.gets_many(list(items))
    check("gets_many", all(item.cas > 0 for item in found.values()) and len(found) == 100)
    found = await c.gat_many(600, list(items))
    check("gat_many", {k: item.value for k, item in found.items()} == items)


async def delete(c):
    await c.set(b"em:d", b"x")
    await c.delete(b"em:d")
    check("delete", await c.get(b"em:d") is None)
    missing = emcache.NotFoundCommandError
    check("delete of a missing key", await raises(missing, c.delete(b"em:d")))


async def arithmetic(c):
    await c.set(b"em:n", b"10")
    check("increment", await c.increment(b"em:n", 32) == 42)
    check("decrement", await c.decrement(b"em:n", 2) == 40)
    check("decrement stops at 0", await c.decrement(b"em:n", 1000) == 0)
    missing = emcache.NotFoundCommandError
    check("increment of a missing key", await raises(missing, c.increment(b"em:none", 1)))


async def cas(c):
    await c.set(b"em:c", b"old")
    item = await c.gets(b"em:c")
    await c.cas(b"em:c", b"new", item.cas)
    check("cas", await value(c, b"em:c") == b"new")
    not_stored = emcache.NotStoredStorageCommandError
    check("cas with an old token", await raises(not_stored, c.cas(b"em:c", b"x", item.cas)))
    check("get after cas", await value(c, b"em:c") == b"new")


async def time_to_live(c):
    await c.set(b"em:t", b"x", exptime=600)
    await c.touch(b"em:t", 1)
    check("a touched item expires", await expires(c, b"em:t"))
    missing = emcache.NotFoundCommandError
    check("touch of a missing key", await raises(missing, c.touch(b"em:t", 1)))
    await c.set(b"em:e", b"x", exptime=1)
    check("an item expires", await expires(c, b"em:e"))
    await c.set(b"em:g", b"x", exptime=600)
    check("gat", (await c.gat(1, b"em:g")).value == b"x")
    check("an item expires after gat", await expires(c, b"em:g"))


async def values(c):
    await c.set(b"em:large", LARGE)
    check("900 KB come back", await value(c, b"em:large") == LARGE)
    await c.set(b"em:binary", BINARY)
    check("every byte comes back", await value(c, b"em:binary") == BINARY)
    await c.set(b"em:empty", b"")
    check("an empty value comes back", await value(c, b"em:empty") == b"")


async def noreply():
    # One connection, so that what is sent without a reply is done before what is sent next.
    c = await connect(max_connections=1)
    await c.set(b"em:q", b"1", noreply=True)
    await c.append(b"em:q", b"0", noreply=True)
    await c.increment(b"em:q", 5, noreply=True)
    await c.touch(b"em:q", 600, noreply=True)
    await c.add(b"em:q", b"x", noreply=True)
    check("noreply set, append, increment, touch, add", await value(c, b"em:q") == b"15")
    await c.delete(b"em:q", noreply=True)
    check("noreply delete", await c.get(b"em:q") is None)
    await c.close()


async def server(c):
    version = (await c.version(NODE)).split(".")
    check("version is 1.6.27 or newer", [int(n) for n in version[:3]] >= [1, 6, 27], version)
    stats = await c.stats(NODE)
    check("stats", int(stats["cmd_get"]) > 0, stats)
    await c.flush_all(NODE)
    check("flush_all", await c.get(b"em:a") is None)


async def autodiscovery():
    c = await connect(autodiscovery=True)
    nodes = c.cluster_managment().nodes()
    check("config get cluster names one endpoint", len(nodes) == 1 and nodes[0].port == PORT, nodes)
    await c.set(b"em:auto", b"x")
    check("the endpoint that was discovered serves", await value(c, b"em:auto") == b"x")
    await c.close()


async def main():
    c = await connect(max_connections=4)
    for part in (store, many, delete, arithmetic, cas, time_to_live, values, server):
        await part(c)
    await c.close()
    await noreply()
    await autodiscovery()
    finish()


logging.disable(logging.WARNING)  # the library logs each connection that it closes itself
asyncio.run(main())
