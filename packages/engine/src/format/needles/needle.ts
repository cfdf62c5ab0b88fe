/**
 * Needles on disk: the header that precedes each body in a volume, the key under which the index
 * stores it, and the place in the index.
 *
 * Version 1 and 2, little-endian (the index key inside is big-endian):
 *
 *   0 magic (4)            4 version (1)        5 kind (1)          6 checksum algorithm (1)  7 zero (1)
 *   8 header length (4)   12 body length (4)   16 index key (27)   43 policy (4)             47 zero (1)
 *  48 block length (4)    52 key length (2)    54 note length (2)  56 bucket or family (8)
 *  64 sub-blocks (4)      68 zero (4)          72 key, recovery header, checksums (8 a sub-block)
 *  then XXH64 of all that precedes (8).
 *
 * In version 2 key and recovery header are encrypted: a nonce (12), both, and a tag (16), which covers bytes 0–71 as
 * well. The note's length includes these 28 bytes; the key of the cipher is derived from the 27 bytes of the index key,
 * which of a payload are random. Checksums cover the encrypted bytes.
 *
 * Promises  Decoding refuses every prefix and every flipped bit, and checks lengths before it uses
 *           them. Bodies are checked by sub-block, seeded by the needle, so bytes of another needle
 *           are refused like damaged ones.
 * Limits    NEEDLE_HEADER_BYTES_MAX, NEEDLE_BODY_BYTES_MAX, RECOVERY_HEADER_BYTES_MAX.
 */
import { GCM_NONCE_BYTES, GCM_TAG_BYTES, openWithNonce, sealWithNonce } from "@hayloft/base/encryption/aes-gcm.js"
import { assert, must, unreachable } from "@hayloft/base/assert.js"
import { bytesOfHex, hexOf } from "@hayloft/base/bytes.js"
import { noCipher, refusesPlain, type DeviceCipher } from "@hayloft/base/encryption/device-cipher.js"
import { fail } from "@hayloft/base/failures.js"
import type { Family } from "@hayloft/base/rows/families.js"
import { FAMILIES, familyOfNumber } from "@hayloft/base/rows/families.js"
import type { BucketId, ObjectKey, PartitionId, RowKey, UploadId } from "@hayloft/base/ids.js"
import { bytesOfByteString, parseBucketId, parsePartitionId, parseUploadId, rowKeyOf } from "@hayloft/base/ids.js"
import { BLOCK_BYTES_MAX, KIB, SHARDS_MAX } from "@hayloft/base/limits.js"
import type { MatrixKind, Policy } from "@hayloft/base/policy.js"
import { shardCount } from "@hayloft/base/policy.js"
import { CHECKSUM_BYTES, subBlockCount } from "@hayloft/base/simd/sub-block.js"
import { xxh64, xxh64Into } from "@hayloft/base/simd/xxh64.js"

/** Write-once: same id, always the same bytes. */
export interface NeedleId {
  /** `partitionOf(uploadId, part, block)`. */
  readonly partition: PartitionId
  readonly uploadId: UploadId
  /** 0 for a single upload; otherwise the part number. */
  readonly part: number
  readonly block: number
  /** 0 at first; each re-encoding writes the next. */
  readonly generation: number
  readonly slot: number
}

/** The row that the needle's block belongs to. */
export interface NeedleOwner {
  readonly bucketId: BucketId
  readonly key: ObjectKey
}

interface Bodied {
  readonly bodyBytes: number
  /** 8 bytes per sub-block of 64 KiB of the body. */
  readonly checksums: Uint8Array
}

interface Named {
  readonly owner: NeedleOwner
  readonly recoveryHeader: Uint8Array | undefined
}

export interface ShardHeader extends Bodied, Named {
  readonly kind: "shard"
  readonly id: NeedleId
  readonly policy: Policy
  /** Bytes of the block that this is a shard of, before padding. */
  readonly blockLengthBytes: number
}

/** The inline payload of a row; `key` is the device key, which carries the tablet's prefix. */
export interface PayloadHeader extends Bodied {
  readonly kind: "payload"
  readonly family: Family
  readonly key: RowKey
}

/** The needle of this id was removed. */
export interface TombstoneHeader {
  readonly kind: "tombstone"
  readonly id: NeedleId
}

export type NeedleHeader = ShardHeader | PayloadHeader | TombstoneHeader

