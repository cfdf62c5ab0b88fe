/**
 * Tests that locked versions outlive whatever clients, operators and background jobs do, byte for byte and with their
 * lock.
 */
import assert from "node:assert/strict"
import { test } from "node:test"
import { must } from "@hayloft/base/assert.js"
import { isFailure, type FailureKind } from "@hayloft/base/failures.js"
import { objectKeyOfText, type VersionId } from "@hayloft/base/ids.js"
import { KIB } from "@hayloft/base/limits.js"
import { parsePolicy, textOfPolicy } from "@hayloft/base/policy.js"
import { ALL_NEEDLES } from "@hayloft/engine/block/index.js"
import type { Bucket, VersionLock } from "@hayloft/objects/contract.js"
import { plainUpload, sourceOf } from "@hayloft/objects/bodies/testing-bodies.js"
import { noSignal, open, type World } from "../repair/testing-repair.js"
import { SMALL_PART_BYTES } from "../testing-services.js"

const LOCK: VersionLock = { retention: { mode: "GOVERNANCE", untilMs: Date.UTC(2200, 0) }, legalHold: undefined }
const HELD: VersionLock = { retention: undefined, legalHold: true }
const STRICT: VersionLock = { retention: { mode: "COMPLIANCE", untilMs: Date.UTC(2200, 0) }, legalHold: undefined }
const JOBS = ["collector", "orphans", "repair", "reencode", "integrity-audit"]

interface Kept {
  readonly key: string
  readonly versionId: VersionId
  readonly bytes: Uint8Array
  readonly lock: VersionLock
}

class LockedWorld {
  readonly kept: Kept[] = []

  private constructor(
    readonly world: World,
    readonly bucket: Bucket,
  ) {}

  static async open(): Promise<LockedWorld> {
    const world = await open("ec:2+1", 6)
    const { buckets, storeClock } = world.services
    await world.clock.runUntil(storeClock.start())
    assert.ok(storeClock.nowMs() > 0, "without a time no lock would ever end")
    await buckets.setVersioning(world.home, "enabled")
    await buckets.setLock(world.home, undefined)
    return new LockedWorld(world, await buckets.open(world.home.name))
  }

  wait<T>(work: Promise<T>): Promise<T> {
    return this.world.clock.runUntil(work)
  }

  async put(key: string, sizeBytes: number, lock: VersionLock): Promise<void> {
    const { world, bucket } = this
    const bytes = world.random.bytes(sizeBytes)
    const put = { ...world.putting(key, sourceOf(bytes)), bucket, lock }
    const { versionId } = await this.wait(world.services.objects.put(put))
    this.kept.push({ key, versionId: must(versionId, "it is versioned"), bytes, lock })
  }

  /** A copy within its row shares the bytes. */
  async copy(key: string, lock: VersionLock): Promise<void> {
    const { bucket } = this
    const { bytes } = must(
      this.kept.find(kept => kept.key === key),
      "there is one to copy",
    )
    const target = { bucket, key: objectKeyOfText(key), conditions: {} }
    const how = { replaceAttributes: undefined, replaceTags: [], checksumAlgorithm: undefined, signal: noSignal }
    const { versionId } = await this.wait(this.world.services.objects.copy({ ...target, source: target, ...how, lock }))
    this.kept.push({ key, versionId: must(versionId, "it is versioned"), bytes, lock })
  }

  async putParts(key: string, lock: VersionLock): Promise<void> {
    const { world, bucket } = this
    const { multipart } = world.services
    const made = await multipart.create({ ...plainUpload(bucket, objectKeyOfText(key)), lock })
    const target = { bucket, key: objectKeyOfText(key), multipartId: made.multipartId }
    const bytes = world.random.bytes(SMALL_PART_BYTES + 100)
    const part = { ...target, partNumber: 1, body: sourceOf(bytes, 100_000), signal: noSignal }
    const { etag } = await this.wait(multipart.putPart(part))
    const complete = { conditions: {}, sizeBytes: undefined, checksum: undefined, checksumType: undefined }
    const parts = [{ partNumber: 1, etag, checksum: undefined }]
    const { versionId } = await this.wait(multipart.complete({ ...target, ...complete, parts, signal: noSignal }))
    this.kept.push({ key, versionId: must(versionId, "it is versioned"), bytes, lock })
  }

  async assertKept(when: string): Promise<void> {
    const { objects } = this.world.services
    for (const { key, versionId, bytes, lock } of this.kept) {
      const target = { bucket: this.bucket, key: objectKeyOfText(key), versionId }
      assert.deepEqual(await this.wait(objects.getLock(target)), lock, `${key} ${when}`)
      const read = async () => {
        const pieces: Uint8Array[] = []
        for await (const piece of (await objects.get({ ...target, conditions: {} })).read(noSignal))
          pieces.push(piece.slice())
        return Buffer.concat(pieces)
      }
      assert.ok((await this.wait(read())).equals(bytes), `${key} ${when}`)
    }
  }

  async refuses(kind: FailureKind, work: Promise<unknown>): Promise<void> {
    await assert.rejects(this.wait(work), error => {
      if (!isFailure(error, kind)) throw error
      return true
    })
  }
}

async function filled(): Promise<LockedWorld> {
  const locked = await LockedWorld.open()
  await locked.put("inline", 100, STRICT)
  await locked.put("blocks", 70 * KIB, STRICT)
  await locked.put("held", 40 * KIB, HELD)
  await locked.copy("held", LOCK)
  await locked.putParts("parts", STRICT)
  return locked
}

test("no request removes or replaces what is locked, whoever sends it", async () => {
  const locked = await filled()
  const { bucket } = locked
  const { objects, buckets, multipart } = locked.world.services
  for (const { key, versionId, lock } of locked.kept) {
    const target = { bucket, key: objectKeyOfText(key) }
    const remove = { ...target, versionId, conditions: {} }
    await locked.refuses("objectLocked", objects.remove(remove))
    if (lock !== LOCK) await locked.refuses("objectLocked", objects.remove({ ...remove, bypassGovernance: true }))
    // An overwrite, an upload that is aborted, and a delete marker.
    await locked.wait(objects.put({ ...locked.world.putting(key, sourceOf(Buffer.from("other"))), bucket }))
    const { multipartId } = await multipart.create(plainUpload(bucket, target.key))
    await locked.wait(multipart.abort({ ...target, multipartId }))
    await locked.wait(objects.remove({ ...target, conditions: {} }))
  }
  await locked.refuses("lockNeedsVersioning", buckets.setVersioning(bucket, "suspended"))
  await locked.refuses("bucketNotEmpty", buckets.remove(bucket))
  await locked.world.settle("collector")
  await locked.assertKept("after all requests")
})

test("re-encoding, repair, audits and removals of what nothing references keep what is locked", async () => {
  const locked = await filled()
  const { world } = locked
  for (const job of JOBS) await world.settle(job)
  await locked.assertKept("after all jobs")
  world.policy = parsePolicy("replica:2")
  world.policyVersion += 1
  for (let round = 0; round < 2; round += 1) for (const job of JOBS) await world.settle(job)
  const { groups } = await world.blocks.shardScan(ALL_NEEDLES.start)
  assert.ok(groups.length > 0 && groups.every(({ shape }) => shape && textOfPolicy(shape.policy) === "replica:2"))
  await locked.assertKept("after another redundancy")
  const [lost] = [...world.devices.live.keys()]
  await world.replace(must(lost, "there are devices"), 9)
  for (let round = 0; round < 2; round += 1) for (const job of JOBS) await world.settle(job)
  await world.removeAborted()
  await locked.assertKept("after the loss of a disk")
})
