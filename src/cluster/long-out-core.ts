/**
 * Devices that stay out: once one has been out for long, and enough others are left, its places are given
 * to them, so that what it held is rebuilt there without a word from anybody. Where every device is
 * needed for the redundancy, the store waits for a device to come back or to be replaced. Pure.
 */
import type { ControlDevice, ControlRecord } from "../format/control-record.js"
import { planNext } from "../placement/index.js"
import { controlLayoutOf, hasPlace, layoutOf, mayGain } from "./record-layout-core.js"

/** Long enough to restart a machine or to plug a cable, short against the time between two failures. */
export const LONG_OUT_MS = 15 * 60_000

/** The same record where no place is to be given away, or not yet. A clock that jumped costs a rebuild, no more. */
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
