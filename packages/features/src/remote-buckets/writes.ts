/**
 * Writes to remote buckets. What a client writes is first a version of the bucket itself; then the remote gets it, and the version is
 * removed. So a write needs no second way of storing anything, and has an identity of its own, whatever is written to its key
 * meanwhile.
 *
 * Promises  While the remote is asked to change an object, and until the process knows how that ended, the cache says "changing"; at
 *           the end it says "changed", or has what was written. So no read that begins after a write gets what was there before.
 *           Versions are removed from the oldest on: no older one becomes the current one.
 */
import { fail, isFailure } from "@hayloft/base/failures.js"
import type { ObjectKey, VersionId } from "@hayloft/base/ids.js"
import { asPromise } from "@hayloft/base/soon.js"
import type { Bucket, Conditions, ObjectBody, ObjectInfo, Objects } from "@hayloft/objects/index.js"
import { limited, type TimeLimit } from "@hayloft/base/life/index.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { Log } from "@hayloft/base/seams/telemetry/contract.js"
import type { CachedEntry } from "@hayloft/engine/format/objects/remote-entry.js"
import type { RemoteBlocks } from "./blocks.js"
import type { RemoteCache } from "./cache.js"
import type { Origin, OriginObject, OriginUpload } from "./contract.js"
import { REMOTE_LIMITS } from "./limits.js"
import type { RemoteObjectRef } from "./reads.js"
import { bytesOfUpload, checkEtag, keepsEtag, orOvertaken, uploadOf, type UploadSource } from "./uploads.js"
import { keyOfVersion, versionsOf } from "./versions.js"

type WriteConditions = OriginUpload["conditions"]

interface WritesParts {
  readonly clock: Clock
  readonly log: Log
  readonly cache: RemoteCache
  readonly blocks: RemoteBlocks
  readonly objects: Pick<Objects, "get" | "parts" | "remove" | "listVersions">
  readonly originOf: (place: RemoteObjectRef) => Origin
  /** The longest time of a write-through; undefined: it takes as long as it takes. */
  readonly throughMsMax: number | undefined
  /** Fires when the store stops: a client that goes away does not end its write. */
  readonly signal: AbortSignal
}

/** The time in which a write may be sent. */
interface SendingTurn {
  readonly signal: AbortSignal
  /** Throws once it is over: the outcome does not count then, whatever the remote has answered. */
  check(): void
}

export class RemoteWrites {
  /** Versions that this process is about to send. */
  private readonly underWay = new Set<VersionId>()

  private readonly source: UploadSource
  private readonly untilStopped: SendingTurn

  constructor(private readonly parts: WritesParts) {
    this.source = { objects: parts.objects, signal: parts.signal }
    this.untilStopped = { signal: parts.signal, check: () => undefined }
  }

  /**
   * Sends a version to the remote, and removes it. Returns the remote's ETag; undefined: a later write has reached the remote, so that
   * this one is over. If the remote refuses it, or takes it too slowly, it is removed, and the failure thrown.
   */
  async sendOrDiscard(
    place: RemoteObjectRef,
    versionId: VersionId,
    conditions: WriteConditions,
  ): Promise<string | undefined> {
    this.underWay.add(versionId)
    try {
      return await limited(this.throughLimit(), [this.parts.signal], async signal => {
        await this.checkFirst(place, conditions)
        return this.send(place, versionId, conditions, { ...this.untilStopped, signal })
      })
    } catch (error) {
      const hasConditions = conditions.ifMatch !== undefined || conditions.ifNoneMatch !== undefined
      if (isOvertaken(error) && !hasConditions) return undefined
      await this.discard(place, versionId)
      throw error
    } finally {
      this.underWay.delete(versionId)
    }
  }

  /** The write ends before another process removes its version, which would look as if a later write had overtaken it. */
  private throughLimit(): TimeLimit {
    const { clock, throughMsMax = Infinity } = this.parts
    const message = `The remote has not taken the object within ${throughMsMax / 3_600_000} hours.`
    return { clock, durationMs: throughMsMax, late: () => fail("remoteUnavailable", { message }) }
  }

  isUnderWay(versionId: VersionId): boolean {
    return this.underWay.has(versionId)
  }

  /** Sends a version to the remote, and removes it with all older ones. Returns the remote's ETag. */
  async send(
    place: RemoteObjectRef,
    versionId: VersionId,
    conditions: WriteConditions,
    turn: SendingTurn,
  ): Promise<string> {
    const { cache, objects, originOf } = this.parts
    const { space, key, bucket, setting } = place
    const tag = await cache.mark(space, key, "changing")
    const { info, etag } = await this.changing(place, async () => {
      const { info } = await this.headOf(objects, bucket, key, versionId)
      const upload = { ...(await uploadOf({ objects, signal: turn.signal }, place, info)), conditions }
      const { etag } = await originOf(place).put(key, upload, turn.signal)
      turn.check()
      if (!setting.opaqueEtags && keepsEtag(upload, info)) checkEtag(etag, info.etag)
      return { info, etag }
    })
    const isCached = tag !== undefined && (await this.cacheWritten(place, info, etag, tag))
    if (!isCached) await cache.mark(space, key, "changed")
    await this.removeUpTo(bucket, key, versionId)
    return etag
  }

  async remove(
    place: RemoteObjectRef,
    conditions: Pick<Conditions, "ifMatch">,
    turn: SendingTurn = this.untilStopped,
  ): Promise<void> {
    const { space, key } = place
    const { cache, originOf } = this.parts
    const there = await this.checkFirst(place, conditions)
    // A remote may not know lists, nor "*".
    const ifMatch = conditions.ifMatch && there && [there.etag]
    await cache.mark(space, key, "changing")
    await this.changing(place, async () => {
      await originOf(place).remove(key, { ifMatch }, turn.signal)
      turn.check()
    })
    await cache.mark(space, key, "changed")
  }

