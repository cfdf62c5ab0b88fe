/**
 * Integrity audit: every block that a row names is called, and those are counted for which fewer shards answer
 * than a read needs. A job.
 *
 * Repair compares what devices have with each other; of a block of which none is left, only its row still
 * tells. So this walks over all rows: after a start, whenever devices come or go, after damage was found,
 * and now and then. What it found is called again until it is back, or its row is gone.
 *
 * Promises  What it counts was named by a row when it was called, and by none that waits for the collector.
 * Limits    ROLL_CALL_LIMITS. Of rows beyond those that it keeps only sums are known, until the next walk.
 */
import { equalBytes } from "../../base/bytes.js"
import { parseBucketId, rowKeyOf, textOfObjectKey, type RowKey } from "../../base/ids.js"
import { shardsNeeded } from "../../base/policy.js"
import type { Soon } from "../../base/soon.js"
import { blockShape, type Blocks } from "../../block/index.js"
import { blockCount, type Extent } from "../../format/extent.js"
import { partitionOf } from "../../format/partition.js"
import { decodeBucket } from "../../format/records.js"
import { bucketRowKey, parseObjectRowKey } from "../../format/row-key.js"
import type { Job, StepOutcome } from "../../life/index.js"
import type { Clock } from "../../seams/clock/contract.js"
import { query, type Metadata, type MetadataRow } from "../../metadata/index.js"
import { ALL_OBJECT_ROWS, EXTENT_FAMILIES, extentRows, extentsOf, type ExtentFamily } from "../queries/extent-rows.js"
import { namingsOf, type UploadName } from "../queries/named-extents-core.js"
import { isKept } from "../commands/reencode-commands-core.js"
import type { LostObject, MisplacedBlocks, RepairSource, IntegrityAuditReport } from "./repair-contract.js"

export const ROLL_CALL_LIMITS = {
  /** One step asks for so many shards, a row that names none counting as one: a few milliseconds. */
  callsPerStep: 1_000,
  /** Rows with lost blocks that are kept, to be called again. */
  rowsKept: 10_000,
  objectsTold: 20,
  /** Rows that somebody found to have lost blocks, waiting to be called; others are found by the next walk. */
  suspectsWaiting: 1_000,
  walkEveryMs: 24 * 3_600_000,
  /** Where damage was found, or more was lost than is kept, the next walk waits so long, and so many times as long as the latest took. */
  restMs: 60_000,
  restTimes: 10,
} as const

/** Blocks of one row that cannot be read. */
interface Loss {
  readonly family: ExtentFamily
  readonly rowKey: RowKey
  readonly blocks: number
  readonly bytes: number
  readonly first: Pick<MisplacedBlocks, "partition" | "needed">
  /** Its name; "" if it is gone. */
  readonly bucket: string
}

interface Sums {
  readonly blocks: number
  readonly bytes: number
}

const NONE: Sums = { blocks: 0, bytes: 0 }
const plus = (a: Sums, b: Sums, times = 1): Sums => {
  return { blocks: a.blocks + times * b.blocks, bytes: a.bytes + times * b.bytes }
}

/** A walk over all rows. */
interface Walk {
  readonly family: number
  readonly from: RowKey
}

const rowAt = query("RowAt", (view, family: ExtentFamily, rowKey: RowKey) => view.get(family, rowKey))

const rowsNaming = query("RowsNaming", (view, name: UploadName) =>
  Array.from(namingsOf(view, name), ({ family, rowKey, row }) => ({ family, rowKey, row })),
)

/** The name of the bucket of a row that names the upload; undefined if there is no such row, or it waits for the collector. */
const bucketOfKept = query("BucketOfKept", (view, family: ExtentFamily, rowKey: RowKey, name: UploadName) => {
  for (const naming of namingsOf(view, name)) {
    if (naming.family !== family || naming.rowKey !== rowKey) continue
    const bucket = view.get("buckets", bucketRowKey(name.bucketId))
    return isKept(view, name, naming) ? (bucket ? decodeBucket(bucket.value).name : "") : undefined
  }
  return undefined
})

export class IntegrityAudit implements Job {
  readonly name = "integrity-audit"
  private reason: string | undefined
  private walk: Walk | undefined
  /** Undefined: no walk has ended since devices changed. */
  private endedMs: number | undefined
  private beganMs = 0
  /** Shards that had been found bad when the walk began. */
  private distrusts = 0
  private rowsWalked = 0
  /** The row that is being called, by the values that it had. */
  private open: RowCall | undefined
  private readonly losses = new Map<string, Loss>()
  private kept = NONE
  /** Of rows beyond those kept, by the walk before and by this one. */
  private beyond = NONE
  private beyondNow = NONE
  /** To be called again. */
  private again: string[] = []
  /** To be called first. */
  private readonly suspects = new Map<string, Pick<Loss, "family" | "rowKey">>()
  private version = 0

