/** Usage history over virtual time: what is noted, how often buckets are read, and what two processes do. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { must } from "@hayloft/base/assert.js"
import { fail } from "@hayloft/base/failures.js"
import { objectKeyOfText, parseAccountId, parseBucketName } from "@hayloft/base/ids.js"
import { accountNumberOf } from "@hayloft/engine/format/accounts/account-number.js"
import { encodeAccount } from "@hayloft/engine/format/records.js"
import { textRowKey } from "@hayloft/engine/format/row-key.js"
import { MemoryMetadata } from "@hayloft/engine/metadata/testing-engine.js"
import { SimClock } from "@hayloft/base/seams/clock/sim.js"
import { bucketNamed } from "@hayloft/objects/buckets/bucket-service.js"
import { closeBucket, createBucket, dropBucket } from "@hayloft/objects/commands/bucket-commands-core.js"
import { putOf, randomOf } from "@hayloft/objects/commands/testing-bucket.js"
import { putVersion, removeLatest } from "@hayloft/objects/commands/version-commands-core.js"
import { HOUR_MS, noteUsage } from "./usage-history-core.js"
import { UsageHistory } from "./usage-history.js"
import "@hayloft/objects/testing-features.js"

const OWNER = parseAccountId("owner")
const BEGIN_MS = Date.UTC(2026, 0, 1, 10, 20)

async function world(...names: readonly string[]) {
  const metadata = new MemoryMetadata()
  const clock = new SimClock(BEGIN_MS)
  const account = { id: OWNER, displayName: "Owner", email: "", createdMs: 1, number: accountNumberOf(OWNER) }
  metadata.plant("accounts", textRowKey(OWNER), encodeAccount(account))
  for (const name of names)
    await metadata.run(createBucket({ name: parseBucketName(name), owner: OWNER, location: "" }))
  const asked: string[] = []
  const ran: string[] = []
  metadata.before = name => void ran.push(name)
  const counted = {
    ask: <Result>(query: Parameters<typeof metadata.ask<Result>>[0]) => {
      asked.push(query.name)
      return metadata.ask(query)
    },
    run: metadata.run.bind(metadata),
  }
  const process = () => new UsageHistory(clock, counted, async () => undefined, clock.dueTimeMs)
  const idOf = async (name: string) => must(await metadata.ask(bucketNamed(parseBucketName(name))), "a bucket").id
  return { metadata, clock, process, idOf, asked, ran }
}
type World = Awaited<ReturnType<typeof world>>

let puts = 0
/** Adds an object; returns how to remove it. */
async function put({ metadata, idOf }: World, name: string): Promise<() => Promise<unknown>> {
  puts += 1
  const [bucketId, key, random] = [await idOf(name), objectKeyOfText(`key ${puts}`), randomOf(puts & 0xff)]
  await metadata.run(putVersion({ ...putOf({ bucketId }, puts, { random }), key }))
  return () => metadata.run(removeLatest({ bucketId, key, random: randomOf(0xee), conditions: {} }))
}

async function settle(history: UsageHistory): Promise<void> {
  while ((await history.step()) === "busy");
}

const shown = async ({ idOf }: World, history: UsageHistory, name: string) =>
  (await history.of(await idOf(name))).map(({ atMs, objects }) => [(atMs - BEGIN_MS) / HOUR_MS, objects])

test("each hour notes the buckets that have changed, and reads them once", async () => {
  const it = await world("busy", "still")
  const history = it.process()
  await put(it, "still")
  for (let hour = 0; hour < 4; hour += 1) {
    if (hour !== 2) await put(it, "busy")
    for (let minute = 0; minute < 60; minute += 1) {
      await settle(history)
      await it.clock.advance(60_000)
    }
  }
  assert.deepEqual(await shown(it, history, "still"), [[0, 1]])
  const busy = await shown(it, history, "busy")
  assert.deepEqual(
    busy.map(([, objects]) => objects),
    [1, 2, 3],
  )
  assert.equal(it.asked.filter(name => name === "SizesOfBuckets").length, 5, "the first hour is not a whole one")
  assert.equal(
    it.ran.filter(name => name === "NoteUsage").length,
    3,
    "hours in which nothing has changed cost no command",
  )
})