/** The location of a needle in its device's volumes. */
export interface NeedlePlace {
  readonly volume: number
  /** The offset of its header. The body follows the header directly. */
  readonly offsetBytes: number
  readonly headerBytes: number
  readonly bodyBytes: number
}

export const NEEDLE_KEY_BYTES = 27
export const POLICY_BYTES = 4
export const NEEDLE_HEAD_BYTES = 72
export const NEEDLE_BODY_BYTES_MAX = BLOCK_BYTES_MAX
/** Bucket name, content type, user metadata and encryption of an object. */
export const RECOVERY_HEADER_BYTES_MAX = 8 * KIB
const KEY_BYTES_MAX = 2 * KIB
const SEAL_BYTES = GCM_NONCE_BYTES + GCM_TAG_BYTES
const INDEX_KEY_AT = 16
const HASH_BYTES = 8
export const NEEDLE_HEADER_BYTES_MAX =
  NEEDLE_HEAD_BYTES +
  KEY_BYTES_MAX +
  RECOVERY_HEADER_BYTES_MAX +
  SEAL_BYTES +
  subBlockCount(NEEDLE_BODY_BYTES_MAX) * CHECKSUM_BYTES +
  HASH_BYTES

/** A tombstone consists of a head and its hash. */
export const TOMBSTONE_BYTES = NEEDLE_HEAD_BYTES + HASH_BYTES

const MAGIC = 0x6c64_4e48 // "HNdl"
const [PLAIN_VERSION, SEALED_VERSION] = [1, 2]
const XXH64 = 1
const KIND_NUMBERS = { shard: 1, payload: 2, tombstone: 3 } as const
const MATRICES: readonly MatrixKind[] = ["cauchy", "vandermonde", "xor"]
const REPLICA = 1
const CODED = 2
/** So that a needle, a row and an id of the same bytes do not share a checksum. */
const SEEDS = { needle: 0x6e65_6564n, payload: 0x7061_796cn } as const

const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.length)

/** Writes the index key of a needle: `NEEDLE_KEY_BYTES`. */
export function writeNeedleKey(id: NeedleId, target: Uint8Array, at: number): void {
  const view = viewOf(target)
  view.setUint16(at, id.partition)
  target.set(must(bytesOfHex(id.uploadId), "an upload id is hex"), at + 2)
  view.setUint16(at + 18, id.part)
  view.setUint32(at + 20, id.block)
  view.setUint16(at + 24, id.generation)
  target[at + 26] = id.slot
}

/** The needle of an index key whose bytes are all present. The slot may be out of range. */
export function readNeedleKey(bytes: Uint8Array, at: number): NeedleId {
  const view = viewOf(bytes)
  return {
    partition: parsePartitionId(view.getUint16(at)),
    uploadId: parseUploadId(hexOf(bytes.subarray(at + 2, at + 18))),
    part: view.getUint16(at + 18),
    block: view.getUint32(at + 20),
    generation: view.getUint16(at + 24),
    slot: view.getUint8(at + 26),
  }
}

function assertId({ part, block, generation, slot }: NeedleId): void {
  const fits = (value: number, max: number): boolean => Number.isInteger(value) && value >= 0 && value <= max
  assert(fits(part, 0xffff) && fits(block, 0xffff_ffff), "part and block of a needle are in range")
  assert(fits(generation, 0xffff) && fits(slot, SHARDS_MAX - 1), "generation and slot of a needle are in range")
}

/** The index key: 27 bytes, big-endian, so that a partition's needles are one range, and an upload's adjacent. */
export function needleKeyOf(id: NeedleId): RowKey {
  assertId(id)
  const bytes = Buffer.allocUnsafe(NEEDLE_KEY_BYTES)
  writeNeedleKey(id, bytes, 0)
  return rowKeyOf(bytes.toString("latin1"))
}

/** Throws `corruptRow` for anything but 27 bytes. */
export function needleIdOfKey(key: RowKey): NeedleId {
  if (key.length !== NEEDLE_KEY_BYTES) throw fail("corruptRow", { family: "needles", lengthBytes: key.length })
  return readNeedleKey(bytesOfByteString(key), 0)
}

/** Inclusive start and exclusive end of a partition's keys in the index. */
export function needleKeysOfPartition(partition: PartitionId): { readonly start: RowKey; readonly end: RowKey } {
  const start = String.fromCharCode(partition >> 8, partition & 0xff)
  return { start: rowKeyOf(start), end: rowKeyOf(start + "\xff".repeat(NEEDLE_KEY_BYTES)) }
}

