/**
 * Encryption of existing objects: a job for a store that encrypts at rest from some moment on. What was written before is
 * encrypted row by row: payloads some at a time, uploads one after another.
 *
 * A first walk over all rows counts. Passes follow, until one finds nothing that is not encrypted: that is the end. The
 * rows themselves say what is encrypted, so a process that goes on after another reads no bytes that are.
 *
 * Promises  One object that cannot be encrypted is reported and tried again in the next pass; it does not stop the
 *           others. Nothing that clients see changes. ETags, times, locks and version ids stay.
 * Limits    ENCRYPT_LIMITS; memory is one slab, and only while plenty of it is free.
 */
import { isFailure, type Failure } from "@hayloft/base/failures.js"
import { outcomeAfter } from "@hayloft/base/space/full-disk-core.js"
import {
  parseBucketId,
  textOfObjectKey,
  type BucketId,
  type ObjectKey,
  type RowKey,
  type UploadId,
} from "@hayloft/base/ids.js"
import type { Extent } from "@hayloft/engine/format/needles/extent.js"
import { parseObjectRowKey } from "@hayloft/engine/format/row-key.js"
import { shardCount, shardsNeeded } from "@hayloft/base/policy.js"
import { plural } from "@hayloft/base/text/quantity-text.js"
import type { ObjectKeys } from "@hayloft/access/keys/contract.js"
import { isWaitedOut, mapBounded, PassFailed, type Job, type StepOutcome } from "@hayloft/base/life/index.js"
import type { Compute } from "@hayloft/base/seams/compute/contract.js"
import { detachSome, type DetachSeams, type ClassMap, type RateBound } from "@hayloft/objects/door/index.js"
import { type ObjectBackend, type SharedBytes, keyOfBytes } from "@hayloft/objects/door/bytes.js"
import { type MissingShardHint, ALL_OBJECT_ROWS } from "@hayloft/objects/door/rows.js"
import { ByteSealer, type SealingUpload } from "./byte-sealer.js"
import {
  ENCRYPT_PLACES,
  inspectRow,
  rowsToEncrypt,
  type EncryptFamily,
  type EncryptRow,
  type InspectedRow,
  type Unsealed,
} from "./encrypt-core.js"
import { SYSTEM_BUCKET_ID } from "@hayloft/objects/index.js"
import { chunkOfKey } from "../backup/metadata-backup-bucket.js"
import type { RedundancySource } from "../repair/repair-contract.js"
import { PoliciesOfRows } from "../reencode/policies-of-rows.js"

export const ENCRYPT_LIMITS = {
  rowsPerStep: 256,
  /** Payloads that are encrypted at the same time, so that they share commits. */
  payloadsAtOnce: 16,
  /** The next pass begins after this, with the delay doubling while passes encrypt nothing … */
  retryMs: 5_000,
  /** … up to this. */
  retryMsMax: 10 * 60_000,
  /** After a pass that found nothing, as long as there is still said to be work. */
  recheckMs: 60 * 60_000,
  /** Uploads that a pass remembers not to try again; beyond them it forgets, and goes on. */
  waitingMax: 1_000,
  /** Objects that a report names. */
  troublesMax: 100,
} as const

/** An object that could not be encrypted in the latest pass. */
interface EncryptTrouble {
  readonly bucket: string
  readonly key: string
  readonly reason: string
}

interface EncryptReport {
  /** Plaintext that is encrypted; 0 while counting. */
  readonly doneBytes: number
  /** It is undefined while counting. */
  readonly totalBytes: number | undefined
  /**
   * The number of finds in the latest whole pass that were not encrypted when it came there; undefined if there was
   * none yet.
   */
  readonly unsealedFound: number | undefined
  /** A whole pass found nothing, so everything is encrypted. */
  readonly isDone: boolean
  /** The troubles of the latest whole pass, or of the one under way if it has met more. */
  readonly troubles: readonly EncryptTrouble[]
  /** Also those that `troubles` leaves out. */
  readonly troubleCount: number
}

/** The objects of a pass that could not be encrypted. */
interface Troubles {
  readonly named: EncryptTrouble[]
  count: number
  /** The first reason that the job does not wait out. */
  lasting: string | undefined
}

const noTroubles = (): Troubles => ({ named: [], count: 0, lasting: undefined })

