/**
 * K2V of a real server: every endpoint, parameter and answer of Garage's specification, permissions, polls, shutdown, and
 * kill -9.
 */
import assert from "node:assert/strict"
import { join } from "node:path"
import { test } from "node:test"
import { until } from "@hayloft/base/seams/clock/testing-until.js"
import { decodeMarker, encodeMarker } from "@hayloft/engine/format/k2v/k2v-marker.js"
import { freePort } from "../harness/free-port.js"
import { forTestsOfFile } from "../harness/folders.js"
import { base64, K2vClient, listingOf, type K2vReply } from "../harness/k2v-client.js"
import { CREDENTIALS, ServerProcess } from "../harness/server.js"

const BUCKET = "mail"
const JSON_TYPE = "application/json"
const BINARY = "application/octet-stream"
const BOTH = `${BINARY}, ${JSON_TYPE}`

let server: ServerProcess
let client: K2vClient
let host: string

forTestsOfFile(async folder => {
  host = `127.0.0.1:${await freePort()}`
  server = await ServerProcess.start({ folders: [join(folder, "data")], args: ["--k2v-listen", host] })
  client = new K2vClient({ host, ...CREDENTIALS }, BUCKET)
  await run(["mb", `s3://${BUCKET}`])
  return () => server.kill()
})

async function run(args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await server.hayloft(args)
  assert.equal(code, 0, `hayloft ${args.join(" ")}: ${stderr}${stdout}`)
  return stdout
}

const valuesOf = ({ json }: K2vReply): readonly (string | null)[] => {
  assert.ok(Array.isArray(json))
  return json.map((value: unknown) => (typeof value === "string" ? Buffer.from(value, "base64").toString() : null))
}

const needed = ({ token }: K2vReply): string => {
  assert.ok(token !== undefined, "the answer has a token")
  return token
}

function refused({ status, json }: K2vReply, expected: number, code: string): void {
  assert.deepEqual([status, fieldOf(json, "code")], [expected, code], JSON.stringify(json))
  assert.equal(fieldOf(json, "region"), "us-east-1")
}

const fieldOf = (value: unknown, name: string): unknown =>
  typeof value === "object" && value !== null ? Object.entries(value).find(([key]) => key === name)?.[1] : undefined

test("ReadItem and InsertItem: the form of the answer follows Accept", async () => {
  refused(await client.read("forms", "a"), 404, "NoSuchKey")
  assert.equal((await client.insert("forms", "a", "one")).status, 204)
  const plain = await client.read("forms", "a")
  assert.deepEqual([plain.status, plain.type, valuesOf(plain)], [200, JSON_TYPE, ["one"]])
  for (const accept of [BINARY, BOTH, "*/*", `${BINARY};q=0.5`]) {
    const { status, type, body, token } = await client.read("forms", "a", accept)
    assert.deepEqual([status, type, body.toString(), token], [200, BINARY, "one", plain.token], accept)
  }
  refused(await client.read("forms", "a", "text/html"), 406, "NotAcceptable")
  await client.insert("forms", "a", "two")
  const both = await client.read("forms", "a", BOTH)
  assert.deepEqual([both.status, both.type, valuesOf(both)], [200, JSON_TYPE, ["one", "two"]])
  const conflict = await client.read("forms", "a", BINARY)
  assert.deepEqual([conflict.status, conflict.token, conflict.body.length], [409, both.token, 0])
  assert.equal((await client.delete("forms", "a", needed(both))).status, 204)
  for (const accept of [BINARY, BOTH]) {
    const { status, token } = await client.read("forms", "a", accept)
    assert.equal(status, 204, accept)
    assert.ok(token)
  }
  const tombstone = await client.read("forms", "a")
  assert.deepEqual([tombstone.status, valuesOf(tombstone)], [200, [null]])
  refused(await client.read("forms", "a", "text/html"), 406, "NotAcceptable")
})

