/**
 * Needle catalog: the locations of all shards in the folders of a rescue, from needle headers. Uploads are grouped by
 * the object key in their needles.
 *
 * Promises  Respects tombstones: the last record of a needle in a folder counts.
 * Limits    `needlesMax`; `add` returns false beyond it, and the catalog is unusable from then on.
 *           65,536 folders.
 */
import { must } from "@hayloft/base/assert.js"
import { isFailure } from "@hayloft/base/failures.js"
import type { BucketId, BucketName, MultipartId, ObjectKey, UploadId } from "@hayloft/base/ids.js"
import { parseMultipartId } from "@hayloft/base/ids.js"
import { textOfPolicy, type Policy } from "@hayloft/base/policy.js"
import type { FoundShard } from "@hayloft/engine/block/index.js"
import {
  decodeRecoveryHeader,
  type RecoveryHeader,
  type SealedUpload,
} from "@hayloft/engine/format/needles/recovery-header.js"
import type { SealedSecret } from "@hayloft/access/keys/contract.js"
import type { NeedleHeader, NeedleOwner, NeedlePlace, ShardHeader } from "@hayloft/engine/format/needles/needle.js"

/** All uploads of one object key. */
export interface CatalogedKey {
  readonly bucketId: BucketId
  readonly key: ObjectKey
  readonly uploads: CatalogedUpload[]
}

interface Born {
  readonly multipartId: MultipartId | undefined
  /** The length of bytes that are not encrypted. */
  readonly plannedLengthBytes: number | undefined
}

/** From recovery headers of encrypted bytes. */
interface SealedSince {
  /** The first generation that has one. Earlier ones may have the bytes from before they were encrypted. */
  readonly from: number
  /** The planned length of the bytes in their stored form, encrypted. */
  readonly lengthBytes: number | undefined
  /** The upload under which they were encrypted. */
  readonly sealedAs: UploadId
}

export interface CatalogedUpload {
  readonly uploadId: UploadId
  readonly part: number
  /** From its recovery header; undefined if that is lost. */
  born: Born | undefined
  /** It is undefined if none of its bytes are known to be encrypted. */
  sealed?: SealedSince
  /** Row of its latest needle in the table. */
  latest: number
  /** Its bytes up to this generation waited for their deletion; undefined: none. */
  unreferencedGeneration?: number
}

/** A shard, by the last record of it in its folder. */
export interface CatalogedShard extends FoundShard {
  readonly folder: number
  readonly place: NeedlePlace
}

/** Bytes of an upload that no row references any more: those of this generation, and of earlier ones. */
export interface UnreferencedBytes {
  readonly uploadId: UploadId
  readonly generation: number
}

interface UploadShards {
  readonly shards: readonly CatalogedShard[]
  /** Shards that were removed in some folder. */
  readonly removed: number
}

const NONE = -1
const TOMBSTONE = 0x80
const ROWS_AT_FIRST = 1024

/** One row for each needle, in columns: objects would use ten times the memory. */
class NeedleTable {
  count = 0
  private capacity = ROWS_AT_FIRST
  before = new Int32Array(ROWS_AT_FIRST)
  folder = new Uint16Array(ROWS_AT_FIRST)
  volume = new Uint32Array(ROWS_AT_FIRST)
  offset = new Float64Array(ROWS_AT_FIRST)
  headerBytes = new Uint32Array(ROWS_AT_FIRST)
  bodyBytes = new Uint32Array(ROWS_AT_FIRST)
  block = new Uint32Array(ROWS_AT_FIRST)
  generation = new Uint16Array(ROWS_AT_FIRST)
  /** With TOMBSTONE: the shard was removed. */
  slot = new Uint8Array(ROWS_AT_FIRST)
  policy = new Uint16Array(ROWS_AT_FIRST)
  blockLength = new Uint32Array(ROWS_AT_FIRST)

  next(): number {
    if (this.count === this.capacity) this.grow()
    this.count += 1
    return this.count - 1
  }

