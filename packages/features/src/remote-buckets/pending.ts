/**
 * Pending writes of buckets with write-back: versions of the bucket that the remote does not have yet, sent one key after the other.
 *
 * Promises  A pending write is sent until the remote has it. Of a key the newest version is sent; older ones were never needed.
 *           One process sends those of a bucket, so that an older version does not arrive after a newer one: who loses the lease
 *           ends the requests under way. A remote may apply one that it had received whole.
 * Limits    `pendingKeysConcurrent` keys at a time; after a failure the bucket waits, up to `retryMostMs`.
 */
import { AssertionError } from "@hayloft/base/assert.js"
import { asFailure, isFailure, sentenceOf } from "@hayloft/base/failures.js"
import type { BucketId, ObjectKey, VersionId } from "@hayloft/base/ids.js"
import { FailuresInARow, mapBounded, Rest, type BackgroundService } from "@hayloft/base/life/index.js"
import { shownDueTimeMs, type Core } from "@hayloft/objects/door/index.js"
import type { Bucket, Objects } from "@hayloft/objects/index.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { Log, Metrics } from "@hayloft/base/seams/telemetry/contract.js"
import { keepLatest } from "@hayloft/base/keep-latest.js"
import type { PendingWrite, RemoteSetting } from "./contract.js"
import { REMOTE_LIMITS } from "./limits.js"
import type { RemoteObjectRef } from "./reads.js"
import { SenderTurn } from "./sender-turn.js"
import { keyOfVersion, latestOf, type RemoteVersion } from "./versions.js"
import type { RemoteWrites } from "./writes.js"

interface PendingParts {
  readonly clock: Clock
  readonly storeClock: Pick<Core["storeClock"], "shownMs" | "isDoubtful">
  readonly log: Log
  readonly metrics: Metrics
  readonly objects: Pick<Objects, "listVersions" | "remove">
  readonly writes: RemoteWrites
  readonly remoteBuckets: () => Promise<readonly Bucket[]>
  readonly settingOf: (bucket: Bucket) => Promise<RemoteSetting | undefined>
  /** Returns true if nothing is sent until an operator says so. */
  readonly isHeld: (bucket: Bucket) => Promise<boolean>
  readonly placeOf: (setting: RemoteSetting, bucket: Bucket, key: ObjectKey) => RemoteObjectRef
  /** Other processes write to the same buckets. */
  readonly isShared: boolean
  /** Returns true if this process sends them. */
  readonly isSender: () => boolean
}

interface Waiting {
  readonly untilMs: number
  readonly failures: number
}

const PAGE = 1_000

export class PendingWrites implements BackgroundService {
  readonly name = "remote-pending"
  private readonly troubles = new Map<string, string>()
  private readonly waiting = new Map<BucketId, Waiting>()
  /** The log tells of these. */
  private readonly heldBuckets = new Set<BucketId>()
  private readonly rest: Rest
  private counts = new Map<BucketId, number>()

  private readonly failures: FailuresInARow

  constructor(private readonly parts: PendingParts) {
    this.failures = new FailuresInARow(this.name, parts)
    this.rest = new Rest(parts.clock)
  }

  /** Keys with pending writes, as of the last look of this process, if it sends them. */
  get count(): number {
    return [...this.counts.values()].reduce((sum, count) => sum + count, 0)
  }

  /** A write has become pending. */
  wake(): void {
    this.rest.wake()
  }

