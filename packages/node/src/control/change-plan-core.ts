/** The plan of a change, as operators see it before they make it. Pure. */
import { parseDeviceId } from "@hayloft/base/ids.js"
import { lockedNamesText, type LockedNames } from "@hayloft/base/locked-names.js"
import { textOfPolicy } from "@hayloft/base/policy.js"
import { lossText, type Preview, type ShardLoss } from "@hayloft/engine/cluster/index.js"
import type { ControlDevice } from "@hayloft/engine/format/device/control-record.js"
import type { AppliedChange, StoreChange } from "./contract.js"
import { summaryOf } from "./decide-change-core.js"
import type { PlanNotes } from "./plan-warnings-core.js"

/** Stands for the id of a device that does not exist yet. */
export const NEW_ID = parseDeviceId("f".repeat(16))

interface PlannedChange {
  readonly change: StoreChange
  readonly preview: Preview
  /** The data that is given up. */
  readonly losses: readonly ShardLoss[]
  /** The devices of the store before and after the change. */
  readonly devices: readonly ControlDevice[]
  readonly notes: PlanNotes
  /** The warnings of the storage class that the change maps. */
  readonly ofClass: readonly string[]
  /** Buckets with object lock that become less safe. */
  readonly locked: LockedNames
}

export function changePlanOf(planned: PlannedChange): AppliedChange["plan"] {
  const { change, preview, losses, devices, notes, ofClass, locked } = planned
  const { warnings, confirmBy } = notes
  const { usableBefore, usableAfter, survivesMachines, survivesZones } = preview
  return {
    summary: summaryOf(change),
    policyBefore: textOfPolicy(preview.policyBefore),
    policyAfter: textOfPolicy(preview.policyAfter),
    devices: preview.devices.map(({ id, bytesIn, bytesOut }) => ({
      ...(id === NEW_ID ? {} : { id }),
      ...placeOf(devices.find(each => each.id === id)),
      bytesIn: Math.round(bytesIn),
      bytesOut: Math.round(bytesOut),
    })),
    movedBytes: Math.round(preview.movedBytes),
    reencodedBytes: Math.round(preview.reencodedBytes),
    hours: preview.hours,
    survives: preview.survives,
    ...(survivesMachines && { survivesMachines }),
    ...(survivesZones && { survivesZones }),
    ...(usableBefore === undefined ? {} : { usableBytesBefore: Math.round(usableBefore) }),
    ...(usableAfter === undefined ? {} : { usableBytesAfter: Math.round(usableAfter) }),
    warnings: [...warnings, ...losses.map(lossWarning), ...ofClass, ...lockedWarnings(locked)],
    ...(confirmBy === undefined ? {} : { confirmBy }),
    ...(locked.listed.length === 0 ? {} : { lockedBuckets: locked.listed }),
    ...(locked.more === 0 ? {} : { moreLockedBuckets: locked.more }),
  }
}

const placeOf = (device: ControlDevice | undefined): { readonly path: string; readonly node?: string } => ({
  path: device?.pathHint ?? "",
  ...(device?.home === undefined ? {} : { node: device.home.node }),
})

const lossWarning = (loss: ShardLoss): string =>
  `${lossText(loss)} has too few shards on the complete devices that remain`

const lockedWarnings = (locked: LockedNames): readonly string[] =>
  locked.listed.length === 0
    ? []
    : [`buckets with object lock would be less safe than they were promised to be: ${lockedNamesText(locked)}`]
