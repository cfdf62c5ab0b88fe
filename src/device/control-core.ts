/**
 * Control records, decided: which of the copies found at a start counts, and whether it may.
 *
 * A generation may drop devices only if at least half of those before it accept it, and a store opens
 * only where more than half of those it names are present. The two always intersect, so a subset that
 * was left behind can never open as the truth.
 */
import { equalBytes } from "../base/bytes.js"
import { fail } from "../base/failures.js"
import type { Failure } from "../base/failures.js"
import type { DeviceId, StoreId } from "../base/ids.js"
import { encodeControlRecord } from "../format/control-record.js"
import type { ControlDevice, ControlRecord } from "../format/control-record.js"

/** A device whose superblock was found. */
export interface PresentDevice {
  readonly id: DeviceId
  readonly storeId: StoreId
  /** Undefined: it has none yet. A failure: it has one that cannot be read. */
  readonly record: ControlRecord | Failure | undefined
}

export interface ControlChoice {
  readonly record: ControlRecord
  /** Named by the record and not present. */
  readonly missing: readonly ControlDevice[]
  /** Present and named, but without this generation: to be written there before anything else. */
  readonly behind: readonly DeviceId[]
  /** Present, and not named. */
  readonly strangers: readonly DeviceId[]
}

const isRecord = (record: PresentDevice["record"]): record is ControlRecord =>
  record !== undefined && !(record instanceof Error)

/**
 * Chooses among the copies on the present devices; undefined if none of them has any, because their
 * store's first start was cut off. Throws `foreignFolder` (devices of two stores), `corruptRecord`
 * (copies that contradict each other, or none that can be read), `devicesMissing` (half or more).
 */
export function chooseControlRecord(present: readonly PresentDevice[]): ControlChoice | undefined {
  checkOneStore(present)
  const records = present.flatMap(({ record }) => (isRecord(record) ? [record] : []))
  const generation = Math.max(0, ...records.map(record => record.generation))
  const newest = records.filter(record => record.generation === generation)
  const [record] = newest
  if (record === undefined) {
    const unreadable = present.find(device => device.record !== undefined)?.record
    if (unreadable instanceof Error) throw unreadable
    return undefined
  }
  const bytes = encodeControlRecord(record)
  if (!newest.every(other => equalBytes(encodeControlRecord(other), bytes))) {
    throw fail("corruptRecord", { message: "two control records of one generation differ", generation })
  }
  const missing = record.devices.filter(({ id }) => !present.some(device => device.id === id))
  if (2 * (record.devices.length - missing.length) <= record.devices.length) throw devicesMissing(missing)
  const isNamed = (id: DeviceId): boolean => record.devices.some(device => device.id === id)
  const isBehind = (device: PresentDevice): boolean => !isRecord(device.record) || device.record.generation < generation
  return {
    record,
    missing,
    behind: present.filter(device => isNamed(device.id) && isBehind(device)).map(({ id }) => id),
    strangers: present.filter(({ id }) => !isNamed(id)).map(({ id }) => id),
  }
}

function checkOneStore(present: readonly PresentDevice[]): void {
  const [first] = present
  for (const { id, storeId, record } of present) {
    const stores = [storeId, ...(isRecord(record) ? [record.storeId] : [])]
    if (stores.some(store => store !== first?.storeId)) {
      throw fail("foreignFolder", {
        message: "the data folders belong to different stores",
        device: id,
        store: storeId,
      })
    }
  }
}

/** One clear line: which devices are missing, where they were, and what can be done. */
export function devicesMissing(missing: readonly ControlDevice[]): Failure {
  const devices = missing.map(({ id, pathHint }) => `${id} (last at ${pathHint})`).join(", ")
  const advice = "too many to go on without them; attach them and give all data folders"
  return fail("devicesMissing", { message: `devices of this store are missing: ${devices}; ${advice}` })
}
