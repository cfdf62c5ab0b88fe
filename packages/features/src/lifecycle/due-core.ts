/**
 * When lifecycle rules act on a version or an upload, and why not. Pure: response headers, the daily pass, the decisions
 * that remove or move, `explain` and `preview` all ask here.
 *
 * Days are counted from the creation of a version, or from that of its successor if it is noncurrent, and "rounding up the
 * resulting time to the next day at midnight UTC". A time at midnight counts as within the day that begins there: nothing is
 * due earlier than any reading of that sentence allows.
 * Source  "Lifecycle configuration elements", "Expiring objects", Amazon S3 User Guide.
 */
import type { ObjectKey } from "@hayloft/base/ids.js"
import { isArchive, type StorageClass } from "@hayloft/base/storage-class.js"
import {
  hasTransitions,
  TRANSITION_MINIMUMS,
  type LifecycleFilter,
  type LifecycleRule,
  type LifecycleRules,
} from "@hayloft/engine/format/objects/lifecycle-rules.js"
import type { Days, StoreDays } from "@hayloft/objects/door/index.js"
import { isTooSmall, movesMade, type Move } from "./transitions-core.js"
import type { Tags } from "@hayloft/base/tags.js"
import { byteStringOfText } from "@hayloft/base/ids.js"

/** A version as rules see it. */
export interface VersionFacts {
  readonly key: ObjectKey
  readonly isMarker: boolean
  /** The size that clients see: of a large object that of its segments, which are objects of their own. */
  readonly sizeBytes: number
  readonly modifiedMs: number
  readonly storageClass: StorageClass
  /** When the object expires, whatever rules say; absent: it does not. */
  readonly expiresMs?: number | undefined
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
  /** A rule moves versions to other storage classes. */
  readonly movesVersions: boolean
  readonly transitionMinimum: LifecycleRules["transitionMinimum"]
}

/** The rules for a bucket that has none, and whose objects may expire. */
export const NO_RULES: CompiledRules = {
  rules: [],
  newerKeptMax: 0,
  concernsVersions: true,
  movesVersions: false,
  transitionMinimum: TRANSITION_MINIMUMS[0],
}

export function compileRules({
  rules,
  transitionMinimum = TRANSITION_MINIMUMS[0],
}: Pick<LifecycleRules, "rules"> & Partial<LifecycleRules>): CompiledRules {
  const enabled = rules.filter(({ isEnabled }) => isEnabled)
  const movesVersions = enabled.some(hasTransitions)
  const removesVersions = enabled.some(
    ({ expiration, noncurrent }) => expiration !== undefined || noncurrent !== undefined,
  )
  return {
    rules: rules.map(rule => ({ ...rule, keyPrefix: byteStringOfText(rule.filter.prefix ?? "") })),
    newerKeptMax: Math.max(0, ...enabled.flatMap(newerKeptOf)),
    concernsVersions: removesVersions || movesVersions,
    movesVersions,
    transitionMinimum,
  }
}

const newerKeptOf = ({ noncurrent, noncurrentTransitions = [] }: LifecycleRule): readonly number[] =>
  [noncurrent, ...noncurrentTransitions].map(action => action?.newerKept ?? 0)

/** The reason why a rule does not act on a version, however much time passes as things are. */
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
  /** Small objects stay in their storage class. */
  | "tooSmall"
  /** It is in this storage class. */
  | "hasClass"
  /** Objects of its storage class do not move to the one that the rule wants. */
  | "classOrder"
  /** The storage class has no redundancy policy: the operator has mapped this archive to none. */
  | "unmapped"

/** The time at which a rule acts, or why it never does. */
export type When = number | WhyNot

/** Some days after a moment, at the next midnight. */
export const dueAfter = (fromMs: number, days: number, { dayMs }: Days): number =>
  (Math.floor((fromMs + days * dayMs) / dayMs) + 1) * dayMs

