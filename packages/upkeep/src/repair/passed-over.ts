/**
 * Passed over: uploads whose blocks visits of repair have left alone, because a process may still be writing or
 * re-encoding them. It says which process decides each of them, when its partition is visited again, and which of them
 * no device waits for.
 *
 * Promises  Each upload waits by itself: others in its partition do not delay it, and every process that decides one of
 *           them is asked. A device waits for the shards of an upload until a row references it, its process has given it
 *           up, or `youngMsMax` have passed, also if this process holds it; the partition is visited at that time.
 *           An upload that no device waits for is visited after its release, or after the end of its process.
 * Limits    REPAIR_LIMITS.
 */
import type { Incarnation, PartitionId, UploadId } from "@hayloft/base/ids.js"
import { VISIT_UPLOADS_MAX } from "@hayloft/engine/format/nodes/repair-calls.js"
import { incarnationOf } from "@hayloft/engine/format/needles/upload-id.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { Uploads } from "@hayloft/objects/door/bytes.js"
import { REPAIR_LIMITS } from "./repair-limits.js"

/** An upload that waits. All times are of the monotonic clock. */
interface Waiting {
  /** When a visit passed it over first. */
  readonly sinceMs: number
  /** When a visit or scan passed it over last. */
  readonly notedMs: number
  /** When a visit that its decider had to make passed it over last. */
  readonly askedMs: number | undefined
  /** This process held it at the latest visit, and has not visited it since. */
  readonly wasHeld: boolean
  /** The latest count of the partition has devices wait for it. */
  readonly isAwaited: boolean
}

const NONE: ReadonlyMap<UploadId, Waiting> = new Map()

export class PassedOver {
  /** Least recently visited first. */
  private readonly partitions = new Map<PartitionId, ReadonlyMap<UploadId, Waiting>>()
  /** Uploads that their processes have given up, the latest last. */
  private readonly abandoned = new Set<UploadId>()
  /** The beginning of an interval of visits that ask other processes, and how many partitions it has had. */
  private interval = { beganMs: -Infinity, partitions: 0 }

  constructor(
    private readonly clock: Clock,
    private readonly uploads: Pick<Uploads, "isHeld" | "mayBeYoung">,
    private readonly own: () => Incarnation,
  ) {}

  get isEmpty(): boolean {
    return this.partitions.size === 0
  }

  /** Partitions in which devices wait for the shards of an upload. */
  get awaited(): readonly PartitionId[] {
    const isAwaited = ([, uploads]: readonly [PartitionId, ReadonlyMap<UploadId, Waiting>]): boolean =>
      [...uploads.values()].some(waiting => waiting.isAwaited)
    return [...this.partitions].flatMap(entry => (isAwaited(entry) ? [entry[0]] : []))
  }

  clear(): void {
    this.partitions.clear()
    this.abandoned.clear()
  }

  /**
   * All uploads that the latest visit of the partition has passed over. `by`: the process that had to make the visit;
   * `notAwaited`: no device was counted as lacking because of these.
   */
  note(
    partition: PartitionId,
    uploads: ReadonlySet<UploadId>,
    by: Incarnation | undefined,
    notAwaited: ReadonlySet<UploadId>,
  ): void {
    const before = this.partitions.get(partition) ?? NONE
    this.partitions.delete(partition)
    if (uploads.size === 0) return
    const nowMs = this.clock.monotonicMs()
    const waiting = Array.from(uploads, (id): readonly [UploadId, Waiting] => {
      const was = before.get(id)
      const isAsked = by !== undefined && by === this.deciderOf(id, was)
      return [
        id,
        {
          sinceMs: was?.sinceMs ?? nowMs,
          notedMs: nowMs,
          askedMs: isAsked ? nowMs : was?.askedMs,
          wasHeld: this.uploads.isHeld(id) || (was?.wasHeld === true && by !== this.own()),
          isAwaited: !notAwaited.has(id),
        },
      ]
    })
    this.partitions.set(partition, new Map(waiting))
  }

  /** Uploads that this process holds, as a scan of the indexes found them. Visits know the others. */
  noteHeld(partition: PartitionId, uploads: ReadonlySet<UploadId>): void {
    if (uploads.size === 0) return
    const waiting = new Map(this.partitions.get(partition) ?? NONE)
    const nowMs = this.clock.monotonicMs()
    for (const id of uploads) {
      const was = waiting.get(id)
      waiting.set(id, {
        sinceMs: was?.sinceMs ?? nowMs,
        notedMs: nowMs,
        askedMs: was?.askedMs,
        wasHeld: true,
        isAwaited: !this.isNotAwaited(partition, id),
      })
    }
    this.partitions.set(partition, waiting)
  }

