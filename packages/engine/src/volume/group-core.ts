/**
 * Groups, purely: the buffers of one write, the resulting places of its needles, and the position of the volume's chain
 * after it.
 */
import { must } from "@hayloft/base/assert.js"
import { roundUp } from "@hayloft/base/text/round.js"
import type { DeviceId } from "@hayloft/base/ids.js"
import { KIB } from "@hayloft/base/limits.js"
import type { NeedlePlace } from "../format/needles/needle.js"
import { needleHeaderChecksum } from "../format/needles/needle.js"
import type { VolumePosition } from "../format/needles/volume.js"
import {
  chainChecksum,
  encodeGroupHeader,
  GROUP_HEADER_BYTES,
  needlesChecksumOf,
  VOLUME_PAGE_BYTES,
} from "../format/needles/volume.js"
import type { CacheUse } from "@hayloft/base/seams/disk/contract.js"

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

/** The place of a needle whose group begins at an offset and has so many bytes of needles before it. */
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

/** A group whose needles have at least this mean length is written past the page cache. */
const DIRECT_NEEDLE_BYTES_MIN = 512 * KIB

/**
 * Large bodies are read seldom, and then straight on, which disks do well: to copy them into the page cache costs more
 * than to read them once. Small ones stay there.
 */
export function cacheUseOf(needles: readonly EncodedNeedle[]): CacheUse {
  const bytes = needles.reduce((sum, needle) => sum + needleBytes(needle), 0)
  return bytes >= needles.length * DIRECT_NEEDLE_BYTES_MIN ? "direct" : "cached"
}

interface Sized {
  readonly bytes: number
}

/** Number of needles from the front of the queue that form the next group: at least one. */
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
