/**
 * Group reader: decodes groups and needles of one volume file through a window of bounded size, and checks bodies on
 * request (`isBodyGood`). The checksum of each header is verified before it is returned.
 */
import type { DeviceCipher } from "@hayloft/base/encryption/device-cipher.js"
import { isFailure } from "@hayloft/base/failures.js"
import type { DeviceId, VolumeId } from "@hayloft/base/ids.js"
import { KIB, MIB, SUB_BLOCK_BYTES } from "@hayloft/base/limits.js"
import { after, type Soon } from "@hayloft/base/soon.js"
import { xxh64Memory } from "@hayloft/base/simd/xxh64.js"
import { firstBadSubBlock } from "./sub-block-checks.js"
import type { NeedleHeader, NeedlePlace } from "../format/needles/needle.js"
import {
  decodeNeedleHeader,
  needleBodyLength,
  needleHeaderChecksum,
  needleHeaderLength,
  NEEDLE_HEAD_BYTES,
} from "../format/needles/needle.js"
import type { GroupHeader, VolumePosition } from "../format/needles/volume.js"
import {
  chainChecksum,
  decodeGroupHeader,
  GROUP_HEADER_BYTES,
  needlesChecksumOf,
  VOLUME_PAGE_BYTES,
} from "../format/needles/volume.js"
import { DISK_PAGE_BYTES, type CacheUse } from "@hayloft/base/seams/disk/contract.js"
import { isUnreadable, type ReadableFile } from "./files.js"

const WINDOW_BYTES_MIN = 16 * KIB
const WINDOW_BYTES_MAX = 1 * MIB
const NOTHING = new Uint8Array(0)

const pageBefore = (bytes: number): number => bytes - (bytes % DISK_PAGE_BYTES)
const pageAfter = (bytes: number): number => pageBefore(bytes + DISK_PAGE_BYTES - 1)

/**
 * Memory of windows that are used one after the other. It is filled again and again: fresh memory for each piece would
 * keep the garbage collector as busy as the disk.
 */
export class FileWindowMemory {
  private bytes: Uint8Array = NOTHING

  /** How it is filled. Only direct reads are sure to see the errors of the device. */
  constructor(readonly use: CacheUse = "cached") {}

  atLeast(lengthBytes: number): Uint8Array {
    if (this.bytes.length < lengthBytes) {
      this.bytes =
        this.use === "direct"
          ? xxh64Memory(Math.max(lengthBytes, WINDOW_BYTES_MAX + 2 * DISK_PAGE_BYTES))
          : Buffer.allocUnsafeSlow(lengthBytes)
    }
    return this.bytes
  }
}

/**
 * Reads a file through one buffer: small pieces after a jump, larger ones while reading goes straight on, each byte
 * once, whole pages.
 */
export class FileWindow {
  private buffer: Uint8Array = NOTHING
  private fromBytes = 0
  private aheadBytes = WINDOW_BYTES_MIN

  constructor(
    private readonly file: Pick<ReadableFile, "read">,
    readonly sizeBytes: number,
    private readonly memory = new FileWindowMemory(),
    /** Skipping no more bytes than this does not count as a jump. */
    private readonly skipBytesMax = 0,
  ) {}

  /**
   * The bytes at the offset, as a view that is valid until the next call; fewer at the end of the file. Not a promise
   * if the window has them all. `soonBytes`: how many will be requested from there on.
   */
  bytes(offsetBytes: number, lengthBytes: number, soonBytes = lengthBytes): Soon<Uint8Array> {
    const end = Math.min(offsetBytes + lengthBytes, this.sizeBytes)
    if (end <= offsetBytes) return NOTHING
    if (offsetBytes >= this.fromBytes && end <= this.fromBytes + this.buffer.length) return this.view(offsetBytes, end)
    return this.read(offsetBytes, end, soonBytes)
  }

  private view(offsetBytes: number, end: number): Uint8Array {
    return this.buffer.subarray(offsetBytes - this.fromBytes, end - this.fromBytes)
  }