test("a write supersedes what its token names; without a token it adds a concurrent value", async () => {
  await client.insert("causal", "a", "v1")
  const first = await client.read("causal", "a")
  await client.insert("causal", "a", "v2", needed(first))
  assert.deepEqual(valuesOf(await client.read("causal", "a")), ["v2"])
  // An old token overwrites nothing that its client has not seen.
  await client.insert("causal", "a", "v3", needed(first))
  const two = await client.read("causal", "a")
  assert.deepEqual(valuesOf(two), ["v2", "v3"])
  // The same value twice is shown once.
  await client.insert("causal", "a", "v3")
  assert.deepEqual(valuesOf(await client.read("causal", "a")), ["v2", "v3"])
  // A deletion that did not see a value stands beside it.
  await client.delete("causal", "a", needed(first))
  assert.deepEqual(valuesOf(await client.read("causal", "a")), ["v2", "v3", null])
  await client.insert("causal", "a", "all", needed(await client.read("causal", "a")))
  assert.deepEqual(valuesOf(await client.read("causal", "a")), ["all"])
})

test("values: raw bytes, none, and 1 MiB; more is refused", async () => {
  const bytes = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte))
  await client.insert("values", "raw", bytes)
  assert.deepEqual((await client.read("values", "raw", BINARY)).body, bytes)
  await client.insert("values", "none", "")
  const none = await client.read("values", "none", BINARY)
  assert.deepEqual([none.status, none.body.length], [200, 0])
  const large = Buffer.alloc(1024 * 1024, "x")
  assert.equal((await client.insert("values", "large", large)).status, 204)
  assert.ok((await client.read("values", "large", BINARY)).body.equals(large))
  refused(await client.insert("values", "large", Buffer.alloc(large.length + 1)), 413, "EntityTooLarge")
})

test("keys: any text of up to 1,024 bytes, in the byte order of its UTF-8", async () => {
  const partition = "a/b c?é\u{1f600}%2F"
  const sortKeys = ["", " ", "/", "a&b=c", "é", "\u{1f600}"]
  for (const sortKey of sortKeys) assert.equal((await client.insert(partition, sortKey, sortKey)).status, 204)
  const [found] = await results([{ partitionKey: partition }])
  assert.deepEqual(
    found?.items.map(({ sk }) => sk),
    sortKeys,
  )
  refused(await client.insert("x".repeat(1025), "a", ""), 400, "KeyTooLongError")
  refused(await client.insert("p", "é".repeat(513), ""), 400, "KeyTooLongError")
  assert.equal((await client.insert("x".repeat(1024), "é".repeat(512), "")).status, 204)
})

async function results(searches: unknown, method: "POST" | "SEARCH" = "POST") {
  const reply = await client.search(searches, method)
  assert.equal(reply.status, 200, JSON.stringify(reply.json))
  assert.ok(Array.isArray(reply.json))
  return reply.json.map(listingOf)
}

test("the published batches: InsertBatch, ReadBatch by both methods, and what is echoed", async () => {
  const items = [
    { pk: "mailboxes", sk: "INBOX", ct: null, v: base64("1") },
    { pk: "mailboxes", sk: "INBOX", ct: null, v: base64("2") },
    { pk: "mailboxes", sk: "Trash", ct: null, v: base64("3") },
    { pk: "mailboxes", sk: "Junk", v: base64("4") },
    ...["001892831", "001892832", "001892874", "001892898"].map(sk => ({ pk: "box", sk, ct: null, v: base64(sk) })),
    { pk: "keys", sk: "0", ct: null, v: base64("k") },
  ]
  assert.equal((await client.insertBatch(items)).status, 204)
  const searches = [
    { partitionKey: "mailboxes" },
    { partitionKey: "box", start: "001892831", limit: 3 },
    { partitionKey: "keys", start: "0", singleItem: true },
  ]
  const found = await results(searches)
  assert.deepEqual(await results(searches, "SEARCH"), found)
  const echoed = { prefix: null, start: null, end: null, limit: null, reverse: false }
  const flags = { conflictsOnly: false, tombstones: false, singleItem: false }
  const [boxes, box, keys] = found
  const { items: _items, ...rest } = boxes ?? { items: [] }
  assert.deepEqual(rest, { ...echoed, ...flags, partitionKey: "mailboxes", more: false, nextStart: null })
  assert.deepEqual(
    boxes?.items.map(({ sk, v }) => [sk, v]),
    [
      ["INBOX", [base64("1"), base64("2")]],
      ["Junk", [base64("4")]],
      ["Trash", [base64("3")]],
    ],
  )
  assert.deepEqual([box?.items.length, box?.more, box?.nextStart], [3, true, "001892898"])
  assert.deepEqual([keys?.items.length, keys?.more], [1, false])
  // A batch supersedes by tokens, and null deletes.
  const [inbox] = boxes?.items ?? []
  await client.insertBatch([
    { pk: "mailboxes", sk: "INBOX", ct: inbox?.ct, v: base64("new") },
    { pk: "keys", sk: "0", ct: keys?.items[0]?.ct, v: null },
  ])
  assert.deepEqual(valuesOf(await client.read("mailboxes", "INBOX")), ["new"])
  assert.deepEqual(valuesOf(await client.read("keys", "0")), [null])
})

