/**
 * Members: which devices hold a tablet, and the next single step towards those that should. Pure.
 *
 * A device becomes a member in two steps: as a learner it logs what members log and is brought the rows
 * that were there before; only when it has everything is it counted.
 */
import { must } from "../base/assert.js"
import { fail } from "../base/failures.js"
import { parseEpoch } from "../base/ids.js"
import type { DeviceId, TabletId } from "../base/ids.js"
import type { ControlDevice, ControlMember, ControlRecord, ControlTablet } from "../format/control-record.js"
import { withoutMembers } from "./device-states-core.js"

export type MemberStep =
  | { readonly kind: "learn"; readonly id: DeviceId }
  | { readonly kind: "promote"; readonly learner: ControlMember }
  | { readonly kind: "drop"; readonly id: DeviceId }

export function tabletOf(record: ControlRecord, tabletId: TabletId): ControlTablet {
  return must(
    record.tablets.find(({ id }) => id === tabletId),
    "the record names the tablet",
  )
}

/** May hold names. Those that have everything come first. */
function candidates(record: ControlRecord): readonly ControlDevice[] {
  const rank = { active: 0, filling: 1 } as const
  const usable = record.devices.flatMap(device =>
    device.state === "active" || device.state === "filling" ? [{ device, rank: rank[device.state] }] : [],
  )
  return usable.sort((a, b) => a.rank - b.rank).map(({ device }) => device)
}

/**
 * What to do next so that `metaCopies` devices hold the tablet; undefined where all is as it should be,
 * or a learner is still learning. `mayLearn`: devices that are open and have room.
 */
export function nextMemberStep(
  record: ControlRecord,
  tabletId: TabletId,
  hasLearned: (learner: ControlMember) => boolean,
  mayLearn: (id: DeviceId) => boolean,
): MemberStep | undefined {
  const { members, learners } = tabletOf(record, tabletId)
  const learned = learners.find(hasLearned)
  if (learned !== undefined) return { kind: "promote", learner: learned }
  if (learners.length > 0) return undefined
  const usable = candidates(record)
  const staying = members.filter(({ id }) => usable.some(device => device.id === id))
  const wanted = Math.min(record.metaCopies, usable.length)
  if (staying.length < wanted) {
    const next = usable.find(({ id }) => !members.some(member => member.id === id) && mayLearn(id))
    return next && { kind: "learn", id: next.id }
  }
  const leaving = members.find(({ id }) => !staying.some(member => member.id === id))
  const surplus = leaving ?? (staying.length > wanted ? staying.at(-1) : undefined)
  return surplus && { kind: "drop", id: surplus.id }
}

function changeTablet(
  record: ControlRecord,
  tabletId: TabletId,
  change: (tablet: ControlTablet) => ControlTablet,
): ControlRecord {
  return { ...record, tablets: record.tablets.map(tablet => (tablet.id === tabletId ? change(tablet) : tablet)) }
}

/** The device begins a new membership, since the epoch that this change begins. */
export function addLearner(record: ControlRecord, tabletId: TabletId, id: DeviceId): ControlRecord {
  const { members, learners } = tabletOf(record, tabletId)
  if ([...members, ...learners].some(member => member.id === id)) throw fail("conflict", { device: id })
  return changeTablet(record, tabletId, tablet => {
    const epoch = parseEpoch(tablet.epoch + 1)
    return { ...tablet, epoch, learners: [...tablet.learners, { id, since: epoch }] }
  })
}

/** Throws `conflict` where the learner is none any more. */
export function promoteLearner(record: ControlRecord, tabletId: TabletId, { id, since }: ControlMember): ControlRecord {
  const learner = tabletOf(record, tabletId).learners.find(each => each.id === id && each.since === since)
  if (learner === undefined) throw fail("conflict", { device: id })
  return changeTablet(record, tabletId, tablet => ({
    ...tablet,
    epoch: parseEpoch(tablet.epoch + 1),
    members: [...tablet.members, learner],
    learners: tablet.learners.filter(each => each !== learner),
  }))
}

/** Members and learners that hold the tablet no longer; their devices stay what they are. */
export function dropMembers(record: ControlRecord, ids: readonly DeviceId[]): ControlRecord {
  const tablets = withoutMembers(record.tablets, ids)
  return tablets.every((tablet, i) => tablet === record.tablets[i]) ? record : { ...record, tablets }
}

/** Learners of an earlier life: what they had learned may have a gap. */
export function forgetLearners(record: ControlRecord): ControlRecord {
  const learners = record.tablets.flatMap(tablet => tablet.learners.map(({ id }) => id))
  return dropMembers(record, learners)
}
