/**
 * Promises of a policy: how many disks, machines and zones may fail before blocks of it are lost, and whether a change of
 * the control record leaves fewer. Pure.
 */
import type { Policy } from "@hayloft/base/policy.js"
import { tolerance } from "@hayloft/base/policy.js"
import type { ControlRecord } from "../format/device/control-record.js"
import { safetyInputOf, settled, type PreviewFacts } from "./preview-core.js"
import { evaluateSafety, type Safety } from "./safety-core.js"

/** The policy of the same blocks before and after a change. */
interface PolicyChange {
  readonly before: Policy
  readonly after: Policy
}

/**
 * Returns true if blocks of the policy, or the metadata that finds them, survive fewer failures after the change than
 * they do now, or than they would if every device worked.
 */
export function survivesLess(
  before: ControlRecord,
  after: ControlRecord,
  facts: PreviewFacts,
  policy: PolicyChange,
): boolean {
  if (tolerance(policy.after) < tolerance(policy.before)) return true
  const [then, done] = [
    safetyOf(before, policy.before, facts, false),
    safetyOf(settled(after), policy.after, facts, true),
  ]
  // The file system of an offline device is unknown: only what is there now can be compared with its replacement.
  const isReplaced =
    before.devices.some(({ id }) => !has(after, id)) && after.devices.some(({ id }) => !has(before, id))
  return [lossesOf(then, done, "now"), ...(isReplaced ? [] : [lossesOf(then, done, "whole")])].some(levels =>
    levels.some(({ from, to }) => to < from),
  )
}

const has = ({ devices }: ControlRecord, id: string): boolean => devices.some(device => device.id === id)

const safetyOf = (record: ControlRecord, policy: Policy, facts: PreviewFacts, isDone: boolean): Safety =>
  evaluateSafety(safetyInputOf(record, [{ policy, bytes: 0, isDecommissioning: false }], facts, isDone))

/** By disk, machine and zone, as far as the devices have such homes. */
function lossesOf(then: Safety, done: Safety, when: "now" | "whole") {
  const domains = (["machines", "zones"] as const).flatMap(level => {
    const [from, to] = [then[level], done[level]]
    return from === undefined || to === undefined ? [] : [{ from: from[when], to: to[when] }]
  })
  return [{ from: then[when].disks, to: done[when].disks }, ...domains]
}
