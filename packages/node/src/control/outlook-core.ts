/**
 * Outlook of a change: the loss, and the failures that the store survives afterwards, as its plan shows them, in a text that
 * the confirmation repeats. A change whose outlook has become worse since the operator saw the plan is refused; anything
 * else may have changed. Pure.
 *
 * The text has words such as `disks=1 locked=0 ec:2+1=16384`: how many disks, machines and zones may fail after the change,
 * how many buckets with object lock become less safe, and of each redundancy the partitions whose data is given up. A
 * reader compares only the words that it knows; a redundancy that is not named loses nothing.
 */
import { fail } from "@hayloft/base/failures.js"
import type { LockedNames } from "@hayloft/base/locked-names.js"
import { lossText, type Preview, type ShardLoss } from "@hayloft/engine/cluster/index.js"

type Survivals = Pick<Preview, "survives" | "survivesMachines" | "survivesZones">

const SURVIVES = ["disks", "machines", "zones"]
const LOCKED = "locked"
/** A redundancy may name its matrix: `ec:4+2/vandermonde`. */
const WORD = "[a-z]+(?::[0-9+]+(?:/[a-z]+)?)?=-?\\d{1,9}"
const OUTLOOK = new RegExp(`^${WORD}(?: ${WORD})*$`)

/** `locked` is undefined where it was not looked up. */
export function outlookOf(
  { survives, survivesMachines, survivesZones }: Survivals,
  losses: readonly ShardLoss[],
  locked: LockedNames | undefined,
): string {
  const words: readonly (readonly [name: string, value: number | undefined])[] = [
    ["disks", survives.after],
    ["machines", survivesMachines?.after],
    ["zones", survivesZones?.after],
    [LOCKED, locked && locked.listed.length + locked.more],
    ...losses.map(({ policy, partitions }) => [policy, partitions] as const),
  ]
  return words.flatMap(([name, value]) => (value === undefined ? [] : [`${name}=${value}`])).join(" ")
}

/** Throws `invalidArgument`. */
function parseOutlook(text: string): ReadonlyMap<string, number> {
  if (!OUTLOOK.test(text))
    throw fail("invalidArgument", { message: "the outlook is not that of a plan", outlook: text })
  return new Map(
    text.split(" ").map(word => {
      const [name = "", value = ""] = word.split("=")
      return [name, Number(value)]
    }),
  )
}

/** Throws `planOutdated`, which says what has become worse, if `now` is worse than the outlook that was shown. */
export function checkOutlook(shown: string, now: string): void {
  const before = parseOutlook(shown)
  const worse = Array.from(parseOutlook(now), ([name, value]) => worseText(name, before.get(name), value))
  const changes = worse.filter(text => text !== undefined)
  if (changes.length === 0) return
  throw fail("planOutdated", {
    message: `the change was not made, because the outcome would be worse than the plan showed: ${changes.join("; ")}. Plan the change again and read the new plan`,
  })
}

/** Returns undefined unless the value is worse. */
function worseText(name: string, before: number | undefined, now: number): string | undefined {
  if (SURVIVES.includes(name)) {
    if (before === undefined || now >= before) return undefined
    return now < 0
      ? "some data is not readable after it"
      : `after it ${now} ${name} may fail, in the plan that was shown ${before}`
  }
  const shown = before ?? 0
  if (now <= shown) return undefined
  if (name === LOCKED)
    return `${now} buckets with object lock become less safe than promised, in the plan that was shown ${shown}`
  const lost = lossText({ policy: name, partitions: now })
  const lostBefore = shown === 0 ? "none" : lossText({ policy: name, partitions: shown })
  return `${lost} has too few shards on the complete devices that remain, in the plan that was shown ${lostBefore}`
}
