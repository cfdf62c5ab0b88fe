/** What a start writes into the control record: who is missing, who is back, who takes whose place. Pure. */
import { asFailure, type Failure } from "../../base/failures.js"
import type { DeviceId } from "../../base/ids.js"
import { markOffline, markReturning, replaceDevice, type NewDevice } from "../../cluster/index.js"
import { isVoting } from "../../device/index.js"
import type { ControlRecord } from "../../format/control-record.js"

export interface Fill {
  readonly oldId: DeviceId
  readonly device: NewDevice
}

interface StartFindings {
  /** They count in the record, and are not here. */
  readonly missing: readonly DeviceId[]
  /** They count and are here, and have not been through all that the others have. */
  readonly lagging: readonly DeviceId[]
  /** They are out in the record, here, and work. */
  readonly back: readonly DeviceId[]
  readonly fills: readonly Fill[]
  /** Where the devices that are here lie now. */
  readonly paths: ReadonlyMap<DeviceId, string>
  readonly secrets: Uint8Array
}

/** The record with what a start has found; the same where that is nothing new. */
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

/** Those that are out hold nothing that counts, whatever a change that was cut off says of them. */
function withoutMissing(record: ControlRecord, missing: readonly DeviceId[], nowMs: number): ControlRecord {
  const offline = record.devices.filter(device => !isVoting(device)).map(({ id }) => id)
  return markOffline(record, [...missing, ...offline], nowMs)
}

/** Objects that nobody but the old device has stay unreadable only until it is back: it is not replaced then. */
const withFills = (record: ControlRecord, fills: readonly Fill[], nowMs: number): ControlRecord =>
  fills.reduce((next, { oldId, device }) => replaceDevice(next, oldId, device, [], false, nowMs), record)

/** Of the fills that are wanted those that may be, one after another; the others with what speaks against them. */
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
