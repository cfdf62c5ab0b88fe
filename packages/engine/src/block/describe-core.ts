/**
 * Describes a written body: its extent, with the blocks that differ from it, and the missing-shard hints. Pure.
 *
 * The extent must list blocks under another policy or on other devices, or they could not be read. It lists shards that
 * were merely late while it has space for them; the hints list all of them, so none is forgotten.
 */
import { fail } from "@hayloft/base/failures.js"
import type { PartitionId } from "@hayloft/base/ids.js"
import { EXTENT_EXCEPTIONS_MAX, type Extent, type ExtentException } from "../format/needles/extent.js"
import { partitionOf } from "../format/needles/partition.js"
import { textOfPolicy } from "@hayloft/base/policy.js"
import type { WrittenBlock } from "./block-writer.js"
import type { MissingShards, WriteRequest } from "./contract.js"

interface WrittenExtent {
  readonly extent: Extent
  readonly hints: readonly MissingShards[]
}

type Written = Pick<WrittenBlock, "block" | "plan" | "missingSlots" | "slots">

/** `lengthBytes`: as stored. Throws `deviceFailed` if more blocks are exceptions than an extent can list. */
export function describeBody(
  request: Pick<WriteRequest, "uploadId" | "part" | "blockBytes" | "policy" | "seal">,
  lengthBytes: number,
  blocks: readonly Written[],
): WrittenExtent {
  const { uploadId, part, blockBytes, policy } = request
  const isElsewhere = ({ plan }: Written) => plan.policy !== policy || plan.placedSlots.length > 0
  const elsewhere = runsOf(blocks.filter(isElsewhere))
  const late = runsOf(blocks.filter(written => !isElsewhere(written) && written.missingSlots.length > 0))
  const free = EXTENT_EXCEPTIONS_MAX - elsewhere.length
  if (free < 0)
    throw fail("deviceFailed", { message: "too many blocks could not be written to their assigned devices" })
  const exceptions = [...elsewhere, ...late.slice(0, free)].sort((a, b) => a.firstBlock - b.firstBlock)
  const plain = { uploadId, part, lengthBytes, blockBytes, policy, generation: 0, exceptions }
  const extent: Extent = request.seal === undefined ? plain : { ...plain, isSealed: true }
  return { extent, hints: hintsOf(blocks, block => partitionOf(uploadId, part, block)) }
}

/** Neighbouring blocks that differ in the same way become one exception. */
function runsOf(blocks: readonly Written[]): ExtentException[] {
  const runs: ExtentException[] = []
  for (const { block, plan, missingSlots } of blocks) {
    const { policy, placedSlots } = plan
    const next = { firstBlock: block, lastBlock: block, policy, generation: 0, missingSlots, placedSlots }
    const last = runs.at(-1)
    if (last && last.lastBlock === block - 1 && isAlike(last, next))
      runs[runs.length - 1] = { ...last, lastBlock: block }
    else runs.push(next)
  }
  return runs
}

const isAlike = (a: ExtentException, b: ExtentException): boolean =>
  textOfPolicy(a.policy) === textOfPolicy(b.policy) &&
  String(a.missingSlots) === String(b.missingSlots) &&
  String(a.placedSlots) === String(b.placedSlots)

/** One hint per device and partition. */
export function hintsOf(blocks: readonly Written[], partitionOfBlock: (block: number) => PartitionId): MissingShards[] {
  const hints = new Map<string, MissingShards>()
  for (const { block, plan, missingSlots, slots } of blocks) {
    const late = missingSlots.flatMap(slot => slots[slot] ?? [])
    for (const deviceId of [...plan.lacking, ...(plan.placedSlots.length > 0 ? [] : late)]) {
      const partition = partitionOfBlock(block)
      hints.set(`${partition} ${deviceId}`, { partition, deviceId })
    }
  }
  return [...hints.values()]
}
