/** Undelete over devices: the bytes of what is kept stay, through every job that may remove or rewrite bytes. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { must } from "@hayloft/base/assert.js"
import { objectKeyOfText } from "@hayloft/base/ids.js"
import { fail, isFailure } from "@hayloft/base/failures.js"
import { parsePolicy } from "@hayloft/base/policy.js"
import { convert, encryptAll, putMultipart, share } from "@hayloft/upkeep/encrypt/testing-encrypt.js"
import { inspectRow } from "@hayloft/upkeep/encrypt/encrypt-core.js"
import { ALL_OBJECT_ROWS } from "@hayloft/objects/queries/extent-rows.js"
import { Undelete } from "./undelete.js"
import { assertWhole, open, type World } from "@hayloft/upkeep/repair/testing-repair.js"
import { SMALL_PART_BYTES } from "@hayloft/upkeep/testing-services.js"

async function opted(policy = "ec:2+1") {
  const world = await open(policy)
  await world.clock.runUntil(world.services.storeClock.start())
  await world.services.undelete.setUndelete(world.home.id, 3)
  return world
}

const undelete = (world: World, key: string, request = {}) =>
  world.clock.runUntil(world.services.undelete.undelete(world.home.id, objectKeyOfText(key), request))
const listed = async (world: World) => (await world.services.undelete.listDeleted(world.home.id, { limit: 100 })).items
const names = async (world: World) => (await listed(world)).map(({ key, reason }) => `${key} ${reason}`)

/** Counts what is kept and not encrypted, with the segments of multipart objects. */
const plainIn = ({ tablet }: World): number =>
  (["deleted", "segments"] as const).flatMap(family =>
    [...tablet.committed.range(family, ALL_OBJECT_ROWS)].flatMap(
      ([rowKey, row]) => inspectRow(family, rowKey, row).unsealed,
    ),
  ).length

async function settleAll(world: World): Promise<void> {
  for (const name of ["collector", "orphans", "repair", "reencode", "integrity-audit"]) await world.settle(name)
  await world.removeAborted()
  await world.settle("repair")
}

test("what is kept survives the jobs that remove unreferenced bytes, and reads as it did", async () => {
  const world = await opted()
  const [first, second] = [world.random.bytes(50_000), world.random.bytes(40_000)]
  await world.put("a", first)
  await world.put("a", second)
  await world.put("b", first)
  await world.remove("b")
  await settleAll(world)
  assert.deepEqual(await names(world), ["a overwritten", "b deleted"])
  const next = world.restart(2)
  await next.clock.runUntil(next.services.storeClock.start())
  await settleAll(next)
  assert.equal(await undelete(next, "b"), "restored")
  assert.equal(await undelete(next, "a"), "exists")
  assert.equal(await undelete(next, "a", { over: true }), "restored")
  assert.equal(await undelete(next, "b"), "nothingKept")
  assert.ok((await next.get("a")).equals(first))
  assert.ok((await next.get("b")).equals(first))
  assert.deepEqual(await names(next), ["a overwritten"])
})

test("re-encoding and repair treat kept blocks like others", async () => {
  const world = await opted("replica:2")
  const bytes = world.random.bytes(50_000)
  await world.put("a", bytes)
  await world.remove("a")
  await world.add(3)
  world.relayout([...world.devices.live.keys()], 3)
  await world.settle()
  world.policy = parsePolicy("ec:2+1")
  world.policyVersion = 2
  await world.settle("reencode")
  await world.settle("collector")
  await assertWhole(world, new Map([["a", bytes]]), "after re-encoding")
  assert.equal(await undelete(world, "a"), "restored")
  assert.ok((await world.get("a")).equals(bytes))
})

test("the purge of a bucket removes what is kept, by key, by prefix or all", async () => {
  const world = await opted()
  for (const key of ["a/1", "a/2", "b", "c"]) {
    await world.put(key, world.random.bytes(20_000))
    await world.remove(key)
  }
  const purge = (request: { key?: ReturnType<typeof objectKeyOfText>; prefix?: string }) =>
    world.clock.runUntil(world.services.undelete.purgeDeleted(world.home.id, { ...request, max: 100 }))
  assert.deepEqual(await purge({ key: objectKeyOfText("b") }), { objects: 1, bytes: 20_000, hasMore: false })
  assert.deepEqual(await purge({ prefix: "a/" }), { objects: 2, bytes: 40_000, hasMore: false })
  assert.deepEqual(await names(world), ["c deleted"])
  await assert.rejects(world.clock.runUntil(world.services.buckets.remove(world.home)), error =>
    isFailure(error, "bucketNotEmpty"),
  )
  assert.deepEqual(await purge({}), { objects: 1, bytes: 20_000, hasMore: false })
  await world.settle("collector")
  assert.equal(world.needles, 0)
  await world.clock.runUntil(world.services.buckets.remove(world.home))
})

