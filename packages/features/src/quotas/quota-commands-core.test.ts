/** Quotas by random histories: what is counted is what a walk finds, and only what does not fit is refused. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { runsOf } from "@hayloft/base/testing-seed.js"
import { must } from "@hayloft/base/assert.js"
import { fc } from "@hayloft/base/testing-properties.js"
import { isFailure } from "@hayloft/base/failures.js"
import { objectKeyOfText, parseAccountId, parseBucketName, type BucketId } from "@hayloft/base/ids.js"
import { encodeAccount } from "@hayloft/engine/format/records.js"
import { objectRowKey, textRowKey } from "@hayloft/engine/format/row-key.js"
import { addUsage, NO_USAGE, usageRowKey, type QuotaLimits, type Usage } from "@hayloft/engine/format/objects/usage.js"
import { multipartIdOf } from "@hayloft/engine/format/objects/version-id.js"
import { NO_DETAILS, versionIdOfHead } from "@hayloft/engine/format/objects/version-record.js"
import type { Query } from "@hayloft/engine/metadata/index.js"
import { MemoryMetadata } from "@hayloft/engine/metadata/testing-engine.js"
import { abort, bytesOfAllParts, endFrozen } from "@hayloft/objects/ended-upload.js"
import { expireUpload } from "../lifecycle/expire-commands-core.js"
import { quotaState, quotaStates, walkUsage, type UsagePlace } from "./usage-queries-core.js"
import { Quotas } from "./quotas.js"
import { accountNumberOf } from "@hayloft/engine/format/accounts/account-number.js"
import { createBucket, dropBucket, closeBucket, setVersioning } from "@hayloft/objects/commands/bucket-commands-core.js"
import {
  completeUpload,
  createUpload,
  putPart,
  sealUpload,
  type UploadAddress,
} from "@hayloft/objects/commands/multipart-commands-core.js"
import { findLatest } from "@hayloft/objects/commands/found-versions-core.js"
import { extentOf, putOf, randomOf, refuses } from "@hayloft/objects/commands/testing-bucket.js"
import { putVersion, removeLatest, removeVersion } from "@hayloft/objects/commands/version-commands-core.js"
import "@hayloft/objects/testing-features.js"

const OWNER = parseAccountId("owner")
const NAMES = ["first", "second"].map(parseBucketName)
const KEYS = ["a", "b", "c"].map(objectKeyOfText)

async function newWorld() {
  const metadata = new MemoryMetadata()
  const account = { id: OWNER, displayName: "Owner", email: "", createdMs: 1, number: accountNumberOf(OWNER) }
  metadata.plant("accounts", textRowKey(OWNER), encodeAccount(account))
  const buckets: BucketId[] = []
  for (const name of NAMES) buckets.push((await metadata.run(createBucket({ name, owner: OWNER, location: "" }))).id)
  return { metadata, buckets, quotas: new Quotas(metadata, async () => undefined) }
}
type World = Awaited<ReturnType<typeof newWorld>>

const bucketTarget = (at: number) => ({ kind: "bucket", name: must(NAMES[at], "a name") }) as const
const ACCOUNT = { kind: "account", id: OWNER } as const

function walk({ metadata }: World, bucketIds: readonly BucketId[], run: string): Usage {
  let sum = NO_USAGE
  for (const id of bucketIds) {
    for (let place: UsagePlace | undefined, isFirst = true; isFirst || place; isFirst = false) {
      const slice = walkUsage(id, place, run, 2).answer(metadata.committed)
      sum = addUsage(sum, slice.found)
      place = slice.next
    }
  }
  return sum
}

/** Every count is what a walk over its rows finds. Returns what each uses. */
function checkCounts(world: World): ReadonlyMap<string, Usage> {
  const used = new Map<string, Usage>()
  for (const state of quotaStates().answer(world.metadata.committed)) {
    const { owner, quota } = state
    assert.ok(quota.isExact)
    const walked = walk(world, owner.kind === "bucket" ? [owner.bucketId] : world.buckets, quota.run)
    assert.deepEqual(state.used, walked, owner.kind)
    used.set(quota.run, walked)
  }
  return used
}