  constructor(
    private readonly clock: Clock,
    private readonly metadata: Metadata,
    private readonly blocks: Blocks,
    private readonly source: Pick<RepairSource, "states">,
    private readonly limits: Readonly<Record<keyof typeof ROLL_CALL_LIMITS, number>> = ROLL_CALL_LIMITS,
  ) {}

  progress(): string {
    const { blocks } = this.report()
    const lost = `${blocks} blocks cannot be read`
    return this.walk ? `${this.rowsWalked} rows called, ${lost}` : lost
  }

  report(): IntegrityAuditReport {
    const { walk, endedMs, beyond, beyondNow, kept, version, suspects } = this
    const { blocks, bytes } = plus(kept, beyond.blocks > beyondNow.blocks ? beyond : beyondNow)
    const [first] = this.losses.values()
    const misplacedBlocks = first && blocks > 0 ? [{ ...first.first, devices: [], bytes }] : []
    const isComplete = walk === undefined && endedMs !== undefined && suspects.size === 0
    const isCounted = isComplete && this.distrusts === this.blocks.distrusts
    return { version, isCounted, blocks, bytes, misplacedBlocks, isComplete }
  }

  /** Somebody found that too few shards of a block are left: the row that names it is called now, or soon where it is long. */
  async suspect(name: UploadName): Promise<void> {
    for (const { family, rowKey, row } of await this.metadata.ask(rowsNaming(name))) {
      const called = new RowCall(family, rowKey, row)
      // What is lost already is called again and again.
      if (this.losses.has(called.name) || this.suspects.has(called.name)) continue
      await called.further(this.blocks, this.limits.callsPerStep)
      if (called.isDone) await this.note(called)
      else if (this.suspects.size < this.limits.suspectsWaiting) this.suspects.set(called.name, { family, rowKey })
    }
  }

  /** The first of the objects that cannot be read. */
  objects(): readonly LostObject[] {
    const told = new Map<string, LostObject>()
    for (const { family, rowKey, bucket } of this.losses.values()) {
      if (told.size === this.limits.objectsTold) break
      const { bucketId, key } = parseObjectRowKey(rowKey)
      const what = family === "versions" ? "version" : family === "parts" ? "part" : "object"
      told.set(`${bucketId} ${what} ${key}`, { bucket, key: textOfObjectKey(key), what })
    }
    return [...told.values()]
  }

  async step(): Promise<StepOutcome> {
    const reason = this.reasonNow()
    if (reason !== this.reason) {
      this.endedMs = undefined
      this.reason = reason
      this.begin()
    } else if (!this.walk && this.isDue()) this.begin()
    const isWalking = this.walk !== undefined
    if (!isWalking && this.again.length === 0) this.again = [...this.losses.keys()]
    await this.call()
    if (isWalking || this.open || this.suspects.size > 0) return "busy"
    return this.losses.size > 0 ? "throttled" : "idle"
  }

  /** Anything by which blocks may have come or gone. */
  private reasonNow(): string {
    const devices = [...this.source.states()].map(([id, { state, stateSinceMs }]) => `${id} ${state} ${stateSinceMs}`)
    return devices.sort().join()
  }

  private isDue(): boolean {
    const { beganMs, endedMs = beganMs } = this
    const { walkEveryMs, restMs, restTimes } = this.limits
    const nowMs = this.clock.monotonicMs()
    if (nowMs - beganMs >= walkEveryMs) return true
    const isDoubtful = this.distrusts !== this.blocks.distrusts || this.beyond.blocks > 0
    return isDoubtful && nowMs - endedMs >= Math.max(restMs, restTimes * (endedMs - beganMs))
  }

  private begin(): void {
    this.walk = { family: 0, from: ALL_OBJECT_ROWS.start }
    this.beganMs = this.clock.monotonicMs()
    this.distrusts = this.blocks.distrusts
    this.rowsWalked = 0
    this.beyondNow = NONE
    this.open = undefined
    this.again = [...this.losses.keys()]
  }

  private endWalk(): void {
    this.walk = undefined
    this.endedMs = this.clock.monotonicMs()
    if (this.beyond.blocks !== this.beyondNow.blocks) this.version += 1
    this.beyond = this.beyondNow
    this.beyondNow = NONE
  }

  /** Some rows further. */
  private async call(): Promise<void> {
    let calls = this.limits.callsPerStep
    for await (const row of this.rows()) {
      this.open = row
      calls -= await row.further(this.blocks, calls)
      if (!row.isDone) return
      this.open = undefined
      await this.note(row)
      if (calls <= 0) return
    }
  }

