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
import type { ControlDevice, ControlReplica, ControlRecord, ControlTablet } from "../format/control-record.js"
import { withoutReplicas } from "./device-states-core.js"

export type ReplicaStep =
  | { readonly kind: "learn"; readonly id: DeviceId }
  | { readonly kind: "promote"; readonly learner: ControlReplica }
  | { readonly kind: "drop"; readonly id: DeviceId }

export function tabletOf(record: ControlRecord, tabletId: TabletId): ControlTablet {
  return must(
    record.tablets.find(({ id }) => id === tabletId),
    "the record names the tablet",
  )
}

/** May hold names. Those that have everything come first. */
function candidates(record: ControlRecord): readonly ControlDevice[] {
  const rank = { active: 0, rebuilding: 1 } as const
  const usable = record.devices.flatMap(device =>
    device.state === "active" || device.state === "rebuilding" ? [{ device, rank: rank[device.state] }] : [],
  )
  return usable.sort((a, b) => a.rank - b.rank).map(({ device }) => device)
}

/**
 * What to do next so that `metaCopies` devices hold the tablet; undefined where all is as it should be,
 * or a learner is still learning. `mayLearn`: devices that are open and have room.
 */
export function nextReplicaStep(
  record: ControlRecord,
  tabletId: TabletId,
  hasLearned: (learner: ControlReplica) => boolean,
  mayLearn: (id: DeviceId) => boolean,
): ReplicaStep | undefined {
  const { replicas, learners } = tabletOf(record, tabletId)
  const learned = learners.find(hasLearned)
  if (learned !== undefined) return { kind: "promote", learner: learned }
  if (learners.length > 0) return undefined
  const usable = candidates(record)
  const staying = replicas.filter(({ id }) => usable.some(device => device.id === id))
  const wanted = Math.min(record.metaCopies, usable.length)
  if (staying.length < wanted) {
    const next = usable.find(({ id }) => !replicas.some(replica => replica.id === id) && mayLearn(id))
    return next && { kind: "learn", id: next.id }
  }
  const leavingReplica = replicas.find(({ id }) => !staying.some(replica => replica.id === id))
  const surplus = leavingReplica ?? (staying.length > wanted ? staying.at(-1) : undefined)
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
  const { replicas, learners } = tabletOf(record, tabletId)
  if ([...replicas, ...learners].some(replica => replica.id === id)) throw fail("conflict", { device: id })
  return changeTablet(record, tabletId, tablet => {
    const epoch = parseEpoch(tablet.epoch + 1)
    return { ...tablet, epoch, learners: [...tablet.learners, { id, since: epoch }] }
  })
}

/** Throws `conflict` where the learner is none any more. */
export function promoteLearner(
  record: ControlRecord,
  tabletId: TabletId,
  { id, since }: ControlReplica,
): ControlRecord {
  const learner = tabletOf(record, tabletId).learners.find(each => each.id === id && each.since === since)
  if (learner === undefined) throw fail("conflict", { device: id })
  return changeTablet(record, tabletId, tablet => ({
    ...tablet,
    epoch: parseEpoch(tablet.epoch + 1),
    replicas: [...tablet.replicas, learner],
    learners: tablet.learners.filter(each => each !== learner),
  }))
}

/** Members and learners that hold the tablet no longer; their devices stay what they are. */
export function dropReplicas(record: ControlRecord, ids: readonly DeviceId[]): ControlRecord {
  const tablets = withoutReplicas(record.tablets, ids)
  return tablets.every((tablet, i) => tablet === record.tablets[i]) ? record : { ...record, tablets }
}

/** Learners of an earlier life: what they had learned may have a gap. */
export function forgetLearners(record: ControlRecord): ControlRecord {
  const learners = record.tablets.flatMap(tablet => tablet.learners.map(({ id }) => id))
  return dropReplicas(record, learners)
}