  /** Asks the remote for a change. Unless that is refused, it may still come: what is read is not cached for a while. */
  private async changing<Result>({ space, key }: RemoteObjectRef, ask: () => Promise<Result>): Promise<Result> {
    try {
      return await ask()
    } catch (error) {
      const isOver = isOvertaken(error) || isFailure(error, "preconditionFailed", "noSuchKey", "remoteRefused")
      await this.parts.cache.mark(space, key, isOver ? "changed" : "changing")
      throw error
    }
  }

  /** Marks an object whose cached bytes may not be those that the remote has. */
  async mark({ space, key }: RemoteObjectRef): Promise<void> {
    await this.parts.cache.mark(space, key, "changed")
  }

  /** A deletion that was pending, as the delete marker `versionId`. */
  async sendRemoval(place: RemoteObjectRef, versionId: VersionId, turn: SendingTurn): Promise<void> {
    await this.remove(place, {}, turn)
    await this.removeUpTo(place.bucket, place.key, versionId)
  }

  private async headOf(
    objects: Pick<Objects, "get">,
    bucket: Bucket,
    key: ObjectKey,
    versionId: VersionId,
  ): Promise<ObjectBody> {
    const request = { bucket, key, versionId, headersOnly: true, isForServer: true, conditions: {} }
    const body = await asPromise(() => objects.get(request)).catch(orOvertaken)
    body.close()
    return body
  }

  /** Not all stores know conditions of writes: what can be seen before is refused here. */
  private async checkFirst(
    place: RemoteObjectRef,
    { ifMatch, ifNoneMatch }: WriteConditions,
  ): Promise<OriginObject | undefined> {
    if (ifMatch === undefined && ifNoneMatch === undefined) return undefined
    const there = await this.parts
      .originOf(place)
      .head(place.key, this.parts.signal)
      .catch((error: unknown) => {
        if (isFailure(error, "noSuchKey")) return undefined
        throw error
      })
    if (ifNoneMatch !== undefined && there !== undefined && names(ifNoneMatch, there.etag))
      throw fail("preconditionFailed", { condition: "If-None-Match" })
    if (ifMatch === undefined) return there
    if (there === undefined) throw fail("noSuchKey")
    if (!names(ifMatch, there.etag)) throw fail("preconditionFailed", { condition: "If-Match" })
    return there
  }

  /** Caches what was written, if the remote still has it. Returns whether the entry that had this tag is replaced. */
  private async cacheWritten(place: RemoteObjectRef, info: ObjectInfo, etag: string, tag: string): Promise<boolean> {
    const { cache, clock, originOf, signal, log } = this.parts
    const { key, space } = place
    try {
      const object = await originOf(place).head(key, signal)
      if (object.etag !== etag || object.sizeBytes !== info.sizeBytes) return false
      const entry = cache.entryOf(object, clock.wallMs())
      if ((await cache.replace(space, key, entry, tag)) === undefined) return false
      if (info.sizeBytes > REMOTE_LIMITS.writtenCachedBytesMax) return true
      await this.copyBlocks(place, info, entry)
      return true
    } catch (error) {
      if (!isFailure(error)) throw error
      log.debug("remote_write_not_cached", { reason: error.message })
      return false
    }
  }

  /** Copies blocks to the cache while there is room in memory and in the cache. */
  private async copyBlocks(
    place: RemoteObjectRef,
    { sizeBytes, versionId }: ObjectInfo,
    entry: CachedEntry,
  ): Promise<void> {
    const { blocks, cache } = this.parts
    const { blockBytes } = cache
    for (let block = 0; block * blockBytes < sizeBytes && !blocks.isBusy(place.setting.store); block += 1) {
      const first = block * blockBytes
      const lengthBytes = Math.min(blockBytes, sizeBytes - first)
      const isCached = await blocks.withSlot(place.setting.store, this.parts.signal, async () => {
        const bytes = Buffer.allocUnsafe(lengthBytes)
        let at = 0
        for await (const piece of bytesOfUpload(this.source, place, versionId, { first, lengthBytes })) {
          bytes.set(piece, at)
          at += piece.length
        }
        return cache.putBlock(place.space, entry, block, bytes)
      })
      if (!isCached) return
    }
  }

  /** A write that the remote does not have: an older version becomes the current one again. */
  private async discard({ bucket, key }: RemoteObjectRef, versionId: VersionId): Promise<void> {
    try {
      await this.parts.objects.remove({ bucket, key, versionId, conditions: {} })
    } catch (error) {
      if (!isFailure(error)) throw error
      this.parts.log.warn("remote_write_not_discarded", { bucket: bucket.name, reason: error.message })
    }
  }

  /** Removes this version and all older ones. */
  private async removeUpTo(bucket: Bucket, key: ObjectKey, upTo: VersionId): Promise<void> {
    const { objects } = this.parts
    const ids: VersionId[] = []
    let isOlder = false
    for await (const version of versionsOf(objects, bucket, { prefix: key })) {
      // Longer keys follow.
      if (keyOfVersion(version) !== key) break
      isOlder ||= version.versionId === upTo
      if (isOlder) ids.push(version.versionId)
    }
    for (const versionId of ids.toReversed()) await objects.remove({ bucket, key, versionId, conditions: {} })
  }
}

const isOvertaken = (error: unknown): boolean => isFailure(error) && error.details["overtaken"] === true

const names = (list: readonly string[], etag: string): boolean => list.includes("*") || list.includes(etag)
