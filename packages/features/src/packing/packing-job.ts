/**
 * Packing: goes over the buckets with the setting `packing`, and packs versions that are cold and small. Every node of a store
 * runs it, and they share the slices of each pass. See decision 91.
 *
 * Promises  Nothing that clients see of an object changes. A pass that was interrupted goes on where it was; what a process
 *           had taken when it ended is packed in the next pass. Objects of a pack of which less than half is left are packed
 *           again, or get bytes of their own, so that it goes. Nothing is cold while the store's clock is unknown.
 * Limits    `PACKING_LIMITS`, `CANDIDATE_LIMITS`, `PACK_LIMITS` and `PACKER_LIMITS`; the bytes that it writes count towards
 *           the rate of moves.
 */
import { isFailure, type Failure } from "@hayloft/base/failures.js"
import type { BucketId, RowKey } from "@hayloft/base/ids.js"
import type { StorageClass } from "@hayloft/base/storage-class.js"
import type { PackedCounts } from "@hayloft/engine/format/objects/packing-rows.js"
import type { BucketRecord } from "@hayloft/engine/format/records.js"
import { bucketRowKey, objectRowKey, offsetRowKey } from "@hayloft/engine/format/row-key.js"
import { mapBounded, PassFailed, type Job, type StepOutcome } from "@hayloft/base/life/index.js"
import { NEVER } from "@hayloft/base/never.js"
import { lacksSpace } from "@hayloft/base/space/full-disk-core.js"
import { plural } from "@hayloft/base/text/quantity-text.js"
import { query } from "@hayloft/engine/metadata/index.js"
import { type Core, detachSome, shownDueTimeMs, type RateBound } from "@hayloft/objects/door/index.js"
import { bucketOfRow, rowsOfBucket } from "@hayloft/objects/door/rows.js"
import { CANDIDATE_LIMITS, candidatesFrom, type PackingCandidate } from "./candidates-core.js"
import {
  isPassDue,
  notePacked,
  NOTHING_PACKED,
  PACK_LIMITS,
  packingBuckets,
  packingOf,
  sumOfPacked,
  takePackingSlice,
  type PackingBucket,
} from "./pack-commands-core.js"
import { packableBytesMax, Packer, PACKER_LIMITS, type HeldObject, type PackerSeams } from "./packer.js"
import type { PackingMetrics } from "./packing-metrics.js"

const PACKING_LIMITS = {
  /** Versions that are read at the same time. */
  readsAtOnce: 16,
  /** How long a bucket with rows that cannot be read is left alone. */
  retryUnreadableMs: 3_600_000,
} as const

interface JobSeams extends PackerSeams {
  readonly storeClock: Pick<Core["storeClock"], "shownMs" | "isDoubtful">
  /** The store encrypts what it writes: that is not packed. */
  readonly encryptsAtRest: boolean
  readonly metrics: PackingMetrics
}

/** The bucket that this process goes over. */
interface Visit extends PackingBucket {
  readonly bucket: BucketRecord
  readonly beforeMs: number
  next: RowKey
  /** Versions that wait for others of their class. */
  readonly held: Map<StorageClass, HeldObject[]>
  /** Not counted in the row of the pass yet. */
  packed: PackedCounts
  /** The reason why a pack could not be written, for the first of them. */
  failure: Failure | undefined
  /** Objects that are to get bytes of their own. */
  readonly leaving: PackingCandidate[]
  /** The last write found no space: what is held, and what leaves packs, waits for some, and nothing more is read. */
  isShort: boolean
  /** No slice is left: only what is held remains, and what leaves packs. */
  isOver: boolean
}

export const bucketRow = query("PackingBucket", (view, bucketId: BucketId) => {
  const row = view.get("buckets", bucketRowKey(bucketId))
  return row && bucketOfRow(row)
})

export class PackingJob implements Job {
  readonly name = "packing"
  private visit: Visit | undefined
  private packed = NOTHING_PACKED
  private readonly packer: Packer
  /** Buckets whose rows could not be read, and when they are tried again. */
  private readonly unreadable = new Map<BucketId, number>()

  constructor(
    private readonly seams: JobSeams,
    private readonly bound: RateBound,
  ) {
    this.packer = new Packer(seams, bound)
  }