/** The seams that the job runs over. */
interface EncryptSeams extends ObjectBackend, DetachSeams {
  readonly keys: ObjectKeys
  readonly compute: Pick<Compute, "seal">
  readonly redundancy: Pick<RedundancySource, "policy" | "policyVersion">
  readonly classes: Pick<ClassMap, "policyOf" | "isAnyMapped">
  readonly bound: RateBound
  readonly onHints: (hints: readonly MissingShardHint[]) => void
  /**
   * Returns true if objects may have to be encrypted. From the first moment on at which it is true, all requests that
   * begin encrypt what they write, in all processes of the store.
   */
  readonly hasWork: () => boolean
}

interface Walk {
  readonly counts: boolean
  /** A pass that began while uploads from before were under way cannot be the last one. */
  readonly isSettled: boolean
  readonly place: number
  readonly from: RowKey
  /** The size of the next page: it begins small, since the next upload ends it, and doubles. */
  readonly rows: number
}

/** The place of something that is not encrypted. */
interface Found {
  readonly row: EncryptRow
  readonly owner: { readonly bucketId: BucketId; readonly key: ObjectKey }
}

interface FoundBytes extends Found {
  readonly family: EncryptFamily
}

interface FoundPayload extends FoundBytes {
  readonly head: Extract<Unsealed, { kind: "payload" }>["head"]
}

export const createEncryptJob = (seams: EncryptSeams): EncryptJob => new EncryptJob(seams)

export class EncryptJob implements Job {
  readonly name = "encrypt"
  private readonly sealer: ByteSealer
  private readonly policies: PoliciesOfRows
  /** It is undefined while there is no work. */
  private heldAtBegin: readonly UploadId[] | undefined
  private walk: Walk | undefined
  private nextPassAtMs = -Infinity
  private upload: (SealingUpload & { readonly row: EncryptRow }) | undefined
  /** Uploads that are left to the next pass. */
  private readonly waiting = new Set<UploadId>()
  readonly limits: { waitingMax: number } = { waitingMax: ENCRYPT_LIMITS.waitingMax }
  private totalBytes: number | undefined
  private countedBytes = 0
  private doneBytes = 0
  /** The results of the pass. */
  private found = 0
  private sealed = 0
  private troubles = noTroubles()
  /** The results of the latest whole pass. */
  private lastTroubles = noTroubles()
  private unsealedFound: number | undefined
  private retries = 0

  constructor(private readonly seams: EncryptSeams) {
    const { redundancy } = seams
    this.policies = new PoliciesOfRows(seams.metadata, seams.classes)
    this.sealer = new ByteSealer({ ...seams, policyVersion: () => redundancy.policyVersion() })
  }

  report(): EncryptReport {
    const { doneBytes, totalBytes, unsealedFound, troubles, lastTroubles } = this
    const { named, count } = lastTroubles.count > troubles.count ? lastTroubles : troubles
    const isDone = unsealedFound === 0
    const bytes = { doneBytes: Math.min(doneBytes, totalBytes ?? 0), totalBytes }
    return { ...bytes, unsealedFound, isDone, troubles: [...named], troubleCount: count }
  }

  progress(): string {
    if (this.heldAtBegin === undefined) return "nothing to encrypt"
    const { doneBytes, totalBytes, isDone, troubleCount } = this.report()
    if (isDone) return "all objects are encrypted"
    if (totalBytes === undefined) return "counting"
    const percent = totalBytes === 0 ? 100 : Math.floor((100 * doneBytes) / totalBytes)
    const troubles = troubleCount === 0 ? "" : `; ${troubleCount} could not be encrypted yet`
    return `encrypted: ${percent} %, ${doneBytes} of ${totalBytes} bytes${troubles}`
  }

  /** Another process goes on: it would wait for the intent as long as this process runs. */
  async release(): Promise<void> {
    const { upload } = this
    if (upload === undefined) return
    await this.sealer.giveUp(upload)
    this.end(upload)
  }

  async step(signal: AbortSignal): Promise<StepOutcome> {
    if (!this.seams.hasWork()) {
      await this.release()
      this.forget()
      return "idle"
    }
    this.heldAtBegin ??= this.seams.uploads.heldNow()
    if (this.upload !== undefined) return this.continue(this.upload, signal)
    if (this.walk === undefined && this.nowMs < this.nextPassAtMs) return "idle"
    if (this.seams.bound.isOver(this.nowMs)) return "throttled"
    await this.walkFurther((this.walk ??= this.beginWalk(this.totalBytes === undefined)), signal)
    return "busy"
  }

  private get nowMs(): number {
    return this.seams.clock.monotonicMs()
  }

  private forget(): void {
    this.heldAtBegin = undefined
    this.walk = undefined
    this.nextPassAtMs = -Infinity
    this.totalBytes = undefined
    this.unsealedFound = undefined
    this.troubles = noTroubles()
    this.lastTroubles = noTroubles()
    this.retries = 0
  }

