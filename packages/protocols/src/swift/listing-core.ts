/**
 * Listings of accounts and containers as Swift writes them: text, JSON, XML. Pure.
 *
 * Source  "Object Storage API", OpenStack; the middleware `listing_formats` for what `Accept` selects.
 */
import { fail } from "@hayloft/base/failures.js"
import { textOfObjectKey } from "@hayloft/base/ids.js"
import type { StorageClass } from "@hayloft/base/storage-class.js"
import { escapedValue } from "./markup-core.js"
import { isTrue } from "./metadata-core.js"
import type { listedLink } from "./middleware/pointers-core.js"
import type { RequestQuery } from "../s3/index.js"
import { withoutTrailing } from "@hayloft/base/text/trailing.js"

export const LISTING_MAX = 10_000

type ListingFormat = "plain" | "json" | "xml"

export const LISTING_TYPES: Readonly<Record<ListingFormat, string>> = {
  plain: "text/plain; charset=utf-8",
  json: "application/json; charset=utf-8",
  xml: "application/xml; charset=utf-8",
}

/** The listing that a client asks for. Texts are byte strings; "" for none. */
export interface ListingRequest {
  readonly format: ListingFormat
  readonly prefix: string
  readonly delimiter: string
  readonly marker: string
  readonly endMarker: string
  readonly limit: number
  /** From the last name to the first: then the marker is above the names, and the end marker below. */
  readonly isReverse: boolean
  /** Only what lies in the pseudo-directory `prefix`: no common prefixes. */
  readonly isPath: boolean
}

/** An entry of a container's listing; names are byte strings. */
export type ObjectEntry =
  | { readonly kind: "subdir"; readonly name: string }
  | {
      readonly kind: "object"
      readonly name: string
      readonly hash: string
      readonly bytes: number
      readonly contentType: string
      readonly lastModifiedMs: number
      /** The target of a symbolic link: its path, percent-encoded, and what a static one has to be. */
      readonly link?: ReturnType<typeof listedLink>
      /** In a listing of versions. */
      readonly version?: { readonly id: string; readonly isLatest: boolean }
    }

/** An entry of an account's listing. */
export type ContainerEntry =
  | { readonly kind: "subdir"; readonly name: string }
  | {
      readonly kind: "container"
      readonly name: string
      readonly count: number
      readonly bytes: number
      readonly lastModifiedMs: number
      readonly policy: StorageClass
    }

type Value = string | number | boolean
type Member = readonly [name: string, value: Value]

const FORMAT_OF_TYPE: ReadonlyMap<string, ListingFormat> = new Map([
  ["text/plain", "plain"],
  ["application/json", "json"],
  ["application/xml", "xml"],
  ["text/xml", "xml"],
  ["text/*", "plain"],
  ["*/*", "plain"],
])

/** By `format` of the query, else by `Accept`; a format that is not known is plain. Throws `invalidRequest`. */
export function formatOf(query: RequestQuery, accept: string | undefined): ListingFormat {
  const named = query.get("format")?.toLowerCase()
  if (named === "json" || named === "xml") return named
  if (named !== undefined && named !== "") return "plain"
  if (accept === undefined || accept.trim() === "") return "plain"
  const weighed = accept.split(",").map(item => {
    const [type = "", ...parameters] = item.split(";").map(text => text.trim().toLowerCase())
    const quality = parameters.map(text => /^q=([\d.]+)$/.exec(text)?.[1]).find(text => text !== undefined)
    return { format: FORMAT_OF_TYPE.get(type), quality: Number(quality ?? 1) }
  })
  const [best] = weighed
    .filter(({ format, quality }) => format !== undefined && quality > 0)
    .sort((a, b) => b.quality - a.quality)
  if (best?.format !== undefined) return best.format
  throw fail("invalidRequest", {
    message: "Invalid Accept: listings are text/plain, application/json or application/xml",
  })
}

/** Throws `invalidUri`, `invalidRequest`, `notImplemented`. */
export function parseListing(query: RequestQuery, accept: string | undefined): ListingRequest {
  const limitText = query.get("limit")
  const limit = limitText !== undefined && /^\d{1,9}$/.test(limitText) ? Number(limitText) : LISTING_MAX
  if (limit > LISTING_MAX) throw fail("invalidUri", { message: `Maximum limit is ${LISTING_MAX}` })
  const isReverse = isTrue(query.get("reverse"))
  const path = query.get("path")
  const [marker, endMarker] = [query.get("marker") ?? "", query.get("end_marker") ?? ""]
  const shared = { format: formatOf(query, accept), marker, endMarker, limit, isReverse }
  if (path === undefined)
    return { ...shared, prefix: query.get("prefix") ?? "", delimiter: query.get("delimiter") ?? "", isPath: false }
  return { ...shared, prefix: path === "" ? "" : `${withoutTrailing(path, "/")}/`, delimiter: "/", isPath: true }
}

