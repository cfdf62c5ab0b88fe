/**
 * Repair ledger: which partitions need a visit, how urgently, and how many bytes it has to write. In memory.
 *
 * Partitions with the fewest spare shards come first; among equals, those with missing shards come before those whose
 * shards are only elsewhere.
 */
import { PARTITIONS } from "@hayloft/base/limits.js"
import type { RepairWork } from "./repair-contract.js"

export type PartitionNeed = "mend" | "move"

const NOTHING = 255
/** From this many spare shards on, partitions are equally urgent; also used if the number is unknown. */
const SPARE_SHARDS_MAX = 30
export const SPARE_SHARDS_UNKNOWN = SPARE_SHARDS_MAX

const urgencyOf = (need: PartitionNeed, spareShards: number): number =>
  2 * Math.min(Math.max(spareShards + 1, 0), SPARE_SHARDS_MAX) + (need === "mend" ? 0 : 1)
const isMend = (urgency: number): boolean => urgency % 2 === 0

interface Sums {
  doneBytes: number
  remainingBytes: number
  partitionsDone: number
  partitionsRemaining: number
}

export class RepairLedger {
  private readonly urgency = new Uint8Array(PARTITIONS).fill(NOTHING)
  private readonly bytes = new Float64Array(PARTITIONS)
  /** Earliest time of the next visit. */
  private readonly notBeforeMs = new Float64Array(PARTITIONS)
  readonly mending: Sums = { doneBytes: 0, remainingBytes: 0, partitionsDone: 0, partitionsRemaining: 0 }
  readonly moving: Sums = { doneBytes: 0, remainingBytes: 0, partitionsDone: 0, partitionsRemaining: 0 }

  get isEmpty(): boolean {
    return this.mending.partitionsRemaining + this.moving.partitionsRemaining === 0
  }

  private sumsOf(urgency: number): Sums {
    return isMend(urgency) ? this.mending : this.moving
  }

  needs(partition: number): boolean {
    return this.urgency[partition] !== NOTHING
  }

  /** Returns true if all shards of the partition exist, and only have to be moved. */
  isMove(partition: number): boolean {
    return this.needs(partition) && !isMend(this.urgency[partition] ?? NOTHING)
  }

  /** Replaces a partition's need by the result of a scan; `undefined`: it needs nothing. */
  set(
    partition: number,
    need: { readonly kind: PartitionNeed; readonly spareShards: number; readonly bytes: number } | undefined,
  ): void {
    const before = this.urgency[partition] ?? NOTHING
    if (before !== NOTHING) {
      const sums = this.sumsOf(before)
      sums.partitionsRemaining -= 1
      sums.remainingBytes = Math.max(0, sums.remainingBytes - (this.bytes[partition] ?? 0))
    }
    const urgency = need ? urgencyOf(need.kind, need.spareShards) : NOTHING
    this.urgency[partition] = urgency
    this.bytes[partition] = need?.bytes ?? 0
    if (!need) return
    const sums = this.sumsOf(urgency)
    sums.partitionsRemaining += 1
    sums.remainingBytes += need.bytes
  }

  /** Notes the bytes written by a visit; `set` sets the remaining need. */
  visited(partition: number, writtenBytes: number, isDone: boolean): void {
    const urgency = this.urgency[partition] ?? NOTHING
    if (urgency === NOTHING) return
    const sums = this.sumsOf(urgency)
    sums.doneBytes += writtenBytes
    if (isDone) sums.partitionsDone += 1
  }

  postpone(partition: number, untilMs: number): void {
    this.notBeforeMs[partition] = untilMs
  }

  /** Earliest time of the next visit; Infinity: the partition needs none. */
  dueMs(partition: number): number {
    return this.needs(partition) ? (this.notBeforeMs[partition] ?? 0) : Infinity
  }

  bytesOf(partition: number): number {
    return this.bytes[partition] ?? 0
  }

  /** The most urgent partitions that may be visited now, all of one urgency: about `bytesMax`, at most `max`. */
  next(max: number, bytesMax: number, nowMs: number): readonly number[] {
    const isDue = (partition: number): boolean => (this.notBeforeMs[partition] ?? 0) <= nowMs
    let most = NOTHING
    for (let partition = 0; partition < PARTITIONS; partition += 1) {
      const urgency = this.urgency[partition] ?? NOTHING
      if (urgency < most && isDue(partition)) most = urgency
    }
    const chosen: number[] = []
    if (most === NOTHING) return chosen
    let bytes = 0
    for (let partition = 0; partition < PARTITIONS && chosen.length < max && bytes < bytesMax; partition += 1) {
      if (this.urgency[partition] !== most || !isDue(partition)) continue
      chosen.push(partition)
      bytes += this.bytesOf(partition)
    }
    return chosen
  }

  /** Clears all remaining needs; if nothing remained, also the sums of completed work, which then start over. */
  clear(): void {
    const isOver = this.isEmpty
    this.urgency.fill(NOTHING)
    this.bytes.fill(0)
    this.notBeforeMs.fill(0)
    for (const sums of [this.mending, this.moving]) {
      Object.assign(sums, { remainingBytes: 0, partitionsRemaining: 0 })
      if (isOver) Object.assign(sums, { doneBytes: 0, partitionsDone: 0 })
    }
  }
}

export const workOf = ({ doneBytes, remainingBytes, partitionsDone, partitionsRemaining }: RepairWork): RepairWork => {
  return { doneBytes, remainingBytes, partitionsDone, partitionsRemaining }
}
