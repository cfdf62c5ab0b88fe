/**
 * Shard places: where the shards of one object are, and how many of all shards are where they should be. Reads indexes
 * and rows, never a block, and changes nothing.
 *
 * Promises  Blocks that lack shards count only if a row references them: bytes of deleted objects and of uploads in
 *           progress may lack some.
 * Limits    SHARD_PLACES_LIMITS.
 */
import type { DeviceId, ObjectKey, PartitionId, VersionId } from "@hayloft/base/ids.js"
import { parsePartitionId, rowKeyOf } from "@hayloft/base/ids.js"
import type { KeyRange } from "@hayloft/base/rows/key-range.js"
import { PARTITIONS } from "@hayloft/base/limits.js"
import { shardsNeeded, type Policy } from "@hayloft/base/policy.js"
import {
  blockShape,
  slotPlaces,
  type BlockGroup,
  type PlaceReason,
  type SlotPlaces,
} from "@hayloft/engine/block/index.js"
import { exceptionOf } from "@hayloft/engine/format/needles/extent.js"
import { needleKeyOf, needleKeysOfPartition, partitionOfKey } from "@hayloft/engine/format/needles/needle.js"
import { partitionOf } from "@hayloft/engine/format/needles/partition.js"
import { mapBounded } from "@hayloft/base/life/index.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"
import type { ObjectBackend } from "@hayloft/objects/door/bytes.js"
import type { Bucket } from "@hayloft/objects/contract.js"
import { OwnershipResolver } from "../garbage/ownership-resolver.js"
import type { RepairSource } from "./repair-contract.js"
import { blocksOfObject, type BlockOfObject } from "./object-blocks.js"

export type { SlotPlaces }

export const SHARD_PLACES_LIMITS = {
  /** The blocks of an object in one page. */
  blocksMax: 100,
  maxConcurrentBlocks: 8,
  /** Stretches of partitions of which a sample reads the beginning: some 2,000 shards each. */
  samplesMax: 1_024,
  /** Blocks that lack shards and are looked up in rows; further ones count as they are. */
  resolvedMax: 1_000,
} as const

interface LocatedBlock {
  readonly partition: PartitionId
  readonly block: BlockOfObject
  readonly policy: Policy
  readonly generation: number
  readonly needed: number
  readonly slots: readonly SlotPlaces[]
}

interface LocatedObject {
  readonly versionId: VersionId
  readonly sizeBytes: number
  readonly isInline: boolean
  readonly layoutVersion: number
  readonly blocks: readonly LocatedBlock[]
  readonly nextOffset: number | undefined
  /** Devices that did not answer: what they have is unknown. */
  readonly silent: readonly DeviceId[]
}

interface LocateRequest {
  readonly bucket: Bucket
  readonly key: ObjectKey
  readonly versionId: VersionId | undefined
  readonly offsetBytes: number
  readonly max: number
}

interface Dispersion {
  readonly layoutVersion: number
  /** These are all blocks. */
  readonly isComplete: boolean
  /** The part of all partitions that was read. */
  readonly share: number
  readonly blocks: number
  readonly shards: Readonly<Record<PlaceReason | "missing", number>>
  /** Element i: blocks of which i shards are not where the present layout puts them. */
  readonly notInPlace: readonly number[]
  /** Element i: blocks of which i shards are nowhere. */
  readonly missing: readonly number[]
  /** Blocks with fewer shards than a read needs. */
  readonly unreadable: number
  /** Blocks that lack shards and that no row references, or that are being written: they are not counted. */
  readonly unreferenced: number
  readonly silent: readonly DeviceId[]
}

export class ShardPlaces {
  private readonly resolver: OwnershipResolver
  private readonly random: Random

  constructor(
    private readonly backend: ObjectBackend,
    private readonly source: Pick<RepairSource, "layouts">,
    random: Random,
  ) {
    this.random = random.fork("shard places")
    this.resolver = new OwnershipResolver(backend)
  }

  /** Throws `noSuchKey`, `noSuchVersion`, `isDeleteMarker`. */
  async locate({ max, ...request }: LocateRequest): Promise<LocatedObject> {
    const { layouts } = this.source
    const { blocks, ...object } = await blocksOfObject(this.backend.metadata, {
      ...request,
      max: Math.min(max, SHARD_PLACES_LIMITS.blocksMax),
    })
    const silent = new Set<DeviceId>()
    const located = await mapBounded(blocks, SHARD_PLACES_LIMITS.maxConcurrentBlocks, async each => {
      const { extent, block } = each
      const { uploadId, part } = extent
      const partition = partitionOf(uploadId, part, block)
      const { policy, generation } = blockShape(extent, block)
      const first = needleKeyOf({ partition, uploadId, part, block, generation, slot: 0 })
      const seen = await this.backend.blocks.seenShards({ start: first, end: rowKeyOf(`${first.slice(0, -1)}\xff`) })
      for (const id of seen.silent) silent.add(id)
      const group = seen.groups[0] ?? { partition, shards: [], damaged: [] }
      const slots = slotPlaces(group, policy, layouts, exceptionOf(extent, block)?.placedSlots)
      return { partition, block: each, policy, generation, needed: shardsNeeded(policy), slots }
    })
    return { ...object, layoutVersion: layouts.current.version, blocks: located, silent: [...silent] }
  }