/** The partition of a key in the index, or of the beginning of one. */
export const partitionOfKey = (key: string): number =>
  (key.charCodeAt(0) << 8) | (key.length > 1 ? key.charCodeAt(1) : 0)

/** Seeds the checksums of a shard's sub-blocks. */
export function needleSeed(id: NeedleId): bigint {
  const bytes = new Uint8Array(NEEDLE_KEY_BYTES)
  writeNeedleKey(id, bytes, 0)
  return xxh64(bytes, SEEDS.needle)
}

/** Seeds the checksum of a row's inline payload. */
export function payloadSeed(family: Family, key: RowKey): bigint {
  const bytes = new Uint8Array(1 + key.length)
  bytes[0] = FAMILIES[family]
  bytes.set(bytesOfByteString(key), 1)
  return xxh64(bytes, SEEDS.payload)
}

/** Length of the header of a row's inline payload, which its place does not contain. */
export const payloadHeaderBytes = (key: RowKey, payloadBytes: number, isSealed: boolean): number =>
  NEEDLE_HEAD_BYTES +
  key.length +
  (isSealed ? SEAL_BYTES : 0) +
  subBlockCount(payloadBytes) * CHECKSUM_BYTES +
  HASH_BYTES

/** Writes a policy: `POLICY_BYTES`. */
export function writePolicy(policy: Policy, target: Uint8Array, at: number): void {
  if (policy.kind === "replica") target.set([REPLICA, policy.copies, 0, 0], at)
  else target.set([CODED, policy.k, policy.m, MATRICES.indexOf(policy.matrix)], at)
}

/** One shared object for each policy, however many shards have it. */
const policiesRead = new Map<number, Policy>()

/** Returns undefined if `writePolicy` does not write such bytes. */
export function readPolicy(bytes: Uint8Array, at: number): Policy | undefined {
  const encoded = viewOf(bytes).getUint32(at, true)
  const policy = policiesRead.get(encoded) ?? decodePolicy(bytes, at)
  if (policy !== undefined) policiesRead.set(encoded, policy)
  return policy
}

function decodePolicy(bytes: Uint8Array, at: number): Policy | undefined {
  const [kind = 0, k = 0, m = 0, named = 0] = bytes.subarray(at, at + 4)
  const matrix = MATRICES[named]
  if (kind === REPLICA && k >= 1 && k <= SHARDS_MAX && m === 0 && named === 0) return { kind: "replica", copies: k }
  if (kind !== CODED || matrix === undefined || k < 1 || m < 1) return undefined
  const policy: Policy = { kind: "ec", k, m, matrix }
  return shardCount(policy) <= SHARDS_MAX ? policy : undefined
}

const NOTHING = new Uint8Array(0)

/** The parts of a header without a fixed length, and the key's owner: a bucket, or a family. */
function partsOf(header: NeedleHeader): { bucketOrFamily: number; key: string; note: Uint8Array; body: Bodied } {
  switch (header.kind) {
    case "shard":
      return {
        bucketOrFamily: header.owner.bucketId,
        key: header.owner.key,
        note: header.recoveryHeader ?? NOTHING,
        body: header,
      }
    case "payload":
      return { bucketOrFamily: FAMILIES[header.family], key: header.key, note: NOTHING, body: header }
    case "tombstone":
      return { bucketOrFamily: 0, key: "", note: NOTHING, body: { bodyBytes: 0, checksums: NOTHING } }
    default:
      return unreachable(header)
  }
}

