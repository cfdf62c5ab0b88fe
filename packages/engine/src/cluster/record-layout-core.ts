/**
 * Layouts in the control record: which devices have a place in the next one, and how wide it is. Pure.
 *
 * One transition at a time: while `previousLayout` is set, the next layout has to wait, since a shard
 * is looked up in two layouts at most.
 */
import { fail } from "@hayloft/base/failures.js"
import type { DeviceId } from "@hayloft/base/ids.js"
import { shardCount, type Policy } from "@hayloft/base/policy.js"
import { RememberedByObject } from "@hayloft/base/remembered.js"
import type { ControlDevice, ControlLayout, ControlRecord, DeviceHome } from "../format/device/control-record.js"
import { decodeLayout, encodeLayout, movement, planNext } from "../placement/index.js"
import type { FailureDomains, Layout, LayoutDevice } from "../placement/index.js"

/** Checking a table takes milliseconds, and callers ask for the same one repeatedly. */
const decoded = new RememberedByObject(({ table, version, devices }: ControlLayout) =>
  decodeLayout(table, version, devices),
)

/** Throws `corruptRecord`. */
export const layoutOf = (layout: ControlLayout): Layout => decoded.of(layout)

export const controlLayoutOf = (layout: Layout): ControlLayout => ({
  version: layout.version,
  devices: layout.devices,
  table: encodeLayout(layout),
})

/** Returns true if the layout gives the device slots: even while it is offline, since it may return. */
export const hasPlace = ({ state }: ControlDevice): boolean => state !== "draining" && state !== "decommissioning"

/** Returns true if the device can be given further slots. */
export const mayGain = ({ state }: ControlDevice): boolean => state === "active" || state === "rebuilding"

/** The devices that have a place, with their failure domains, as the planner takes them. */
export function layoutDevices(devices: readonly ControlDevice[]): readonly LayoutDevice[] {
  return devices.filter(hasPlace).map(device => {
    const { id, weight, home } = device
    const placed = { id, weight, mayGain: mayGain(device) }
    return home === undefined ? placed : { ...placed, domains: domainsOfHome(home) }
  })
}

/** The domains of a home. */
export const domainsOfHome = ({ zone, machine, disk }: DeviceHome): FailureDomains => ({
  ...(zone === undefined ? {} : { zone }),
  machine,
  ...(disk === undefined ? {} : { disk }),
})

/** Throws `conflict` while shards still move after an earlier change. */
export function checkStill(record: ControlRecord): void {
  if (record.previousLayout === undefined) return
  const isPaused = record.pausedWork.includes("repair")
  const message = isPaused
    ? "shards have not moved yet after an earlier change, and repair is paused; hayloft repair resume moves them, then wait until that is finished"
    : "shards still move after an earlier change; wait until that is finished"
  throw fail("conflict", { message })
}

/** Returns the policies that new blocks may have, beside those of buckets. */
export const policiesIn = ({ policy, classes = [] }: ControlRecord): readonly [Policy, ...Policy[]] => [
  policy,
  ...classes.map(([, ofClass]) => ofClass),
]

export const widestOf = (policies: readonly Policy[]): number => Math.max(...policies.map(shardCount))

/**
 * The width that the policies need and the devices allow. It is narrower than the present layout only if devices are
 * too few: blocks under a policy that is being replaced still need their slots.
 */
export function widthFor(record: ControlRecord, policies: readonly Policy[]): number {
  const width = layoutOf(record.layout).width
  const places = record.devices.filter(hasPlace).length
  const gaining = record.devices.filter(mayGain).length
  return Math.max(Math.min(width, places), Math.min(widestOf([...policiesIn(record), ...policies]), gaining))
}

/**
 * The record with the next layout for its present devices, and a transition to it if anything
 * moves. Throws `conflict` during one, `invalidArgument` if an offline device would have to take
 * slots; with `care` "forced" it gets them, and their shards are missing until it returns.
 */
export function withNextLayout(record: ControlRecord, width: number, care: "calm" | "forced" = "calm"): ControlRecord {
  checkStill(record)
  const before = layoutOf(record.layout)
  const after = planNext(before, layoutDevices(record.devices), width, before.version + 1)
  const { moved, added, dropped, devices: moving } = movement(before, after)
  const isOffline = (id: DeviceId) => record.devices.some(device => device.id === id && device.state === "offline")
  const forced = [...moving].find(([id, { slotsIn }]) => slotsIn > 0 && isOffline(id))
  if (forced !== undefined && care === "calm") {
    throw fail("invalidArgument", {
      message: `device ${forced[0]} is offline, and without it there are too few devices for this: wait until it is back, or replace or forget it first`,
    })
  }
  if (moved + added + dropped > 0) return { ...record, layout: controlLayoutOf(after), previousLayout: record.layout }
  const isSame = after.devices.join() === before.devices.join()
  return isSame ? record : { ...record, layout: controlLayoutOf(after) }
}