function whenOf(rule: CompiledRule, facts: VersionFacts, days: Days): When {
  const why = whyNever(rule, facts)
  if (why !== undefined) return why
  const when = facts.place.kind === "current" ? ofCurrent(rule, facts, days) : ofNoncurrent(rule, facts, days)
  if (typeof when !== "number") return when
  return whyFiltered(rule.filter, facts) ?? when
}

function whyNever({ isEnabled, keyPrefix }: CompiledRule, { key }: VersionFacts): WhyNot | undefined {
  if (!isEnabled) return "disabled"
  return key.startsWith(keyPrefix) ? undefined : "prefix"
}

function ofCurrent({ expiration }: LifecycleRule, { isMarker, modifiedMs, place }: VersionFacts, days: Days) {
  if (expiration === undefined) return "noAction"
  if (isMarker && place.kind === "current" && !place.isOnly) return "hidesVersions"
  if ("days" in expiration) return dueAfter(modifiedMs, expiration.days, days)
  if ("dateMs" in expiration) return expiration.dateMs
  return isMarker && expiration.expiredMarkers ? modifiedMs : "noAction"
}

function ofNoncurrent({ noncurrent }: LifecycleRule, { place }: VersionFacts, days: Days): When {
  if (noncurrent === undefined || place.kind !== "noncurrent") return "noAction"
  if (place.newer < (noncurrent.newerKept ?? 0)) return "newerKept"
  return dueAfter(place.sinceMs, noncurrent.days, days)
}

/** Days, and the storage classes to which versions may move. */
export interface TransitionDays extends Days {
  /** Archives that the operator has mapped to a policy; absent: none. */
  readonly archives?: readonly StorageClass[] | undefined
}

/** A move that a rule wants, with its time. */
interface WantedMove {
  readonly storageClass: StorageClass
  readonly when: When
}

/** All moves that a rule wants for a version in its place. */
function wantedBy(
  { transitionMinimum }: CompiledRules,
  rule: CompiledRule,
  facts: VersionFacts,
  days: TransitionDays,
): readonly WantedMove[] {
  const { isMarker, modifiedMs, place, sizeBytes } = facts
  if (isMarker || whyNever(rule, facts) !== undefined) return []
  const timed =
    place.kind === "current"
      ? (rule.transitions ?? []).map(({ storageClass, ...when }): WantedMove => ({
          storageClass,
          when: "days" in when ? dueAfter(modifiedMs, when.days, days) : when.dateMs,
        }))
      : (rule.noncurrentTransitions ?? []).map(({ storageClass, days: count, newerKept = 0 }): WantedMove => ({
          storageClass,
          when: place.newer < newerKept ? "newerKept" : dueAfter(place.sinceMs, count, days),
        }))
  return timed.map(({ storageClass, when }): WantedMove => {
    if (isArchive(storageClass) && days.archives?.includes(storageClass) !== true)
      return { storageClass, when: "unmapped" }
    const isSmall = isTooSmall(sizeBytes, rule.filter, storageClass, transitionMinimum)
    return { storageClass, when: isSmall ? "tooSmall" : when }
  })
}

/**
 * The moves of a version to other storage classes until a time, in order: the last one says in which class it is then.
 */
