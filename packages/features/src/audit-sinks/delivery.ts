/**
 * Delivers the records of the audit log to one sink, in order.
 *
 * Promises  At least once: a row says up to which record the sink has them, and moves after a batch has arrived; a process
 *           that ends in between sends the batch again. A record is sent when its change has ended, or
 *           `AUDIT_SETTLED_MS` after it began, and then once more when it has ended. No change waits for a sink.
 * Limits    `DELIVERY_LIMITS`. The queue is the log itself, and has its limits: what the log removes before a sink has it
 *           is counted and warned of, as are records that wait for `lateMs`.
 */
import { AUDIT_SETTLED_MS, type QueuedAudit } from "@hayloft/access/index.js"
import type { Job, StepOutcome } from "@hayloft/base/life/index.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { Counter, Telemetry } from "@hayloft/base/seams/telemetry/contract.js"
import { plural } from "@hayloft/base/text/quantity-text.js"
import { lineOf, type AuditSink, type AuditSource } from "./sink.js"

export const DELIVERY_LIMITS = {
  batchMax: 100,
  lateMs: 15 * 60_000,
  /** Between two warnings of one sink. */
  warnEveryMs: 60 * 60_000,
} as const

/** The clocks of nodes may differ by so much. */
const FUTURE_MS = 60 * 60_000

/** The records to send now, in order: the first one that is still under way holds up those after it. */
function readyOf(queued: readonly QueuedAudit[], nowMs: number, gatherMs: number): readonly QueuedAudit[] {
  // A record from the future is one of a wall clock that was ahead: it is as old as any.
  const isOld = (atMs: number, ageMs: number): boolean => nowMs - atMs >= ageMs || atMs - nowMs >= FUTURE_MS
  const underWay = queued.findIndex(({ entry, atMs }) => entry?.ended === undefined && !isOld(atMs, AUDIT_SETTLED_MS))
  const ready = underWay === -1 ? queued : queued.slice(0, underWay)
  const isFull = ready.length >= DELIVERY_LIMITS.batchMax
  return isFull || ready.some(({ atMs }) => isOld(atMs, gatherMs)) ? ready : []
}

export class AuditDelivery implements Job {
  readonly name: string
  private waiting = 0
  private warnedMs = -Infinity
  private readonly count: Readonly<Record<"delivered" | "dropped", Counter>>

  constructor(
    private readonly source: AuditSource,
    private readonly sink: AuditSink,
    private readonly clock: Pick<Clock, "wallMs">,
    private readonly telemetry: Telemetry,
  ) {
    this.name = `audit-${sink.name}`
    const { metrics } = telemetry
    this.count = {
      delivered: metrics.counter("hayloft_audit_delivered_total", "Records of the audit log that a sink has received"),
      dropped: metrics.counter(
        "hayloft_audit_dropped_total",
        "Records that the audit log has removed before a sink had them",
      ),
    }
  }

  async step(signal: AbortSignal): Promise<StepOutcome> {
    const { sink } = this
    const { queued, delivered, latest } = await this.source.undelivered(sink.name, DELIVERY_LIMITS.batchMax)
    this.waiting = latest - delivered
    const [first] = queued
    if (first === undefined) return "idle"
    this.warnOfLate(first.atMs)
    const ready = readyOf(queued, this.clock.wallMs(), sink.gatherMs)
    const last = ready.at(-1)
    if (last === undefined) return "throttled"
    const lines = ready.flatMap(({ number, entry }) => (entry === undefined ? [] : [lineOf(number, entry)]))
    const batch = { first: first.number, last: last.number, atMs: first.atMs }
    if (lines.length > 0) await sink.deliver(lines.join(""), batch, signal)
    await this.source.delivered(sink.name, last.number)
    this.noteDelivered(lines.length, last.number - delivered - lines.length)
    this.waiting = latest - last.number
    return "busy"
  }

  progress(): string {
    return this.waiting === 0 ? "nothing to deliver" : `${plural(this.waiting, "record")} to deliver`
  }

  private noteDelivered(records: number, dropped: number): void {
    const sink = this.sink.name
    this.count.delivered.add({ sink }, records)
    if (dropped === 0) return
    this.count.dropped.add({ sink }, dropped)
    this.telemetry.log.warn("audit_records_dropped", { sink, records: dropped })
  }

  private warnOfLate(atMs: number): void {
    const nowMs = this.clock.wallMs()
    const { lateMs, warnEveryMs } = DELIVERY_LIMITS
    if (nowMs - atMs < lateMs || nowMs - this.warnedMs < warnEveryMs) return
    this.warnedMs = nowMs
    this.telemetry.log.warn("audit_delivery_late", {
      sink: this.sink.name,
      records: this.waiting,
      oldestMs: nowMs - atMs,
    })
  }
}
