/**
 * Groups, purely: which buffers one write consists of, where its needles then lie, and where the
 * volume's chain stands after it.
 */
import { must } from "../base/assert.js"
import { roundUp } from "../base/bytes.js"
import type { DeviceId } from "../base/ids.js"
import { KIB } from "../base/limits.js"
import type { NeedlePlace } from "../format/needle.js"
import { needleHeaderChecksum } from "../format/needle.js"
import type { VolumePosition } from "../format/volume.js"
import {
  chainChecksum,
  encodeGroupHeader,
  GROUP_HEADER_BYTES,
  needlesChecksumOf,
  VOLUME_PAGE_BYTES,
} from "../format/volume.js"
import type { CacheUse } from "../seams/disk/contract.js"

export interface EncodedNeedle {
  readonly header: Uint8Array
  readonly body: Uint8Array
}

interface PackedGroup {
  /** To be written one after another at the position that the group was packed for. */
  readonly buffers: readonly Uint8Array[]
  readonly places: readonly NeedlePlace[]
  readonly after: VolumePosition
}

export const needleBytes = ({ header, body }: EncodedNeedle): number => header.length + body.length

/** Length on disk of a group of needles of this length in all. */
export const groupBytes = (needlesBytes: number): number =>
  roundUp(GROUP_HEADER_BYTES + needlesBytes, VOLUME_PAGE_BYTES)

/** Where a needle lies whose group begins at an offset and holds so many bytes of needles before it. */
export const offsetInGroup = (groupOffsetBytes: number, needlesBytesBefore: number): number =>
  groupOffsetBytes + GROUP_HEADER_BYTES + needlesBytesBefore

const ZEROS = new Uint8Array(VOLUME_PAGE_BYTES)

export function packGroup(deviceId: DeviceId, at: VolumePosition, needles: readonly EncodedNeedle[]): PackedGroup {
  let bytes = 0
  const places = needles.map(needle => {
    const place = {
      volume: at.volumeId,
      offsetBytes: offsetInGroup(at.offsetBytes, bytes),
      headerBytes: needle.header.length,
      bodyBytes: needle.body.length,
    }
    bytes += needleBytes(needle)
    return place
  })
  const lengthBytes = groupBytes(bytes)
  const header = encodeGroupHeader({
    deviceId,
    volumeId: at.volumeId,
    needles: needles.length,
    sequence: at.groups + 1,
    lengthBytes,
    offsetBytes: at.offsetBytes,
    previousChecksum: at.checksum,
    needlesChecksum: needlesChecksumOf(needles.map(needle => needleHeaderChecksum(needle.header))),
  })
  const padding = ZEROS.subarray(0, lengthBytes - GROUP_HEADER_BYTES - bytes)
  const buffers = [header, ...needles.flatMap(({ header, body }) => [header, body]), padding]
  return {
    buffers: buffers.filter(({ length }) => length > 0),
    places,
    after: {
      volumeId: at.volumeId,
      offsetBytes: at.offsetBytes + lengthBytes,
      groups: at.groups + 1,
      checksum: chainChecksum(header),
    },
  }
}

/** Of needles that are so long on average, a group is written past the page cache. */
const DIRECT_NEEDLE_BYTES_MIN = 512 * KIB

/**
 * Large bodies are read seldom, and when they are, straight on, which disks are good at: to copy them into
 * the page cache costs more than to read them once. Small ones stay there.
 */
export function cacheUseOf(needles: readonly EncodedNeedle[]): CacheUse {
  const bytes = needles.reduce((sum, needle) => sum + needleBytes(needle), 0)
  return bytes >= needles.length * DIRECT_NEEDLE_BYTES_MIN ? "direct" : "cached"
}

interface Sized {
  readonly bytes: number
}

/** How many from the front of the queue make the next group: at least one. */
export function groupCount(queue: readonly Sized[], limits: { needlesMax: number; bytesMax: number }): number {
  let bytes = must(queue[0], "a group has a needle").bytes
  let count = 1
  for (; count < limits.needlesMax; count += 1) {
    const next = queue[count]
    if (next === undefined || bytes + next.bytes > limits.bytesMax) break
    bytes += next.bytes
  }
  return count
}
