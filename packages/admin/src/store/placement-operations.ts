/** The operations of `/v1` on placement: where the shards of an object and of all blocks are, and the layout as a file. */
import { fail } from "@hayloft/base/failures.js"
import { objectKeyOfText, parseBucketName, parseVersionId, textOfObjectKey, type ObjectKey } from "@hayloft/base/ids.js"
import { textOfPolicy } from "@hayloft/base/policy.js"
import { layoutFileJson } from "@hayloft/engine/format/device/layout-file.js"
import { SHARD_PLACES_LIMITS } from "@hayloft/upkeep/index.js"
import { DISPERSION, LAYOUT_FILE, LOCATED_OBJECT } from "./placement-schemas.js"
import type { OperationInput } from "@hayloft/features/operator/index.js"
import { dispersionText, locatedText } from "./placement-text.js"
import { objectPlace } from "@hayloft/features/operator/index.js"
import { operation, type AdminOperation, type AdminServices } from "../operation.js"
import { shardRuleOf, stateOf, type DevicesById } from "./shard-rules-core.js"

const { blocksMax, samplesMax } = SHARD_PLACES_LIMITS
const SAMPLES_DEFAULT = 16

function numberIn(query: ReadonlyMap<string, string>, name: string, min: number, max: number): number | undefined {
  const text = query.get(name)
  if (text === undefined) return undefined
  const value = /^\d{1,16}$/.test(text) ? Number(text) : Infinity
  if (value < min || value > max)
    throw fail("invalidArgument", { message: `${name} is a whole number from ${min} to ${max}` })
  return value
}

/** Throws `invalidArgument`. */
function keyIn(query: ReadonlyMap<string, string>): ObjectKey {
  const text = query.get("key")
  if (text === undefined || text === "") throw fail("invalidArgument", { message: "key is missing" })
  return objectKeyOfText(text)
}

async function located({ buckets, shardPlaces, store }: AdminServices, { segment, query }: OperationInput) {
  const bucket = await buckets.open(parseBucketName(segment("bucket")))
  const key = keyIn(query)
  const version = query.get("versionId")
  const { devices: all } = await store.layout()
  const devices: DevicesById = new Map(all.map(device => [device.id, device]))
  const { blocks, silent, isInline, ...object } = await shardPlaces.locate({
    bucket,
    key,
    versionId: version === undefined ? undefined : parseVersionId(version),
    offsetBytes: numberIn(query, "offset", 0, Number.MAX_SAFE_INTEGER) ?? 0,
    max: numberIn(query, "max", 1, blocksMax) ?? blocksMax,
  })
  const unknown = new Set(silent)
  return {
    bucket: bucket.name,
    key: textOfObjectKey(key),
    ...object,
    inline: isInline,
    blocks: blocks.map(({ block: { extent, ...block }, policy, slots, ...facts }) => ({
      ...facts,
      ...block,
      upload: extent.uploadId,
      part: extent.part,
      policy: textOfPolicy(policy),
      found: slots.filter(({ found }) => found !== "missing").length,
      shards: slots.map(slot => ({
        slot: slot.slot,
        ...(slot.assigned !== undefined && { device: slot.assigned }),
        rule: shardRuleOf(slot.assigned, slots, devices),
        copies: slot.copies.map(({ deviceId, reason, isDamaged }) => ({
          device: deviceId,
          reason,
          damaged: isDamaged,
        })),
        state: stateOf(slot, devices, unknown),
      })),
    })),
    devices: all.map(({ id, path, node, zone, machine, state, weight }) => ({
      id,
      path,
      state,
      weight,
      ...(node !== undefined && { node }),
      ...(zone !== undefined && { zone }),
      ...(machine && { machine }),
    })),
    silent,
  }
}

const byNumber = (counts: readonly number[]) =>
  counts.flatMap((blocks, shards) => (blocks === 0 ? [] : [{ shards, blocks }]))

async function dispersion({ shardPlaces }: AdminServices, { query, signal }: OperationInput) {
  const samples = numberIn(query, "samples", 1, samplesMax) ?? SAMPLES_DEFAULT
  const { isComplete, shards, notInPlace, missing, ...report } = await shardPlaces.dispersion(samples, signal)
  const all = Object.values(shards).reduce((sum, each) => sum + each, 0)
  const part = (some: number): number => (all === 0 ? 1 : some / all)
  return {
    ...report,
    complete: isComplete,
    shards,
    inPlace: part(shards.assigned),
    found: part(all - shards.missing),
    notInPlace: byNumber(notInPlace),
    missing: byNumber(missing),
  }
}

export const PLACEMENT_OPERATIONS: readonly AdminOperation[] = [
  operation("locateObject", "GET /v1/buckets/{bucket}/shards", {
    summary: "Returns where the shards of an object are, where they should be by the layout, and why.",
    parameters: [
      { name: "key", description: "of the object; must be given" },
      { name: "versionId", description: "a version (default: the current one)" },
      { name: "offset", description: "blocks from the one with this byte on (default 0)" },
      { name: "max", description: `blocks in a page, up to ${blocksMax} (default ${blocksMax})` },
    ],
    answer: LOCATED_OBJECT,
    run: located,
    commands: [
      {
        name: "ring locate",
        help: "where each shard of an object is, where it belongs, and by which rule",
        inputs: {
          bucket: { flags: "<BUCKET/KEY>" },
          versionId: { flags: "--version <ID>" },
          offset: { flags: "--offset <BYTES>", help: "blocks from the one with this byte on" },
          max: { flags: "--blocks <N>", help: "how many blocks, up to 100", preset: "10", reads: "number" },
        },
        sends: given => objectPlace(given("bucket"), "name the object as BUCKET/KEY"),
        text: locatedText,
      },
    ],
  }),
  operation("getDispersion", "GET /v1/layout/dispersion", {
    summary: "Returns how many blocks have all shards where the layout puts them, of all blocks or of a sample.",
    parameters: [
      {
        name: "samples",
        description: `stretches of all partitions of which the first blocks are read, up to ${samplesMax} (default ${SAMPLES_DEFAULT}); short stretches are read whole`,
      },
    ],
    answer: DISPERSION,
    run: dispersion,
    commands: [
      {
        name: "ring dispersion",
        help: "how many blocks have all shards in their places, and which part of shards is found",
        inputs: {
          samples: {
            flags: "--samples <N>",
            help: "parts of the store of which the first blocks are read, up to 1,024",
            preset: "16",
            reads: "number",
          },
        },
        text: dispersionText,
      },
    ],
  }),
  operation("exportLayout", "GET /v1/layout/export", {
    summary: "Returns the layout as a file for programs that compute where blocks are.",
    answer: LAYOUT_FILE,
    run: async ({ store }) => layoutFileJson(store.layoutFile()),
  }),
]