  progress(): string {
    const { packs, objects } = this.packed
    return `${plural(objects, "object")} packed into ${plural(packs, "pack")}`
  }

  async step(signal: AbortSignal): Promise<StepOutcome> {
    const { clock, encryptsAtRest, metadata } = this.seams
    const nowMs = shownDueTimeMs(this.seams)
    if (encryptsAtRest || nowMs === undefined) return "idle"
    if (this.bound.isOver(clock.monotonicMs())) return "throttled"
    if (this.visit === undefined) {
      const isReadable = ({ bucketId }: PackingBucket) => (this.unreadable.get(bucketId) ?? 0) <= nowMs
      const buckets = await metadata.ask(packingBuckets())
      const due = buckets.filter(isReadable).find(each => each.pass?.next !== undefined || isPassDue(each, nowMs))
      if (due === undefined) return "idle"
      this.visit = await this.open(due, nowMs)
      return "busy"
    }
    const { visit } = this
    try {
      if (await this.goOn(visit, nowMs, signal)) return visit.isShort ? "throttled" : "busy"
    } catch (error) {
      if (!isFailure(error, "corruptRecord", "corruptRow", "noSuchBucket")) throw error
      if (!isFailure(error, "noSuchBucket"))
        this.seams.log.error("packing_stopped", { bucket: visit.bucket.name, error: String(error) })
      this.unreadable.set(visit.bucketId, nowMs + PACKING_LIMITS.retryUnreadableMs)
    }
    this.visit = undefined
    const { failure } = visit
    if (failure !== undefined)
      throw new PassFailed(`packs of bucket ${visit.bucket.name} are not written: ${failure.message}`)
    return "busy"
  }

  /** Returns undefined if the bucket is gone. */
  private async open(due: PackingBucket, nowMs: number): Promise<Visit | undefined> {
    const { metadata } = this.seams
    const { bucketId, setting, pass } = due
    const bucket = await metadata.ask(bucketRow(bucketId))
    if (bucket === undefined) return undefined
    const next = (isPassDue(due, nowMs) ? undefined : pass?.next) ?? rowsOfBucket(bucketId).start
    const beforeMs = nowMs - setting.afterSeconds * 1_000
    const visit = { ...due, bucket, beforeMs, next, held: new Map<StorageClass, HeldObject[]>(), leaving: [] }
    return { ...visit, packed: NOTHING_PACKED, failure: undefined, isShort: false, isOver: false }
  }

  /** Returns true if the pass goes on in this process. It reads no further while full disks have no space. */
  private async goOn(visit: Visit, nowMs: number, signal: AbortSignal): Promise<boolean> {
    visit.isShort = false
    for (const [storageClass, held] of visit.held) {
      if (this.isFull(held)) await this.pack(visit, storageClass, held)
      if (visit.isShort) return true
    }
    await this.detachLeaving(visit, signal)
    if (visit.isShort) return true
    return visit.isOver ? this.end(visit, nowMs, signal) : this.nextSlice(visit, nowMs, signal)
  }

  /** Returns true if the pass goes on in this process. */
  private async nextSlice(visit: Visit, nowMs: number, signal: AbortSignal): Promise<boolean> {
    const { metadata, pins } = this.seams
    const { bucketId, setting, beforeMs, next: start } = visit
    const cold = { beforeMs, maxBytes: Math.min(setting.maxBytes, packableBytesMax(this.seams.ingest.blockBytes)) }
    const pin = pins.open(metadata.position)
    try {
      const page = await metadata.ask(candidatesFrom(bucketId, start, cold, CANDIDATE_LIMITS.rowsPerSlice))
      const { packed } = visit
      const first = rowsOfBucket(bucketId).start
      const taken = await metadata.run(takePackingSlice({ bucketId, nowMs, start, end: page.next, first, packed }))
      if (!taken) return await this.goOnElsewhere(visit, nowMs, signal)
      visit.packed = NOTHING_PACKED
      for (let at = 0; at < page.found.length && !signal.aborted; at += PACK_LIMITS.objectsMax) {
        const candidates = page.found.slice(at, at + PACK_LIMITS.objectsMax)
        const read = (each: PackingCandidate) => this.packer.read(visit.bucket, each, pin)
        const held = await mapBounded(candidates, PACKING_LIMITS.readsAtOnce, read)
        pin.progress()
        for (const each of held) if (each !== undefined && !visit.isShort) await this.hold(visit, each)
        // The rest of the slice is packed in the next pass, as after an interruption.
        if (visit.isShort) break
      }
      visit.leaving.push(...page.leaving)
      await this.detachLeaving(visit, signal)
      if (page.next === undefined) return await this.end(visit, nowMs, signal)
      visit.next = page.next
      return !signal.aborted
    } finally {
      pin.close()
    }
  }

