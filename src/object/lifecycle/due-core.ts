/**
 * When lifecycle rules act on a version or an upload, and why not. Pure: response headers, the daily pass, the decisions
 * that remove, `explain` and `preview` all ask here.
 *
 * Days are counted from the creation of a version, or from that of its successor if it is noncurrent, and "rounding up the
 * resulting time to the next day at midnight UTC". A time at midnight counts as within the day that begins there: nothing is
 * due earlier than any reading of that sentence allows.
 * Source  "Lifecycle configuration elements", "Expiring objects", Amazon S3 User Guide.
 */
import type { ObjectKey } from "../../base/ids.js"
import type { LifecycleFilter, LifecycleRule, LifecycleRules } from "../../format/lifecycle-rules.js"
import type { Tags } from "../contract.js"

const DAY_MS = 86_400_000

/** The length of a day of rules; another one than a day's is for trying rules out. */
export interface LifecycleDays {
  readonly dayMs: number
}

export const REAL_DAYS: LifecycleDays = { dayMs: DAY_MS }

/** A version as rules see it. */
export interface VersionFacts {
  readonly key: ObjectKey
  readonly isMarker: boolean
  readonly sizeBytes: number
  readonly modifiedMs: number
  /** Read only if a rule asks for tags. */
  tags(): Tags
  readonly place:
    | { readonly kind: "current"; /** The row has no other version. */ readonly isOnly: boolean }
    | {
        readonly kind: "noncurrent"
        /** When its successor was created. */
        readonly sinceMs: number
        /** Newer noncurrent versions that are not delete markers; exact up to 100. */
        readonly newer: number
      }
}

/** A rule with its prefix as keys are: a byte string. */
interface CompiledRule extends LifecycleRule {
  readonly keyPrefix: string
}

/** Rules as decisions use them. */
export interface CompiledRules {
  /** In the order in which they were put. */
  readonly rules: readonly CompiledRule[]
  /** The most newer versions that a rule keeps. */
  readonly newerKeptMax: number
  /** A rule acts on versions, not on uploads alone. */
  readonly concernsVersions: boolean
}

const byteStringOf = (text: string): string => Buffer.from(text, "utf8").toString("latin1")

export function compileRules({ rules }: Pick<LifecycleRules, "rules">): CompiledRules {
  const enabled = rules.filter(({ isEnabled }) => isEnabled)
  return {
    rules: rules.map(rule => ({ ...rule, keyPrefix: byteStringOf(rule.filter.prefix ?? "") })),
    newerKeptMax: Math.max(0, ...enabled.map(({ noncurrent }) => noncurrent?.newerKept ?? 0)),
    concernsVersions: enabled.some(
      ({ expiration, noncurrent }) => expiration !== undefined || noncurrent !== undefined,
    ),
  }
}

/** Why a rule does not act on a version, however much time passes as things are. */
type WhyNot =
  | "disabled"
  | "prefix"
  | "size"
  | "tags"
  /** It has no action for a version in this place. */
  | "noAction"
  /** A delete marker goes only once it is the last version of its key. */
  | "hidesVersions"
  /** It is one of the newest noncurrent versions, which the rule keeps. */
  | "newerKept"

/** The time at which a rule acts, or why it never does. */
export type When = number | WhyNot

/** Some days after a moment, at the next midnight. */
export const dueAfter = (fromMs: number, days: number, { dayMs }: LifecycleDays): number =>
  (Math.floor((fromMs + days * dayMs) / dayMs) + 1) * dayMs

function whenOf(rule: CompiledRule, facts: VersionFacts, days: LifecycleDays): When {
  if (!rule.isEnabled) return "disabled"
  if (!facts.key.startsWith(rule.keyPrefix)) return "prefix"
  const when = facts.place.kind === "current" ? ofCurrent(rule, facts, days) : ofNoncurrent(rule, facts, days)
  if (typeof when !== "number") return when
  return whyFiltered(rule.filter, facts) ?? when
}

