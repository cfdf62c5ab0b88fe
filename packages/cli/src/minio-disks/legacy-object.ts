/**
 * The metadata of objects that MinIO wrote before June 2020: `xl.json`, or the same fields as a version in `xl.meta`. Pure.
 *
 * The two name some fields differently. Refuses with `damaged` what is not such metadata.
 */
import { bytesOfHex } from "@hayloft/base/bytes.js"
import { isJsonObject, jsonMember } from "@hayloft/base/json.js"
import { SHARDS_MAX } from "@hayloft/base/limits.js"
import { damaged, DiskFailure } from "./failure.js"
import {
  bytesField,
  countField,
  countOf,
  isMap,
  listField,
  mapField,
  textField,
  textsField,
  timeField,
} from "./fields.js"
import type { MessageMap, MessageValue } from "./message-pack.js"
import {
  isSystemName,
  NULL_VERSION,
  systemName,
  type StoredCode,
  type StoredObject,
  type WholeHash,
  type WholeSum,
} from "./stored-version.js"

const BLOCK_BYTES_MAX = 64 * 1024 * 1024
/** The folder of the parts, once MinIO has rewritten the metadata. */
const LEGACY_FOLDER = "legacy"
const STREAMED = "highwayhash256S"
/** By the numbers that `xl.meta` has. */
const ALGORITHMS: readonly string[] = ["", "sha256", "highwayhash256", STREAMED, "blake2b"]

const isWholeHash = (name: string): name is WholeHash => ["sha256", "blake2b", "highwayhash256"].includes(name)

/** Throws `damaged` for a code that cannot be. */
export function checkedCode(code: StoredCode): StoredCode {
  const { dataShards, parityShards, blockBytes, shard, distribution } = code
  const shards = dataShards + parityShards
  const isPermutation = distribution.length === shards && new Set(distribution).size === shards
  const inRange = distribution.every(one => one >= 1 && one <= shards) && shard >= 1 && shard <= shards
  const isCode = dataShards >= 1 && shards <= SHARDS_MAX && blockBytes >= 1 && blockBytes <= BLOCK_BYTES_MAX
  if (!isCode || !isPermutation || !inRange) throw damaged("a version has a code that cannot be")
  return code
}

/** The fields of a version in `xl.meta`. */
export function legacyObject(fields: MessageMap): StoredObject {
  const erasure = mapField(fields, "Erasure")
  const sums = listField(erasure, "Checksums").map((sum): readonly [number, string, Uint8Array] => {
    if (!isMap(sum)) throw damaged("a checksum is no map")
    const algorithm = ALGORITHMS[countField(sum, "Algorithm")] ?? ""
    return [countField(sum, "PartNumber"), algorithm, bytesField(sum, "Hash")]
  })
  const names = {
    data: "DataBlocks",
    parity: "ParityBlocks",
    block: "BlockSize",
    index: "Index",
    order: "Distribution",
  }
  return objectOf({
    modifiedNs: timeField(mapField(fields, "Stat"), "ModTime"),
    dataFolder: LEGACY_FOLDER,
    code: codeOf(erasure, names),
    parts: partsOf(listField(fields, "Parts"), { number: "n", size: "s", plain: "as" }),
    sums,
    metadata: textsField(fields, "Meta"),
  })
}

/** A file `xl.json`, whose parts are beside it. */
export function parseXlJson(text: string): StoredObject {
  const json = parsed(text)
  if (jsonMember(json, "format") !== "xl") throw damaged("xl.json has another format")
  const fields = mapOf(json)
  const erasure = mapField(fields, "erasure")
  const sums = listField(erasure, "checksum").map((sum): readonly [number, string, Uint8Array] => {
    if (!isMap(sum)) throw damaged("a checksum is no map")
    const part = /^part\.(\d{1,5})$/.exec(textField(sum, "name"))?.[1]
    return [Number(part), textField(sum, "algorithm"), bytesOfHex(textField(sum, "hash")) ?? new Uint8Array()]
  })
  const names = { data: "data", parity: "parity", block: "blockSize", index: "index", order: "distribution" }
  const modifiedMs = Date.parse(textField(mapField(fields, "stat"), "modTime"))
  if (!Number.isSafeInteger(modifiedMs)) throw damaged("xl.json has no time")
  return objectOf({
    modifiedNs: BigInt(modifiedMs) * 1_000_000n,
    dataFolder: "",
    code: codeOf(erasure, names),
    parts: partsOf(listField(fields, "parts"), { number: "number", size: "size", plain: "actualSize" }),
    sums,
    metadata: textsField(fields, "meta"),
  })
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw damaged("xl.json is not JSON")
  }
}

/** JSON as values of MessagePack, so that one set of readers checks both. */
function mapOf(json: unknown): MessageMap {
  const value = valueOf(json)
  if (isMap(value)) return value
  throw damaged("xl.json is no object")
}

function valueOf(json: unknown): MessageValue {
  if (Array.isArray(json)) return json.map(valueOf)
  if (isJsonObject(json)) return new Map(Object.entries(json).map(([name, value]) => [name, valueOf(value)]))
  return typeof json === "string" || typeof json === "number" || typeof json === "boolean" ? json : null
}

function codeOf(
  erasure: MessageMap,
  names: Readonly<Record<"data" | "parity" | "block" | "index" | "order", string>>,
): StoredCode {
  return checkedCode({
    dataShards: countField(erasure, names.data),
    parityShards: countField(erasure, names.parity),
    blockBytes: countField(erasure, names.block),
    shard: countField(erasure, names.index),
    distribution: listField(erasure, names.order).map(shard => countOf(shard, names.order)),
  })
}

function partsOf(
  parts: readonly MessageValue[],
  names: Readonly<Record<"number" | "size" | "plain", string>>,
): StoredObject["parts"] {
  return parts.map(part => {
    if (!isMap(part)) throw damaged("a part is no map")
    const sizeBytes = countField(part, names.size)
    const plain = part.get(names.plain)
    const plainBytes = typeof plain === "number" && plain > 0 ? plain : sizeBytes
    return { number: countField(part, names.number), sizeBytes, plainBytes }
  })
}

function objectOf({
  sums,
  metadata,
  ...object
}: Pick<StoredObject, "modifiedNs" | "dataFolder" | "code" | "parts"> & {
  readonly sums: readonly (readonly [part: number, algorithm: string, hash: Uint8Array])[]
  readonly metadata: readonly (readonly [name: string, value: string])[]
}): StoredObject {
  const whole = new Map<number, WholeSum>()
  for (const [part, algorithm, hash] of sums) {
    if (isWholeHash(algorithm)) whole.set(part, { algorithm, hash })
    else if (algorithm !== STREAMED)
      throw new DiskFailure("unknownForm", `a part has a checksum of the kind "${algorithm.slice(0, 40)}"`)
  }
  const system = metadata.filter(([name]) => isSystemName(name))
  return {
    kind: "object",
    id: NULL_VERSION,
    ...object,
    wholeSums: whole.size > 0 ? whole : undefined,
    user: new Map(metadata.filter(([name]) => !isSystemName(name)).map(([name, value]) => [name.toLowerCase(), value])),
    system: new Map(system.map(([name, value]) => [systemName(name), Buffer.from(value)])),
    inline: undefined,
  }
}
