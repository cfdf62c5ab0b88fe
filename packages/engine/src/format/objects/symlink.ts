/**
 * Symbolic links of Swift as they are stored with an object, among its headers: where they point, and for a static link what
 * was there when it was made. Text, version 1: `1 PATH`, or `1 PATH ETAG SIZE`, where PATH is the percent-encoded
 * `account/container/object`.
 */
import { fail } from "@hayloft/base/failures.js"
import { percentDecode, percentEncode } from "@hayloft/base/http/uri.js"

export interface Symlink {
  /** The name of the account in the paths of requests. */
  readonly account: string
  /** Byte strings. */
  readonly container: string
  readonly object: string
  /** The ETag and the size that the target of a static link had, and has to have. */
  readonly pinned?: { readonly etag: string; readonly sizeBytes: number } | undefined
}

const VERSION = "1"

export function encodeSymlink({ account, container, object, pinned }: Symlink): string {
  const path = [account, container, object].map(part => percentEncode(part, true)).join("/")
  return [VERSION, path, ...(pinned === undefined ? [] : [percentEncode(pinned.etag), pinned.sizeBytes])].join(" ")
}

/** Throws `corruptRecord`. */
export function decodeSymlink(text: string): Symlink {
  const [, path = "", etag, size] = /^1 (\S+)(?: (\S+) (\d{1,15}))?$/.exec(text) ?? []
  const [, account, container, object] = /^([^/]+)\/([^/]+)\/(.+)$/.exec(path) ?? []
  if (account === undefined || container === undefined || object === undefined)
    throw fail("corruptRecord", { what: "symlink" })
  const place = {
    account: percentDecode(account),
    container: percentDecode(container),
    object: percentDecode(object),
  }
  if (etag === undefined || size === undefined) return place
  return { ...place, pinned: { etag: percentDecode(etag), sizeBytes: Number(size) } }
}
