/** Remote stores, the buckets that use them and their pending writes, as text for people. Pure. */
import type { z } from "zod"
import { countText, sizeText } from "@hayloft/base/text/quantity-text.js"
import { printable, tableText, timeText } from "@hayloft/base/text/report-text.js"
import { PENDING_COUNTED_MAX, type PENDING_WRITES, type REMOTES } from "./schemas.js"

type Report = z.output<typeof REMOTES>
type Pending = z.output<typeof PENDING_WRITES>

/** A number of pending writes, as far as they are counted. */
export const countedText = ({ pending, hasMore }: { readonly pending: number; readonly hasMore: boolean }): string =>
  hasMore ? `more than ${countText(pending)}` : countText(pending)

export function pendingText({ pending, hasMore }: Pending): string {
  if (pending.length === 0) return "no write is pending\n"
  const rows = pending.map(({ kind, sizeBytes, sinceMs, key, lastError = "" }) => [
    kind,
    kind === "put" ? sizeText(sizeBytes) : "",
    timeText(sinceMs),
    printable(key),
    printable(lastError),
  ])
  const more = hasMore ? `these are the first ${countText(pending.length)}; others follow\n` : ""
  return tableText(["WRITE", "SIZE", "SINCE", "KEY", "LAST ERROR"], rows) + more
}

function storesTable(stores: Report["stores"]): string {
  const rows = stores.map(({ name, endpoint, accounts, requests, failures, lastError, lastErrorMs }) => [
    name,
    printable(endpoint),
    printable(accounts.join(", ")),
    countText(requests),
    countText(failures),
    lastError === undefined
      ? ""
      : printable(lastErrorMs === undefined ? lastError : `${timeText(lastErrorMs)}: ${lastError}`),
  ])
  return tableText(["STORE", "ENDPOINT", "ACCOUNTS", "REQUESTS", "FAILURES", "LAST ERROR"], rows)
}

function bucketsTable(buckets: Report["buckets"]): string {
  if (buckets.length === 0) return ""
  const rows = buckets.map(({ bucket, store, remoteBucket, prefix, writes, freshness, pending }) => [
    bucket,
    store,
    printable(`${remoteBucket}/${prefix}`),
    writes.toLowerCase(),
    freshness.maxAgeSeconds === undefined ? freshness.check.toLowerCase() : `${freshness.maxAgeSeconds} s`,
    countedText({ pending, hasMore: pending >= PENDING_COUNTED_MAX }),
  ])
  return `${tableText(["BUCKET", "STORE", "OBJECTS IN", "WRITES", "FRESHNESS", "PENDING"], rows)}\n`
}

function cacheText({ sizeBytes, sizeBytesMax, hitBytes, missBytes, evictedBytes }: Report["cache"]): string {
  const read = hitBytes + missBytes
  const hits =
    read === 0
      ? "nothing read yet"
      : `${Math.floor((hitBytes / read) * 100)} % of ${sizeText(read)} read came from it, ${sizeText(evictedBytes)} evicted`
  return `cache: ${sizeText(sizeBytes)} of ${sizeText(sizeBytesMax)}; ${hits}\n`
}

export const remotesText = ({ stores, buckets, cache }: Report): string =>
  [`${storesTable(stores)}\n`, bucketsTable(buckets), cacheText(cache)].join("")
