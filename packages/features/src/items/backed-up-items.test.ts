/** K2V items that a rolled-back database has lost come back from a backup of the metadata, merged with what it has. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { parseBucketName, parseItemKey, parseLogSequence, parseStoreId, parseTabletId } from "@hayloft/base/ids.js"
import { KIB, MIB } from "@hayloft/base/limits.js"
import { parsePolicy } from "@hayloft/base/policy.js"
import { TestDevices } from "@hayloft/engine/block/testing-blocks.js"
import { Rows } from "@hayloft/engine/device/index.js"
import { makeCodec } from "@hayloft/engine/erasure/index.js"
import type { CausalContext } from "@hayloft/engine/format/k2v/k2v-token.js"
import { Queues } from "../queues/index.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { MemoryStores } from "@hayloft/base/seams/store/testing-memory.js"
import { plainIngest } from "@hayloft/upkeep/backup/testing-ingest.js"
import { MetadataBackup } from "@hayloft/upkeep/backup/metadata-backup.js"
import { StoreWorld } from "@hayloft/upkeep/testing-services.js"
import { Uploads } from "@hayloft/objects/bodies/uploads.js"

const makeRows = async () => new Rows(await new MemoryStores().openReader("base"), parseLogSequence(0))
const noSignal = new AbortController().signal
const unchecked = () => Promise.resolve()
const storeId = parseStoreId("ab".repeat(16))
const key = parseItemKey
const NOTHING: CausalContext = new Map()
const NO_ATTRIBUTES = { attributes: [], trace: undefined }

async function opened() {
  const world = await StoreWorld.open(new TestDevices(makeRows), makeCodec, parsePolicy("ec:2+1"))
  const { clock, tablet, blocks, telemetry } = world
  const { items, buckets } = world.services
  const bucket = await clock.runUntil(Promise.resolve(buckets.open(world.home.name)))
  const put = (sortKey: string, text: string | undefined, seen = NOTHING) => {
    const bytes = text === undefined ? undefined : Buffer.from(text)
    return clock.runUntil(items.write(bucket, [{ partition: key("p"), sortKey: key(sortKey), seen, bytes }]))
  }
  const seenOf = async (sortKey: string): Promise<CausalContext> =>
    (await clock.runUntil(items.read(bucket, key("p"), key(sortKey))))?.context ?? NOTHING
  const shown = async () => {
    const filter = { conflictsOnly: false, tombstones: true }
    const { found } = await clock.runUntil(items.search(bucket, key("p"), {}, filter))
    return found.map(({ sortKey, values }) => {
      const texts = values.map(value => (value === undefined ? null : Buffer.from(value).toString().slice(0, 9)))
      return `${sortKey}: ${texts.join()}`
    })
  }
  const uploads = new Uploads(new SimRandom(77), tablet, blocks, telemetry.log)
  const { backend, ingest } = plainIngest(world, uploads)
  /** A backup of the metadata, by the process that has begun with the store. `isWhole`: it does not end after a chunk. */
  const backUp = async (isWhole = true): Promise<void> => {
    const backup = new MetadataBackup(backend, new SimRandom(5), ingest, undefined, {
      storeId,
      tabletId: parseTabletId(1),
    })
    const order = backup.order()
    const isOver = () => (isWhole ? backup.isComplete(order) : backup.progress().includes("1 chunks so far"))
    while (!isOver()) await clock.runUntil(backup.step())
  }
  const reconcile = async () => {
    const reconciliation = world.reconciliation(tablet, { storeId })
    const scope = { isSuspect: () => true, isAllRead: true, blockBytes: 16 * KIB }
    const plan = await clock.runUntil(reconciliation.plan(scope, noSignal))
    const before = await shown()
    return { plan, before, apply: () => clock.runUntil(reconciliation.apply(plan, unchecked, noSignal)) }
  }
  return { world, bucket, put, seenOf, shown, backUp, reconcile }
}

test("items come back as the newest backup has them; what the database knows stays, and nothing is there twice", async () => {
  const { world, put, seenOf, shown, backUp, reconcile } = await opened()
  await put("same", "as before")
  await put("replaced", "old")
  await put("deleted", "here")
  await put("concurrent", "one")
  const rows = world.tablet.copy()
  await put("replaced", "new".repeat(5 * KIB), await seenOf("replaced"))
  await put("deleted", undefined, await seenOf("deleted"))
  await put("concurrent", "two")
  await put("added", "a")
  await backUp()
  const backedUp = await shown()
  await put("later", "lost")
  world.tablet.become(rows)
  const { plan, before, apply } = await reconcile()
  assert.deepEqual(before, ["concurrent: one", "deleted: here", "replaced: old", "same: as before"])
  const told = plan.entries.map(entry =>
    "items" in entry ? `${entry.outcome} ${entry.key} ${entry.items}` : entry.key,
  )
  assert.deepEqual(told, ["putBack p 4"])
  await apply()
  assert.deepEqual(await shown(), backedUp)
  assert.deepEqual((await reconcile()).plan.entries, [], "a second time there is nothing to do")
})

