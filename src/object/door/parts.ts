/**
 * The parts of the installed features in decisions.
 *
 * Promises  The features are fixed once for a process, before its first decision: a decision without them would release
 *           what one of them keeps, and is an error.
 */
import { assert, must } from "../../base/assert.js"
import type { BucketPart, ChangedObject, DecidingFeature, ObjectPart } from "./decision-part.js"

interface Installed {
  readonly features: readonly DecidingFeature[]
  readonly objects: readonly NonNullable<DecidingFeature["object"]>[]
  readonly buckets: readonly BucketPart[]
}

let installed: Installed | undefined

/** Throws if other features are installed. */
export function installParts(features: readonly DecidingFeature[]): void {
  assert(installed === undefined || installed.features === features, "the features of a process are fixed")
  installed = {
    features,
    objects: features.flatMap(({ object }) => (object === undefined ? [] : [object])),
    buckets: features.flatMap(({ bucket }) => (bucket === undefined ? [] : [bucket])),
  }
}

const here = (): Installed => must(installed, "the features are installed: src/features/store-services.ts does it")

/** The parts of features in the change of an object. */
export function objectParts(change: ChangedObject): readonly ObjectPart[] {
  const parts: ObjectPart[] = []
  for (const begin of here().objects) {
    const part = begin(change)
    if (part !== undefined) parts.push(part)
  }
  return parts
}

export const bucketParts = (): readonly BucketPart[] => here().buckets
