/** Quotas in the status of a store. */
import { plural, sizeText } from "@hayloft/base/text/quantity-text.js"
import { printable } from "@hayloft/base/text/report-text.js"
import type { Core } from "@hayloft/objects/door/index.js"
import { z } from "zod"
import { statusPart } from "../operator/index.js"
import type { QuotaReport } from "./quota-report-core.js"
import { QUOTA } from "./schemas.js"

/** From here on a quota is shown although it has no warning level. */
const FULL_PERCENT = 95
const QUOTAS_SHOWN = 10

const isShown = ({ used, isAboveWarning, percent = 0, isExact }: z.output<typeof QUOTA>): boolean =>
  used === undefined || isAboveWarning || percent >= FULL_PERCENT || !isExact

function quotaText({ holder, name, used, percent, isAboveWarning, isExact }: z.output<typeof QUOTA>): string {
  const share = percent === undefined ? "" : `${percent} % used, `
  const amount =
    used === undefined ? "what is used is lost" : `${sizeText(used.bytes)}, ${plural(used.objects, "object")}`
  const warning = isAboveWarning ? ", above its warning level" : ""
  return `${holder} ${printable(name)}: ${share}${amount}${warning}${isExact ? "" : ", counting what is there"}`
}

export const quotaStatus = (quotasOf: (core: Core) => readonly QuotaReport[]) =>
  statusPart({
    name: "quotas",
    description: "of buckets and accounts; absent if there are none",
    schema: z.array(QUOTA),
    report(core) {
      const quotas = quotasOf(core)
      return quotas.length === 0 ? undefined : [...quotas]
    },
    lines: quotas =>
      quotas
        .filter(isShown)
        .slice(0, QUOTAS_SHOWN)
        .map(quota => ["quota", quotaText(quota)] as const),
  })