  private async read(offsetBytes: number, end: number, soonBytes: number): Promise<Uint8Array> {
    const straightOn =
      offsetBytes >= this.fromBytes && offsetBytes <= this.fromBytes + this.buffer.length + this.skipBytesMax
    this.aheadBytes = straightOn ? Math.min(2 * this.aheadBytes, WINDOW_BYTES_MAX) : WINDOW_BYTES_MIN
    const ahead = Math.max(this.aheadBytes, Math.min(soonBytes, WINDOW_BYTES_MAX))
    const wanted = Math.min(Math.max(end, offsetBytes + ahead), this.sizeBytes)
    const from = pageBefore(offsetBytes)
    const kept = straightOn && from >= this.fromBytes ? this.buffer.subarray(from - this.fromBytes) : NOTHING
    try {
      await this.fill(from, pageAfter(wanted), kept)
    } catch (error) {
      // Unreadable bytes beside the requested ones do not affect them.
      if (!isUnreadable(error)) throw error
      await this.fill(offsetBytes, end, NOTHING)
    }
    return this.view(offsetBytes, end)
  }

  /** `kept`: the part that the window already has, from its beginning. */
  private async fill(fromBytes: number, toBytes: number, kept: Uint8Array): Promise<void> {
    // The buffer is invalid while it is read, and after a failed read.
    this.buffer = NOTHING
    this.fromBytes = fromBytes
    const memory = this.memory.atLeast(toBytes - fromBytes)
    memory.set(kept)
    const space = memory.subarray(kept.length, toBytes - fromBytes)
    const count = await this.file.read(space, fromBytes + kept.length, this.memory.use)
    this.buffer = memory.subarray(0, Math.min(kept.length + count, this.sizeBytes - fromBytes))
  }
}

export interface ScannedNeedle {
  /** Without the names of an encrypted one, unless the walk has them. */
  readonly header: NeedleHeader
  readonly place: NeedlePlace
  /** The checksum of the header, as stored. */
  readonly checksum: bigint
}

export interface ScannedGroup {
  readonly header: GroupHeader
  /** Needles whose headers are known to be of this group. */
  readonly needles: readonly ScannedNeedle[]
  /** The place in the group at which something does not fit, and the reason. */
  readonly damage: { readonly offsetBytes: number; readonly reason: string } | undefined
  /** The position behind the group. */
  readonly after: VolumePosition
}

export interface VolumeIdentity {
  readonly deviceId: DeviceId
  readonly volumeId: VolumeId
  /** Reads encrypted names. */
  readonly cipher?: DeviceCipher | undefined
}

/** An intact group header of this volume whose own offset is this one, wholly inside the file. */
async function readGroupHeader(
  window: FileWindow,
  { deviceId, volumeId }: VolumeIdentity,
  offsetBytes: number,
): Promise<{ readonly header: GroupHeader; readonly after: VolumePosition } | undefined> {
  const bytes = await window.bytes(offsetBytes, GROUP_HEADER_BYTES)
  const header = decodeGroupHeader(bytes)
  if (header === undefined || header.deviceId !== deviceId || header.volumeId !== volumeId) return undefined
  const end = offsetBytes + header.lengthBytes
  if (header.offsetBytes !== offsetBytes || end > window.sizeBytes) return undefined
  return { header, after: { volumeId, offsetBytes: end, groups: header.sequence, checksum: chainChecksum(bytes) } }
}

/** Called with a needle when its header was read, through the window that is positioned there. */
export type PassNeedle = (needle: ScannedNeedle, window: FileWindow) => Promise<void>

/**
 * The group at an offset, with its needles' headers; undefined if no group of this volume begins there. `pass` is
 * called with each needle on the way, before it is known to be of this group, so that a caller that also reads bodies
 * reads the file straight on.
 *
 * A damaged header does not hide the needles behind it as long as its lengths and the checksum that ends it are intact:
 * the group commits to all these checksums, and so proves whether the way past it was right. The reader never searches
 * for headers among the bytes of bodies, which may contain anything that a client has sent.
 */
