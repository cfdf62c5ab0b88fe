/** For tests: rows in a map, needles to order, and a world with one device in it. */
import { must } from "../base/assert.js"
import type { Family } from "../base/families.js"
import type { RowKey } from "../base/ids.js"
import {
  objectKeyOfText,
  parseBucketId,
  parseDeviceId,
  parseIncarnation,
  parseUploadId,
  rowKeyOf,
} from "../base/ids.js"
import { subBlockChecksums } from "../base/sub-block.js"
import type { AppliedWrite, DeviceRow, DeviceRows } from "../device/contract.js"
import { needleSeed } from "../format/needle.js"
import { partitionOf } from "../format/partition.js"
import type { Random } from "../seams/random/contract.js"
import type { Needle, NeedleId } from "./contract.js"
import type { VolumeHome } from "./writer.js"

/** Rows of unlogged families, without a base below. */
export class MapRows implements DeviceRows {
  readonly rows = new Map<string, DeviceRow>()

  get(family: Family, key: RowKey): DeviceRow | undefined {
    return this.rows.get(`${family}/${key}`)
  }

  *range(family: Family, range: { start: RowKey; end: RowKey }): Iterable<readonly [RowKey, DeviceRow]> {
    const keys = [...this.rows.keys()].filter(key => key.startsWith(`${family}/`)).sort()
    for (const name of keys) {
      const key = rowKeyOf(name.slice(family.length + 1))
      if (key >= range.start && key < range.end) yield [key, must(this.rows.get(name), "listed a moment ago")]
    }
  }

  async warm(): Promise<void> {
    return Promise.resolve()
  }

  apply(writes: readonly AppliedWrite[]): void {
    for (const { family, key, value } of writes) {
      if (value === undefined) this.rows.delete(`${family}/${key}`)
      else this.rows.set(`${family}/${key}`, { value, payload: undefined })
    }
  }
}

export const deviceHome = (life: number, folder = "/device/volumes"): VolumeHome => ({
  folder,
  deviceId: parseDeviceId("00000000000000d1"),
  incarnation: parseIncarnation(life),
})

export function needleIdFor(number: number, change: Partial<NeedleId> = {}): NeedleId {
  const uploadId = parseUploadId(number.toString(16).padStart(32, "0"))
  const id = { uploadId, part: 0, block: 0, generation: 0, slot: 0, ...change }
  return { ...id, partition: partitionOf(id.uploadId, id.part, id.block) }
}

export function needleOf(id: NeedleId, body: Uint8Array): Needle {
  return {
    id,
    owner: { bucketId: parseBucketId(1), key: objectKeyOfText(`key of ${id.uploadId}`) },
    policy: { kind: "ec", k: 4, m: 2, matrix: "cauchy" },
    blockLengthBytes: body.length,
    birthNote: undefined,
    body,
    checksums: subBlockChecksums(body, needleSeed(id)),
  }
}

export const needleFor = (number: number, lengthBytes: number, random: Random): Needle =>
  needleOf(needleIdFor(number), random.bytes(lengthBytes))
