/** Bulk jobs: which rows of a listing are items, and which requests they need. Pure. */
import { objectKeyOfText, textOfObjectKey, type ObjectKey, type VersionId } from "@hayloft/base/ids.js"
import { percentEncode } from "@hayloft/base/http/uri.js"
import { XmlWriter } from "@hayloft/base/text/xml-writer.js"
import type { ListedObject, ObjectAt, VersionEntry } from "@hayloft/objects/contract.js"
import type { BulkRequest } from "./bulk-request.js"
import type { ObjectReply, ObjectRequest } from "./object-requests.js"

/** An object, or one version of it, that a job works on. */
export interface BulkItem {
  readonly key: ObjectKey
  /** "" for the object itself. */
  readonly versionId: VersionId | ""
  readonly sizeBytes: number
  readonly etag: string
  /** An object that is written again stays, also if it has the same bytes; undefined: only the ETag tells. */
  readonly unchanged?: ObjectAt | undefined
  /** To restore: delete markers to remove, or the version to copy. */
  readonly restore?: { readonly markers: readonly VersionId[] } | { readonly copy: VersionId }
  /** The reason why the store failed to tell whether the object is meant. */
  readonly failing?: string
}

/** The prefix of a job as a byte string, as listings take it. */
export const prefixOf = ({ prefix }: Pick<BulkRequest, "prefix">): string =>
  prefix === "" ? "" : objectKeyOfText(prefix)

/** The members of a listed object or version that the filter concerns. */
type Listed = Pick<ListedObject, "key" | "sizeBytes" | "lastModifiedMs" | "written">

/** The start of a job. */
export interface JobStart {
  readonly startedMs: number
  /** The moment of the start; undefined: an earlier release has started the job. */
  readonly asOfUs: number | undefined
}

/**
 * Returns true for what was written after the start of the job. The order of writes decides, since the clock by which the job
 * was started may be wrong. Objects of a remote have only dates.
 */
export const isLater = (
  { lastModifiedMs, written }: Pick<Listed, "lastModifiedMs" | "written">,
  { startedMs, asOfUs }: JobStart,
): boolean => (asOfUs === undefined || written === undefined ? lastModifiedMs > startedMs : written.orderUs > asOfUs)

/** The condition under which a job changes a key whose latest version, or removed one, this is; undefined: none can be named. */
export const unchangedSince = (
  { asOfUs }: JobStart,
  written: ListedObject["written"],
  isMarker = false,
): ObjectAt | undefined =>
  asOfUs === undefined || written === undefined
    ? undefined
    : { atUs: asOfUs, versionId: isMarker ? undefined : written.versionId }

/** Objects that are written after the start of the job stay as they are. */
export function isMeant(request: BulkRequest, listed: Listed, start: JobStart): boolean {
  const beforeMs = request.modifiedBeforeMs ?? Infinity
  if (isLater(listed, start) || listed.lastModifiedMs >= beforeMs) return false
  return request.largerThanBytes === undefined || listed.sizeBytes > request.largerThanBytes
}

/** Returns true if nothing is left to do for the object, as its listing shows. */
export const isDone = (request: BulkRequest, { storageClass }: Pick<ListedObject, "storageClass">): boolean =>
  request.kind === "set-class" && storageClass === request.storageClass

/** Versions of one key, the newest first, as far as they are known. */
export type Versions = readonly Exclude<VersionEntry, { readonly kind: "prefix" }>[]

/** `more`: further versions must be read first. */
export function restoreOf(versions: Versions, atMs: number | undefined): BulkItem["restore"] | "nothing" | "more" {
  const isThen = (entry: Versions[number]): boolean =>
    atMs === undefined ? entry.kind === "version" : writtenMsOf(entry) <= atMs
  const place = versions.findIndex(isThen)
  if (place < 0) return "more"
  const [found, newer] = [versions[place], versions.slice(0, place)]
  // It is the current one, or there was no object then.
  if (found === undefined || place === 0 || found.kind === "marker") return "nothing"
  if (newer.every(({ kind }) => kind === "marker")) return { markers: newer.map(({ versionId }) => versionId) }
  if (atMs === undefined) return "nothing"
  const [latest] = newer
  const isCopied =
    latest?.kind === "version" &&
    latest.object.etag === found.object.etag &&
    latest.object.sizeBytes === found.object.sizeBytes
  return isCopied ? "nothing" : { copy: found.versionId }
}

export const writtenMsOf = (entry: Versions[number]): number =>
  entry.kind === "version" ? entry.writtenMs : entry.lastModifiedMs

/** The header that names the source of a copy. */
export const copySource = (bucket: string, key: ObjectKey, versionId?: VersionId): readonly [string, string] => [
  "x-amz-copy-source",
  `/${bucket}/${percentEncode(key, true)}${versionId === undefined ? "" : `?versionId=${versionId}`}`,
]

