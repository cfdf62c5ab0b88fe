/** Lifecycle as a job over rows in memory: what is removed, what stays, and how processes share a pass. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { must } from "@hayloft/base/assert.js"
import { fail, isFailure } from "@hayloft/base/failures.js"
import { parseAccountId, parseBucketName, parseIncarnation } from "@hayloft/base/ids.js"
import { ALL_UPLOADS, decodeLifecyclePass, lifecycleRowKey } from "@hayloft/engine/format/objects/lifecycle-pass.js"
import { versionIdOfHead } from "@hayloft/engine/format/objects/version-record.js"
import { soleProcess } from "@hayloft/engine/metadata/index.js"
import {
  closeBucket,
  createBucket,
  dropBucket,
  setBucketLock,
  setSetting,
} from "@hayloft/objects/commands/bucket-commands-core.js"
import { addressKeyOf, sealUpload } from "@hayloft/objects/commands/multipart-commands-core.js"
import { putOf, randomOf } from "@hayloft/objects/commands/testing-bucket.js"
import { putVersion, removeVersion } from "@hayloft/objects/commands/version-commands-core.js"
import { noteExpiring, rowsOfPass, takeSlice } from "./pass-core.js"
import { DAY, keyOf, never, START, World } from "./testing-lifecycle.js"

test("an object goes at the midnight after its days, and not before", async () => {
  const world = await World.open([{ filter: { form: "filter", prefix: "logs/" }, expiration: { days: 3 } }])
  world.nowMs += 3_600_000
  world.put("logs/1")
  world.put("other")
  world.days(3)
  world.nowMs += DAY - 3_600_001
  await world.pass()
  assert.deepEqual(world.shown(), ["logs/1", "other"])
  world.nowMs += 1
  const job = await world.pass()
  assert.deepEqual(world.shown(), ["other"])
  assert.deepEqual(job.report().removed, {
    versions: 1,
    bytes: 100,
    hidden: 0,
    markers: 0,
    uploads: 0,
    moved: 0,
    movedBytes: 0,
  })
})

test("a rule by size goes by the size that clients see of a large object, and counts what is stored", async () => {
  const segments = { sizeBytes: 5_000_000, md5: new Uint8Array(16), parts: 5 }
  const large = { sizeBytes: 300, largeObject: segments }
  const world = await World.open([
    { filter: { form: "filter", prefix: "small/", sizeBelow: 1_000 }, expiration: { days: 1 } },
    { filter: { form: "filter", prefix: "big/", sizeAbove: 1_000_000 }, expiration: { days: 1 } },
    { filter: { form: "filter", prefix: "cold/" }, transitions: [{ storageClass: "STANDARD_IA", days: 1 }] },
  ])
  for (const prefix of ["small/", "big/", "cold/"]) {
    world.put(`${prefix}large`, large)
    world.put(`${prefix}plain`, { sizeBytes: 300 })
  }
  world.days(2)
  const { removed } = (await world.pass()).report()
  assert.deepEqual(world.shown(), ["big/plain", "cold/large", "cold/plain", "small/large"])
  assert.deepEqual([removed.versions, removed.bytes, removed.moved, removed.movedBytes], [2, 600, 1, 300])
})

test("in a bucket with versions an object is hidden, then removed, and at last its marker goes", async () => {
  const world = await World.open(
    [{ expiration: { days: 1 } }, { noncurrent: { days: 1 } }, { expiration: { expiredMarkers: true } }],
    "enabled",
  )
  world.put("a")
  world.days(2)
  await world.pass()
  assert.deepEqual(world.shown(), ["a*", "a"])
  world.days(2)
  await world.pass()
  assert.deepEqual(world.shown(), ["a*"])
  world.days(1)
  await world.pass()
  assert.deepEqual(world.shown(), [])
})

test("with versioning suspended the null version is replaced by a marker", async () => {
  const world = await World.open([{ expiration: { days: 1 } }], "suspended")
  world.put("a")
  world.days(2)
  const { removed } = (await world.pass()).report()
  assert.deepEqual(world.shown(), ["a*"])
  assert.deepEqual(removed, { versions: 1, bytes: 100, hidden: 1, markers: 0, uploads: 0, moved: 0, movedBytes: 0 })
})

test("a delete marker over versions stays, and hides them", async () => {
  const world = await World.open([{ expiration: { expiredMarkers: true } }, { expiration: { days: 1 } }], "enabled")
  world.put("a")
  world.delete("a")
  world.days(30)
  await world.pass()
  assert.deepEqual(world.shown(), ["a*", "a"])
})

test("the newest noncurrent versions stay; delete markers do not count as such", async () => {
  const world = await World.open([{ noncurrent: { days: 1, newerKept: 2 } }], "enabled")
  for (let version = 0; version < 6; version += 1) {
    world.put("a")
    if (version === 3) world.delete("a")
  }
  world.days(10)
  await world.pass()
  assert.deepEqual(world.shown(), ["a", "a", "a*", "a"])
})

test("hundreds of versions of one key go in one pass", async () => {
  const world = await World.open([{ noncurrent: { days: 1 } }], "enabled")
  for (let version = 0; version < 400; version += 1) world.put("a")
  world.days(2)
  await world.pass()
  assert.deepEqual(world.shown(), ["a"])
})

test("a locked version stays until its lock ends", async () => {
  const world = await World.open([{ expiration: { days: 1 } }, { noncurrent: { days: 1 } }], "enabled")
  world.decide(setBucketLock(world.scene.bucketId, undefined))
  world.put("a", { lock: { retention: { mode: "GOVERNANCE", untilMs: START + 10 * DAY }, legalHold: undefined } })
  world.put("b", { lock: { retention: undefined, legalHold: true } })
  world.put("c")
  for (let day = 0; day < 9; day += 1) {
    world.days(1)
    await world.pass()
  }
  assert.deepEqual(world.shown(), ["a*", "a", "b*", "b"])
  world.days(3)
  await world.pass()
  await world.pass()
  assert.deepEqual(world.shown(), ["a*", "b*", "b"])
})

test("an expiring version that is locked is hidden, and stays until its lock ends", async () => {
  const world = await World.open([{ noncurrent: { days: 1 } }], "enabled")
  world.decide(setBucketLock(world.scene.bucketId, undefined))
  const lock = { retention: { mode: "COMPLIANCE", untilMs: START + 10 * DAY }, legalHold: undefined } as const
  world.put("a", { lock, expiresAtSeconds: (START + DAY) / 1000 })
  await world.pass()
  assert.deepEqual(world.shown(), ["a"])
  for (let day = 0; day < 9; day += 1) {
    world.days(1)
    await world.pass()
    assert.deepEqual(world.shown(), ["a*", "a"])
  }
  world.days(3)
  await world.pass()
  assert.deepEqual(world.shown(), ["a*"])
})

test("passes over expiring objects take a share of the time, also those of several processes", async () => {
  const world = await World.open([])
  const { bucketId } = world.scene
  world.decide(noteExpiring(bucketId))
  for (let key = 0; key < 5_000; key += 1) world.put(`key ${key}`, { expiresAtSeconds: 4_000_000_000 })
  const job = world.job()
  // A pass of three slices, each of which takes a minute.
  const slices = async (): Promise<number> => {
    let count = 0
    world.scene.metadata.before = name => {
      if (name !== "TakeSlice") return
      count += 1
      world.nowMs += 60_000
    }
    await world.pass(job)
    world.scene.metadata.before = () => undefined
    return count
  }
  assert.ok((await slices()) >= 3)
  world.nowMs += 6 * 60_000
  assert.equal(await slices(), 0, "it took longer than a twentieth of this")
  world.nowMs += 20 * 3 * 60_000
  assert.ok((await slices()) >= 3)
})

test("a version that is put meanwhile stays", async () => {
  const world = await World.open([{ expiration: { days: 1 } }])
  world.put("a")
  world.days(2)
  world.scene.metadata.before = name => {
    if (name === "ExpireLatest") world.put("a")
  }
  await world.pass()
  assert.deepEqual(world.shown(), ["a"])
})

for (const [what, rules] of [
  ["removed", []],
  ["changed", [{ expiration: { days: 9 } }]],
  ["disabled", [{ isEnabled: false, expiration: { days: 1 } }]],
] as const) {
  test(`a rule that was ${what} removes nothing more, even within a slice`, async () => {
    const world = await World.open([{ expiration: { days: 1 } }])
    for (let key = 0; key < 400; key += 1) world.put(`key ${key}`)
    world.days(2)
    let [removals, left] = [0, 0]
    world.scene.metadata.before = name => {
      if (name !== "ExpireLatest" || (removals += 1) !== 200) return
      world.setRules(rules)
      left = world.shown().length
    }
    await world.pass()
    assert.ok(left > 200 && left < 400)
    assert.equal(world.shown().length, left)
  })
}

test("the report shows a pass that is under way, and when the last one ended", async () => {
  const world = await World.open([{ expiration: { days: 30 } }])
  for (let key = 0; key < 4500; key += 1) world.put(`key ${key}`)
  const job = world.job()
  await job.step(never)
  await job.step(never)
  assert.equal(job.report().buckets, 1)
  assert.ok(job.report().unfinished > 0)
  assert.match(job.progress(), /passes under way/)
  await world.pass(job)
  const { unfinished, lastEndedMs } = job.report()
  assert.deepEqual([unfinished, lastEndedMs], [0, world.nowMs])
})

test("one pass a day: what becomes due later waits for the next midnight", async () => {
  const world = await World.open([{ expiration: { dateMs: START } }])
  const job = await world.pass()
  world.put("a")
  world.nowMs += DAY - 1
  await world.pass(job)
  assert.deepEqual(world.shown(), ["a"])
  world.nowMs += 1
  await world.pass(job)
  assert.deepEqual(world.shown(), [])
})

test("first rules act at once, and those that were disabled at first after the next midnight", async () => {
  const rule = { expiration: { dateMs: START } }
  const world = await World.open([{ ...rule, isEnabled: false }])
  world.put("a")
  await world.pass()
  world.setRules([rule])
  await world.pass()
  assert.deepEqual(world.shown(), ["a"])
  world.days(1)
  await world.pass()
  assert.deepEqual(world.shown(), [])
  const other = await World.open([rule])
  other.put("a")
  await other.pass()
  assert.deepEqual(other.shown(), [])
})

test("a trial with short days does not keep later passes away", async () => {
  const world = await World.open([{ expiration: { days: 1 } }])
  await world.pass(world.job({ dayMs: 10_000 }))
  world.put("a")
  world.days(2)
  await world.pass()
  assert.deepEqual(world.shown(), [])
})

test("a pass by a clock that was ahead does not keep later ones away once it was corrected", async () => {
  const world = await World.open([{ expiration: { days: 1 } }])
  world.days(3650)
  await world.pass()
  world.days(-3650)
  world.put("a")
  world.days(1)
  await world.pass()
  assert.deepEqual(world.shown(), ["a"])
  world.days(1)
  await world.pass()
  assert.deepEqual(world.shown(), [])
})

test("nothing is due while the store's clock is unknown, nor by a clock that is ahead of the other", async () => {
  const world = await World.open([{ expiration: { days: 1 } }])
  world.put("a")
  world.wallMs = START + DAY
  world.days(30)
  assert.equal(await world.job().step(never), "busy")
  await world.pass()
  assert.deepEqual(world.shown(), ["a"])
  const unknown = world.job()
  world.nowMs = 0
  assert.equal(await unknown.step(never), "idle")
})

test("nothing is removed while the store's clock is doubtful", async () => {
  const world = await World.open([{ expiration: { days: 1 } }])
  world.put("a")
  world.days(30)
  world.isDoubtful = true
  const job = await world.pass()
  assert.match(job.progress(), /^waits, because the store's clock was set ahead/)
  assert.deepEqual(world.shown(), ["a"])
  world.isDoubtful = false
  await world.pass(job)
  assert.deepEqual(world.shown(), [])
})

test("an interrupted slice is done again by the next process", async () => {
  const world = await World.open([{ expiration: { days: 1 } }])
  for (let key = 0; key < 1200; key += 1) world.put(`key ${key}`)
  world.days(2)
  const ends = new AbortController()
  let removals = 0
  world.scene.metadata.before = name => {
    if (name === "ExpireLatest" && (removals += 1) === 700) ends.abort()
  }
  const first = world.job()
  while (!ends.signal.aborted) await first.step(ends.signal)
  assert.ok(world.shown().length > 0)
  const row = () =>
    must(world.scene.metadata.committed.get("lifecycle", lifecycleRowKey(world.scene.bucketId)), "a pass")
  assert.equal(decodeLifecyclePass(row().value).taken.length, 1)
  world.scene.metadata.incarnations = soleProcess(parseIncarnation(2))
  await world.pass()
  assert.deepEqual(world.shown(), [])
  const { endedMs, taken } = decodeLifecyclePass(row().value)
  assert.deepEqual([endedMs, taken], [world.nowMs, []])
})

test("two processes share a pass, and remove each object once", async () => {
  const world = await World.open([{ expiration: { days: 1 } }])
  for (let key = 0; key < 3000; key += 1) world.put(`key ${key}`)
  world.days(2)
  const incarnationsOf = (own: number) => ({ ...soleProcess(parseIncarnation(own)), isOver: () => false })
  const jobs = [1, 2].map(own => ({ incarnations: incarnationsOf(own), job: world.job({}, own) }))
  const worked = new Set<number>()
  for (let busy = true; busy;) {
    busy = false
    for (const [number, { incarnations, job }] of jobs.entries()) {
      world.scene.metadata.incarnations = incarnations
      const before = job.report().removed.versions
      if ((await job.step(never)) === "busy") busy = true
      if (job.report().removed.versions > before) worked.add(number)
    }
  }
  assert.deepEqual(world.shown(), [])
  assert.equal(worked.size, 2)
  assert.equal(
    jobs.reduce((sum, { job }) => sum + job.report().removed.versions, 0),
    3000,
  )
})

test("how far all passes are is read once for many buckets", async () => {
  const world = await World.open([{ expiration: { days: 1 } }])
  const { metadata } = world.scene
  const buckets = Array.from({ length: 150 }, (_, number) =>
    world.decide(
      createBucket({ name: parseBucketName(`many-${number}`), owner: parseAccountId("root"), location: "" }),
    ),
  )
  for (const { id } of buckets) {
    world.setRules([{ expiration: { days: 1 } }], id)
    world.decide(putVersion({ ...putOf({ bucketId: id }, id), key: keyOf(`key ${id}`) }))
  }
  world.days(2)
  const ask = metadata.ask.bind(metadata)
  let looks = 0
  metadata.ask = query => {
    if (query.name === "LifecyclePasses") looks += 1
    return ask(query)
  }
  const { removed, unfinished } = (await world.pass()).report()
  assert.deepEqual([world.shown(), removed.versions, unfinished], [[], 150, 0])
  // 152 passes, 100 for each look, and one that finds nothing.
  assert.equal(looks, 3)
})

test("uploads go after seven days without a rule, unless the switch is off", async () => {
  const world = await World.open([])
  world.upload("a")
  world.days(7)
  await world.pass()
  assert.equal(world.uploads, 1)
  world.days(1)
  await world.pass(world.job({ abandonedDays: 0 }))
  assert.equal(world.uploads, 1)
  world.days(1)
  const { removed } = (await world.pass()).report()
  assert.deepEqual([world.uploads, removed.uploads], [0, 1])
})

test("a rule for uploads replaces the seven days, and an upload that is being completed stays", async () => {
  const world = await World.open([
    { filter: { form: "filter", prefix: "long/" }, abortDays: 30 },
    { filter: { form: "filter", prefix: "short/" }, abortDays: 1 },
  ])
  world.upload("long/1")
  world.upload("short/1")
  const completed = world.upload("short/2")
  world.decide(sealUpload(completed, { incarnation: 1, token: randomOf(1) }))
  world.days(2)
  await world.pass()
  assert.equal(world.uploads, 2)
  world.days(20)
  await world.pass()
  assert.equal(world.uploads, 2)
  world.days(9)
  world.scene.metadata.incarnations = soleProcess(parseIncarnation(2))
  await world.pass()
  assert.equal(world.uploads, 0)
  assert.ok(world.scene.metadata.committed.get("lifecycle", lifecycleRowKey(ALL_UPLOADS)) !== undefined)
})

for (const kind of ["corruptRecord", "conflict"] as const) {
  test(`an object whose removal fails with ${kind} is reported, and holds up no others`, async () => {
    const world = await World.open([{ expiration: { days: 1 } }])
    for (let key = 0; key < 50; key += 1) world.put(`key ${key}`)
    world.days(2)
    let removals = 0
    world.scene.metadata.before = name => {
      if (name === "ExpireLatest" && (removals += 1) === 7) throw fail(kind)
    }
    await world.pass()
    assert.equal(world.shown().length, 1)
    assert.equal(world.telemetry.entries("lifecycle_object_skipped").length, 1)
    world.days(1)
    await world.pass()
    assert.deepEqual(world.shown(), [])
  })
}

test("a slice goes on after the database was away", async () => {
  const world = await World.open([{ expiration: { days: 1 } }])
  for (let key = 0; key < 50; key += 1) world.put(`key ${key}`)
  world.days(2)
  let removals = 0
  world.scene.metadata.before = name => {
    if (name === "ExpireLatest" && (removals += 1) === 7) throw fail("databaseUnreachable")
  }
  const job = world.job()
  await assert.rejects(world.pass(job), error => isFailure(error, "databaseUnreachable"))
  assert.ok(world.shown().length > 0)
  await world.pass(job)
  assert.deepEqual([world.shown(), job.report().unfinished], [[], 0])
})

test("a removed bucket leaves no pass behind, also if a slice of it was just read", async () => {
  const world = await World.open([{ expiration: { days: 1 } }])
  const { bucketId, metadata } = world.scene
  const hasPass = () => metadata.committed.get("lifecycle", lifecycleRowKey(bucketId)) !== undefined
  await world.pass()
  assert.ok(hasPass())
  world.decide(closeBucket(bucketId))
  world.decide(dropBucket(bucketId))
  assert.ok(!hasPass())
  const time = { nowMs: world.nowMs, dayMs: DAY }
  const { start } = rowsOfPass(bucketId)
  assert.equal(world.decide(takeSlice({ bucketId, time, isTaken: true, start, end: undefined })), undefined)
  assert.ok(!hasPass())
})

test("a bucket whose rules cannot be read is reported, and others are not held up", async () => {
  const world = await World.open([])
  world.decide(setSetting(world.scene.bucketId, "lifecycle", "{"))
  world.put("a")
  world.upload("u")
  world.days(30)
  await world.pass()
  assert.deepEqual([world.shown(), world.uploads], [["a"], 1])
  assert.ok(world.telemetry.entries("lifecycle_unreadable").length > 0)
})

test("an upload that cannot be read holds up no others", async () => {
  const world = await World.open([])
  const [first] = ["a", "b", "c"].map(key => world.upload(key))
  world.scene.metadata.plant("uploads", addressKeyOf(must(first, "an upload")), Uint8Array.of(1, 2, 3))
  world.days(30)
  const { removed } = (await world.pass()).report()
  assert.deepEqual([world.uploads, removed.uploads], [1, 2])
})

test("a removed version that another took the place of is not missed: the successor is the next that is there", async () => {
  const world = await World.open([{ noncurrent: { days: 3 } }], "enabled")
  world.put("a")
  world.days(1)
  const { head } = world.put("a")
  world.days(2)
  world.put("a")
  const { bucketId } = world.scene
  world.decide(removeVersion({ bucketId, key: keyOf("a"), versionId: versionIdOfHead(head), conditions: {} }))
  world.days(3)
  await world.pass()
  assert.deepEqual(world.shown(), ["a", "a"])
  world.days(1)
  await world.pass()
  assert.deepEqual(world.shown(), ["a"])
})
