/**
 * Records what a process has seen of the database, and tells whether the database shows less than that: then it was
 * restored to an earlier moment, or has failed over without its last commits. Pure.
 *
 * Numbers of lanes only grow, incarnations are numbered upwards, and one that has ended stays ended. What was seen before
 * a reconciliation is not compared after it.
 */
import type { DatabaseMark } from "../format/device/database-mark.js"
import type { IncarnationList } from "./database.js"

/** The mark that a device attests. */
export interface AttestedMark extends DatabaseMark {
  /** The device has a newer control record than the database. */
  readonly hasNewerRecord?: boolean
}

export const NOTHING_SEEN: DatabaseMark = { reconciliations: 0, highest: 0, live: [] }

/** Returns what the database has lost of that, in words; undefined: nothing, as far as this shows. */
export function lossIn(seen: AttestedMark, list: IncarnationList): string | undefined {
  if (list.reconciliations > seen.reconciliations) return undefined
  if (list.reconciliations < seen.reconciliations) return "it has lost a reconciliation"
  if (list.highest < seen.highest)
    return `it knows incarnations up to ${list.highest}, and ${seen.highest} had begun already`
  if (seen.hasNewerRecord === true) return "a device has a newer control record than it"
  for (const { incarnation, numbers } of list.live) {
    if (incarnation > seen.highest) continue
    const before = seen.live.find(each => each.incarnation === incarnation)
    if (before === undefined) return `incarnation ${incarnation} had ended, and has not ended in it`
    const isLower = before.numbers.some((number, lane) => Number(numbers[lane] ?? 0n) < number)
    if (isLower) return `it has lost commits of incarnation ${incarnation}`
  }
  return undefined
}

/**
 * Returns what a process has seen after it read the list, whether or not that shows a loss. After a reconciliation the
 * highest incarnation is that of the list: the highest one before it may be among what the database has lost.
 */
export const seenAfter = (seen: DatabaseMark, { reconciliations, highest, live }: IncarnationList): DatabaseMark => ({
  reconciliations: Math.max(seen.reconciliations, reconciliations),
  highest: reconciliations > seen.reconciliations ? highest : Math.max(seen.highest, highest),
  live: live.map(({ incarnation, numbers }) => ({ incarnation, numbers: numbers.map(Number) })),
})

/** Returns what was seen, with the numbers that the lanes of an incarnation have reached. */
export const withNumbers = (seen: DatabaseMark, own: number, numbers: readonly number[]): DatabaseMark => ({
  ...seen,
  live: [...seen.live.filter(({ incarnation }) => incarnation !== own), { incarnation: own, numbers }],
})

/**
 * The incarnations that had not ended, by the list or by what was seen: one that another process ended between the
 * rollback and its notice has uploads that the database does not know.
 */
export function liveBefore(marks: readonly AttestedMark[], list: IncarnationList): readonly number[] {
  const current = marks.filter(({ reconciliations }) => reconciliations >= list.reconciliations)
  return [...new Set([list, ...current].flatMap(({ live }) => live.map(({ incarnation }) => incarnation)))]
}