  /** Notes uploads that their processes do not hold, and that no row will reference: repair does not wait for them. */
  noteAbandoned(uploads: ReadonlySet<UploadId>): void {
    for (const id of uploads) this.abandoned.add(id)
    for (const id of this.abandoned) {
      if (this.abandoned.size <= REPAIR_LIMITS.abandonedKept) return
      this.abandoned.delete(id)
    }
  }

  /**
   * Returns true if the upload has waited in the partition for so long, or was given up, that no device waits for it.
   */
  isNotAwaited(partition: PartitionId, id: UploadId): boolean {
    return this.isOverdue(id, this.partitions.get(partition)?.get(id))
  }

  private isOverdue(id: UploadId, waiting: Waiting | undefined): boolean {
    if (this.abandoned.has(id)) return true
    return waiting !== undefined && waiting.sinceMs <= this.clock.monotonicMs() - REPAIR_LIMITS.youngMsMax
  }

  /** Uploads of the partition that no device waits for. */
  notAwaited(partition: PartitionId): ReadonlySet<UploadId> {
    const uploads = this.partitions.get(partition) ?? NONE
    const found = Array.from(uploads).flatMap(([id, waiting]) => (this.isOverdue(id, waiting) ? [id] : []))
    return new Set(found.slice(0, VISIT_UPLOADS_MAX))
  }

  /** The process that must make the next visit of the partition; undefined: no upload of it is due, any process can. */
  nextDecider(partition: PartitionId): Incarnation | undefined {
    const [first] = [...(this.partitions.get(partition) ?? NONE)]
      .map(([id, waiting]) => ({ by: this.deciderOf(id, waiting), dueMs: this.dueMs(id, waiting) }))
      .sort((a, b) => a.dueMs - b.dueMs)
    return first !== undefined && first.dueMs <= this.clock.monotonicMs() ? first.by : undefined
  }

  /**
   * Partitions with an upload that may be decided now, without those that `isListed` has already. Those that only other
   * processes can decide are limited in each interval.
   */
  takeDue(isListed: (partition: PartitionId) => boolean): readonly PartitionId[] {
    const nowMs = this.clock.monotonicMs()
    const { youngEveryMs, youngPartitionsMax } = REPAIR_LIMITS
    if (nowMs - this.interval.beganMs >= youngEveryMs) this.interval = { beganMs: nowMs, partitions: 0 }
    const due: PartitionId[] = []
    for (const [partition] of this.partitions) {
      if (isListed(partition)) continue
      if (this.visitDueMs(partition) > nowMs) continue
      if (this.nextDecider(partition) !== this.own()) {
        if (this.interval.partitions >= youngPartitionsMax) continue
        this.interval.partitions += 1
      }
      due.push(partition)
    }
    return due
  }

  /** When the partition is visited next for an upload that waits; Infinity: none waits but for a release or an end. */
  visitDueMs(partition: PartitionId): number {
    let dueMs = Infinity
    for (const [id, waiting] of this.partitions.get(partition) ?? NONE) dueMs = Math.min(dueMs, this.dueMs(id, waiting))
    return dueMs
  }

  /** When `takeDue` must be asked again at the latest; Infinity: nothing waits. */
  get checkDueMs(): number {
    const nowMs = this.clock.monotonicMs()
    // Releases and ends of processes are looked for.
    let dueMs = this.isEmpty ? Infinity : nowMs + REPAIR_LIMITS.youngEveryMs
    for (const [partition] of this.partitions) dueMs = Math.min(dueMs, this.visitDueMs(partition))
    const isFull = this.interval.partitions >= REPAIR_LIMITS.youngPartitionsMax
    return dueMs <= nowMs && isFull ? this.interval.beganMs + REPAIR_LIMITS.youngEveryMs : dueMs
  }

  /** The process that knows what becomes of the upload. */
  private deciderOf(id: UploadId, waiting: Waiting | undefined): Incarnation {
    const isHere = this.uploads.isHeld(id) || waiting?.wasHeld === true || !this.uploads.mayBeYoung(id)
    return isHere ? this.own() : incarnationOf(id)
  }

  /** When a visit can find out something new about the upload. */
  private dueMs(id: UploadId, { sinceMs, notedMs, askedMs, wasHeld, isAwaited }: Waiting): number {
    const { youngMsMax, youngEveryMs, retryMs } = REPAIR_LIMITS
    if (isAwaited && this.abandoned.has(id)) return notedMs + retryMs
    const boundMs = isAwaited ? Math.max(sinceMs + youngMsMax, notedMs + retryMs) : Infinity
    if (this.uploads.isHeld(id)) return boundMs
    if (wasHeld) return -Infinity
    // Nothing is left to be asked: its blocks are removed after the end of the process.
    if (this.uploads.mayBeYoung(id) && this.abandoned.has(id)) return Infinity
    if (askedMs === undefined && !this.uploads.mayBeYoung(id)) return -Infinity
    return Math.min(boundMs, (askedMs ?? sinceMs) + youngEveryMs)
  }
}
