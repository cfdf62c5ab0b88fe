/**
 * Ingest: turns a client's body into needles or inline bytes under its own upload id, and checks it against the
 * declared digests. If the request is refused, its bytes are discarded immediately.
 *
 * A small body is buffered and checked before anything is written; a larger one is checked while it streams.
 */
import { hexOf } from "../base/bytes.js"
import { GIB, WHOLE_BYTES_MAX } from "../base/limits.js"
import type { Policy } from "../base/policy.js"
import type { BucketId, MultipartId, ObjectKey, UploadId } from "../base/ids.js"
import { after, asPromise } from "../base/soon.js"
import type { Blocks, WrittenBody } from "../block/index.js"
import type { BucketLock } from "../format/object-lock.js"
import { encodeRecoveryHeader } from "../format/recovery-header.js"
import { query, type Metadata } from "../metadata/index.js"
import { digestOnce, type ChecksumAlgorithm, type Compute } from "../seams/compute/index.js"
import type { ObjectBackend } from "./backend.js"
import { checkBody, type BodyDigests } from "./body-check-core.js"
import type { BodySource, Bucket, Conditions, UserMetadata, VersionLock } from "./contract.js"
import { policyOfBucket } from "./commands/bucket-commands-core.js"
import { lockOfRestored } from "./commands/lock-core.js"
import { SmallBodyMd5 } from "./small-body-md5.js"
import { requireBucket } from "./commands/row-editor-core.js"
import type { Uploads } from "./uploads.js"
import { checkWrite, HINTS_PER_COMMAND, recordHints, type MissingShardHint } from "./commands/version-commands-core.js"

const BODY_BYTES_MAX = 5 * GIB

/** How new blocks are written. */
export interface StorePolicy {
  readonly policy: Policy
  readonly blockBytes: number
  /** Resolves once the layout is known to be current; undefined: it is. */
  ready?(): Promise<void> | undefined
}

interface IngestRequest {
  readonly bucket: Bucket
  readonly key: ObjectKey
  /** Checked before the body is read. Absent: no conditions. */
  readonly conditions?: Conditions
  readonly body: BodySource
  /** Computed in addition to MD5, and compared with the value that the client declared, if any. */
  readonly checksumAlgorithm: ChecksumAlgorithm | undefined
  readonly inlineBytesMax: number
  readonly part: number
  readonly multipartId: MultipartId | undefined
  readonly contentType: string
  readonly userMetadata: UserMetadata
  /** As the client states it. */
  readonly lock?: VersionLock | undefined
  /** Its signal is read only if the body is streamed. */
  readonly client: { readonly signal: AbortSignal }
}

export interface Ingested {
  /** Undefined if all bytes are in the row: then there is no upload to discard. */
  readonly uploadId: UploadId | undefined
  readonly lengthBytes: number
  readonly content: WrittenBody["content"]
  readonly hints: readonly MissingShardHint[]
  readonly md5: Uint8Array
  readonly checksumValue: string | undefined
}

export const chosenPolicy = query("ChosenPolicy", policyOfBucket)

export const mayWrite = query("MayWrite", (view, bucketId: BucketId, key: ObjectKey, conditions: Conditions) => {
  checkWrite(view, bucketId, key, conditions)
  requireBucket(view, bucketId)
})

const NO_CONDITIONS: Conditions = {}

export class Ingest {
  private readonly md5s: SmallBodyMd5

  private readonly metadata: Metadata
  private readonly blocks: Blocks
  private readonly uploads: Uploads

  constructor(
    private readonly backend: ObjectBackend,
    private readonly compute: Pick<Compute, "hash">,
    private readonly store: StorePolicy,
    /** Receives the missing-shard hints after their commit. */
    private readonly onHints: (hints: readonly MissingShardHint[]) => void,
  ) {
    const { clock, metadata, blocks, uploads } = backend
    this.metadata = metadata
    this.blocks = blocks
    this.uploads = uploads
    this.md5s = new SmallBodyMd5(clock, this.wholeBytesMax)
  }

  /**
   * Reads and checks the body; then `commit` makes it reachable. If either fails, the bytes are discarded and the
   * failure is thrown.
   */
  run<Result>(request: IngestRequest, commit: (ingested: Ingested) => Promise<Result>): Promise<Result> {
    const { bucket, key, conditions = NO_CONDITIONS, body } = request
    return asPromise(() =>
      after(this.metadata.known(mayWrite(bucket.id, key, conditions)), () => {
        const { lengthBytes = Infinity } = body
        const gathered = lengthBytes <= this.wholeBytesMax ? body.gather() : undefined
        if (gathered === undefined) return this.runStream(request, commit)
        return after(gathered, bytes => this.runWhole(request, bytes, commit))
      }),
    )
  }

  private get wholeBytesMax(): number {
    return Math.min(this.store.blockBytes, WHOLE_BYTES_MAX)
  }