/** With a cipher the names are encrypted; a tombstone has none. */
export function encodeNeedleHeader(header: NeedleHeader, cipher?: DeviceCipher): Uint8Array {
  const { bucketOrFamily, key, note, body } = partsOf(header)
  const { bodyBytes, checksums } = body
  assert(bodyBytes <= NEEDLE_BODY_BYTES_MAX, () => `a body of ${bodyBytes} bytes is too long`)
  assert(checksums.length === subBlockCount(bodyBytes) * CHECKSUM_BYTES, "there is a checksum for each sub-block")
  assert(
    key.length <= KEY_BYTES_MAX && note.length <= RECOVERY_HEADER_BYTES_MAX,
    "key and recovery header are in range",
  )
  const seal = header.kind === "tombstone" ? undefined : cipher
  const noteBytes = note.length + (seal === undefined ? 0 : SEAL_BYTES)
  const bytes = Buffer.alloc(NEEDLE_HEAD_BYTES + key.length + noteBytes + checksums.length + HASH_BYTES)
  bytes.writeUInt32LE(MAGIC, 0)
  bytes.set([seal === undefined ? PLAIN_VERSION : SEALED_VERSION, KIND_NUMBERS[header.kind], XXH64], 4)
  bytes.writeUInt32LE(bytes.length, 8)
  bytes.writeUInt32LE(bodyBytes, 12)
  if (header.kind !== "payload") {
    assertId(header.id)
    writeNeedleKey(header.id, bytes, INDEX_KEY_AT)
  } else if (seal !== undefined) bytes.set(seal.salt(), INDEX_KEY_AT)
  if (header.kind === "shard") {
    assert(header.blockLengthBytes <= BLOCK_BYTES_MAX, "a block is in range")
    writePolicy(header.policy, bytes, 43)
    bytes.writeUInt32LE(header.blockLengthBytes, 48)
  }
  bytes.writeUInt16LE(key.length, 52)
  bytes.writeUInt16LE(noteBytes, 54)
  bytes.writeBigUInt64LE(BigInt(bucketOrFamily), 56)
  bytes.writeUInt32LE(subBlockCount(bodyBytes), 64)
  const names = Buffer.alloc(key.length + note.length)
  names.write(key, 0, "latin1")
  names.set(note, key.length)
  const stored = seal ? sealWithNonce(names, { ...sealOfNames(bytes, seal), nonce: seal.nonce() }) : names
  bytes.set(stored, NEEDLE_HEAD_BYTES)
  bytes.set(checksums, NEEDLE_HEAD_BYTES + stored.length)
  xxh64Into(bytes.subarray(0, -HASH_BYTES), 0n, bytes, bytes.length - HASH_BYTES)
  return bytes
}

/** Key and additional data of the names in a header, whose head is complete. */
const sealOfNames = (header: Uint8Array, cipher: DeviceCipher) => ({
  key: cipher.headerKey(header.subarray(INDEX_KEY_AT, INDEX_KEY_AT + NEEDLE_KEY_BYTES)),
  aad: header.subarray(0, NEEDLE_HEAD_BYTES),
})

/**
 * Length of the header that begins with these bytes, of which at least `NEEDLE_HEAD_BYTES` are present;
 * undefined if no header begins here. Not verified yet, but within the limits.
 */
export function needleHeaderLength(head: Uint8Array): number | undefined {
  if (head.length < NEEDLE_HEAD_BYTES) return undefined
  const view = viewOf(head)
  const version = view.getUint8(4)
  if (view.getUint32(0, true) !== MAGIC || (version !== PLAIN_VERSION && version !== SEALED_VERSION)) return undefined
  const headerBytes = view.getUint32(8, true)
  const [bodyBytes, subBlocks] = [view.getUint32(12, true), view.getUint32(64, true)]
  const [keyBytes, noteBytes] = [view.getUint16(52, true), view.getUint16(54, true)]
  if (bodyBytes > NEEDLE_BODY_BYTES_MAX || subBlocks !== subBlockCount(bodyBytes)) return undefined
  const sealBytes = version === SEALED_VERSION ? SEAL_BYTES : 0
  if (noteBytes < sealBytes || noteBytes > RECOVERY_HEADER_BYTES_MAX + sealBytes) return undefined
  if (keyBytes > KEY_BYTES_MAX) return undefined
  const expected = NEEDLE_HEAD_BYTES + keyBytes + noteBytes + subBlocks * CHECKSUM_BYTES + HASH_BYTES
  return headerBytes === expected ? headerBytes : undefined
}

/** Length of the body, from a head that `needleHeaderLength` accepted. Not verified yet, but within the limits. */
export const needleBodyLength = (head: Uint8Array): number => viewOf(head).getUint32(12, true)

/** Returns true if the names in a header, which `needleHeaderLength` accepted, are encrypted. */
export const isEncryptedHeader = (header: Uint8Array): boolean => header[4] === SEALED_VERSION

/** The checksum that ends an encoded header. */
export const needleHeaderChecksum = (header: Uint8Array): bigint =>
  viewOf(header).getBigUint64(header.length - HASH_BYTES, true)

