/** Metrics of quotas: a series for each, as the watch of this process has last seen it. */
import { sharedMetrics, type Metrics } from "@hayloft/base/seams/telemetry/contract.js"
import type { QuotaReport } from "./quota-report-core.js"

/** Series of quotas, those that are fullest first. */
const QUOTAS_MAX = 200

export function registerQuotas(to: Metrics, quotas: () => readonly QuotaReport[]): void {
  const metrics = sharedMetrics(to)
  const shown = () =>
    quotas()
      .toSorted((a, b) => (b.percent ?? 0) - (a.percent ?? 0))
      .slice(0, QUOTAS_MAX)
  const gauge = (name: string, help: string, valueOf: (quota: QuotaReport) => number | undefined) =>
    metrics.gauge(`hayloft_quota_${name}`, help, () =>
      shown().flatMap(quota => {
        const value = valueOf(quota)
        return value === undefined ? [] : [[{ [quota.holder]: quota.name }, value] as const]
      }),
    )
  gauge("used_bytes", "Bytes that a quota counts, parts of uploads included", ({ used }) => used?.bytes)
  gauge("used_objects", "Versions and delete markers that a quota counts", ({ used }) => used?.objects)
  gauge("limit_bytes", "Bytes beyond which a quota refuses", ({ limits }) => limits.hardBytes)
  gauge("limit_objects", "Objects beyond which a quota refuses", ({ limits }) => limits.hardObjects)
  gauge("above_warning", "1 while a quota is above its warning level", ({ isAboveWarning }) => (isAboveWarning ? 1 : 0))
}