  private runWhole<Result>(
    request: IngestRequest,
    bytes: Uint8Array,
    commit: (ingested: Ingested) => Promise<Result>,
  ): Promise<Result> {
    const { body } = request
    const sha256Hex = body.sha256Hex === undefined ? undefined : digestOnce("sha256", bytes, "hex")
    const plan = { md5: false, sha256: false, checksum: request.checksumAlgorithm }
    const checksum = plan.checksum && this.compute.hash(plan, bytes).checksum
    const store = (md5: Uint8Array): Promise<Result> => {
      const checksumValue = checkBody(body, body.declaredChecksum(), bytes.length, { md5, sha256Hex, checksum })
      const lengthBytes = bytes.length
      // A part is never inline, not even an empty one.
      if (request.inlineBytesMax === 0 || lengthBytes > request.inlineBytesMax) {
        return this.storeWhole(request, { lengthBytes, md5, checksumValue, bytes }, commit)
      }
      const content = { kind: "inline", bytes } as const
      return commit({ uploadId: undefined, lengthBytes, content, hints: NO_HINTS, md5, checksumValue })
    }
    return this.md5s.during(bytes, store)
  }

  private storeWhole<Result>(
    request: IngestRequest,
    whole: Pick<Ingested, "lengthBytes" | "md5" | "checksumValue"> & { readonly bytes: Uint8Array },
    commit: (ingested: Ingested) => Promise<Result>,
  ): Promise<Result> {
    const { bytes, md5, checksumValue } = whole
    const write = async (uploadId: UploadId): Promise<WrittenBody> => {
      const written = await this.blocks.write({
        ...(await this.target(request, uploadId, bytes.length)),
        plan: NO_DIGESTS,
        source: bytes,
        lengthBytesMax: bytes.length,
        inlineBytesMax: 0,
      })
      return { ...written, digests: { ...written.digests, md5 } }
    }
    return this.ingest(request, write, () => checksumValue, commit)
  }

  private runStream<Result>(request: IngestRequest, commit: (ingested: Ingested) => Promise<Result>): Promise<Result> {
    const { body } = request
    const write = async (uploadId: UploadId): Promise<WrittenBody> =>
      this.blocks.write({
        ...(await this.target(request, uploadId, body.lengthBytes)),
        plan: { md5: true, sha256: body.sha256Hex !== undefined, checksum: request.checksumAlgorithm },
        source: body.open("reader"),
        lengthBytesMax: BODY_BYTES_MAX,
        inlineBytesMax: request.inlineBytesMax,
        signal: request.client.signal,
      })
    const check = ({ lengthBytes, digests }: WrittenBody) =>
      checkBody(body, body.declaredChecksum(), lengthBytes, digestsOf(digests))
    return this.ingest(request, write, check, commit)
  }

  private async ingest<Result>(
    { bucket, key }: Pick<IngestRequest, "bucket" | "key">,
    write: (uploadId: UploadId) => Promise<WrittenBody>,
    check: (body: WrittenBody) => string | undefined,
    commit: (ingested: Ingested) => Promise<Result>,
  ): Promise<Result> {
    const waits = this.store.ready?.()
    if (waits !== undefined) await waits
    const uploadId = this.uploads.nextId()
    try {
      const body = await write(uploadId)
      try {
        const checksumValue = check(body)
        const { lengthBytes, content } = body
        const { md5 } = digestsOf(body.digests)
        const hints = await this.noteMany(body.hints)
        const result = await commit({ uploadId, lengthBytes, content, hints, md5, checksumValue })
        if (body.hints.length > 0) this.onHints(body.hints)
        return result
      } catch (error) {
        await this.uploads.discard(bucket.id, key, body, error)
        throw error
      }
    } finally {
      this.uploads.release(uploadId)
    }
  }

  /** Records the hints that do not fit the commit; before the commit, so that none is ever missing. */
  private async noteMany(hints: readonly MissingShardHint[]): Promise<readonly MissingShardHint[]> {
    for (let at = HINTS_PER_COMMAND; at < hints.length; at += HINTS_PER_COMMAND) {
      await this.metadata.run(recordHints(hints.slice(at, at + HINTS_PER_COMMAND)))
    }
    return hints.slice(0, HINTS_PER_COMMAND)
  }

  /** That of the version, or none in a bucket with object lock: a rescue learns that the bucket has it. */
  private lockToShow(bucket: BucketLock, stated: VersionLock | undefined): VersionLock {
    const clocks = { clockMs: 0, nowMs: this.backend.clock.wallMs() }
    return lockOfRestored(bucket, stated, clocks) ?? { retention: undefined, legalHold: undefined }
  }

  /** The policy is read while the upload is held, so that a later re-encoding finds the upload. */
  private async target(
    { bucket, key, part, contentType, userMetadata, multipartId, lock }: IngestRequest,
    uploadId: UploadId,
    plannedLengthBytes: number | undefined,
  ) {
    return {
      uploadId,
      part,
      owner: { bucketId: bucket.id, key },
      policy: (await this.metadata.known(chosenPolicy(bucket.id))) ?? this.store.policy,
      blockBytes: this.store.blockBytes,
      recoveryHeader: encodeRecoveryHeader({
        bucket: bucket.name,
        contentType,
        userMetadata,
        plannedLengthBytes,
        multipartId: multipartId ?? "",
        ...(bucket.lock && { lock: this.lockToShow(bucket.lock, lock) }),
      }),
    }
  }
}

const digestsOf = ({ md5, sha256, checksum }: WrittenBody["digests"]): BodyDigests => ({
  md5: md5 ?? NO_MD5,
  sha256Hex: sha256 && hexOf(sha256),
  checksum,
})

const NO_DIGESTS = { md5: false, sha256: false, checksum: undefined } as const
const NO_HINTS: readonly MissingShardHint[] = []
const NO_MD5 = new Uint8Array(16)
