/**
 * Volumes on disk: the header of a volume file, and the header of each group of needles in it.
 *
 * A volume is a page of 4 KiB with the volume header, then groups. A group is the result of one write:
 * group header, needles (header, body, header, body …), zeros up to a page, so that no write
 * ever touches a page that contains acknowledged bytes. Each group contains its predecessor's checksum and
 * commits to the headers of its needles, which commit to their bodies: a chain from the volume header
 * to the last byte. All numbers little-endian; both headers 64 bytes, the last 8 an XXH64 of the rest.
 *
 * volume header: magic (4), version (1), kind (1), zero (2), device (8), volume (4), incarnation (4),
 *   predecessor's number (4), groups (4), end (8), checksum (8), ends by (8)
 * group header: magic (4), version (1), zero (3), device (8), volume (4), needles (4), sequence (4),
 *   length (4), offset (8), previous checksum (8), checksum of the needle headers' checksums (8)
 *
 * A group's own offset is also the position up to which the volume was durable when it was written:
 * groups are written one at a time, each after the one before was durable.
 */
import { assert, must } from "@hayloft/base/assert.js"
import { bytesOfHex, hexOf } from "@hayloft/base/bytes.js"
import { fail } from "@hayloft/base/failures.js"
import type { DeviceId, Incarnation, VolumeId } from "@hayloft/base/ids.js"
import { parseDeviceId, parseIncarnation, parseVolumeId } from "@hayloft/base/ids.js"
import { xxh64, xxh64Into } from "@hayloft/base/simd/xxh64.js"
import { bufferOf } from "../encoding/buffer-of.js"

/** A position between two groups of a volume, with the state that continues the chain from there. */
export interface VolumePosition {
  readonly volumeId: VolumeId
  readonly offsetBytes: number
  /** Groups before it. */
  readonly groups: number
  /** The checksum of the group before it, or of the volume header. */
  readonly checksum: bigint
}

export type VolumeKind = "needles" | "payloads"

export interface VolumeHeader {
  readonly kind: VolumeKind
  readonly deviceId: DeviceId
  readonly volumeId: VolumeId
  /** The incarnation of the process that created it. */
  readonly incarnation: Incarnation
  /** The place where the previous volume was sealed; bytes beyond are not part of it. */
  readonly sealed: VolumePosition | undefined
  /** Milliseconds since 1970 by which all its needles are expected to be removed; absent: they may stay. */
  readonly endsByMs?: number
}

export interface GroupHeader {
  readonly deviceId: DeviceId
  readonly volumeId: VolumeId
  readonly needles: number
  /** 1, 2, 3 … in its volume. */
  readonly sequence: number
  /** The length of the whole group, a multiple of a page. */
  readonly lengthBytes: number
  /** The offset of its header in the volume. */
  readonly offsetBytes: number
  readonly previousChecksum: bigint
  readonly needlesChecksum: bigint
}

export const VOLUME_PAGE_BYTES = 4096
export const GROUP_HEADER_BYTES = 64

const VOLUME_MAGIC = 0x6c6f_5648 // "HVol"
const GROUP_MAGIC = 0x7072_4748 // "HGrp"
const VERSION = 1
const KINDS: readonly VolumeKind[] = ["needles", "payloads"]
const ENDS_BY_AT = 48
const CHECKSUM_AT = 56

const idBytes = (deviceId: DeviceId): Uint8Array => must(bytesOfHex(deviceId), "a device id is hex")

/** A header of either kind whose magic, version and checksum are valid. */
function verified(bytes: Uint8Array, magic: number): Buffer | undefined {
  if (bytes.length < CHECKSUM_AT + 8) return undefined
  const header = bufferOf(bytes.subarray(0, CHECKSUM_AT + 8))
  if (header.readUInt32LE(0) !== magic || header[4] !== VERSION) return undefined
  return xxh64(header.subarray(0, CHECKSUM_AT)) === header.readBigUInt64LE(CHECKSUM_AT) ? header : undefined
}

/** The checksum by which the next group, or the next volume, refers to this header. */
export const chainChecksum = (header: Uint8Array): bigint => bufferOf(header).readBigUInt64LE(CHECKSUM_AT)

/** One page. */
export function encodeVolumeHeader(header: VolumeHeader): Uint8Array {
  const page = Buffer.alloc(VOLUME_PAGE_BYTES)
  page.writeUInt32LE(VOLUME_MAGIC, 0)
  page.set([VERSION, KINDS.indexOf(header.kind)], 4)
  page.set(idBytes(header.deviceId), 8)
  page.writeUInt32LE(header.volumeId, 16)
  page.writeUInt32LE(header.incarnation, 20)
  if (header.sealed) writeVolumePosition(header.sealed, page, 24)
  page.writeBigUInt64LE(BigInt(header.endsByMs ?? 0), ENDS_BY_AT)
  xxh64Into(page.subarray(0, CHECKSUM_AT), 0n, page, CHECKSUM_AT)
  return page
}