const lastModifiedText = (timeMs: number): string => `${new Date(timeMs).toISOString().slice(0, -1)}000`

const membersOfObject = (entry: Extract<ObjectEntry, { kind: "object" }>): readonly Member[] => [
  ["name", textOfObjectKey(entry.name)],
  ["hash", entry.hash],
  ["bytes", entry.bytes],
  ["content_type", textOfObjectKey(entry.contentType)],
  ["last_modified", lastModifiedText(entry.lastModifiedMs)],
  ...(entry.link === undefined ? [] : [["symlink_path", entry.link.path] as const]),
  ...(entry.link?.pinned === undefined
    ? []
    : ([
        ["symlink_etag", entry.link.pinned.etag],
        ["symlink_bytes", entry.link.pinned.sizeBytes],
      ] as const)),
  ...(entry.version === undefined
    ? []
    : ([
        ["version_id", entry.version.id],
        ["is_latest", entry.version.isLatest],
      ] as const)),
]

const membersOfContainer = (entry: Extract<ContainerEntry, { kind: "container" }>): readonly Member[] => [
  ["name", entry.name],
  ["count", entry.count],
  ["bytes", entry.bytes],
  ["last_modified", lastModifiedText(entry.lastModifiedMs)],
  ["storage_policy", entry.policy],
]

/** Characters that XML 1.0 cannot contain are shown as U+FFFD: ask for JSON. */
const escaped = (text: string): string =>
  escapedValue(text.replace(/[^\x09\x0a\x0d\x20-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/gu, "\ufffd"))

function xmlOfEntry(entry: ObjectEntry | ContainerEntry): string {
  if (entry.kind === "subdir") {
    const name = escaped(textOfObjectKey(entry.name))
    return `<subdir name="${name}"><name>${name}</name></subdir>`
  }
  const members = entry.kind === "object" ? membersOfObject(entry) : membersOfContainer(entry)
  const inner = members.map(([name, value]) => `<${name}>${escaped(String(value))}</${name}>`).join("")
  return `<${entry.kind}>${inner}</${entry.kind}>`
}

function jsonOfEntry(entry: ObjectEntry | ContainerEntry): Readonly<Record<string, Value>> {
  if (entry.kind === "subdir") return { subdir: textOfObjectKey(entry.name) }
  return Object.fromEntries(entry.kind === "object" ? membersOfObject(entry) : membersOfContainer(entry))
}

/** `of`: whether an account or a container is listed, and its name. An empty text is answered without content. */
export function writeListing(
  format: ListingFormat,
  of: { readonly kind: "account" | "container"; readonly name: string },
  entries: readonly (ObjectEntry | ContainerEntry)[],
): string {
  if (format === "json") return JSON.stringify(entries.map(jsonOfEntry))
  if (format === "plain") return entries.map(({ name }) => `${textOfObjectKey(name)}\n`).join("")
  const inner = entries.map(xmlOfEntry).join("")
  return `<?xml version="1.0" encoding="UTF-8"?>\n<${of.kind} name="${escaped(of.name)}">${inner}</${of.kind}>`
}

/** Versions are listed in JSON alone. Throws `invalidRequest`. */
export function versionListing(
  listing: ListingRequest,
  query: RequestQuery,
  accept: string | undefined,
): ListingRequest {
  const isStated = (query.get("format") ?? "") !== "" || !/^\s*$|\*\/\*/.test(accept ?? "")
  if (isStated && listing.format !== "json")
    throw fail("invalidRequest", { message: "versions are listed in JSON alone" })
  return { ...listing, format: "json" }
}

/** Between which names a listing is, and how many entries a page of it needs. */
export const boundsOf = ({ marker, endMarker, limit, isReverse }: ListingRequest, pageMax: number) =>
  isReverse
    ? { from: endMarker, to: marker, max: pageMax }
    : { from: marker, to: endMarker, max: Math.min(pageMax, limit) }

/** The common prefix that stands for a name; undefined: the name stands for itself. */
export function subdirOf(name: string, { prefix, delimiter }: ListingRequest): string | undefined {
  const at = delimiter === "" ? -1 : name.indexOf(delimiter, prefix.length)
  return at < 0 ? undefined : name.slice(0, at + delimiter.length)
}