test("the newest of several backups counts, and an item that was deleted does not come back by an older one", async () => {
  const { world, put, seenOf, shown, backUp, reconcile } = await opened()
  await put("a", "first")
  const rows = world.tablet.copy()
  await put("b", "in the first backup")
  await backUp()
  await put("a", undefined, await seenOf("a"))
  await put("b", undefined, await seenOf("b"))
  await backUp()
  world.tablet.become(rows)
  const { apply } = await reconcile()
  await apply()
  assert.deepEqual(await shown(), ["a: ", "b: "])
  // A token of a value that was lost covers it, and no value from now on.
  await put("a", "again", await seenOf("a"))
  assert.deepEqual(await shown(), ["a: again", "b: "])
})

test("a backup that was interrupted adds what it has to the whole one before it", async () => {
  const { world, put, shown, backUp, reconcile } = await opened()
  await put("a", "known")
  const rows = world.tablet.copy()
  await put("z", "in the whole backup")
  await backUp()
  await put("b", "in the next one")
  // More than a chunk.
  for (const name of ["d", "e", "f", "g", "h"]) await put(name, name.repeat(MIB))
  await backUp(false)
  world.tablet.become(rows)
  const { apply } = await reconcile()
  await apply()
  const names = (await shown()).map(text => text.slice(0, 1))
  assert.deepEqual([names.slice(0, 2), names.at(-1)], [["a", "b"], "z"])
  assert.ok(!names.includes("h"), "the interrupted one had more to write")
})

test("a bucket that is removed after the plan is listed, and the others get their items", async () => {
  const { world, put, shown, backUp, reconcile } = await opened()
  const { buckets, items } = world.services
  const { clock } = world
  const other = await clock.runUntil(
    buckets.create({ name: parseBucketName("another"), owner: world.home.owner, location: "" }),
  )
  const rows = world.tablet.copy()
  const value = { partition: key("q"), sortKey: key("x"), seen: NOTHING, bytes: Buffer.from("1") }
  await clock.runUntil(items.write(other, [value]))
  await put("a", "1")
  await backUp()
  world.tablet.become(rows)
  const { plan, apply } = await reconcile()
  assert.deepEqual(plan.entries.map(({ outcome, key: of }) => `${outcome} ${of}`).sort(), ["putBack p", "putBack q"])
  await clock.runUntil(buckets.remove(other))
  const told = (await apply()).map(({ outcome, key: of }) => `${outcome} ${of}`)
  assert.deepEqual(told.sort(), ["listed q", "putBack p"])
  assert.deepEqual(await shown(), ["a: 1"])
})

test("messages of queues come back from the newest backup; those that are delivered at most once go", async () => {
  const { world, backUp, reconcile } = await opened()
  const { clock, tablet: metadata } = world
  const seams = { clock, random: new SimRandom(3), metadata, prepare: async () => undefined }
  const { storeClock } = world.services
  const queues = new Queues({ ...seams, storeClock, isShared: true, node: "0123abcd" })
  const name = { account: world.home.owner, name: "q" }
  const add = (body: string, retrySeconds: number) =>
    queues.add(name, [{ content: { body: Buffer.from(body), ...NO_ATTRIBUTES }, sender: "arn", retrySeconds }], {
      copiesNow: 1,
    })
  await queues.create(name)
  await add("known", 9)
  await add("known, once", 0)
  const rows = world.tablet.copy()
  await add("added later", 9)
  await add("x".repeat(3_000), 9)
  await add("added later, once", 0)
  await backUp()
  await add("after the backup", 9)
  world.tablet.become(rows)
  const { apply } = await reconcile()
  await apply()
  const found = await queues.receive({ account: world.home.owner, queues: ["q"], count: 100 })
  const bodies = (found ?? []).map(({ content }) => Buffer.from(content.body).toString().slice(0, 20))
  assert.deepEqual(bodies.toSorted(), ["added later", "known", "x".repeat(20)])
})

test("a bucket that the database does not know is listed", async () => {
  const { world, put, backUp, reconcile } = await opened()
  const rows = world.tablet.copy()
  const { buckets, items } = world.services
  const other = await world.clock.runUntil(
    buckets.create({ name: parseBucketName("another"), owner: world.home.owner, location: "" }),
  )
  const value = { partition: key("q"), sortKey: key("x"), seen: NOTHING, bytes: Buffer.from("1") }
  await world.clock.runUntil(items.write(other, [value]))
  await put("a", "1")
  await backUp()
  world.tablet.become(rows)
  const { plan, apply } = await reconcile()
  const told = plan.entries.map(({ outcome, key: of }) => `${outcome} ${of}`).sort()
  assert.deepEqual(told, ["listed q", "putBack p"])
  await apply()
})
