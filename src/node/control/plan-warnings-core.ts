/**
 * Warnings of a plan: what an operator should know before confirming a change, and the confirmation it needs. Pure.
 *
 * The operator must confirm by name a change that makes a store less safe and is easily typed by mistake: a policy that
 * survives fewer lost disks than the one before, and a new device on the system disk or on a disk that holds another
 * device, which is also what a missing mount looks like.
 */
import type { ChangePlan, StoreChange } from "./contract.js"
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

export function notesOf(
  change: StoreChange,
  { before, after }: ChangePlan["survives"],
  policy: PolicyStep,
  newDisk: NewDisk | undefined,
): PlanNotes {
  const disk = newDisk === undefined ? { warnings: [], isDoubtful: false } : notesOfDisk(newDisk)
  const isLower = change.kind !== "forgetDevice" && tolerance(policy.after) < tolerance(policy.before)
  const text = textOfPolicy(policy.after)
  const warnings = [
    ...(after < before ? [`after this change ${Math.max(0, after)} disks may fail, now ${before}`] : []),
    ...(isLower ? [`${text} survives fewer lost disks than ${textOfPolicy(policy.before)}`] : []),
    ...("acceptLoss" in change && change.acceptLoss ? ["objects that only this device could complete are lost"] : []),
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
