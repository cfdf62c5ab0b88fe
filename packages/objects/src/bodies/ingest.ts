/**
 * Ingest: turns a client's body into needles or inline bytes under its own upload id, and checks it against the
 * declared digests. If the request is refused, its bytes are discarded immediately.
 *
 * A small body is buffered and checked before anything is written; a larger one is checked while it streams.
 */
import { hexOf } from "@hayloft/base/bytes.js"
import { must } from "@hayloft/base/assert.js"
import { fail } from "@hayloft/base/failures.js"
import { GIB, WHOLE_BYTES_MAX } from "@hayloft/base/limits.js"
import { policyOfOpenEnd, textOfPolicy, type Policy } from "@hayloft/base/policy.js"
import type { StorageClass } from "@hayloft/base/storage-class.js"
import type { BucketId, MultipartId, ObjectKey, UploadId } from "@hayloft/base/ids.js"
import { after, asPromise, type Soon } from "@hayloft/base/soon.js"
import type { Blocks, WrittenBody } from "@hayloft/engine/block/index.js"
import type { Extent } from "@hayloft/engine/format/needles/extent.js"
import { RECOVERY_HEADER_BYTES_MAX } from "@hayloft/engine/format/needles/needle.js"
import type { BucketLock } from "@hayloft/engine/format/objects/object-lock.js"
import {
  encodeRecoveryHeader,
  type RecoveryHeader,
  type SealedUpload,
} from "@hayloft/engine/format/needles/recovery-header.js"
import { storedBytesOf, type Sealing } from "@hayloft/engine/format/needles/sealing.js"
import type { CreatedKey } from "@hayloft/access/keys/contract.js"
import { extentKeyOf } from "@hayloft/access/keys/index.js"
import { traced } from "@hayloft/base/trace.js"
import { query, type Metadata } from "@hayloft/engine/metadata/index.js"
import type { ChecksumAlgorithm } from "@hayloft/base/http/checksum-algorithms.js"
import { digestOnce, type Compute } from "@hayloft/base/seams/compute/index.js"
import type { ObjectBackend } from "../backend.js"
import type { BodyEnds, EndFacts } from "./body-ends.js"
import type { SharedBodies, SharedBody, SharedPart } from "./shared-bodies.js"
import { checkBody, type BodyDigests } from "./body-check-core.js"
import type { BodySource, Bucket, Conditions, UserMetadata, VersionLock } from "../contract.js"
import { hasRandomEtag } from "./encryption-core.js"
import { policyOfBucket } from "../commands/bucket-commands-core.js"
import { lockOfRestored } from "../commands/lock-core.js"
import { NEVER_WHOLE } from "../queries/named-extents-core.js"
import { SmallBodyMd5 } from "./small-body-md5.js"
import { requireBucket } from "../commands/bucket-rows-core.js"
import { policyOfVersion, type ClassMap } from "../class-policies.js"
import { checkNewPart, checkNewVersion } from "../commands/room-core.js"
import { isCounted } from "../commands/usage-core.js"
import type { Uploads } from "./uploads.js"
import type { Expiring } from "../expiring.js"
import { isUnconditional } from "../commands/conditions-core.js"
import {
  checkWrite,
  HINTS_PER_COMMAND,
  recordHints,
  type MissingShardHint,
  type Stored,
} from "../commands/version-commands-core.js"

const BODY_BYTES_MAX = 5 * GIB
/**
 * The reserve of a recovery header, for what it may get when a shard is rebuilt or rescued: a lock, a longer name of
 * the bucket.
 */
const RECOVERY_RESERVE_BYTES = 256

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
  /** The lock that the client states, without the bucket's default retention. */
  readonly lock?: VersionLock | undefined
  /** Admitted. */
  readonly storageClass: StorageClass
  /** Its signal is read only if the body is streamed. */
  readonly client: { readonly signal: AbortSignal }
  /** The bytes are those of an object that moves: they are counted where they come from, and their digests are known. */
  readonly isMoved?: true
  /**
   * The bytes become a segment that is found by its offset: short ones are stored as copies. The caller has checked the
   * conditions.
   */
  readonly isSegment?: true
  /** From what the end of the bytes is known; absent: it is not. */
  readonly ends?: EndFacts
  /** Blocks that the bucket has: those of a version may be left out, those of a part only get digests. Absent: all are written. */
  readonly shares?: "version" | "part"
  /** The key under which the bytes are sealed; called before the body is read. Absent: they are not sealed. */
  readonly createKey?: (() => Soon<CreatedKey>) | undefined
}

