/**
 * The body of an upload, reconstructed from its shards: which generation of each block is readable, the total length,
 * and whether anything is missing. Pure.
 */
import { BLOCK_BYTES_MIN, SUB_BLOCK_BYTES } from "@hayloft/base/limits.js"
import { shardsNeeded, textOfPolicy, type Policy } from "@hayloft/base/policy.js"
import type { Extent, ExtentException } from "../format/needles/extent.js"
import type { UploadId } from "@hayloft/base/ids.js"

/** A shard that was found, and what its needle says of its block. */
export interface FoundShard {
  readonly block: number
  readonly generation: number
  readonly slot: number
  readonly policy: Policy
  readonly blockLengthBytes: number
}

interface FoundShards<Shard> {
  readonly shards: readonly Shard[]
  /** Shards that are known to have been removed. */
  readonly removed: number
}

export type BodyMatch<Shard extends FoundShard = FoundShard> =
  | { readonly kind: "whole"; readonly extent: Extent; readonly shards: readonly Shard[] }
  /** `isStart`: the found bytes are whole blocks from the first on, but shorter than the body. */
  | { readonly kind: "incomplete"; readonly reason: string; readonly isStart?: boolean }

/** Facts about a body from other sources than its shards. */
interface KnownBody {
  /** Total length; if undefined, it follows from the shards. */
  readonly lengthBytes: number | undefined
  /** Block size of the store; undefined if unknown. */
  readonly blockBytes: number | undefined
}

interface Block {
  readonly policy: Policy
  readonly generation: number
  readonly lengthBytes: number
  readonly spare: number
}

export function bodyOf<Shard extends FoundShard>(
  upload: { readonly uploadId: UploadId; readonly part: number },
  { shards, removed }: FoundShards<Shard>,
  known: KnownBody,
): BodyMatch<Shard> {
  const blocks = readableBlocks(shards)
  const last = shards.reduce((max, { block }) => Math.max(max, block), -1)
  const readable = [...blocks.values()]
  const lost = last + 1 - blocks.size
  const gone = removed > 0 ? "; shards were removed: it was deleted, or they are in a folder that is not given" : ""
  if (shards.length === 0 && known.lengthBytes !== 0) return incomplete(`none of its shards are left${gone}`)
  if (lost > 0) return incomplete(`${lost} of ${last + 1} blocks have too few shards left${gone}`)
  const foundBytes = readable.reduce((sum, { lengthBytes }) => sum + lengthBytes, 0)
  if (known.lengthBytes !== undefined && foundBytes !== known.lengthBytes) {
    const isStart = foundBytes < known.lengthBytes
    return { kind: "incomplete", reason: `${foundBytes} of ${known.lengthBytes} bytes were found${gone}`, isStart }
  }
  const first = blocks.get(0)
  const lastBytes = blocks.get(last)?.lengthBytes
  // A rescue keeps the blocks of encrypted bytes, which may be larger than those of the new store.
  const blockBytes = last > 0 ? first?.lengthBytes : known.blockBytes && Math.max(known.blockBytes, lastBytes ?? 0)
  const evenly = Array.from({ length: Math.max(0, last) }, (_, block) => blocks.get(block)?.lengthBytes)
  if (evenly.some(lengthBytes => lengthBytes !== blockBytes)) return incomplete("its blocks do not fit together")
  if (known.lengthBytes === undefined && lastBytes !== undefined && mayGoOn(lastBytes, blockBytes)) {
    return incomplete("its length is unknown, and nothing shows its end")
  }
  const { policy, generation } = first ?? { policy: { kind: "replica", copies: 1 }, generation: 0 }
  const { uploadId, part } = upload
  const shape = { lengthBytes: foundBytes, blockBytes: blockBytes ?? lastBytes ?? 1, policy, generation }
  return {
    kind: "whole",
    extent: { uploadId, part, ...shape, exceptions: exceptionsOf(blocks, shape) },
    shards: shards.filter(({ block, generation: of }) => blocks.get(block)?.generation === of),
  }
}

/** Returns true if another block may follow one of this length. Only the last is shorter than a block. */
const mayGoOn = (lengthBytes: number, blockBytes: number | undefined): boolean =>
  blockBytes === undefined
    ? lengthBytes >= BLOCK_BYTES_MIN && lengthBytes % SUB_BLOCK_BYTES === 0
    : lengthBytes === blockBytes

const incomplete = (reason: string): BodyMatch<never> => ({ kind: "incomplete", reason })

/** For each block, the generation with the most spare shards; the newer of equals. */
function readableBlocks(shards: readonly FoundShard[]): ReadonlyMap<number, Block> {
  const groups = new Map<string, { readonly shard: FoundShard; readonly slots: Set<number> }>()
  for (const shard of shards) {
    const name = `${shard.block} ${shard.generation}`
    const group = groups.get(name) ?? { shard, slots: new Set() }
    group.slots.add(shard.slot)
    groups.set(name, group)
  }
  const blocks = new Map<number, Block>()
  for (const { shard, slots } of groups.values()) {
    const { block, policy, generation, blockLengthBytes: lengthBytes } = shard
    const spare = slots.size - shardsNeeded(policy)
    const best = blocks.get(block)
    const isBetter = !best || spare > best.spare || (spare === best.spare && generation > best.generation)
    if (spare >= 0 && isBetter) blocks.set(block, { policy, generation, lengthBytes, spare })
  }
  return blocks
}

/** Runs of blocks that are stored differently from the first. */
function exceptionsOf(
  blocks: ReadonlyMap<number, Block>,
  first: Pick<Block, "policy" | "generation">,
): readonly ExtentException[] {
  const runs: ExtentException[] = []
  const isLike = (a: Pick<Block, "policy" | "generation">, b: Pick<Block, "policy" | "generation">): boolean =>
    a.generation === b.generation && textOfPolicy(a.policy) === textOfPolicy(b.policy)
  for (let number = 0; number < blocks.size; number += 1) {
    const block = blocks.get(number)
    const before = runs.at(-1)
    if (!block || isLike(block, first)) continue
    const { policy, generation } = block
    if (before && before.lastBlock === number - 1 && isLike(before, block)) {
      runs[runs.length - 1] = { ...before, lastBlock: number }
    } else {
      runs.push({ firstBlock: number, lastBlock: number, policy, generation, missingSlots: [], placedSlots: [] })
    }
  }
  return runs
}
