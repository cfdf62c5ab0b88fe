/**
 * The model's lifecycle: once a day it looks at every version, every delete marker and every upload of each bucket. Written
 * from the sentences of Amazon's User Guide that are cited, and from decision 55 where they are silent.
 */
import type { ObjectKey } from "../../src/base/ids.js"
import { decodeLifecycleRules, type LifecycleRule } from "../../src/format/lifecycle-rules.js"
import { ModelObjects } from "./objects.js"
import { dropVersion, versionsOf, type ModelBucket, type ModelState, type ModelVersion } from "./state.js"

const DAY_MS = 24 * 60 * 60 * 1000
/** Decision 55: uploads are removed so many days after they began, if no rule says otherwise. */
const ABANDONED_DAYS = 7

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

/** A delete marker has no bytes and no tags. ObjectSizeGreaterThan and ObjectSizeLessThan do not include their number. */
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

function isLocked(version: ModelVersion, nowMs: number): boolean {
  const lock = version.kind === "object" ? version.info.lock : undefined
  return lock?.legalHold === true || (lock?.retention?.untilMs ?? 0) > nowMs
}

export class ModelLifecycle {
  /** The days of the last pass of each bucket with rules, and of that over uploads. */
  private readonly days = new Map<string, number>()

  constructor(private readonly state: ModelState) {}

  /** What is due at this moment goes, unless the pass of the day was before. */
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
    const [rules, versions] = [rulesOf(bucket), versionsOf(bucket, key)]
    const [latest] = versions
    if (latest === undefined) return
    const isDue = (version: ModelVersion, dueMs: (rule: LifecycleRule) => number): boolean =>
      rules.some(rule => isFor(rule, key, version) && dueMs(rule) <= nowMs)
    const gone = versions.filter(
      (version, at) => isDue(version, rule => noncurrentExpires(rule, versions, at)) && !isLocked(version, nowMs),
    )
    for (const { info } of gone) dropVersion(bucket, key, info.versionId)
    if (!isDue(latest, rule => currentExpires(rule, versions))) return
    if (latest.kind === "marker") dropVersion(bucket, key, latest.info.versionId)
    // As with a request that names no version: "Amazon S3 adds a delete marker with a unique version ID", or the object goes.
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