/** Nothing that grew is beyond a hard limit; what was refused would not have fitted. */
function checkLimits(
  world: World,
  before: ReadonlyMap<string, Usage>,
  after: ReadonlyMap<string, Usage>,
  isMarker: boolean,
) {
  for (const { quota } of quotaStates().answer(world.metadata.committed)) {
    const [was, is] = [before.get(quota.run), after.get(quota.run)]
    if (was === undefined || is === undefined) continue
    const { hardBytes = Infinity, hardObjects = Infinity } = quota.limits
    const [bytesWere, bytesAre] = [was.bytes + was.partBytes, is.bytes + is.partBytes]
    if (bytesAre > bytesWere) assert.ok(bytesAre <= hardBytes, `${bytesAre} bytes of ${hardBytes}`)
    if (is.objects > was.objects && !isMarker) assert.ok(is.objects <= hardObjects)
  }
}

/** Without the limits, the step would have exceeded one. */
async function checkRefusal(world: World, player: Player, step: Step): Promise<void> {
  const states = quotaStates().answer(world.metadata.committed)
  const metadata = world.metadata.copy()
  const other = { ...world, metadata, quotas: new Quotas(metadata, async () => undefined) }
  for (const { owner, name } of states) {
    await other.quotas.clear(owner.kind === "account" ? ACCOUNT : { kind: "bucket", name: parseBucketName(name) })
  }
  await player.in(other).play(step)
  const exceeded = states.some(({ owner, quota: { run, limits }, used }) => {
    const would = walk(other, owner.kind === "bucket" ? [owner.bucketId] : world.buckets, run)
    // A part that no count includes yet must leave room for the version.
    const uncounted = step.kind === "part" && would.partBytes === used?.partBytes ? step.size : 0
    const bytes = would.bytes + would.partBytes + uncounted
    return bytes > (limits.hardBytes ?? Infinity) || would.objects > (limits.hardObjects ?? Infinity)
  })
  assert.ok(exceeded, `${step.kind} would have fitted`)
}

const KINDS = [
  "put",
  "put",
  "put",
  "delete",
  "deleteVersion",
  "create",
  "part",
  "part",
  "complete",
  "abort",
  "versioning",
  "limit",
  "clear",
  "restart",
] as const

interface Step {
  readonly kind: (typeof KINDS)[number]
  readonly bucket: number
  readonly key: number
  readonly size: number
  readonly upload: number
  readonly part: number
}

const STEP = fc.record<Step>({
  kind: fc.constantFrom(...KINDS),
  bucket: fc.nat({ max: 1 }),
  key: fc.nat({ max: KEYS.length - 1 }),
  size: fc.nat({ max: 60 }),
  upload: fc.nat({ max: 2 }),
  part: fc.integer({ min: 1, max: 3 }),
})

class Player {
  private uploads = 0
  private readonly open = new Map<string, UploadAddress>()
  private stored = 0

  constructor(private readonly world: World) {}

  /** The same player in a store with the same rows. */
  in(world: World): Player {
    const other = new Player(world)
    other.uploads = this.uploads
    other.stored = this.stored
    for (const [name, upload] of this.open) other.open.set(name, upload)
    return other
  }

  private at({ bucket, key, upload }: Step) {
    const bucketId = must(this.world.buckets[bucket], "a bucket")
    return { bucketId, key: must(KEYS[key], "a key"), name: `${bucket} ${key} ${upload}` }
  }

  /** One of the open uploads, so that most steps find one. */
  private openUpload({ bucket, key, upload }: Step): readonly [name: string, UploadAddress] | undefined {
    return [...this.open][(9 * bucket + 3 * key + upload) % Math.max(this.open.size, 1)]
  }

  async play(step: Step): Promise<void> {
    const { metadata, quotas } = this.world
    const { bucketId, key, name } = this.at(step)
    const [openName = "", address] = this.openUpload(step) ?? []
    switch (step.kind) {
      case "put":
        await metadata.run(putVersion({ ...putOf({ bucketId }, (this.stored += 1), { sizeBytes: step.size }), key }))
        return
      case "delete":
        await metadata.run(removeLatest({ bucketId, key, conditions: {}, random: randomOf(1) }))
        return
      case "deleteVersion": {
        const latest = findLatest(metadata.committed, objectRowKey(bucketId, key))
        if (!latest) return
        const versionId = versionIdOfHead(latest.head)
        await metadata.run(removeVersion({ bucketId, key, versionId, conditions: {} }))
        return
      }
      case "create": {
        if (this.open.has(name)) return
        const multipartId = multipartIdOf((this.uploads += 1), randomOf(1))
        const upload = { checksum: undefined, details: NO_DETAILS, completion: undefined }
        await metadata.run(createUpload({ bucketId, key, multipartId }, upload))
        this.open.set(name, { bucketId, key, multipartId })
        return
      }
      case "part": {
        if (!address) return
        const extent = extentOf((this.stored += 1), { lengthBytes: step.size, part: step.part })
        const part = { partNumber: step.part, md5: new Uint8Array(16), checksumValue: undefined, extent }
        await metadata.run(putPart({ ...address, hints: [], part }))
        return
      }
      case "complete":
        if (address) await this.complete(address, () => this.open.delete(openName))
        return
      case "abort":
        if (!address) return
        await abort(metadata, address)
        this.open.delete(openName)
        return
      case "versioning":
        await metadata.run(setVersioning(bucketId, step.size % 2 === 0 ? "enabled" : "suspended"))
        return
      case "limit": {
        const limits: QuotaLimits = step.part === 1 ? { hardObjects: step.size % 8 } : { hardBytes: step.size * 3 }
        await quotas.set(step.key === 0 ? ACCOUNT : bucketTarget(step.bucket), limits)
        return
      }
      case "clear":
        await quotas.clear(step.key === 0 ? ACCOUNT : bucketTarget(step.bucket))
        return
      case "restart": {
        const target = step.key === 0 ? ACCOUNT : bucketTarget(step.bucket)
        if (await quotas.show(target)) await quotas.restart(target)
      }
    }
  }

