/** The cache of remote buckets: its limit, and what the eviction removes, and never removes. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { objectKeyOfText } from "@hayloft/base/ids.js"
import { KIB, MIB } from "@hayloft/base/limits.js"
import { SYSTEM_BUCKET } from "@hayloft/objects/index.js"
import { EVICTION_LIMITS } from "../eviction/index.js"
import { REMOTE_LIMITS } from "./limits.js"
import { bytesOf, fromTo, RemoteScene } from "./testing-remotes.js"

const BLOCK = REMOTE_LIMITS.blockBytes
const HOUR_MS = 3_600_000

/** Bytes of all objects of the cache. */
async function storedBytes(scene: RemoteScene): Promise<number> {
  const request = { bucket: SYSTEM_BUCKET, prefix: "remote/", delimiter: "", after: "", max: 1_000 }
  const { entries } = await scene.run(scene.world.services.objects.list(request))
  return entries.reduce((sum, entry) => sum + (entry.kind === "object" ? entry.object.sizeBytes : 0), 0)
}

/** Returns true if a read of the object takes no request. */
async function isCached(scene: RemoteScene, key: string): Promise<boolean> {
  scene.origin.took()
  scene.origin.isUnavailable = true
  const { outcome } = await scene.read(key).catch(() => ({ outcome: "miss" }))
  scene.origin.isUnavailable = false
  scene.origin.took()
  return outcome === "hit"
}

test("a full cache: reads go on, uncached, and nothing is written beyond the limit", async () => {
  const limit = 3 * MIB
  const scene = await RemoteScene.open({}, limit)
  const bodies = [1, 2, 3, 4, 5].map(i => bytesOf(MIB, i))
  for (const [i, body] of bodies.entries()) scene.far(`k${i}`, body)
  for (let round = 0; round < 2; round += 1)
    for (const [i, body] of bodies.entries()) assert.ok((await scene.read(`k${i}`)).bytes.equals(body))
  assert.ok((await storedBytes(scene)) <= limit)
  assert.ok(scene.remotes.cache().sizeBytes <= limit)
  const big = bytesOf(BLOCK + 5, 9)
  scene.far("big", big)
  assert.ok((await scene.read("big")).bytes.equals(big))
  assert.ok((await scene.read("big", { range: fromTo(BLOCK - 1, undefined) })).bytes.equals(big.subarray(BLOCK - 1)))
  await scene.write("written", bodies[0] ?? "")
  assert.ok((await scene.read("written")).bytes.equals(bodies[0] ?? Buffer.alloc(0)))
  assert.ok((await storedBytes(scene)) <= limit)
})

test("a write goes on in a cache that has no room at all", async () => {
  const scene = await RemoteScene.open({}, 0)
  await scene.write("a", "one")
  assert.deepEqual([scene.farText("a"), (await scene.read("a")).text], ["one", "one"])
  await scene.write("a", "two")
  assert.equal((await scene.read("a")).text, "two")
  await scene.remove("a")
  await scene.refuses(scene.read("a"), "noSuchKey")
})

test("a full cache: what a reader has compared, and found to be outdated, is not read again", async () => {
  const scene = await RemoteScene.open({}, 10 * EVICTION_LIMITS.chargedBytesMin)
  scene.far("a", "one")
  await scene.read("a")
  for (let i = 0; i < 8; i += 1) {
    scene.far(`k${i}`, "x")
    await scene.read(`k${i}`)
  }
  scene.far("a", "two!")
  assert.equal((await scene.read("a", { revalidates: true })).text, "two!")
  const head = await scene.read("a", { headersOnly: true })
  assert.equal(head.sizeBytes, 4)
  assert.equal((await scene.read("a")).text, "two!")
})

/** Caches objects of a MiB, k0, k1 and so on, one in each hour. */
async function cacheHourly(scene: RemoteScene, count: number): Promise<void> {
  for (let i = 0; i < count; i += 1) {
    scene.far(`k${i}`, bytesOf(MIB, i))
    await scene.read(`k${i}`)
    await scene.advance(HOUR_MS)
  }
}

test("the eviction removes what was not used for the longest time, until a tenth is free", async () => {
  const scene = await RemoteScene.open({}, 10 * MIB)
  await cacheHourly(scene, 9)
  // The first ones are used again.
  for (const key of ["k0", "k1"]) await scene.read(key)
  await scene.settle()
  scene.far("more", bytesOf(MIB - 200_000, 9))
  await scene.read("more")
  await scene.sweep()
  assert.ok(scene.remotes.cache().sizeBytes <= 9 * MIB)
  assert.ok(scene.remotes.cache().evictedBytes >= MIB)
  const cached: string[] = []
  for (let i = 0; i < 9; i += 1) if (await isCached(scene, `k${i}`)) cached.push(`k${i}`)
  assert.deepEqual([cached.includes("k0"), cached.includes("k1"), cached.includes("k2")], [true, true, false])
  assert.deepEqual([cached.includes("k8"), await isCached(scene, "more")], [true, true])
})

test("uses are noted no more often than once a minute", async () => {
  const scene = await RemoteScene.open()
  scene.far("a", "one")
  await scene.read("a")
  const commands: string[] = []
  scene.world.tablet.before = name => void commands.push(name)
  await scene.advance(REMOTE_LIMITS.touchEveryMs - 1)
  await scene.read("a")
  await scene.settle()
  assert.deepEqual(commands, [])
  await scene.advance(1)
  await scene.read("a")
  await scene.settle()
  assert.equal(commands.length, 2, "entry and block")
  await scene.read("a")
  await scene.settle()
  assert.equal(commands.length, 2)
})

