/**
 * Loops of remote buckets: each request to a remote names the remote buckets that it has come through, in the header `CDN-Loop` of
 * RFC 8586, to which each proxy on the way may add its own names.
 *
 * Promises  A request that reaches a bucket that it has come through is refused, however many stores are in between, if they pass the
 *           header on as the RFC wants it.
 *           A name tells nothing of the bucket to those who do not know it.
 * Limits    `hopsMax` names, and `hopsBytesMax` bytes of them: a longer way is taken for a loop whose names were removed.
 */
import { createHash } from "node:crypto"
import { fail } from "@hayloft/base/failures.js"
import type { Bucket } from "@hayloft/objects/index.js"
import { REMOTE_LIMITS } from "./limits.js"

export const HOPS_HEADER = "cdn-loop"
const NAME_DIGITS = 32

type Named = Pick<Bucket, "id" | "name" | "createdMs">

/** The same on all nodes of a store, and another one for every other bucket of every store. */
function hopNameOf({ id, name, createdMs }: Named): string {
  const of = JSON.stringify([id, name, createdMs])
  return `hayloft-${createHash("sha256").update(of).digest("hex").slice(0, NAME_DIGITS)}`
}

/** Names may have parameters, which tell nothing here. */
const hopNamesIn = (hops: string): readonly string[] =>
  hops.split(",").map(each => each.replace(/;.*/s, "").trim().toLowerCase())

/** Throws `invalidRequest` for a request that has come through the bucket before. `hops`: the header of the request. */
export function checkHops(bucket: Named, hops: string | undefined): void {
  if (hops === undefined) return
  const names = hopNamesIn(hops)
  if (names.includes(hopNameOf(bucket)))
    throw fail("invalidRequest", {
      message:
        `The bucket ${bucket.name} is remote to itself: a request to its remote has come back. ` +
        "Remove one of the settings of this loop.",
    })
  if (names.length >= REMOTE_LIMITS.hopsMax || hops.length > REMOTE_LIMITS.hopsBytesMax)
    throw fail("invalidRequest", {
      message: `The request has come through more than ${REMOTE_LIMITS.hopsMax} stores and proxies (CDN-Loop).`,
    })
}

/** The header for the remote of a bucket, of a request that came with `hops`. Throws as `checkHops`. */
export function hopsThrough(bucket: Named, hops: string | undefined): string {
  checkHops(bucket, hops)
  return hops === undefined || hops.trim() === "" ? hopNameOf(bucket) : `${hops}, ${hopNameOf(bucket)}`
}