test("a copy onto itself copies the bytes, so that the version before it is kept", async () => {
  const world = await opted()
  const bytes = world.random.bytes(50_000)
  await world.put("a", bytes)
  await share(world, "a")
  assert.equal(world.tablet.rows("shares"), 0)
  await world.remove("a")
  await settleAll(world)
  assert.deepEqual(await names(world), ["a deleted", "a overwritten"])
  const [, older] = await listed(world)
  assert.equal(await undelete(world, "a", { id: must(older, "both are kept").id }), "restored")
  assert.ok((await world.get("a")).equals(bytes))
})

test("a store that begins to encrypt encrypts what is kept, and it is restored", async () => {
  const before = await opted()
  const [large, small] = [before.random.bytes(50_000), before.random.bytes(100)]
  await before.put("large", large)
  await before.put("small", small)
  await putMultipart(before, "parts", [SMALL_PART_BYTES, 12_345])
  const parts = await before.get("parts")
  for (const key of ["large", "small", "parts"]) await before.remove(key)
  const world = convert(before)
  assert.ok(plainIn(world) > 3)
  await encryptAll(world)
  await world.settle("collector")
  await world.removeAborted()
  assert.equal(plainIn(world), 0)
  for (const [key, bytes] of [
    ["large", large],
    ["small", small],
    ["parts", parts],
  ] as const) {
    assert.equal(await undelete(world, key), "restored", key)
    assert.ok((await world.get(key)).equals(bytes), key)
  }
  assert.equal(world.tablet.rows("deleted"), 0)
})

test("two restores of one key: one of them finds the other's object", async () => {
  const world = await opted()
  await world.put("a", world.random.bytes(50_000))
  await world.remove("a")
  const one = () => world.services.undelete.undelete(world.home.id, objectKeyOfText("a"), {})
  const both = await world.clock.runUntil(Promise.all([one(), one()]))
  assert.deepEqual(both.filter(outcome => outcome === "restored").length, 1, both.join())
})

test("a list goes on where its page ended, and finds what was taken since a time", async () => {
  const world = await opted()
  for (const key of ["a", "b", "c"]) {
    await world.put(key, world.random.bytes(10))
    await world.remove(key)
  }
  const { undelete: service } = world.services
  const all = await listed(world)
  const found: string[] = []
  for (let after: string | undefined, isFirst = true; isFirst || after !== undefined; isFirst = false) {
    const page = await service.listDeleted(world.home.id, { limit: 1, ...(after !== undefined && { after }) })
    found.push(...page.items.map(({ id }) => id))
    after = page.next
  }
  assert.deepEqual(
    found,
    all.map(({ id }) => id),
  )
  const last = must(all.at(-1), "three are kept")
  const since = await service.listDeleted(world.home.id, { limit: 10, sinceMs: last.deletedMs + 1 })
  assert.deepEqual(since.items, [])
  await assert.rejects(service.listDeleted(world.home.id, { limit: 10, after: "no hex" }), error =>
    isFailure(error, "invalidArgument"),
  )
})

test("a bucket opts in only once the devices refuse releases that would remove what is kept", async () => {
  const world = await open("ec:2+1")
  const { id } = world.home
  const daysNow = async () => (await world.services.buckets.open(world.home.name)).undeleteDays
  const during: (number | undefined)[] = []
  let fails = true
  const service = new Undelete(world.tablet, world.services.storeClock, async () => {
    during.push(await daysNow())
    if (fails) throw fail("deviceFailed")
  })
  await assert.rejects(service.setUndelete(id, 3), error => isFailure(error, "deviceFailed"))
  assert.equal(await daysNow(), undefined)
  fails = false
  await service.setUndelete(id, 3)
  assert.deepEqual([during, await daysNow()], [[undefined, undefined], 3])
  fails = true
  await service.setUndelete(id, undefined)
  assert.equal(await daysNow(), undefined, "nothing has to be prepared for the end")
})