/** The header that these bytes begin with; undefined if there is no intact one. */
export function decodeVolumeHeader(bytes: Uint8Array): VolumeHeader | undefined {
  const header = verified(bytes, VOLUME_MAGIC)
  const kind = KINDS[header?.[5] ?? KINDS.length]
  if (header === undefined || kind === undefined || header.readUInt32LE(16) === 0) return undefined
  const endsByMs = Number(header.readBigUInt64LE(ENDS_BY_AT))
  return {
    kind,
    deviceId: parseDeviceId(hexOf(header.subarray(8, 16))),
    volumeId: parseVolumeId(header.readUInt32LE(16)),
    incarnation: parseIncarnation(header.readUInt32LE(20)),
    sealed: header.readUInt32LE(24) === 0 ? undefined : readVolumePosition(header, 24),
    ...(endsByMs > 0 && { endsByMs }),
  }
}

/** The position right after a volume's header page. */
export function firstPosition(volumeId: VolumeId, page: Uint8Array): VolumePosition {
  return { volumeId, offsetBytes: VOLUME_PAGE_BYTES, groups: 0, checksum: chainChecksum(page) }
}

export function encodeGroupHeader(group: GroupHeader): Uint8Array {
  assert(group.lengthBytes % VOLUME_PAGE_BYTES === 0, "a group is whole pages")
  assert(group.lengthBytes > 0 && group.lengthBytes <= 0xffff_ffff, "the length of a group is in range")
  const bytes = Buffer.alloc(GROUP_HEADER_BYTES)
  bytes.writeUInt32LE(GROUP_MAGIC, 0)
  bytes[4] = VERSION
  bytes.set(idBytes(group.deviceId), 8)
  bytes.writeUInt32LE(group.volumeId, 16)
  bytes.writeUInt32LE(group.needles, 20)
  bytes.writeUInt32LE(group.sequence, 24)
  bytes.writeUInt32LE(group.lengthBytes, 28)
  bytes.writeBigUInt64LE(BigInt(group.offsetBytes), 32)
  bytes.writeBigUInt64LE(group.previousChecksum, 40)
  bytes.writeBigUInt64LE(group.needlesChecksum, 48)
  xxh64Into(bytes.subarray(0, CHECKSUM_AT), 0n, bytes, CHECKSUM_AT)
  return bytes
}

/** The header that these bytes begin with; undefined if there is no intact one. */
export function decodeGroupHeader(bytes: Uint8Array): GroupHeader | undefined {
  const header = verified(bytes, GROUP_MAGIC)
  if (header === undefined || header.readUInt32LE(16) === 0) return undefined
  const group = {
    deviceId: parseDeviceId(hexOf(header.subarray(8, 16))),
    volumeId: parseVolumeId(header.readUInt32LE(16)),
    needles: header.readUInt32LE(20),
    sequence: header.readUInt32LE(24),
    lengthBytes: header.readUInt32LE(28),
    offsetBytes: Number(header.readBigUInt64LE(32)),
    previousChecksum: header.readBigUInt64LE(40),
    needlesChecksum: header.readBigUInt64LE(48),
  }
  const wholePages = group.lengthBytes > 0 && group.lengthBytes % VOLUME_PAGE_BYTES === 0
  return wholePages ? group : undefined
}

/** A group header's checksum of its needles: an XXH64 over the checksums of their headers. */
export function needlesChecksumOf(headerChecksums: readonly bigint[]): bigint {
  const bytes = Buffer.allocUnsafe(8 * headerChecksums.length)
  headerChecksums.forEach((checksum, i) => bytes.writeBigUInt64LE(checksum, 8 * i))
  return xxh64(bytes)
}

const POSITION_BYTES = 24

function writeVolumePosition(position: VolumePosition, target: Buffer, at: number): void {
  target.writeUInt32LE(position.volumeId, at)
  target.writeUInt32LE(position.groups, at + 4)
  target.writeBigUInt64LE(BigInt(position.offsetBytes), at + 8)
  target.writeBigUInt64LE(position.checksum, at + 16)
}

function readVolumePosition(bytes: Buffer, at: number): VolumePosition {
  return {
    volumeId: parseVolumeId(bytes.readUInt32LE(at)),
    groups: bytes.readUInt32LE(at + 4),
    offsetBytes: Number(bytes.readBigUInt64LE(at + 8)),
    checksum: bytes.readBigUInt64LE(at + 16),
  }
}

/** A position as a mark in the metadata store. */
export function encodeVolumePosition(position: VolumePosition): Uint8Array {
  const bytes = Buffer.alloc(POSITION_BYTES)
  writeVolumePosition(position, bytes, 0)
  return bytes
}

/** Throws `corruptRow`. */
export function decodeVolumePosition(bytes: Uint8Array): VolumePosition {
  if (bytes.length !== POSITION_BYTES) throw fail("corruptRow", { family: "marks", lengthBytes: bytes.length })
  return readVolumePosition(bufferOf(bytes), 0)
}
