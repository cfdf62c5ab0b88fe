/**
 * Results of bucket rules, kept so that they are computed once.
 *
 * Promises  A result is only used for the version it was made of, by the same steps in the same versions: its name is a hash
 *           of all of that. What a reader may not read of the original, it gets of no result, since the original is opened
 *           first. Results of objects that no longer exist are removed within a day, as are those that nothing asks for after
 *           `keptMs`.
 * Limits    `sizeBytesMax` in all, as far as this node knows; what exceeds it is made at each request.
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
import { KIB } from "@hayloft/base/limits.js"
import type { BackgroundService } from "@hayloft/base/life/index.js"
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
import type { Log } from "@hayloft/base/seams/telemetry/contract.js"

export const RESULTS_PREFIX = "transforms/results/"

const RESULTS_LIMITS = {
  firstSweepMs: 60_000,
  sweepEveryMs: 24 * 60 * 60_000,
  keptMs: 30 * 24 * 60 * 60_000,
  chargedBytesMin: 4 * KIB,
} as const

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
  readonly stored: StoredObjects
  readonly objects: Pick<Objects, "get">
  readonly openBucket: (name: Bucket["name"]) => Promise<Bucket>
  /** Returns true if this process removes outdated results. */
  readonly isWriter: () => boolean
  readonly sizeBytesMax: number
}

export class Results implements BackgroundService {
  readonly name = "transform-results"
  private sizeBytes = 0
  private count = 0

  constructor(private readonly parts: ResultParts) {}

  report() {
    return { sizeBytes: this.sizeBytes, sizeBytesMax: this.parts.sizeBytesMax, count: this.count }
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
      return body && { body, result: keptOf(body.info.userMetadata), sizeBytes: body.info.sizeBytes }
    } catch (error) {
      if (!isFailure(error)) throw error
      this.parts.log.debug("transform_result_not_read", { name, reason: error.message })
      return undefined
    }
  }

  /** Keeps a result if there is room for it. Returns whether it is kept. */
  async put(of: ResultOf, id: string, bytes: Uint8Array, result: KeptResult, sealed: boolean): Promise<boolean> {
    const { sizeBytesMax } = this.parts
    const chargedBytes = chargeOf(bytes.length)
    if (this.sizeBytes + chargedBytes > sizeBytesMax) return false
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
    this.sizeBytes += chargedBytes
    this.count += 1
    return true
  }

  async run(signal: AbortSignal): Promise<void> {
    const { clock, log } = this.parts
    await clock.sleep(RESULTS_LIMITS.firstSweepMs, signal)
    while (!signal.aborted) {
      try {
        await this.sweep(signal)
      } catch (error) {
        if (!isFailure(error)) throw error
        log.debug("transform_results_not_swept", { reason: error.message })
      }
      await clock.sleep(RESULTS_LIMITS.sweepEveryMs, signal)
    }
  }

  /** Counts what is kept, and removes what is outdated. */
  async sweep(signal: AbortSignal): Promise<void> {
    const { stored, clock, isWriter, log } = this.parts
    const before = this.sizeBytes
    let [sizeBytes, count, removed] = [0, 0, 0]
    for await (const { name, sizeBytes: bytes, lastModifiedMs } of stored.list()) {
      if (signal.aborted) return
      const isOld = clock.wallMs() - lastModifiedMs > RESULTS_LIMITS.keptMs
      if (isWriter() && (isOld || (await this.isOrphan(name)))) {
        await stored.remove(name)
        removed += 1
        continue
      }
      sizeBytes += chargeOf(bytes)
      count += 1
    }
    // Results that were kept meanwhile may have been counted, or not.
    this.sizeBytes = sizeBytes + Math.max(0, this.sizeBytes - before)
    this.count = count
    if (removed > 0) log.info("transform_results_removed", { removed })
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

/** Bytes that a result counts against the limit; its rows use space too. */
const chargeOf = (bytes: number): number => Math.max(bytes, RESULTS_LIMITS.chargedBytesMin)

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