export function movesOf(
  rules: CompiledRules,
  facts: VersionFacts,
  days: TransitionDays,
  untilMs = Infinity,
): readonly Move[] {
  if (!rules.movesVersions) return []
  const wanted = rules.rules.flatMap(rule => {
    const moves = wantedBy(rules, rule, facts, days).flatMap(({ storageClass, when }) =>
      typeof when === "number" && when <= untilMs ? { ruleId: rule.id, dueMs: when, storageClass } : [],
    )
    return moves.length === 0 || whyFiltered(rule.filter, facts) !== undefined ? [] : moves
  })
  return wanted.length === 0 ? wanted : movesMade(facts.storageClass, wanted)
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
export interface DueRule {
  readonly ruleId: string
  readonly dueMs: number
}

/** In place of the id of a rule, for an object that expires by itself: no rule has such an id. */
const OWN_EXPIRY = "(its own expiry)"

/**
 * The earliest of several rules and an expiry of the object acts; of equal ones the first. Returns undefined if none
 * ever does, as things are.
 */
export function dueOf({ rules }: CompiledRules, facts: VersionFacts, days: Days): DueRule | undefined {
  const { expiresMs = Infinity, place } = facts
  const ownMs = place.kind === "current" ? expiresMs : Infinity
  let first: Pick<CompiledRule, "id"> | undefined = ownMs === Infinity ? undefined : { id: OWN_EXPIRY }
  let firstMs = ownMs
  for (const rule of rules) {
    const when = whenOf(rule, facts, days)
    if (typeof when !== "number" || when >= firstMs) continue
    first = rule
    firstMs = when
  }
  return first && { ruleId: first.id, dueMs: firstMs }
}

export interface LifecycleVerdict {
  readonly ruleId: string
  /** The time at which the rule removes the version, or why it never does. */
  readonly when: When
  /** The rule's moves to other storage classes, if it has any for a version in this place. */
  readonly transitions?: readonly WantedMove[]
}

/** Returns what each rule says about a version. */
export function verdictsOf(
  rules: CompiledRules,
  facts: VersionFacts,
  days: TransitionDays,
): readonly LifecycleVerdict[] {
  const made = movesOf(rules, facts, days)
  return rules.rules.map(rule => {
    const filtered = whyFiltered(rule.filter, facts)
    const transitions = wantedBy(rules, rule, facts, days).map(({ storageClass, when }): WantedMove => {
      if (typeof when !== "number") return { storageClass, when }
      const isMade = made.some(move => move.ruleId === rule.id && move.storageClass === storageClass)
      const whyNotMade = storageClass === facts.storageClass ? "hasClass" : "classOrder"
      return { storageClass, when: filtered ?? (isMade ? when : whyNotMade) }
    })
    const verdict = { ruleId: rule.id, when: whenOf(rule, facts, days) }
    return transitions.length === 0 ? verdict : { ...verdict, transitions }
  })
}

/** When the rules abort an upload; undefined: never. */
export function abortDueOf(
  { rules }: CompiledRules,
  { key, initiatedMs }: { readonly key: ObjectKey; readonly initiatedMs: number },
  days: Days,
): DueRule | undefined {
  let first: DueRule | undefined
  for (const { id, isEnabled, keyPrefix, abortDays } of rules) {
    if (!isEnabled || abortDays === undefined || !key.startsWith(keyPrefix)) continue
    const dueMs = dueAfter(initiatedMs, abortDays, days)
    if (dueMs < (first?.dueMs ?? Infinity)) first = { ruleId: id, dueMs }
  }
  return first
}

/** When an upload goes: by a rule, or else because it was abandoned. Undefined: never. */
export function uploadDueOf(
  rules: CompiledRules | undefined,
  upload: { readonly key: ObjectKey; readonly initiatedMs: number },
  days: StoreDays,
): { readonly ruleId: string | undefined; readonly dueMs: number } | undefined {
  const byRule = rules && abortDueOf(rules, upload, days)
  if (byRule !== undefined || days.abandonedDays === 0) return byRule
  return { ruleId: undefined, dueMs: dueAfter(upload.initiatedMs, days.abandonedDays, days) }
}

/** The object as it is current: for the header that announces its end. */
export const expiryOf = (
  rules: CompiledRules,
  { tags, ...object }: Pick<VersionFacts, "key" | "sizeBytes" | "modifiedMs"> & { readonly tags: Tags },
  days: Days,
): DueRule | undefined =>
  dueOf(
    rules,
    {
      ...object,
      tags: () => tags,
      isMarker: false,
      storageClass: "STANDARD",
      place: { kind: "current", isOnly: false },
    },
    days,
  )
