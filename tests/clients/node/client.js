// memcache-client over TLS with verification: every kind of command that the library has.

import { readFileSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import { MemcacheClient } from "memcache-client";

const { MEMTIDE_HOST, MEMTIDE_PORT, MEMTIDE_CA } = process.env;
const BINARY = Buffer.concat([
  Buffer.from(Array.from({ length: 256 }, (_, i) => i)),
  Buffer.from("\r\nEND\r\n\0\r\n"),
]);
const LARGE = Buffer.from(Array.from({ length: 900 * 1024 }, (_, i) => (i * 31) % 251));
const DEADLINE_MS = 10_000;

let passed = 0;

/** Prints a line for a check that holds; ends the program at the first that does not. */
function check(name, condition, seen = "") {
  if (!condition) {
    console.error(`FAILED ${name}: ${JSON.stringify(seen).slice(0, 200)}`);
    process.exit(1);
  }
  passed += 1;
  console.log(`ok ${name}`);
}

/** The message of the error that the command ends with; undefined where it succeeds. */
async function refusal(command) {
  try {
    await command;
    return undefined;
  } catch (e) {
    return e.message;
  }
}

/** Whether the key is gone before the deadline. */
async function expires(c, key) {
  for (const end = Date.now() + DEADLINE_MS; Date.now() < end; await pause(50)) {
    if ((await c.get(key)) === undefined) return true;
  }
  return false;
}

const value = async (c, key) => (await c.get(key))?.value;

async function store(c) {
  check("set", (await c.set("js:a", "1"))[0] === "STORED");
  check("get", (await value(c, "js:a")) === "1");
  check("get of a missing key", (await c.get("js:none")) === undefined);
  check("add of a key that exists", (await refusal(c.add("js:a", "2"))) === "NOT_STORED");
  check("replace of a missing key", (await refusal(c.replace("js:none", "2"))) === "NOT_STORED");
  await c.append("js:a", "2");
  await c.prepend("js:a", "0");
  check("append and prepend", (await value(c, "js:a")) === "012");
  await c.set("js:json", { a: [1, 2] });
  check("flags say what is JSON", (await value(c, "js:json")).a[1] === 2);
  await c.set("js:number", 4.5);
  check("flags say what is a number", (await value(c, "js:number")) === 4.5);
}

async function many(c) {
  const keys = Array.from({ length: 100 }, (_, i) => `js:m${i}`);
  await Promise.all(keys.map((key) => c.set(key, `v${key}`)));
  const found = await c.get([...keys, "js:none"]);
  check("get of 100 keys", keys.every((key) => found[key].value === `v${key}`));
  check("get of 100 keys finds no other", Object.keys(found).length === 100);
  const replies = await Promise.all(keys.map((key) => c.get(key)));
  check("100 pipelined gets", replies.every((r, i) => r.value === `vjs:m${i}`));
}

async function remove(c) {
  await c.set("js:d", "x");
  check("delete", (await c.delete("js:d"))[0] === "DELETED");
  check("delete of a missing key", (await refusal(c.delete("js:d"))) === "NOT_FOUND");
  check("get after delete", (await c.get("js:d")) === undefined);
}

async function arithmetic(c) {
  await c.set("js:n", "10");
  check("incr", (await c.incr("js:n", 32)) === "42");
  check("decr", (await c.decr("js:n", 2)) === "40");
  check("decr stops at 0", (await c.decr("js:n", 1000)) === "0");
  await c.set("js:n", "text");
  const why = await refusal(c.incr("js:n", 1));
  check("incr of text", why?.startsWith("CLIENT_ERROR cannot increment"), why);
}

async function cas(c) {
  await c.set("js:c", "old");
  const { value: old, casUniq } = await c.gets("js:c");
  check("gets", old === "old" && /^\d+$/.test(casUniq), casUniq);
  check("cas", (await c.cas("js:c", "new", { casUniq }))[0] === "STORED");
  const stale = await refusal(c.cas("js:c", "x", { casUniq }));
  check("cas with an old token", stale === "EXISTS", stale);
  check("get after cas", (await value(c, "js:c")) === "new");
}

async function timeToLive(c) {
  await c.set("js:t", "x", { lifetime: 600 });
  check("touch", (await c.touch("js:t", 1))[0] === "TOUCHED");
  check("a touched item expires", await expires(c, "js:t"));
  check("touch of a missing key", (await refusal(c.touch("js:t", 1))) === "NOT_FOUND");
  await c.set("js:e", "x", { lifetime: 1 });
  check("an item expires", await expires(c, "js:e"));
}

async function values(c) {
  await c.set("js:large", LARGE);
  check("900 KB come back", LARGE.equals(await value(c, "js:large")));
  await c.set("js:binary", BINARY);
  check("every byte comes back", BINARY.equals(await value(c, "js:binary")));
  await c.set("js:empty", "");
  check("an empty value comes back", (await value(c, "js:empty")) === "");
  const over = await refusal(c.set("js:over", Buffer.alloc(1024 * 1024 + 1)));
  check("a value over the limit is refused", over === "SERVER_ERROR object too large for cache", over);
  check("the connection is in step afterwards", BINARY.equals(await value(c, "js:binary")));
}

async function noreply(c) {
  await c.set("js:q", "1", { noreply: true });
  await c.append("js:q", "0", { noreply: true });
  await c.cmd("incr js:q 5", { noreply: true });
  await c.touch("js:q", 600, { noreply: true });
  check("noreply set, append, incr, touch", (await value(c, "js:q")) === "15");
  await c.delete("js:q", { noreply: true });
  check("noreply delete", (await c.get("js:q")) === undefined);
}

async function server(c) {
  const version = (await c.version())[1].split(".").map(Number);
  check("version is 1.6.27 or newer", version[0] === 1 && version[1] === 6 && version[2] >= 27, version);
  const { STAT } = await c.cmd("stats");
  check("stats", STAT.some(([name, n]) => name === "cmd_get" && Number(n) > 0), STAT);
}

async function connections() {
  const c = connect({ maxConnections: 8 });
  const keys = Array.from({ length: 200 }, (_, i) => `js:p${i}`);
  await Promise.all(keys.map((key) => c.set(key, key)));
  const replies = await Promise.all(keys.map((key) => c.get(key)));
  check("8 connections at once", replies.every((r, i) => r.value === keys[i]));
  c.shutdown();
}

function connect(options = {}) {
  const server = { server: `${MEMTIDE_HOST}:${MEMTIDE_PORT}`, maxConnections: 1, ...options };
  return new MemcacheClient({ server, cmdTimeout: 10_000, tls: { ca: readFileSync(MEMTIDE_CA) } });
}

const client = connect();
for (const part of [store, many, remove, arithmetic, cas, timeToLive, values, noreply, server]) {
  await part(client);
}
client.shutdown();
await connections();
console.log(`${passed} checks passed`);
