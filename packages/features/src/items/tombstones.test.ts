/** Collection of tombstones: what goes and when, that counts stay exact, and what tokens and markers of before still do. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { isFailure } from "@hayloft/base/failures.js"
import { bucketRowKey, suffixRange } from "@hayloft/engine/format/row-key.js"
import type { CausalContext } from "@hayloft/engine/format/k2v/k2v-token.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { SimTelemetry } from "@hayloft/base/seams/telemetry/sim.js"
import { ITEM_LIMITS } from "./limits.js"
import { key, NOTHING, opened, PK, textsOf } from "./testing-items.js"
import { TombstoneJob } from "./tombstone-job.js"
import "@hayloft/objects/testing-features.js"

type World = Awaited<ReturnType<typeof opened>>

const LATER_MS = 1_700_000_000_000 + 1_000_000 + ITEM_LIMITS.tombstonesKeptMs

/** A job by the store's clock, and the wall clock. */
function jobAt({ clock, metadata }: World, nowMs: number, wallMs = nowMs, isDoubtful = false): TombstoneJob {
  const times = { monotonicMs: () => clock.monotonicMs(), wallMs: () => wallMs }
  const storeClock = { nowMs: () => nowMs, isDoubtful }
  return new TombstoneJob({ clock: times, storeClock, metadata, log: new SimTelemetry().log })
}

async function pass(job: TombstoneJob): Promise<void> {
  while ((await job.step()) === "busy");
}

const collect = (world: World, nowMs = LATER_MS): Promise<void> => pass(jobAt(world, nowMs))

const rowsOf = ({ metadata, bucket }: World, family: "k2vItems" | "k2vChanges"): number =>
  [...metadata.committed.range(family, suffixRange(bucketRowKey(bucket.id)))].length

const now = async ({ read }: World, name: string) => textsOf((await read(name)) ?? { values: [] })

async function remove({ put, read }: World, name: string): Promise<CausalContext> {
  const context = (await read(name))?.context ?? NOTHING
  await put(name, undefined, context)
  return (await read(name))?.context ?? NOTHING
}

test("an item goes with its last tombstone once that is old, and not before; what has a value stays", async () => {
  const world = await opened()
  await world.put("deleted", "x")
  await world.put("kept", "x")
  await world.put("both", "x")
  await world.put("both", undefined)
  const deleted = await remove(world, "deleted")
  const deletedMs = Math.max(...deleted.values())
  await collect(world, deletedMs + ITEM_LIMITS.tombstonesKeptMs - 1)
  assert.deepEqual(await now(world, "deleted"), [null])
  await collect(world, deletedMs + ITEM_LIMITS.tombstonesKeptMs)
  assert.equal(await world.read("deleted"), undefined)
  assert.deepEqual(await now(world, "both"), ["x", null])
  assert.deepEqual([rowsOf(world, "k2vItems"), rowsOf(world, "k2vChanges")], [2, 2])
  const { found } = await world.items.partitions(world.bucket, {})
  assert.deepEqual(found, [{ partition: PK, entries: 2, conflicts: 1, values: 2, bytes: 2 }])
})

test("nothing goes before its time by both clocks, nor by a clock that is not known or is doubtful", async () => {
  const world = await opened()
  await remove(world, "a")
  for (const job of [
    jobAt(world, LATER_MS, 1),
    jobAt(world, 1, LATER_MS),
    jobAt(world, 0, LATER_MS),
    jobAt(world, LATER_MS, LATER_MS, true),
  ]) {
    await pass(job)
    assert.equal(rowsOf(world, "k2vItems"), 1)
  }
  await collect(world)
  assert.equal(rowsOf(world, "k2vItems"), 0)
})

test("a pass begins a day after the last one", async () => {
  const world = await opened()
  const job = jobAt(world, LATER_MS)
  await pass(job)
  await remove(world, "a")
  await world.clock.advance(ITEM_LIMITS.tombstonesEveryMs - 1)
  await pass(job)
  assert.equal(rowsOf(world, "k2vItems"), 1)
  await world.clock.advance(1)
  await pass(job)
  assert.equal(rowsOf(world, "k2vItems"), 0)
})

test("a partition of tombstones alone is empty afterwards, however many they were, and its bucket can go", async () => {
  const world = await opened()
  const values = Array.from({ length: 2_500 }, (_, i) => ({
    partition: PK,
    sortKey: key(`k${i}`),
    seen: NOTHING,
    bytes: undefined,
  }))
  await world.items.write(world.bucket, values)
  await collect(world)
  assert.deepEqual([rowsOf(world, "k2vItems"), rowsOf(world, "k2vChanges")], [0, 0])
  assert.deepEqual((await world.items.partitions(world.bucket, {})).found, [])
  await world.buckets.remove(world.bucket)
})

