/**
 * Remote buckets of a store whose disks have no space even for rows, of one that cannot read what it has cached, and of one whose fetches
 * are all busy.
 */
import assert from "node:assert/strict"
import { test } from "node:test"
import { fail } from "@hayloft/base/failures.js"
import { MIB } from "@hayloft/base/limits.js"
import { SYSTEM_BUCKET } from "@hayloft/objects/index.js"
import { REMOTE_LIMITS } from "./limits.js"
import { bytesOf, ended, fromTo, RemoteScene } from "./testing-remotes.js"

const BLOCK = 2 * MIB

async function removeBlocks(scene: RemoteScene): Promise<void> {
  const { objects } = scene.world.services
  const request = { bucket: SYSTEM_BUCKET, prefix: "remote/b/", delimiter: "", after: "", max: 1_000 }
  const { entries } = await scene.run(objects.list(request))
  for (const entry of entries)
    if (entry.kind === "object")
      await scene.run(objects.remove({ bucket: SYSTEM_BUCKET, key: entry.object.key, conditions: {} }))
}

test("without space for rows, pending writes and deletions reach the remote, and so leave the disks", async () => {
  const scene = await RemoteScene.open({ writes: "Back" })
  scene.far("gone", "old")
  await scene.write("a", "one")
  await scene.remove("gone")
  scene.world.tablet.isFull = true
  scene.restart()
  await scene.round()
  assert.deepEqual([scene.farText("a"), scene.farText("gone")], ["one", undefined])
  assert.deepEqual([await scene.pending(), await scene.versions()], [[], 0])
  assert.deepEqual(await scene.seen("a"), ["one", "miss"])
})

test("without space for rows, an object is deleted in the remote", async () => {
  const scene = await RemoteScene.open()
  scene.far("a", "one")
  await scene.read("a")
  scene.world.tablet.isFull = true
  await scene.remove("a")
  assert.equal(scene.farText("a"), undefined)
  await scene.refuses(scene.read("a"), "noSuchKey")
})

test("without space for rows, an object that the remote has replaced or removed is read as it is there", async () => {
  const scene = await RemoteScene.open({}, undefined, BLOCK)
  const [before, now] = [bytesOf(2 * BLOCK, 1), bytesOf(2 * BLOCK, 2)]
  for (const key of ["a", "b", "c"]) {
    scene.far(key, before)
    await scene.read(key)
  }
  await removeBlocks(scene)
  await scene.read("c")
  scene.world.tablet.isFull = true
  scene.far("a", now)
  scene.farRemove("b")
  scene.far("c", now)
  assert.ok((await scene.read("a")).bytes.equals(now))
  await scene.refuses(scene.read("b"), "noSuchKey")
  assert.ok((await scene.read("c")).bytes.equals(before), "it is cached whole")
  await scene.evict("c")
  assert.ok((await scene.read("c")).bytes.equals(now))
})

test("an outdated object is read from the remote while no metadata can be changed at all", async () => {
  const scene = await RemoteScene.open({}, undefined, BLOCK)
  const [before, now] = [bytesOf(2 * BLOCK, 1), bytesOf(2 * BLOCK, 2)]
  for (const key of ["a", "b"]) {
    scene.far(key, before)
    await scene.read(key)
  }
  await removeBlocks(scene)
  scene.world.tablet.before = () => {
    throw fail("deviceFull")
  }
  scene.far("a", now)
  scene.farRemove("b")
  for (const revalidates of [false, true]) {
    assert.ok((await scene.read("a", { revalidates })).bytes.equals(now))
    await scene.refuses(scene.read("b", { revalidates }), "noSuchKey")
  }
})

test("a cached block that is damaged here is read from the remote, and cached again", async () => {
  const scene = await RemoteScene.open({}, undefined, BLOCK)
  const bytes = bytesOf(2 * BLOCK + 5, 1)
  scene.far("a", bytes)
  await scene.read("a")
  for (const readsUntilDamage of [0, 1, 2, 3]) {
    let reads = 0
    scene.world.devices.meddle = what => {
      if (what === "read" && (reads += 1) > readsUntilDamage) throw fail("corruptNeedle")
    }
    assert.ok((await scene.read("a")).bytes.equals(bytes), `after ${readsUntilDamage} reads`)
    scene.world.devices.meddle = () => undefined
    await scene.read("a")
    scene.origin.took()
    assert.ok((await scene.read("a")).bytes.equals(bytes))
    assert.deepEqual(scene.origin.took(), [], "it is cached whole")
    assert.equal(scene.remotes.cache().sizeBytes, await counted(scene))
  }
})

/** The size of the cache once it was counted. */
async function counted(scene: RemoteScene): Promise<number> {
  await scene.sweep()
  return scene.remotes.cache().sizeBytes
}

test("an object whose entry is damaged here is read from the remote", async () => {
  const scene = await RemoteScene.open()
  scene.origin.set(scene.keyOf("a"), Buffer.from("one"), { userMetadata: [["m", "x".repeat(5_000)]] })
  await scene.read("a")
  scene.world.devices.meddle = what => {
    if (what === "read") throw fail("corruptNeedle")
  }
  assert.equal((await scene.read("a")).text, "one")
  await scene.write("a", "two")
  assert.equal((await scene.read("a")).text, "two")
})

test("a read that gets no place among slow fetches is answered from the remote, uncached", async () => {
  const scene = await RemoteScene.open({}, undefined, BLOCK)
  const bytes = bytesOf(2 * BLOCK, 1)
  scene.far("known", bytes)
  await scene.read("known", { range: fromTo(0, 5) })
  const slow = Array.from({ length: REMOTE_LIMITS.fetchesOfRemoteMax }, (_, i) => {
    scene.far(`slow${i}`, "x")
    const gate = scene.origin.hold("get", "before")
    return { gate, reading: ended(scene.reading(`slow${i}`)) }
  })
  await scene.settle()
  scene.far("a", "one")
  const crowded = [scene.reading("a"), scene.reading("known", { range: fromTo(BLOCK, BLOCK + 9) })]
  await scene.advance(REMOTE_LIMITS.fetchWaitMs)
  const [a, known] = await scene.run(Promise.all(crowded))
  assert.equal(a?.text, "one")
  assert.ok(known?.bytes.equals(bytes.subarray(BLOCK, BLOCK + 10)))
  for (const { gate } of slow) gate.open()
  for (const { reading } of slow) assert.ok("value" in (await scene.run(reading)))
  assert.deepEqual(await scene.seen("a"), ["one", "miss"])
  assert.deepEqual(await scene.seen("a"), ["one", "hit"])
})