test("the eviction never removes pending writes, nor what says that an object changes", async () => {
  const scene = await RemoteScene.open({ writes: "Back" }, 0)
  const bytes = bytesOf(MIB, 1)
  await scene.write("a", bytes)
  await scene.advance(2 * HOUR_MS)
  await scene.sweep()
  assert.ok((await scene.read("a")).bytes.equals(bytes))
  await scene.round()
  assert.ok((await scene.read("a")).bytes.equals(bytes))
  const before = await storedBytes(scene)
  assert.ok(before > 0, "the entry says so")
  await scene.sweep()
  assert.equal(await storedBytes(scene), before)
  await scene.advance(REMOTE_LIMITS.changingKeptMs + 1)
  await scene.sweep()
  assert.equal(await storedBytes(scene), 0)
})

test("what is cached for a remote that the bucket does not have any more goes first, all of it", async () => {
  const scene = await RemoteScene.open()
  scene.far("a", bytesOf(MIB, 1))
  await scene.read("a")
  await scene.change({ bucket: "others" })
  scene.far("a", "other")
  assert.deepEqual(await scene.seen("a"), ["other", "miss"])
  await scene.sweep()
  assert.ok((await storedBytes(scene)) < 1_000)
  assert.deepEqual(await scene.seen("a"), ["other", "hit"])
  const { buckets } = scene.world.services
  await scene.run(buckets.setSetting(scene.bucket, "remote", undefined))
  await scene.sweep()
  assert.deepEqual([await storedBytes(scene), scene.remotes.cache().sizeBytes], [0, 0])
})

test("a cached object of which blocks, or the entry, are gone is fetched again", async () => {
  const scene = await RemoteScene.open()
  const bytes = bytesOf(2 * BLOCK, 1)
  scene.far("a", bytes)
  for (const kind of ["b/", "e/"]) {
    await scene.read("a")
    const request = { bucket: SYSTEM_BUCKET, prefix: `remote/${kind}`, delimiter: "", after: "", max: 1_000 }
    const { objects } = scene.world.services
    const { entries } = await scene.run(objects.list(request))
    for (const entry of entries)
      if (entry.kind === "object")
        await scene.run(objects.remove({ bucket: SYSTEM_BUCKET, key: entry.object.key, conditions: {} }))
    assert.ok((await scene.read("a")).bytes.equals(bytes))
    assert.ok((await scene.read("a")).bytes.equals(bytes))
  }
})

test("dropping one object leaves the others; what is counted is what is there", async () => {
  const scene = await RemoteScene.open()
  for (const key of ["a", "ab", "b"]) {
    scene.far(key, key)
    await scene.read(key)
  }
  await scene.evict("a")
  await scene.evict("nothing")
  assert.deepEqual(
    [await isCached(scene, "a"), await isCached(scene, "ab"), await isCached(scene, "b")],
    [false, true, true],
  )
  const counted = scene.remotes.cache().sizeBytes
  await scene.sweep()
  assert.equal(scene.remotes.cache().sizeBytes, counted)
})

test("an entry of more than the least charge is counted the same when it is dropped", async () => {
  const scene = await RemoteScene.open()
  const userMetadata = [["m", "x".repeat(5_000)]] as const
  scene.origin.set(objectKeyOfText("a"), Buffer.from("one"), { userMetadata })
  await scene.read("a")
  await scene.evict("a")
  assert.equal(scene.remotes.cache().sizeBytes, EVICTION_LIMITS.chargedBytesMin, "what says that it may change")
})

for (const limit of [4 * MIB, 12 * MIB])
  test(`the service makes room once a cache of ${limit} bytes is full`, async () => {
    const scene = await RemoteScene.open({}, limit)
    const stop = new AbortController()
    const running = scene.remotes.services.map(service => service.run(stop.signal))
    await scene.advance(EVICTION_LIMITS.firstSweepMs)
    for (let i = 0; i < 24; i += 1) {
      scene.far(`k${i}`, bytesOf(MIB, i))
      await scene.read(`k${i}`)
      await scene.advance(10_000)
    }
    await scene.read("k23")
    await scene.settle()
    assert.ok(await isCached(scene, "k23"))
    assert.ok((await storedBytes(scene)) <= limit)
    stop.abort()
    await scene.run(Promise.all(running))
  })

test("while a disk is full the cache gives way, caches no more than that, and grows again later", async () => {
  const scene = await RemoteScene.open({}, 100 * MIB)
  await cacheHourly(scene, 10)
  await scene.settle()
  scene.isStoreFull = true
  await scene.sweep()
  assert.ok(scene.remotes.cache().sizeBytes <= 9 * MIB)
  assert.deepEqual([await isCached(scene, "k0"), await isCached(scene, "k9")], [false, true])
  for (const key of ["k0", "k1", "k2"]) await scene.read(key)
  await scene.settle()
  assert.ok(scene.remotes.cache().sizeBytes <= 10 * MIB, "nothing more than the limit")
  for (let i = 0; i < 30; i += 1) await scene.sweep()
  assert.ok(scene.remotes.cache().sizeBytes < 100 * KIB)
  scene.isStoreFull = false
  for (let i = 0; i < 10; i += 1) {
    await scene.sweep()
    await scene.read(`k${i}`)
  }
  assert.ok(scene.remotes.cache().sizeBytes < 100 * KIB, "readers that wake sweeps do not raise the limit")
  await scene.advance(REMOTE_LIMITS.sweepEveryMs)
  await scene.sweep()
  for (let i = 0; i < 10; i += 1) await scene.read(`k${i}`)
  await scene.settle()
  assert.ok((await isCached(scene, "k0")) && scene.remotes.cache().sizeBytes < 10 * MIB)
})
