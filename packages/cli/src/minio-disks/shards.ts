/**
 * The bytes of one part of an object, block by block, from shards on several disks.
 *
 * A block of `blockBytes` (the last one is shorter) is cut into equal data shards, padded with zeros; parity shards are made of
 * them. The file of a disk has its shards of all blocks, each after its HighwayHash-256, or without, if one hash of the whole
 * file is in the metadata.
 *
 * Promises  Each shard is compared with its hash before it is used. A damaged or missing one is replaced by another one as long
 *           as `dataShards` are intact, and told once for each file.
 * Refuses   Throws `lost` for a block of which fewer are intact.
 * Limits    One block and its shards in memory, and of a file with one HighwayHash of the whole the file, once; at most one open
 *           file for each shard.
 */
import { createHash } from "node:crypto"
import { open, type FileHandle } from "node:fs/promises"
import { equalBytes } from "@hayloft/base/bytes.js"
import { mapBounded } from "@hayloft/base/life/index.js"
import { KIB, SHARD_ALIGN_BYTES, SHARDS_MAX } from "@hayloft/base/limits.js"
import { HIGHWAY_HASH_BYTES, highwayHash256 } from "@hayloft/base/simd/highway-hash.js"
import { CODEC_SCRATCH_BYTES, makeCodec } from "@hayloft/engine/erasure/index.js"
import { DiskFailure } from "./failure.js"
import type { StoredCode, StoredPart, WholeSum } from "./stored-version.js"

/** The key of all hashes of MinIO: the HighwayHash of digits of pi. It is known to all, as hashes find accidents only. */
const HASH_KEY = Buffer.from("4be734fa8e238acd263e83e6bb968552040f935da39f441497e09d1322de36a0", "hex")
const PIECE_BYTES = 64 * KIB
const READ_BYTES = 256 * KIB
const PAGE_BYTES = 64 * KIB

/** The place where one shard of a part is. */
export interface ShardSource {
  /** Slots are counted from 0 on; those of the data come first. */
  readonly slot: number
  readonly path: string
  /** The bytes of the file that are the shard; undefined: all of it. */
  readonly range: { readonly offset: number; readonly lengthBytes: number } | undefined
  readonly wholeSum: WholeSum | undefined
}

interface PartPlaces {
  readonly part: StoredPart
  readonly code: Pick<StoredCode, "dataShards" | "parityShards" | "blockBytes">
  readonly shards: readonly ShardSource[]
}

/** Yields the bytes of a part as they were stored. `onDamage` is told the path of each file that had to be replaced. */
export async function* partBytes(
  { part, code, shards }: PartPlaces,
  onDamage: (path: string) => void,
): AsyncGenerator<Uint8Array, void, void> {
  const files = shards.map(place => new ShardFile(place))
  try {
    for (let at = 0; at < part.sizeBytes; at += code.blockBytes) {
      const lengthBytes = Math.min(code.blockBytes, part.sizeBytes - at)
      yield await block(code, files, { number: at / code.blockBytes, lengthBytes }, part.number)
    }
  } finally {
    for (const file of files) await file.close()
    for (const { failures, place } of files) if (failures > 0) onDamage(place.path)
  }
}

interface BlockAt {
  readonly number: number
  readonly lengthBytes: number
}

async function block(
  code: PartPlaces["code"],
  files: readonly ShardFile[],
  { number, lengthBytes }: BlockAt,
  partNumber: number,
): Promise<Uint8Array> {
  const { dataShards, blockBytes } = code
  const fullBytes = Math.ceil(blockBytes / dataShards)
  const shardBytes = Math.ceil(lengthBytes / dataShards)
  const present = new Map<number, Uint8Array>()
  // Shards that have failed before come last, and data before parity, which has to be multiplied.
  const left = files.toSorted((a, b) => a.failures - b.failures || a.place.slot - b.place.slot)
  while (present.size < dataShards && left.length > 0) {
    const tried = left.splice(0, dataShards - present.size)
    const read = await mapBounded(tried, SHARDS_MAX, file => file.shard(number, fullBytes, shardBytes))
    for (const [i, bytes] of read.entries()) if (bytes !== undefined) present.set(tried[i]?.place.slot ?? 0, bytes)
  }
  if (present.size < dataShards) {
    const why = `part ${partNumber}, block ${number + 1}: ${present.size} of its shards are intact, and ${dataShards} are needed`
    throw new DiskFailure("lost", why)
  }
  const [only] = present.values()
  if (dataShards === 1 && only !== undefined) return only
  const data = rebuilt(code, present, shardBytes)
  return Buffer.concat(data, lengthBytes)
}