test("ReadBatch: conflictsOnly, tombstones, reverse, and what does not fit together", async () => {
  await client.insertBatch(["a", "a2", "b", "c"].map(sk => ({ pk: "filters", sk, ct: null, v: base64(sk) })))
  await client.insert("filters", "b", "other")
  await client.delete("filters", "c", needed(await client.read("filters", "c")))
  const keysOf = async (search: Record<string, unknown>) => {
    const [found] = await results([{ partitionKey: "filters", ...search }])
    return found?.items.map(({ sk }) => sk).join()
  }
  assert.equal(await keysOf({}), "a,a2,b")
  assert.equal(await keysOf({ conflictsOnly: true }), "b")
  assert.equal(await keysOf({ tombstones: true }), "a,a2,b,c")
  assert.equal(await keysOf({ tombstones: true, reverse: true, end: "a" }), "c,b,a2")
  assert.equal(await keysOf({ prefix: "a", reverse: true, limit: 1 }), "a2")
  assert.equal(await keysOf({ start: "c", singleItem: true }), "")
  assert.equal(await keysOf({ start: "c", singleItem: true, tombstones: true }), "c")
  const bad = [
    { partitionKey: "filters", singleItem: true },
    { partitionKey: "filters", singleItem: true, start: "a", limit: 1 },
    { partitionKey: "filters", singleItem: true, start: "a", prefix: "a" },
    { partitionKey: "filters", prefix: "b", start: "a" },
    { partitionKey: "filters", limit: -1 },
    { partitionKey: "filters", reverse: "yes" },
    { partitionKey: "", start: "a" },
    { partitionKey: "filters", startKey: "a" },
    {},
  ]
  for (const search of bad) refused(await client.search([search]), 400, "InvalidRequest")
  refused(await client.search({}), 400, "InvalidRequest")
})

test("ReadBatch: its results are limited together, since they are in memory until they are sent", async () => {
  const value = Buffer.alloc(1024 * 1024, "x")
  assert.equal((await client.insert("heavy", "a", value)).status, 204)
  const searches = (count: number) =>
    Array.from({ length: count }, () => ({ partitionKey: "heavy", start: "a", singleItem: true }))
  assert.equal((await results(searches(10))).length, 10)
  refused(await client.search(searches(60)), 413, "EntityTooLarge")
})

test("ReadIndex: exact counts, and the parameters of a listing", async () => {
  const items = ["i1", "i2", "i3"].flatMap(pk => ["a", "b"].map(sk => ({ pk, sk, ct: null, v: base64(pk + sk) })))
  await client.insertBatch(items)
  await client.insert("i2", "a", "other")
  await client.deleteBatch([{ partitionKey: "i3" }])
  const reply = await client.index({ prefix: "i" })
  const counts = (pk: string, values: number, bytes: number) => ({
    pk,
    entries: 2,
    conflicts: values - 2,
    values,
    bytes,
  })
  assert.deepEqual(reply.json, {
    prefix: "i",
    start: null,
    end: null,
    limit: null,
    reverse: false,
    more: false,
    nextStart: null,
    partitionKeys: [counts("i1", 2, 6), counts("i2", 3, 11)],
  })
  const one = await client.index({ prefix: "i", limit: "1", reverse: "true" })
  assert.deepEqual([fieldOf(one.json, "more"), fieldOf(one.json, "nextStart")], [true, "i1"])
  const end = await client.index({ start: "i1", end: "i2" })
  assert.deepEqual([fieldOf(end.json, "partitionKeys"), fieldOf(end.json, "more")], [[counts("i1", 2, 6)], false])
  refused(await client.index({ limit: "x" }), 400, "InvalidRequest")
  refused(await client.index({ reverse: "1" }), 400, "InvalidRequest")
  refused(await client.index({ prefix: "i", start: "a" }), 400, "InvalidRequest")
})

