/** Metrics of deduplication: bytes written to buckets that have it, and those of them that were referenced instead. */
import type { SegmentSource } from "@hayloft/engine/format/records.js"
import type { Metrics, Series } from "@hayloft/base/seams/telemetry/contract.js"

export class DedupMetrics {
  private readonly written: Series
  private readonly referenced: Series

  constructor(metrics: Metrics) {
    const written = "Bytes of objects that were written to buckets with deduplication"
    const referenced = "Bytes of these objects that their buckets had already"
    this.written = metrics.counter("hayloft_dedup_written_bytes_total", written).of({})
    this.referenced = metrics.counter("hayloft_dedup_referenced_bytes_total", referenced).of({})
  }

  /** Counts an object of this size, part of whose bytes are those of the sources. */
  note(sizeBytes: number, sources: readonly Pick<SegmentSource, "lengthBytes">[]): void {
    this.written.add(sizeBytes)
    this.referenced.add(sources.reduce((sum, { lengthBytes }) => sum + lengthBytes, 0))
  }
}