/** All data shards, in order. */
function rebuilt(
  { dataShards, parityShards }: PartPlaces["code"],
  present: ReadonlyMap<number, Uint8Array>,
  shardBytes: number,
): readonly Uint8Array[] {
  const slots = Array.from({ length: dataShards }, (_, slot) => slot)
  const missing = new Map(slots.filter(slot => !present.has(slot)).map(slot => [slot, new Uint8Array(shardBytes)]))
  if (missing.size > 0) {
    const { codec, piece } = (workshop ??= makeWorkshop())
    const shape = { k: dataShards, m: parityShards, matrix: "vandermonde" } as const
    for (let at = 0; at < shardBytes; at += PIECE_BYTES) {
      const lengthBytes = Math.min(PIECE_BYTES, shardBytes - at)
      const pieces = (wanted: Iterable<number>) => new Map(Array.from(wanted, slot => [slot, piece(slot, lengthBytes)]))
      for (const [slot, bytes] of present) piece(slot, lengthBytes).set(bytes.subarray(at, at + lengthBytes))
      codec.rebuild(shape, pieces(present.keys()), pieces(missing.keys()))
      for (const [slot, bytes] of missing) bytes.set(piece(slot, lengthBytes).subarray(0, lengthBytes), at)
    }
  }
  return slots.map(slot => present.get(slot) ?? missing.get(slot) ?? new Uint8Array())
}

type Workshop = ReturnType<typeof makeWorkshop>
let workshop: Workshop | undefined

/** A codec, and a view of its memory for a piece of the shard in each slot. */
function makeWorkshop() {
  const pages = Math.ceil((CODEC_SCRATCH_BYTES + SHARDS_MAX * PIECE_BYTES) / PAGE_BYTES)
  const memory = new WebAssembly.Memory({ initial: pages, maximum: pages })
  return {
    codec: makeCodec(memory, 0),
    piece: (slot: number, lengthBytes: number): Uint8Array => {
      const padded = Math.ceil(lengthBytes / SHARD_ALIGN_BYTES) * SHARD_ALIGN_BYTES
      return new Uint8Array(memory.buffer, CODEC_SCRATCH_BYTES + slot * PIECE_BYTES, padded)
    },
  }
}

class ShardFile {
  failures = 0
  #file: Promise<FileHandle | undefined> | undefined

  constructor(readonly place: ShardSource) {}

  /** Returns undefined if the shard of the block is not there or damaged. */
  async shard(block: number, fullBytes: number, shardBytes: number): Promise<Uint8Array | undefined> {
    const file = await (this.#file ??= this.#open())
    const bytes = file && (await this.#intact(file, block, fullBytes, shardBytes))
    if (bytes === undefined) this.failures += 1
    return bytes
  }

  async close(): Promise<void> {
    await (await this.#file)?.close()
  }

  async #open(): Promise<FileHandle | undefined> {
    const file = await open(this.place.path).catch(() => undefined)
    if (file === undefined) return undefined
    const { wholeSum } = this.place
    if (wholeSum === undefined || (await isIntact(file, wholeSum))) return file
    await file.close()
    return undefined
  }

  async #intact(
    file: FileHandle,
    block: number,
    fullBytes: number,
    shardBytes: number,
  ): Promise<Uint8Array | undefined> {
    const { range, wholeSum } = this.place
    const hashBytes = wholeSum === undefined ? HIGHWAY_HASH_BYTES : 0
    const at = block * (fullBytes + hashBytes)
    const length = hashBytes + shardBytes
    if (range !== undefined && at + length > range.lengthBytes) return undefined
    const bytes = await readAt(file, (range?.offset ?? 0) + at, length)
    if (bytes === undefined || hashBytes === 0) return bytes
    const shard = bytes.subarray(hashBytes)
    return equalBytes(bytes.subarray(0, hashBytes), highwayHash256(HASH_KEY, shard)) ? shard : undefined
  }
}

/** Returns undefined if the file is shorter, or cannot be read there. */
async function readAt(file: FileHandle, position: number, lengthBytes: number): Promise<Uint8Array | undefined> {
  const bytes = Buffer.allocUnsafe(lengthBytes)
  let filled = 0
  while (filled < lengthBytes) {
    const read = await file.read(bytes, filled, lengthBytes - filled, position + filled).catch(() => undefined)
    if (read === undefined || read.bytesRead === 0) return undefined
    filled += read.bytesRead
  }
  return bytes
}

async function isIntact(file: FileHandle, { algorithm, hash }: WholeSum): Promise<boolean> {
  if (algorithm === "highwayhash256") {
    const bytes = await file.readFile().catch(() => undefined)
    return bytes !== undefined && equalBytes(highwayHash256(HASH_KEY, bytes), hash)
  }
  const running = createHash(algorithm === "sha256" ? "sha256" : "blake2b512")
  const buffer = Buffer.allocUnsafe(READ_BYTES)
  for (let position = 0; ;) {
    const read = await file.read(buffer, 0, READ_BYTES, position).catch(() => undefined)
    if (read === undefined) return false
    if (read.bytesRead === 0) return equalBytes(running.digest(), hash)
    running.update(buffer.subarray(0, read.bytesRead))
    position += read.bytesRead
  }
}
