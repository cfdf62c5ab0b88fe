/**
 * Names of buckets with object lock: what an operator's command that leaves them less safe has to be given. Pure.
 *
 * A command lists the buckets in the order of their names. If there are more than LISTED_MAX, it lists the first of them
 * with the number of the others, and naming those listed is enough.
 */
import { fail } from "./failures.js"
import type { BucketName } from "./ids.js"

const LISTED_MAX = 100

export const LOCKED_FLAG = "--locked-buckets"

/** The buckets that a command would leave less safe. */
export interface LockedNames {
  /** The operator has to name these. */
  readonly listed: readonly string[]
  /** How many there are beside those. */
  readonly more: number
}

export const lockedNamesOf = (names: readonly BucketName[]): LockedNames => ({
  listed: names.slice(0, LISTED_MAX),
  more: Math.max(0, names.length - LISTED_MAX),
})

export const lockedNamesText = ({ listed, more }: LockedNames): string =>
  `${listed.join(", ")}${more === 0 ? "" : ` and ${more} more`}`

/**
 * Throws `invalidArgument`, which tells what to send, unless all that are listed were named. `change` says in a sentence
 * what is not done.
 */
export function requireLockedNames(change: string, locked: LockedNames, named: readonly string[]): void {
  const missing = locked.listed.filter(name => !named.includes(name))
  if (missing.length === 0) return
  const not = missing.length === locked.listed.length ? "" : `; not named: ${missing.join(", ")}`
  const { listed } = locked
  throw fail("invalidArgument", {
    message: `not done: ${change}. Buckets with object lock would be less safe than they were promised to be: ${lockedNamesText(locked)}. To do it all the same, name them: ${LOCKED_FLAG} ${listed.join(",")}, or "lockedBuckets": ${JSON.stringify(listed)} in a request${not}`,
  })
}
