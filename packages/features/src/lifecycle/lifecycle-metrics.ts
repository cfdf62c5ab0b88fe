/** The metrics of lifecycle: passes over buckets, and what its rules have removed or moved. */
import { sharedMetrics, type Metrics } from "@hayloft/base/seams/telemetry/contract.js"
import type { LifecycleReport } from "./lifecycle-job.js"

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
  const passes = sharedMetrics(metrics)
  passes.gauge("hayloft_lifecycle_passes_unfinished", "Buckets that the pass of the day is not through with", () => [
    [{}, report().unfinished],
  ])
  passes.gauge("hayloft_lifecycle_last_pass_timestamp_seconds", "When the last pass of lifecycle ended", () => {
    const { lastEndedMs } = report()
    return lastEndedMs === undefined ? [] : [[{}, lastEndedMs / 1000]]
  })
}
