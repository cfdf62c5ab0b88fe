/**
 * Listings of remote buckets: what the remote lists, with the writes that are pending, in one order.
 *
 * Promises  A page shows each key once, as a reader would find it: a pending write in place of the remote's object, and nothing where
 *           a deletion is pending. A common prefix is shown if an object below it would be found.
 * Limits    A page asks the remote for one page, and for more only where pending deletions hide its entries. It looks at
 *           `PENDING_MAX` pending writes, and so may have fewer entries than asked for although others follow.
 */
import type { CacheSpace } from "@hayloft/base/ids.js"
import { mapBounded } from "@hayloft/base/life/index.js"
import { walkPages } from "@hayloft/base/walk-pages.js"
import type { ListedObject, Objects } from "@hayloft/objects/index.js"
import type { RemoteCache } from "./cache.js"
import type { Origin, OriginEntry, RemoteListEntry, RemoteListPage, RemoteListRequest } from "./contract.js"
import { originPages, placeOfOriginEntry } from "./origin-pages.js"
import { keyOfVersion, latestOf, type RemoteVersion } from "./versions.js"

const PAGE = 1_000
/** Pending writes that one page looks at: a page may have fewer entries than asked for. */
const PENDING_MAX = 4_000
const LOOKUPS_CONCURRENT = 16

/** An entry of one of the listings that are merged. `at`: key or prefix. */
type Listed =
  | { readonly kind: "object"; readonly at: string; readonly object: ListedObject; readonly isPending: boolean }
  | { readonly kind: "deleted"; readonly at: string }
  | { readonly kind: "prefix"; readonly at: string; readonly isPending: boolean }

interface ListingParts {
  readonly objects: Pick<Objects, "listVersions">
  readonly cache: RemoteCache
  readonly origin: Origin
  readonly space: CacheSpace
  /** Pending writes are part of the bucket. */
  readonly showsPending: boolean
}

type Asked = Pick<RemoteListRequest, "bucket" | "prefix" | "delimiter" | "after" | "max">

export async function listRemote(
  parts: ListingParts,
  request: RemoteListRequest,
  signal: AbortSignal,
): Promise<RemoteListPage> {
  if (request.max === 0) return { entries: [], next: undefined }
  // Before the remote is asked: a write that is sent meanwhile is in the remote's listing then.
  const pending = parts.showsPending ? await pendingOf(parts, request) : NOTHING
  const found: RemoteListEntry[] = []
  const shown = (next: string | undefined): Promise<RemoteListPage> => pageOf(parts, request, found, next)
  // Deletions that are pending hide entries of the remote: then small pages would be many.
  const max = pending.listed.length === 0 ? request.max : PAGE
  for await (const listed of merged(remoteOf(parts, { ...request, max }, signal), pending.listed)) {
    // Changes that are pending further on are not known yet.
    if (pending.upTo !== undefined && listed.at > pending.upTo) return shown(pending.upTo)
    if (listed.kind === "deleted") continue
    if (listed.kind === "prefix" && !(await isShown(parts, request, listed, signal))) continue
    if (found.length === request.max) return shown(keyOfRemoteEntry(found.at(-1)))
    found.push(entryOf(listed))
  }
  return shown(pending.upTo)
}

async function pageOf(
  parts: ListingParts,
  { withStatus }: RemoteListRequest,
  found: readonly RemoteListEntry[],
  next: string | undefined,
): Promise<RemoteListPage> {
  return { entries: withStatus ? await withCached(parts, found) : found, next }
}

function entryOf(listed: Exclude<Listed, { readonly kind: "deleted" }>): RemoteListEntry {
  if (listed.kind === "prefix") return { kind: "prefix", prefix: listed.at }
  return { kind: "object", object: listed.object, status: listed.isPending ? "pending" : "remote" }
}

/** The key or prefix of an entry. */
export const keyOfRemoteEntry = (entry: RemoteListEntry | undefined): string | undefined =>
  entry === undefined ? undefined : entry.kind === "prefix" ? entry.prefix : entry.object.key

/** The common prefix of a key; undefined: it has none. */
function commonPrefixOf(key: string, { prefix, delimiter }: Pick<Asked, "prefix" | "delimiter">): string | undefined {
  if (delimiter === "") return undefined
  const at = key.indexOf(delimiter, prefix.length)
  return at < 0 ? undefined : key.slice(0, at + delimiter.length)
}

/** Returns true if a page that begins behind `after` has the entry: see `ListRequest.after`. */
const isBehind = (at: string, after: string, isPrefix: boolean): boolean =>
  at > after && !(isPrefix && after.startsWith(at))

