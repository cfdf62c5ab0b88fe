/**
 * The effects that lifecycle rules of the aging cluster may have, and must have had, by the true time. Written without
 * the product's core: from "rounding up the resulting time to the next day at midnight UTC" (Amazon S3 User Guide) and
 * decision 55.
 */
import { encodeLifecycleRules, type LifecycleRule } from "@hayloft/engine/format/objects/lifecycle-rules.js"
import type { StorageClass } from "@hayloft/base/storage-class.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"

/** A day of the store: twenty seconds of virtual time, so that a run has weeks. */
export const DAY_MS = 20_000
/** Uploads without a rule go after so many days. */
const ABANDONED_DAYS = 7
export const PREFIXES = ["a/", "b/"] as const
/** Rules move objects downwards only. */
const ORDER: readonly StorageClass[] = ["STANDARD", "STANDARD_IA", "GLACIER"]

/** The ages at which things happen under one prefix, in days; undefined means never. */
export interface Aging {
  readonly expires: number | undefined
  readonly oldExpires: number | undefined
  readonly cools: number | undefined
  readonly freezes: number | undefined
  readonly oldFreezes: number | undefined
  readonly aborts: number | undefined
}

/** By prefix. */
export type Rules = ReadonlyMap<string, Aging>

const NEVER: Aging = {
  expires: undefined,
  oldExpires: undefined,
  cools: undefined,
  freezes: undefined,
  oldFreezes: undefined,
  aborts: undefined,
}

export function drawRules(random: Random): Rules {
  const some = (of: number, days: () => number) => (random.below(of) === 0 ? undefined : days())
  return new Map(
    PREFIXES.map(prefix => [
      prefix,
      {
        expires: random.below(2) === 0 ? undefined : 3 + random.below(4),
        oldExpires: some(3, () => 1 + random.below(4)),
        cools: some(4, () => random.below(3)),
        freezes: some(4, () => 2 + random.below(4)),
        oldFreezes: random.below(2) === 0 ? undefined : random.below(3),
        aborts: random.below(2) === 0 ? undefined : 1 + random.below(12),
      },
    ]),
  )
}

/** The document of the setting; undefined: there are no rules. */
export function documentOf(rules: Rules): string | undefined {
  const all = [...rules].flatMap(([prefix, aging]): readonly LifecycleRule[] => {
    const { expires, oldExpires, cools, freezes, oldFreezes, aborts } = aging
    const transitions = [
      ...(cools === undefined ? [] : [{ storageClass: "STANDARD_IA", days: cools } as const]),
      ...(freezes === undefined ? [] : [{ storageClass: "GLACIER", days: freezes } as const]),
    ]
    const versions = {
      ...(transitions.length > 0 && { transitions }),
      ...(oldFreezes !== undefined && {
        noncurrentTransitions: [{ storageClass: "GLACIER", days: oldFreezes } as const],
      }),
      ...(expires !== undefined && { expiration: { days: expires } }),
      ...(oldExpires !== undefined && { noncurrent: { days: oldExpires } }),
    }
    const filter = { form: "and", prefix, sizeAbove: 1 } as const
    return [
      ...(Object.keys(versions).length > 0 ? [{ id: `${prefix} versions`, isEnabled: true, filter, ...versions }] : []),
      ...(aborts === undefined
        ? []
        : [
            {
              id: `${prefix} uploads`,
              isEnabled: true,
              filter: { form: "filter", prefix } as const,
              abortDays: aborts,
            },
          ]),
    ]
  })
  return all.length === 0
    ? undefined
    : encodeLifecycleRules({ transitionMinimum: "all_storage_classes_128K", rules: all })
}

export const midnightAfter = (fromMs: number, days: number | undefined): number =>
  days === undefined ? Infinity : (Math.floor(fromMs / DAY_MS) + days + 1) * DAY_MS

export const agingOf = (rules: Rules, key: string): Aging => rules.get(key.slice(0, 2)) ?? NEVER

/** A version in its place, as a listing has shown it. */
export interface Aged {
  readonly key: string
  readonly modifiedMs: number
  /** When its successor was created; undefined: it is the current one. */
  readonly sinceMs: number | undefined
  readonly storageClass: StorageClass
}

/** The earliest moment at which it can have become noncurrent, if it was not yet. */
const hiddenMs = (aging: Aging, { modifiedMs, sinceMs }: Aged): number =>
  sinceMs ?? midnightAfter(modifiedMs, aging.expires)

/** No right clock removes the version earlier, if any of these rules was in effect since it was seen as it is. */
export const removedFrom = (all: readonly Rules[], version: Aged): number => {
  const hides = Math.min(...all.map(rules => hiddenMs(agingOf(rules, version.key), version)))
  return Math.min(...all.map(rules => midnightAfter(hides, agingOf(rules, version.key).oldExpires)))
}

/** Likewise for its move to the class. */
export function movedFrom(all: readonly Rules[], version: Aged, to: StorageClass): number {
  const hides = Math.min(...all.map(rules => hiddenMs(agingOf(rules, version.key), version)))
  const times = all.flatMap(rules => {
    const { cools, freezes, oldFreezes } = agingOf(rules, version.key)
    const asCurrent = midnightAfter(version.modifiedMs, to === "GLACIER" ? freezes : cools)
    return [asCurrent, ...(to === "GLACIER" ? [midnightAfter(hides, oldFreezes)] : [])]
  })
  return Math.min(...times)
}

/** The class that the version must have by this time at least. */
export function coldestBy(rules: Rules, { key, modifiedMs, sinceMs }: Aged, nowMs: number): StorageClass {
  const { cools, freezes, oldFreezes } = agingOf(rules, key)
  if (sinceMs !== undefined) return midnightAfter(sinceMs, oldFreezes) <= nowMs ? "GLACIER" : "STANDARD"
  if (midnightAfter(modifiedMs, freezes) <= nowMs) return "GLACIER"
  return midnightAfter(modifiedMs, cools) <= nowMs ? "STANDARD_IA" : "STANDARD"
}

export const isColder = (a: StorageClass, b: StorageClass): boolean => ORDER.indexOf(a) > ORDER.indexOf(b)

/** When the upload goes: a rule replaces the store's default. */
export const abortedFrom = (all: readonly Rules[], key: string, initiatedMs: number): number =>
  Math.min(...all.map(rules => midnightAfter(initiatedMs, agingOf(rules, key).aborts ?? ABANDONED_DAYS)))
