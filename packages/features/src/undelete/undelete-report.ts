/** The report of what undelete keeps, in the status of a store and its metrics. */
import { sharedMetrics, type Metrics } from "@hayloft/base/seams/telemetry/contract.js"
import type { KeptReport } from "./kept-queries-core.js"

/** The objects of a bucket that undelete keeps. */
export interface UndeleteReport {
  readonly bucket: string
  /** The number of days is absent if nothing more is kept. */
  readonly days?: number
  /** The count is absent, like the bytes, if it is lost. */
  readonly objects?: number
  readonly bytes?: number
}

/** Series of buckets that keep what is deleted, those that keep most first. */
const KEPT_MAX = 200

export const undeleteReportOf = ({ bucket, days, kept }: KeptReport): UndeleteReport => ({
  bucket,
  ...(days !== undefined && { days }),
  ...kept,
})

export function registerUndelete(to: Metrics, reports: () => readonly UndeleteReport[]): void {
  const metrics = sharedMetrics(to)
  const shown = () =>
    reports()
      .toSorted((a, b) => (b.bytes ?? 0) - (a.bytes ?? 0))
      .slice(0, KEPT_MAX)
  const gauge = (name: string, help: string, valueOf: (kept: UndeleteReport) => number | undefined) =>
    metrics.gauge(`hayloft_undelete_${name}`, help, () =>
      shown().flatMap(kept => {
        const value = valueOf(kept)
        return value === undefined ? [] : [[{ bucket: kept.bucket }, value] as const]
      }),
    )
  gauge("kept_bytes", "Bytes of deleted and overwritten objects that undelete keeps", ({ bytes }) => bytes)
  gauge("kept_objects", "Deleted and overwritten objects that undelete keeps", ({ objects }) => objects)
}
