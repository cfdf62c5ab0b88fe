/**
 * The model's lifecycle: once a day it looks at every version, every delete marker and every upload of each bucket. Written
 * from the sentences of Amazon's User Guide that are cited, and from decision 55 where they are silent.
 */
import type { ObjectKey } from "@hayloft/base/ids.js"
import type { StorageClass } from "@hayloft/base/storage-class.js"
import {
  decodeLifecycleRules,
  type LifecycleRule,
  type LifecycleRules,
} from "@hayloft/engine/format/objects/lifecycle-rules.js"
import { ModelObjects } from "./objects.js"
import { dropVersion, versionsOf, type ModelBucket, type ModelState, type ModelVersion } from "./state.js"

const DAY_MS = 24 * 60 * 60 * 1000
/** Decision 55: uploads are removed so many days after they began, if no rule says otherwise. */
const ABANDONED_DAYS = 7
/** "Objects smaller than 128 KB will not transition to any storage class by default." */
const TRANSITION_BYTES = 128 * 1024

/**
 * "Amazon S3 Lifecycle supports a waterfall model for transitioning between storage classes": from which classes objects
 * come. The model's store has mapped no archive. On one day the later class of this list is chosen.
 */
const ABOVE: readonly (readonly [to: StorageClass, from: readonly StorageClass[]])[] = [
  ["STANDARD_IA", ["STANDARD", "REDUCED_REDUNDANCY"]],
  ["ONEZONE_IA", ["STANDARD", "REDUCED_REDUNDANCY", "STANDARD_IA", "INTELLIGENT_TIERING"]],
  ["GLACIER_IR", ["STANDARD", "REDUCED_REDUNDANCY", "STANDARD_IA", "INTELLIGENT_TIERING"]],
  ["INTELLIGENT_TIERING", ["STANDARD", "REDUCED_REDUNDANCY", "STANDARD_IA"]],
]

/**
 * "Amazon S3 calculates the time by adding the number of days specified in the rule to the object creation time and rounding
 * up the resulting time to the next day at midnight UTC."
 */
function midnightAfter(fromMs: number, days: number): number {
  const day = new Date(fromMs)
  day.setUTCDate(day.getUTCDate() + days + 1)
  return day.setUTCHours(0, 0, 0, 0)
}

const hasPrefix = (key: ObjectKey, { filter }: LifecycleRule): boolean =>
  Buffer.from(key, "latin1")
    .toString("utf8")
    .startsWith(filter.prefix ?? "")

/**
 * A delete marker has no bytes and no tags; a large object has the size that clients see. `ObjectSizeGreaterThan` and
 * `ObjectSizeLessThan` do not include their number.
 */
function isFor(rule: LifecycleRule, key: ObjectKey, version: ModelVersion): boolean {
  const sizeBytes = version.kind === "marker" ? 0 : version.info.sizeBytes
  const own = new Map(version.kind === "marker" ? [] : version.tags)
  const { sizeAbove = -1, sizeBelow = Infinity, tags = [] } = rule.filter
  const hasSize = sizeBytes > sizeAbove && sizeBytes < sizeBelow
  return rule.isEnabled && hasPrefix(key, rule) && hasSize && tags.every(([name, value]) => own.get(name) === value)
}

/** When the current version expires by the rule; never: infinity. */
function currentExpires({ expiration }: LifecycleRule, [latest, ...older]: readonly ModelVersion[]): number {
  if (latest === undefined || expiration === undefined) return Infinity
  // "A delete marker with zero noncurrent versions is referred to as an expired object delete marker." Others stay.
  if (latest.kind === "marker" && older.length > 0) return Infinity
  if ("days" in expiration) return midnightAfter(latest.info.lastModifiedMs, expiration.days)
  if ("dateMs" in expiration) return expiration.dateMs
  return latest.kind === "marker" && expiration.expiredMarkers ? 0 : Infinity
}

/** When the version at this place expires by the rule: "n days after it becomes noncurrent". */
function noncurrentExpires({ noncurrent }: LifecycleRule, versions: readonly ModelVersion[], at: number): number {
  const successor = versions[at - 1]
  if (noncurrent === undefined || successor === undefined) return Infinity
  const newer = versions.slice(1, at).filter(({ kind }) => kind === "object").length
  // "how many newer noncurrent versions must exist before Amazon S3 can perform the associated action"
  if (newer < (noncurrent.newerKept ?? 0)) return Infinity
  return midnightAfter(successor.info.lastModifiedMs, noncurrent.days)
}

/** To which classes the rule moves the version at this place, and when. */
function transitions(
  rule: LifecycleRule,
  versions: readonly ModelVersion[],
  at: number,
): readonly (readonly [dueMs: number, to: StorageClass])[] {
  const [version, successor] = [versions[at], versions[at - 1]]
  if (version === undefined) return []
  if (successor === undefined) {
    return (rule.transitions ?? []).map(({ storageClass, ...when }) => {
      return ["days" in when ? midnightAfter(version.info.lastModifiedMs, when.days) : when.dateMs, storageClass]
    })
  }
  const newer = versions.slice(1, at).filter(({ kind }) => kind === "object").length
  return (rule.noncurrentTransitions ?? [])
    .filter(({ newerKept = 0 }) => newer >= newerKept)
    .map(({ storageClass, days }) => [midnightAfter(successor.info.lastModifiedMs, days), storageClass])
}