  /** What is to be called: the row that was begun, as it is now, then what was lost, then the others. */
  private async *rows(): AsyncGenerator<RowCall> {
    const { open } = this
    if (open) yield open.asOf(await this.metadata.ask(rowAt(open.family, open.rowKey)))
    for (const [name, { family, rowKey }] of this.suspects) {
      this.suspects.delete(name)
      yield new RowCall(family, rowKey, await this.metadata.ask(rowAt(family, rowKey)))
    }
    for (let name = this.again.pop(); name !== undefined; name = this.again.pop()) {
      const loss = this.losses.get(name)
      if (loss) yield new RowCall(loss.family, loss.rowKey, await this.metadata.ask(rowAt(loss.family, loss.rowKey)))
    }
    while (this.walk) {
      const { family: at, from } = this.walk
      const family = EXTENT_FAMILIES[at]
      if (family === undefined) return this.endWalk()
      const { rows, next } = await this.metadata.ask(extentRows(family, from, this.limits.callsPerStep))
      for (const { rowKey, row } of rows) {
        this.walk = { family: at, from: rowKeyOf(`${rowKey}\x00`) }
        this.rowsWalked += 1
        yield new RowCall(family, rowKey, row)
      }
      this.walk = next === undefined ? { family: at + 1, from: ALL_OBJECT_ROWS.start } : { family: at, from: next }
    }
  }

  /** What came of calling all blocks of a row. */
  private async note(row: RowCall): Promise<void> {
    if (!this.losses.has(row.name) && row.loss === undefined) return
    const loss = row.loss && (await this.lossOf(row, row.loss))
    const before = this.losses.get(row.name)
    if (before === undefined && loss === undefined) return
    if (before === undefined && loss !== undefined && this.losses.size >= this.limits.rowsKept) {
      this.beyondNow = plus(this.beyondNow, loss)
    } else {
      this.kept = plus(plus(this.kept, before ?? NONE, -1), loss ?? NONE)
      if (loss) this.losses.set(row.name, loss)
      else this.losses.delete(row.name)
    }
    if (before?.blocks !== loss?.blocks || before?.bytes !== loss?.bytes) this.version += 1
  }

  /** Of rows that wait for the collector the blocks go first: they have lost nothing. */
  private async lossOf({ family, rowKey }: RowCall, { blocks, bytes, first, extent }: FoundLoss) {
    const { bucketId, key } = parseObjectRowKey(rowKey)
    const name = { bucketId: parseBucketId(bucketId), key, uploadId: extent.uploadId }
    const bucket = await this.metadata.ask(bucketOfKept(family, rowKey, name))
    return bucket === undefined ? undefined : { family, rowKey, blocks, bytes, first, bucket }
  }
}

type FoundLoss = Pick<Loss, "blocks" | "bytes" | "first"> & { readonly extent: Extent }

/** One row while its blocks are called. */
class RowCall {
  readonly name: string
  loss: FoundLoss | undefined
  isDone = false
  private readonly left: Iterator<readonly [Extent, number]>

  /** `row`: undefined where it is gone. */
  constructor(
    readonly family: ExtentFamily,
    readonly rowKey: RowKey,
    private readonly row: MetadataRow | undefined,
  ) {
    this.name = `${family} ${rowKey}`
    this.left = blocksOf(row ? extentsOf(family, row) : [])
  }

  /** Goes on where the row is as it was, and begins anew where it is not. */
  asOf(row: MetadataRow | undefined): RowCall {
    const isSame = row !== undefined && this.row !== undefined && equalBytes(row.value, this.row.value)
    return isSame ? this : new RowCall(this.family, this.rowKey, row)
  }

  /** Calls blocks until `callsMax` shards or so were asked for; how many were. */
  further(blocks: Blocks, callsMax: number, called = 1): Soon<number> {
    let calls = called
    while (calls < callsMax) {
      const next = this.left.next()
      if (next.done === true) {
        this.isDone = true
        break
      }
      const [extent, block] = next.value
      calls += shardsNeeded(blockShape(extent, block).policy)
      const there = blocks.shardsThere(extent, block)
      if (there instanceof Promise) {
        return there.then(count => {
          this.note(extent, block, count)
          return this.further(blocks, callsMax, calls)
        })
      }
      this.note(extent, block, there)
    }
    return calls
  }

  private note(extent: Extent, block: number, shardsThere: number): void {
    const { policy, lengthBytes } = blockShape(extent, block)
    const needed = shardsNeeded(policy)
    if (shardsThere >= needed) return
    const { blocks, bytes, first, extent: firstExtent } = this.loss ?? { blocks: 0, bytes: 0 }
    const partition = partitionOf(extent.uploadId, extent.part, block)
    this.loss = {
      blocks: blocks + 1,
      bytes: bytes + lengthBytes,
      first: first ?? { partition, needed },
      extent: firstExtent ?? extent,
    }
  }
}

function* blocksOf(extents: readonly Extent[]): Generator<readonly [Extent, number]> {
  for (const extent of extents) {
    for (let block = 0; block < blockCount(extent); block += 1) yield [extent, block]
  }
}