const quotedEtag = (etag: string): string => `"${etag}"`

/** The key of a copy: a byte string, like all keys. */
export function copiedKey(
  { prefix, toPrefix }: Extract<BulkRequest, { kind: "copy-objects" }>,
  key: ObjectKey,
): ObjectKey {
  if (toPrefix === undefined) return key
  return objectKeyOfText(toPrefix + textOfObjectKey(key).slice(prefix.length))
}

/** The requests that do what the job is to do with an item, one after the other. */
export function requestsFor(
  bucket: string,
  request: BulkRequest,
  item: BulkItem,
  hasConditions = true,
): readonly ObjectRequest[] {
  const { key, versionId, etag, unchanged } = item
  const ifUnchanged = unchanged && { ifUnchanged: unchanged }
  switch (request.kind) {
    case "delete-objects":
      // An object that was replaced since it was listed stays, if the bucket can tell.
      return [
        {
          method: "DELETE",
          bucket,
          key,
          ...ifUnchanged,
          headers: hasConditions ? [["if-match", quotedEtag(etag)]] : [],
        },
      ]
    case "delete-versions": {
      const headers = request.bypassGovernance ? [["x-amz-bypass-governance-retention", "true"] as const] : []
      return [{ method: "DELETE", bucket, key, query: [["versionId", versionId]], headers, ...ifUnchanged }]
    }
    case "restore-objects":
      return item.restore === undefined ? [] : restoring(bucket, item, item.restore)
    case "prefetch-objects":
      return [{ method: "POST", bucket, key, query: [["prefetch", ""]] }]
    case "evict-objects":
      return [{ method: "POST", bucket, key, query: [["evict", ""]] }]
    case "tag-objects":
      return [{ method: "PUT", bucket, key, query: [["tagging", ""]], body: tagDocument(request.tags) }]
    case "set-class":
      return [
        {
          method: "PUT",
          bucket,
          key,
          ...ifUnchanged,
          headers: [
            copySource(bucket, key),
            ["x-amz-copy-source-if-match", quotedEtag(etag)],
            ["x-amz-storage-class", request.storageClass],
          ],
        },
      ]
    case "copy-objects":
      return [
        {
          method: "PUT",
          bucket: request.toBucket,
          key: copiedKey(request, key),
          // The cached data of a remote bucket may be older than what was listed.
          headers: [
            copySource(bucket, key),
            ["x-amz-copy-source-if-match", quotedEtag(etag)],
            ["cache-control", "no-cache"],
          ],
        },
      ]
  }
}

function restoring(
  bucket: string,
  { key, unchanged }: BulkItem,
  restore: NonNullable<BulkItem["restore"]>,
): readonly ObjectRequest[] {
  const target = { bucket, key, ...(unchanged && { ifUnchanged: unchanged }) }
  return "copy" in restore
    ? [{ method: "PUT", ...target, headers: [copySource(bucket, key, restore.copy)] }]
    : restore.markers.map(versionId => ({ method: "DELETE", ...target, query: [["versionId", versionId]] }))
}

function tagDocument(tags: readonly { readonly key: string; readonly value: string }[]): Uint8Array {
  const xml = new XmlWriter("referenced").group("Tagging", document =>
    document.group("TagSet", set => {
      for (const { key, value } of tags) set.group("Tag", tag => tag.text("Key", key).text("Value", value))
    }),
  )
  return new TextEncoder().encode(xml.toString())
}

/** The outcome of an item that takes requests: undefined if it is done, or why it could not be. */
export type RequestOutcome = undefined | string | { readonly failing: string }

/** Statuses of these say that the server failed; but the same request would fail again. */
const NEVER: ReadonlySet<string> = new Set(["NotImplemented", "RemoteRefused"])
const NOT_FOUND = 404
const SERVER_ERROR = 500
const CONFLICT = 409

/** "done", a reason that stays, "later": the same request may succeed, or `failing`: it may, unless the object is damaged. */
export function outcomeOf(
  request: BulkRequest,
  { status, code, message }: Pick<ObjectReply, "status" | "code" | "message">,
): "done" | "later" | { readonly reason: string } | { readonly failing: string } {
  if (status < 300) return "done"
  // An item that is gone has no more tags, class or version that anybody could want.
  if (status === NOT_FOUND && request.kind !== "copy-objects" && code !== "NoSuchBucket") return "done"
  if (code === "PreconditionFailed") return { reason: "it was replaced since it was listed, and stays as it is" }
  if (NEVER.has(code)) return { reason: `${code}: ${message}` }
  if (status === SERVER_ERROR) return { failing: `${code}: ${message}` }
  if (status > SERVER_ERROR || (status === CONFLICT && code !== "InvalidObjectState")) return "later"
  return { reason: `${code}: ${message}` }
}
