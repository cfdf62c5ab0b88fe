/**
 * Results of bucket rules, kept so that they are computed once.
 *
 * Promises  A result is only used for the version it was made of, by the same steps in the same versions: its name is a hash
 *           of all of that. What a reader may not read of the original, it gets of no result, since the original is opened
 *           first. Results of objects that no longer exist are removed within a day, as are those that are older than
 *           `keptMs`.
 * Limits    `sizeBytesMax` in all, as far as this process knows, and less while disks are full; what exceeds it is made at each
 *           request. The oldest results are removed while a disk is full, and once a day if hardly any room is left.
 */
import { isFailure, type FailureKind } from "@hayloft/base/failures.js"
import {
  objectKeyOfText,
  parseBucketName,
  parseVersionId,
  type BucketId,
  type ObjectKey,
  type VersionId,
} from "@hayloft/base/ids.js"
import { MIB } from "@hayloft/base/limits.js"
import type {
  Bucket,
  ByteRange,
  NewStored,
  ObjectBody,
  ObjectInfo,
  Objects,
  StoredObjects,
  UserMetadata,
} from "@hayloft/objects/index.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { Log, Metrics } from "@hayloft/base/seams/telemetry/contract.js"
import { CacheRoom, Eviction, type EvictableItem } from "../eviction/index.js"

export const RESULTS_PREFIX = "transforms/results/"

const DAY_MS = 24 * 60 * 60_000
const RESULTS_LIMITS = { sweepEveryMs: DAY_MS, keptMs: 30 * DAY_MS, growthBytes: MIB } as const

/** The version from which a result was computed. */
export interface ResultOf {
  readonly bucket: Pick<Bucket, "id" | "name">
  readonly key: ObjectKey
  readonly versionId: VersionId
  /** ETag of the original, since versions without an id share the id "null". */
  readonly etag: string
}

/** The type of kept bytes, and whether they have the coding of their pipeline. */
export interface KeptBytes {
  readonly type: string
  readonly coded: boolean
}

/** A cached result, or the reason why the steps were skipped. */
type KeptResult = KeptBytes | { readonly skipped: string }

interface OpenResult {
  readonly body: ObjectBody
  readonly result: KeptResult
  readonly sizeBytes: number
}

interface ResultParts {
  readonly clock: Clock
  readonly log: Log
  readonly metrics: Metrics
  readonly stored: StoredObjects
  readonly objects: Pick<Objects, "get">
  readonly openBucket: (name: Bucket["name"]) => Promise<Bucket>
  /** Returns true if this process removes outdated results. */
  readonly isWriter: () => boolean
  /** Returns true if the store refuses writes, since a disk is full. */
  readonly isStoreFull: () => boolean
  readonly sizeBytesMax: number
}

interface StoredResult extends EvictableItem {
  readonly name: string
}

export class Results {
  private readonly room: CacheRoom
  private count = 0
  /** When a whole sweep of this process last looked for results without an original: it reads all of them. */
  private checkedMs = -Infinity
  private checksOriginals = false
  readonly eviction: Eviction<StoredResult>

  constructor(private readonly parts: ResultParts) {
    const { clock, log, metrics, sizeBytesMax, isStoreFull } = parts
    const { sweepEveryMs, growthBytes } = RESULTS_LIMITS
    const room = (this.room = new CacheRoom(sizeBytesMax, growthBytes))
    this.eviction = new Eviction({
      name: "transform-results",
      clock,
      log,
      metrics,
      room,
      sweepEveryMs,
      isStoreFull,
      items: () => this.items(),
      remove: item => this.remove(item),
      outdated: async () => this.outdated(),
      mayGo: () => true,
      onSwept: ({ count, outdated }) => {
        this.count = count
        if (this.checksOriginals) this.checkedMs = clock.monotonicMs()
        if (outdated > 0) log.info("transform_results_removed", { removed: outdated })
      },
    })
  }

  report() {
    const { sizeBytes, limitBytes } = this.room
    return { sizeBytes, sizeBytesMax: Math.floor(limitBytes), count: this.count }
  }

  /**
   * Opens a cached result, or a range of it; the caller reads or closes the body. Returns undefined if there is none that can be
   * read now, so that the caller computes it again.
   */
  async open({ bucket }: ResultOf, id: string, range: ByteRange | undefined): Promise<OpenResult | undefined> {
    const asked = range && { kind: "fromTo" as const, first: range.first, last: range.first + range.lengthBytes - 1 }
    const name = nameOfResult(bucket.id, id)
    try {
      const body = await this.parts.stored.open(name, { range: asked })
      if (body === undefined) return undefined
      const { userMetadata, sizeBytes } = body.info
      return { body: this.watched(name, body), result: keptOf(userMetadata), sizeBytes }
    } catch (error) {
      if (!isFailure(error)) throw error
      this.parts.log.debug("transform_result_not_read", { name, reason: error.message })
      return undefined
    }
  }

