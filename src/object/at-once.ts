/**
 * What can be said of buckets and objects without waiting: for the requests that come by the thousand.
 *
 * Promises  What it gives, failures too, is what `Buckets.open` and `Objects.get` would give at this moment.
 *           Undefined means that they have to be asked.
 */
import { assert } from "../base/assert.js"
import { fail, type Failure } from "../base/failures.js"
import type { BucketName, ObjectKey, UploadId } from "../base/ids.js"
import { INLINE_BYTES_MAX } from "../base/limits.js"
import type { Blocks } from "../block/index.js"
import type { BucketRecord } from "../format/records.js"
import { objectRowKey } from "../format/row-key.js"
import { decodeVersion, etagOfHead, versionIdOfHead } from "../format/version-record.js"
import type { Content, VersionDetails, VersionRecord } from "../format/version-record.js"
import { RANDOM_BYTES } from "../format/version-id.js"
import type { Random } from "../seams/random/contract.js"
import type { Tablet } from "../tablet/index.js"
import { findBucket } from "./bucket-commands-core.js"
import { judgeRead } from "./conditions-core.js"
import type {
  AskedNow,
  AtOnce,
  Bucket,
  ByteRange,
  ContentHeaders,
  ObjectNow,
  PutNow,
  PutResult,
  StoredBeside,
  StoredBytes,
} from "./contract.js"
import type { Ingest } from "./ingest.js"
import { bucketOf, checksumOf, headersOf, packDetails, putResultOf } from "./object-info-core.js"
import { rangeWithin } from "./range-core.js"
import type { ReadPins } from "./read-pins.js"
import { NO_CHECKSUM } from "./row-editor-core.js"
import { StoredNow } from "./stored-bytes.js"
import { putVersion, type Debt } from "./version-commands-core.js"

const HEADERS_KNOWN_MAX = 1_000

export class ObjectsAtOnce implements AtOnce {
  /** The same objects for as long as the record is the same. */
  private readonly buckets = new WeakMap<BucketRecord, Bucket>()
  private readonly headers = new WeakMap<VersionDetails, ContentHeaders>()
  /** What follows from headers is kept with them. */
  private readonly headersByText = new Map<string, ContentHeaders>()
  private readonly details = new WeakMap<StoredBeside, VersionDetails>()

  private readonly random: Random

  constructor(
    random: Random,
    private readonly tablet: Tablet,
    private readonly blocks: Blocks,
    private readonly pins: ReadPins,
    private readonly ingest: Ingest,
  ) {
    this.random = random.fork("versions at once")
  }

  bucket(name: BucketName): Bucket | undefined {
    const record = findBucket(this.tablet.committed, name)
    if (record?.state !== "open") return undefined
    const known = this.buckets.get(record)
    if (known !== undefined) return known
    const bucket = bucketOf(record)
    this.buckets.set(record, bucket)
    return bucket
  }

