/**
 * The account, container and object that a request of Swift addresses. Pure.
 *
 * Promises  The path is decoded once, as a whole, before it is split: `%2F` in it is a slash, as in Swift. Object names are
 *           the bytes of the path, never normalised.
 */
import { fail } from "@hayloft/base/failures.js"
import { bytesOfByteString, textOfObjectKey } from "@hayloft/base/ids.js"
import { percentDecode, splitTarget } from "@hayloft/base/http/uri.js"

export const ACCOUNT_PREFIX = "AUTH_"
/** The prefix of the account in which services keep what they store for another one. */
export const SERVICE_PREFIX = "SERVICE_"
const VERSIONS: ReadonlySet<string> = new Set(["v1", "v1.0"])

export interface SwiftTarget {
  /** The account that the path names, with its prefix. */
  readonly account: string
  readonly container: string | undefined
  /** A byte string. */
  readonly object: string | undefined
}

interface SwiftPath {
  /** Decoded, a byte string, beginning with a slash. */
  readonly path: string
  readonly rawQuery: string
}

/** With the words that Swift's clients know, and nothing around them. */
const notText = () => fail("invalidUri", { message: "Invalid UTF8 or contains NULL", isPlain: true })

/** Throws `invalidUri`. */
export function pathOf(rawTarget: string): SwiftPath {
  const { rawPath, rawQuery } = splitTarget(rawTarget)
  const path = percentDecode(rawPath)
  if (path.includes("\0")) throw notText()
  try {
    new TextDecoder("utf-8", { fatal: true }).decode(bytesOfByteString(path))
  } catch {
    throw notText()
  }
  return { path, rawQuery }
}

/**
 * Returns undefined if the path is not below `/v1`. Throws `invalidUri`; for an empty name before another one
 * `noSuchAccount`, `noSuchBucket`.
 */
export function targetOfPath(path: string): SwiftTarget | undefined {
  const [, version = "", account = "", container = "", ...rest] = path.split("/")
  if (!VERSIONS.has(version)) return undefined
  const object = rest.join("/")
  if (account === "" && container === "" && object === "")
    throw fail("invalidUri", { message: "the path names no account: /v1/ACCOUNT/CONTAINER/OBJECT" })
  if (account === "") throw fail("noSuchAccount", { account })
  if (container === "" && object !== "") throw fail("noSuchBucket", { message: "the path names no container" })
  return {
    account: textOfObjectKey(account),
    container: container === "" ? undefined : textOfObjectKey(container),
    object: object === "" ? undefined : object,
  }
}
