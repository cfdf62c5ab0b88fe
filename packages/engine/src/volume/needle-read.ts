/** Carries out a read plan: a verified range of a needle; a whole needle; or a shard for others to verify. */
import { fail } from "@hayloft/base/failures.js"
import type { RowKey } from "@hayloft/base/ids.js"
import {
  needleKeyOf,
  type NeedleHeader,
  type NeedleId,
  type NeedlePlace,
  type ShardHeader,
} from "../format/needles/needle.js"
import { after, type Soon } from "@hayloft/base/soon.js"
import type { DiskFile, ReadUse } from "@hayloft/base/seams/disk/contract.js"
import type { Allocate, FetchedShard, NeedleRange } from "./contract.js"
import type { ReadableFile } from "./files.js"
import { bodyBytesOf } from "./group-reader.js"
import { firstBadSubBlock } from "./sub-block-checks.js"
import {
  anotherNeedle,
  decodeHeader,
  planRead,
  verifyRead,
  type NeedleReadPlan,
  type WantedNeedle,
} from "./needle-read-core.js"

/** Accepts the header of the shard with this key. */
export const wantedBy =
  (key: RowKey) =>
  (header: NeedleHeader): boolean =>
    header.kind === "shard" && needleKeyOf(header.id) === key

/** Like `readNeedle`, for the shard with this id. */
export const readShard = (
  file: Pick<DiskFile, "read">,
  id: NeedleId,
  read: Omit<NeedleRead, keyof WantedNeedle>,
): Soon<Uint8Array> => readNeedle(file, { ...read, isWanted: wantedBy(needleKeyOf(id)) })

/** A range of a needle, and how it is read. */
export interface NeedleRead extends WantedNeedle {
  readonly place: NeedlePlace
  readonly range: NeedleRange
  /** Default: memory of its own. */
  readonly allocate?: Allocate | undefined
  readonly use?: ReadUse
}

/**
 * The range, verified; not a promise if the use is "resident". Throws `corruptNeedle`, `deviceFailed`. The result is a
 * view of a buffer from `allocate`.
 */
export function readNeedle(file: Pick<DiskFile, "read">, read: NeedleRead): Soon<Uint8Array> {
  const { place, range, allocate = allocateOwn, use } = read
  const plan = planRead(place, range)
  if (!plan.atOnce) return readApart(file, read, plan)
  const memory = allocate(place.headerBytes + plan.bodyToBytes)
  const count = file.read(memory, place.offsetBytes, use)
  return count instanceof Promise
    ? count.then(bytes => wantedOf(read, plan, memory.subarray(0, bytes)))
    : wantedOf(read, plan, memory.subarray(0, count))
}

/** Header and body with a read each. */
function readApart(file: Pick<DiskFile, "read">, read: NeedleRead, plan: NeedleReadPlan): Soon<Uint8Array> {
  const { place, allocate = allocateOwn, use } = read
  const header = Buffer.allocUnsafeSlow(place.headerBytes)
  const body = allocate(plan.bodyToBytes - plan.bodyFromBytes)
  const headerRead = file.read(header, place.offsetBytes, use)
  if (headerRead instanceof Promise) headerRead.catch(() => undefined)
  const bodyRead = file.read(body, place.offsetBytes + place.headerBytes + plan.bodyFromBytes, use)
  // Also if the header cannot be read: the memory must not be in use by a read any more when this settles.
  return after(bodyRead, bodyBytes =>
    after(headerRead, headerBytes =>
      verified(read, plan, header.subarray(0, headerBytes), body.subarray(0, bodyBytes)),
    ),
  )
}

/** The range out of a needle's bytes, header included. */
function wantedOf(read: NeedleRead, plan: NeedleReadPlan, bytes: Uint8Array): Uint8Array {
  const { headerBytes } = read.place
  return verified(read, plan, bytes.subarray(0, headerBytes), bytes.subarray(headerBytes + plan.bodyFromBytes))
}

