/** Text for people: how the objects of a bucket differ between two moments. Pure. */
import type { z } from "zod"
import { countText, plural, sizeText } from "@hayloft/base/text/quantity-text.js"
import { printable } from "@hayloft/base/text/report-text.js"
import type { DIFFERENCES } from "./schemas.js"

type Difference = z.output<typeof DIFFERENCES>["differences"][number]

const SIGN = { added: "+", removed: "-", changed: "~" } as const

function lineOf({ key, change, before, after }: Difference): string {
  const size =
    before && after
      ? `${sizeText(before.sizeBytes)} -> ${sizeText(after.sizeBytes)}`
      : sizeText((after ?? before)?.sizeBytes ?? 0)
  const versions = [before, after].flatMap(then => (then === undefined ? [] : [then.versionId])).join(" -> ")
  return `${SIGN[change]} ${printable(key)}  ${size}  ${versions}\n`
}

export const differencesText = (differences: readonly Difference[]): string => differences.map(lineOf).join("")

/** Numbers of objects. */
interface Totals {
  readonly added: number
  readonly removed: number
  readonly changed: number
  readonly unchanged: number
}

export const totalsText = ({ added, removed, changed, unchanged }: Totals): string =>
  `${countText(added)} added, ${countText(removed)} removed, ${countText(changed)} changed, ${plural(unchanged, "object")} unchanged\n`
