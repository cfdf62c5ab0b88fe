/** Text for people: a quota with what is used of it, and how the counts compare with the rows. Pure. */
import type { z } from "zod"
import { countText, plural, sizeText } from "@hayloft/base/text/quantity-text.js"
import { tableText } from "@hayloft/base/text/report-text.js"
import type { QUOTA, QUOTA_CHECK, QUOTA_REPLY } from "./schemas.js"

type Check = z.output<typeof QUOTA_CHECK>

/** "4.2 GiB of 10.0 GiB". */
const usedText = (used: string, limit: string | undefined): string =>
  limit === undefined ? used : `${used} of ${limit}`

function factsText({ holder, name, limits, used, percent, isExact, isAboveWarning }: z.output<typeof QUOTA>): string {
  const { hardBytes, hardObjects, warnBytes, warnObjects } = limits
  const bytes = usedText(
    used ? sizeText(used.bytes) : "unknown",
    hardBytes === undefined ? undefined : sizeText(hardBytes),
  )
  const objects = usedText(
    used ? countText(used.objects) : "unknown",
    hardObjects === undefined ? undefined : countText(hardObjects),
  )
  const warned = [
    ...(warnBytes === undefined ? [] : [sizeText(warnBytes)]),
    ...(warnObjects === undefined ? [] : [plural(warnObjects, "object")]),
  ]
  return tableText(
    [holder, name],
    [
      ["bytes", bytes],
      ["objects", objects],
      ...(percent === undefined ? [] : [["used", `${percent} %`]]),
      ...(warned.length === 0 ? [] : [["warning level", `${warned.join(", ")}${isAboveWarning ? ": above it" : ""}`]]),
      ...(isExact ? [] : [["state", "counting what is there: no limit holds yet"]]),
      ...(used === undefined ? [["state", "what is used is lost: hayloft quota check --repair"]] : []),
    ],
  )
}

export const quotaText = (name: string, { quota }: z.output<typeof QUOTA_REPLY>): string =>
  quota === undefined ? `${name} has no quota\n` : factsText(quota)

export function checkText({ hasQuota, used, counters, walked, isStill, agrees }: Check): string {
  const row = (name: string, found: { bytes: number; objects: number; partBytes?: number } | undefined) => [
    name,
    ...(found === undefined
      ? ["lost", "", ""]
      : [String(found.bytes), found.partBytes === undefined ? "" : String(found.partBytes), String(found.objects)]),
  ]
  const verdict = agrees
    ? isStill
      ? "they agree\n"
      : "counted and counters agree; rows have changed during the walk\n"
    : "they differ\n"
  const rows = [...(hasQuota ? [row("counted", used)] : []), row("counters", counters), row("walk", walked)]
  return `${tableText(["", "BYTES", "IN PARTS", "OBJECTS"], rows)}${hasQuota ? "" : "there is no quota; "}${verdict}`
}

/** The message of a check that has found a difference. */
export const differenceText = ({ hasQuota }: Check): string =>
  hasQuota
    ? "what is counted differs from the rows: hayloft quota check --repair counts again"
    : "the counters differ from the rows"