/**
 * The means to read encrypted names: a cipher, or for a payload the key of the row that it must belong to, which the
 * checksums of its body confirm. If it is absent, a header is decoded without names, and reading them throws
 * `wrongMasterKey`.
 */
export type NeedleNames = DeviceCipher | { readonly expected: RowKey } | undefined

const corrupt = (reason: string) => fail("corruptNeedle", { message: "the needle's header is damaged", reason })

/**
 * Decodes the header that begins with these bytes (more may follow). Throws `corruptNeedle`. Byte arrays are copies.
 */
export function decodeNeedleHeader(bytes: Uint8Array, names?: NeedleNames): NeedleHeader {
  const headerBytes = needleHeaderLength(bytes)
  if (headerBytes === undefined) throw corrupt("head")
  if (headerBytes > bytes.length) throw corrupt("cut short")
  const header = bytes.subarray(0, headerBytes)
  if (xxh64(header.subarray(0, -HASH_BYTES)) !== needleHeaderChecksum(header)) throw corrupt("checksum")
  const view = viewOf(header)
  const kind = view.getUint8(5)
  if (view.getUint8(6) !== XXH64) throw corrupt("unknown checksum algorithm")
  if (view.getUint8(7) !== 0 || view.getUint8(47) !== 0 || view.getUint32(68, true) !== 0) throw corrupt("unknown flag")
  const keyEnd = NEEDLE_HEAD_BYTES + view.getUint16(52, true)
  const noteEnd = keyEnd + view.getUint16(54, true)
  const body = { bodyBytes: view.getUint32(12, true), checksums: new Uint8Array(header.subarray(noteEnd, -HASH_BYTES)) }
  const bucketOrFamily = Number(view.getBigUint64(56, true))
  if (!Number.isSafeInteger(bucketOrFamily)) throw corrupt("bucket or family")
  if (kind === KIND_NUMBERS.tombstone) return { kind: "tombstone", id: readNeedleKey(header, INDEX_KEY_AT) }
  const isSealed = view.getUint8(4) === SEALED_VERSION
  if (!isSealed && names !== undefined && !("expected" in names) && refusesPlain(names)) throw corrupt("not encrypted")
  const found = isSealed ? openNames(header, keyEnd, noteEnd, names) : plainNames(header, keyEnd, noteEnd)
  if (kind === KIND_NUMBERS.payload) {
    const family = familyOfNumber(bucketOrFamily)
    if (family === undefined) throw corrupt("unknown family")
    if (found === undefined) return new UnnamedPayload(family, body.bodyBytes, body.checksums)
    const { bodyBytes, checksums } = body
    return { kind: "payload", family, key: rowKeyOf(found.key), bodyBytes, checksums }
  }
  const policy = readPolicy(header, 43)
  if (kind !== KIND_NUMBERS.shard || policy === undefined) throw corrupt("unknown kind or policy")
  const [id, bucketId] = [readNeedleKey(header, INDEX_KEY_AT), parseBucketId(bucketOrFamily)]
  const shape = { id, policy, blockLengthBytes: view.getUint32(48, true), ...body }
  if (found === undefined) return new UnnamedShard(shape)
  const owner = { bucketId, key: parseOwnerKey(found.key) }
  return { kind: "shard", owner, recoveryHeader: found.note, ...shape }
}

interface Names {
  readonly key: string
  readonly note: Uint8Array | undefined
}

const plainNames = (header: Uint8Array, keyEnd: number, noteEnd: number): Names => ({
  key: Buffer.from(header.subarray(NEEDLE_HEAD_BYTES, keyEnd)).toString("latin1"),
  note: noteEnd > keyEnd ? new Uint8Array(header.subarray(keyEnd, noteEnd)) : undefined,
})

/** Returns undefined if the names cannot be read. */
function openNames(header: Uint8Array, keyEnd: number, noteEnd: number, names: NeedleNames): Names | undefined {
  if (names === undefined) return undefined
  const keyBytes = keyEnd - NEEDLE_HEAD_BYTES
  if ("expected" in names) {
    if (names.expected.length !== keyBytes) throw corrupt("the key of another row")
    return { key: names.expected, note: undefined }
  }
  const plain = openWithNonce(header.subarray(NEEDLE_HEAD_BYTES, noteEnd), sealOfNames(header, names))
  if (plain === undefined) throw corrupt("the names do not open under the key of the store")
  const note = plain.length > keyBytes ? new Uint8Array(plain.subarray(keyBytes)) : undefined
  return { key: plain.toString("latin1", 0, keyBytes), note }
}

