/** Placement as the fake store reports it: an object of one block, a sample of all, and the layout of one device. */
import { parseDeviceId, parsePartitionId, parseStoreId, parseUploadId, parseVersionId } from "@hayloft/base/ids.js"
import { PARTITIONS } from "@hayloft/base/limits.js"
import { parsePolicy } from "@hayloft/base/policy.js"
import type { LayoutFile } from "@hayloft/engine/format/device/layout-file.js"
import type { AdminStore } from "./api.js"

const DEVICE = parseDeviceId("0123456789abcdef")
const FORMER = parseDeviceId("0123456700000000")

export const LAYOUT_DEVICE = {
  id: DEVICE,
  path: "/data",
  state: "active" as const,
  weight: 1,
  slots: 65_536,
  fairSlots: 60_000,
  share: 1,
  shareBefore: 0.5,
}

/** The key "inline" has no blocks; any other one has a block with a shard in place, one that moves, and one missing. */
export const SHARD_PLACES: AdminStore["shardPlaces"] = {
  locate: async ({ key, versionId = parseVersionId("null"), offsetBytes, max }) => ({
    versionId,
    sizeBytes: 5_000_000,
    isInline: String(key) === "inline",
    layoutVersion: 2,
    silent: [],
    nextOffset: max === 1 ? offsetBytes + 4_194_304 : undefined,
    blocks:
      String(key) === "inline"
        ? []
        : [
            {
              partition: parsePartitionId(7),
              policy: parsePolicy("ec:2+1"),
              generation: 1,
              needed: 2,
              block: {
                block: 0,
                offsetBytes,
                lengthBytes: 4_194_304,
                extent: {
                  uploadId: parseUploadId("0000000700000001aabbccddeeff0011"),
                  part: 0,
                  lengthBytes: 5_000_000,
                  blockBytes: 4_194_304,
                  policy: parsePolicy("ec:2+1"),
                  generation: 1,
                  exceptions: [],
                },
              },
              slots: [
                {
                  slot: 0,
                  assigned: DEVICE,
                  found: "assigned",
                  copies: [{ deviceId: DEVICE, reason: "assigned", isDamaged: false }],
                },
                {
                  slot: 1,
                  assigned: DEVICE,
                  found: "former",
                  copies: [{ deviceId: FORMER, reason: "former", isDamaged: false }],
                },
                { slot: 2, assigned: undefined, found: "missing", copies: [] },
              ],
            },
          ],
  }),
  dispersion: async samples => ({
    layoutVersion: 2,
    isComplete: samples > 100,
    share: samples > 100 ? 1 : 0.25,
    blocks: 4,
    shards: { assigned: 10, former: 1, placed: 0, elsewhere: 0, missing: 1 },
    notInPlace: [2, 2],
    missing: [3, 1],
    unreadable: 0,
    unreferenced: 1,
    silent: [],
  }),
}

export const LAYOUT_FILE_OF_ONE: LayoutFile = {
  storeId: parseStoreId("0123456789abcdef0123456789abcdef"),
  policy: parsePolicy("replica:1"),
  partitions: PARTITIONS,
  devices: [{ id: DEVICE, weight: 1.5, state: "active", zone: "é" }],
  layout: { version: 2, width: 1, bytesPerSlot: 1, devices: [DEVICE], table: new Uint8Array(PARTITIONS) },
  previous: undefined,
}
