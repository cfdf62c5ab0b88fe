/**
 * The interface that the npm package offers to programs as `hayloft/erasure`; declarations/erasure.d.ts describes it for
 * their compilers, docs/guide/erasure.md for people.
 *
 * Promises  The bytes of the Cauchy code that Hayloft stores, for shards of any length. Arguments are never changed.
 * Refuses   Throws a `LibraryError` for a code that does not exist, for shards that do not fit it, and for a body or
 *           shards that are no bytes.
 * Limits    One memory of the process, of 2 MiB, through which shards pass in pieces; calls are synchronous.
 */
import { must } from "@hayloft/base/assert.js"
import { equalBytes } from "@hayloft/base/bytes.js"
import { unlessRefused } from "@hayloft/base/failures.js"
import { LibraryError } from "@hayloft/base/library-error.js"
import { KIB, SHARD_ALIGN_BYTES, SHARDS_MAX } from "@hayloft/base/limits.js"
import { FastCodec } from "./codec.js"
import { SCRATCH_BYTES } from "./kernel.js"
import { parityRows, type CodeShape } from "./matrix.js"

type ErrorCode = "invalidCode" | "invalidBytes" | "shardCount" | "shardLength" | "notEnoughShards" | "invalidLength"
type Shards = readonly Uint8Array[]

/** Bytes of each shard that are in the memory at a time. */
const PIECE_BYTES = 64 * KIB
const PAGE_BYTES = 64 * KIB

const refuse = (code: ErrorCode, message: string): LibraryError<ErrorCode> => new LibraryError(code, message)

interface Workshop {
  readonly codec: FastCodec
  /** A view of the memory for the shard in a slot, of at least so many bytes: the kernel works on multiples of 64. */
  readonly piece: (slot: number, lengthBytes: number) => Uint8Array
}

function makeWorkshop(): Workshop {
  const pages = Math.ceil((SCRATCH_BYTES + SHARDS_MAX * PIECE_BYTES) / PAGE_BYTES)
  const memory = new WebAssembly.Memory({ initial: pages, maximum: pages })
  return {
    codec: new FastCodec(memory, 0),
    piece: (slot, lengthBytes) => {
      const padded = Math.ceil(lengthBytes / SHARD_ALIGN_BYTES) * SHARD_ALIGN_BYTES
      return new Uint8Array(memory.buffer, SCRATCH_BYTES + slot * PIECE_BYTES, padded)
    },
  }
}

let workshop: Workshop | undefined

/** The length that all of the shards have, each at its slot. */
function commonLength(shards: Shards | ReadonlyMap<number, Uint8Array>): number {
  const lengths = new Set<number>()
  for (const [slot, bytes] of shards.entries()) {
    if (!(bytes instanceof Uint8Array)) throw refuse("invalidBytes", `shard ${slot} is missing or not a Uint8Array`)
    lengths.add(bytes.length)
  }
  if (lengths.size > 1) throw refuse("shardLength", `the shards are of ${[...lengths].join(" and ")} bytes`)
  return must(lengths.values().next().value, "a code has shards")
}

/** A code of `dataShards` + `parityShards`: any `dataShards` of all shards suffice to make the others. */
export class ErasureCode {
  readonly dataShards: number
  readonly parityShards: number
  private readonly shape: CodeShape

  constructor(dataShards: number, parityShards: number) {
    this.shape = { k: dataShards, m: parityShards, matrix: "cauchy" }
    if (unlessRefused(() => parityRows(this.shape)) === undefined) {
      const rule = `whole numbers from 1, together at most ${SHARDS_MAX}`
      throw refuse("invalidCode", `there is no code of ${dataShards}+${parityShards}: both are ${rule}`)
    }
    this.dataShards = dataShards
    this.parityShards = parityShards
  }

  /** A copy of the body in `dataShards` equal pieces, the last ones padded with zeros. */
  split(body: Uint8Array): Uint8Array[] {
    if (!(body instanceof Uint8Array)) throw refuse("invalidBytes", "the body is not a Uint8Array")
    const lengthBytes = Math.ceil(body.length / this.dataShards)
    const padded = new Uint8Array(lengthBytes * this.dataShards)
    padded.set(body)
    return Array.from({ length: this.dataShards }, (_, i) => padded.subarray(i * lengthBytes, (i + 1) * lengthBytes))
  }

