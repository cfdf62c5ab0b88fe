/**
 * Replicas: which devices hold a tablet, and the next single step towards the wanted set. Pure.
 *
 * A device becomes a replica in two steps: as a learner it logs what the replicas log and receives the older
 * rows; it votes only once it has everything.
 */
import { must } from "@hayloft/base/assert.js"
import { fail } from "@hayloft/base/failures.js"
import { parseEpoch } from "@hayloft/base/ids.js"
import type { DeviceId, TabletId } from "@hayloft/base/ids.js"
import type { ControlDevice, ControlReplica, ControlRecord, ControlTablet } from "../format/device/control-record.js"
import { withoutReplicas } from "./device-states-core.js"

export type ReplicaStep =
  | { readonly kind: "learn"; readonly id: DeviceId }
  | { readonly kind: "promote"; readonly learner: ControlReplica }
  | { readonly kind: "drop"; readonly id: DeviceId }

export function tabletOf(record: ControlRecord, tabletId: TabletId): ControlTablet {
  return must(
    record.tablets.find(({ id }) => id === tabletId),
    "the record contains the tablet",
  )
}

/** Devices that may hold metadata, complete ones first. */
function candidates(record: ControlRecord): readonly ControlDevice[] {
  const rank = { active: 0, rebuilding: 1 } as const
  const usable = record.devices.flatMap(device =>
    device.state === "active" || device.state === "rebuilding" ? [{ device, rank: rank[device.state] }] : [],
  )
  return usable.sort((a, b) => a.rank - b.rank).map(({ device }) => device)
}

/**
 * The next step so that `metaCopies` devices hold the tablet; undefined if nothing is to change,
 * or a learner is still learning. `mayLearn`: devices that are open and have space.
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

/** Starts a new replica incarnation on the device, dated by the epoch that this change begins. */
export function addLearner(record: ControlRecord, tabletId: TabletId, id: DeviceId): ControlRecord {
  const { replicas, learners } = tabletOf(record, tabletId)
  if ([...replicas, ...learners].some(replica => replica.id === id)) throw fail("conflict", { device: id })
  return changeTablet(record, tabletId, tablet => {
    const epoch = parseEpoch(tablet.epoch + 1)
    return { ...tablet, epoch, learners: [...tablet.learners, { id, since: epoch }] }
  })
}

/** Throws `conflict` if the device is no longer that learner. */
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

/** Removes replicas and learners from all tablets; their devices keep their state. */
export function dropReplicas(record: ControlRecord, ids: readonly DeviceId[]): ControlRecord {
  const tablets = withoutReplicas(record.tablets, ids)
  return tablets.every((tablet, i) => tablet === record.tablets[i]) ? record : { ...record, tablets }
}

/** Removes learners of an earlier process: their rows may have a gap. */
export function forgetLearners(record: ControlRecord): ControlRecord {
  const learners = record.tablets.flatMap(tablet => tablet.learners.map(({ id }) => id))
  return dropReplicas(record, learners)
}
