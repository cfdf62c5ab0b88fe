/**
 * Objects of Swift that point to others: dynamic large objects (all objects whose names begin with a prefix) and symbolic links.
 * Pure.
 *
 * Source  `common/middleware/dlo.py` and `symlink.py`, OpenStack Swift.
 */
import { fail } from "@hayloft/base/failures.js"
import { byteStringOfText, textOfObjectKey } from "@hayloft/base/ids.js"
import type { Headers } from "@hayloft/base/http/request-headers.js"
import { percentDecode, percentEncode } from "@hayloft/base/http/uri.js"
import { decodeSymlink, type Symlink } from "@hayloft/engine/format/objects/symlink.js"
import type { ContentHeaders, ObjectInfo } from "@hayloft/objects/contract.js"
import type { RequestQuery } from "../../s3/index.js"
import { parseDynamicManifest } from "./large-objects-core.js"
import type { HeaderField } from "@hayloft/base/http/request-headers.js"

/** Links from one to the next that a read follows. */
export const LINKS_MAX = 2
/** The limit is for a dynamic large object: as many as a listing of Swift has. */
export const SEGMENTS_MAX = 10_000
export const SYMLINK_TYPE = "application/symlink"

export type Pointer =
  | { readonly kind: "link"; readonly to: Symlink }
  /** Byte strings. */
  | { readonly kind: "segments"; readonly container: string; readonly prefix: string }

/** Returns what a request for an object reads in its place; undefined: the object itself. */
export function pointerOf(
  { symlink, segmentPrefix }: Pick<ContentHeaders, "symlink" | "segmentPrefix">,
  query: RequestQuery,
): Pointer | undefined {
  if (symlink !== undefined && query.get("symlink") !== "get") return { kind: "link", to: decodeSymlink(symlink) }
  if (symlink !== undefined || segmentPrefix === undefined || query.get("multipart-manifest") === "get")
    return undefined
  return { kind: "segments", ...parseDynamicManifest(segmentPrefix) }
}

/** The target of the link that an upload's headers describe; undefined if they describe no link. Throws `invalidUri`, `invalidRequest`. */
export function statedLink(headers: Headers, own: { readonly account: string }): Symlink | undefined {
  const target = headers.get("x-symlink-target")
  if (target === undefined || target === "") return undefined
  const [, container, object] = /^([^/]+)\/(.+)$/s.exec(percentDecode(target)) ?? []
  if (container === undefined || object === undefined)
    throw fail("invalidUri", {
      message: "X-Symlink-Target header must be of the form <container name>/<object name>",
    })
  const account = percentDecode(headers.get("x-symlink-target-account") ?? own.account)
  if (account === "" || account.includes("/"))
    throw fail("invalidUri", { message: "Account name cannot contain slashes" })
  return { account, container, object }
}

/** `X-Object-Manifest` as it is stored; undefined: none. Throws `invalidRequest`, `invalidUri`. */
export function statedPrefix(headers: Headers): string | undefined {
  const stated = headers.get("x-object-manifest")
  if (stated === undefined || stated === "") return undefined
  parseDynamicManifest(stated)
  return stated
}

/** The path of a link's target, percent-encoded. */
export const pathOfLink = ({ account, container, object }: Symlink): string =>
  `/v1/${[account, container, object].map(part => percentEncode(part, true)).join("/")}`

/** Returns what an object that points somewhere says of it. */
export function pointerFields({ symlink, segmentPrefix }: ObjectInfo["headers"]): HeaderField[] {
  const prefix: HeaderField[] = segmentPrefix === undefined ? [] : [["X-Object-Manifest", segmentPrefix]]
  if (symlink === undefined) return prefix
  const { account, container, object, pinned } = decodeSymlink(symlink)
  return [
    ["X-Symlink-Target", `${percentEncode(container, true)}/${percentEncode(object, true)}`],
    ["X-Symlink-Target-Account", percentEncode(account, true)],
    ...(pinned === undefined
      ? []
      : ([
          ["X-Symlink-Target-Etag", pinned.etag],
          ["X-Symlink-Target-Bytes", String(pinned.sizeBytes)],
        ] as const)),
  ]
}

/** Returns what a listing says of a link. */
export function listedLink(symlink: string | undefined) {
  if (symlink === undefined) return undefined
  const link = decodeSymlink(symlink)
  return { path: pathOfLink(link), pinned: link.pinned }
}

/** The object that a link points to, as requests address it. */
export const targetOfLink = ({ account, container, object }: Symlink) => ({
  account,
  container: textOfObjectKey(container),
  object,
})

/** Throws `invalidRequest`. */
export function refuseSelf(
  link: Symlink,
  own: { readonly account: string; readonly container: string; readonly object: string },
): void {
  const isSame =
    link.account === own.account && link.container === byteStringOfText(own.container) && link.object === own.object
  if (isSame) throw fail("invalidRequest", { message: "Symlink cannot target itself" })
}
