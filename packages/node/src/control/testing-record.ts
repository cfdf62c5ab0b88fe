/** Records and devices for the tests of this module. */
import { parseDeviceId, parseStoreId, type DeviceId } from "@hayloft/base/ids.js"
import { MIB } from "@hayloft/base/limits.js"
import { parsePolicy } from "@hayloft/base/policy.js"
import type { ControlDevice, ControlRecord } from "@hayloft/engine/format/device/control-record.js"

export const STORE = parseStoreId("0123456789abcdef0123456789abcdef")

export const idOf = (n: number): DeviceId => parseDeviceId(n.toString(16).padStart(16, "0"))

export const deviceEntry = (n: number, state: ControlDevice["state"] = "active"): ControlDevice => ({
  id: idOf(n),
  weight: 1,
  pathHint: `/d${n}`,
  isMountPoint: true,
  state,
  stateSinceMs: 0,
  capacityBytes: 0,
  more: [],
})

export const recordOf = (generation: number, numbers: readonly number[]): ControlRecord => ({
  storeId: STORE,
  generation,
  devices: numbers.map(n => deviceEntry(n)),
  policy: parsePolicy("replica:2"),
  isPolicyAutomatic: false,
  policyVersion: 1,
  blockBytes: 4 * MIB,
  metaCopies: 2,
  tablets: [],
  layout: { version: 1, table: new Uint8Array(0), devices: [] },
  previousLayout: undefined,
  pausedWork: [],
  secrets: new Uint8Array(0),
  region: "",
  more: [],
})

/** The record with one device's state changed. */
export const withState = (record: ControlRecord, n: number, state: ControlDevice["state"]): ControlRecord => ({
  ...record,
  devices: record.devices.map(device => (device.id === idOf(n) ? { ...device, state } : device)),
})
