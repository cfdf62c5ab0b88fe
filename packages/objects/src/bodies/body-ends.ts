/**
 * When the bytes of a new object will probably be removed: a hint, by which devices place them beside others that end
 * about then (`volume/expiring-core.ts`).
 *
 * The end is that of the object itself, or an earlier one that a feature knows. Where a removal leaves the bytes there is
 * none: in a bucket with versions they stay as a noncurrent version.
 *
 * Promises  A bucket of which no feature removes objects, and an object without an expiry, cost one look at each feature.
 */
import { keptForMs } from "../commands/bucket-commands-core.js"
import type { ObjectKey } from "@hayloft/base/ids.js"
import { after, type Soon } from "@hayloft/base/soon.js"
import type { Bucket } from "../contract.js"
import type { Tags } from "@hayloft/base/tags.js"

const SECOND_MS = 1_000

/** The facts about a new object that say when it ends. */
export interface EndFacts {
  readonly tags: Tags
  /** The expiry of the object, in seconds since 1970, the same as in `PutRequest`. */
  readonly expiresAtSeconds?: number | undefined
}

/** A new object, as far as it says when it ends. */
export interface NewObject {
  readonly key: ObjectKey
  /** It is undefined if it is not known yet. */
  readonly sizeBytes: number | undefined
  readonly tags: Tags
}

/** When a feature will probably remove the bytes of new objects: a hint. */
export interface BodyEnd {
  /** Returns true if the feature may remove objects of the bucket. */
  has(bucket: Bucket): boolean
  /** Returns milliseconds since 1970; `Infinity`: never. */
  of(bucket: Bucket, object: NewObject): Soon<number>
}

export class BodyEnds {
  /** `known`: returns the ends that features know; they start after this. */
  constructor(private readonly known: () => readonly BodyEnd[]) {}

  /** `sizeBytes`: undefined if it is not known yet. Returns undefined if no end is known. */
  of(
    bucket: Bucket,
    key: ObjectKey,
    sizeBytes: number | undefined,
    { tags, expiresAtSeconds }: EndFacts,
  ): Soon<number | undefined> {
    if (bucket.versioning !== "never") return undefined
    let end: Soon<number> = expiresAtSeconds === undefined ? Infinity : expiresAtSeconds * SECOND_MS
    for (const each of this.known()) if (each.has(bucket)) end = earlier(end, each.of(bucket, { key, sizeBytes, tags }))
    // Objects that a feature keeps end that much later.
    const keptMs = keptForMs(bucket) ?? 0
    return after(end, endMs => (endMs === Infinity ? undefined : endMs + keptMs))
  }
}

const earlier = (one: Soon<number>, other: Soon<number>): Soon<number> =>
  after(one, oneMs => after(other, otherMs => Math.min(oneMs, otherMs)))