  private beginWalk(counts: boolean): Walk {
    this.waiting.clear()
    this.found = 0
    this.sealed = 0
    this.countedBytes = 0
    if (counts) this.doneBytes = 0
    else this.troubles = noTroubles()
    const isSettled = !(this.heldAtBegin ?? []).some(uploadId => this.seams.uploads.isHeld(uploadId))
    return { counts, isSettled, place: 0, from: ALL_OBJECT_ROWS.start, rows: 1 }
  }

  private async walkFurther(walk: Walk, signal: AbortSignal): Promise<void> {
    const family = ENCRYPT_PLACES[walk.place]
    // The last place was counted before.
    const isOver = family === undefined || (walk.counts && walk.place === ENCRYPT_PLACES.length - 1)
    if (isOver) return this.endWalk(walk)
    // Many that fail must not hide those behind them. Rows that share an upload are close together.
    if (this.waiting.size >= this.limits.waitingMax) this.waiting.clear()
    const { classes, metadata } = this.seams
    const { rows, next } = await metadata.ask(
      rowsToEncrypt(family, walk.from, { max: walk.rows, withClasses: classes.isAnyMapped }),
    )
    const payloads: FoundPayload[] = []
    let stoppedAt: RowKey | undefined
    for (const row of rows) {
      if (await this.visit(family, row, payloads, walk.counts, signal)) {
        stoppedAt = row.rowKey
        break
      }
    }
    await mapBounded(payloads, ENCRYPT_LIMITS.payloadsAtOnce, payload =>
      signal.aborted ? Promise.resolve() : this.sealPayload(payload),
    )
    const rowsMax = Math.min(2 * walk.rows, ENCRYPT_LIMITS.rowsPerStep)
    if (stoppedAt !== undefined) this.walk = { ...walk, from: stoppedAt, rows: 1 }
    else if (next !== undefined) this.walk = { ...walk, from: next, rows: rowsMax }
    else this.walk = { ...walk, place: walk.place + 1, from: ALL_OBJECT_ROWS.start }
  }

  private endWalk({ counts, isSettled }: Walk): void {
    this.walk = undefined
    if (counts) {
      this.totalBytes = this.countedBytes
      return
    }
    this.lastTroubles = this.troubles
    const { retryMs, retryMsMax, recheckMs } = ENCRYPT_LIMITS
    const isLast = isSettled && this.found === 0
    this.unsealedFound = isLast ? 0 : Math.max(1, this.found)
    this.retries = this.sealed > 0 ? 0 : this.retries + 1
    const restMs = isLast ? recheckMs : Math.min(retryMs * 2 ** this.retries, retryMsMax)
    const { count, lasting } = this.troubles
    this.nextPassAtMs = this.nowMs + (lasting === undefined ? restMs : 0)
    if (lasting !== undefined)
      throw new PassFailed(`${plural(count, "object")} could not be encrypted: ${lasting}`, restMs)
  }

  /** Counts a row, or encrypts what it has. True: it begins with an upload, and is to be visited again after it. */
  private async visit(
    family: EncryptFamily,
    row: EncryptRow,
    payloads: FoundPayload[],
    counts: boolean,
    signal: AbortSignal,
  ): Promise<boolean> {
    const { bucketId: bucket, key } = parseObjectRowKey(row.rowKey)
    const owner = { bucketId: parseBucketId(bucket), key }
    // Backups of the metadata are encrypted by what writes them.
    if (owner.bucketId === SYSTEM_BUCKET_ID && chunkOfKey(owner.key) !== undefined) return false
    const { unsealed, bytes, sealedBytes } = this.inspect({ row, owner }, family)
    if (counts) {
      this.countedBytes += bytes
      this.doneBytes += sealedBytes
      return false
    }
    for (const each of unsealed) {
      if (each.kind === "extent" && this.waiting.has(each.extent.uploadId)) continue
      this.found += 1
      if (each.kind === "source") return this.detach({ row, owner }, signal)
      // The objects that reference the bytes get their own first.
      else if (row.isReferenced) continue
      else if (each.kind === "payload") payloads.push({ row, owner, family, head: each.head })
      else if (each.kind === "upload") await this.sealOpenUpload({ row, owner }, each.of)
      else if (await this.begin({ row, owner, family }, each.extent, each.of)) return true
    }
    return false
  }

