/**
 * Hot copies of this node: the job that drops cold ones, their figures, and which objects they are of.
 *
 * Names are looked up when somebody asks for them: an object's shards name it. If blocks are shared, or the object was
 * renamed or deleted, that is the object for which they were written first. A pack has up to 128 objects: no name is said.
 */
import { textOfObjectKey, type BucketName } from "../base/ids.js"
import { PACKED_PART } from "../base/limits.js"
import type { HotCopies, HotCopyFigures, LocalBlocks } from "../block/index.js"
import { mapBounded, type Job } from "../life/index.js"
import type { Services } from "../features/index.js"
import type { Metrics } from "../seams/telemetry/contract.js"

/** Objects of a report: for each the header of a shard is read. */
const SHOWN_MAX = 1_000
const HEADERS_CONCURRENT = 16

/** An object, or a part of one, with copies. */
interface HotObject {
  readonly uploadId: string
  readonly part: number
  /** The bucket is undefined if it, or all shards, are gone or out of reach, or if this is a pack. */
  readonly bucket: BucketName | undefined
  readonly key: string | undefined
  readonly copies: number
  readonly bytes: number
  readonly hits: number
  readonly readsPerMinute: number
}

export interface HotCopiesReport extends HotCopyFigures {
  readonly hottest: readonly HotObject[]
}

export class HotCopiesOfNode {
  private constructor(
    private readonly copies: HotCopies,
    private readonly blocks: Pick<LocalBlocks, "ownerOf">,
    private readonly buckets: Pick<Services["buckets"], "namesOf">,
  ) {}

  /** Returns undefined if no copies are kept. */
  static of(
    blocks: LocalBlocks,
    { buckets }: Pick<Services, "buckets">,
    metrics: Metrics,
  ): HotCopiesOfNode | undefined {
    const { hotCopies } = blocks
    if (hotCopies === undefined) return undefined
    registerMetrics(hotCopies, metrics)
    return new HotCopiesOfNode(hotCopies, blocks, buckets)
  }

  get job(): Job {
    const { copies } = this
    return {
      name: "hot-copies",
      progress: () => `${copies.figures.copies} copies, ${copies.figures.usedBytes} bytes`,
      step: async () => {
        copies.dropCold()
        return "idle"
      },
    }
  }

  /** With the hottest objects, at most `max`. */
  async report(max: number): Promise<HotCopiesReport> {
    const shown = this.copies.hottest(Math.min(max, SHOWN_MAX))
    const owners = await mapBounded(shown, HEADERS_CONCURRENT, ({ extent, block, part }) =>
      part === PACKED_PART ? Promise.resolve(undefined) : this.blocks.ownerOf(extent, block),
    )
    const names = await this.buckets.namesOf(owners.flatMap(owner => (owner ? [owner.bucketId] : [])))
    const bucketOf = names.values()
    const hottest = shown.map(({ extent: _, block: __, ...figures }, i) => {
      const owner = owners[i]
      const bucket = owner && bucketOf.next().value
      return { ...figures, bucket, key: owner && bucket && textOfObjectKey(owner.key) }
    })
    return { ...this.copies.figures, hottest }
  }
}

function registerMetrics(copies: HotCopies, metrics: Metrics): void {
  const of = (value: (figures: HotCopyFigures) => number) => () => [[{}, value(copies.figures)] as const]
  metrics.gauge(
    "hayloft_hot_copy_bytes",
    "Memory of copies of hot pieces of objects",
    of(({ usedBytes }) => usedBytes),
  )
  metrics.gauge(
    "hayloft_hot_copy_budget_bytes",
    "Memory that copies of hot pieces may use",
    of(({ budgetBytes }) => budgetBytes),
  )
  metrics.total("hayloft_hot_copy_reads_total", "Reads of pieces of objects, by what they were read from", () => [
    [{ from: "copies" }, copies.figures.hits],
    [{ from: "devices" }, copies.figures.misses],
  ])
  const bytes = "Bytes of objects that were read from copies"
  metrics.total(
    "hayloft_hot_copy_read_bytes_total",
    bytes,
    of(({ hitBytes }) => hitBytes),
  )
  metrics.total(
    "hayloft_hot_copies_made_total",
    "Copies of hot pieces that were made",
    of(({ made }) => made),
  )
  metrics.total("hayloft_hot_copies_dropped_total", "Copies of hot pieces that were dropped, and why", () => [
    [{ reason: "cold" }, copies.figures.cooled],
    [{ reason: "evicted" }, copies.figures.evicted],
    [{ reason: "failed" }, copies.figures.failed],
  ])
}
