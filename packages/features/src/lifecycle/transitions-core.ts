/**
 * To which storage class lifecycle rules move a version, and when. Pure.
 *
 * A version goes through the moves of its rules in the order of their times, as it would if each day's pass had run: rules
 * that were put later, or a store that was stopped, lead to the same class. Of moves that are due at the same time the one
 * to the cheapest class is made. Asked again after a move, the answer is that the version stays.
 * Source  "Transitioning objects using Amazon S3 Lifecycle", and "Conflicting lifecycle actions", Amazon S3 User Guide.
 */
import { isArchive, type StorageClass } from "@hayloft/base/storage-class.js"
import type { LifecycleFilter, LifecycleRules } from "@hayloft/engine/format/objects/lifecycle-rules.js"

/** Objects below it stay in their class, unless the rule states a size. 128 KiB. */
const SIZE_MIN = 131_072

/** Which classes follow which. Nothing moves to STANDARD or REDUCED_REDUNDANCY. */
const ARCHIVES = ["GLACIER", "DEEP_ARCHIVE"] as const
const FROM_TIERING = ["ONEZONE_IA", "GLACIER_IR", ...ARCHIVES] as const
const FROM_INFREQUENT = ["INTELLIGENT_TIERING", ...FROM_TIERING] as const
const FROM_STANDARD = ["STANDARD_IA", ...FROM_INFREQUENT] as const
const MOVES: Readonly<Record<StorageClass, readonly StorageClass[]>> = {
  STANDARD: FROM_STANDARD,
  REDUCED_REDUNDANCY: FROM_STANDARD,
  STANDARD_IA: FROM_INFREQUENT,
  INTELLIGENT_TIERING: FROM_TIERING,
  ONEZONE_IA: ARCHIVES,
  GLACIER_IR: ARCHIVES,
  GLACIER: ["DEEP_ARCHIVE"],
  DEEP_ARCHIVE: [],
}

/** Returns true if lifecycle moves objects of one class to the other. */
export const mayMove = (from: StorageClass, to: StorageClass): boolean => MOVES[from].includes(to)

/**
 * The class that is preferred comes last. "S3 Lifecycle tries to choose the path that is least expensive for you.
 * An exception to this general rule is with the S3 Intelligent-Tiering storage class. S3 Intelligent-Tiering is favored …
 * over any storage class, aside from the S3 Glacier Flexible Retrieval and S3 Glacier Deep Archive storage classes."
 */
const PREFERENCE: readonly StorageClass[] = [
  "STANDARD",
  "REDUCED_REDUNDANCY",
  "STANDARD_IA",
  "ONEZONE_IA",
  "GLACIER_IR",
  "INTELLIGENT_TIERING",
  "GLACIER",
  "DEEP_ARCHIVE",
]

const preferred = (a: Move, b: Move): Move =>
  PREFERENCE.indexOf(b.storageClass) > PREFERENCE.indexOf(a.storageClass) ? b : a

/** A move to another class by a rule. */
export interface Move {
  readonly ruleId: string
  readonly dueMs: number
  readonly storageClass: StorageClass
}

/**
 * The moves that a version makes from its class on, in order, out of those that its rules want. Where a rule wants the
 * class that the version has by then, it stays.
 */
export function movesMade(from: StorageClass, wanted: readonly Move[]): readonly Move[] {
  const made: Move[] = []
  let at = from
  for (const due of byTime(wanted)) {
    const possible = due.filter(({ storageClass }) => storageClass === at || mayMove(at, storageClass))
    if (possible.length === 0) continue
    const chosen = possible.reduce(preferred)
    if (chosen.storageClass === at) continue
    made.push(chosen)
    at = chosen.storageClass
  }
  return made
}

/** Moves that are due at the same time, in the order of the times: a bucket may have some thousand. */
function* byTime(moves: readonly Move[]): Generator<readonly Move[]> {
  const sorted = [...moves].sort((a, b) => a.dueMs - b.dueMs)
  for (let first = 0; first < sorted.length;) {
    let end = first + 1
    while (sorted[end]?.dueMs === sorted[first]?.dueMs && end < sorted.length) end += 1
    yield sorted.slice(first, end)
    first = end
  }
}

/**
 * Returns true if an object is too small for a class. "Custom filters always take precedence over the default
 * transition behavior." `varies_by_storage_class`: only archives take small objects.
 */
export function isTooSmall(
  sizeBytes: number,
  { sizeAbove, sizeBelow }: LifecycleFilter,
  storageClass: StorageClass,
  minimum: LifecycleRules["transitionMinimum"],
): boolean {
  if (sizeBytes >= SIZE_MIN || sizeAbove !== undefined || sizeBelow !== undefined) return false
  return minimum === "all_storage_classes_128K" || !isArchive(storageClass)
}
