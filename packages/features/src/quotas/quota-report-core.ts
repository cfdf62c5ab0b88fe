/** A quota as people read it: what is used, of what, and how close that is. Pure. */
import type { z } from "zod"
import type { ReadOnly } from "@hayloft/base/read-only.js"
import type { QuotaState } from "./usage-queries-core.js"
import type { QUOTA } from "./schemas.js"

export type QuotaReport = ReadOnly<z.output<typeof QUOTA>>

export function quotaReportOf({ owner, name, quota: { limits, isExact }, used: found }: QuotaState): QuotaReport {
  const holder = { holder: owner.kind, name: owner.kind === "bucket" ? name : owner.accountId }
  if (found === undefined) return { ...holder, limits, isExact, isAboveWarning: false }
  const { partBytes, objects } = found
  const bytes = found.bytes + partBytes
  const { hardBytes, hardObjects, warnBytes = Infinity, warnObjects = Infinity } = limits
  const shares = [shareOf(bytes, hardBytes), shareOf(objects, hardObjects)].filter(share => share !== undefined)
  return {
    ...holder,
    limits,
    isExact,
    used: { bytes, partBytes, objects },
    ...(shares.length > 0 && { percent: Math.round(100 * Math.max(...shares)) }),
    isAboveWarning: bytes >= warnBytes || objects >= warnObjects,
  }
}

/** A limit of zero is always reached. */
const shareOf = (used: number, limit: number | undefined): number | undefined =>
  limit === undefined ? undefined : limit === 0 ? 1 : used / limit
