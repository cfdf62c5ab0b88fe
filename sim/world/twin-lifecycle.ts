/** Random lifecycle rules and days for the twins. */
import { assert, must } from "@hayloft/base/assert.js"
import {
  encodeLifecycleRules,
  type LifecycleExpiration,
  type LifecycleFilter,
  type LifecycleRule,
  type Transition,
} from "@hayloft/engine/format/objects/lifecycle-rules.js"
import type { StorageClass } from "@hayloft/base/storage-class.js"
import type { BucketName } from "@hayloft/base/ids.js"
import type { ObjectServices, VersionEntry } from "@hayloft/objects/index.js"
import type { StoreServices } from "@hayloft/features/index.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"
import { noSignal } from "./bodies.js"
import type { World } from "./world.js"

const DAY_MS = 86_400_000
const HOUR_MS = 3_600_000
const STEPS_MAX = 1_000
/** Few, so that many objects have a size that a rule names. */
export const LIFECYCLE_SIZES = [0, 100, 4_095, 4_096]
const PREFIXES = ["", "", "a", "a/", "b/"]
const SIZE_LIMITS = [0, 100, 4_095, 4_096]
/** A run takes minutes between two days, and an hour while the clock is doubtful: it stays within the day. */
const TIMES_OF_DAY_MS = [0, 0, 1, HOUR_MS, 20 * HOUR_MS]

const oneOf = <T extends NonNullable<unknown>>(random: Random, list: readonly T[]): T =>
  must(list[random.below(list.length)], "the list to draw from is not empty")

const chance = (random: Random, of: number): boolean => random.below(of) === 0

/** Tags and sizes are not allowed in rules about uploads and expired markers. */
function drawFilter(random: Random, isSimple: boolean): LifecycleFilter {
  const prefix = oneOf(random, PREFIXES)
  if (isSimple || chance(random, 3)) return { form: "prefix", prefix }
  const tags = Array.from({ length: 1 + random.below(2) }, (_, i) => [`tag${i}`, `${random.below(2)}`] as const)
  return {
    form: "and",
    prefix,
    ...(chance(random, 3) && { tags }),
    ...(chance(random, 4) && { sizeAbove: oneOf(random, SIZE_LIMITS) }),
    ...(chance(random, 2) && { sizeBelow: oneOf(random, SIZE_LIMITS) }),
  }
}

function drawExpiration(random: Random, nowMs: number): LifecycleExpiration {
  const draw = random.below(4)
  if (draw === 0) return { expiredMarkers: !chance(random, 4) }
  if (draw > 1) return { days: 1 + random.below(4) }
  return { dateMs: (Math.floor(nowMs / DAY_MS) + random.below(6)) * DAY_MS }
}

const CLASSES: readonly StorageClass[] = [
  "STANDARD_IA",
  "ONEZONE_IA",
  "INTELLIGENT_TIERING",
  "GLACIER_IR",
  // No archive is mapped: nothing moves there.
  "GLACIER",
]

function drawTransitions(random: Random, nowMs: number): Pick<LifecycleRule, "transitions" | "noncurrentTransitions"> {
  const drawn = () => Array.from({ length: 1 + random.below(3) }, () => oneOf(random, CLASSES))
  const newerKept = () => (chance(random, 3) ? { newerKept: 1 + random.below(2) } : {})
  const transition = (storageClass: StorageClass): Transition =>
    chance(random, 4)
      ? { storageClass, dateMs: (Math.floor(nowMs / DAY_MS) + random.below(4)) * DAY_MS }
      : { storageClass, days: random.below(4) }
  return {
    ...(chance(random, 2) && { transitions: drawn().map(transition) }),
    ...(chance(random, 3) && {
      noncurrentTransitions: drawn().map(storageClass => ({ storageClass, days: random.below(3), ...newerKept() })),
    }),
  }
}

function drawRule(random: Random, nowMs: number, number: number): LifecycleRule {
  const expiration = chance(random, 2) ? drawExpiration(random, nowMs) : undefined
  const abortDays = chance(random, 4) ? 1 + random.below(10) : undefined
  const newerKept = chance(random, 2) ? 1 + random.below(3) : undefined
  const isSimple = abortDays !== undefined || (expiration !== undefined && "expiredMarkers" in expiration)
  return {
    id: `rule ${number}`,
    isEnabled: !chance(random, 4),
    filter: drawFilter(random, isSimple),
    ...(expiration && { expiration }),
    ...(!chance(random, 3) && { noncurrent: { days: 1 + random.below(3), ...(newerKept && { newerKept }) } }),
    ...(abortDays && { abortDays }),
    ...drawTransitions(random, nowMs),
  }
}

/** The document of the setting; undefined: the bucket has no rules any more. */
export function drawRules(random: Random, nowMs: number): string | undefined {
  if (chance(random, 8)) return undefined
  const rules = Array.from({ length: 1 + random.below(4) }, (_, number) => drawRule(random, nowMs, number))
  return encodeLifecycleRules({ transitionMinimum: "all_storage_classes_128K", rules })
}

/** From now to a moment of one of the next days, often a midnight. */
export function drawNextDayMs(random: Random, nowMs: number): number {
  const day = Math.floor(nowMs / DAY_MS) + oneOf(random, [1, 1, 1, 2, 4])
  return day * DAY_MS + oneOf(random, TIMES_OF_DAY_MS) - nowMs
}

/** Runs the passes that are under way, or begin as soon as the store's clock is not doubtful, to their end. */
export async function endPass(world: World, { lifecycle, storeClock }: StoreServices): Promise<void> {
  while (storeClock.isDoubtful) await world.pass(HOUR_MS / 60)
  for (let steps = 0; (await lifecycle.step(noSignal)) === "busy"; steps += 1) {
    assert(steps < STEPS_MAX, "a pass over few objects ends")
  }
}

export async function allVersions(services: ObjectServices, name: BucketName): Promise<readonly VersionEntry[]> {
  const bucket = await services.buckets.open(name)
  const page = { prefix: "", delimiter: "", max: 1_000, keyMarker: "", versionIdMarker: undefined }
  return (await services.objects.listVersions({ bucket, ...page })).entries
}
