/**
 * Usage history: notes once an hour how much each bucket holds. A job; with several nodes one of them does it. Metrics and
 * the history share what is read of the buckets.
 *
 * Limits  The `BUCKETS_SAMPLED_MAX` largest buckets have a history.
 */
import { unlessFull } from "@hayloft/base/space/full-disk.js"
import type { BucketId } from "@hayloft/base/ids.js"
import type { UsageSample } from "@hayloft/engine/format/objects/usage-history.js"
import type { Job, StepOutcome } from "@hayloft/base/life/index.js"
import type { Metadata } from "@hayloft/engine/metadata/index.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import { plural } from "@hayloft/base/text/quantity-text.js"
import type { BucketSize } from "@hayloft/objects/contract.js"
import { sizesOfBuckets } from "@hayloft/objects/index.js"
import { HOUR_MS, noteUsage, readUsageHistory } from "./usage-history-core.js"

const BUCKETS_SAMPLED_MAX = 2_000
/** Rows of a command; each may have 10 KB. */
const NOTED_AT_ONCE = 20
/** The sizes that metrics have read are as good as those that the history would read. */
const FRESH_MS = 120_000

interface Known {
  readonly sizes: readonly BucketSize[]
  readonly atMs: number
}

/** Samples of an hour that are still to be noted. */
interface Round {
  readonly hour: number
  readonly atMs: number
  readonly left: BucketSize[]
}

export class UsageHistory implements Job {
  readonly name = "usage-history"
  private known: Known | undefined
  private round: Round | undefined
  /** The sizes that this process noted an hour ago: a bucket that has not changed needs no command. */
  private noted: ReadonlyMap<BucketId, BucketSize> = new Map()
  private nextNoted = new Map<BucketId, BucketSize>()

  /** `prepare` resolves once the devices refuse releases that do not know the rows. */
  constructor(
    private readonly clock: Pick<Clock, "wallMs" | "monotonicMs">,
    private readonly metadata: Pick<Metadata, "ask" | "run">,
    private readonly prepare: () => Promise<void>,
    /** The time by which samples are old: a wall clock that is ahead for a while drops none. Undefined: none is old. */
    private readonly dueTimeMs: () => number | undefined,
  ) {}

  progress(): string {
    const { left = [] } = this.round ?? {}
    return left.length === 0
      ? `${plural(this.nextNoted.size, "bucket")} noted`
      : `${plural(left.length, "bucket")} to note`
  }

  /** The largest buckets, and the others as one. */
  async readSizes(): Promise<readonly BucketSize[]> {
    const sizes = await this.metadata.ask(sizesOfBuckets(BUCKETS_SAMPLED_MAX))
    this.known = { sizes, atMs: this.clock.monotonicMs() }
    return sizes
  }

  /** The oldest sample first. */
  async of(bucketId: BucketId): Promise<readonly UsageSample[]> {
    return this.metadata.ask(readUsageHistory(bucketId))
  }

  /** Another process does the job from now on: what it notes is not known here. */
  async release(): Promise<void> {
    this.round = undefined
    this.nextNoted = new Map()
  }

  async step(): Promise<StepOutcome> {
    const atMs = this.clock.wallMs()
    const hour = Math.floor(atMs / HOUR_MS)
    if (this.round?.hour !== hour) this.round = await this.begin(hour, atMs)
    const { round } = this
    const { left } = round
    if (left.length === 0) return "idle"
    await unlessFull(
      () => this.note(round, left.slice(0, NOTED_AT_ONCE)),
      () => {
        // A full store has other worries: the changes are noted in the next hour.
        left.length = 0
        this.nextNoted = new Map()
      },
    )
    left.splice(0, NOTED_AT_ONCE)
    return left.length > 0 ? "busy" : "idle"
  }

  private async note({ atMs }: Round, sizes: readonly BucketSize[]): Promise<void> {
    await this.prepare()
    const samples = sizes.flatMap(({ id, objects, bytes }) =>
      id === undefined ? [] : [{ bucketId: id, atMs, objects, bytes }],
    )
    const dueMs = this.dueTimeMs() ?? 0
    for (const bucketId of await this.metadata.run(noteUsage(samples, dueMs))) this.nextNoted.delete(bucketId)
  }

  private async begin(hour: number, atMs: number): Promise<Round> {
    const { known } = this
    const isFresh = known !== undefined && this.clock.monotonicMs() - known.atMs < FRESH_MS
    const sizes = isFresh ? known.sizes : await this.readSizes()
    const isNextHour = this.round?.hour === hour - 1 && this.round.left.length === 0
    this.noted = isNextHour ? this.nextNoted : new Map()
    this.nextNoted = new Map(sizes.flatMap(size => (size.id === undefined ? [] : [[size.id, size] as const])))
    return { hour, atMs, left: [...this.nextNoted.values()].filter(size => this.hasChanged(size)) }
  }

  private hasChanged({ id, objects, bytes }: BucketSize): boolean {
    const before = id === undefined ? undefined : this.noted.get(id)
    return before?.objects !== objects || before.bytes !== bytes
  }
}
