/**
 * Naive listings: all keys are sorted, grouped, filtered and cut to a page. Byte strings compare by bytes.
 */
import { fail } from "@hayloft/base/failures.js"
import type { MultipartId, ObjectKey } from "@hayloft/base/ids.js"
import type {
  ListedObject,
  ListEntry,
  ListPage,
  ListRequest,
  ListVersionsRequest,
  MultipartInfo,
  UploadListEntry,
  VersionEntry,
  VersionsPage,
} from "@hayloft/objects/contract.js"
import { shownOf } from "./encryption.js"
import type { ModelBucket, ModelObject, ModelUpload } from "./state.js"
import { versionsOf } from "./state.js"

export const byText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)

/** The common prefix of a key; undefined if it has none. */
function commonPrefix(key: string, prefix: string, delimiter: string): string | undefined {
  const at = delimiter === "" ? -1 : key.indexOf(delimiter, prefix.length)
  return at === -1 ? undefined : key.slice(0, at + delimiter.length)
}

const keysOf = (bucket: ModelBucket, prefix: string): ObjectKey[] =>
  [...bucket.keys.keys()].filter(key => key.startsWith(prefix)).sort(byText)

const listed = (
  key: ObjectKey,
  { info, acl }: ModelObject,
  { withOwners = false, withTypes = false }: Pick<ListRequest, "withOwners" | "withTypes">,
): ListedObject => ({
  key,
  sizeBytes: info.sizeBytes,
  etag: info.etag,
  lastModifiedMs: info.lastModifiedMs,
  storageClass: info.storageClass,
  checksumAlgorithm: info.checksum?.algorithm,
  checksumType: info.checksum?.type,
  ...(withOwners && { owner: acl?.owner }),
  ...(withTypes && { contentType: info.headers.contentType, symlink: info.headers.symlink }),
})

export function list(bucket: ModelBucket, request: ListRequest): ListPage {
  const { prefix, delimiter, after, max } = request
  const all = new Map<string, ListEntry>()
  for (const key of keysOf(bucket, prefix)) {
    const latest = versionsOf(bucket, key)[0]
    if (latest?.kind !== "object") continue
    const group = commonPrefix(key, prefix, delimiter)
    if (group === undefined) all.set(key, { kind: "object", object: listed(key, latest, request) })
    else all.set(group, { kind: "prefix", prefix: group })
  }
  const rest = [...all].filter(([name]) => name > after).sort(([a], [b]) => byText(a, b))
  const page = rest.slice(0, max)
  return { entries: page.map(([, entry]) => entry), next: rest.length > max ? page.at(-1)?.[0] : undefined }
}

/** An entry with its sort order: by name, then newest (lowest rank) first. */
interface Placed<Entry> {
  readonly name: string
  readonly rank: string
  readonly entry: Entry
}

const byPlace = <Entry>(a: Placed<Entry>, b: Placed<Entry>): number => byText(a.name, b.name) || byText(a.rank, b.rank)

function versionEntries(bucket: ModelBucket, request: ListVersionsRequest): Placed<VersionEntry>[] {
  const { prefix, delimiter } = request
  const groups = new Set<string>()
  const entries: Placed<VersionEntry>[] = []
  for (const key of keysOf(bucket, prefix)) {
    const group = commonPrefix(key, prefix, delimiter)
    if (group !== undefined) {
      groups.add(group)
      continue
    }
    for (const [i, version] of versionsOf(bucket, key).entries()) {
      const { versionId, lastModifiedMs } = version.info
      const shared = { versionId, isLatest: i === 0 }
      const entry: VersionEntry =
        version.kind === "object"
          ? { kind: "version", ...shared, object: listed(key, version, request), writtenMs: version.writtenMs }
          : { kind: "marker", ...shared, key, lastModifiedMs }
      entries.push({ name: key, rank: version.rank, entry })
    }
  }
  for (const group of groups) entries.push({ name: group, rank: "", entry: { kind: "prefix", prefix: group } })
  return entries.sort(byPlace)
}

