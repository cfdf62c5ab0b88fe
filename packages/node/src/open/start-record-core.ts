/** Control record of a start: marks missing and returning devices, and applies replacements. Pure. */
import { asFailure, type Failure } from "@hayloft/base/failures.js"
import type { DeviceId } from "@hayloft/base/ids.js"
import { markOffline, markReturning, replaceDevice, type NewDevice } from "@hayloft/engine/cluster/index.js"
import { isVoting } from "@hayloft/engine/device/index.js"
import type { ControlRecord } from "@hayloft/engine/format/device/control-record.js"

export interface Fill {
  readonly oldId: DeviceId
  readonly device: NewDevice
}

interface StartFindings {
  /** Voting devices that are not present. */
  readonly missing: readonly DeviceId[]
  /** Voting devices that are present and lack changes that the others have. */
  readonly lagging: readonly DeviceId[]
  /** Devices that are offline in the record, present, and working. */
  readonly back: readonly DeviceId[]
  readonly fills: readonly Fill[]
  /** Current folders of the present devices. */
  readonly paths: ReadonlyMap<DeviceId, string>
  readonly secrets: Uint8Array
}

/** Applies the findings of a start; returns the same record if there is nothing new. */
export function recordOfStart(record: ControlRecord, found: StartFindings, nowMs: number): ControlRecord {
  const gone = [...found.missing, ...found.lagging]
  let next = withFills(withoutMissing(record, gone, nowMs), found.fills, nowMs)
  for (const id of [...found.back, ...found.lagging]) next = markReturning(next, id, nowMs)
  if (found.secrets !== next.secrets) next = { ...next, secrets: found.secrets }
  const isMoved = next.devices.some(({ id, pathHint }) => (found.paths.get(id) ?? pathHint) !== pathHint)
  if (!isMoved) return next
  const devices = next.devices.map(device => ({ ...device, pathHint: found.paths.get(device.id) ?? device.pathHint }))
  return { ...next, devices }
}

/** Offline devices have no replica, whatever an interrupted change left in the record. */
function withoutMissing(record: ControlRecord, missing: readonly DeviceId[], nowMs: number): ControlRecord {
  const offline = record.devices.filter(device => !isVoting(device)).map(({ id }) => id)
  return markOffline(record, [...missing, ...offline], nowMs)
}

/** Objects that only the old device can complete are unreadable only until it returns: it is not replaced then. */
const withFills = (record: ControlRecord, fills: readonly Fill[], nowMs: number): ControlRecord =>
  fills.reduce((next, { oldId, device }) => replaceDevice(next, oldId, device, [], false, nowMs), record)

/** Applies the requested fills one after another; returns the possible ones, and the others with their failures. */
export function possibleFills(
  record: ControlRecord,
  missing: readonly DeviceId[],
  wanted: readonly Fill[],
  nowMs: number,
): {
  readonly fills: readonly Fill[]
  readonly refused: readonly { readonly fill: Fill; readonly failure: Failure }[]
} {
  const fills: Fill[] = []
  const refused: { readonly fill: Fill; readonly failure: Failure }[] = []
  const base = withoutMissing(record, missing, nowMs)
  for (const fill of wanted) {
    try {
      withFills(base, [...fills, fill], nowMs)
      fills.push(fill)
    } catch (error) {
      refused.push({ fill, failure: asFailure(error) })
    }
  }
  return { fills, refused }
}
