/**
 * Write queue: group commit of a device's needles.
 *
 * Appends that wait together share one write; while one write is under way the next group collects. Unhurried needles,
 * for which no request waits (copies by compaction, rebuilt shards), travel in the same groups, in front of the others
 * and in order of arrival; each group with others has a bounded number of their bytes, so that neither side starves the
 * other.
 *
 * Promises  Groups are written one at a time, and each is reported (`QueueOwner.written`) before the next is assembled:
 *           in the volumes and in the index the last one wins.
 * Refuses   Appends beyond the limits (`tooManyInFlight`), and everything after a write failed for another reason than
 *           a full disk (`deviceFailed`).
 * Limits    VolumeLimits.
 */
import { must } from "@hayloft/base/assert.js"
import type { Failure } from "@hayloft/base/failures.js"
import { isShortage } from "@hayloft/base/space/full-disk-core.js"
import { asFailure, fail, isFailure } from "@hayloft/base/failures.js"
import type { RowKey, VolumeId } from "@hayloft/base/ids.js"
import { parseVolumeId } from "@hayloft/base/ids.js"
import type { NeedleHeader, NeedlePlace } from "../format/needles/needle.js"
import { needleKeyOf } from "../format/needles/needle.js"
import type { VolumePosition } from "../format/needles/volume.js"
import { mapBounded } from "@hayloft/base/life/index.js"
import type { EncodedNeedle } from "./group-core.js"
import { groupBytes, groupCount, needleBytes } from "./group-core.js"
import type { VolumeLimits } from "./limits.js"
import type { VolumeWriter } from "./writer.js"

/** After so many writes of unhurried needles alone, no request is there to be delayed. */
const QUIET_GROUPS = 8

/** A needle that is written as it is stored in another volume. */
export interface NeedleCopy extends EncodedNeedle {
  readonly decoded: NeedleHeader
  /**
   * Called right before the write, unless the write contains a newer copy of the same needle; the index entry does not
   * change from then until it points at the copy.
   */
  isWanted(): boolean
}

interface QueueOwner {
  /** A volume begins: its header is durable. */
  began(volumeId: VolumeId): void
  /** Brings the rows that `written` will look up into memory, while the write is under way. */
  prepare(headers: readonly NeedleHeader[]): Promise<void> | undefined
  /** The group is durable. */
  written(headers: readonly NeedleHeader[], places: readonly NeedlePlace[], after: VolumePosition): void
}

interface Queued extends EncodedNeedle {
  readonly decoded: NeedleHeader
  readonly bytes: number
  /** It is undefined unless the needle is a copy. */
  readonly isWanted: (() => boolean) | undefined
  done(outcome: Failure | "written" | "unwanted"): void
}

export class WriteQueue {
  private readonly appends: Queued[] = []
  private readonly unhurried: Queued[] = []
  /** How many groups have been written since one that a request waited for. */
  private quietGroups = 0
  private appendedBytes = 0
  /** Waiting requests for a new volume. */
  private begins: ((failure?: Failure) => void)[] = []
  /** Waiting requests to leave the open volume. */
  private leaves: (() => void)[] = []
  private writing: Promise<void> | undefined
  /** The reason why no more needles are accepted. */
  private refusal: Failure | undefined

  constructor(
    private readonly writer: VolumeWriter,
    private readonly owner: QueueOwner,
    private readonly limits: VolumeLimits,
    private lastVolume: number,
  ) {}

  get refusing(): Failure | undefined {
    return this.refusal
  }

  /** Everything before it is durable. */
  get position(): VolumePosition | undefined {
    return this.writer.position
  }

  /** Resolves when the needle is durable, and its owner was notified. */
  async append(decoded: NeedleHeader, body: Uint8Array): Promise<void> {
    if (this.refusal !== undefined) throw this.refusal
    const header = this.writer.encode(decoded)
    const bytes = header.length + body.length
    const { appendsQueuedMax, appendBytesQueuedMax } = this.limits
    const full = this.appends.length >= appendsQueuedMax || this.appendedBytes + bytes > appendBytesQueuedMax
    if (full && this.appends.length > 0) {
      throw fail("tooManyInFlight", { queued: this.appends.length, bytes: this.appendedBytes })
    }
    this.appendedBytes += bytes
    await this.enqueue(this.appends, { decoded, header, body, bytes, isWanted: undefined })
  }

  /**
   * Resolves with the number of copies that were still wanted, and are durable. The caller bounds the bytes of its
   * concurrent copies. Throws `deviceFull`, `deviceFailed`; then some may have been written.
   */
  async copy(copies: readonly NeedleCopy[]): Promise<number> {
    const outcomes = await mapBounded(copies, this.limits.groupNeedlesMax, copy => {
      const { decoded, header, body } = copy
      const isWanted = (): boolean => copy.isWanted()
      return this.enqueue(this.unhurried, { decoded, header, body, bytes: needleBytes(copy), isWanted })
    })
    return outcomes.filter(outcome => outcome === "written").length
  }

  /** Appends a needle like `append`, but one that no request waits for. The caller bounds the bytes. */
  async appendUnhurried(decoded: NeedleHeader, body: Uint8Array): Promise<void> {
    const header = this.writer.encode(decoded)
    await this.enqueue(this.unhurried, {
      decoded,
      header,
      body,
      bytes: header.length + body.length,
      isWanted: undefined,
    })
  }

