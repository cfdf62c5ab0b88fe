/**
 * Re-encoding: which blocks of an extent must be re-encoded, and the extent afterwards. Pure.
 *
 * Each re-encoding of an upload writes needles of a generation that the upload never had, so an id never stands for
 * different bytes.
 */
import { must } from "@hayloft/base/assert.js"
import { textOfPolicy, type Policy } from "@hayloft/base/policy.js"
import type { BlockRun } from "@hayloft/engine/block/index.js"
import {
  blockCount,
  EXTENT_EXCEPTIONS_MAX,
  type Extent,
  type ExtentException,
} from "@hayloft/engine/format/needles/extent.js"

/** Neighbouring blocks that are stored in the same way. */
type Stretch = Omit<ExtentException, "firstBlock" | "lastBlock"> & BlockRun

export interface ReencodePlan {
  /** Blocks to re-encode, ascending; if empty, only exceptions of the extent are dropped. */
  readonly runs: readonly BlockRun[]
  /** Blocks that stay as they are, for the new extent. */
  readonly kept: readonly Stretch[]
}

/** How an extent's blocks are stored, from first to last without a gap. */
export function stretchesOf(extent: Extent): readonly Stretch[] {
  const { policy, generation, exceptions } = extent
  const usual = { policy, generation, missingSlots: [], placedSlots: [] }
  const last = blockCount(extent) - 1
  const stretches: Stretch[] = []
  let next = 0
  for (const exception of [...exceptions].sort((a, b) => a.firstBlock - b.firstBlock)) {
    const { firstBlock, lastBlock } = exception
    if (firstBlock > last) break
    if (firstBlock > next) stretches.push({ ...usual, firstBlock: next, lastBlock: firstBlock - 1 })
    stretches.push({ ...exception, lastBlock: Math.min(lastBlock, last) })
    next = lastBlock + 1
  }
  if (next <= last) stretches.push({ ...usual, firstBlock: next, lastBlock: last })
  return stretches
}

/**
 * The plan for an extent; undefined if there is nothing to do. `isAssigned`: every shard of the block is on its assigned
 * device, so that no exception is needed.
 */
export function planReencode(
  extent: Extent,
  wanted: Policy,
  isAssigned: (block: number) => boolean,
): ReencodePlan | undefined {
  const text = textOfPolicy(wanted)
  const stretches = stretchesOf(extent)
  if (stretches.length === 0) return undefined
  const isOther = ({ policy }: Stretch): boolean => textOfPolicy(policy) !== text
  const others = stretches.filter(isOther)
  const kept = stretches.filter(stretch => !isOther(stretch)).map(stretch => forgetting(stretch, isAssigned))
  if (others.length === 0) {
    const isChanged = extentOf(extent, wanted, kept).exceptions.length < extent.exceptions.length
    return isChanged ? { runs: [], kept } : undefined
  }
  const hasSpace = kept.length + others.length <= EXTENT_EXCEPTIONS_MAX / 2
  if (!hasSpace) return { runs: [{ firstBlock: 0, lastBlock: blockCount(extent) - 1 }], kept: [] }
  return { runs: others.map(({ firstBlock, lastBlock }) => ({ firstBlock, lastBlock })), kept }
}

/** Drops exceptions that no longer apply: late slots, and slots placed elsewhere. */
function forgetting(stretch: Stretch, isAssigned: (block: number) => boolean): Stretch {
  if (stretch.missingSlots.length + stretch.placedSlots.length === 0) return stretch
  for (let block = stretch.firstBlock; block <= stretch.lastBlock; block += 1) if (!isAssigned(block)) return stretch
  return { ...stretch, missingSlots: [], placedSlots: [] }
}

/** The extent after re-encoding. `late`: slots of re-encoded blocks that were not durable at the acknowledgement. */
export function reencodedExtent(
  extent: Extent,
  wanted: Policy,
  generation: number,
  { runs, kept }: ReencodePlan,
  late: ReadonlyMap<number, readonly number[]>,
): Extent {
  const fresh: Stretch[] = []
  for (const { firstBlock, lastBlock } of runs) {
    for (let block = firstBlock; block <= lastBlock; block += 1) {
      const missingSlots = late.get(block) ?? []
      fresh.push({ firstBlock: block, lastBlock: block, policy: wanted, generation, missingSlots, placedSlots: [] })
    }
  }
  return extentOf(extent, wanted, [...kept, ...fresh])
}

/** The extent with blocks stored like this, all of them under one policy. */
function extentOf(extent: Extent, policy: Policy, stretches: readonly Stretch[]): Extent {
  const joined = joinedOf(stretches)
  const generation = usualGeneration(joined)
  const isUsual = (stretch: Stretch): boolean =>
    stretch.generation === generation && stretch.missingSlots.length + stretch.placedSlots.length === 0
  const named = joined.filter(stretch => !isUsual(stretch))
  // Late shards of the usual generation may be left out of the exceptions: missing-shard hints cover them.
  const mustBe = named.filter(stretch => stretch.generation !== generation || stretch.placedSlots.length > 0)
  const late = named.filter(stretch => !mustBe.includes(stretch))
  const free = Math.max(0, EXTENT_EXCEPTIONS_MAX - mustBe.length)
  const exceptions = [...mustBe, ...late.slice(0, free)].sort((a, b) => a.firstBlock - b.firstBlock)
  return { ...extent, policy, generation, exceptions }
}

/** Joins neighbours that are stored in the same way. */
function joinedOf(stretches: readonly Stretch[]): readonly Stretch[] {
  const joined: Stretch[] = []
  for (const stretch of [...stretches].sort((a, b) => a.firstBlock - b.firstBlock)) {
    const before = joined.at(-1)
    if (before && before.lastBlock + 1 === stretch.firstBlock && isAlike(before, stretch)) {
      joined[joined.length - 1] = { ...before, lastBlock: stretch.lastBlock }
    } else joined.push(stretch)
  }
  return joined
}

const isAlike = (a: Stretch, b: Stretch): boolean =>
  a.generation === b.generation &&
  textOfPolicy(a.policy) === textOfPolicy(b.policy) &&
  String(a.missingSlots) === String(b.missingSlots) &&
  String(a.placedSlots) === String(b.placedSlots)

/** The generation that saves the most exceptions. */
function usualGeneration(stretches: readonly Stretch[]): number {
  const counts = new Map<number, number>()
  for (const { generation } of stretches) counts.set(generation, (counts.get(generation) ?? 0) + 1)
  const [most] = [...counts].sort(([, a], [, b]) => b - a)
  return must(most, "an extent has blocks")[0]
}