async function* remoteOf(
  { origin }: ListingParts,
  { prefix, delimiter, after, max }: Asked,
  signal: AbortSignal,
): AsyncGenerator<Listed> {
  // One more says whether there is another page.
  const request = { prefix, delimiter, after, max: Math.min(PAGE, max + 1) }
  let last = after
  for await (const { entries } of originPages(origin, request, signal)) {
    for (const entry of entries) {
      const at = placeOfOriginEntry(entry)
      if (!isBehind(at, last, entry.kind === "prefix")) continue
      last = at
      yield listedOf(entry)
    }
  }
}

function listedOf(entry: OriginEntry): Listed {
  if (entry.kind === "prefix") return { kind: "prefix", at: entry.prefix, isPending: false }
  const { key, etag, sizeBytes, lastModifiedMs } = entry
  const object: ListedObject = {
    key,
    etag,
    sizeBytes,
    lastModifiedMs,
    storageClass: "STANDARD",
    checksumAlgorithm: undefined,
    checksumType: undefined,
  }
  return { kind: "object", at: key, object, isPending: false }
}

interface Pending {
  /** In the order of the listing. */
  readonly listed: readonly Listed[]
  /** The last key that was looked at; undefined: there is nothing behind it. */
  readonly upTo: string | undefined
}

const NOTHING: Pending = { listed: [], upTo: undefined }

/** Pending writes behind the place of the request; those below a common prefix as that, unless they are deletions. */
async function pendingOf({ objects }: ListingParts, asked: Asked): Promise<Pending> {
  const listed: Listed[] = []
  let looked = 0
  let [last, lastCommon]: [string, string | undefined] = ["", undefined]
  for await (const entry of latestOf(objects, asked.bucket, asked)) {
    const key = keyOfVersion(entry)
    const common = commonPrefixOf(key, asked)
    // Not within a common prefix, of which the next page shows nothing.
    if (looked >= PENDING_MAX && (common === undefined || common !== lastCommon)) return { listed, upTo: last }
    ;[last, lastCommon] = [key, common]
    looked += 1
    const shown = shownOf(entry, key, common)
    if (shown !== undefined && isBehind(shown.at, asked.after, common !== undefined) && listed.at(-1)?.at !== shown.at)
      listed.push(shown)
  }
  return { listed, upTo: undefined }
}

/** Returns undefined for a deletion below a common prefix: nothing is shown of it. */
function shownOf(entry: RemoteVersion, key: string, common: string | undefined): Listed | undefined {
  if (entry.kind === "marker") return common === undefined ? { kind: "deleted", at: key } : undefined
  if (common !== undefined) return { kind: "prefix", at: common, isPending: true }
  return { kind: "object", at: key, object: entry.object, isPending: true }
}

/** Both in their order; where both have the same place, the pending one stands for it. */
async function* merged(remote: AsyncGenerator<Listed>, pending: readonly Listed[]): AsyncGenerator<Listed> {
  let taken = 0
  for await (const theirs of remote) {
    let isReplaced = false
    for (let own = pending[taken]; own !== undefined && own.at <= theirs.at; own = pending[taken]) {
      taken += 1
      isReplaced = own.at === theirs.at
      yield own
    }
    if (!isReplaced) yield theirs
  }
  yield* pending.slice(taken)
}

/** Returns true if a common prefix of the remote has an object whose deletion is not pending. */
async function isShown(
  parts: ListingParts,
  { bucket }: Pick<Asked, "bucket">,
  { at, isPending }: Extract<Listed, { readonly kind: "prefix" }>,
  signal: AbortSignal,
): Promise<boolean> {
  if (isPending || !parts.showsPending) return true
  const first = await latestOf(parts.objects, bucket, { prefix: at }).next()
  if (first.done === true) return true
  const pages = walkPages("", after => {
    const below = { bucket, prefix: at, delimiter: "", after, max: 1, withStatus: false }
    return listRemote(parts, below, signal)
  })
  for await (const page of pages) {
    if (page.entries.length > 0) return true
  }
  return false
}

/** Tells cached objects from others. */
const withCached = (
  { cache, space }: ListingParts,
  entries: readonly RemoteListEntry[],
): Promise<readonly RemoteListEntry[]> =>
  mapBounded(entries, LOOKUPS_CONCURRENT, async entry => {
    if (entry.kind === "prefix" || entry.status !== "remote") return entry
    return (await cache.hasEntry(space, entry.object.key)) ? { ...entry, status: "cached" } : entry
  })
