/** Reads of remote buckets over a remote in memory: what is fetched, what is cached, and what a remote that fails or lies causes. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { isFailure } from "@hayloft/base/failures.js"
import { MIB } from "@hayloft/base/limits.js"
import { EVICTION_LIMITS } from "../eviction/index.js"
import { REMOTE_LIMITS } from "./limits.js"
import { md5Of, unavailable } from "./testing-origin.js"
import { bytesOf, ended, fromTo, RemoteScene, suffix } from "./testing-remotes.js"

const BLOCK = REMOTE_LIMITS.blockBytes
const FIRST = `0+${BLOCK}`
const DAY_MS = 86_400_000
const AGE = { freshness: { check: "Age", maxAgeSeconds: 60 } } as const
const ALWAYS = { freshness: { check: "Always" } } as const

test("a cold read takes one request; a warm one takes none, and gives the same", async () => {
  const scene = await RemoteScene.open()
  const headers = { contentType: "text/x", cacheControl: "no-store" }
  scene.far("a", "one", headers)
  const cold = await scene.read("a")
  assert.deepEqual(
    [cold.text, cold.outcome, cold.etag, cold.headers],
    ["one", "miss", md5Of(Buffer.from("one")), headers],
  )
  assert.deepEqual(scene.origin.took(), [`get a ${FIRST}`])
  const warm = await scene.read("a")
  assert.deepEqual(warm, { ...cold, outcome: "hit" })
  assert.deepEqual(scene.origin.took(), [])
  await scene.refuses(scene.read("b"), "noSuchKey")
  await scene.refuses(scene.read("b"), "noSuchKey")
  assert.deepEqual(scene.origin.took(), [`get b ${FIRST}`, `get b ${FIRST}`])
})

test("an object of several blocks is fetched block by block, and ranges fetch only those concerned", async () => {
  const scene = await RemoteScene.open()
  const bytes = bytesOf(3 * BLOCK + 1_000, 1)
  scene.far("a", bytes)
  const middle = await scene.read("a", { range: fromTo(BLOCK - 10, BLOCK + 9) })
  assert.ok(middle.bytes.equals(bytes.subarray(BLOCK - 10, BLOCK + 10)))
  assert.deepEqual(middle.range, { first: BLOCK - 10, lengthBytes: 20 })
  assert.deepEqual(scene.origin.took(), [`get a ${FIRST}`, `get a ${BLOCK}+${BLOCK}`])
  const inside = await scene.read("a", { range: fromTo(2 * BLOCK - 1, 2 * BLOCK - 1) })
  assert.deepEqual([inside.bytes.equals(bytes.subarray(2 * BLOCK - 1, 2 * BLOCK)), inside.outcome], [true, "hit"])
  assert.deepEqual(scene.origin.took(), [])
  const end = await scene.read("a", { range: suffix(5) })
  assert.deepEqual([end.bytes.equals(bytes.subarray(-5)), end.outcome], [true, "miss"])
  assert.deepEqual(scene.origin.took(), [`get a ${3 * BLOCK}+1000`])
  const whole = await scene.read("a")
  assert.ok(whole.bytes.equals(bytes))
  assert.deepEqual(scene.origin.took(), [`get a ${2 * BLOCK}+${BLOCK}`])
  assert.ok((await scene.read("a")).bytes.equals(bytes))
  assert.deepEqual(scene.origin.took(), [])
})

test("a cold read of what is behind the first block asks for the headers, and for that block", async () => {
  const scene = await RemoteScene.open()
  const bytes = bytesOf(2 * BLOCK, 2)
  scene.far("a", bytes)
  scene.far("b", bytes)
  const end = await scene.read("a", { range: suffix(3 * BLOCK) })
  assert.ok(end.bytes.equals(bytes))
  assert.deepEqual(scene.origin.took(), ["head a", `get a ${FIRST}`, `get a ${BLOCK}+${BLOCK}`])
  const behind = await scene.read("b", { range: fromTo(BLOCK, undefined) })
  assert.ok(behind.bytes.equals(bytes.subarray(BLOCK)))
  assert.deepEqual(scene.origin.took(), ["head b", `get b ${BLOCK}+${BLOCK}`])
  await scene.refuses(scene.read("b", { range: fromTo(2 * BLOCK, undefined) }), "invalidRange")
  await scene.refuses(scene.read("b", { range: suffix(0) }), "invalidRange")
  assert.deepEqual(scene.origin.took(), [])
})

test("empty objects are read, cached and revalidated", async () => {
  const scene = await RemoteScene.open()
  scene.far("a", "")
  assert.deepEqual(await scene.seen("a"), ["", "miss"])
  assert.deepEqual(scene.origin.took(), [`get a ${FIRST}`, "head a"])
  assert.deepEqual(await scene.seen("a"), ["", "hit"])
  assert.deepEqual(await scene.seen("a", { revalidates: true }), ["", "revalidated"])
  await scene.refuses(scene.read("a", { range: fromTo(0, 9) }), "invalidRange")
  assert.deepEqual(scene.origin.took(), ["head a"])
  scene.far("a", "more")
  assert.deepEqual(await scene.seen("a", { revalidates: true }), ["more", "miss"])
  assert.deepEqual(await scene.seen("a"), ["more", "hit"])
})

test("conditions are checked against cached and cold objects", async () => {
  const scene = await RemoteScene.open()
  scene.far("a", "one")
  scene.far("b", "two")
  const [one, two] = [md5Of(Buffer.from("one")), md5Of(Buffer.from("two"))]
  for (const _ of ["cold", "cached"]) {
    await scene.refuses(scene.read("a", { conditions: { ifNoneMatch: [one] } }), "notModified")
    await scene.refuses(scene.read("b", { conditions: { ifMatch: [one] } }), "preconditionFailed")
    assert.equal((await scene.read("b", { conditions: { ifMatch: [two] } })).text, "two")
  }
  const { lastModifiedMs } = await scene.read("a", { headersOnly: true })
  await scene.refuses(scene.read("a", { conditions: { ifModifiedSinceMs: lastModifiedMs } }), "notModified")
  await scene.refuses(
    scene.read("a", { conditions: { ifUnmodifiedSinceMs: lastModifiedMs - 1 } }),
    "preconditionFailed",
  )
  const ifRange = await scene.read("a", { range: fromTo(1, 1), ifRange: { etag: one } })
  const other = await scene.read("a", { range: fromTo(1, 1), ifRange: { etag: two } })
  assert.deepEqual([ifRange.text, other.text], ["n", "one"])
})

test("HEAD asks for no bytes; a later GET needs one request for them", async () => {
  const scene = await RemoteScene.open()
  scene.far("a", "one", { contentType: "text/x" })
  const head = await scene.read("a", { headersOnly: true })
  assert.deepEqual([head.sizeBytes, head.headers.contentType, head.outcome], [3, "text/x", "miss"])
  assert.deepEqual(scene.origin.took(), ["head a"])
  assert.equal((await scene.read("a", { headersOnly: true })).outcome, "hit")
  assert.deepEqual(await scene.seen("a"), ["one", "miss"])
  assert.deepEqual(scene.origin.took(), ["get a 0+3"])
  await scene.refuses(scene.read("b", { headersOnly: true }), "noSuchKey")
})

test("Never: what is cached is not compared, unless the reader wants it", async () => {
  const scene = await RemoteScene.open()
  scene.far("a", "one")
  await scene.read("a")
  scene.far("a", "two, which is longer")
  await scene.advance(365 * 24 * 3_600_000)
  assert.deepEqual(await scene.seen("a"), ["one", "hit"])
  assert.deepEqual(await scene.seen("a", { revalidates: true }), ["two, which is longer", "miss"])
  assert.deepEqual(await scene.seen("a"), ["two, which is longer", "hit"])
  assert.deepEqual(await scene.seen("a", { revalidates: true }), ["two, which is longer", "revalidated"])
})

test("Always: each read compares, and what was replaced or deleted is seen at once", async () => {
  const scene = await RemoteScene.open(ALWAYS)
  scene.far("a", "one")
  await scene.read("a")
  scene.origin.took()
  assert.deepEqual(await scene.seen("a"), ["one", "revalidated"])
  assert.deepEqual(scene.origin.took(), ["head a"])
  scene.far("a", "two")
  assert.deepEqual(await scene.seen("a"), ["two", "miss"])
  scene.farRemove("a")
  await scene.refuses(scene.read("a"), "noSuchKey")
  assert.deepEqual(await scene.list({ withStatus: true }), [])
  scene.far("a", "three")
  assert.deepEqual(await scene.seen("a"), ["three", "miss"])
})

test("Age: an object is compared once so much time has passed, and then not for as long again", async () => {
  const scene = await RemoteScene.open(AGE)
  scene.far("a", "one")
  await scene.read("a")
  await scene.advance(59_999)
  scene.origin.took()
  assert.deepEqual(await scene.seen("a"), ["one", "hit"])
  await scene.advance(1)
  assert.deepEqual(await scene.seen("a"), ["one", "revalidated"])
  assert.deepEqual(scene.origin.took(), ["head a"])
  await scene.advance(59_999)
  assert.deepEqual(await scene.seen("a"), ["one", "hit"])
  scene.far("a", "two")
  assert.deepEqual(await scene.seen("a"), ["one", "hit"])
  await scene.advance(1)
  assert.deepEqual(await scene.seen("a"), ["two", "miss"])
})

test("an object with the same ETag and another time of modification is another object", async () => {
  const scene = await RemoteScene.open(ALWAYS)
  scene.far("a", "one", { contentType: "text/x" })
  await scene.read("a")
  await scene.advance(1_000)
  scene.far("a", "one", { contentType: "text/y" })
  const read = await scene.read("a")
  assert.deepEqual([read.text, read.outcome, read.headers.contentType], ["one", "miss", "text/y"])
})

test("blocks of a replaced object are dropped", async () => {
  const scene = await RemoteScene.open()
  scene.far("a", bytesOf(2 * BLOCK, 1))
  await scene.read("a")
  const before = scene.remotes.cache().sizeBytes
  assert.ok(before >= 2 * BLOCK)
  scene.far("a", "small")
  assert.deepEqual(await scene.seen("a", { revalidates: true }), ["small", "miss"])
  await scene.sweep()
  assert.equal(scene.remotes.cache().sizeBytes, 2 * EVICTION_LIMITS.chargedBytesMin)
})

test("a remote that is down: warm reads with Never go on, cold ones fail", async () => {
  const scene = await RemoteScene.open()
  scene.far("a", "one")
  scene.far("b", "two")
  await scene.read("a")
  scene.origin.isUnavailable = true
  assert.deepEqual(await scene.seen("a"), ["one", "hit"])
  await scene.refuses(scene.read("b"), "remoteUnavailable")
  await scene.refuses(scene.read("a", { revalidates: true }), "remoteUnavailable")
  scene.origin.isUnavailable = false
  assert.deepEqual(await scene.seen("b"), ["two", "miss"])
})

test("a remote that is down: what cannot be compared is read if the bucket wants it, and refused if not", async () => {
  for (const serveStale of [true, false]) {
    const scene = await RemoteScene.open({ ...AGE, serveStale })
    scene.far("a", "one")
    await scene.read("a")
    await scene.advance(60_000)
    scene.origin.isUnavailable = true
    if (serveStale) {
      assert.deepEqual(await scene.seen("a"), ["one", "stale"])
      await scene.refuses(scene.read("b"), "remoteUnavailable")
    } else await scene.refuses(scene.read("a"), "remoteUnavailable")
    scene.origin.isUnavailable = false
    assert.deepEqual(await scene.seen("a"), ["one", "revalidated"])
  }
})

test("a body that is cut short is not cached, and the next read succeeds", async () => {
  for (const how of ["ends", "breaks"] as const) {
    const scene = await RemoteScene.open()
    scene.far("a", "one two three")
    scene.origin.cutsBodies = { afterBytes: 5, how }
    await scene.refuses(scene.read("a"), "remoteUnavailable")
    await scene.refuses(scene.read("a"), "remoteUnavailable")
    scene.origin.cutsBodies = undefined
    assert.deepEqual(await scene.seen("a"), ["one two three", "miss"])
    assert.deepEqual(await scene.seen("a"), ["one two three", "hit"])
  }
})

test("a body that is cut short in the second block ends the read with a failure, and is not cached", async () => {
  const scene = await RemoteScene.open()
  const bytes = bytesOf(2 * BLOCK, 3)
  scene.far("a", bytes)
  await scene.read("a", { range: fromTo(0, 0) })
  scene.origin.cutsBodies = { afterBytes: BLOCK - 1, how: "ends" }
  await scene.refuses(scene.read("a"), "remoteUnavailable")
  scene.origin.cutsBodies = undefined
  scene.origin.took()
  assert.ok((await scene.read("a")).bytes.equals(bytes))
  assert.deepEqual(scene.origin.took(), [`get a ${BLOCK}+${BLOCK}`])
})

test("more bytes than were announced are refused", async () => {
  const scene = await RemoteScene.open()
  scene.far("a", "one")
  scene.origin.moreBytes = 1
  await scene.refuses(scene.read("a"), "remoteRefused")
  scene.origin.moreBytes = 0
  assert.deepEqual(await scene.seen("a"), ["one", "miss"])
})

test("an ETag that is not the MD5 of the bytes is refused, and accepted if the setting says so", async () => {
  const scene = await RemoteScene.open()
  scene.origin.etagOf = bytes => md5Of(Buffer.concat([bytes, bytes]))
  scene.far("a", "one")
  for (let i = 0; i < 2; i += 1) await scene.refuses(scene.read("a"), "remoteRefused")
  scene.origin.took()
  await scene.refuses(scene.read("a"), "remoteRefused")
  assert.equal(scene.origin.took().length, 1, "no bytes are cached")
  await scene.change({ opaqueEtags: true })
  assert.deepEqual(await scene.seen("a"), ["one", "miss"])
  assert.deepEqual(await scene.seen("a"), ["one", "hit"])
})

test("a GET that always shows another ETag than HEAD ends with a failure, not with a loop", async () => {
  const scene = await RemoteScene.open(ALWAYS)
  scene.far("a", "one")
  scene.origin.shows = (object, kind) => (kind === "get" ? { ...object, etag: "other", etagIsMd5: false } : object)
  for (let i = 0; i < 3; i += 1) assert.deepEqual(await scene.seen("a"), ["one", "miss"])
  const headers = await scene.read("a", { headersOnly: true })
  assert.equal(headers.etag, md5Of(Buffer.from("one")))
  scene.far("b", bytesOf(BLOCK + 1, 1))
  await scene.refuses(scene.read("b", { range: suffix(1) }), "conflict")
  scene.origin.shows = object => object
  assert.equal((await scene.read("b", { range: suffix(1) })).bytes.length, 1)
})

test("an object that is replaced between HEAD and GET is read again", async () => {
  const scene = await RemoteScene.open()
  scene.far("a", "one")
  await scene.read("a", { headersOnly: true })
  scene.far("a", "two!")
  assert.deepEqual(await scene.seen("a"), ["two!", "miss"])
  assert.deepEqual(await scene.seen("a"), ["two!", "hit"])
  const gate = scene.origin.hold("head", "after")
  scene.far("b", bytesOf(BLOCK + 5, 1))
  const reading = ended(scene.reading("b", { range: suffix(5) }))
  await scene.settle()
  assert.ok(gate.isReached)
  const bytes = bytesOf(BLOCK + 7, 2)
  scene.far("b", bytes)
  gate.open()
  const end = await scene.run(reading)
  assert.ok("value" in end && end.value.bytes.equals(bytes.subarray(-5)))
})

test("no read mixes the bytes of two objects, if one is replaced while it is read", async () => {
  const scene = await RemoteScene.open()
  const [old, fresh] = [bytesOf(4 * BLOCK, 1), bytesOf(4 * BLOCK, 2)]
  for (let at = 1; at <= 4; at += 1) {
    const key = `k${at}`
    scene.far(key, old)
    let gets = 0
    scene.origin.before = kind => {
      if (kind === "get" && (gets += 1) === at) scene.far(key, fresh)
    }
    const read = await scene.run(ended(scene.reading(key)))
    if ("value" in read) assert.ok(read.value.bytes.equals(at === 1 ? fresh : old) || read.value.bytes.equals(fresh))
    else assert.ok(isFailure(read.error, "preconditionFailed", "conflict"), String(read.error))
  }
})

test("partly cached object that was replaced: the read that finds out breaks off, the next one gets the new object", async () => {
  const scene = await RemoteScene.open()
  const [old, fresh] = [bytesOf(2 * BLOCK, 1), bytesOf(2 * BLOCK, 2)]
  scene.far("a", old)
  await scene.read("a", { range: fromTo(0, 9) })
  scene.far("a", fresh)
  await scene.refuses(scene.read("a"), "preconditionFailed", "conflict")
  assert.ok((await scene.read("a")).bytes.equals(fresh))
})

test("bytes of a first block that came from the remote are counted as such", async () => {
  const scene = await RemoteScene.open()
  scene.far("a", "one")
  await scene.read("a")
  await scene.read("a")
  const { hitBytes, missBytes } = scene.remotes.cache()
  assert.deepEqual([hitBytes, missBytes], [3, 3])
})

test("a remote without ETags: no read mixes the bytes of two objects", async () => {
  const scene = await RemoteScene.open()
  scene.origin.etagOf = () => ""
  const [old, fresh] = [bytesOf(2 * BLOCK, 1), bytesOf(2 * BLOCK + 5, 2)]
  scene.far("a", old)
  await scene.read("a", { range: fromTo(0, 9) })
  await scene.advance(5_000)
  scene.far("a", fresh)
  const read = await scene.run(ended(scene.reading("a")))
  if ("value" in read) assert.ok(read.value.bytes.equals(old) || read.value.bytes.equals(fresh), "a mix")
})

test("reads of a cold object at the same time make one request, and fail together", async () => {
  const scene = await RemoteScene.open()
  scene.far("a", "one")
  scene.origin.delayMs = 100
  const reads = Promise.all([1, 2, 3, 4, 5].map(() => scene.reading("a")))
  assert.deepEqual(new Set((await scene.run(reads)).map(read => read.text)), new Set(["one"]))
  assert.deepEqual(scene.origin.took(), [`get a ${FIRST}`])
  scene.origin.before = () => {
    throw unavailable()
  }
  const failing = Promise.all([1, 2, 3].map(() => ended(scene.reading("b"))))
  for (const end of await scene.run(failing)) assert.ok("error" in end && isFailure(end.error, "remoteUnavailable"))
  assert.deepEqual(scene.origin.took(), [`get b ${FIRST}`])
})

test("reads of several blocks at the same time fetch each block once", async () => {
  const scene = await RemoteScene.open()
  const bytes = bytesOf(4 * BLOCK, 1)
  scene.far("a", bytes)
  scene.origin.delayMs = 100
  const reads = await scene.run(Promise.all([1, 2, 3].map(() => scene.reading("a"))))
  for (const read of reads) assert.ok(read.bytes.equals(bytes))
  assert.equal(scene.origin.counts.get, 4)
})

test("a key too long for the cache is read and written through, each time", async () => {
  const scene = await RemoteScene.open()
  const key = "k".repeat(1_020)
  scene.far(key, "one")
  for (let i = 0; i < 2; i += 1) assert.deepEqual(await scene.seen(key), ["one", "miss"])
  assert.deepEqual([scene.origin.counts.head, scene.origin.counts.get], [2, 2])
  await scene.write(key, "two")
  assert.deepEqual([scene.farText(key), (await scene.read(key)).text], ["two", "two"])
  assert.equal((await scene.read(key, { range: suffix(1) })).text, "o")
  await scene.remove(key)
  await scene.refuses(scene.read(key), "noSuchKey")
  assert.equal(await scene.versions(), 0)
})

test("prefetch brings all blocks into the cache", async () => {
  const scene = await RemoteScene.open()
  const bytes = bytesOf(BLOCK + MIB, 1)
  scene.far("a", bytes)
  const { key } =
    (await scene.run(scene.listing())).entries.flatMap(e => (e.kind === "object" ? [e.object] : []))[0] ?? {}
  assert.ok(key !== undefined)
  await scene.run(
    scene.remotes.prefetch(scene.setting, scene.bucket, key, { signal: new AbortController().signal, hops: undefined }),
  )
  scene.origin.isUnavailable = true
  assert.ok((await scene.read("a")).bytes.equals(bytes))
})

test("Age: what was compared by a wall clock that was far ahead for a while is compared again", async () => {
  const scene = await RemoteScene.open(AGE)
  const { clock } = scene.world
  scene.far("a", "one")
  clock.jumpWall(400 * DAY_MS)
  await scene.read("a")
  clock.jumpWall(-400 * DAY_MS)
  scene.far("a", "two")
  assert.deepEqual(await scene.seen("a"), ["two", "miss"])
})