/** A request whose key is known. */
interface KeyedRequest extends IngestRequest {
  readonly created?: CreatedKey
}

type Target = Omit<Carried, "sealed" | "body" | "signal"> &
  Partial<Pick<Carried, "sealed"> & Pick<KeyedRequest, "created" | "ends">>

/** The facts that a recovery header consists of. */
type HeaderFacts = Omit<Target, "key" | "part">

/** Sealed bytes of another store. */
export interface Carried extends Pick<
  KeyedRequest,
  "bucket" | "key" | "part" | "contentType" | "userMetadata" | "multipartId" | "lock" | "storageClass" | "isSegment"
> {
  readonly sealed: SealedUpload
  readonly body: {
    readonly lengthBytes: number
    readonly blockBytes: number
    readonly sealedAs: UploadId
    open(): AsyncIterable<Uint8Array>
  }
  readonly signal: AbortSignal
}

type IngestedContent =
  | Exclude<WrittenBody["content"], { readonly kind: "runs" }>
  /** The body may consist of blocks of other objects too. */
  | { readonly kind: "shared"; readonly put: (put: Parameters<SharedBody["put"]>[0]) => Promise<Stored> }

export interface Ingested {
  /** It is undefined if all bytes are in the row: then there is no upload to discard. */
  readonly uploadId: UploadId | undefined
  readonly lengthBytes: number
  readonly content: IngestedContent
  /** The digests of the blocks of a part. */
  readonly digests?: Uint8Array | undefined
  readonly hints: readonly MissingShardHint[]
  /** Zeros if neither the client nor the ETag needs it; see `hasRandomEtag` and `isMoved`. */
  readonly md5: Uint8Array
  readonly checksumValue: string | undefined
  /** How the bytes are sealed, an inline payload too. */
  readonly sealing: Sealing | undefined
}

export const chosenPolicy = query("ChosenPolicy", policyOfBucket)

/** The data that a request will add. */
interface Declared {
  /** It is undefined if the request does not state it. */
  readonly lengthBytes: number | undefined
  readonly part?: { readonly multipartId: MultipartId; readonly partNumber: number }
}

/** Conditions, and the time by which objects expire. */
interface CheckedAt {
  readonly conditions: Conditions
  readonly nowMs: number
}

export const mayWrite = query(
  "MayWrite",
  (view, bucketId: BucketId, key: ObjectKey, { conditions, nowMs }: CheckedAt, declared?: Declared) => {
    checkWrite(view, { bucketId, key, conditions }, nowMs)
    const bucket = requireBucket(view, bucketId)
    if (declared === undefined || !isCounted(bucket)) return
    const { lengthBytes = 0, part } = declared
    if (part === undefined) checkNewVersion(view, bucket, key, lengthBytes)
    else checkNewPart(view, bucket, { bucketId, key, multipartId: part.multipartId }, { ...part, lengthBytes })
  },
)

const NO_CONDITIONS: Conditions = {}
const UNCHECKED: CheckedAt = { conditions: NO_CONDITIONS, nowMs: 0 }

/** Learns what a commit has left to do. */
export interface IngestWatch {
  onHints(hints: readonly MissingShardHint[]): void
  /** Blocks were written under a narrower policy than they should have. */
  onNarrow(): void
}

const extentsIn = ({ content }: WrittenBody): readonly Extent[] => {
  if (content.kind === "inline") return []
  return content.kind === "extent" ? [content.extent] : content.runs.map(({ extent }) => extent)
}

const isNarrow = (body: WrittenBody): boolean =>
  extentsIn(body).some(({ policy, exceptions }) =>
    exceptions.some(exception => textOfPolicy(exception.policy) !== textOfPolicy(policy)),
  )

export class Ingest {
  private readonly md5s: SmallBodyMd5

  private readonly metadata: Metadata
  private readonly blocks: Blocks
  private readonly uploads: Uploads
  readonly expiring: Expiring
  /** It is undefined if all blocks are written. */
  readonly sharing: SharedBodies | undefined
  /** It is undefined if the end of bytes is never looked for. */
  private readonly ends: BodyEnds | undefined