  object(bucket: Bucket, key: ObjectKey, asked: AskedNow): ObjectNow | Failure | undefined {
    const { headersOnly, conditions } = asked
    const rowKey = objectRowKey(bucket.id, key)
    const warming = this.tablet.warm("current", [rowKey])
    if (warming !== undefined) {
      // Whoever asks the service waits for it, and hears of it.
      warming.catch(() => undefined)
      return undefined
    }
    const row = this.tablet.committed.get("current", rowKey)
    // Where versions are kept a delete marker may lie there, which answers show.
    if (row === undefined) return bucket.versioning === "never" ? fail("noSuchKey") : undefined
    const record = decodeVersion(row.value)
    const { head, details } = record
    // To what is another account's the bucket's owner may have no right.
    if (details === undefined || details.acl?.owner !== undefined) return undefined
    const etag = etagOfHead(head)
    const failure = conditions && judgeRead(conditions, { etag, modifiedMs: head.modifiedMs })
    if (failure !== undefined) return failure
    const { sizeBytes } = head
    const range = asked.range && rangeWithin(asked.range, sizeBytes)
    if (asked.range !== undefined && range === undefined) return undefined
    const isInline = record.content.kind === "inline"
    const payload = isInline && !headersOnly ? this.tablet.payload("current", rowKey, row) : undefined
    // Whoever asks the service reads it again, and gets the failure.
    if (payload instanceof Promise) payload.catch(() => undefined)
    const whole = payload === undefined || payload instanceof Promise ? undefined : payload.borrow()
    if (isInline && whole === undefined && !headersOnly) return undefined
    return {
      sizeBytes,
      etag,
      lastModifiedMs: head.modifiedMs,
      versionId: bucket.versioning === "never" ? undefined : versionIdOfHead(head),
      headers: this.headersOf(details),
      userMetadata: details.userMetadata,
      tagCount: details.tags.length,
      checksum: head.checksumAlgorithm === undefined ? undefined : checksumOf(record),
      range,
      whole: whole && range ? whole.subarray(range.first, range.first + range.lengthBytes) : whole,
      stored: isInline || headersOnly ? undefined : this.storedOf(bucket, key, record, range),
    }
  }

  private storedOf(bucket: Bucket, key: ObjectKey, record: VersionRecord, asked: ByteRange | undefined): StoredBytes {
    const range = asked ?? { first: 0, lengthBytes: record.head.sizeBytes }
    return new StoredNow(this.tablet, this.blocks, this.pins, bucket, key, record, range)
  }

  get putBytesMax(): number {
    return this.ingest.wholeBytesMax
  }

  put(request: PutNow): Promise<PutResult> {
    if (request.bytes.length > INLINE_BYTES_MAX) return this.putStored(request)
    // Nothing of it lies outside of its row, so there is no upload that could be given up.
    return this.commit(request, { kind: "inline" }, undefined, [])
  }

  private putStored(request: PutNow): Promise<PutResult> {
    const { bucket, key, beside, bytes, md5, checksum } = request
    const { headers, userMetadata } = beside
    const contentType = headers.contentType ?? ""
    const whole = { bucket, key, contentType, userMetadata, bytes, md5, checksumValue: checksum?.value }
    return this.ingest.runWhole(whole, ({ uploadId, body: { content, debts } }) => {
      assert(content.kind === "extent", "it was written to blocks")
      return this.commit(request, content, uploadId, debts)
    })
  }

  private commit(
    { bucket, key, conditions, beside, bytes, md5, checksum }: PutNow,
    content: Content,
    uploadId: UploadId | undefined,
    debts: readonly Debt[],
  ): Promise<PutResult> {
    const version = {
      content,
      payload: content.kind === "inline" ? bytes : undefined,
      sizeBytes: bytes.length,
      md5,
      parts: 0,
      random: this.random.bytes(RANDOM_BYTES),
      checksum: checksum
        ? { checksumAlgorithm: checksum.algorithm, checksumType: checksum.type, value: checksum.value }
        : NO_CHECKSUM,
      details: this.detailsOf(beside),
      isShared: false,
    } as const
    const put = putVersion({ bucketId: bucket.id, key, uploadId, conditions, version, debts })
    return this.tablet.run(put).then(stored => putResultOf(stored, checksum?.value))
  }

  private detailsOf(beside: StoredBeside): VersionDetails {
    const known = this.details.get(beside)
    if (known !== undefined) return known
    const details = packDetails({ ...beside, tags: [] })
    this.details.set(beside, details)
    return details
  }

  private headersOf(details: VersionDetails): ContentHeaders {
    const known = this.headers.get(details)
    if (known !== undefined) return known
    const text = JSON.stringify(details.headers)
    const headers = this.headersByText.get(text) ?? headersOf(details)
    if (this.headersByText.size >= HEADERS_KNOWN_MAX) this.headersByText.clear()
    this.headersByText.set(text, headers)
    this.headers.set(details, headers)
    return headers
  }
}