  private grow(): void {
    this.capacity *= 2
    const grown = <T extends { set(from: T): void }>(from: T, to: T): T => {
      to.set(from)
      return to
    }
    const { capacity } = this
    this.before = grown(this.before, new Int32Array(capacity))
    this.folder = grown(this.folder, new Uint16Array(capacity))
    this.volume = grown(this.volume, new Uint32Array(capacity))
    this.offset = grown(this.offset, new Float64Array(capacity))
    this.headerBytes = grown(this.headerBytes, new Uint32Array(capacity))
    this.bodyBytes = grown(this.bodyBytes, new Uint32Array(capacity))
    this.block = grown(this.block, new Uint32Array(capacity))
    this.generation = grown(this.generation, new Uint16Array(capacity))
    this.slot = grown(this.slot, new Uint8Array(capacity))
    this.policy = grown(this.policy, new Uint16Array(capacity))
    this.blockLength = grown(this.blockLength, new Uint32Array(capacity))
  }
}

const keyName = ({ bucketId, key }: NeedleOwner): string => `${bucketId}/${key}`

export class NeedleCatalog {
  private readonly table = new NeedleTable()
  private readonly uploads = new Map<UploadId, CatalogedUpload>()
  private readonly byKey = new Map<string, CatalogedKey>()
  private readonly policies: Policy[] = []
  private readonly policyNumbers = new Map<string, number>()
  /** From recovery headers. */
  readonly bucketNames = new Map<BucketId, BucketName>()
  /** Buckets with object lock, from recovery headers. */
  readonly lockedBuckets = new Set<BucketId>()
  /** The secrets of buckets, from recovery headers. */
  readonly sealedSecrets = new Map<BucketId, SealedSecret>()

  /** `wants`: whether to keep uploads of an object key. */
  constructor(
    private readonly needlesMax: number,
    private readonly wants: (owner: NeedleOwner) => boolean,
  ) {}

  get needles(): number {
    return this.table.count
  }

  /** Adds a folder's next needle; returns false if the catalog is full. */
  add(folder: number, header: NeedleHeader, place: NeedlePlace): boolean {
    if (header.kind === "payload") return true
    const upload = header.kind === "shard" ? this.uploadOf(header) : this.uploads.get(header.id.uploadId)
    if (header.kind === "shard") this.takeNote(header, upload)
    if (upload === undefined) return true
    if (this.table.count >= this.needlesMax) return false
    this.addRow(upload, folder, header, place)
    return true
  }

  /** One recovery header of an upload is enough, except for a lock and a secret: rebuilt shards may tell of later ones. */
  private takeNote(header: ShardHeader, upload: CatalogedUpload | undefined): void {
    const { bucketId } = header.owner
    const note = noteOf(header)
    if (!note) return
    // Any header may have the newest secret of its bucket.
    if (note.sealed !== undefined) this.takeSecret(bucketId, note.sealed)
    if (upload !== undefined && note.sealed !== undefined) noteSealed(upload, header.id.generation, note, note.sealed)
    const isBorn =
      upload?.born !== undefined && (note.sealed !== undefined || upload.born.plannedLengthBytes !== undefined)
    if (this.lockedBuckets.has(bucketId) && (upload === undefined || isBorn)) return
    this.bucketNames.set(bucketId, note.bucket)
    if (note.lock !== undefined) this.lockedBuckets.add(bucketId)
    if (upload === undefined) return
    if (isBorn) return
    const { multipartId } = note
    const plannedLengthBytes = note.sealed === undefined ? note.plannedLengthBytes : undefined
    upload.born = { plannedLengthBytes, multipartId: multipartId === "" ? undefined : parseMultipartId(multipartId) }
  }

  /** An erasure drops earlier keys, and leaves the headers from before. */
  private takeSecret(bucketId: BucketId, { epoch, sealedSecret }: SealedUpload): void {
    const known = this.sealedSecrets.get(bucketId)
    if (known === undefined || known.epoch < epoch) this.sealedSecrets.set(bucketId, { epoch, sealed: sealedSecret })
  }

  private addRow(
    upload: CatalogedUpload,
    folder: number,
    header: Exclude<NeedleHeader, { kind: "payload" }>,
    place: NeedlePlace,
  ): void {
    const { table } = this
    const at = table.next()
    table.before[at] = upload.latest
    upload.latest = at
    table.folder[at] = folder
    table.volume[at] = place.volume
    table.offset[at] = place.offsetBytes
    table.headerBytes[at] = place.headerBytes
    table.bodyBytes[at] = place.bodyBytes
    table.block[at] = header.id.block
    table.generation[at] = header.id.generation
    table.slot[at] = header.id.slot | (header.kind === "tombstone" ? TOMBSTONE : 0)
    if (header.kind === "tombstone") return
    table.policy[at] = this.numberOf(header.policy)
    table.blockLength[at] = header.blockLengthBytes
  }

