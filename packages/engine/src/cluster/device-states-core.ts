/**
 * Device states: how the control record changes when a device fails, returns, or becomes complete.
 * Pure; each function takes a record and returns the next one. The control-record manager sets the generation.
 */
import { fail } from "@hayloft/base/failures.js"
import { parseEpoch } from "@hayloft/base/ids.js"
import type { DeviceId } from "@hayloft/base/ids.js"
import type {
  ControlDevice,
  ControlDeviceState,
  ControlRecord,
  ControlTablet,
} from "../format/device/control-record.js"

export function deviceOf(record: ControlRecord, id: DeviceId): ControlDevice {
  const device = record.devices.find(each => each.id === id)
  if (device === undefined) throw fail("invalidArgument", { message: `no device ${id} belongs to this store` })
  return device
}

/** Throws `invalidArgument` for a device that is not in the record. */
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

/** Removes devices from all tablets; a changed tablet gets a new epoch. Throws `deviceFailed` if no replica remains. */
export function withoutReplicas(tablets: readonly ControlTablet[], ids: readonly DeviceId[]): readonly ControlTablet[] {
  return tablets.map(tablet => {
    const stays = ({ id }: { readonly id: DeviceId }): boolean => !ids.includes(id)
    const replicas = tablet.replicas.filter(stays)
    const learners = tablet.learners.filter(stays)
    if (replicas.length === tablet.replicas.length && learners.length === tablet.learners.length) return tablet
    if (replicas.length === 0) {
      throw fail("deviceFailed", { message: "no device that holds metadata would be left", tablet: tablet.id })
    }
    return { ...tablet, replicas, learners, epoch: parseEpoch(tablet.epoch + 1) }
  })
}

/** Marks devices that failed, hang or are missing: they are neither read nor written, and lose their replicas. */
export function markOffline(record: ControlRecord, ids: readonly DeviceId[], nowMs: number): ControlRecord {
  const marked = ids.reduce((next, id) => withState(next, id, "offline", nowMs), record)
  const tablets = withoutReplicas(record.tablets, ids)
  const isSame = marked === record && tablets.every((tablet, i) => tablet === record.tablets[i])
  return isSame ? record : { ...marked, tablets }
}

/**
 * Takes an offline device back into use; a scan has yet to find what it lacks. A device that was draining or
 * decommissioning continues to.
 */
export function markReturning(record: ControlRecord, id: DeviceId, nowMs: number): ControlRecord {
  const { state, wasDecommissioning } = deviceOf(record, id)
  if (state !== "offline") return record
  if (wasDecommissioning) return withState(record, id, "decommissioning", nowMs)
  return withState(record, id, record.layout.devices.includes(id) ? "rebuilding" : "draining", nowMs)
}

/**
 * A device that was closed for a while without being offline may lack recent writes and may still hold
 * removed data: all of its partitions must be scanned again.
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

/** Marks a device active after a scan of all partitions found nothing missing on it. */
export const markWhole = (record: ControlRecord, id: DeviceId, nowMs: number): ControlRecord =>
  deviceOf(record, id).state === "rebuilding" ? withState(record, id, "active", nowMs) : record

/** Ends the transition: all shards are where the layout places them. */
export const finishTransition = (record: ControlRecord): ControlRecord =>
  record.previousLayout === undefined ? record : { ...record, previousLayout: undefined }