test("what metrics have read is not read again", async () => {
  const it = await world("photos")
  const history = it.process()
  await put(it, "photos")
  await history.readSizes()
  await it.clock.advance(90_000)
  await settle(history)
  assert.deepEqual(await shown(it, history, "photos"), [[90_000 / HOUR_MS, 1]])
  assert.equal(it.asked.filter(name => name === "SizesOfBuckets").length, 1)
})

test("several processes note an hour once, and one that takes the job back notes what others have not", async () => {
  const it = await world("photos")
  const [first, second] = [it.process(), it.process()]
  const remove = await put(it, "photos")
  await settle(first)
  await put(it, "photos")
  await settle(second)
  assert.deepEqual(await shown(it, first, "photos"), [[0, 1]])
  await first.release()
  await it.clock.advance(HOUR_MS)
  await settle(second)
  await remove()
  await it.clock.advance(HOUR_MS)
  await settle(first)
  assert.deepEqual(
    await shown(it, first, "photos"),
    [
      [0, 1],
      [1, 2],
      [2, 1],
    ],
    "what an hour had no room for is noted in the next one",
  )
})

test("a full store goes on without the samples of an hour; other failures are tried again", async () => {
  const it = await world("photos")
  const history = it.process()
  await put(it, "photos")
  it.metadata.before = () => {
    throw fail("deviceFull")
  }
  assert.equal(await history.step(), "idle")
  it.metadata.before = () => undefined
  await settle(history)
  assert.deepEqual(await shown(it, history, "photos"), [])
  await it.clock.advance(HOUR_MS)
  it.metadata.before = () => {
    throw fail("conflict")
  }
  await assert.rejects(history.step(), /another request/)
  it.metadata.before = () => undefined
  await settle(history)
  assert.deepEqual(await shown(it, history, "photos"), [[1, 1]])
})

test("a clock that is ahead or behind for a while drops no samples", async () => {
  for (const jumpMs of [500 * 24 * HOUR_MS, -500 * 24 * HOUR_MS]) {
    const it = await world("photos")
    const history = it.process()
    for (let hour = 0; hour < 3; hour += 1) {
      await put(it, "photos")
      await settle(history)
      await it.clock.advance(HOUR_MS)
    }
    it.clock.jumpWall(jumpMs)
    // Decisions are not dated before the time that is confirmed.
    it.metadata.setEarliestTime(BEGIN_MS + 3 * HOUR_MS)
    await put(it, "photos")
    await settle(history)
    it.clock.jumpWall(-jumpMs)
    await it.clock.advance(HOUR_MS)
    await settle(history)
    assert.deepEqual(await shown(it, history, "photos"), [
      [0, 1],
      [1, 2],
      [2, 3],
      [4, 4],
    ])
  }
})

test("the history of a bucket goes with it, and nothing is noted of one that is gone", async () => {
  const it = await world("photos")
  const history = it.process()
  const remove = await put(it, "photos")
  await settle(history)
  const bucketId = await it.idOf("photos")
  assert.equal(it.metadata.rows("usageHistory"), 1)
  await remove()
  await it.metadata.run(closeBucket(bucketId))
  const sample = { bucketId, atMs: BEGIN_MS + 5 * HOUR_MS, objects: 9, bytes: 9 }
  await it.metadata.run(noteUsage([sample], sample.atMs))
  assert.equal((await history.of(bucketId)).length, 1)
  await it.metadata.run(dropBucket(bucketId))
  await it.metadata.run(noteUsage([sample], sample.atMs))
  assert.equal(it.metadata.rows("usageHistory"), 0)
})
