/**
 * Warnings of a plan: what an operator should know before confirming a change, and the confirmation it needs. Pure.
 *
 * The operator must confirm by name a change that makes a store less safe and is easily typed by mistake: a policy that
 * survives fewer lost disks than the one before, and a new device on the system disk or on a disk that holds another
 * device, which is also what a missing mount looks like.
 */
import type { ChangePlan, PlannedLosses, StoreChange } from "./contract.js"
import { textOfPolicy, tolerance, type Policy } from "../../base/policy.js"

/** A folder to be added as a device, and the disks of the others. */
export interface NewDisk {
  readonly path: string
  readonly disk: string
  readonly systemDisk: string
  readonly otherDisks: readonly string[]
  readonly weight: number
  readonly otherWeights: readonly number[]
}

interface PlanNotes {
  readonly warnings: readonly string[]
  /** The text that must be confirmed besides yes; undefined if yes is enough. */
  readonly confirmBy: string | undefined
}

export interface PolicyStep {
  readonly before: Policy
  readonly after: Policy
}

/** Weight ratio above which a device gets conspicuously more shards than another. */
const UNEQUAL = 4

type Survivals = Pick<ChangePlan, "survives" | "survivesMachines" | "survivesZones">

/** `after this change 1 disks may fail, now 2`, and the same for machines and zones. */
const fewer = (what: string, losses: PlannedLosses | undefined): readonly string[] =>
  losses === undefined || losses.after >= losses.before
    ? []
    : [`after this change ${Math.max(0, losses.after)} ${what} may fail, now ${losses.before}`]

export function notesOf(
  change: StoreChange,
  { survives, survivesMachines, survivesZones }: Survivals,
  policy: PolicyStep,
  newDisk: NewDisk | undefined,
): PlanNotes {
  const disk = newDisk === undefined ? { warnings: [], isDoubtful: false } : notesOfDisk(newDisk)
  const isLower =
    change.kind !== "forgetDevice" && change.kind !== "forgetNode" && tolerance(policy.after) < tolerance(policy.before)
  const text = textOfPolicy(policy.after)
  const warnings = [
    ...fewer("disks", survives),
    ...fewer("machines", survivesMachines),
    ...fewer("zones", survivesZones),
    ...(isLower ? [`${text} survives fewer lost disks than ${textOfPolicy(policy.before)}`] : []),
    ...("acceptLoss" in change && change.acceptLoss
      ? [`objects that only this ${change.kind === "forgetNode" ? "node" : "device"} could complete are lost`]
      : []),
    ...disk.warnings,
  ]
  return { warnings, confirmBy: isLower ? text : disk.isDoubtful ? newDisk?.path : undefined }
}

function notesOfDisk({ path, disk, systemDisk, otherDisks, weight, otherWeights }: NewDisk) {
  const others = new Set(otherDisks)
  const isOnSystem = disk === systemDisk
  const isShared = others.has(disk)
  const [least, most] = [Math.min(...otherWeights), Math.max(...otherWeights)]
  const isUnequal = otherWeights.length > 0 && (weight > UNEQUAL * least || UNEQUAL * weight < most)
  return {
    warnings: [
      ...(isOnSystem ? [`${path} is on the system disk: is a disk not mounted there?`] : []),
      ...(isShared ? [`${path} shares its disk with a device of this store: they fail together`] : []),
      ...(isUnequal ? [`its weight is ${weight}, those of the others ${least} to ${most}: shards follow weights`] : []),
    ],
    // If all devices share one disk anyway, another one on it needs no confirmation.
    isDoubtful: isUnequal || ((isOnSystem || isShared) && !(others.size === 1 && isShared)),
  }
}