  /** A result that is damaged or lost here is removed when that shows, so that the next request computes it again. */
  private watched(name: string, body: ObjectBody): ObjectBody {
    const chargedBytes = this.room.chargeOf(body.info.sizeBytes)
    const noteFailure = async (error: unknown): Promise<void> => {
      if (!isFailure(error) || error.remedy !== "repair") return
      this.parts.log.debug("transform_result_not_read", { name, reason: error.message })
      try {
        await this.remove({ name, chargedBytes })
      } catch (failure) {
        // The next reader tries it again.
        if (!isFailure(failure)) throw failure
      }
    }
    return {
      info: body.info,
      range: body.range,
      partChecksum: body.partChecksum,
      whole: body.whole,
      lend: () => body.lend(),
      close: () => body.close(),
      async *read(signal, pieces) {
        try {
          yield* body.read(signal, pieces)
        } catch (error) {
          await noteFailure(error)
          throw error
        }
      },
    }
  }

  /** Keeps a result if there is room for it. Returns whether it is kept. */
  async put(of: ResultOf, id: string, bytes: Uint8Array, result: KeptResult, sealed: boolean): Promise<boolean> {
    if (!this.room.fits(bytes.length)) return false
    const encryption: NewStored["encryption"] = sealed ? { mode: "atRest" } : undefined
    try {
      await this.parts.stored.put(nameOfResult(of.bucket.id, id), {
        bytes,
        userMetadata: metadataOf(of, result),
        encryption,
      })
    } catch (error) {
      // A full store still answers.
      if (!isFailure(error)) throw error
      this.parts.log.debug("transform_result_not_kept", { reason: error.message })
      return false
    }
    this.room.sizeBytes += this.room.chargeOf(bytes.length)
    this.count += 1
    return true
  }

  private async *items(): AsyncGenerator<StoredResult> {
    for await (const { name, sizeBytes, lastModifiedMs: usedMs } of this.parts.stored.list())
      yield { name, usedMs, chargedBytes: this.room.chargeOf(sizeBytes) }
  }

  private async remove({ name, chargedBytes }: Pick<StoredResult, "name" | "chargedBytes">): Promise<void> {
    await this.parts.stored.remove(name)
    this.room.sizeBytes -= chargedBytes
    this.count -= 1
  }

  private outdated() {
    const { clock, isWriter } = this.parts
    const { sweepEveryMs, keptMs } = RESULTS_LIMITS
    const checksOriginals = isWriter() && clock.monotonicMs() - this.checkedMs >= sweepEveryMs
    this.checksOriginals = checksOriginals
    return async ({ name, usedMs }: StoredResult): Promise<boolean> =>
      isWriter() && (clock.wallMs() - usedMs > keptMs || (checksOriginals && (await this.isOrphan(name))))
  }

  /** Returns true if its original is certainly gone. */
  private async isOrphan(name: string): Promise<boolean> {
    try {
      const kept = await this.parts.stored.open(name, { headersOnly: true })
      kept?.close()
      const of = kept && originalOf(kept.info)
      if (of === undefined) return true
      const bucket = await this.parts.openBucket(of.bucketName)
      if (!name.startsWith(prefixOf(bucket.id))) return true
      const request = { bucket, key: of.key, versionId: of.versionId, headersOnly: true, isForServer: true }
      const original = await this.parts.objects.get({ ...request, conditions: {} })
      original.close()
      return original.info.etag !== of.etag
    } catch (error) {
      if (!isFailure(error)) throw error
      if (GONE.has(error.kind)) return true
      this.parts.log.debug("transform_result_not_checked", { name, reason: error.message })
      return false
    }
  }
}

const GONE: ReadonlySet<FailureKind> = new Set(["noSuchBucket", "noSuchKey", "noSuchVersion", "isDeleteMarker"])

/** Ids of buckets have the same length, so that no prefix is one of another. */
const ID_DIGITS = 16
const prefixOf = (id: BucketId): string => `${String(id).padStart(ID_DIGITS, "0")}/`
const nameOfResult = (bucket: BucketId, id: string): string => `${prefixOf(bucket)}${id}`

function metadataOf({ bucket, key, versionId, etag }: ResultOf, result: KeptResult): UserMetadata {
  const of: UserMetadata = [
    ["bucket", bucket.name],
    ["key", Buffer.from(key, "latin1").toString("base64url")],
    ["version", versionId],
    ["etag", etag],
  ]
  if ("skipped" in result) return [...of, ["skipped", result.skipped]]
  return [...of, ["type", result.type], ...(result.coded ? [["coded", "yes"] as const] : [])]
}

function keptOf(metadata: UserMetadata): KeptResult {
  const values = new Map(metadata)
  const skipped = values.get("skipped")
  return skipped === undefined ? { type: values.get("type") ?? "", coded: values.has("coded") } : { skipped }
}

/** Returns undefined if the result was written by a release that named originals in another way. */
function originalOf({ userMetadata }: Pick<ObjectInfo, "userMetadata">) {
  const values = new Map(userMetadata)
  const [bucket, key, version, etag] = ["bucket", "key", "version", "etag"].map(name => values.get(name))
  if (bucket === undefined || key === undefined || version === undefined || etag === undefined) return undefined
  const bytes = Buffer.from(key, "base64url").toString("utf8")
  return { bucketName: parseBucketName(bucket), key: objectKeyOfText(bytes), versionId: parseVersionId(version), etag }
}
