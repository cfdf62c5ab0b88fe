/** The watch over quotas: what it lists, what it finishes, and how often it looks. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { must } from "@hayloft/base/assert.js"
import { fail } from "@hayloft/base/failures.js"
import { parseAccountId, parseBucketName } from "@hayloft/base/ids.js"
import { accountNumberOf } from "@hayloft/engine/format/accounts/account-number.js"
import { encodeAccount, encodeBucket } from "@hayloft/engine/format/records.js"
import { bucketRowKey, textRowKey } from "@hayloft/engine/format/row-key.js"
import { usageRowKey } from "@hayloft/engine/format/objects/usage.js"
import { MemoryMetadata } from "@hayloft/engine/metadata/testing-engine.js"
import { SimTelemetry } from "@hayloft/base/seams/telemetry/sim.js"
import { bucketRecords } from "@hayloft/objects/buckets/bucket-service.js"
import { createBucket } from "@hayloft/objects/commands/bucket-commands-core.js"
import { bucketOfRow } from "@hayloft/objects/commands/bucket-rows-core.js"
import "@hayloft/objects/testing-features.js"
import { quotaStates } from "./usage-queries-core.js"
import { Quotas } from "./quotas.js"
import { QuotaWatch } from "./quota-watch.js"

const OWNER = parseAccountId("owner")
const ACCOUNT = { kind: "account", id: OWNER } as const
const targetOf = (name: string) => ({ kind: "bucket", name: parseBucketName(name) }) as const

async function newWorld(...names: readonly string[]) {
  const metadata = new MemoryMetadata()
  const account = { id: OWNER, displayName: "Owner", email: "", createdMs: 1, number: accountNumberOf(OWNER) }
  metadata.plant("accounts", textRowKey(OWNER), encodeAccount(account))
  for (const name of names) {
    await metadata.run(createBucket({ name: parseBucketName(name), owner: OWNER, location: "" }))
  }
  const quotas = new Quotas(metadata, async () => undefined)
  const { log } = new SimTelemetry()
  return { metadata, quotas, watch: new QuotaWatch(quotas, log) }
}
type World = Awaited<ReturnType<typeof newWorld>>

/** Sets a quota and leaves it unfinished, like a crash does. */
async function leaveUnfinished({ metadata, quotas }: World, name: string): Promise<void> {
  metadata.before = command => {
    if (command === "FinishBucketUsage") throw new Error("crash")
  }
  await assert.rejects(quotas.set(targetOf(name), { hardBytes: 50 }), /crash/)
  metadata.before = () => undefined
}

async function loseRow({ metadata, quotas }: World, name: string): Promise<void> {
  const { owner, quota } = must(await quotas.show(targetOf(name)), "a quota")
  metadata.lose("usage", usageRowKey(owner, quota.run))
}

test("full disks make no watch fail: a count is finished once there is space", async () => {
  const world = await newWorld("first")
  await leaveUnfinished(world, "first")
  world.metadata.before = command => {
    if (command === "FinishBucketUsage") throw fail("deviceFull")
  }
  assert.equal(await world.watch.step(), "throttled")
  world.metadata.before = () => undefined
  await world.watch.step()
  assert.equal((await world.quotas.show(targetOf("first")))?.quota.isExact, true)
})

test("a quota whose row is lost is listed, and what it uses is unknown", async () => {
  const world = await newWorld("first", "second")
  await world.quotas.set(targetOf("first"), { hardBytes: 50, warnBytes: 0 })
  await world.quotas.set(targetOf("second"), { hardBytes: 50, warnBytes: 0 })
  await loseRow(world, "first")
  assert.equal(await world.watch.step(), "idle")
  const seen = world.watch.report().map(({ name, used, isAboveWarning }) => [name, used?.bytes, isAboveWarning])
  assert.deepEqual(seen, [
    ["first", undefined, false],
    ["second", 0, true],
  ])
})

test("all quotas are listed by three ranges, however many there are", async () => {
  const names = Array.from({ length: 20 }, (_, at) => `bucket-${at}`)
  const { metadata, quotas } = await newWorld(...names)
  for (const name of names) await quotas.set(targetOf(name), { hardObjects: 1 })
  await quotas.set(ACCOUNT, { hardBytes: 9 })
  let ranges = 0
  const { committed } = metadata
  const view = Object.assign(Object.create(committed) as typeof committed, {
    get: () => assert.fail("a row by itself"),
    range: (...range: Parameters<typeof committed.range>) => {
      ranges += 1
      return committed.range(...range)
    },
  })
  const states = quotaStates().answer(view)
  assert.equal(states.length, names.length + 1)
  assert.ok(states.every(({ used, quota }) => used !== undefined && quota.isExact))
  assert.equal(ranges, 3)
})

test("a count that cannot be finished holds up no others", async () => {
  const world = await newWorld("first", "second")
  await leaveUnfinished(world, "first")
  await leaveUnfinished(world, "second")
  await loseRow(world, "first")
  assert.equal(await world.watch.step(), "throttled")
  assert.equal((await world.quotas.show(targetOf("first")))?.quota.isExact, false)
  assert.equal((await world.quotas.show(targetOf("second")))?.quota.isExact, true)
  assert.equal(await world.watch.step(), "idle")
})

test("a bucket that is being erased has no quota any more: another one may have its name", async () => {
  const world = await newWorld("first")
  const { metadata, quotas, watch } = world
  await leaveUnfinished(world, "first")
  const { owner } = must(await quotas.show(targetOf("first")), "a quota")
  assert.ok(owner.kind === "bucket")
  const row = must(metadata.committed.get("buckets", bucketRowKey(owner.bucketId)), "the bucket")
  const erasing = encodeBucket({ ...bucketOfRow(row), state: "erasing" })
  metadata.plant("buckets", bucketRowKey(owner.bucketId), erasing)
  assert.equal(await watch.step(), "idle")
  assert.deepEqual(watch.report(), [])
})

test("buckets forget the count of an account whose quota has ended, after a crash too", async () => {
  const { metadata, quotas, watch } = await newWorld("first", "second")
  await quotas.set(targetOf("first"), { hardBytes: 50 })
  const named = (): readonly boolean[] =>
    bucketRecords()
      .answer(metadata.committed)
      .map(({ usage }) => usage?.accountRun !== undefined)
  await quotas.set(ACCOUNT, { hardBytes: 50 })
  assert.deepEqual(named(), [true, true])
  await watch.step()
  assert.deepEqual(named(), [true, true])
  await quotas.clear(ACCOUNT)
  assert.deepEqual(named(), [false, false])
  await quotas.set(ACCOUNT, { hardBytes: 50 })
  metadata.before = command => {
    if (command === "ForgetAccountUsage") throw new Error("crash")
  }
  await assert.rejects(quotas.clear(ACCOUNT), /crash/)
  metadata.before = () => undefined
  assert.deepEqual(named(), [true, true])
  await watch.step()
  assert.deepEqual(named(), [false, false])
  assert.equal((await quotas.show(targetOf("first")))?.quota.isExact, true)
})
