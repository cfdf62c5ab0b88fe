/** Devices in scenarios: one letter or a small number stands for a device id. */
import { parseDeviceId, type DeviceId } from "@hayloft/base/ids.js"
import type { ControlDeviceState } from "@hayloft/engine/format/device/control-record.js"
import { BadScenario } from "./call.js"

/** States as operators see them, and as the control record stores them. */
export const STATES: Readonly<Record<string, ControlDeviceState>> = {
  active: "active",
  rebuilding: "rebuilding",
  draining: "draining",
  decommissioning: "decommissioning",
  offline: "offline",
}

export const shownState = (state: ControlDeviceState): string =>
  Object.entries(STATES).find(([, each]) => each === state)?.[0] ?? state

/** `7` is device 7, `c` is the device whose number is the code of the letter. */
export function idOf(name: string): DeviceId {
  const number = /^\d{1,3}$/.test(name) ? Number(name) : /^[a-z]$/.test(name) ? name.charCodeAt(0) : undefined
  if (number === undefined) throw new BadScenario(`${name} is not a device: use a letter or a number`)
  return parseDeviceId(number.toString(16).padStart(16, "0"))
}

const FIRST_LETTER = "a".charCodeAt(0)

export function nameOf(id: DeviceId): string {
  const number = Number.parseInt(id, 16)
  return number >= FIRST_LETTER ? String.fromCharCode(number) : String(number)
}

export const namesOf = (ids: Iterable<DeviceId>): string => [...ids].map(nameOf).join(" ")