test("DeleteBatch: ranges and single items, and how many there were", async () => {
  await client.insertBatch(["a", "b", "b2", "c"].map(sk => ({ pk: "gone", sk, ct: null, v: base64(sk) })))
  const reply = await client.deleteBatch([
    { partitionKey: "gone", prefix: "b" },
    { partitionKey: "gone", start: "a", singleItem: true },
    { partitionKey: "gone", start: "a", singleItem: true },
    { partitionKey: "never" },
  ])
  assert.equal(reply.status, 200)
  assert.ok(Array.isArray(reply.json))
  assert.deepEqual(
    reply.json.map((each: unknown) => fieldOf(each, "deletedItems")),
    [2, 1, 0, 0],
  )
  const echo = { partitionKey: "gone", prefix: "b", start: null, end: null, singleItem: false, deletedItems: 2 }
  assert.deepEqual(reply.json[0], echo)
  assert.deepEqual(
    (await results([{ partitionKey: "gone" }]))[0]?.items.map(({ sk }) => sk),
    ["c"],
  )
  refused(await client.deleteBatch([{ partitionKey: "gone", limit: 1 }]), 400, "InvalidRequest")
})

test("malformed requests are named, and change nothing", async () => {
  refused(await client.request({ method: "GET", partition: "p" }), 400, "InvalidRequest")
  refused(await client.delete("p", "a"), 400, "InvalidRequest")
  refused(await client.insert("p", "a", "x", "nonsense"), 400, "CausalityToken")
  refused(await client.insertBatch([{ pk: "p", sk: "a", v: "?" }]), 400, "InvalidBase64")
  refused(await client.insertBatch([{ pk: "p", sk: "\ud800", v: "" }]), 400, "InvalidUtf8String")
  refused(await client.request({ method: "POST", body: "[" }), 400, "InvalidRequest")
  refused(await client.request({ method: "POST", partition: "p", body: "{}" }), 400, "InvalidRequest")
  refused(
    await client.request({ method: "GET", partition: "p", parameters: { sort_key: "a", x: "" } }),
    400,
    "InvalidRequest",
  )
  refused(await client.request({ method: "PATCH" }), 405, "MethodNotAllowed")
  refused(await client.request({ method: "OPTIONS" }), 501, "NotImplemented")
  refused(await client.request({ method: "GET", bucket: "no-such-bucket" }), 404, "NoSuchBucket")
  refused(await client.pollRange("p", { seenMarker: "nonsense" }), 400, "InvalidRequest")
  refused(await client.pollRange("p", { timeout: "1" }), 400, "InvalidRequest")
  refused(await client.read("p", "a"), 404, "NoSuchKey")
})

test("signatures: of this service, over this body, by a key that may", async () => {
  refused(await client.request({ method: "GET", service: "s3" }), 400, "AuthorizationHeaderMalformed")
  refused(await client.request({ method: "POST", body: "[]", hash: "0".repeat(64) }), 400, "InvalidDigest")
  assert.equal((await client.request({ method: "POST", body: "[]", hash: "UNSIGNED-PAYLOAD" })).status, 204)
  const streaming = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
  refused(await client.request({ method: "POST", body: "[]", hash: streaming }), 501, "NotImplemented")
  const wrong = new K2vClient({ host, ...CREDENTIALS, secretKey: "wrong" }, BUCKET)
  refused(await wrong.index(), 403, "SignatureDoesNotMatch")
  const anonymous = await fetch(`http://${host}/${BUCKET}`)
  assert.equal(anonymous.status, 403)
})

async function keyOf(args: readonly string[]): Promise<K2vClient> {
  const made: unknown = JSON.parse(await run(["key", "create", ...args, "--json"]))
  const find = (value: unknown, names: readonly string[]): unknown =>
    names.map(name => fieldOf(value, name) ?? fieldOf(fieldOf(value, "key"), name)).find(Boolean)
  const [accessKey, secretKey] = [
    find(made, ["accessKey", "accessKeyId", "id"]),
    find(made, ["secret", "secretKey", "secretAccessKey"]),
  ]
  assert.ok(typeof accessKey === "string" && typeof secretKey === "string", "a key was made")
  return new K2vClient({ host, accessKey, secretKey }, BUCKET)
}

