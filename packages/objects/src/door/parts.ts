/**
 * The parts of the installed features in decisions.
 *
 * Promises  The features are fixed once for a process, before its first decision: a decision without them would release
 *           what one of them keeps, and is an error.
 */
import { assert, must } from "@hayloft/base/assert.js"
import type { Family } from "@hayloft/base/rows/families.js"
import type { VersionRecord } from "@hayloft/engine/format/objects/version-record.js"
import type { ClassMap } from "../class-policies.js"
import type { RowView } from "@hayloft/engine/metadata/index.js"
import type { Conditions } from "../contract.js"
import type { BucketContents, BucketPart, ChangedObject, DecidingFeature } from "./decision-part.js"
import type { ObjectChangePart, UsagePart } from "./decision-part.js"

interface Installed {
  readonly features: readonly DecidingFeature[]
  readonly objects: readonly NonNullable<DecidingFeature["object"]>[]
  readonly buckets: readonly BucketPart[]
  readonly usage: readonly UsagePart[]
  readonly contents: readonly BucketContents[]
  readonly ofSegments: readonly Family[]
  readonly checks: readonly NonNullable<DecidingFeature["checkWrite"]>[]
  readonly readChecks: readonly NonNullable<DecidingFeature["checkRead"]>[]
}

let installed: Installed | undefined

/** Throws if other features are installed. */
export function installParts(features: readonly DecidingFeature[]): void {
  assert(installed === undefined || installed.features === features, "the features of a process are fixed")
  const buckets = features.flatMap(({ bucket }) => (bucket === undefined ? [] : [bucket]))
  installed = {
    features,
    objects: features.flatMap(({ object }) => (object === undefined ? [] : [object])),
    buckets,
    contents: buckets.flatMap(({ contents }) => (contents === undefined ? [] : [contents])),
    ofSegments: features.flatMap(({ ofSegments = [] }) => ofSegments),
    checks: features.flatMap(({ checkWrite }) => (checkWrite === undefined ? [] : [checkWrite])),
    readChecks: features.flatMap(({ checkRead }) => (checkRead === undefined ? [] : [checkRead])),
    usage: features.flatMap(({ usage }) => (usage === undefined ? [] : [usage])),
  }
}

const here = (): Installed =>
  must(installed, "the features are installed: packages/features/src/store-services.ts does it")

/** The parts of features in the change of an object. */
export function objectParts(change: ChangedObject): readonly ObjectChangePart[] {
  const parts: ObjectChangePart[] = []
  for (const begin of here().objects) {
    const part = begin(change)
    if (part !== undefined) parts.push(part)
  }
  return parts
}

export const bucketParts = (): readonly BucketPart[] => here().buckets

/** The parts of features that count what buckets hold. */
export const usageParts = (): readonly UsagePart[] => here().usage

/** The contents of buckets that features have beside objects. */
export const bucketContents = (): readonly BucketContents[] => here().contents

/** The families of rows that features have of segments. */
export const familiesOfSegments = (): readonly Family[] => here().ofSegments

/** Checks the conditions of a write that features have. Throws `preconditionFailed`. */
export function checkOfFeatures(view: Pick<RowView, "get">, conditions: Conditions): void {
  for (const check of here().checks) check(view, conditions)
}

/** Checks that the body of a version may be read now. Throws `invalidObjectState`. `nowMs`: the earlier clock. */
export function checkReadOfFeatures(
  record: Pick<VersionRecord, "head" | "restore">,
  nowMs: () => number,
  classes: Pick<ClassMap, "policyOf">,
): void {
  for (const check of here().readChecks) check(record, nowMs, classes)
}