  constructor(
    private readonly backend: ObjectBackend,
    private readonly compute: Pick<Compute, "hash" | "seal">,
    private readonly store: StorePolicy,
    readonly classes: Pick<ClassMap, "policyOf" | "use">,
    {
      expiring,
      sharing,
      ends,
    }: { readonly expiring: Expiring; readonly sharing?: SharedBodies; readonly ends?: BodyEnds },
    private readonly watch: IngestWatch,
  ) {
    const { clock, metadata, blocks, uploads } = backend
    this.metadata = metadata
    this.blocks = blocks
    this.uploads = uploads
    this.expiring = expiring
    this.sharing = sharing
    this.ends = ends
    this.md5s = new SmallBodyMd5(clock, this.wholeBytesMax)
  }

  /**
   * Reads and checks the body; then `commit` makes it reachable. If either fails, the bytes are discarded and the
   * failure is thrown.
   */
  run<Result>(request: IngestRequest, commit: (ingested: Ingested) => Promise<Result>): Promise<Result> {
    const { bucket, key, conditions = NO_CONDITIONS, createKey } = request
    const trace = request.body.payer?.trace
    const read = () => this.metadata.known(mayWrite(bucket.id, key, this.checkedAt(conditions), declaredIn(request)))
    return asPromise(() =>
      after(trace === undefined ? read() : traced(trace, "metadata read", {}, read), () => {
        if (createKey === undefined) return this.take(request, commit)
        return after(createKey(), created => this.take({ ...request, created }, commit))
      }),
    )
  }

  /** The same argument for all writes without conditions. */
  private checkedAt(conditions: Conditions): CheckedAt {
    return isUnconditional(conditions) ? UNCHECKED : { conditions, nowMs: this.expiring.nowMs() }
  }

  /** Writes sealed bytes of another store as they are. The failures of `run`, and `incompleteBody`. */
  carry<Result>(request: Carried, commit: (ingested: Ingested) => Promise<Result>): Promise<Result> {
    const { body, signal } = request
    const { lengthBytes, blockBytes, sealedAs } = body
    if (blockBytes > this.store.blockBytes && lengthBytes > this.store.blockBytes) {
      const message = `its blocks are encrypted as they are: the new store needs a block size of ${blockBytes} bytes`
      throw fail("keysUnavailable", { message })
    }
    const write = async (uploadId: UploadId): Promise<WrittenBody> => {
      const written = await this.blocks.write({
        ...(await this.target(request, uploadId, lengthBytes)),

        blockBytes,
        plan: NO_DIGESTS,
        source: body.open(),
        lengthBytesMax: lengthBytes,
        inlineBytesMax: 0,
        signal,
      })
      const { content } = written
      if (content.kind !== "extent") return written
      return { ...written, content: { kind: "extent", extent: { ...content.extent, isSealed: true, sealedAs } } }
    }
    const check = (written: WrittenBody): undefined => {
      if (written.lengthBytes !== lengthBytes) throw fail("incompleteBody", { lengthBytes: written.lengthBytes })
    }
    return this.ingest(request, write, check, commit)
  }

  private take<Result>(request: KeyedRequest, commit: (ingested: Ingested) => Promise<Result>): Promise<Result> {
    const { body } = request
    const { lengthBytes = Infinity } = body
    const gathered = lengthBytes <= this.wholeBytesMax ? body.gather() : undefined
    if (gathered === undefined) return this.runStream(request, commit)
    return after(gathered, (bytes): Promise<Result> => this.runWhole(request, bytes, commit))
  }

  get blockBytes(): number {
    return this.store.blockBytes
  }

  /** Bodies up to this length are gathered, and written in full. */
  get wholeBytesMax(): number {
    return Math.min(this.store.blockBytes, WHOLE_BYTES_MAX)
  }

