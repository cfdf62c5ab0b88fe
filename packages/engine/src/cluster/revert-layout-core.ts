/**
 * Going back to the previous layout while shards move to a new one: a transition in the other direction. The two layouts
 * stay the same, so every shard is in one of the places where it is looked up. Pure.
 *
 * Weights stay as they are: the layout that is restored has the shares that it had, and the next change follows the
 * weights.
 */
import { fail, type Failure } from "@hayloft/base/failures.js"
import { shardCount, textOfPolicy, type Policy } from "@hayloft/base/policy.js"
import type { ControlDevice, ControlRecord } from "../format/device/control-record.js"
import { movement } from "../placement/index.js"
import { withState } from "./device-states-core.js"
import { controlLayoutOf, hasPlace, layoutOf, policiesIn } from "./record-layout-core.js"
import { withLeaving } from "./staged-changes-core.js"

const refusal = (version: number | undefined, why: string): Failure =>
  fail("invalidArgument", {
    message: `${version === undefined ? "there is no earlier layout to go back to" : `layout ${version} cannot be restored`}: ${why}`,
  })

/**
 * Devices that the restored layout uses are in use again, and those that it does not use are drained. Throws
 * `invalidArgument` with the reason where it is not possible. `policiesInUse`: all policies that stored blocks have or
 * buckets chose.
 */
export function revertLayout(record: ControlRecord, policiesInUse: readonly Policy[], nowMs: number): ControlRecord {
  const { previousLayout } = record
  if (previousLayout === undefined) {
    throw refusal(undefined, "no shards are moving, and only the present layout is kept")
  }
  const [to, from] = [layoutOf(previousLayout), layoutOf(record.layout)]
  const { version } = to
  const byId = new Map(record.devices.map(device => [device.id, device]))
  const gone = to.devices.find(id => !byId.has(id))
  if (gone !== undefined) throw refusal(version, `its device ${gone} is no longer part of the store`)
  const policy = [...policiesIn(record), ...policiesInUse].find(each => shardCount(each) > to.width)
  if (policy !== undefined && from.width > to.width) {
    throw refusal(
      version,
      `it has ${to.width} slots, and blocks stored as ${textOfPolicy(policy)} need ${shardCount(policy)}`,
    )
  }
  const offline = [...movement(from, to).devices].find(
    ([id, { slotsIn }]) => slotsIn > 0 && byId.get(id)?.state === "offline",
  )
  if (offline !== undefined) {
    throw refusal(version, `device ${offline[0]} is offline: wait until it is back, or replace or forget it first`)
  }
  const placed = new Set(to.devices)
  const back = record.devices.filter(device => placed.has(device.id) && !hasPlace(device))
  const away = record.devices.filter(device => !placed.has(device.id) && isInUse(device))
  const states = [
    ...back.map(({ id }) => [id, "rebuilding"] as const),
    ...away.map(({ id }) => [id, "draining"] as const),
  ]
  const restored = states.reduce((next, [id, state]) => withState(next, id, state, nowMs), record)
  return {
    ...staying(restored, back),
    layout: controlLayoutOf({ ...to, version: from.version + 1 }),
    previousLayout: record.layout,
  }
}

const isInUse = (device: ControlDevice): boolean => hasPlace(device) && device.state !== "offline"

/** Nodes whose devices are in use again do not leave. */
const staying = (record: ControlRecord, back: readonly ControlDevice[]): ControlRecord =>
  back.reduce((next, { home }) => (home === undefined ? next : withLeaving(next, home.node, false)), record)
