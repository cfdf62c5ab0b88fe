/**
 * Devices that stay offline: after a while their places go to the remaining devices, if there are enough, so that
 * their shards are rebuilt without an operator. If the redundancy needs every device, the store waits until the
 * device returns or is replaced. Pure.
 */
import type { ControlDevice, ControlRecord } from "../format/control-record.js"
import { planNext } from "../placement/index.js"
import { controlLayoutOf, hasPlace, layoutOf, mayGain } from "./record-layout-core.js"

/** Long enough to restart a machine or to plug a cable, short against the time between two failures. */
export const LONG_OUT_MS = 15 * 60_000

/** Returns the same record if no place is due to be reassigned. A clock jump costs no more than a needless rebuild. */
export function placeWithoutLongOffline(record: ControlRecord, nowMs: number): ControlRecord {
  if (record.previousLayout !== undefined) return record
  const before = layoutOf(record.layout)
  const isGone = ({ state, stateSinceMs }: ControlDevice): boolean =>
    state === "offline" && nowMs - stateSinceMs >= LONG_OUT_MS
  const places = record.devices.filter(hasPlace)
  const staying = places.filter(device => !isGone(device))
  const isPlaced = places.some(device => isGone(device) && before.devices.includes(device.id))
  if (!isPlaced || staying.filter(mayGain).length < before.width) return record
  const devices = staying.map(device => ({ id: device.id, weight: device.weight, mayGain: mayGain(device) }))
  const after = planNext(before, devices, before.width, before.version + 1)
  return { ...record, layout: controlLayoutOf(after), previousLayout: record.layout }
}