  private runWhole<Result>(
    request: KeyedRequest,
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
      const content = { kind: "inline", bytes: this.payloadOf(bytes, request.created) } as const
      const sealing = request.created?.sealing
      return commit({ uploadId: undefined, lengthBytes, content, hints: NO_HINTS, md5, checksumValue, sealing })
    }
    return needsMd5(request) ? this.md5s.during(bytes, store) : store(NO_MD5)
  }

  /** A payload is one segment under the object key: an object with a payload has no extent. */
  private payloadOf(bytes: Uint8Array, created: CreatedKey | undefined): Uint8Array {
    if (created === undefined) return bytes
    return this.compute.seal(bytes, { key: created.key, block: 0, segment: 0, isLast: true })
  }

  private storeWhole<Result>(
    request: KeyedRequest,
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
        payer: request.body.payer,
      })
      return { ...written, digests: { ...written.digests, md5 } }
    }
    return this.ingest(request, write, () => checksumValue, commit)
  }

  private async runStream<Result>(
    request: KeyedRequest,
    commit: (ingested: Ingested) => Promise<Result>,
  ): Promise<Result> {
    const { body } = request
    const known = await this.knownTo(request)
    const plannedBytes = body.lengthBytes ?? (known?.kind === "body" ? NEVER_WHOLE : undefined)
    const write = async (uploadId: UploadId): Promise<WrittenBody> =>
      this.blocks.write({
        ...(await this.target(request, uploadId, plannedBytes)),
        known,
        plan: { md5: needsMd5(request), sha256: body.sha256Hex !== undefined, checksum: request.checksumAlgorithm },
        source: body.open("reader"),
        statedBytes: body.lengthBytes,
        lengthBytesMax: BODY_BYTES_MAX,
        inlineBytesMax: request.inlineBytesMax,
        signal: request.client.signal,
        payer: body.payer,
      })
    const check = ({ lengthBytes, digests }: WrittenBody) =>
      checkBody(body, body.declaredChecksum(), lengthBytes, digestsOf(digests))
    return this.ingest({ ...request, known }, write, check, commit)
  }

  /** @returns undefined if no block of the body is looked for. */
  private async knownTo(request: KeyedRequest): Promise<SharedBody | SharedPart | undefined> {
    const { bucket, storageClass, shares, created, body } = request
    const { wholeBytesMax: shortBytes } = this
    const isShort = body.lengthBytes !== undefined && body.lengthBytes <= shortBytes
    if (shares === undefined || created !== undefined || isShort) return undefined
    if (shares === "part") return this.sharing?.ofPart({ bucket, storageClass })
    const nextUpload = () => this.uploads.nextId()
    return this.sharing?.ofBody({ bucket, storageClass, blockBytes: this.blockBytes, shortBytes, nextUpload })
  }

  private async ingest<Result>(
    {
      bucket,
      key,
      created,
      known,
    }: Pick<Target, "bucket" | "key" | "created"> & {
      readonly known?: SharedBody | SharedPart | undefined
    },
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
        const { lengthBytes } = body
        const content = this.contentOf(body, created, known)
        const digests = known?.kind === "part" && content.kind === "extent" ? known.ofExtent(content.extent) : undefined
        const { md5 } = digestsOf(body.digests)
        const hints = await this.noteMany(body.hints)
        const sealing = created?.sealing
        const result = await commit({ uploadId, lengthBytes, content, digests, hints, md5, checksumValue, sealing })
        if (body.hints.length > 0) this.watch.onHints(body.hints)
        if (isNarrow(body)) this.watch.onNarrow()
        return result
      } catch (error) {
        await this.uploads.discard(bucket.id, key, body, error)
        throw error
      }
    } finally {
      this.uploads.release(uploadId)
      if (known?.kind === "body") for (const further of known.uploads) this.uploads.release(further)
    }
  }

  private contentOf(
    { content, lengthBytes }: WrittenBody,
    created: CreatedKey | undefined,
    known: SharedBody | SharedPart | undefined,
  ): IngestedContent {
    if (content.kind === "inline") return { ...content, bytes: this.payloadOf(content.bytes, created) }
    if (content.kind === "extent") return content
    const [run] = content.runs
    const isOrdinary = known?.kind !== "body" || lengthBytes <= this.wholeBytesMax
    if (run !== undefined && isOrdinary) return { kind: "extent", extent: run.extent }
    const shared = must(known?.kind === "body" ? known : undefined, "a part is one run")
    return { kind: "shared", put: put => shared.put(put, content.runs) }
  }

  /** Records the hints that do not fit the commit; before the commit, so that none is ever missing. */
  private async noteMany(hints: readonly MissingShardHint[]): Promise<readonly MissingShardHint[]> {
    for (let at = HINTS_PER_COMMAND; at < hints.length; at += HINTS_PER_COMMAND) {
      await this.metadata.run(recordHints(hints.slice(at, at + HINTS_PER_COMMAND)))
    }
    return hints.slice(0, HINTS_PER_COMMAND)
  }

  /** Returns the version's lock, or an empty one, which tells a rescue that the bucket has object lock. */
  private lockToShow(bucket: BucketLock, stated: VersionLock | undefined): VersionLock {
    const clocks = { clockMs: 0, nowMs: this.backend.clock.wallMs() }
    return lockOfRestored(bucket, stated, clocks) ?? { retention: undefined, legalHold: undefined }
  }

  /** Throws `metadataTooLarge` if parts of the upload would be refused because their recovery header is too long. */
  checkUpload(upload: HeaderFacts): void {
    this.recoveryHeader(upload, BODY_BYTES_MAX)
  }

  private recoveryHeader(
    { bucket, contentType, userMetadata, multipartId, lock, storageClass, created, sealed }: HeaderFacts,
    plannedLengthBytes: number | undefined,
  ): Uint8Array {
    return encodeChecked({
      bucket: bucket.name,
      contentType,
      userMetadata,
      plannedLengthBytes,
      multipartId: multipartId ?? "",
      ...(bucket.lock && { lock: this.lockToShow(bucket.lock, lock) }),
      ...(created && { sealed: sealedUploadOf(created) }),
      ...(sealed && { sealed }),
      ...(storageClass !== "STANDARD" && { storageClass }),
    })
  }

  /** The policy of new blocks of a bucket and class. */
  async policyFor(bucketId: BucketId, storageClass: StorageClass): Promise<Policy> {
    const ofBucket = await this.metadata.known(chosenPolicy(bucketId))
    return policyOfVersion(this.classes, storageClass, ofBucket ?? this.store.policy)
  }

  /** The policy is read while the upload is held, so that a later re-encoding finds the upload. */
  private async target(target: Target, uploadId: UploadId, plainBytes: number | undefined) {
    const { bucket, key, part, storageClass, created, isSegment, ends } = target
    const { blockBytes } = this.store
    const isOpen = isSegment === true && plainBytes !== undefined && isOpenEnd(plainBytes, blockBytes)
    const isKnown = plainBytes !== undefined && created !== undefined
    const policy = await this.policyFor(bucket.id, storageClass)
    const plannedLengthBytes = isKnown ? storedBytesOf(plainBytes, blockBytes) : plainBytes
    return {
      uploadId,
      part,
      seal: created && { key: extentKeyOf(created.key, uploadId, part) },
      owner: { bucketId: bucket.id, key },
      policy: isOpen ? policyOfOpenEnd(policy) : policy,
      blockBytes,
      recoveryHeader: this.recoveryHeader(target, plannedLengthBytes),
      endsAtMs: ends && (await this.ends?.of(bucket, key, part === 0 ? plainBytes : undefined, ends)),
    }
  }
}

