/**
 * Devices that stay offline: their places go to the remaining devices, if there are enough, so that their shards are
 * rebuilt without an operator. If the redundancy needs every device, the store waits until the device returns or is
 * replaced. Pure.
 */
import type { DeviceId } from "@hayloft/base/ids.js"
import type { ControlDevice, ControlRecord } from "../format/device/control-record.js"
import { planNext, type Layout } from "../placement/index.js"
import { controlLayoutOf, hasPlace, layoutDevices, layoutOf, mayGain } from "./record-layout-core.js"

/** Long enough to restart a machine or to plug a cable, short against the time between two failures. */
export const LONG_OUT_MS = 15 * 60_000

/** Returns the same record if no place is due to be reassigned. A clock jump costs no more than a needless rebuild. */
export function placeWithoutLongOffline(record: ControlRecord, nowMs: number): ControlRecord {
  const gone = record.devices.filter(({ stateSinceMs }) => nowMs - stateSinceMs >= LONG_OUT_MS)
  return placeWithout(
    record,
    gone.map(({ id }) => id),
  )
}

const areEnough = (staying: readonly ControlDevice[], { width }: Pick<Layout, "width">): boolean =>
  staying.filter(mayGain).length >= width

/** Returns true if enough devices remain to take the places of these. */
export const canPlaceWithout = ({ devices, layout }: ControlRecord, ids: readonly DeviceId[]): boolean =>
  areEnough(
    devices.filter(({ id }) => !ids.includes(id)),
    layoutOf(layout),
  )

/**
 * Gives the places of those of the devices that are offline to others. Returns the same record during a transition, or
 * if too few devices would remain for the width of the layout.
 */
export function placeWithout(record: ControlRecord, ids: readonly DeviceId[]): ControlRecord {
  if (record.previousLayout !== undefined) return record
  const before = layoutOf(record.layout)
  const gone = new Set(ids)
  const [places, held] = [record.devices.filter(hasPlace), new Set(before.devices)]
  const leaving = places.filter(({ id, state }) => state === "offline" && gone.has(id))
  const staying = places.filter(device => !leaving.includes(device))
  const isPlaced = leaving.some(({ id }) => held.has(id))
  if (!isPlaced || !areEnough(staying, before)) return record
  const after = planNext(before, layoutDevices(staying), before.width, before.version + 1)
  return { ...record, layout: controlLayoutOf(after), previousLayout: record.layout }
}