  /** The writes of a bucket are not held any more. */
  resumed(id: BucketId): void {
    this.heldBuckets.delete(id)
    this.waiting.delete(id)
    this.wake()
  }

  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        if (this.parts.isSender()) await this.round(signal)
        else this.counts.clear()
        this.failures.succeeded()
      } catch (error) {
        if (!isFailure(error)) throw error
        this.failures.failed(error)
      }
      await this.rest.until(Math.max(this.failures.restMs, REMOTE_LIMITS.pendingPollMs), signal)
    }
  }

  /** Sends what is pending in all buckets, while this process is the sender. */
  async round(signal: AbortSignal): Promise<void> {
    const { clock, isSender } = this.parts
    const turn = new SenderTurn(clock, signal, isSender)
    try {
      await this.roundIn(turn)
    } finally {
      turn.end()
    }
  }

  private async roundIn(turn: SenderTurn): Promise<void> {
    const { clock, remoteBuckets, settingOf, isHeld } = this.parts
    const counts = new Map<BucketId, number>()
    for (const bucket of await remoteBuckets()) {
      if (turn.isOver) return
      const setting = await settingOf(bucket)
      if (setting === undefined) continue
      if (setting.writes === "Through") await this.removeAbandoned(bucket, setting, turn)
      else if (clock.monotonicMs() < (this.waiting.get(bucket.id)?.untilMs ?? -Infinity))
        counts.set(bucket.id, this.counts.get(bucket.id) ?? 0)
      else if (await isHeld(bucket)) counts.set(bucket.id, await this.countHeld(bucket))
      else counts.set(bucket.id, await this.send(bucket, setting, turn))
    }
    this.counts = counts
  }

  private async countHeld(bucket: Bucket): Promise<number> {
    let count = 0
    for await (const page of this.latest(bucket)) count += page.length
    if (count > 0 && !this.heldBuckets.has(bucket.id))
      this.parts.log.warn("remote_write_pending", { bucket: bucket.name, reason: HELD })
    this.heldBuckets.add(bucket.id)
    this.wait(bucket.id)
    return count
  }

  /** Returns the number of keys that are still pending. */
  private async send(bucket: Bucket, setting: RemoteSetting, turn: SenderTurn): Promise<number> {
    let left = 0
    let isUnavailable = false
    for await (const page of this.latest(bucket)) {
      if (turn.isOver || isUnavailable) {
        left += page.length
        continue
      }
      await mapBounded(page, REMOTE_LIMITS.pendingKeysConcurrent, async entry => {
        if (turn.isOver || isUnavailable) return void (left += 1)
        const failure = await this.sendOne(bucket, setting, entry, turn)
        if (failure === undefined) return
        left += 1
        isUnavailable ||= failure === "remoteUnavailable"
      })
    }
    if (left === 0) this.waiting.delete(bucket.id)
    else if (!turn.isOver) this.wait(bucket.id)
    return left
  }

  private wait(id: BucketId): void {
    const { retryFirstMs, retryMostMs } = REMOTE_LIMITS
    const failures = (this.waiting.get(id)?.failures ?? 0) + 1
    const waitMs = Math.min(retryMostMs, retryFirstMs * 2 ** Math.min(failures - 1, 16))
    this.waiting.set(id, { untilMs: this.parts.clock.monotonicMs() + waitMs, failures })
  }

  /** Returns the kind of the failure, if there is one. */
  private async sendOne(
    bucket: Bucket,
    setting: RemoteSetting,
    entry: RemoteVersion,
    turn: SenderTurn,
  ): Promise<string | undefined> {
    const { writes, placeOf, log } = this.parts
    const key = keyOfVersion(entry)
    const place = placeOf(setting, bucket, key)
    const name = nameOfVersion(bucket, entry.versionId)
    try {
      if (entry.kind === "marker") await writes.sendRemoval(place, entry.versionId, turn)
      else await writes.send(place, entry.versionId, {}, turn)
      this.troubles.delete(name)
      return undefined
    } catch (error) {
      if (turn.isOver) return "stopping"
      if (error instanceof AssertionError) throw error
      const failure = asFailure(error)
      // It was replaced, and the newer version is sent in the next round.
      if (failure.details["overtaken"] === true || failure.kind === "noSuchBucket") return undefined
      if (!this.troubles.has(name)) log.warn("remote_write_pending", { bucket: bucket.name, reason: failure.message })
      keepLatest(this.troubles, name, sentenceOf(failure), REMOTE_LIMITS.troublesMax)
      return failure.kind
    }
  }

  /**
   * Removes versions whose process died before the remote had them: they were never acknowledged. A node whose clock is ahead
   * does not take writes of other nodes that are under way for abandoned ones.
   */
  private async removeAbandoned(bucket: Bucket, setting: RemoteSetting, turn: SenderTurn): Promise<void> {
    const { objects, writes, isShared, placeOf } = this.parts
    const { abandonedMs, abandonedByOthersMs } = REMOTE_LIMITS
    const nowMs = shownDueTimeMs(this.parts)
    if (nowMs === undefined) return
    for await (const entry of latestOf(objects, bucket)) {
      if (turn.isOver) return
      const writtenMs = entry.kind === "version" ? entry.writtenMs : entry.lastModifiedMs
      const isYoung = nowMs - writtenMs < (isShared ? abandonedByOthersMs : abandonedMs)
      if (isYoung || writes.isUnderWay(entry.versionId)) continue
      // The remote may have it or not.
      await writes.mark(placeOf(setting, bucket, keyOfVersion(entry)))
      await objects.remove({ bucket, key: keyOfVersion(entry), versionId: entry.versionId, conditions: {} })
    }
  }

  /** Up to `max` pending writes of a bucket, in the order of their keys. */
  async list(bucket: Bucket, max: number): Promise<readonly PendingWrite[]> {
    const found: PendingWrite[] = []
    const held = (await this.parts.isHeld(bucket)) ? HELD : undefined
    for await (const entry of latestOf(this.parts.objects, bucket)) {
      if (found.length >= max) return found
      const lastError = held ?? this.troubles.get(nameOfVersion(bucket, entry.versionId))
      const written = { key: keyOfVersion(entry), lastError }
      found.push(
        entry.kind === "marker"
          ? { ...written, kind: "delete", sizeBytes: 0, sinceMs: entry.lastModifiedMs }
          : { ...written, kind: "put", sizeBytes: entry.object.sizeBytes, sinceMs: entry.writtenMs },
      )
    }
    return found
  }

  /** The latest version of each key, some at a time. */
  private async *latest(bucket: Bucket): AsyncGenerator<readonly RemoteVersion[]> {
    let some: RemoteVersion[] = []
    for await (const version of latestOf(this.parts.objects, bucket)) {
      if (some.push(version) < PAGE) continue
      yield some
      some = []
    }
    yield some
  }
}

const HELD = "rows were lost: nothing is sent until hayloft remote resume, since the remote may have newer objects"

const nameOfVersion = ({ id }: Bucket, versionId: VersionId): string => `${id} ${versionId}`