function verified(read: NeedleRead, plan: NeedleReadPlan, header: Uint8Array, body: Uint8Array): Uint8Array {
  const { place, range } = read
  verifyRead(place, plan, { header, body }, read)
  const from = range.offsetBytes - plan.bodyFromBytes
  return body.subarray(from, from + range.lengthBytes)
}

const allocateOwn: Allocate = lengthBytes => Buffer.allocUnsafeSlow(lengthBytes)

/** The body of a needle, as a view of its bytes, header included. Throws `corruptNeedle`. */
export function wholeBody(bytes: Uint8Array, place: NeedlePlace, wanted: WantedNeedle): Uint8Array {
  const range = { offsetBytes: 0, lengthBytes: place.bodyBytes }
  return wantedOf({ place, range, ...wanted }, planRead(place, range), bytes)
}

/** A range of a stored shard, its header verified and its body not. Throws `corruptNeedle`, `deviceFailed`. */
export async function fetchShard(
  file: DiskFile,
  place: NeedlePlace,
  { bodyBytes, range }: { readonly bodyBytes: number; readonly range: NeedleRange },
  wanted: WantedNeedle,
  allocate: Allocate,
): Promise<FetchedShard> {
  if (place.bodyBytes !== bodyBytes) {
    throw fail("corruptNeedle", { message: "the length of the needle differs from its block's", ...place })
  }
  const { offsetBytes, lengthBytes } = range
  const isAtOnce = offsetBytes === 0
  const memory = allocate(lengthBytes + (isAtOnce ? place.headerBytes : 0))
  const bodyAt = place.offsetBytes + place.headerBytes + offsetBytes
  const alone = isAtOnce ? undefined : readHeader(file, place, wanted)
  alone?.catch(() => undefined)
  // Whatever happens to the header, no read may use the memory any more when this settles.
  const count = await file.read(memory, isAtOnce ? place.offsetBytes : bodyAt)
  if (count < memory.length) throw fail("corruptNeedle", { message: "the volume is cut short", ...place })
  // The caller may reuse the memory while the header is still in use.
  const header = (await alone) ?? shardHeaderOf(place, memory.slice(0, place.headerBytes), wanted)
  if (header.bodyBytes !== bodyBytes) throw anotherNeedle(place)
  return { header, body: memory.subarray(memory.length - lengthBytes), memory }
}

/** A needle as it is stored, to be written once more. */
export interface WholeNeedle {
  readonly decoded: NeedleHeader
  readonly header: Uint8Array
  readonly body: Uint8Array
}

/** Header and body, both verified, in memory of their own. Throws `corruptNeedle`, `deviceFailed`. */
export async function readWhole(file: Pick<ReadableFile, "read">, place: NeedlePlace): Promise<WholeNeedle> {
  const bytes = Buffer.allocUnsafeSlow(place.headerBytes + place.bodyBytes)
  const count = await file.read(bytes, place.offsetBytes)
  if (count < bytes.length) throw fail("corruptNeedle", { message: "the volume is cut short", ...place })
  const header = bytes.subarray(0, place.headerBytes)
  const body = bytes.subarray(place.headerBytes)
  const decoded = decodeHeader(place, header)
  if (bodyBytesOf(decoded) !== body.length) throw anotherNeedle(place)
  const subBlock = firstBadSubBlock(decoded, body, 0)
  if (subBlock !== undefined) throw fail("corruptNeedle", { ...place, subBlock })
  return { decoded, header, body }
}

/** The header of a shard. Throws `corruptNeedle`, `deviceFailed`. */
export async function readHeader(file: DiskFile, place: NeedlePlace, wanted: WantedNeedle): Promise<ShardHeader> {
  const bytes = new Uint8Array(place.headerBytes)
  return shardHeaderOf(place, bytes.subarray(0, await file.read(bytes, place.offsetBytes)), wanted)
}

function shardHeaderOf(place: NeedlePlace, bytes: Uint8Array, { isWanted, names }: WantedNeedle): ShardHeader {
  const header = decodeHeader(place, bytes, names)
  if (header.kind === "shard" && isWanted(header)) return header
  throw anotherNeedle(place)
}
