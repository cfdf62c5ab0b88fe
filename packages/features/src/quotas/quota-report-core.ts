/** A quota as people read it: what is used, of what, and how close that is. Pure. */
import type { QuotaLimits } from "@hayloft/engine/format/usage.js"
import type { QuotaState } from "./usage-queries-core.js"

export interface QuotaReport {
  readonly holder: "bucket" | "account"
  /** The bucket's name, or the account's id. */
  readonly name: string
  readonly limits: QuotaLimits
  /** False: what was there before the quota is being added, and the limits do not hold yet. */
  readonly isExact: boolean
  /** If undefined, the usage is lost, and must be counted again. */
  readonly used?: {
    /** The bytes of all versions, and of parts of uploads in progress. */
    readonly bytes: number
    /** The bytes of parts among them. */
    readonly partBytes: number
    readonly objects: number
  }
  /** The percentage of the limit that is closer; it is absent without a limit. */
  readonly percent?: number
  readonly isAboveWarning: boolean
}

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
