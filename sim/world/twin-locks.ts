/** Random locks for the twins: what requests state, and changes of what versions and buckets have. */
import { must } from "@hayloft/base/assert.js"
import type { ObjectKey, VersionId } from "@hayloft/base/ids.js"
import type { DefaultRetention, Retention, VersionLock } from "@hayloft/engine/format/objects/object-lock.js"
import type { Bucket, ObjectServices } from "@hayloft/objects/index.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"

const MODES = ["GOVERNANCE", "COMPLIANCE"] as const
/** A run takes minutes, or weeks: some retentions are over before they begin, some end during the run, some after it. */
const PERIODS_MS = [-1_000, 1, 2_000, 10_000, 10_000, 3_600_000, 60 * 3_600_000, 120 * 3_600_000]
const HOLDS = ["none", "none", "none", true, false] as const

const oneOf = <T extends NonNullable<unknown>>(random: Random, list: readonly T[]): T =>
  must(list[random.below(list.length)], "the list to draw from is not empty")

const drawRetention = (random: Random, nowMs: number): Retention | undefined =>
  random.below(5) === 0
    ? undefined
    : { mode: oneOf(random, MODES), untilMs: Math.max(0, nowMs + oneOf(random, PERIODS_MS)) }

function drawHold(random: Random): boolean | undefined {
  const drawn = oneOf(random, HOLDS)
  return drawn === "none" ? undefined : drawn
}

/** Returns undefined if the request states no lock. */
export const drawLock = (random: Random, nowMs: number): VersionLock | undefined =>
  random.below(3) === 0 ? undefined : { retention: drawRetention(random, nowMs), legalHold: drawHold(random) }

function drawDefault(random: Random): DefaultRetention | undefined {
  if (random.below(3) > 0) return undefined
  return { mode: oneOf(random, MODES), unit: oneOf(random, ["days", "years"] as const), count: 1 + random.below(3) }
}

interface LockTarget {
  readonly bucket: Bucket
  readonly key: ObjectKey
  readonly versionId?: VersionId
}

interface LockStep {
  readonly what: string
  readonly run: (services: ObjectServices, target: LockTarget) => Promise<unknown>
}

/** A read or a change of a version's lock, or of the bucket's. */
export function drawLockStep(random: Random, nowMs: number): LockStep {
  const draw = random.below(8)
  if (draw === 0) {
    const given = drawDefault(random)
    const what = `default retention ${JSON.stringify(given)}`
    return { what, run: ({ buckets }, { bucket }) => buckets.setLock(bucket, given) }
  }
  if (draw < 3) return { what: "get lock", run: ({ objects }, target) => objects.getLock(target) }
  if (draw < 5) {
    const hold = random.below(2) === 0
    return { what: `legal hold ${hold}`, run: ({ objects }, target) => objects.setLegalHold(target, hold) }
  }
  const [to, bypass] = [drawRetention(random, nowMs), random.below(2) === 0]
  const what = `retention ${JSON.stringify(to)}${bypass ? ", bypass" : ""}`
  return { what, run: ({ objects }, target) => objects.setRetention(target, to, bypass) }
}
