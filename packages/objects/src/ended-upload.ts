/**
 * Ends multipart uploads whose parts some feature counts: their part list is frozen, their parts are added up, and the command
 * that ends the upload takes both. Other uploads end with that command alone. Removes what completions that failed have left.
 */
import { isFailure } from "@hayloft/base/failures.js"
import { firstOf } from "@hayloft/base/first-of.js"
import { walkPages } from "@hayloft/base/walk-pages.js"
import { decodeSegment } from "@hayloft/engine/format/records.js"
import { suffixRange } from "@hayloft/engine/format/row-key.js"
import { plainBytesOf } from "@hayloft/engine/format/needles/sealing.js"
import { query, type Command, type Metadata } from "@hayloft/engine/metadata/index.js"
import { dropStale } from "./commands/block-digests-core.js"
import {
  abortUpload,
  addressKeyOf,
  findUpload,
  freezeUpload,
  needsFreeze,
  partsAfter,
  unsealUpload,
  type Completion,
  type FrozenParts,
  type UploadAddress,
} from "./commands/multipart-commands-core.js"
import { sourcesOf } from "./queries/manifest-core.js"

type Rows = Pick<Metadata, "run" | "ask" | "incarnations">

/** Parts of one query: some milliseconds. */
const PARTS_PER_QUERY = 1_000
/** Times that an end is repeated because completions began meanwhile. */
const CONFLICTS_MAX = 10

export const isUploadCounted = query("IsUploadCounted", (view, address: UploadAddress): boolean => {
  const upload = findUpload(view, address)
  return upload !== undefined && needsFreeze(upload)
})

interface PartsSum {
  readonly bytes: number
  /** The number behind which the next ones are; undefined if there are no more parts. */
  readonly next: number | undefined
}

export const sumOfParts = query("SumOfParts", (view, address: UploadAddress, after: number, max: number): PartsSum => {
  let [bytes, count, last] = [0, 0, after]
  for (const { partNumber, extent } of partsAfter(view, address, after)) {
    if (count === max) return { bytes, next: last }
    bytes += plainBytesOf(extent)
    count += 1
    last = partNumber
  }
  return { bytes, next: undefined }
})

/** The bytes of all parts of an upload whose list is frozen. */
export async function bytesOfAllParts(metadata: Rows, address: UploadAddress): Promise<number> {
  let bytes = 0
  const sums = walkPages<number, PartsSum>(0, after => metadata.ask(sumOfParts(address, after, PARTS_PER_QUERY)))
  for await (const sum of sums) bytes += sum.bytes
  return bytes
}

/**
 * Ends an upload by a command that needs its list frozen. If that fails, or returns false, the upload goes on. `takesOver`:
 * a completion under way fails; otherwise throws `conflict` while there is one.
 */
export async function endFrozen<Result>(
  metadata: Rows,
  address: UploadAddress,
  takesOver: boolean,
  end: (frozen: FrozenParts) => Command<Result>,
): Promise<Result> {
  const completion = await metadata.run(freezeUpload(address, metadata.incarnations.own, takesOver))
  // A list that stays frozen refuses parts until this process has ended.
  const goesOn = () => metadata.run(unsealUpload(address, completion)).catch(() => undefined)
  try {
    const result = await metadata.run(end({ completion, partsBytes: await bytesOfAllParts(metadata, address) }))
    if (result === false) await goesOn()
    return result
  } catch (error) {
    if (!isFailure(error, "noSuchUpload")) await goesOn()
    throw error
  }
}

/** Ends an upload, and any completion of it. One that begins meanwhile may complete it first: then throws `noSuchUpload`. */
export async function endUploadBy<Result>(
  metadata: Rows,
  address: UploadAddress,
  end: (frozen?: FrozenParts) => Command<Result>,
): Promise<Result> {
  const isCounted = await metadata.ask(isUploadCounted(address))
  if (!isCounted) return metadata.run(end())
  for (let conflicts = 0; ;) {
    try {
      return await endFrozen(metadata, address, true, end)
    } catch (error) {
      // A completion has replaced the seal.
      if (!isFailure(error, "conflict") || (conflicts += 1) > CONFLICTS_MAX) throw error
    }
  }
}

/** Throws `noSuchUpload`. */
export const abort = (metadata: Rows, address: UploadAddress): Promise<void> =>
  endUploadBy(metadata, address, frozen => abortUpload(address, frozen))

/** An upload that is open, with segments that refer to other objects, or have digests. */
export const hasStale = query("HasStale", (view, address: UploadAddress): boolean => {
  if (findUpload(view, address) === undefined) return false
  const range = suffixRange(addressKeyOf(address))
  for (const [, { value }] of view.range("segments", range)) if (sourcesOf(decodeSegment(value)).length > 0) return true
  return firstOf(view.range("blockDigests", range)) !== undefined
})

/**
 * Drops what a completion that has failed has left of shared bytes: an open upload would keep the bytes to which its segments
 * refer. Its parts stay. `unseal` ends the seal that this takes. Returns whether there was something. Throws `conflict` while
 * the upload is being completed.
 */
export async function dropSegments(
  metadata: Rows,
  address: UploadAddress,
  unseal: (completion: Completion) => Promise<void> = completion => metadata.run(unsealUpload(address, completion)),
): Promise<boolean> {
  if (!(await metadata.ask(hasStale(address)))) return false
  const completion = await metadata.run(freezeUpload(address, metadata.incarnations.own, false))
  try {
    while (await metadata.run(dropStale(address, completion)));
  } finally {
    await unseal(completion).catch(() => undefined)
  }
  return true
}