test("policies: a reader reads, a writer of S3 does neither, and another account is refused", async () => {
  await client.insert("policies", "a", "1")
  await run(["user", "create", "reader", "--policy", "K2VReadOnlyAccess"])
  await run(["user", "create", "writer", "--policy", "readwrite"])
  const reader = await keyOf(["--user", "reader"])
  assert.deepEqual(valuesOf(await reader.read("policies", "a")), ["1"])
  assert.equal((await reader.index()).status, 200)
  refused(await reader.insert("policies", "a", "2"), 403, "AccessDenied")
  refused(await reader.insertBatch([{ pk: "policies", sk: "a", v: "" }]), 403, "AccessDenied")
  refused(await reader.deleteBatch([{ partitionKey: "policies" }]), 403, "AccessDenied")
  const writer = await keyOf(["--user", "writer"])
  refused(await writer.read("policies", "a"), 403, "AccessDenied")
  refused(await writer.index(), 403, "AccessDenied")
  const account: unknown = JSON.parse(await run(["account", "create", "other", "--json"]))
  const id = fieldOf(account, "id")
  assert.ok(typeof id === "string")
  const other = await keyOf(["--account", id])
  refused(await other.read("policies", "a"), 403, "AccessDenied")
  assert.deepEqual(valuesOf(await client.read("policies", "a")), ["1"])
})

test("a bucket's policy: a Deny of all actions, or of all but some, holds here; one of S3 does not", async () => {
  const all = { Principal: "*", Resource: [`arn:aws:s3:::${BUCKET}`, `arn:aws:s3:::${BUCKET}/*`] }
  const use = (statement: object) =>
    run([
      "bucket",
      "settings",
      "set",
      BUCKET,
      "policy",
      JSON.stringify({ Version: "2012-10-17", Statement: [statement] }),
    ])
  await client.insert("denied", "a", "1")
  await run(["user", "create", "denied", "--policy", "K2VReadOnlyAccess"])
  const reader = await keyOf(["--user", "denied"])
  await use({ ...all, Effect: "Deny", Action: "s3:*" })
  assert.deepEqual(valuesOf(await reader.read("denied", "a")), ["1"])
  await use({ ...all, Effect: "Deny", NotAction: "s3:GetObject" })
  refused(await reader.read("denied", "a"), 403, "AccessDenied")
  await use({ ...all, Effect: "Deny", Action: "*" })
  refused(await reader.read("denied", "a"), 403, "AccessDenied")
  await run(["bucket", "settings", "delete", BUCKET, "policy"])
  assert.deepEqual(valuesOf(await reader.read("denied", "a")), ["1"])
})

test("objects and items of a bucket do not meet, and both keep it", async () => {
  const own = new K2vClient({ host, ...CREDENTIALS }, "kept")
  await run(["mb", "s3://kept"])
  await own.insert("p", "a", "12345")
  assert.deepEqual((await server.usage("kept")).objects, 0)
  assert.deepEqual((await server.usage("kept")).bytes, 5)
  const { code, stderr } = await server.hayloft(["rb", "s3://kept"])
  assert.notEqual(code, 0)
  assert.match(stderr, /not empty/i)
  await own.deleteBatch([{ partitionKey: "p" }])
  await run(["rb", "s3://kept"])
  refused(await own.index(), 404, "NoSuchBucket")
  await run(["mb", "s3://kept"])
  refused(await own.read("p", "a"), 404, "NoSuchKey")
})

test("PollItem waits for what its token has not seen, and misses nothing between two polls", async () => {
  await client.insert("polls", "a", "1")
  const first = needed(await client.read("polls", "a"))
  const waiting = client.poll("polls", "a", first)
  await client.insert("polls", "b", "other")
  await client.insert("polls", "a", "2", first)
  const reply = await waiting
  assert.deepEqual([reply.status, valuesOf(reply)], [200, ["2"]])
  // Written while nobody polled: a client that comes back is answered at once.
  const missed = await client.poll("polls", "a", first)
  assert.deepEqual([missed.status, valuesOf(missed)], [200, ["2"]])
  assert.equal((await client.poll("polls", "a", needed(reply), "1")).status, 304)
  // An item that was never written is awaited too, with the token of nothing.
  const never = client.poll("polls", "new", "AAAAAAAAAAA")
  await client.insert("polls", "new", "there")
  assert.deepEqual(valuesOf(await never), ["there"])
  refused(await client.poll("polls", "a", "nonsense"), 400, "CausalityToken")
  refused(await client.poll("polls", "a", first, "soon"), 400, "InvalidRequest")
})