/** "Custom filters always take precedence over the default transition behavior." */
const isLarge = ({ filter }: LifecycleRule, sizeBytes: number): boolean =>
  sizeBytes >= TRANSITION_BYTES || filter.sizeAbove !== undefined || filter.sizeBelow !== undefined

/** The class of the version by now: each day it moves to the cheapest class that its rules want that day, or stays there. */
function classBy(
  { rules }: Pick<LifecycleRules, "rules">,
  key: ObjectKey,
  versions: readonly ModelVersion[],
  at: number,
  nowMs: number,
): StorageClass | undefined {
  const version = versions[at]
  if (version?.kind !== "object") return undefined
  const { storageClass, sizeBytes } = version.info
  const wanted = rules
    .filter(rule => isFor(rule, key, version) && isLarge(rule, sizeBytes))
    .flatMap(rule => transitions(rule, versions, at))
    .filter(([dueMs]) => dueMs <= nowMs)
  let is: StorageClass = storageClass
  for (const day of [...new Set(wanted.map(([dueMs]) => dueMs))].sort((a, b) => a - b)) {
    const today = wanted.filter(([dueMs]) => dueMs === day).map(([, to]) => to)
    const [best] = ABOVE.findLast(([to, from]) => today.includes(to) && (to === is || from.includes(is))) ?? []
    is = best ?? is
  }
  return is
}

function isLocked(version: ModelVersion, nowMs: number): boolean {
  const lock = version.kind === "object" ? version.info.lock : undefined
  return lock?.legalHold === true || (lock?.retention?.untilMs ?? 0) > nowMs
}

export class ModelLifecycle {
  /** The days of the last pass of each bucket with rules, and of that over uploads. */
  private readonly days = new Map<string, number>()

  constructor(private readonly state: ModelState) {}

  /** Removes what is due at this moment, unless the pass of the day was before. */
  async pass(): Promise<void> {
    const buckets = [...this.state.buckets.values()]
    if (this.isNewDay("uploads")) buckets.forEach(bucket => this.abortUploads(bucket))
    for (const bucket of buckets) {
      if (!bucket.settings.has("lifecycle") || !this.isNewDay(bucket.bucket.name)) continue
      for (const key of [...bucket.keys.keys()]) await this.expire(bucket, key)
    }
  }

  private isNewDay(what: string): boolean {
    const day = Math.floor(this.state.clock.wallMs() / DAY_MS)
    if (this.days.get(what) === day) return false
    this.days.set(what, day)
    return true
  }

  private async expire(bucket: ModelBucket, key: ObjectKey): Promise<void> {
    const nowMs = this.state.clock.wallMs()
    const [rules, versions] = [rulesOf(bucket), [...versionsOf(bucket, key)]]
    const [latest] = versions
    if (latest === undefined) return
    const isDue = (version: ModelVersion, dueMs: (rule: LifecycleRule) => number): boolean =>
      rules.some(rule => isFor(rule, key, version) && dueMs(rule) <= nowMs)
    const gone = versions.filter(
      (version, at) => isDue(version, rule => noncurrentExpires(rule, versions, at)) && !isLocked(version, nowMs),
    )
    for (const { info } of gone) dropVersion(bucket, key, info.versionId)
    // A version whose successor has gone became noncurrent later: the pass removes versions before it moves others.
    const left = [...versionsOf(bucket, key)]
    const classes = left.map((_, at) => classBy({ rules }, key, left, at, nowMs))
    // "Transition takes precedence over creation of delete markers."
    for (const [at, version] of left.entries()) {
      const storageClass = classes[at]
      if (version.kind === "object" && storageClass !== undefined) version.info = { ...version.info, storageClass }
    }
    if (!isDue(latest, rule => currentExpires(rule, versions))) return
    if (latest.kind === "marker") dropVersion(bucket, key, latest.info.versionId)
    // A request that names no version has the same effect:
    // "Amazon S3 adds a delete marker with a unique version ID", or the object goes.
    else await new ModelObjects(this.state).remove({ bucket: bucket.bucket, key, conditions: {} })
  }

  private abortUploads(bucket: ModelBucket): void {
    for (const [id, { initiatedMs, request }] of bucket.uploads) {
      const days = rulesOf(bucket).flatMap(rule =>
        rule.isEnabled && hasPrefix(request.key, rule) ? (rule.abortDays ?? []) : [],
      )
      const dueMs = midnightAfter(initiatedMs, days.length > 0 ? Math.min(...days) : ABANDONED_DAYS)
      if (dueMs <= this.state.clock.wallMs()) bucket.uploads.delete(id)
    }
  }
}

function rulesOf(bucket: ModelBucket): readonly LifecycleRule[] {
  const setting = bucket.settings.get("lifecycle")
  return setting === undefined ? [] : decodeLifecycleRules(setting.document).rules
}
