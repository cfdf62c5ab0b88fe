/**
 * Control records, decided: which of the copies found at a start counts, and whether the store may open.
 *
 * Voting devices are those that a record names and does not mark offline. The store opens if more than half of the
 * voting devices of its newest record are present. `packages/node/src/control/steps-core.ts`, which makes the records, proves
 * that such a record is never outdated.
 */
import { equalBytes } from "@hayloft/base/bytes.js"
import { fail } from "@hayloft/base/failures.js"
import type { Failure } from "@hayloft/base/failures.js"
import type { DeviceId, StoreId } from "@hayloft/base/ids.js"
import { timeText } from "@hayloft/base/text/report-text.js"
import { encodeControlRecord } from "../../format/device/control-record.js"
import type { ControlDevice, ControlRecord } from "../../format/device/control-record.js"
import { isApart, lastOpened, writtenApart } from "./starts-core.js"

/** A device whose superblock was found. */
export interface PresentDevice {
  readonly id: DeviceId
  readonly storeId: StoreId
  /** The folder of the device. */
  readonly path: string
  /** The record is undefined if the device has none yet. A failure: it has one that cannot be read. */
  readonly record: ControlRecord | Failure | undefined
}

export interface ControlChoice {
  readonly record: ControlRecord
  /** Named by the record and not present, including those that are offline. */
  readonly missing: readonly ControlDevice[]
  /** Present and named, but without this generation: it must be written there before anything else. */
  readonly behind: readonly DeviceId[]
  /** Devices of `behind` whose copy is lost, and may have been newer. */
  readonly unreadable: readonly DeviceId[]
  /** Present, and not named. */
  readonly strangers: readonly DeviceId[]
}

const isRecord = (record: PresentDevice["record"]): record is ControlRecord =>
  record !== undefined && !(record instanceof Error)

/** Returns true if a device counts towards the majority that the store needs. */
export const isVoting = ({ state }: ControlDevice): boolean => state !== "offline"

export const votingIds = (record: ControlRecord): readonly DeviceId[] =>
  record.devices.filter(isVoting).map(({ id }) => id)

/**
 * The newest of the copies on the present devices, whether or not it may count; undefined if none of them has any.
 * Throws `foreignFolder` (devices of two stores, or of a store and a copy that has run by itself), `corruptRecord` (copies
 * that contradict each other, or none that can be read).
 */
export function newestControlRecord(present: readonly PresentDevice[]): ControlChoice | undefined {
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
  checkTogether(present, record)
  const bytes = encodeControlRecord(record)
  if (!newest.every(other => equalBytes(encodeControlRecord(other), bytes))) {
    throw fail("corruptRecord", { message: "two control records of one generation differ", generation })
  }
  const isNamed = (id: DeviceId): boolean => record.devices.some(device => device.id === id)
  const isBehind = (device: PresentDevice): boolean => !isRecord(device.record) || device.record.generation < generation
  return {
    record,
    missing: record.devices.filter(({ id }) => !present.some(device => device.id === id)),
    behind: present.filter(device => isNamed(device.id) && isBehind(device)).map(({ id }) => id),
    unreadable: present.filter(device => isNamed(device.id) && device.record instanceof Error).map(({ id }) => id),
    strangers: present.filter(({ id }) => !isNamed(id)).map(({ id }) => id),
  }
}

/**
 * Returns true if the newest record that was found may count. A device whose copy cannot be read does not count towards
 * it.
 */
export function mayOpen({ record, missing, unreadable }: ControlChoice): boolean {
  const voting = votingIds(record)
  const here = voting.filter(id => !missing.some(device => device.id === id) && !unreadable.includes(id))
  return 2 * here.length > voting.length
}

/** Voting devices that are missing, or whose copy cannot be read. */
export const absentees = ({ record, missing, unreadable }: ControlChoice): readonly ControlDevice[] =>
  record.devices.filter(device => isVoting(device) && (missing.includes(device) || unreadable.includes(device.id)))

/** A device that the newest record does not name was given up, and may have gone on by itself: it takes no part. */
function checkTogether(present: readonly PresentDevice[], newest: ControlRecord): void {
  const apart = present.filter(({ record }) => isRecord(record) && isApart(record, newest))
  if (!apart.some(({ id }) => newest.devices.some(device => device.id === id))) return
  const together = present.filter(device => !apart.includes(device))
  throw writtenApart(apart.map(pathAndStart), together.map(pathAndStart))
}

/** The time helps the operator to tell the copy. */
function pathAndStart({ path, record }: PresentDevice): string {
  const last = isRecord(record) ? lastOpened(record.starts) : undefined
  return last === undefined ? path : `${path} (last started at ${timeText(last.startedMs)})`
}

/** The message names which folder is of which store: an operator cannot tell the wrong disk by the ids alone. */
function checkOneStore(present: readonly PresentDevice[]): void {
  const pathsOf = new Map<StoreId, string[]>()
  for (const { path, storeId } of present) pathsOf.set(storeId, [...(pathsOf.get(storeId) ?? []), path])
  if (pathsOf.size > 1) {
    const stores = Array.from(pathsOf, ([store, paths]) => `${paths.join(", ")} of store ${store}`)
    throw fail("foreignFolder", { message: `the data folders belong to different stores: ${stores.join("; ")}` })
  }
  for (const { id: device, storeId: store, path, record } of present)
    if (isRecord(record) && record.storeId !== store)
      throw fail("foreignFolder", { message: `${path} has the control record of another store`, device, store })
}