test("PollRange: content first, then changes of the range, with markers for it and parts of it", async () => {
  const empty = await client.pollRange("ranges", {})
  assert.deepEqual([empty.status, listingOf(empty.json).items], [200, []])
  await client.insertBatch(["a1", "a2", "b1"].map(sk => ({ pk: "ranges", sk, ct: null, v: base64(sk) })))
  const first = listingOf((await client.pollRange("ranges", { prefix: "a" }, "SEARCH")).json)
  assert.deepEqual(
    first.items.map(({ sk }) => sk),
    ["a1", "a2"],
  )
  const marker = first.seenMarker
  const waiting = client.pollRange("ranges", { prefix: "a", seenMarker: marker, timeout: 60 })
  await client.insert("ranges", "b1", "outside")
  await client.delete("ranges", "a1", first.items[0]?.ct)
  const changed = listingOf((await waiting).json)
  assert.deepEqual(
    changed.items.map(({ sk, v }) => [sk, v]),
    [["a1", [null]]],
  )
  const next = { seenMarker: changed.seenMarker, timeout: 1 }
  assert.equal((await client.pollRange("ranges", { prefix: "a", ...next })).status, 304)
  assert.equal((await client.pollRange("ranges", { prefix: "a2", ...next })).status, 304)
  assert.equal((await client.pollRange("ranges", { start: "a1", end: "a2", ...next })).status, 304)
  for (const wider of [{}, { prefix: "b" }, { start: "a1" }])
    refused(await client.pollRange("ranges", { ...wider, ...next }), 400, "InvalidRequest")
  refused(await client.pollRange("other", { prefix: "a", ...next }), 400, "InvalidRequest")
  const late = listingOf((await client.pollRange("ranges", { prefix: "a", seenMarker: marker })).json)
  assert.deepEqual(
    late.items.map(({ sk }) => sk),
    ["a1"],
  )
  // A marker that is old only because nothing has changed in its range is replaced, before it is too old.
  const quiet = listingOf((await client.pollRange("ranges", { prefix: "z" })).json)
  const known = decodeMarker(quiet.seenMarker ?? "")
  const old = encodeMarker({ ...known, time: known.time - 2 * 86_400_000 })
  const renewed = await client.pollRange("ranges", { prefix: "z", seenMarker: old, timeout: 1 })
  const { items, seenMarker = "" } = listingOf(renewed.json)
  assert.deepEqual([renewed.status, items, decodeMarker(seenMarker)], [200, [], known])
})

test("what was acknowledged is there after kill -9, and a poll goes on with its token", async () => {
  const large = Buffer.alloc(200_000, "y")
  await client.insert("crash", "a", "1")
  await client.insert("crash", "a", "2")
  await client.insert("crash", "large", large)
  const before = await client.read("crash", "a")
  const marker = listingOf((await client.pollRange("crash", {})).json).seenMarker
  await server.kill()
  await server.launch()
  const again = await client.read("crash", "a")
  assert.deepEqual([again.token, valuesOf(again)], [before.token, ["1", "2"]])
  assert.ok((await client.read("crash", "large", BINARY)).body.equals(large))
  const waiting = client.poll("crash", "a", needed(again))
  const range = client.pollRange("crash", { seenMarker: marker })
  await client.insert("crash", "a", "3", needed(again))
  assert.deepEqual(valuesOf(await waiting), ["3"])
  assert.deepEqual(
    listingOf((await range).json).items.map(({ sk, v }) => [sk, v]),
    [["a", [base64("3")]]],
  )
})

test("a server that stops ends its polls at once", async () => {
  await client.insert("stop", "a", "1")
  const token = needed(await client.read("stop", "a"))
  const polls = [client.poll("stop", "a", token, "600"), client.poll("stop", "a", token, "600")]
  // Polls wait once others are answered behind them.
  await client.read("stop", "a")
  await waitUntilPolling(2)
  assert.equal(await server.stop(), 0)
  assert.deepEqual(
    (await Promise.all(polls)).map(({ status }) => status),
    [304, 304],
  )
  await server.launch()
})

/** The requests that the server works on include those that wait. */
async function waitUntilPolling(count: number): Promise<void> {
  const areWaiting = async (): Promise<boolean> => {
    const metrics = await server.metrics()
    return Number(/^hayloft_k2v_polls_waiting(?:\{[^}]*\})? (\d+)$/m.exec(metrics)?.[1]) >= count
  }
  await until(`${count} polls wait`, areWaiting)
}
