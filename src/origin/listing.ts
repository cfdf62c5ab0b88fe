/**
 * Listings of remote buckets: what the remote lists, with the writes that are pending, in one order.
 *
 * Promises  A page shows each key once, as a reader would find it: a pending write in place of the remote's object, and nothing where
 *           a deletion is pending. A common prefix is shown if an object below it would be found.
 * Limits    A page asks the remote for one page, and for more only where pending deletions hide its entries.
 */
import type { CacheSpace } from "../base/ids.js"
import { mapBounded } from "../life/index.js"
import type { Bucket, ListedObject, Objects, VersionEntry } from "../object/index.js"
import type { RemoteCache } from "./cache.js"
import type { Origin, OriginEntry, RemoteListEntry, RemoteListPage, RemoteListRequest } from "./contract.js"

const PAGE = 1_000
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

type Asked = Pick<RemoteListRequest, "bucket" | "prefix" | "delimiter" | "after">

export async function listRemote(
  parts: ListingParts,
  request: RemoteListRequest,
  signal: AbortSignal,
): Promise<RemoteListPage> {
  const { max } = request
  if (max === 0) return { entries: [], next: undefined }
  const found: RemoteListEntry[] = []
  const pending = parts.showsPending ? pendingOf(parts, request) : nothing()
  let next: string | undefined
  for await (const listed of merged(remoteOf(parts, request, max, signal), pending)) {
    if (listed.kind === "deleted") continue
    if (listed.kind === "prefix" && !(await isShown(parts, request, listed, signal))) continue
    if (found.length === max) {
      next = placeOf(found.at(-1))
      break
    }
    const isPending = listed.kind === "object" && listed.isPending
    found.push(
      listed.kind === "prefix"
        ? { kind: "prefix", prefix: listed.at }
        : { kind: "object", object: listed.object, status: isPending ? "pending" : "remote" },
    )
  }
  return { entries: request.withStatus ? await withCached(parts, found) : found, next }
}

/** The key or prefix of an entry. */
export const placeOf = (entry: RemoteListEntry | undefined): string | undefined =>
  entry === undefined ? undefined : entry.kind === "prefix" ? entry.prefix : entry.object.key

/** The common prefix of a key; undefined: it has none. */
function commonPrefixOf(key: string, { prefix, delimiter }: Pick<Asked, "prefix" | "delimiter">): string | undefined {
  if (delimiter === "") return undefined
  const at = key.indexOf(delimiter, prefix.length)
  return at < 0 ? undefined : key.slice(0, at + delimiter.length)
}

/** Whether a page that begins behind `after` has the entry: see `ListRequest.after`. */
const isBehind = (at: string, after: string, isPrefix: boolean): boolean =>
  at > after && !(isPrefix && after.startsWith(at))

async function* remoteOf(
  { origin }: ListingParts,
  { prefix, delimiter, after }: Asked,
  max: number,
  signal: AbortSignal,
): AsyncGenerator<Listed> {
  // One more says whether there is another page.
  const asked = Math.min(PAGE, max + 1)
  for (let from: string | undefined = after; from !== undefined;) {
    const page: Awaited<ReturnType<Origin["list"]>> = await origin.list(
      { prefix, delimiter, after: from, max: asked },
      signal,
    )
    for (const entry of page.entries) {
      const at = entry.kind === "prefix" ? entry.prefix : entry.key
      if (isBehind(at, after, entry.kind === "prefix")) yield listedOf(entry)
    }
    const last = page.entries.at(-1)
    const place: string | undefined = last?.kind === "prefix" ? last.prefix : last?.key
    // A remote that does not go on would be asked for ever.
    from = page.isLast || place === undefined || place <= from ? undefined : place
  }
}

function listedOf(entry: OriginEntry): Listed {
  if (entry.kind === "prefix") return { kind: "prefix", at: entry.prefix, isPending: false }
  const { key, etag, sizeBytes, lastModifiedMs } = entry
  const object: ListedObject = {
    ...{ key, etag, sizeBytes, lastModifiedMs, storageClass: "STANDARD" },
    ...{ checksumAlgorithm: undefined, checksumType: undefined },
  }
  return { kind: "object", at: key, object, isPending: false }
}

async function* nothing(): AsyncGenerator<Listed> {}

/** Pending writes; those below a common prefix as that, unless they are deletions. */
async function* pendingOf({ objects }: ListingParts, asked: Asked): AsyncGenerator<Listed> {
  let shown = ""
  for await (const entry of latestOf(objects, asked.bucket, asked.prefix, asked.after)) {
    const key = entry.kind === "version" ? entry.object.key : entry.key
    const common = commonPrefixOf(key, asked)
    if (common === undefined) {
      if (key > asked.after)
        yield entry.kind === "version"
          ? { kind: "object", at: key, object: entry.object, isPending: true }
          : { kind: "deleted", at: key }
    } else if (entry.kind === "version" && common !== shown && isBehind(common, asked.after, true)) {
      shown = common
      yield { kind: "prefix", at: common, isPending: true }
    }
  }
}

type Version = Exclude<VersionEntry, { readonly kind: "prefix" }>

/** The latest versions and delete markers of keys behind a key. */
async function* latestOf(
  objects: Pick<Objects, "listVersions">,
  bucket: Bucket,
  prefix: string,
  after: string,
): AsyncGenerator<Version> {
  let marker: Pick<Parameters<Objects["listVersions"]>[0], "keyMarker" | "versionIdMarker"> = {
    ...{ keyMarker: after, versionIdMarker: undefined },
  }
  for (;;) {
    const page = await objects.listVersions({ bucket, prefix, delimiter: "", ...marker, max: PAGE })
    for (const entry of page.entries) if (entry.kind !== "prefix" && entry.isLatest) yield entry
    if (page.next === undefined) return
    marker = page.next
  }
}

/** Both in their order; where both have the same place, the pending one stands for it. */
async function* merged(remote: AsyncGenerator<Listed>, pending: AsyncGenerator<Listed>): AsyncGenerator<Listed> {
  try {
    let [theirs, ours] = [await remote.next(), await pending.next()]
    for (;;) {
      const their = theirs.done === true ? undefined : theirs.value
      const own = ours.done === true ? undefined : ours.value
      if (their === undefined && own === undefined) return
      if (own !== undefined && (their === undefined || own.at <= their.at)) {
        yield own
        ours = await pending.next()
        if (their?.at === own.at) theirs = await remote.next()
      } else if (their !== undefined) {
        yield their
        theirs = await remote.next()
      }
    }
  } finally {
    await remote.return(undefined)
    await pending.return(undefined)
  }
}

/** Whether a common prefix of the remote has an object whose deletion is not pending. */
async function isShown(
  parts: ListingParts,
  { bucket }: Pick<Asked, "bucket">,
  { at, isPending }: Extract<Listed, { readonly kind: "prefix" }>,
  signal: AbortSignal,
): Promise<boolean> {
  if (isPending || !parts.showsPending) return true
  const pending = latestOf(parts.objects, bucket, at, "")
  const first = await pending.next()
  if (first.done === true) return true
  const below = { bucket, prefix: at, delimiter: "", after: "" }
  for await (const entry of merged(remoteOf(parts, below, PAGE - 1, signal), pendingOf(parts, below)))
    if (entry.kind === "object") return true
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
