/**
 * Ingest: a client's body becomes needles or inline bytes, checked against what was promised, under an
 * upload id of its own. What a refused request has written is given up at once.
 */
import { GIB, KIB } from "../base/limits.js"
import type { Policy } from "../base/policy.js"
import type { MultipartId, ObjectKey, UploadId } from "../base/ids.js"
import type { Blocks, WrittenBody } from "../block/index.js"
import { encodeBirthNote } from "../format/birth-note.js"
import type { Tablet } from "../tablet/index.js"
import type { ChecksumAlgorithm } from "../seams/compute/contract.js"
import { checkBody } from "./body-check-core.js"
import type { BodySource, Bucket, UserMetadata } from "./contract.js"
import { policyOfBucket } from "./bucket-commands-core.js"
import { requireBucket } from "./row-editor-core.js"
import type { Uploads } from "./uploads.js"
import { DEBTS_PER_COMMAND, noteDebts, type Debt } from "./version-commands-core.js"

export const BODY_BYTES_MAX = 5 * GIB
/** Longer ones are streamed, so that their senders are held back. */
const WHOLE_BYTES_MAX = 64 * KIB

/** How new blocks are written. */
export interface StorePolicy {
  readonly policy: Policy
  readonly blockBytes: number
}

export interface IngestRequest {
  readonly bucket: Bucket
  readonly key: ObjectKey
  readonly body: BodySource
  /** Computed besides MD5; the client's declared value, if any, is checked against it. */
  readonly checksumAlgorithm: ChecksumAlgorithm | undefined
  readonly inlineBytesMax: number
  readonly part: number
  readonly multipartId: MultipartId | undefined
  readonly contentType: string
  readonly userMetadata: UserMetadata
  readonly signal: AbortSignal
}

export interface WholeIngestRequest extends Pick<IngestRequest, "bucket" | "key" | "contentType" | "userMetadata"> {
  readonly bytes: Uint8Array
  readonly md5: Uint8Array
  readonly checksumValue: string | undefined
}

export interface Ingested {
  readonly uploadId: UploadId
  readonly body: WrittenBody
  readonly md5: Uint8Array
  readonly checksumValue: string | undefined
}

export class Ingest {
  constructor(
    private readonly tablet: Tablet,
    private readonly blocks: Blocks,
    private readonly uploads: Uploads,
    private readonly store: StorePolicy,
    /** Told of what devices owe, once it is committed. */
    private readonly onDebts: (debts: readonly Debt[]) => void,
  ) {}

  /**
   * Writes and checks the body, then lets `commit` make it reachable. When either refuses, the bytes
   * are given up and the refusal is thrown.
   */
  run<Result>(request: IngestRequest, commit: (ingested: Ingested) => Promise<Result>): Promise<Result> {
    const { body: source } = request
    const check = ({ lengthBytes, digests }: WrittenBody) =>
      checkBody(source, source.declaredChecksum(), lengthBytes, digests)
    return this.ingest(request, uploadId => this.write(request, uploadId), check, commit)
  }

  /** As `run`, of a body that is there, was checked, and is `wholeBytesMax` at most. */
  runWhole<Result>(request: WholeIngestRequest, commit: (ingested: Ingested) => Promise<Result>): Promise<Result> {
    const { md5, checksumValue } = request
    const write = async (uploadId: UploadId): Promise<WrittenBody> => {
      const written = await this.writeWhole(request, uploadId)
      return { ...written, digests: { ...written.digests, md5 } }
    }
    return this.ingest(request, write, () => checksumValue, commit)
  }

  get wholeBytesMax(): number {
    return Math.min(this.store.blockBytes, WHOLE_BYTES_MAX)
  }

  private async ingest<Result>(
    { bucket, key }: Pick<IngestRequest, "bucket" | "key">,
    write: (uploadId: UploadId) => Promise<WrittenBody>,
    check: (body: WrittenBody) => string | undefined,
    commit: (ingested: Ingested) => Promise<Result>,
  ): Promise<Result> {
    requireBucket(this.tablet.committed, bucket.id)
    const uploadId = this.uploads.nextId()
    try {
      const body = await write(uploadId)
      try {
        const checksumValue = check(body)
        const md5 = body.digests.md5 ?? new Uint8Array(16)
        const debts = await this.noteMany(body.debts)
        const result = await commit({ uploadId, body: { ...body, debts }, md5, checksumValue })
        if (body.debts.length > 0) this.onDebts(body.debts)
        return result
      } catch (error) {
        await this.uploads.discard(bucket.id, key, body, error)
        throw error
      }
    } finally {
      this.uploads.letGo(uploadId)
    }
  }

  /** Notes all but the debts that fit the commit; before it, so that none is ever missing. */
  private async noteMany(debts: readonly Debt[]): Promise<readonly Debt[]> {
    for (let at = DEBTS_PER_COMMAND; at < debts.length; at += DEBTS_PER_COMMAND) {
      await this.tablet.run(noteDebts(debts.slice(at, at + DEBTS_PER_COMMAND)))
    }
    return debts.slice(0, DEBTS_PER_COMMAND)
  }

  private writeWhole(request: WholeIngestRequest, uploadId: UploadId): Promise<WrittenBody> {
    const { bucket, key, bytes, contentType, userMetadata } = request
    return this.blocks.write({
      uploadId,
      part: 0,
      owner: { bucketId: bucket.id, key },
      policy: this.policyOf(bucket),
      blockBytes: this.store.blockBytes,
      plan: { md5: false, sha256: false, checksum: undefined },
      source: bytes,
      lengthBytesMax: bytes.length,
      inlineBytesMax: 0,
      birthNote: encodeBirthNote({
        bucket: bucket.name,
        contentType,
        userMetadata,
        plannedLengthBytes: bytes.length,
        multipartId: "",
      }),
    })
  }

  private policyOf(bucket: Bucket): Policy {
    return policyOfBucket(this.tablet.committed, bucket.id) ?? this.store.policy
  }

  private write(request: IngestRequest, uploadId: UploadId): Promise<WrittenBody> {
    const { bucket, key, body, part } = request
    return this.blocks.write({
      uploadId,
      part,
      owner: { bucketId: bucket.id, key },
      policy: this.policyOf(bucket),
      blockBytes: this.store.blockBytes,
      plan: { md5: true, sha256: body.sha256 !== undefined, checksum: request.checksumAlgorithm },
      source: body.open("reader"),
      lengthBytesMax: BODY_BYTES_MAX,
      inlineBytesMax: request.inlineBytesMax,
      birthNote: encodeBirthNote({
        bucket: bucket.name,
        contentType: request.contentType,
        userMetadata: request.userMetadata,
        plannedLengthBytes: body.lengthBytes,
        multipartId: request.multipartId ?? "",
      }),
      signal: request.signal,
    })
  }
}