/** The rank after which a page that begins within a key continues; above every rank if the marker has no version id. */
function rankOfMarker(bucket: ModelBucket, { keyMarker, versionIdMarker }: ListVersionsRequest): string {
  const above = "~"
  if (versionIdMarker === undefined) return above
  const found = [...bucket.keys]
    .find(([key]) => key === keyMarker)?.[1]
    .find(version => version.info.versionId === versionIdMarker)
  return found?.rank ?? (versionIdMarker === "null" ? above : versionIdMarker.slice(0, 13))
}

export function listVersions(bucket: ModelBucket, request: ListVersionsRequest): VersionsPage {
  const { keyMarker, max } = request
  const marker: Placed<undefined> = { name: keyMarker, rank: rankOfMarker(bucket, request), entry: undefined }
  const all = versionEntries(bucket, request)
  const rest = keyMarker === "" ? all : all.filter(placed => byPlace<unknown>(placed, marker) > 0)
  const page = rest.slice(0, max)
  const last = page.at(-1)
  const more = rest.length > max && last !== undefined
  const versionIdMarker = last === undefined || last.entry.kind === "prefix" ? undefined : last.entry.versionId
  return {
    entries: page.map(({ entry }) => entry),
    next: more ? { keyMarker: last.name, versionIdMarker } : undefined,
  }
}

export const uploadInfo = ({ multipartId, initiatedMs, request }: ModelUpload): MultipartInfo => ({
  key: request.key,
  multipartId,
  initiatedMs,
  owner: request.acl?.owner,
  initiator: request.initiator,
  lock: request.lock,
  storageClass: request.storageClass ?? "STANDARD",
  checksum: request.checksum,
  encryption: shownOf(request.encryption),
})

export interface UploadsRequest {
  readonly prefix: string
  readonly delimiter: string
  readonly keyMarker: string
  readonly uploadIdMarker: MultipartId | undefined
  readonly max: number
}

export interface UploadsPage {
  readonly entries: readonly UploadListEntry[]
  readonly next: { readonly keyMarker: string; readonly uploadIdMarker: MultipartId | undefined } | undefined
}

/** Uploads of a key are ordered by their start, which is also the order of their ids. */
export function listUploads(bucket: ModelBucket, request: UploadsRequest): UploadsPage {
  const { prefix, delimiter, keyMarker, uploadIdMarker, max } = request
  if (uploadIdMarker !== undefined && !/^[0-9A-V]{26}$/.test(uploadIdMarker)) throw fail("invalidArgument")
  const all = new Map<string, Placed<UploadListEntry>>()
  for (const upload of bucket.uploads.values()) {
    const { key } = upload.request
    if (!key.startsWith(prefix)) continue
    const group = commonPrefix(key, prefix, delimiter)
    if (group !== undefined) all.set(group, { name: group, rank: "", entry: { kind: "prefix", prefix: group } })
    else
      all.set(upload.multipartId, {
        name: key,
        rank: upload.multipartId,
        entry: { kind: "upload", upload: uploadInfo(upload) },
      })
  }
  const marker: Placed<undefined> = { name: keyMarker, rank: uploadIdMarker ?? "~", entry: undefined }
  const sorted = [...all.values()].sort(byPlace)
  const rest = keyMarker === "" ? sorted : sorted.filter(placed => byPlace<unknown>(placed, marker) > 0)
  const page = rest.slice(0, max)
  const last = page.at(-1)
  const next = rest.length > max && last !== undefined ? last : undefined
  const lastId = next?.entry.kind === "upload" ? next.entry.upload.multipartId : undefined
  return {
    entries: page.map(({ entry }) => entry),
    next: next === undefined ? undefined : { keyMarker: next.name, uploadIdMarker: lastId },
  }
}
