/**
 * Integrity audit: checks every block that a row references, and counts those for which fewer shards exist than a read
 * needs. A job.
 *
 * Repair compares devices with each other; if all shards of a block are lost, only its row still shows that it existed.
 * So the audit walks over all rows: after a start, whenever devices are added or go, after damage was found, and
 * periodically. It checks lost blocks again until they are back, or their row is gone.
 *
 * Promises  A counted block was referenced by a row when it was checked, and not by a row that waits for the collector.
 *           Segments that have lost a block while every device was online get no more references.
 * Limits    INTEGRITY_AUDIT_LIMITS. Of lost rows beyond `rowsKept` only sums are kept, until the next walk.
 */
import { equalBytes } from "@hayloft/base/bytes.js"
import { isFailure } from "@hayloft/base/failures.js"
import { parseBucketId, textOfObjectKey, type BucketId, type RowKey, rowKeyAfter } from "@hayloft/base/ids.js"
import { shardsNeeded } from "@hayloft/base/policy.js"
import type { Soon } from "@hayloft/base/soon.js"
import { blockShape, type Blocks } from "@hayloft/engine/block/index.js"
import { blockCount, type Extent } from "@hayloft/engine/format/needles/extent.js"
import { partitionOf } from "@hayloft/engine/format/needles/partition.js"
import { decodeBucket } from "@hayloft/engine/format/records.js"
import { bucketRowKey, parseObjectRowKey, uploadOfPartRowKey } from "@hayloft/engine/format/row-key.js"
import type { Job, StepOutcome } from "@hayloft/base/life/index.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import { query, type Metadata, type MetadataRow } from "@hayloft/engine/metadata/index.js"
import { ALL_OBJECT_ROWS, closeReferences } from "@hayloft/objects/door/rows.js"
import {
  EXTENT_FAMILIES,
  extentRows,
  extentsOf,
  type ExtentFamily,
  namingsOf,
  type UploadName,
  isKept,
} from "@hayloft/objects/door/bytes.js"
import type { LostObject, LostObjects, MisplacedBlocks, RepairSource, IntegrityAuditReport } from "./repair-contract.js"

