/**
 * Extents: the location of an upload's bytes. Block ids are derived, never listed: an extent contains
 * upload, part, length, block size, policy and generation once, and a bounded, normally empty
 * list of exceptions by block range.
 */
import { BLOCK_BYTES_MAX } from "@hayloft/base/limits.js"
import { bytesOfHex, hexOf } from "@hayloft/base/bytes.js"
import { parseDeviceId, parseUploadId, type DeviceId, type UploadId } from "@hayloft/base/ids.js"
import { must } from "@hayloft/base/assert.js"
import { parsePolicy, textOfPolicy, type Policy } from "@hayloft/base/policy.js"
import { fail } from "@hayloft/base/failures.js"
import { packed } from "../encoding/fields.js"
import type { RecordReader } from "../encoding/pack.js"
import { areSealedLengths } from "./sealing.js"

/** Blocks [first, last] differ from their extent. */
export interface ExtentException {
  readonly firstBlock: number
  readonly lastBlock: number
  readonly policy: Policy
  readonly generation: number
  /** Slots whose shard was not durable at the acknowledgement. */
  readonly missingSlots: readonly number[]
  /** Slots whose shard is on another device than the layout assigns. */
  readonly placedSlots: readonly (readonly [slot: number, deviceId: DeviceId])[]
}

export interface Extent {
  readonly uploadId: UploadId
  /** 0 for a single upload. */
  readonly part: number
  /** The length of the stored bytes; that of a sealed extent includes the tags of its segments. */
  readonly lengthBytes: number
  readonly blockBytes: number
  readonly policy: Policy
  readonly generation: number
  readonly exceptions: readonly ExtentException[]
  /** Its blocks are sealed, see `sealing.ts`. */
  readonly isSealed?: true
  /** The upload under which the bytes were sealed, if it is another one: a rescue copies sealed bytes as they are. */
  readonly sealedAs?: UploadId
}

export const EXTENT_EXCEPTIONS_MAX = 64
/** The member `seal` of a sealed extent; others do not have it. */
const SEALED = 1

export const blockCount = (extent: Extent): number => Math.ceil(extent.lengthBytes / extent.blockBytes)

/** The exception that applies to a block, if any: policy, generation and missing slots come from it. */
export function exceptionOf(extent: Extent, block: number): ExtentException | undefined {
  return extent.exceptions.find(exception => block >= exception.firstBlock && block <= exception.lastBlock)
}

const packUploadId = (uploadId: UploadId): Uint8Array => must(bytesOfHex(uploadId), "upload ids are hex")

function packExtent(extent: Extent): readonly unknown[] {
  return [
    packUploadId(extent.uploadId),
    extent.part,
    extent.lengthBytes,
    extent.blockBytes,
    textOfPolicy(extent.policy),
    extent.generation,
    extent.exceptions.map(exception => [
      exception.firstBlock,
      exception.lastBlock,
      textOfPolicy(exception.policy),
      exception.generation,
      exception.missingSlots.map(slot => [slot]),
      exception.placedSlots,
    ]),
    ...(extent.isSealed === undefined ? [] : [SEALED]),
    ...(extent.sealedAs === undefined ? [] : [packUploadId(extent.sealedAs)]),
  ]
}

function readExtent(row: RecordReader): Extent {
  const extent: Extent = {
    uploadId: parseUploadId(hexOf(row.bytes())),
    part: row.number(),
    lengthBytes: row.number(),
    blockBytes: row.number(),
    policy: parsePolicy(row.text()),
    generation: row.number(),
    exceptions: row.rows(exception => ({
      firstBlock: exception.number(),
      lastBlock: exception.number(),
      policy: parsePolicy(exception.text()),
      generation: exception.number(),
      missingSlots: exception.rows(slot => slot.number()),
      placedSlots: exception.rows((slot): readonly [number, DeviceId] => [slot.number(), parseDeviceId(slot.text())]),
    })),
  }
  if (extent.blockBytes < 1 || extent.blockBytes > BLOCK_BYTES_MAX || extent.lengthBytes < 0) {
    throw fail("corruptRecord", { what: "extent" })
  }
  const seal = row.optional(() => row.number())
  if (seal === undefined) return extent
  if (seal !== SEALED || !areSealedLengths(extent)) throw fail("corruptRecord", { what: "extent", field: "seal" })
  const sealedAs = row.optional(() => parseUploadId(hexOf(row.bytes())))
  return { ...extent, isSealed: true, ...(sealedAs && { sealedAs }) }
}

/** By hand: each block of each request has one. */
export const EXTENT = packed(packExtent, readExtent)
