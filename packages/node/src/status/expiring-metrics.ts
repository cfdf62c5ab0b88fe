/**
 * Metrics of volumes of needles that end, by device and class; of compaction, what it has copied and freed. A device
 * without such volumes has no rows of classes.
 */
import type { Labels, Metrics } from "@hayloft/base/seams/telemetry/contract.js"
import type { DeviceStack } from "../devices/device-stack.js"

type Compacted = Pick<DeviceStack, "place"> & { readonly tending: Pick<DeviceStack["tending"], "compaction"> }
type ClassCounts = DeviceStack["tending"]["compaction"]["expiringCounts"][number]
type Rows = readonly (readonly [Labels, number])[]

export function registerExpiring(metrics: Metrics, devices: () => readonly Compacted[]): void {
  const ofClasses = (read: (counts: ClassCounts) => number) => (): Rows =>
    devices().flatMap(({ place, tending }) =>
      tending.compaction.expiringCounts.map((counts): Rows[number] => [
        { device: String(place.id), ends: counts.name },
        read(counts),
      ]),
    )
  metrics.gauge(
    "hayloft_expiring_volumes",
    "Volumes of needles that end, by what was left of their lives when they were written",
    ofClasses(({ volumes }) => volumes),
  )
  metrics.total(
    "hayloft_expiring_freed_whole_bytes_total",
    "Bytes of such volumes that were removed without a copy since the start",
    ofClasses(({ freedWholeBytes }) => freedWholeBytes),
  )
  metrics.total(
    "hayloft_expiring_moved_bytes_total",
    "Bytes of needles that stayed and moved to the ordinary volumes since the start",
    ofClasses(({ movedBytes }) => movedBytes),
  )
  metrics.total("hayloft_compaction_copied_bytes_total", "Bytes that compaction has copied since the start", () =>
    devices().map(({ place, tending: { compaction } }): Rows[number] => {
      const all = [compaction.counts, ...compaction.expiringCounts]
      return [{ device: String(place.id) }, all.reduce((sum, { copiedBytes }) => sum + copiedBytes, 0)]
    }),
  )
}
