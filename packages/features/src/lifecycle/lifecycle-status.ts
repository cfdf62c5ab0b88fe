/** The lifecycle work of a process, as the status of a store and its metrics show it. */
import type { Metrics } from "@hayloft/base/seams/telemetry/contract.js"
import type { LifecycleReport } from "./lifecycle-job.js"

/** The lifecycle work of this process, as far as it was shared with others. */
export interface LifecycleStatus {
  /** Buckets with rules. */
  readonly buckets: number
  /** Buckets that today's pass is not through with, and the multipart uploads. */
  readonly unfinished: number
  /** By the store's clock; absent before the first pass has ended. */
  readonly lastPassEndedMs?: number
  /** Multipart uploads are removed so long after they began, if no rule says otherwise; 0: never. */
  readonly abandonedUploadDays: number
  /** The length of a day of rules; 86,400 unless rules are tried out. */
  readonly daySeconds: number
  /** By this process since it started. */
  readonly removed: {
    readonly versions: number
    readonly bytes: number
    /** Objects that got a delete marker. */
    readonly hidden: number
    readonly markers: number
    readonly uploads: number
    /** Versions that got another storage class. */
    readonly moved: number
    readonly movedBytes: number
  }
}

export const lifecycleStatusOf = ({ removed, ...report }: LifecycleReport): LifecycleStatus => {
  const { buckets, unfinished, lastEndedMs, abandonedDays, dayMs } = report
  return {
    buckets,
    unfinished,
    abandonedUploadDays: abandonedDays,
    daySeconds: dayMs / 1000,
    removed,
    ...(lastEndedMs !== undefined && { lastPassEndedMs: lastEndedMs }),
  }
}

export function registerLifecycle(metrics: Metrics, report: () => LifecycleReport): void {
  const total = (name: string, help: string, read: (removed: LifecycleReport["removed"]) => number) =>
    metrics.total(`hayloft_lifecycle_${name}_total`, help, () => [[{}, read(report().removed)]])
  metrics.total("hayloft_lifecycle_removed_total", "What lifecycle rules have removed since the start, by kind", () => {
    const { versions, markers, hidden, uploads } = report().removed
    return Object.entries({ versions, markers, hidden, uploads }).map(([kind, count]) => [{ kind }, count] as const)
  })
  total("removed_bytes", "Bytes of versions that lifecycle rules have removed", ({ bytes }) => bytes)
  total("moved", "Versions that lifecycle rules have moved to another storage class", ({ moved }) => moved)
  total("moved_bytes", "Bytes of versions moved to another storage class", ({ movedBytes }) => movedBytes)
  metrics.gauge("hayloft_lifecycle_passes_unfinished", "Buckets that the pass of the day is not through with", () => [
    [{}, report().unfinished],
  ])
  metrics.gauge("hayloft_lifecycle_last_pass_timestamp_seconds", "When the last pass of lifecycle ended", () => {
    const { lastEndedMs } = report()
    return lastEndedMs === undefined ? [] : [[{}, lastEndedMs / 1000]]
  })
}
