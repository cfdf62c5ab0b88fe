/**
 * Invariants of every control record that a decision produces, for its tests. Records read from a disk are parsed and
 * refused elsewhere; a violation here is a bug of the program.
 */
import { assert } from "@hayloft/base/assert.js"
import type { DeviceId } from "@hayloft/base/ids.js"
import { STORE_DEVICES_MAX } from "@hayloft/base/limits.js"
import { shardCount } from "@hayloft/base/policy.js"
import { POLICY_VERSION_MAX, type ControlRecord } from "../format/device/control-record.js"
import { hasPlace, layoutOf } from "./record-layout-core.js"

/** Throws an assertion that names what is wrong. */
export function checkRecord(record: ControlRecord): void {
  const { devices, policyVersion, metaCopies } = record
  assert(devices.length >= 1 && devices.length <= STORE_DEVICES_MAX, "a store has devices")
  assert(new Set(devices.map(({ id }) => id)).size === devices.length, "no device appears twice")
  assert(
    devices.every(({ weight }) => Number.isFinite(weight) && weight > 0),
    "weights are positive",
  )
  assert(policyVersion >= 1 && policyVersion <= POLICY_VERSION_MAX, "policy versions fit a needle")
  assert(metaCopies >= 1 && metaCopies <= STORE_DEVICES_MAX, "some device holds metadata")
  checkLayouts(record)
  checkTablets(record)
}

function checkLayouts(record: ControlRecord): void {
  const layout = layoutOf(record.layout)
  const placed = new Set(record.devices.filter(hasPlace).map(({ id }) => id))
  assert(
    layout.devices.every(id => placed.has(id)),
    "the layout names devices that have a place in it",
  )
  assert(layout.width <= placed.size, "a layout needs as many devices as slots")
  if (record.isPolicyAutomatic) assert(shardCount(record.policy) <= layout.width, "an automatic policy fits the layout")
  if (record.previousLayout === undefined) return
  assert(layoutOf(record.previousLayout).version < layout.version, "layouts only go forward")
}

function checkTablets(record: ControlRecord): void {
  const stateOf = (id: DeviceId) => record.devices.find(device => device.id === id)?.state
  for (const { id: tablet, epoch, replicas, learners } of record.tablets) {
    const holders = [...replicas, ...learners]
    assert(replicas.length >= 1, () => `tablet ${tablet} has replicas`)
    assert(new Set(holders.map(({ id }) => id)).size === holders.length, "no device holds a tablet twice")
    for (const { id, since } of holders) {
      assert(
        stateOf(id) !== undefined && stateOf(id) !== "offline",
        () => `replica ${id} of tablet ${tablet} is in use`,
      )
      assert(since >= 1 && since <= epoch, "replica incarnations began in this epoch or before")
    }
  }
}