function ofCurrent({ expiration }: LifecycleRule, { isMarker, modifiedMs, place }: VersionFacts, days: LifecycleDays) {
  if (expiration === undefined) return "noAction"
  if (isMarker && place.kind === "current" && !place.isOnly) return "hidesVersions"
  if ("days" in expiration) return dueAfter(modifiedMs, expiration.days, days)
  if ("dateMs" in expiration) return expiration.dateMs
  return isMarker && expiration.expiredMarkers ? modifiedMs : "noAction"
}

function ofNoncurrent({ noncurrent }: LifecycleRule, { place }: VersionFacts, days: LifecycleDays): When {
  if (noncurrent === undefined || place.kind !== "noncurrent") return "noAction"
  if (place.newer < (noncurrent.newerKept ?? 0)) return "newerKept"
  return dueAfter(place.sinceMs, noncurrent.days, days)
}

/** Sizes are exclusive; a version may have more tags than the filter. */
function whyFiltered({ sizeAbove, sizeBelow, tags }: LifecycleFilter, facts: VersionFacts): WhyNot | undefined {
  if (sizeAbove !== undefined && facts.sizeBytes <= sizeAbove) return "size"
  if (sizeBelow !== undefined && facts.sizeBytes >= sizeBelow) return "size"
  if (tags === undefined) return undefined
  const own = facts.tags()
  const hasAll = tags.every(([key, value]) => own.some(tag => tag[0] === key && tag[1] === value))
  return hasAll ? undefined : "tags"
}

/** The rule that acts first. */
export interface Due {
  readonly ruleId: string
  readonly dueMs: number
}

/** Of several rules the earliest acts; of equal ones the first. Undefined: none ever does, as things are. */
export function dueOf({ rules }: CompiledRules, facts: VersionFacts, days: LifecycleDays): Due | undefined {
  let first: CompiledRule | undefined
  let firstMs = Infinity
  for (const rule of rules) {
    const when = whenOf(rule, facts, days)
    if (typeof when !== "number" || when >= firstMs) continue
    first = rule
    firstMs = when
  }
  return first && { ruleId: first.id, dueMs: firstMs }
}

/** What each rule says about a version. */
export const verdictsOf = (
  { rules }: CompiledRules,
  facts: VersionFacts,
  days: LifecycleDays,
): readonly { readonly ruleId: string; readonly when: When }[] =>
  rules.map(rule => ({ ruleId: rule.id, when: whenOf(rule, facts, days) }))

/** When the rules abort an upload; undefined: never. */
export function abortDueOf(
  { rules }: CompiledRules,
  { key, initiatedMs }: { readonly key: ObjectKey; readonly initiatedMs: number },
  days: LifecycleDays,
): Due | undefined {
  let first: Due | undefined
  for (const { id, isEnabled, keyPrefix, abortDays } of rules) {
    if (!isEnabled || abortDays === undefined || !key.startsWith(keyPrefix)) continue
    const dueMs = dueAfter(initiatedMs, abortDays, days)
    if (dueMs < (first?.dueMs ?? Infinity)) first = { ruleId: id, dueMs }
  }
  return first
}

/** From the beginning of an upload until it is removed without a rule; 0: never. */
export interface AbandonedAfter {
  readonly abandonedDays: number
}

/** When an upload goes: by a rule, or else because it was abandoned. Undefined: never. */
export function uploadDueOf(
  rules: CompiledRules | undefined,
  upload: { readonly key: ObjectKey; readonly initiatedMs: number },
  days: LifecycleDays & AbandonedAfter,
): { readonly ruleId: string | undefined; readonly dueMs: number } | undefined {
  const byRule = rules && abortDueOf(rules, upload, days)
  if (byRule !== undefined || days.abandonedDays === 0) return byRule
  return { ruleId: undefined, dueMs: dueAfter(upload.initiatedMs, days.abandonedDays, days) }
}

/** The object as it is current: for the header that announces its end. */
export const expiryOf = (
  rules: CompiledRules,
  { tags, ...object }: Pick<VersionFacts, "key" | "sizeBytes" | "modifiedMs"> & { readonly tags: Tags },
  days: LifecycleDays,
): Due | undefined =>
  dueOf(rules, { ...object, tags: () => tags, isMarker: false, place: { kind: "current", isOnly: false } }, days)
