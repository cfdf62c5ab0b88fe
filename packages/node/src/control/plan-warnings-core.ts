/**
 * Warnings of a plan: what an operator should know before confirming a change, and the confirmation it needs. Pure.
 *
 * The operator must confirm by name a change that makes a store less safe and is easily typed by mistake: a policy that
 * survives fewer lost disks than the one before, and a new device on the system disk or on a disk that holds another
 * device, which is also what a missing mount, or a mistyped path, looks like.
 */
import type { ChangePlan, PlannedLosses, StoreChange } from "./contract.js"
import { lockedNamesOf, lockedNamesText } from "@hayloft/base/locked-names.js"
import { textOfPolicy, tolerance } from "@hayloft/base/policy.js"
import type { BucketName } from "@hayloft/base/ids.js"
import type { PolicyStep } from "./policy-steps-core.js"

/** A folder to become a device, and the disks of the others. */
export interface NewDisk {
  /** It takes the place of a device, with its weight. */
  readonly isReplacement: boolean
  readonly path: string
  readonly disk: string
  readonly systemDisk: string
  readonly otherDisks: readonly string[]
  readonly weight: number
  readonly otherWeights: readonly number[]
}

export interface PlanNotes {
  readonly warnings: readonly string[]
  /** The text that must be confirmed besides yes; undefined if yes is enough. */
  readonly confirmBy: string | undefined
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
  steps: readonly PolicyStep[],
  newDisk: NewDisk | undefined,
): PlanNotes {
  const disk = newDisk === undefined ? { warnings: [], isDoubtful: false } : notesOfDisk(newDisk)
  const isForgotten = change.kind === "forgetDevice" || change.kind === "forgetNode"
  const lower = isForgotten ? [] : steps.filter(({ before, after }) => tolerance(after) < tolerance(before))
  const [weakest] = lower.map(({ after }) => after).sort((a, b) => tolerance(a) - tolerance(b))
  const warnings = [
    ...fewer("disks", survives),
    ...fewer("machines", survivesMachines),
    ...fewer("zones", survivesZones),
    ...lowerWarnings(lower),
    ...("acceptLoss" in change && change.acceptLoss
      ? [`objects that only this ${change.kind === "forgetNode" ? "node" : "device"} could complete are lost`]
      : []),
    ...disk.warnings,
  ]
  if (weakest !== undefined) return { warnings, confirmBy: textOfPolicy(weakest) }
  return { warnings, confirmBy: disk.isDoubtful ? newDisk?.path : undefined }
}

/** One for each pair of policies, with the buckets that set one of them themselves. */
function lowerWarnings(steps: readonly PolicyStep[]): readonly string[] {
  const buckets = new Map<string, BucketName[]>()
  for (const { before, after, bucket } of steps) {
    const text = `${textOfPolicy(after)} survives fewer lost disks than ${textOfPolicy(before)}`
    const of = bucket === undefined ? text : `${text} in buckets with redundancy of their own`
    buckets.set(of, [...(buckets.get(of) ?? []), ...(bucket === undefined ? [] : [bucket])])
  }
  return Array.from(buckets, ([text, names]) =>
    names.length === 0 ? text : `${text}: ${lockedNamesText(lockedNamesOf(names))}`,
  )
}

function notesOfDisk({ path, isReplacement, disk, systemDisk, otherDisks, weight, otherWeights }: NewDisk) {
  const others = new Set(otherDisks)
  const isOnSystem = disk === systemDisk
  const isShared = others.has(disk)
  const [least, most] = [Math.min(...otherWeights), Math.max(...otherWeights)]
  const isUnequal = !isReplacement && otherWeights.length > 0 && (weight > UNEQUAL * least || UNEQUAL * weight < most)
  return {
    warnings: [
      ...(isOnSystem ? [`${path} is on the system disk: is a disk not mounted there?`] : []),
      ...(isShared ? [`${path} shares its disk with a device of this store: they fail together`] : []),
      ...(isUnequal ? [`its weight is ${weight}, those of the others ${least} to ${most}: shards follow weights`] : []),
    ],
    // If all devices share one disk anyway, another one on it needs no confirmation. The disk that failed may have been
    // the only one of its own, so that a replacement may have to share.
    isDoubtful: isReplacement
      ? isOnSystem && !isShared
      : isUnequal || ((isOnSystem || isShared) && !(others.size === 1 && isShared)),
  }
}