  /** Completes the upload with the first part alone: others are unused. */
  private async complete(address: UploadAddress, ended: () => void): Promise<void> {
    const { metadata } = this.world
    const completion = { incarnation: metadata.incarnations.own, token: randomOf(9) }
    await metadata.run(sealUpload(address, completion))
    const partsBytes = await bytesOfAllParts(metadata, address)
    const content = { kind: "segments", multipartId: address.multipartId, completion: completion.token } as const
    const sizeBytes = Math.floor(partsBytes / 2)
    const { version } = putOf(address, 1, { content, parts: 1, sizeBytes })
    await metadata.run(completeUpload({ ...address, completion, conditions: {}, version, partsBytes }))
    ended()
  }
}

const RUNS = runsOf(100)

test("after each step of any history, counts are what a walk finds, and nothing has grown beyond a limit", async () => {
  let refused = 0
  await fc.assert(
    fc.asyncProperty(fc.array(STEP, { minLength: 10, maxLength: 60 }), async steps => {
      const world = await newWorld()
      const player = new Player(world)
      await world.quotas.set(bucketTarget(0), { hardBytes: 120, hardObjects: 5 })
      await world.quotas.set(ACCOUNT, { hardBytes: 150, hardObjects: 7 })
      let before = checkCounts(world)
      for (const step of steps) {
        let failure: unknown
        await player.play(step).catch((error: unknown) => {
          if (!isFailure(error, "quotaExceeded", "conflict")) throw error
          failure = error
        })
        const after = checkCounts(world)
        if (isFailure(failure, "quotaExceeded")) {
          refused += 1
          assert.ok(!["delete", "deleteVersion", "abort", "limit", "clear"].includes(step.kind), step.kind)
          assert.deepEqual(after, before, "a refusal changes nothing")
          await checkRefusal(world, player, step)
        }
        checkLimits(world, before, after, step.kind === "delete")
        before = after
      }
    }),
    { numRuns: RUNS },
  )
  assert.ok(refused > RUNS / 10, `${refused} steps were refused`)
})

const put = ({ metadata, buckets: [bucketId] }: World, sizeBytes: number, key = 0) =>
  metadata.run(
    putVersion({ ...putOf({ bucketId: must(bucketId, "a bucket") }, 1, { sizeBytes }), key: must(KEYS[key], "a key") }),
  )

test("an object fits exactly up to the limit; one key that is overwritten many times counts once", async () => {
  const world = await newWorld()
  await world.quotas.set(bucketTarget(0), { hardBytes: 100, hardObjects: 2 })
  for (let i = 0; i < 50; i += 1) await put(world, 90)
  await refuses(put(world, 101), "quotaExceeded", {
    message: "The bucket first would exceed its quota of 100 B (90 B used).",
  })
  await put(world, 100)
  await put(world, 0, 1)
  await refuses(put(world, 0, 2), "quotaExceeded", {
    message: "The bucket first would exceed its quota of 2 objects (2 used).",
  })
  await refuses(put(world, 1, 1), "quotaExceeded")
})

test("a limit below what is used refuses growth alone, and deletions make room", async () => {
  const world = await newWorld()
  const { metadata, quotas, buckets } = world
  await put(world, 90)
  await put(world, 60, 1)
  const state = await quotas.set(bucketTarget(0), { hardBytes: 100 })
  assert.deepEqual(state.used, { bytes: 150, objects: 2, partBytes: 0 })
  await put(world, 80)
  await put(world, 80)
  await refuses(put(world, 81), "quotaExceeded")
  const bucketId = must(buckets[0], "a bucket")
  await metadata.run(removeLatest({ bucketId, key: must(KEYS[1], "a key"), conditions: {}, random: randomOf(1) }))
  await put(world, 100)
})

