/** Metrics of the hot copies of a node. */
import type { HotCopies, HotCopyFigures } from "@hayloft/engine/block/index.js"
import type { Metrics } from "@hayloft/base/seams/telemetry/contract.js"

export function registerHotCopies(metrics: Metrics, copies: HotCopies): void {
  const of = (value: (figures: HotCopyFigures) => number) => () => [[{}, value(copies.figures)] as const]
  metrics.gauge(
    "hayloft_hot_copy_bytes",
    "Memory of copies of hot pieces of objects",
    of(({ usedBytes }) => usedBytes),
  )
  metrics.gauge(
    "hayloft_hot_copy_budget_bytes",
    "Memory that copies of hot pieces may use",
    of(({ budgetBytes }) => budgetBytes),
  )
  metrics.total("hayloft_hot_copy_reads_total", "Reads of pieces of objects, by what they were read from", () => [
    [{ from: "copies" }, copies.figures.hits],
    [{ from: "devices" }, copies.figures.misses],
  ])
  const bytes = "Bytes of objects that were read from copies"
  metrics.total(
    "hayloft_hot_copy_read_bytes_total",
    bytes,
    of(({ hitBytes }) => hitBytes),
  )
  metrics.total(
    "hayloft_hot_copies_made_total",
    "Copies of hot pieces that were made",
    of(({ made }) => made),
  )
  metrics.total("hayloft_hot_copies_dropped_total", "Copies of hot pieces that were dropped, and why", () => [
    [{ reason: "cold" }, copies.figures.cooled],
    [{ reason: "evicted" }, copies.figures.evicted],
    [{ reason: "failed" }, copies.figures.failed],
  ])
}
