/** Metrics of packing: what the job of this process has packed. */
import type { PackedCounts } from "@hayloft/engine/format/objects/packing-rows.js"
import type { Metrics, Series } from "@hayloft/base/seams/telemetry/contract.js"

export class PackingMetrics {
  private readonly packs: Series
  private readonly objects: Series
  private readonly bytes: Series

  constructor(metrics: Metrics) {
    this.packs = metrics.counter("hayloft_packing_packs_total", "Packs of cold small objects that were made").of({})
    this.objects = metrics.counter("hayloft_packing_objects_total", "Objects that were packed").of({})
    this.bytes = metrics.counter("hayloft_packing_bytes_total", "Bytes of objects that were packed").of({})
  }

  note({ packs, objects, bytes }: PackedCounts): void {
    this.packs.add(packs)
    this.objects.add(objects)
    this.bytes.add(bytes)
  }
}