test("an account counts all its buckets, those too that are made later, and none that is gone", async () => {
  const world = await newWorld()
  const { metadata, quotas, buckets } = world
  await put(world, 40)
  await quotas.set(ACCOUNT, { hardBytes: 100 })
  const third = await metadata.run(createBucket({ name: parseBucketName("third"), owner: OWNER, location: "" }))
  const putIn = (bucketId: BucketId, sizeBytes: number) =>
    metadata.run(putVersion(putOf({ bucketId }, 1, { sizeBytes })))
  await putIn(must(buckets[1], "a bucket"), 30)
  await putIn(third.id, 30)
  await refuses(putIn(third.id, 31), "quotaExceeded", {
    message: "The account of the bucket third would exceed its quota of 100 B.",
  })
  const { key } = putOf({ bucketId: third.id }, 1)
  await metadata.run(removeLatest({ bucketId: third.id, key, conditions: {}, random: randomOf(1) }))
  await metadata.run(closeBucket(third.id))
  await metadata.run(dropBucket(third.id))
  await put(world, 70)
  await refuses(put(world, 71), "quotaExceeded")
})

test("the count of a bucket goes with it", async () => {
  const { metadata, quotas, buckets } = await newWorld()
  await quotas.set(bucketTarget(0), { hardBytes: 10 })
  await quotas.set(bucketTarget(1), { hardBytes: 10 })
  const bucketId = must(buckets[0], "a bucket")
  await metadata.run(closeBucket(bucketId))
  await metadata.run(dropBucket(bucketId))
  assert.equal(metadata.rows("usage"), 1)
})

test("an ended quota counts nothing, and leaves no row; the next one begins anew", async () => {
  const world = await newWorld()
  const { metadata, quotas, buckets } = world
  const first = await quotas.set(bucketTarget(0), { hardBytes: 10 })
  await quotas.clear(bucketTarget(0))
  assert.equal(await quotas.show(bucketTarget(0)), undefined)
  await put(world, 500)
  const second = await quotas.set(bucketTarget(0), { hardBytes: 600 })
  assert.equal(second.used?.bytes, 500)
  const owner = { kind: "bucket", bucketId: must(buckets[0], "a bucket") } as const
  assert.equal(metadata.committed.get("usage", usageRowKey(owner, first.quota.run)), undefined)
  assert.deepEqual(quotaState(owner).answer(metadata.committed), second)
  await metadata.run(closeBucket(must(buckets[1], "a bucket")))
  assert.equal(metadata.rows("usage"), 1)
})

test("a lost row refuses growth until what is used is counted again", async () => {
  const world = await newWorld()
  const { metadata, quotas, buckets } = world
  await put(world, 10)
  const { owner, quota } = await quotas.set(bucketTarget(0), { hardBytes: 100 })
  metadata.lose("usage", usageRowKey(owner, quota.run))
  await refuses(put(world, 20), "corruptRow")
  const [bucketId, key] = [must(buckets[0], "a bucket"), must(KEYS[0], "a key")]
  await metadata.run(removeLatest({ bucketId, key, conditions: {}, random: randomOf(1) }))
  await quotas.restart(bucketTarget(0))
  await put(world, 100)
  assert.ok((await quotas.check(bucketTarget(0))).agrees)
})

test("a check without a quota shows what is there, and finds counters that are wrong", async () => {
  const world = await newWorld()
  const { metadata, quotas, buckets } = world
  await put(world, 500)
  const address = { bucketId: must(buckets[0], "a bucket"), key: must(KEYS[1], "a key") }
  const upload = { ...address, multipartId: multipartIdOf(1, randomOf(1)) }
  await metadata.run(createUpload(upload, { checksum: undefined, details: NO_DETAILS, completion: undefined }))
  await metadata.run(putPart({ ...upload, hints: [], part: partOf(1) }))
  for (const target of [bucketTarget(0), ACCOUNT]) {
    assert.deepEqual(await quotas.check(target), {
      hasQuota: false,
      used: undefined,
      isStill: true,
      agrees: true,
      counters: { bytes: 500, objects: 1 },
      walked: { bytes: 500, objects: 1, partBytes: 40 },
    })
  }
  await refuses(quotas.check({ kind: "account", id: parseAccountId("nobody") }), "noSuchAccount")
  metadata.lose("current", objectRowKey(address.bucketId, must(KEYS[0], "a key")))
  assert.equal((await quotas.check(bucketTarget(0))).agrees, false)
})

