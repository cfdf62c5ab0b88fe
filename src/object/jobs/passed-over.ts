/**
 * Passed over: uploads whose blocks visits of repair have left alone, because a process may still be writing or
 * re-encoding them. It says when their partitions are visited again, by whom, and which of them no device waits for.
 *
 * Promises  A device waits for the shards of an upload that was passed over until a row references it, its process has
 *           given it up, or `youngMsMax` have passed.
 * Limits    REPAIR_LIMITS.
 */
import type { Incarnation, PartitionId, UploadId } from "../../base/ids.js"
import { VISIT_UPLOADS_MAX } from "../../format/repair-calls.js"
import { incarnationOf } from "../../format/upload-id.js"
import type { Clock } from "../../seams/clock/contract.js"
import type { Uploads } from "../uploads.js"
import { REPAIR_LIMITS } from "./repair-limits.js"

/** When each upload was first passed over (monotonic clock). */
type Since = ReadonlyMap<UploadId, number>

interface VisitAgain {
  readonly partition: PartitionId
  /** The process that must make the visit: it has assigned the uploads. */
  readonly by: Incarnation
}

export class PassedOver {
  /** Least recently visited first. */
  private readonly partitions = new Map<PartitionId, Since>()
  /** Uploads that their processes have given up, the latest last. */
  private readonly abandoned = new Set<UploadId>()
  private youngVisitMs = -Infinity

  constructor(
    private readonly clock: Clock,
    private readonly uploads: Uploads,
  ) {}

  get isEmpty(): boolean {
    return this.partitions.size === 0
  }

  clear(): void {
    this.partitions.clear()
    this.abandoned.clear()
  }

  of(partition: PartitionId): Iterable<UploadId> {
    return this.partitions.get(partition)?.keys() ?? []
  }

  /** All uploads that the latest visit of the partition has passed over. */
  note(partition: PartitionId, uploads: ReadonlySet<UploadId>): void {
    const before = this.partitions.get(partition)
    this.partitions.delete(partition)
    if (uploads.size === 0) return
    const nowMs = this.clock.monotonicMs()
    this.partitions.set(partition, new Map(Array.from(uploads, id => [id, before?.get(id) ?? nowMs])))
  }

  /** Their processes do not hold these, and no row will reference them. */
  noteAbandoned(uploads: ReadonlySet<UploadId>): void {
    for (const id of uploads) this.abandoned.add(id)
    for (const id of this.abandoned) {
      if (this.abandoned.size <= REPAIR_LIMITS.abandonedKept) return
      this.abandoned.delete(id)
    }
  }

  /** Uploads of the partition that no device waits for. */
  notAwaited(partition: PartitionId): ReadonlySet<UploadId> {
    const beforeMs = this.clock.monotonicMs() - REPAIR_LIMITS.youngMsMax
    const found = Array.from(this.partitions.get(partition) ?? []).flatMap(([id, sinceMs]) =>
      this.abandoned.has(id) || (sinceMs <= beforeMs && !this.uploads.isHeld(id)) ? [id] : [],
    )
    return new Set(found.slice(0, VISIT_UPLOADS_MAX))
  }

  /** Partitions whose uploads this process held, and has released since. They are not passed over any more. */
  takeReleased(own: Incarnation): readonly VisitAgain[] {
    const released = [...this.partitions].filter(
      ([, uploads]) => ![...uploads.keys()].some(id => this.uploads.isHeld(id) || this.uploads.mayBeYoung(id)),
    )
    for (const [partition] of released) this.partitions.delete(partition)
    return released.map(([partition]) => ({ partition, by: own }))
  }

  /** From time to time: partitions with blocks that other processes may have committed or given up since. */
  dueYoung(): readonly VisitAgain[] {
    const nowMs = this.clock.monotonicMs()
    if (nowMs - this.youngVisitMs < REPAIR_LIMITS.youngEveryMs) return []
    this.youngVisitMs = nowMs
    const due: VisitAgain[] = []
    for (const [partition, uploads] of this.partitions) {
      if (due.length >= REPAIR_LIMITS.youngPartitionsMax) break
      const young = [...uploads.keys()].find(id => this.uploads.mayBeYoung(id) && !this.abandoned.has(id))
      if (young !== undefined) due.push({ partition, by: incarnationOf(young) })
    }
    return due
  }
}
