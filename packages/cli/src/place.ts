/** Place: one end of a copy: a local path, standard input or output, or `s3://bucket/key`. Pure. */
import { basename } from "node:path"
import { byteStringOfText } from "@hayloft/base/ids.js"
import { percentEncode } from "@hayloft/base/http/uri.js"
import { CliError } from "./exit-codes.js"

export interface RemotePlace {
  readonly bucket: string
  /** "" for the bucket itself. */
  readonly key: string
}

export type Place =
  | ({ readonly kind: "remote" } & RemotePlace)
  | { readonly kind: "local"; readonly path: string }
  | { readonly kind: "stream" }

const SCHEME = "s3://"

export function parsePlace(text: string): Place {
  if (text === "-") return { kind: "stream" }
  if (text === "") throw new CliError("usage", `an empty path; write ${SCHEME}bucket/key, a file, or -`)
  if (!text.startsWith(SCHEME)) return { kind: "local", path: text }
  return { kind: "remote", ...parseRemote(text) }
}

/** Throws unless the text is `s3://bucket` or `s3://bucket/key`. */
export function parseRemote(text: string): RemotePlace {
  const [, bucket, key = ""] = /^s3:\/\/([^/]+)(?:\/([\s\S]*))?$/.exec(text) ?? []
  if (bucket === undefined) throw new CliError("usage", `"${text}" is not s3://bucket/key`)
  return { bucket, key }
}

export function textOfPlace(place: Place): string {
  if (place.kind === "stream") return "-"
  return place.kind === "local" ? place.path : `${SCHEME}${place.bucket}/${place.key}`
}

/** Returns true if the text names the place as stores do: by its key or bucket, or by the path of a request. */
export function isNamedBy(place: Place, text: string): boolean {
  if (place.kind !== "remote") return false
  const { bucket, key } = place
  const path = key === "" ? bucket : `${bucket}/${key}`
  const sent = percentEncode(byteStringOfText(path), true)
  return [key === "" ? bucket : key, path, sent].includes(text) || [`/${path}`, `/${sent}`].includes(text)
}

/** The key of a single copy: a target that is a bucket or ends in "/" is a folder for the source's name. */
export function targetKey(target: RemotePlace, source: Place): string {
  if (target.key !== "" && !target.key.endsWith("/")) return target.key
  const name = source.kind === "stream" ? "" : basename(source.kind === "local" ? source.path : source.key)
  if (name === "") throw new CliError("usage", `name the key: ${SCHEME}${target.bucket}/${target.key}NAME`)
  return `${target.key}${name}`
}

/** `folder` as a key prefix: "" or ending in "/". */
export const asPrefix = (key: string): string => (key === "" || key.endsWith("/") ? key : `${key}/`)

/**
 * The path below the target folder for a key; undefined if it would be outside that folder, or is not a file (a key
 * that ends in "/").
 */
export function safeRelativePath(key: string): string | undefined {
  if (key.endsWith("/") || key.includes("\0") || key.includes("\\")) return undefined
  const pieces = key.split("/")
  return pieces.some(piece => piece === "" || piece === "." || piece === "..") ? undefined : pieces.join("/")
}

/** Returns true if a place is among the keys that begin with another one. */
export const contains = (outer: Place, inner: Place): boolean =>
  outer.kind === "remote" && inner.kind === "remote" && outer.bucket === inner.bucket && inner.key.startsWith(outer.key)

/** A place as a folder: a prefix that ends in "/". */
export const folderPlace = (place: Place): Place =>
  place.kind === "remote" ? { ...place, key: asPrefix(place.key) } : place
