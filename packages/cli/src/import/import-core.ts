/**
 * Decisions of `hayloft import`: which versions of a key are still to be copied. Pure.
 *
 * Versions have no identity that two stores share, so their order has to say it: the versions that the target has of a key
 * must be the oldest ones of the source, each like its counterpart. Then the rest is copied. If they are not, the key has a
 * history of its own in the target, and nothing of it is touched.
 */
import type { ListedVersion } from "@hayloft/client/index.js"

type Version = Pick<ListedVersion, "isMarker" | "sizeBytes" | "etag">

/** `unsure`: equal but for their ETags, which some kinds of encryption and of parts change. */
type Likeness = "same" | "different" | "unsure"

/** Both lists from the oldest version on. `copyFrom`: the first version of the source that the target lacks. */
type ImportDecision =
  | { readonly kind: "copy"; readonly copyFrom: number; readonly unsure: readonly number[] }
  | { readonly kind: "differs"; readonly why: string }

export function likenessOf(source: Version, target: Version): Likeness {
  if (source.isMarker || target.isMarker) return source.isMarker && target.isMarker ? "same" : "different"
  if (source.sizeBytes !== target.sizeBytes) return "different"
  if (source.etag === target.etag) return "same"
  // Bytes in other parts have another ETag; so have encrypted bytes, of which only the store knows.
  return "unsure"
}

export function decideImport(source: readonly Version[], target: readonly Version[]): ImportDecision {
  if (target.length > source.length) {
    return { kind: "differs", why: `the target has ${target.length} versions, and the source ${source.length}` }
  }
  const unsure: number[] = []
  for (const [i, version] of target.entries()) {
    const counterpart = source[i]
    const likeness = counterpart === undefined ? "different" : likenessOf(counterpart, version)
    if (likeness === "different")
      return { kind: "differs", why: `version ${i + 1} of the target is not that of the source` }
    if (likeness === "unsure") unsure.push(i)
  }
  return { kind: "copy", copyFrom: target.length, unsure }
}