export async function readGroup(
  window: FileWindow,
  identity: VolumeIdentity,
  offsetBytes: number,
  pass?: PassNeedle,
): Promise<ScannedGroup | undefined> {
  const group = await readGroupHeader(window, identity, offsetBytes)
  if (group === undefined) return undefined
  const { header, after: behind } = group
  const needles: ScannedNeedle[] = []
  const checksums: bigint[] = []
  let damage: { readonly offsetBytes: number; readonly reason: string; readonly needlesBefore: number } | undefined
  let at = offsetBytes + GROUP_HEADER_BYTES
  const damaged = (reason: string) => ({ offsetBytes: at, reason, needlesBefore: needles.length })
  for (let i = 0; i < header.needles; i += 1) {
    const reading = readNeedleHeader(window, identity, at, behind.offsetBytes)
    // A window contains hundreds of small needles: none of them waits.
    const read = reading instanceof Promise ? await reading : reading
    if (typeof read === "string")
      return {
        header,
        needles: needles.slice(0, damage?.needlesBefore),
        after: behind,
        damage: damage ?? damaged(read),
      }
    if (read.header === undefined) damage ??= damaged("a needle header fails its checksum")
    else {
      const needle = { header: read.header, place: read.place, checksum: read.checksum }
      needles.push(needle)
      if (pass) await pass(needle, window)
    }
    checksums.push(read.checksum)
    at += read.place.headerBytes + read.place.bodyBytes
  }
  const fits = needlesChecksumOf(checksums) === header.needlesChecksum
  if (damage !== undefined)
    return { header, needles: fits ? needles : needles.slice(0, damage.needlesBefore), after: behind, damage }
  if (behind.offsetBytes - at >= VOLUME_PAGE_BYTES) {
    return { header, needles, after: behind, damage: damaged("the group is longer than its needles") }
  }
  return { header, needles, after: behind, damage: fits ? undefined : damaged("needles of another group") }
}

interface ReadHeader {
  /** The header is undefined if it is damaged: `place` and `checksum` are read from it even then. */
  readonly header: NeedleHeader | undefined
  readonly place: NeedlePlace
  readonly checksum: bigint
}

/** The needle header at an offset, of a group that ends at `endBytes`; or the reason that none can be there. */
function readNeedleHeader(
  window: FileWindow,
  { volumeId, cipher }: VolumeIdentity,
  offsetBytes: number,
  endBytes: number,
): Soon<ReadHeader | string> {
  return after(window.bytes(offsetBytes, NEEDLE_HEAD_BYTES), head => {
    const place = placeOf(head, volumeId, offsetBytes)
    if (place === undefined) return "no needle header"
    return after(window.bytes(offsetBytes, place.headerBytes), bytes => headerOf(bytes, place, endBytes, cipher))
  })
}

function placeOf(head: Uint8Array, volume: VolumeId, offsetBytes: number): NeedlePlace | undefined {
  const headerBytes = needleHeaderLength(head)
  return headerBytes === undefined ? undefined : { volume, offsetBytes, headerBytes, bodyBytes: needleBodyLength(head) }
}

function headerOf(
  bytes: Uint8Array,
  place: NeedlePlace,
  endBytes: number,
  cipher: DeviceCipher | undefined,
): ReadHeader | string {
  const { offsetBytes, headerBytes, bodyBytes } = place
  if (offsetBytes + headerBytes + bodyBytes > endBytes || bytes.length < headerBytes) {
    return "a needle reaches beyond its group"
  }
  const checksum = needleHeaderChecksum(bytes)
  try {
    return { header: decodeNeedleHeader(bytes, cipher), place, checksum }
  } catch (error) {
    if (isFailure(error, "corruptNeedle")) return { header: undefined, place, checksum }
    throw error
  }
}

/** The first later group of this volume from an offset on: with a higher sequence than those already met. */
export async function findGroup(
  window: FileWindow,
  identity: VolumeIdentity,
  fromBytes: number,
  afterSequence: number,
): Promise<number | undefined> {
  for (let at = fromBytes; at < window.sizeBytes; at += VOLUME_PAGE_BYTES) {
    const group = await readGroupHeader(window, identity, at)
    if (group !== undefined && group.header.sequence > afterSequence) return at
  }
  return undefined
}

export const bodyBytesOf = (header: NeedleHeader): number => (header.kind === "tombstone" ? 0 : header.bodyBytes)

/** Returns true if the body on disk matches its header. */
export async function isBodyGood(
  window: FileWindow,
  { header, place }: Omit<ScannedNeedle, "checksum">,
): Promise<boolean> {
  const bodyAt = place.offsetBytes + place.headerBytes
  for (let at = 0; at < place.bodyBytes; at += SUB_BLOCK_BYTES) {
    const left = place.bodyBytes - at
    const wanted = Math.min(SUB_BLOCK_BYTES, left)
    const bytes = await window.bytes(bodyAt + at, wanted, left)
    if (bytes.length < wanted || firstBadSubBlock(header, bytes, at / SUB_BLOCK_BYTES) !== undefined) return false
  }
  return true
}
