/** Fetches what a plan asks for and hands out the range of it, verified; a whole needle; or a shard for others to verify. */
import { fail } from "../base/failures.js"
import type { NeedleHeader, NeedlePlace, ShardHeader } from "../format/needle.js"
import type { DiskFile } from "../seams/disk/contract.js"
import type { Allocate, FetchedShard, NeedleRange } from "./contract.js"
import type { ReadableFile } from "./files.js"
import { badSubBlock, bodyBytesOf } from "./group-reader.js"
import { anotherNeedle, decodeHeader, planRead, stretchesOf, verifyRead } from "./needle-read-core.js"

/** Throws `corruptNeedle`, `deviceFailed`. The result is a view of a buffer from `allocate`, or of one of its own. */
export async function readNeedle(
  file: DiskFile,
  place: NeedlePlace,
  range: NeedleRange,
  isWanted: (header: NeedleHeader) => boolean,
  allocate: Allocate = lengthBytes => Buffer.allocUnsafeSlow(lengthBytes),
): Promise<Uint8Array> {
  const plan = planRead(place, range)
  const bodyAt = place.offsetBytes + place.headerBytes
  const fetch = async (buffer: Uint8Array, offsetBytes: number): Promise<Uint8Array> => {
    return buffer.subarray(0, await file.read(buffer, offsetBytes))
  }
  let header: Uint8Array
  let body: Uint8Array
  if (plan.atOnce) {
    const whole = await fetch(allocate(place.headerBytes + plan.bodyToBytes), place.offsetBytes)
    header = whole.subarray(0, place.headerBytes)
    body = whole.subarray(place.headerBytes + plan.bodyFromBytes)
  } else {
    const bodyBytes = plan.bodyToBytes - plan.bodyFromBytes
    const headerAlone = fetch(Buffer.allocUnsafeSlow(place.headerBytes), place.offsetBytes)
    headerAlone.catch(() => undefined)
    // Whatever became of the header: nothing is read into the memory any more when this settles.
    body = await fetch(allocate(bodyBytes), bodyAt + plan.bodyFromBytes)
    header = await headerAlone
  }
  verifyRead(place, plan, { header, body }, isWanted)
  const from = range.offsetBytes - plan.bodyFromBytes
  return body.subarray(from, from + range.lengthBytes)
}

/** As `readNeedle` for a whole small body, on the calling thread; the result is a view of `memory`. */
export function readSmallNow(
  file: Pick<DiskFile, "readNow">,
  place: NeedlePlace,
  isWanted: (header: NeedleHeader) => boolean,
  memory: Uint8Array,
): Uint8Array {
  const whole = memory.subarray(0, place.headerBytes + place.bodyBytes)
  return wholeBody(whole.subarray(0, file.readNow(whole, place.offsetBytes)), place, isWanted)
}

/** The body of a needle whose bytes are there, header and all; a view of them. Throws `corruptNeedle`. */
export function wholeBody(
  bytes: Uint8Array,
  place: NeedlePlace,
  isWanted: (header: NeedleHeader) => boolean,
): Uint8Array {
  const range = { offsetBytes: 0, lengthBytes: place.bodyBytes }
  const [header, body] = [bytes.subarray(0, place.headerBytes), bytes.subarray(place.headerBytes)]
  verifyRead(place, planRead(place, range), { header, body }, isWanted)
  return body
}

/**
 * As `readNeedle`, on the calling thread. Undefined, and nothing is read, where `isCached` says so of a stretch of
 * the volume.
 */
export function readNeedleNow(
  file: Pick<DiskFile, "readNow">,
  place: NeedlePlace,
  range: NeedleRange,
  isWanted: (header: NeedleHeader) => boolean,
  allocate: Allocate,
  isCached: (stretch: NeedleRange) => boolean,
): Uint8Array | undefined {
  const plan = planRead(place, range)
  const stretches = stretchesOf(place, plan)
  if (!stretches.every(isCached)) return undefined
  const memory = allocate(stretches.reduce((sum, { lengthBytes }) => sum + lengthBytes, 0))
  let length = 0
  for (const { offsetBytes, lengthBytes } of stretches) {
    length += file.readNow(memory.subarray(length, length + lengthBytes), offsetBytes)
  }
  const header = memory.subarray(0, place.headerBytes)
  const body = memory.subarray(place.headerBytes + (plan.atOnce ? plan.bodyFromBytes : 0), length)
  verifyRead(place, plan, { header, body }, isWanted)
  const from = range.offsetBytes - plan.bodyFromBytes
  return body.subarray(from, from + range.lengthBytes)
}

/** A range of a shard as it lies there, its header verified and its body not. Throws `corruptNeedle`, `deviceFailed`. */
export async function fetchShard(
  file: DiskFile,
  place: NeedlePlace,
  { bodyBytes, range }: { readonly bodyBytes: number; readonly range: NeedleRange },
  isWanted: (header: NeedleHeader) => boolean,
  allocate: Allocate,
): Promise<FetchedShard> {
  if (place.bodyBytes !== bodyBytes) {
    throw fail("corruptNeedle", { message: "the needle is not as long as its block has it", ...place })
  }
  const { offsetBytes, lengthBytes } = range
  const isAtOnce = offsetBytes === 0
  const memory = allocate(lengthBytes + (isAtOnce ? place.headerBytes : 0))
  const bodyAt = place.offsetBytes + place.headerBytes + offsetBytes
  const alone = isAtOnce ? undefined : readHeader(file, place, isWanted)
  alone?.catch(() => undefined)
  // Whatever became of the header: nothing is read into the memory any more when this settles.
  const count = await file.read(memory, isAtOnce ? place.offsetBytes : bodyAt)
  if (count < memory.length) throw fail("corruptNeedle", { message: "the volume is cut short", ...place })
  // The memory may be given to others before the header is forgotten.
  const header = (await alone) ?? shardHeaderOf(place, memory.slice(0, place.headerBytes), isWanted)
  if (header.bodyBytes !== bodyBytes) throw anotherNeedle(place)
  return { header, body: memory.subarray(memory.length - lengthBytes), memory }
}

/** A needle as it lies there, to be written once more. */
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
  const subBlock = badSubBlock(decoded, body, 0)
  if (subBlock !== undefined) throw fail("corruptNeedle", { ...place, subBlock })
  return { decoded, header, body }
}

/** The header of a shard. Throws `corruptNeedle`, `deviceFailed`. */
export async function readHeader(
  file: DiskFile,
  place: NeedlePlace,
  isWanted: (header: NeedleHeader) => boolean,
): Promise<ShardHeader> {
  const bytes = new Uint8Array(place.headerBytes)
  return shardHeaderOf(place, bytes.subarray(0, await file.read(bytes, place.offsetBytes)), isWanted)
}

function shardHeaderOf(
  place: NeedlePlace,
  bytes: Uint8Array,
  isWanted: (header: NeedleHeader) => boolean,
): ShardHeader {
  const header = decodeHeader(place, bytes)
  if (header.kind === "shard" && isWanted(header)) return header
  throw anotherNeedle(place)
}