test("an old token covers nothing that is written after the collection, and brings nothing back", async () => {
  const world = await opened()
  const { put, read, metadata } = world
  await put("a", "one")
  const seen = (await read("a"))?.context ?? NOTHING
  await put("a", "two")
  const all = await remove(world, "a")
  await collect(world)
  // The clock of the next process is far behind.
  metadata.aheadMs = -1_000_000_000
  for (const [token, text] of [
    [all, "three"],
    [seen, "four"],
  ] as const)
    await put("a", text, token)
  assert.deepEqual(await now(world, "a"), ["three", "four"])
  await put("a", "five", all)
  assert.deepEqual(await now(world, "a"), ["three", "four", "five"])
  await put("a", "six", (await read("a"))?.context)
  assert.deepEqual(await now(world, "a"), ["six"])
})

test("who has seen the item is told of its deletion once, and then waits; who has seen that waits at once", async () => {
  const world = await opened()
  const { bucket, items, put, read } = world
  await put("a", "one")
  const seen = (await read("a"))?.context ?? NOTHING
  const all = await remove(world, "a")
  await collect(world)
  const told = await items.read(bucket, PK, key("a"), seen)
  assert.deepEqual(told && textsOf(told), [null])
  assert.equal(await items.read(bucket, PK, key("a"), told?.context), undefined)
  assert.equal(await items.read(bucket, PK, key("a"), all), undefined)
  assert.equal(await read("a"), undefined, "without a token there is no such item")
  await put("a", "again")
  for (const token of [seen, all, told?.context]) {
    const found = await items.read(bucket, PK, key("a"), token)
    assert.deepEqual(found && textsOf(found), ["again"])
  }
})

test("a marker from before a deletion that was collected is refused; a later one misses nothing", async () => {
  const world = await opened()
  const { bucket, items, put } = world
  await put("a", "one")
  await put("b", "one")
  const before = await items.changes(bucket, PK, {}, undefined)
  await remove(world, "a")
  const after = await items.changes(bucket, PK, {}, before.seen)
  assert.deepEqual(after.found.map(textsOf), [[null]])
  await collect(world)
  const isTooOld = (error: unknown) => isFailure(error, "invalidArgument") && error.message.includes("too old")
  await assert.rejects(items.changes(bucket, PK, {}, before.seen), isTooOld)
  await assert.rejects(items.changes(bucket, PK, {}, { ...before.seen, from: key("a") }), isTooOld)
  await put("b", "two")
  const next = await items.changes(bucket, PK, {}, after.seen)
  assert.deepEqual(next.found.map(textsOf), [["one", "two"]])
})

test("an item that is written while the pass is about to remove it stays", async () => {
  const world = await opened()
  await world.put("a", "one")
  await remove(world, "a")
  world.metadata.before = async name => {
    if (name !== "CollectTombstones") return
    world.metadata.before = () => undefined
    await world.put("a", "back")
  }
  await collect(world)
  assert.deepEqual(await now(world, "a"), [null, "back"])
})

for (const seed of [1, 2, 3]) {
  test(`with collections at any moment, a value goes only if a token has seen it (${seed})`, async () => {
    const world = await opened()
    const random = new SimRandom(seed)
    const clients = [0, 1, 2].map(() => ({ token: NOTHING, seen: new Set<string>() }))
    let present = new Set<string>()
    for (let step = 0; step < 300; step += 1) {
      const client = clients[random.below(3)]
      if (client === undefined) continue
      const chosen = random.below(10)
      if (chosen < 4) {
        const item = await world.read("a")
        // A client that finds nothing keeps its token.
        if (item !== undefined) client.token = item.context
        if (item !== undefined) client.seen = new Set([...client.seen, ...present])
      } else if (chosen < 8) {
        const text = chosen === 4 ? `v${step}` : undefined
        await world.put("a", text, client.token)
        present = new Set([...[...present].filter(one => !client.seen.has(one)), ...(text === undefined ? [] : [text])])
      } else await collect(world)
      assert.deepEqual(new Set((await now(world, "a")).filter(text => text !== null)), present)
      const { found } = await world.items.partitions(world.bucket, {})
      assert.equal(found[0]?.values ?? 0, present.size)
    }
  })
}
