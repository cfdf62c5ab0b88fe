/**
 * Moved devices: a disk that is now in another machine or zone leads to a new layout only if this spreads shards better
 * over machines or zones. Pure.
 */
import type { Policy } from "@hayloft/base/policy.js"
import type { ControlRecord } from "../format/device/control-record.js"
import { isSpreadEvenly, mostTogether, type Layout, type LayoutDevice } from "../placement/index.js"
import { layoutDevices, layoutOf, widthFor, withNextLayout } from "./record-layout-core.js"

/** The name of a device's domain at a level. */
type Level = (device: LayoutDevice) => string

const LEVELS: readonly Level[] = [
  ({ domains }) => domains?.zone ?? "",
  ({ domains }) => `${domains?.zone ?? ""}/${domains?.machine ?? ""}`,
]

/**
 * The record with the next layout if the present one has more shards of some partition in one zone or machine than a
 * plan with the present homes; else, or during a transition, the same record. To be called after homes have changed:
 * unless all partitions are spread evenly, it plans a layout to find out.
 */
export function followHomes(record: ControlRecord, bucketPolicies: readonly Policy[]): ControlRecord {
  if (record.previousLayout !== undefined || record.devices.every(({ home }) => home === undefined)) return record
  const before = layoutOf(record.layout)
  const devices = layoutDevices(record.devices)
  if (isSpreadEvenly(before, devices.map(withoutDisk))) return record
  const next = withNextLayout(record, widthFor(record, bucketPolicies))
  return LEVELS.some(level => isLessTogether(layoutOf(next.layout), before, devices, level)) ? next : record
}

/** Two devices on one disk alone are no reason to move shards. */
const withoutDisk = (device: LayoutDevice): LayoutDevice => {
  const { disk: _, ...domains } = device.domains ?? {}
  return { ...device, domains }
}

/** Returns true if some partition has fewer shards in one domain than before. */
function isLessTogether(after: Layout, before: Layout, devices: readonly LayoutDevice[], level: Level): boolean {
  const domains = new Map(devices.map(device => [device.id, level(device)]))
  const [was, is] = [before, after].map(layout => mostTogether(layout, id => domains.get(id) ?? ""))
  return was !== undefined && is !== undefined && is.some((shards, partition) => shards < (was[partition] ?? 0))
}