  /** The body of so many bytes that `split` has cut into these data shards; parity shards behind them are ignored. */
  join(shards: Shards, lengthBytes: number): Uint8Array {
    const data = shards.slice(0, this.dataShards)
    this.checkCount(data, this.dataShards)
    const shardBytes = commonLength(data)
    if (!Number.isInteger(lengthBytes) || lengthBytes < 0 || Math.ceil(lengthBytes / data.length) !== shardBytes) {
      throw refuse("invalidLength", `${data.length} shards of ${shardBytes} bytes do not hold ${lengthBytes} bytes`)
    }
    const body = new Uint8Array(shardBytes * data.length)
    for (const [i, bytes] of data.entries()) body.set(bytes, i * shardBytes)
    return body.subarray(0, lengthBytes)
  }

  /** The parity shards of the data shards. */
  encode(data: Shards): Uint8Array[] {
    this.checkCount(data, this.dataShards)
    const { dataShards: k } = this
    const parity = new Map(Array.from({ length: this.parityShards }, (_, i) => [k + i, commonLength(data)]))
    return [...this.run(new Map(data.entries()), parity).values()]
  }

  /** All shards, data first: those that are given, and the missing ones as they were. */
  reconstruct(shards: readonly (Uint8Array | undefined)[]): Uint8Array[] {
    this.checkCount(shards, this.dataShards + this.parityShards)
    const present = new Map([...shards.entries()].flatMap(([slot, bytes]) => (bytes ? [[slot, bytes]] : [])))
    if (present.size < this.dataShards) {
      throw refuse("notEnoughShards", `${present.size} shards are left, and ${this.dataShards} are needed`)
    }
    const lengthBytes = commonLength(present)
    const missing = [...shards.keys()].filter(slot => !present.has(slot))
    const rebuilt = this.run(present, new Map(missing.map(slot => [slot, lengthBytes])))
    return shards.map((bytes, slot) => bytes ?? must(rebuilt.get(slot), "each missing shard was made"))
  }

  /** Returns true if the parity shards are those of the data shards. */
  verify(shards: Shards): boolean {
    this.checkCount(shards, this.dataShards + this.parityShards)
    commonLength(shards)
    const parity = this.encode(shards.slice(0, this.dataShards))
    return parity.every((bytes, i) => equalBytes(bytes, must(shards[this.dataShards + i], "shards were counted")))
  }

  /** Makes the wanted shards of the given lengths, by slot, piece by piece. */
  private run(present: ReadonlyMap<number, Uint8Array>, wanted: ReadonlyMap<number, number>): Map<number, Uint8Array> {
    const { codec, piece } = (workshop ??= makeWorkshop())
    const made = new Map([...wanted].map(([slot, lengthBytes]) => [slot, new Uint8Array(lengthBytes)]))
    const used = new Map([...present].slice(0, this.dataShards))
    const lengthBytes = commonLength(used)
    for (let at = 0; made.size > 0 && at < lengthBytes; at += PIECE_BYTES) {
      const length = Math.min(PIECE_BYTES, lengthBytes - at)
      for (const [slot, bytes] of used) piece(slot, length).set(bytes.subarray(at, at + length))
      const pieces = (slots: Iterable<number>) => new Map(Array.from(slots, slot => [slot, piece(slot, length)]))
      codec.rebuild(this.shape, pieces(used.keys()), pieces(made.keys()))
      for (const [slot, bytes] of made) bytes.set(piece(slot, length).subarray(0, length), at)
    }
    return made
  }

  private checkCount(shards: readonly unknown[], count: number): void {
    if (shards.length === count) return
    const { dataShards, parityShards } = this
    throw refuse(
      "shardCount",
      `a code of ${dataShards}+${parityShards} needs ${count} here, not ${shards.length} shards`,
    )
  }
}