  private uploadOf({ id, owner }: ShardHeader): CatalogedUpload | undefined {
    const known = this.uploads.get(id.uploadId)
    if (known || !this.wants(owner)) return known
    const upload: CatalogedUpload = { uploadId: id.uploadId, part: id.part, born: undefined, latest: NONE }
    this.uploads.set(id.uploadId, upload)
    const name = keyName(owner)
    const key = this.byKey.get(name) ?? { bucketId: owner.bucketId, key: owner.key, uploads: [] }
    if (key.uploads.length === 0) this.byKey.set(name, key)
    key.uploads.push(upload)
    return upload
  }

  private numberOf(policy: Policy): number {
    const text = textOfPolicy(policy)
    const number = this.policyNumbers.get(text) ?? this.policies.push(policy) - 1
    this.policyNumbers.set(text, number)
    return number
  }

  upload(uploadId: UploadId): CatalogedUpload | undefined {
    return this.uploads.get(uploadId)
  }

  /** Takes down that no row referenced these bytes any more. */
  markUnreferenced({ uploadId, generation }: UnreferencedBytes): void {
    const upload = this.uploads.get(uploadId)
    if (upload) upload.unreferencedGeneration = Math.max(upload.unreferencedGeneration ?? 0, generation)
  }

  /** Returns true if shards are left that did not wait for their deletion. */
  isKept(upload: CatalogedUpload): boolean {
    const { unreferencedGeneration = NONE } = upload
    return this.shardsOf(upload).shards.some(({ generation }) => generation > unreferencedGeneration)
  }

  keyOf(owner: NeedleOwner): CatalogedKey | undefined {
    return this.byKey.get(keyName(owner))
  }

  keys(): Iterable<CatalogedKey> {
    return this.byKey.values()
  }

  shardsOf(upload: CatalogedUpload): UploadShards {
    const { table } = this
    const decided = new Set<string>()
    const shards: CatalogedShard[] = []
    let removed = 0
    // The last record of a shard counts, not the ones before it.
    for (let at = upload.latest; at !== NONE; at = table.before[at] ?? NONE) {
      const [folder = 0, block = 0, generation = 0] = [table.folder[at], table.block[at], table.generation[at]]
      const slot = (table.slot[at] ?? 0) & ~TOMBSTONE
      const name = `${folder} ${block} ${generation} ${slot}`
      if (decided.has(name)) continue
      decided.add(name)
      if (((table.slot[at] ?? 0) & TOMBSTONE) !== 0) removed += 1
      else shards.push({ folder, block, generation, slot, ...this.placed(at) })
    }
    return { shards, removed }
  }

  private placed(at: number): Pick<CatalogedShard, "place" | "policy" | "blockLengthBytes"> {
    const { table } = this
    return {
      place: {
        volume: table.volume[at] ?? 0,
        offsetBytes: table.offset[at] ?? 0,
        headerBytes: table.headerBytes[at] ?? 0,
        bodyBytes: table.bodyBytes[at] ?? 0,
      },
      policy: must(this.policies[table.policy[at] ?? 0], "policies have numbers"),
      blockLengthBytes: table.blockLength[at] ?? 0,
    }
  }
}

function noteSealed(
  upload: CatalogedUpload,
  generation: number,
  { plannedLengthBytes: lengthBytes }: RecoveryHeader,
  { sealedAs = upload.uploadId }: SealedUpload,
): void {
  if (upload.sealed === undefined || generation < upload.sealed.from)
    upload.sealed = { from: generation, lengthBytes, sealedAs }
}

/** Returns undefined if there is no readable recovery header. */
export function noteOf({ recoveryHeader }: ShardHeader): RecoveryHeader | undefined {
  try {
    return recoveryHeader && decodeRecoveryHeader(recoveryHeader)
  } catch (error) {
    if (isFailure(error)) return undefined
    throw error
  }
}