  /** Begins a new volume although the open one has space. Throws `deviceFull`, `deviceFailed`. */
  async beginVolume(): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.begins.push(failure => (failure === undefined ? resolve() : reject(failure)))
      this.start()
    })
  }

  /** Leaves the open volume: the next needle begins a new one, and until then nothing is written. */
  async leaveVolume(): Promise<void> {
    await new Promise<void>(resolve => {
      this.leaves.push(resolve)
      this.start()
    })
  }

  /** Writes needles immediately, before any append. */
  async writeFirst(needles: readonly EncodedNeedle[]): Promise<readonly NeedlePlace[]> {
    await this.makeRoom(0)
    return this.writer.write(needles)
  }

  /** Writes what waits, and accepts nothing more. */
  async stop(): Promise<void> {
    this.refusal ??= fail("stopping")
    await this.writing
    await this.writer.leave()
  }

  private enqueue(queue: Queued[], needle: Omit<Queued, "done">): Promise<"written" | "unwanted"> {
    if (this.refusal !== undefined) return Promise.reject(this.refusal)
    return new Promise((resolve, reject) => {
      queue.push({ ...needle, done: outcome => (typeof outcome === "string" ? resolve(outcome) : reject(outcome)) })
      this.start()
    })
  }

  private start(): void {
    this.writing ??= this.writeAll()
  }

  /** Writes group after group until nothing waits. Never rejects: each needle receives its own outcome. */
  private async writeAll(): Promise<void> {
    // Appends of the same event-loop turn share the first write.
    await Promise.resolve()
    while (this.begins.length + this.leaves.length + this.unhurried.length + this.appends.length > 0) {
      if (this.begins.length > 0) await this.beginWaiting()
      if (this.leaves.length > 0) await this.leaveWaiting()
      const unhurried = this.takeUnhurried()
      const appends = this.takeAppends(this.limits.groupNeedlesMax - unhurried.length)
      this.quietGroups = appends.length > 0 ? 0 : this.quietGroups + 1
      const group = [...unhurried, ...appends]
      if (group.length === 0) continue
      const outcome = await this.writeGroup(group)
      for (const needle of group) needle.done(outcome)
    }
    this.writing = undefined
  }

  private async beginWaiting(): Promise<void> {
    const waiting = this.begins.splice(0)
    let failure = this.refusal
    try {
      if (failure === undefined) await this.begin()
    } catch (error) {
      failure = this.refuseAfter(error)
    }
    for (const done of waiting) done(failure)
  }

  private async leaveWaiting(): Promise<void> {
    const waiting = this.leaves.splice(0)
    await this.writer.leave()
    for (const done of waiting) done()
  }

  /** A bounded number of needles from the front that are still wanted. */
  private takeUnhurried(): Queued[] {
    if (this.unhurried.length === 0) return []
    const { groupNeedlesMax, groupBytesMax, copyBytesPerGroupMax } = this.limits
    const needlesMax = this.appends.length > 0 ? Math.ceil(groupNeedlesMax / 2) : groupNeedlesMax
    const isQuiet = this.appends.length === 0 && this.quietGroups >= QUIET_GROUPS
    const bytesMax = isQuiet ? groupBytesMax : copyBytesPerGroupMax
    const count = groupCount(this.unhurried, { needlesMax, bytesMax })
    const before = new Set<RowKey>()
    return this.unhurried.splice(0, count).filter(needle => this.isStillWanted(needle, before))
  }

  /**
   * Resolves the needle with the reason if it is not to be written: the index may be on a disk that no longer answers.
   * `before`: needles in front of it in the same write, which the index does not contain yet.
   */
  private isStillWanted(needle: Queued, before: Set<RowKey>): boolean {
    const { decoded, isWanted } = needle
    try {
      const key = decoded.kind === "payload" ? undefined : needleKeyOf(decoded.id)
      const isOutdated = isWanted !== undefined && key !== undefined && before.has(key)
      if (!isOutdated && isWanted?.() !== false) {
        if (key !== undefined) before.add(key)
        return true
      }
      needle.done("unwanted")
    } catch (error) {
      needle.done(asFailure(error))
    }
    return false
  }

  private takeAppends(needlesMax: number): Queued[] {
    if (this.appends.length === 0 || needlesMax === 0) return []
    const count = groupCount(this.appends, { needlesMax, bytesMax: this.limits.groupBytesMax })
    const group = this.appends.splice(0, count)
    this.appendedBytes -= group.reduce((sum, { bytes }) => sum + bytes, 0)
    return group
  }

  /** Needles that were waiting when a write failed are not written behind it. */
  private get canWrite(): boolean {
    return this.refusal === undefined || isFailure(this.refusal, "stopping")
  }

  private async writeGroup(group: readonly Queued[]): Promise<Failure | "written"> {
    if (!this.canWrite) return must(this.refusal, "there is a reason")
    const headers = group.map(({ decoded }) => decoded)
    try {
      const prepared = this.owner.prepare(headers)?.catch(() => undefined)
      await this.makeRoom(groupBytes(group.reduce((sum, { bytes }) => sum + bytes, 0)))
      const places = await this.writer.write(group)
      if (prepared) await prepared
      this.owner.written(headers, places, must(this.writer.position, "a volume is open"))
      return "written"
    } catch (error) {
      return this.refuseAfter(error)
    }
  }

  private refuseAfter(error: unknown): Failure {
    const failure = asFailure(error)
    if (!isShortage(failure)) this.refusal = failure
    return failure
  }

  /** Begins a new volume if none is open, or if the group would make the open one too long. */
  private async makeRoom(groupLengthBytes: number): Promise<void> {
    const end = (this.writer.position?.offsetBytes ?? 0) + groupLengthBytes
    const isFresh = this.writer.position?.groups === 0
    if (!this.writer.isOpen || (end > this.limits.volumeBytesMax && !isFresh)) await this.begin()
  }

  private async begin(): Promise<void> {
    this.lastVolume += 1
    const volumeId = parseVolumeId(this.lastVolume)
    await this.writer.begin(volumeId)
    this.owner.began(volumeId)
  }
}