test("a count that a crash left unfinished does not refuse, counts what happens, and is finished later", async () => {
  const world = await newWorld()
  const { metadata, quotas } = world
  await put(world, 10)
  metadata.before = name => {
    if (name === "FinishBucketUsage") throw new Error("crash")
  }
  await assert.rejects(quotas.set(bucketTarget(0), { hardBytes: 50 }), /crash/)
  await put(world, 60)
  metadata.before = () => undefined
  for (const state of await quotas.list()) await quotas.finish(state)
  assert.equal((await quotas.show(bucketTarget(0)))?.used?.bytes, 60)
  await refuses(put(world, 61), "quotaExceeded")
})

function partOf(upload: number) {
  const extent = extentOf(upload, { lengthBytes: 40, part: 1 })
  return { partNumber: 1, md5: new Uint8Array(16), checksumValue: undefined, extent }
}

test("an abort that meets completions of the same process ends the upload, unless it meets them every time", async () => {
  const world = await newWorld()
  const { metadata, quotas } = world
  await quotas.set(bucketTarget(0), { hardBytes: 100 })
  const address = { bucketId: must(world.buckets[0], "a bucket"), key: must(KEYS[0], "a key") }
  const beginUpload = async (number: number) => {
    const upload = { ...address, multipartId: multipartIdOf(number, randomOf(1)) }
    await metadata.run(createUpload(upload, { checksum: undefined, details: NO_DETAILS, completion: undefined }))
    await metadata.run(putPart({ ...upload, hints: [], part: partOf(number) }))
    return upload
  }
  const completing = (upload: UploadAddress, times: number): void => {
    let left = times
    metadata.before = async name => {
      if (name !== "AbortUpload" || left === 0) return
      left -= 1
      await metadata.run(sealUpload(upload, { incarnation: metadata.incarnations.own, token: randomOf(9) }))
    }
  }
  const first = await beginUpload(1)
  completing(first, 3)
  await abort(metadata, first)
  assert.equal((await quotas.show(bucketTarget(0)))?.used?.partBytes, 0)
  await refuses(metadata.run(putPart({ ...first, hints: [], part: partOf(9) })), "noSuchUpload")
  const second = await beginUpload(2)
  completing(second, Infinity)
  await refuses(abort(metadata, second), "conflict")
  assert.equal((await quotas.show(bucketTarget(0)))?.used?.partBytes, 40)
})

test("an upload that lifecycle froze, and that is not due after all, takes parts again", async () => {
  const { metadata, quotas, buckets } = await newWorld()
  await quotas.set(bucketTarget(0), { hardBytes: 100 })
  const bucketId = must(buckets[0], "a bucket")
  const upload = { bucketId, key: must(KEYS[0], "a key"), multipartId: multipartIdOf(1, randomOf(1)) }
  await metadata.run(createUpload(upload, { checksum: undefined, details: NO_DETAILS, completion: undefined }))
  const never = { nowMs: 0, dayMs: 1, abandonedDays: 7 }
  assert.equal(await endFrozen(metadata, upload, false, frozen => expireUpload(upload, never, frozen)), false)
  await metadata.run(putPart({ ...upload, hints: [], part: partOf(1) }))
})

test("changes that cancel out while a check walks are no difference", async () => {
  const world = await newWorld()
  const { metadata, quotas, buckets } = world
  const bucketId = must(buckets[1], "a bucket")
  await metadata.run(putVersion(putOf({ bucketId }, 1, { sizeBytes: 10 })))
  await quotas.set(ACCOUNT, { hardBytes: 100 })
  let isMoved = false
  /** Between the walks of the two buckets, an object moves from the second one to the first. */
  async function ask<Result>(asked: Query<Result>): Promise<Result> {
    const result = await metadata.ask(asked)
    if (asked.name !== "WalkUsage" || isMoved || buckets[0] !== asked.args[0] || !isLastSlice(result)) return result
    isMoved = true
    await put(world, 10)
    const { key } = putOf({ bucketId }, 1)
    await metadata.run(removeLatest({ bucketId, key, conditions: {}, random: randomOf(1) }))
    return result
  }
  const checking = new Quotas({ run: command => metadata.run(command), ask }, async () => undefined)
  assert.ok((await checking.check(ACCOUNT)).agrees)
  assert.ok(isMoved)
})

const isLastSlice = (slice: unknown): boolean =>
  typeof slice === "object" && slice !== null && "next" in slice && slice.next === undefined
