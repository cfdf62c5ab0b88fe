/** Schemas of placement in the admin API's JSON: where shards are and should be, and the layout as a file. */
import { z } from "zod"

const count = z.number().int().nonnegative()
const id = z.string().describe("of a device")
const reason = z
  .enum(["assigned", "former", "placed", "elsewhere"])
  .describe(
    "why the device has it: the present layout puts it there; the previous one did, and it has not moved yet; the block was written while devices were down, and its row names the device; no layout in use leads there",
  )

const PLACED_DEVICE = z
  .object({
    id,
    path: z.string(),
    node: z.string().optional(),
    zone: z.string().optional(),
    machine: z.string().optional(),
    state: z.enum(["active", "rebuilding", "offline", "draining", "decommissioning"]),
    weight: z.number().positive(),
  })
  .meta({ id: "PlacedDevice" })

const LOCATED_SHARD = z
  .object({
    slot: count,
    device: id.optional().describe("that should have it, by the present layout"),
    rule: z.string().describe("why this device: its zone, machine and weight among those of the other shards"),
    copies: z.array(z.object({ device: id, reason, damaged: z.boolean() })),
    state: z
      .enum(["inPlace", "moving", "placed", "elsewhere", "offline", "rebuilding", "unknown", "missing"])
      .describe("offline, rebuilding: found nowhere, and its device is; unknown: a device did not answer"),
  })
  .meta({ id: "LocatedShard" })

export const LOCATED_OBJECT = z
  .object({
    bucket: z.string(),
    key: z.string(),
    versionId: z.string(),
    sizeBytes: count,
    inline: z.boolean().describe("its bytes are stored with its row, and have no shards"),
    layoutVersion: count,
    blocks: z.array(
      z.object({
        offsetBytes: count.describe("of its first byte in the object"),
        lengthBytes: count,
        upload: z.string(),
        part: count,
        block: count.describe("within the part"),
        partition: count,
        policy: z.string(),
        generation: count,
        found: count.describe("shards of which there is a whole copy"),
        needed: count.describe("to read the block"),
        shards: z.array(LOCATED_SHARD),
      }),
    ),
    nextOffset: count.optional().describe("the `offset` of the next page"),
    devices: z.array(PLACED_DEVICE),
    silent: z.array(id).describe("devices that did not answer: what they have is unknown"),
  })
  .meta({ id: "LocatedObject" })

const byNumber = z
  .array(z.object({ shards: count, blocks: count }))
  .describe("blocks by the number of their shards that are so; numbers without blocks are left out")

export const DISPERSION = z
  .object({
    layoutVersion: count,
    complete: z.boolean().describe("these are all blocks, not a sample"),
    share: z.number().min(0).max(1).describe("the part of all partitions that was read"),
    blocks: count,
    shards: z
      .object({ assigned: count, former: count, placed: count, elsewhere: count, missing: count })
      .describe("by where their best copy is; of `placed` only rows know, and they count as `elsewhere` here"),
    inPlace: z.number().min(0).max(1).describe("the part of shards that is where the present layout puts it"),
    found: z.number().min(0).max(1).describe("the part of shards that is somewhere"),
    notInPlace: byNumber,
    missing: byNumber,
    unreadable: count.describe("blocks with fewer shards than a read needs"),
    unreferenced: count.describe("blocks that lack shards, and of which no row knows (any more, or yet): not counted"),
    silent: z.array(id).describe("devices that did not answer: what they have counts as missing"),
  })
  .meta({ id: "Dispersion" })

const LAYOUT_TABLE = z.object({
  version: count,
  width: count.describe("slots of each partition"),
  bytesPerSlot: z.union([z.literal(1), z.literal(2)]),
  devices: z.array(id).describe("what the indexes of the table refer to"),
  table: z.string().describe("base64: an index for each slot, little-endian, partition by partition"),
})

export const LAYOUT_FILE = z
  .object({
    format: z.literal("hayloft-layout"),
    formatVersion: z.literal(1),
    storeId: z.string(),
    policy: z.string(),
    partitions: count,
    devices: z.array(
      z.object({
        id,
        state: PLACED_DEVICE.shape.state,
        node: z.string().optional(),
        zone: z.string().optional(),
        machine: z.string().optional(),
        disk: z.string().optional(),
        weight: z.string().describe("a decimal number"),
      }),
    ),
    layout: LAYOUT_TABLE,
    previous: LAYOUT_TABLE.optional().describe("present while shards move from it to `layout`"),
    checksum: z.string().describe("sha256: of the canonical JSON (RFC 8785) of the other members"),
  })
  .meta({ id: "LayoutFile" })