/**
 * Returns true if the bytes of a segment are stored as copies, until they are sealed together with others: they are shorter
 * than a block.
 */
export const isOpenEnd = (lengthBytes: number, blockBytes: number): boolean => lengthBytes < blockBytes

/** Throws `metadataTooLarge`. What a rescue brings had its reserve when it was written. */
function encodeChecked(header: RecoveryHeader): Uint8Array {
  const encoded = encodeRecoveryHeader(header)
  const isRescued = header.sealed?.sealedAs !== undefined
  const maxBytes = isRescued ? RECOVERY_HEADER_BYTES_MAX : RECOVERY_HEADER_BYTES_MAX - RECOVERY_RESERVE_BYTES
  if (encoded.length <= maxBytes) return encoded
  throw fail("metadataTooLarge", {
    message: "content type, user metadata and encryption context are too long together",
    sizeBytes: encoded.length,
    maxSizeAllowedBytes: maxBytes,
  })
}

function declaredIn(request: IngestRequest): Declared | undefined {
  const { body, part, multipartId, isMoved, isSegment } = request
  const { lengthBytes } = body
  if (isMoved === true || isSegment === true) return undefined
  return { lengthBytes, ...(multipartId !== undefined && { part: { multipartId, partNumber: part } }) }
}

/** For a rescue: what is needed to open the bytes, without rows. */
const sealedUploadOf = ({ sealing, secret }: Pick<CreatedKey, "sealing" | "secret">): SealedUpload => ({
  sealing,
  epoch: secret.epoch,
  sealedSecret: secret.sealed,
  ...(secret.bucketKey && { bucketKey: secret.bucketKey }),
})

const needsMd5 = ({ body, created, isMoved, isSegment }: KeyedRequest): boolean =>
  isMoved !== true &&
  (isSegment !== true || body.md5 !== undefined) &&
  (created === undefined || body.md5 !== undefined || !hasRandomEtag(created.sealing))

const digestsOf = ({ md5, sha256, checksum }: WrittenBody["digests"]): BodyDigests => ({
  md5: md5 ?? NO_MD5,
  sha256Hex: sha256 && hexOf(sha256),
  checksum,
})

const NO_DIGESTS = { md5: false, sha256: false, checksum: undefined } as const
const NO_HINTS: readonly MissingShardHint[] = []
const NO_MD5 = new Uint8Array(16)