  /** Another process has taken the slice: with what it holds, this one goes on where the pass is. */
  private async goOnElsewhere(visit: Visit, nowMs: number, signal: AbortSignal): Promise<boolean> {
    const { pass } = await this.seams.metadata.ask(packingOf(visit.bucketId))
    if (pass?.next !== undefined && pass.next !== visit.next) {
      visit.next = pass.next
      return true
    }
    return this.end(visit, nowMs, signal)
  }

  private async hold(visit: Visit, object: HeldObject): Promise<void> {
    const { storageClass } = object.candidate.record.head
    const held = visit.held.get(storageClass) ?? []
    visit.held.set(storageClass, held)
    held.push(object)
    if (this.isFull(held)) await this.pack(visit, storageClass, held)
  }

  /** Returns true if there is enough for a whole pack. */
  private isFull(held: readonly HeldObject[]): boolean {
    const bytes = held.reduce((sum, each) => sum + each.bytes.length, 0)
    const { blockBytes } = this.seams.ingest
    return held.length >= PACK_LIMITS.objectsMax || bytes >= Math.min(blockBytes, PACKER_LIMITS.packBytesMax)
  }

  /** Objects without room stay held. */
  private async pack(visit: Visit, storageClass: StorageClass, held: HeldObject[]): Promise<void> {
    const { packed, left, failure } = await this.packer.pack(visit.bucket, storageClass, held)
    visit.isShort = lacksSpace(failure)
    // A full disk makes no job fail.
    if (!visit.isShort) visit.failure ??= failure
    held.splice(0, held.length, ...left)
    visit.packed = sumOfPacked(visit.packed, packed)
    this.packed = sumOfPacked(this.packed, packed)
    this.seams.metrics.note(packed)
  }

  /**
   * Packs what is held, unless it is too little: then objects of packs that are to go get bytes of their own. Returns true
   * if it waits for space.
   */
  private async end(visit: Visit, nowMs: number, signal: AbortSignal): Promise<boolean> {
    visit.isOver = true
    for (const [storageClass, held] of visit.held) {
      while (held.length >= PACK_LIMITS.objectsMin && !visit.isShort) await this.pack(visit, storageClass, held)
      if (visit.isShort) return true
      visit.leaving.push(...held.map(({ candidate }) => candidate))
      held.length = 0
    }
    await this.detachLeaving(visit, signal)
    if (visit.isShort) return true
    if (visit.packed.packs > 0) await this.seams.metadata.run(notePacked(visit.bucketId, nowMs, visit.packed))
    return false
  }

  private async detachLeaving(visit: Visit, signal: AbortSignal): Promise<void> {
    const { leaving, bucketId } = visit
    for (let [next] = leaving; next !== undefined && !signal.aborted && !visit.isShort; [next] = leaving) {
      visit.isShort = !(await this.detach(bucketId, next))
      if (!visit.isShort) leaving.shift()
    }
  }

  /** Returns false if the disks are full. */
  private async detach(bucketId: BucketId, { key, record: { content }, pack }: PackingCandidate): Promise<boolean> {
    if (pack === undefined || content.kind !== "segments") return true
    const rowKey = offsetRowKey(objectRowKey(bucketId, key), content.multipartId, 0)
    try {
      await detachSome(this.seams, rowKey, NEVER, pack)
    } catch (error) {
      if (!isFailure(error)) throw error
      // An object that has changed, or cannot be read, is for the next pass.
      return !lacksSpace(error)
    }
    return true
  }
}
