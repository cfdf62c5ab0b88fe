/**
 * Device states: what becomes of the control record when a device fails, comes back, or has all that it
 * should have. Pure; each takes a record and gives the next one, its generation left to the keeper.
 */
import { fail } from "../base/failures.js"
import { parseEpoch } from "../base/ids.js"
import type { DeviceId } from "../base/ids.js"
import type { ControlDevice, ControlDeviceState, ControlRecord, ControlTablet } from "../format/control-record.js"

export function deviceOf(record: ControlRecord, id: DeviceId): ControlDevice {
  const device = record.devices.find(each => each.id === id)
  if (device === undefined) throw fail("invalidArgument", { message: `no device ${id} belongs to this store` })
  return device
}

/** Not out: what is counted where the store asks whether enough of it is there. */
export const isIn = ({ state }: ControlDevice): boolean => state !== "offline"

/** Throws `invalidArgument` for a device that the record does not name. */
export function withState(
  record: ControlRecord,
  id: DeviceId,
  state: ControlDeviceState,
  nowMs: number,
): ControlRecord {
  const before = deviceOf(record, id)
  if (before.state === state) return record
  const { wasDecommissioning: _, ...rest } = before
  const isOfLeaver = state === "offline" && before.state === "decommissioning"
  const after: ControlDevice = { ...rest, state, stateSinceMs: nowMs, ...(isOfLeaver && { wasDecommissioning: true }) }
  return { ...record, devices: record.devices.map(device => (device.id === id ? after : device)) }
}

/** Tablets without these devices, under a new epoch where that changes one. Throws `deviceFailed` where nobody would be left. */
export function withoutReplicas(tablets: readonly ControlTablet[], ids: readonly DeviceId[]): readonly ControlTablet[] {
  return tablets.map(tablet => {
    const stays = ({ id }: { readonly id: DeviceId }): boolean => !ids.includes(id)
    const replicas = tablet.replicas.filter(stays)
    const learners = tablet.learners.filter(stays)
    if (replicas.length === tablet.replicas.length && learners.length === tablet.learners.length) return tablet
    if (replicas.length === 0) {
      throw fail("deviceFailed", { message: "no device would be left that holds names", tablet: tablet.id })
    }
    return { ...tablet, replicas, learners, epoch: parseEpoch(tablet.epoch + 1) }
  })
}

/** Devices that failed, hang or are missing: neither read nor written, and no members of anything. */
export function markOffline(record: ControlRecord, ids: readonly DeviceId[], nowMs: number): ControlRecord {
  const marked = ids.reduce((next, id) => withState(next, id, "offline", nowMs), record)
  const tablets = withoutReplicas(record.tablets, ids)
  const isSame = marked === record && tablets.every((tablet, i) => tablet === record.tablets[i])
  return isSame ? record : { ...marked, tablets }
}

/**
 * A device that was out takes part again; what it lacks is to be found. One that was being emptied still is, and
 * one that was leaving leaves.
 */
export function markReturning(record: ControlRecord, id: DeviceId, nowMs: number): ControlRecord {
  const { state, wasDecommissioning } = deviceOf(record, id)
  if (state !== "offline") return record
  if (wasDecommissioning) return withState(record, id, "decommissioning", nowMs)
  return withState(record, id, record.layout.devices.includes(id) ? "rebuilding" : "draining", nowMs)
}

/**
 * A device that was closed for a while and never out may lack what was written meanwhile, and holds what
 * was removed: everything on it is to be looked at anew.
 */
export function markReopened(record: ControlRecord, id: DeviceId, nowMs: number): ControlRecord {
  const before = deviceOf(record, id)
  if (before.state !== "active" && before.state !== "rebuilding") return record
  const after: ControlDevice = {
    ...before,
    state: "rebuilding",
    stateSinceMs: Math.max(nowMs, before.stateSinceMs + 1),
  }
  return { ...record, devices: record.devices.map(device => (device.id === id ? after : device)) }
}

/** A walk over all partitions found nothing missing on a device. */
export const markWhole = (record: ControlRecord, id: DeviceId, nowMs: number): ControlRecord =>
  deviceOf(record, id).state === "rebuilding" ? withState(record, id, "active", nowMs) : record

/** All shards lie where the layout wants them. */
export const finishTransition = (record: ControlRecord): ControlRecord =>
  record.previousLayout === undefined ? record : { ...record, previousLayout: undefined }
