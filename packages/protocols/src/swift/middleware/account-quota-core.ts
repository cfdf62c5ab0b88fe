/**
 * Quotas of accounts, as Swift's clients set and read them: they are the store's own (`hayloft quota`), which nothing exceeds. Pure.
 *
 * Source  The middleware `account_quotas` of OpenStack Swift. `X-Account-Meta-Quota-Bytes` is its older name for bytes.
 */
import { fail } from "@hayloft/base/failures.js"
import type { Headers } from "@hayloft/base/http/request-headers.js"
import type { QuotaLimits } from "@hayloft/engine/format/objects/usage.js"
import type { HeaderField } from "@hayloft/base/http/request-headers.js"

const NAMES = {
  hardBytes: ["account-quota-bytes", "account-meta-quota-bytes"],
  hardObjects: ["account-quota-count"],
} as const
type Limit = keyof typeof NAMES

/** Null: it is removed; absent: the request does not say. */
type QuotaChange = Readonly<Partial<Record<Limit, number | null>>>

const isQuotaHeader = (name: string): boolean =>
  Object.values(NAMES)
    .flat()
    .some(known => name === `x-${known}` || name === `x-remove-${known}`)

/** The headers that are about something else: metadata. */
export const withoutQuota = (headers: Headers): Headers =>
  new Map([...headers].filter(([name]) => !isQuotaHeader(name)))

function limitOf(text: string): number | null {
  if (text === "") return null
  if (/^\d{1,15}$/.test(text)) return Number(text)
  throw fail("invalidRequest", { message: "Invalid quota: a whole number is needed" })
}

/** Returns what the headers change; undefined: nothing. Throws `invalidRequest`. */
export function quotaChangeIn(headers: Headers): QuotaChange | undefined {
  const change: Partial<Record<Limit, number | null>> = {}
  for (const limit of ["hardBytes", "hardObjects"] as const) {
    const names = NAMES[limit]
    const stated = names.map(name => headers.get(`x-${name}`)).find(text => text !== undefined)
    if (names.some(name => headers.has(`x-remove-${name}`))) change[limit] = null
    else if (stated !== undefined) change[limit] = limitOf(stated)
  }
  return Object.keys(change).length === 0 ? undefined : change
}

/** The limits that follow; warning levels stay. Undefined: none is left. */
export function changedLimits(former: QuotaLimits | undefined, change: QuotaChange): QuotaLimits | undefined {
  const limits = Object.fromEntries(
    Object.entries({ ...former, ...change }).filter(([, limit]) => limit !== null && limit !== undefined),
  )
  return Object.keys(limits).length === 0 ? undefined : limits
}

export function quotaFields({ hardBytes, hardObjects }: QuotaLimits): HeaderField[] {
  const bytes =
    hardBytes === undefined ? [] : NAMES.hardBytes.map((name): HeaderField => [shown(name), String(hardBytes)])
  const objects: HeaderField[] = hardObjects === undefined ? [] : [["X-Account-Quota-Count", String(hardObjects)]]
  return [...bytes, ...objects]
}

const shown = (name: string): string => `x-${name}`.replace(/(^|-)([a-z])/g, letters => letters.toUpperCase())