/** A shard whose names were not read: most reads need none. */
class UnnamedShard implements ShardHeader {
  readonly kind = "shard"
  readonly id: NeedleId
  readonly policy: Policy
  readonly blockLengthBytes: number
  readonly bodyBytes: number
  readonly checksums: Uint8Array

  constructor({ id, policy, blockLengthBytes, bodyBytes, checksums }: Omit<ShardHeader, "kind" | keyof Named>) {
    this.id = id
    this.policy = policy
    this.blockLengthBytes = blockLengthBytes
    this.bodyBytes = bodyBytes
    this.checksums = checksums
  }

  get owner(): NeedleOwner {
    throw noCipher("the header of a needle")
  }

  get recoveryHeader(): Uint8Array | undefined {
    throw noCipher("the header of a needle")
  }
}

class UnnamedPayload implements PayloadHeader {
  readonly kind = "payload"

  constructor(
    readonly family: Family,
    readonly bodyBytes: number,
    readonly checksums: Uint8Array,
  ) {}

  get key(): RowKey {
    throw noCipher("the header of a payload")
  }
}

/** Returns true if a header was decoded without names. */
export const isUnnamed = (header: NeedleHeader): boolean =>
  header instanceof UnnamedShard || header instanceof UnnamedPayload

/** The key of a header with a valid checksum: it was an object key when it was written. */
const parseOwnerKey = (key: string): ObjectKey => key as ObjectKey

/**
 * The facts that the index stores about a shard in addition to its place, so that a scan of all shards reads no needle.
 */
export interface ShardShape {
  readonly policy: Policy
  /** Bytes of the block that this is a shard of, before padding. */
  readonly blockLengthBytes: number
}

/** Length of version 1, which contains only the place. */
const PLACE_BYTES = 20
const PLACE_AND_SHAPE_BYTES = 28

/** The index's value, version 2: place, policy, length of the block. */
export function encodeNeedlePlace(place: NeedlePlace, shape: ShardShape): Uint8Array {
  const bytes = new Uint8Array(PLACE_AND_SHAPE_BYTES)
  const view = new DataView(bytes.buffer)
  view.setUint32(0, place.volume, true)
  view.setBigUint64(4, BigInt(place.offsetBytes), true)
  view.setUint32(12, place.headerBytes, true)
  view.setUint32(16, place.bodyBytes, true)
  writePolicy(shape.policy, bytes, 20)
  view.setUint32(24, shape.blockLengthBytes, true)
  return bytes
}

/** Throws `corruptRow` if lengths exceed the limits. */
export function decodeNeedlePlace(bytes: Uint8Array): NeedlePlace {
  const view = viewOfPlace(bytes)
  const place = {
    volume: view.getUint32(0, true),
    offsetBytes: Number(view.getBigUint64(4, true)),
    headerBytes: view.getUint32(12, true),
    bodyBytes: view.getUint32(16, true),
  }
  if (place.headerBytes > NEEDLE_HEADER_BYTES_MAX || place.bodyBytes > NEEDLE_BODY_BYTES_MAX) {
    throw fail("corruptRow", { family: "needles", ...place })
  }
  return place
}

/** Returns undefined for a value of version 1, whose shape is in the needle's header. Throws `corruptRow`. */
export function decodeShardShape(bytes: Uint8Array): ShardShape | undefined {
  const view = viewOfPlace(bytes)
  if (bytes.length === PLACE_BYTES) return undefined
  const policy = readPolicy(bytes, 20)
  const blockLengthBytes = view.getUint32(24, true)
  if (policy === undefined || blockLengthBytes > BLOCK_BYTES_MAX) {
    throw fail("corruptRow", { family: "needles", policy: view.getUint32(20, true), blockLengthBytes })
  }
  return { policy, blockLengthBytes }
}

function viewOfPlace(bytes: Uint8Array): DataView {
  if (bytes.length !== PLACE_BYTES && bytes.length !== PLACE_AND_SHAPE_BYTES) {
    throw fail("corruptRow", { family: "needles", lengthBytes: bytes.length })
  }
  return viewOf(bytes)
}