export const INTEGRITY_AUDIT_LIMITS = {
  /** One step checks this many shards; a row without blocks counts as one. Takes a few milliseconds. */
  checksPerStep: 1_000,
  /** Rows with lost blocks that are remembered for further checks. */
  rowsKept: 10_000,
  objectsReported: 20,
  /** Rows reported as having lost blocks that wait for their check; the next walk finds others. */
  suspectsWaiting: 1_000,
  walkEveryMs: 24 * 3_600_000,
  /** After damage, or if more rows are lost than kept, the next walk waits this long, or `restTimes` the last walk. */
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
  /** The bucket's name; "" if the bucket is gone. */
  readonly bucket: string
  /** These bytes get no more references. */
  readonly isClosed: boolean
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

export const rowAt = query("RowAt", (view, family: ExtentFamily, rowKey: RowKey) => view.get(family, rowKey))

export const rowsNaming = query("RowsNaming", (view, name: UploadName) =>
  Array.from(namingsOf(view, name), ({ family, rowKey, row }) => ({ family, rowKey, row })),
)

/** The bucket name of a row that references the upload; undefined if there is none, or it waits for the collector. */
export const bucketOfKept = query("BucketOfKept", (view, family: ExtentFamily, rowKey: RowKey, name: UploadName) => {
  for (const naming of namingsOf(view, { ...name, foundIn: { family, rowKey } })) {
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
  /** It is undefined if no walk has ended since devices changed. */
  private endedMs: number | undefined
  private beganMs = 0
  /** The number of damaged shards when the walk started. */
  private suspicions = 0
  private rowsWalked = 0
  /** The row being checked, with its value at the start. */
  private open: RowCheck | undefined
  private readonly losses = new Map<string, Loss>()
  private kept = NONE
  /** Sums of the lost rows beyond `rowsKept`, of the previous walk and of this one. */
  private beyond = NONE
  private beyondNow = NONE
  /** Rows to check again. */
  private again: string[] = []
  /** Rows to check first. */
  private readonly suspects = new Map<string, Pick<Loss, "family" | "rowKey">>()
  private version = 0
  /** The objects of the losses at a version. */
  private named: { readonly version: number; readonly objects: LostObjects } | undefined

  constructor(
    private readonly clock: Clock,
    private readonly metadata: Metadata,
    private readonly blocks: Blocks,
    private readonly source: Pick<RepairSource, "states">,
    private readonly limits: Readonly<Record<keyof typeof INTEGRITY_AUDIT_LIMITS, number>> = INTEGRITY_AUDIT_LIMITS,
  ) {}

  progress(): string {
    const { blocks } = this.report()
    const lost = `${blocks} blocks cannot be read`
    return this.walk ? `${this.rowsWalked} rows checked, ${lost}` : lost
  }

  report(): IntegrityAuditReport {
    const { walk, endedMs, beyond, beyondNow, kept, version, suspects } = this
    const { blocks, bytes } = plus(kept, beyond.blocks > beyondNow.blocks ? beyond : beyondNow)
    const [first] = this.losses.values()
    const misplacedBlocks = first && blocks > 0 ? [{ ...first.first, devices: [], bytes }] : []
    const isComplete = walk === undefined && endedMs !== undefined && suspects.size === 0
    const isCounted = isComplete && this.suspicions === this.blocks.suspicions
    return { version, isCounted, blocks, bytes, misplacedBlocks, isComplete }
  }

  /** Called if too few shards of a block remain: its row is checked immediately, or soon if it is long. */
  async suspect(name: UploadName): Promise<void> {
    for (const { family, rowKey, row } of await this.metadata.ask(rowsNaming(name))) {
      const check = new RowCheck(family, rowKey, row)
      // Lost rows are checked repeatedly anyway.
      if (this.losses.has(check.name) || this.suspects.has(check.name)) continue
      await check.checkBlocks(this.blocks, this.limits.checksPerStep)
      if (check.isDone) await this.note(check)
      else if (this.suspects.size < this.limits.suspectsWaiting) this.suspects.set(check.name, { family, rowKey })
    }
  }

  /** The objects that cannot be read, as far as they are remembered. */
  objects(): LostObjects {
    const { version } = this
    if (this.named?.version !== version) this.named = { version, objects: this.nameObjects() }
    return this.named.objects
  }

  private nameObjects(): LostObjects {
    const found = new Map<string, LostObject>()
    for (const { family, rowKey, bucket } of this.losses.values()) {
      const { bucketId, key } = parseObjectRowKey(rowKey)
      const what = family === "versions" || family === "deleted" ? "version" : family === "parts" ? "part" : "object"
      found.set(`${bucketId} ${what} ${key}`, { bucket, key: textOfObjectKey(key), what })
    }
    return { first: [...found.values()].slice(0, this.limits.objectsReported), count: found.size }
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
    await this.checkRows()
    if (isWalking || this.open || this.suspects.size > 0) return "busy"
    return this.losses.size > 0 ? "throttled" : "idle"
  }

  /** Identifies all changes by which blocks may have been lost or come back. */
  private reasonNow(): string {
    const devices = [...this.source.states()].map(([id, { state, stateSinceMs }]) => `${id} ${state} ${stateSinceMs}`)
    return devices.sort().join()
  }

  private isDue(): boolean {
    const { beganMs, endedMs = beganMs } = this
    const { walkEveryMs, restMs, restTimes } = this.limits
    const nowMs = this.clock.monotonicMs()
    if (nowMs - beganMs >= walkEveryMs) return true
    const isDoubtful = this.suspicions !== this.blocks.suspicions || this.beyond.blocks > 0
    return isDoubtful && nowMs - endedMs >= Math.max(restMs, restTimes * (endedMs - beganMs))
  }

  private begin(): void {
    this.walk = { family: 0, from: ALL_OBJECT_ROWS.start }
    this.beganMs = this.clock.monotonicMs()
    this.suspicions = this.blocks.suspicions
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

  /** Checks the next rows. */
  private async checkRows(): Promise<void> {
    let checks = this.limits.checksPerStep
    for await (const row of this.rows()) {
      this.open = row
      checks -= await row.checkBlocks(this.blocks, checks)
      if (!row.isDone) return
      this.open = undefined
      await this.note(row)
      if (checks <= 0) return
    }
  }

  /** The rows to check: first the current state of the open row, then suspects and lost rows, then all others. */
  private async *rows(): AsyncGenerator<RowCheck> {
    const { open } = this
    if (open) yield open.asOf(await this.metadata.ask(rowAt(open.family, open.rowKey)))
    for (const [name, { family, rowKey }] of this.suspects) {
      this.suspects.delete(name)
      yield new RowCheck(family, rowKey, await this.metadata.ask(rowAt(family, rowKey)))
    }
    for (let name = this.again.pop(); name !== undefined; name = this.again.pop()) {
      const loss = this.losses.get(name)
      if (loss) yield new RowCheck(loss.family, loss.rowKey, await this.metadata.ask(rowAt(loss.family, loss.rowKey)))
    }
    while (this.walk) {
      const { family: at, from } = this.walk
      const family = EXTENT_FAMILIES[at]
      if (family === undefined) return this.endWalk()
      const { rows, next } = await this.metadata.ask(extentRows(family, from, this.limits.checksPerStep))
      for (const { rowKey, row } of rows) {
        this.walk = { family: at, from: rowKeyAfter(rowKey) }
        this.rowsWalked += 1
        yield new RowCheck(family, rowKey, row)
      }
      this.walk = next === undefined ? { family: at + 1, from: ALL_OBJECT_ROWS.start } : { family: at, from: next }
    }
  }

  /** Records the result of checking all blocks of a row. */
  private async note(row: RowCheck): Promise<void> {
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

  /** Returns undefined for rows that wait for the collector: their blocks are deleted first, so nothing is lost. */
  private async lossOf({ family, rowKey }: RowCheck, { blocks, bytes, first, extent }: FoundLoss) {
    const { bucketId, key } = parseObjectRowKey(rowKey)
    const name = { bucketId: parseBucketId(bucketId), key, uploadId: extent.uploadId }
    const bucket = await this.metadata.ask(bucketOfKept(family, rowKey, name))
    if (bucket === undefined) return undefined
    const before = this.losses.get(`${family} ${rowKey}`)
    const isClosed = before?.isClosed === true || (family === "segments" && (await this.close(name.bucketId, rowKey)))
    return { family, rowKey, blocks, bytes, first, bucket, isClosed }
  }

  /** Returns false if it must be tried again: a device that is offline may bring the bytes back. */
  private async close(bucketId: BucketId, rowKey: RowKey): Promise<boolean> {
    if ([...this.source.states().values()].some(({ state }) => state === "offline")) return false
    try {
      await this.metadata.run(closeReferences(bucketId, uploadOfPartRowKey(rowKey)))
      return true
    } catch (error) {
      if (!isFailure(error)) throw error
      return false
    }
  }
}

type FoundLoss = Pick<Loss, "blocks" | "bytes" | "first"> & { readonly extent: Extent }

/** One row while its blocks are checked. */
class RowCheck {
  readonly name: string
  loss: FoundLoss | undefined
  isDone = false
  private readonly remaining: Iterator<readonly [Extent, number]>

  /** `row`: undefined if the row is gone. */
  constructor(
    readonly family: ExtentFamily,
    readonly rowKey: RowKey,
    private readonly row: MetadataRow | undefined,
  ) {
    this.name = `${family} ${rowKey}`
    this.remaining = blocksOf(row ? extentsOf(family, row) : [])
  }

  /** Continues if the row is unchanged, and starts over otherwise. */
  asOf(row: MetadataRow | undefined): RowCheck {
    const isSame = row !== undefined && this.row !== undefined && equalBytes(row.value, this.row.value)
    return isSame ? this : new RowCheck(this.family, this.rowKey, row)
  }

  /** Checks blocks until about `checksMax` shards were checked; returns their number. */
  checkBlocks(blocks: Blocks, checksMax: number, checked = 1): Soon<number> {
    let checks = checked
    while (checks < checksMax) {
      const next = this.remaining.next()
      if (next.done === true) {
        this.isDone = true
        break
      }
      const [extent, block] = next.value
      checks += shardsNeeded(blockShape(extent, block).policy)
      const there = blocks.shardsThere(extent, block)
      if (there instanceof Promise) {
        return there.then(count => {
          this.note(extent, block, count)
          return this.checkBlocks(blocks, checksMax, checks)
        })
      }
      this.note(extent, block, there)
    }
    return checks
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