  /** Reads the beginning of this many stretches of all partitions: short ones to their ends, so a small store whole. */
  async dispersion(samples: number, signal: AbortSignal): Promise<Dispersion> {
    const count = new DispersionCount()
    const { layouts } = this.source
    const layoutVersion = layouts.current.version
    let resolved = 0
    for (const range of this.stretches(Math.min(samples, SHARD_PLACES_LIMITS.samplesMax))) {
      signal.throwIfAborted()
      const { groups, next, silent } = await this.backend.blocks.seenShards(range)
      count.addStretch(range, next, silent)
      for (const group of groups) {
        const policy = group.shape?.policy ?? (await this.policyOf(group))
        if (policy === undefined) continue
        const slots = slotPlaces(group, policy, layouts)
        const isDoubtful = slots.some(({ found }) => found === "missing")
        if (isDoubtful && resolved < SHARD_PLACES_LIMITS.resolvedMax) {
          resolved += 1
          if (!(await this.isReferenced(group))) {
            count.unreferenced += 1
            continue
          }
        }
        count.add(slots, shardsNeeded(policy))
      }
    }
    return { layoutVersion, ...count.report() }
  }

  /** From a random place on, so that repeated samples see other blocks. */
  private *stretches(samples: number): Generator<KeyRange> {
    const step = PARTITIONS / samples
    const offset = samples === 1 ? 0 : this.random.below(Math.floor(step))
    const begins = new Set([
      0,
      ...Array.from({ length: samples }, (_, at) => offset + Math.floor(at * step)),
      PARTITIONS,
    ])
    let first = 0
    for (const next of begins) {
      if (next > first) {
        const { start } = needleKeysOfPartition(parsePartitionId(first))
        const { end } = needleKeysOfPartition(parsePartitionId(next - 1))
        yield { start, end }
      }
      first = next
    }
  }

  /** Indexes of an earlier release lack it; a header has it. */
  private async policyOf(group: BlockGroup): Promise<Policy | undefined> {
    return (await this.backend.blocks.headersOf(group))[0]?.policy
  }

  private async isReferenced(group: BlockGroup): Promise<boolean> {
    if (this.backend.uploads.isHeld(group.uploadId)) return false
    return (await this.resolver.resolve(group)).kind === "live"
  }
}

class DispersionCount {
  unreferenced = 0
  private blocks = 0
  private unreadable = 0
  private isComplete = true
  private partitions = 0
  private readonly shards = { assigned: 0, former: 0, placed: 0, elsewhere: 0, missing: 0 }
  private readonly notInPlace: number[] = []
  private readonly missing: number[] = []
  private readonly silent = new Set<DeviceId>()

  addStretch({ start, end }: KeyRange, next: string | undefined, silent: readonly DeviceId[]): void {
    this.isComplete &&= next === undefined
    this.partitions += partitionOfKey(next ?? end) - partitionOfKey(start) + (next === undefined ? 1 : 0)
    for (const id of silent) this.silent.add(id)
  }

  add(slots: readonly SlotPlaces[], needed: number): void {
    this.blocks += 1
    for (const { found } of slots) this.shards[found] += 1
    const missing = slots.filter(({ found }) => found === "missing").length
    increase(this.notInPlace, slots.filter(({ found }) => found !== "assigned").length)
    increase(this.missing, missing)
    if (slots.length - missing < needed) this.unreadable += 1
  }

  report() {
    const { isComplete, blocks, shards, notInPlace, missing, unreadable, unreferenced, silent } = this
    const share = isComplete ? 1 : Math.min(1, this.partitions / PARTITIONS)
    return {
      isComplete,
      share,
      blocks,
      shards,
      notInPlace: whole(notInPlace),
      missing: whole(missing),
      unreadable,
      unreferenced,
      silent: [...silent],
    }
  }
}

function increase(counts: number[], at: number): void {
  counts[at] = (counts[at] ?? 0) + 1
}

/** Without holes. */
const whole = (counts: readonly number[]): readonly number[] => Array.from(counts, count => count ?? 0)
