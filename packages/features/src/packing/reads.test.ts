/** The cost of a GET: one read of one device, packed or not; a packed object is rebuilt as any other. */
import { PACKING_SERVICE } from "./services.js"
import assert from "node:assert/strict"
import { test } from "node:test"
import { KIB, MIB } from "@hayloft/base/limits.js"
import { settle } from "../dedup/testing-dedup.js"
import { assertBodies, bodyIn, keyOf, observing, opened, packsIn, pass, put, putMany } from "./testing-packing.js"

/** Counts reads of files of all devices. */
class CountedReads {
  reads: string[] = []

  readonly behind = observing((call, path) => {
    if (call === "read") this.reads.push(path)
  })

  async during(work: () => Promise<unknown>): Promise<readonly string[]> {
    this.reads.length = 0
    await work()
    return [...this.reads]
  }
}

test("a GET of a packed object of 4 KiB reads one device once, where one with shards of its own is read from each data shard", async () => {
  const counted = new CountedReads()
  const scene = await opened("ec:4+2", undefined, { behind: counted.behind, blockBytes: MIB })
  const sizes = (i: number): number => (i < 100 ? 4 * KIB : 1 + ((i * 977) % (16 * KIB)))
  const bodies = await putMany(scene, 200, sizes)
  await put(scene, "plain", scene.world.random.bytes(4 * KIB + 1))
  // Its bytes are spread over the data shards of its own block.
  assert.equal((await counted.during(() => scene.world.get("plain"))).length, 4)
  const { clock, services } = scene.world
  await clock.runUntil(PACKING_SERVICE.of(services.core).set(scene.bucket, { afterSeconds: 0, maxBytes: 16 * KIB }))
  await pass(scene)
  assert.ok(packsIn(scene).length > 0)
  const { packedObjects } = await clock.runUntil(PACKING_SERVICE.of(services.core).stat(scene.bucket))
  assert.equal(packedObjects, 201)
  for (let i = 0; i < 200; i += 7) {
    const reads = await counted.during(() => scene.world.get(keyOf(i)))
    assert.equal(reads.length, 1, `${keyOf(i)}: ${reads.join()}`)
  }
  await assertBodies(scene, bodies)
})

test("packed objects are read while devices are away, and are repaired on a new one", async () => {
  const scene = await opened("ec:4+2", undefined, { devices: 7, blockBytes: MIB })
  const { clock, services } = scene.world
  const bodies = await putMany(scene, 80, i => 200 + ((i * 331) % 9_000))
  await clock.runUntil(PACKING_SERVICE.of(services.core).set(scene.bucket, { afterSeconds: 0, maxBytes: 65_536 }))
  await pass(scene)
  await settle(scene)
  const [one, other] = [...scene.world.devices.live.keys()]
  assert.ok(one !== undefined && other !== undefined)
  scene.world.takeOffline(one)
  scene.world.takeOffline(other)
  await assertBodies(scene, bodies)
  scene.world.bringBack(other)
  await scene.world.replace(one, 9)
  await scene.world.settle()
  for (const id of [...scene.world.devices.live.keys()].slice(0, 2)) scene.world.takeOffline(id)
  assert.ok((await scene.world.get(keyOf(3))).equals(bodyIn(bodies, 3)))
  await assertBodies(scene, bodies)
})