  /** A damaged row counts as one that is not encrypted. */
  private inspect(found: Found, family: EncryptFamily): InspectedRow {
    try {
      return inspectRow(family, found.row.rowKey, found.row.row)
    } catch (error) {
      this.note(found, error)
      this.found += 1
      return { unsealed: [], bytes: 0, sealedBytes: 0 }
    }
  }

  /** True: there may be more of it. */
  private async detach(found: Found, signal: AbortSignal): Promise<boolean> {
    try {
      const bytes = await detachSome(this.seams, found.row.rowKey, signal)
      if (bytes > 0) this.count(0)
      this.seams.bound.spend(bytes, this.nowMs)
      return bytes > 0
    } catch (error) {
      this.note(found, error)
      return false
    }
  }

  private async sealPayload({ row, owner, family, head }: FoundPayload): Promise<void> {
    try {
      if (!(await this.sealer.payload(owner, head, family, row))) return
      this.count(head.sizeBytes)
      this.seams.bound.spend(head.sizeBytes, this.nowMs)
    } catch (error) {
      this.note({ row, owner }, error)
    }
  }

  private async sealOpenUpload(found: Found, of: SharedBytes["of"]): Promise<void> {
    try {
      if ((await keyOfBytes(this.seams, { ...found.owner, of })) !== undefined) this.count(0)
    } catch (error) {
      this.note(found, error)
    }
  }

  /** Begins with an upload, unless it is being written, re-encoded or removed. */
  private async begin(found: FoundBytes, extent: Extent, of: SharedBytes["of"]): Promise<boolean> {
    const { uploads, redundancy } = this.seams
    const { uploadId } = extent
    this.waiting.add(uploadId)
    if (uploads.isHeld(uploadId)) return false
    // Hold the upload before reading its rows, so that nothing else changes it in between.
    uploads.hold(uploadId)
    try {
      const { chosen, ofClass } = found.row
      const otherwise = chosen ?? redundancy.policy()
      this.policies.nextStep()
      const policy = (await this.policies.of(ofClass, otherwise)) ?? otherwise
      const foundIn = { family: found.family, rowKey: found.row.rowKey }
      const begun = await this.sealer.begin({ bytes: { ...found.owner, of, foundIn }, extent, policy })
      if (begun !== undefined) this.upload = { ...begun, row: found.row }
      return begun !== undefined
    } catch (error) {
      this.note(found, error)
      return false
    } finally {
      if (this.upload === undefined) uploads.release(uploadId)
    }
  }

  /** Encrypts the next block, or does the swap that completes the upload. */
  private async continue(
    upload: SealingUpload & { readonly row: EncryptRow },
    signal: AbortSignal,
  ): Promise<StepOutcome> {
    const { bound, onHints } = this.seams
    const { from, to, name } = upload
    try {
      if (upload.remaining.length === 0) {
        await this.sealer.swap(upload)
        this.end(upload)
        this.waiting.delete(name.uploadId)
        this.count(from.lengthBytes)
        onHints(upload.hints)
        return "busy"
      }
      if (bound.isOver(this.nowMs)) return "throttled"
      const bytes = await this.sealer.writeBlock(upload, signal)
      bound.spend((bytes * shardCount(to.policy)) / shardsNeeded(to.policy), this.nowMs)
      return bytes === 0 ? "throttled" : "busy"
    } catch (error) {
      this.note({ row: upload.row, owner: name }, error)
      await this.abandon(upload)
      return outcomeAfter(error)
    }
  }

  private async abandon(upload: SealingUpload): Promise<void> {
    try {
      await this.sealer.giveUp(upload)
    } catch (error) {
      if (!isFailure(error)) throw error
      this.seams.log.debug("sealed_blocks_left", { upload: upload.name.uploadId, reason: error.message })
    } finally {
      this.end(upload)
    }
  }

  private end({ name }: SealingUpload): void {
    this.seams.uploads.release(name.uploadId)
    this.upload = undefined
  }

  private count(bytes: number): void {
    this.sealed += 1
    this.doneBytes += bytes
  }

  /** Throws the error if it is none of a single object. */
  private note({ row, owner }: Found, error: unknown): void {
    if (!isFailure(error)) throw error
    const { message }: Failure = error
    const trouble = { bucket: row.bucket ?? "", key: textOfObjectKey(owner.key), reason: message }
    this.seams.log.warn("object_not_encrypted", trouble)
    this.troubles.count += 1
    if (!isWaitedOut(error)) this.troubles.lasting ??= message
    if (this.troubles.named.length < ENCRYPT_LIMITS.troublesMax) this.troubles.named.push(trouble)
  }
}
