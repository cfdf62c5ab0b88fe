/**
 * What lifecycle rules would do, for people: why a version goes or stays, and what the next pass would remove. It asks the
 * same core as the pass, and changes nothing.
 *
 * Limits  INSPECTION_LIMITS.
 */
import { DATE_MS_MAX } from "../../base/dates.js"
import { fail } from "../../base/failures.js"
import { textOfObjectKey, type BucketId, type BucketName, type ObjectKey, type VersionId } from "../../base/ids.js"
import { objectRowKey, suffixRange } from "../../format/row-key.js"
import { versionIdOfHead, type VersionHead } from "../../format/version-record.js"
import { query, type Metadata } from "../../metadata/index.js"
import { bucketNamed } from "../bucket-service.js"
import { dueOf, verdictsOf, type VersionFacts, type When } from "./due-core.js"
import { isDue, isUnlocked, rowsOfBucket, rulesOf, walkVersions } from "./walk-core.js"
import type { LifecycleTime, SliceBounds } from "./walk-core.js"

const INSPECTION_LIMITS = {
  /** Of one key, newest first. */
  versionsShown: 100,
  /** Of each rule. */
  examplesShown: 5,
  rowsPerSlice: 2_000,
} as const

/** What happens to a version whose time has come. */
type Action = "hide" | "removeVersion" | "removeMarker"

interface ExplainedVersion {
  readonly versionId: VersionId
  readonly isLatest: boolean
  readonly isMarker: boolean
  readonly sizeBytes: number
  readonly modifiedMs: number
  /** A lock keeps it, whatever rules say. */
  readonly isLocked: boolean
  /** What happens first; undefined: nothing, as things are. */
  readonly next: { readonly ruleId: string; readonly dueMs: number; readonly action: Action } | undefined
  readonly rules: readonly { readonly ruleId: string; readonly when: When }[]
}

interface Explanation {
  readonly hasRules: boolean
  readonly nowMs: number
  readonly versions: readonly ExplainedVersion[]
  /** The key has more versions. */
  readonly hasMore: boolean
}

/** With versioning suspended a delete marker takes the place of a current null version, whose bytes are gone. */
function actionOn({ isMarker, place }: VersionFacts, { isNull }: VersionHead, versioning: string): Action {
  if (isMarker) return "removeMarker"
  if (place.kind === "noncurrent" || versioning === "never") return "removeVersion"
  return versioning === "suspended" && isNull ? "removeVersion" : "hide"
}

/** A rule with many days means never: its date is none that texts and clients know. */
const shownDue = (dueMs: number): number => Math.min(dueMs, DATE_MS_MAX)
const shownVerdict = ({ ruleId, when }: { readonly ruleId: string; readonly when: When }) => ({
  ...{ ruleId, when: typeof when === "number" ? shownDue(when) : when },
})

export const explainKey = query(
  "ExplainKey",
  (view, bucketId: BucketId, key: ObjectKey, versioning: string, time: LifecycleTime): Explanation => {
    const rules = rulesOf(view, bucketId)
    const row = objectRowKey(bucketId, key)
    const versions: ExplainedVersion[] = []
    const bounds = { start: row, end: suffixRange(row).end, rowsMax: INSPECTION_LIMITS.versionsShown }
    const next = walkVersions(view, bounds, rules?.newerKeptMax ?? 0, (facts, version) => {
      const isCurrent = facts.place.kind === "current"
      const due = rules && dueOf(rules, facts, time)
      versions.push({
        ...{ versionId: versionIdOfHead(version.head), isLatest: isCurrent, isMarker: facts.isMarker },
        ...{ sizeBytes: facts.sizeBytes, modifiedMs: facts.modifiedMs, isLocked: !isUnlocked(version, time) },
        next: due && { ...due, dueMs: shownDue(due.dueMs), action: actionOn(facts, version.head, versioning) },
        rules: rules === undefined ? [] : verdictsOf(rules, facts, time).map(shownVerdict),
      })
      return true
    })
    return { hasRules: rules !== undefined, nowMs: time.nowMs, versions, hasMore: next !== undefined }
  },
)

/** What one rule removes. */
interface PreviewedRule {
  readonly ruleId: string
  /** Objects that get a delete marker. */
  readonly hidden: number
  readonly versions: number
  readonly markers: number
  /** Of versions that are removed, and of objects that are hidden. */
  readonly bytes: number
  readonly examples: readonly { readonly key: string; readonly versionId: VersionId; readonly action: Action }[]
}

interface PreviewedSlice {
  readonly rules: readonly PreviewedRule[]
  /** Versions that are due, and locked. */
  readonly locked: number
  readonly next: SliceBounds["start"] | undefined
}

/** What the rules of a bucket remove from a slice of its rows; undefined: it has no rules. */
export const previewVersions = query(
  "PreviewVersions",
  (
    view,
    bucketId: BucketId,
    versioning: string,
    bounds: Omit<SliceBounds, "dueMax">,
    time: LifecycleTime,
  ): PreviewedSlice | undefined => {
    const rules = rulesOf(view, bucketId)
    if (rules === undefined) return undefined
    const previewed = new Map<string, PreviewedRule>(rules.rules.map(({ id }) => [id, emptyOf(id)]))
    let locked = 0
    const next = walkVersions(view, bounds, rules.newerKeptMax, (facts, version) => {
      const due = dueOf(rules, facts, time)
      if (!isDue(due, time)) return true
      const action = actionOn(facts, version.head, versioning)
      if (action !== "hide" && !isUnlocked(version, time)) {
        locked += 1
        return true
      }
      const example = { key: textOfObjectKey(facts.key), versionId: versionIdOfHead(version.head), action }
      const one: PreviewedRule = { ...countOf(action, facts), ruleId: due.ruleId, examples: [example] }
      previewed.set(due.ruleId, sumOf(previewed.get(due.ruleId) ?? emptyOf(due.ruleId), one))
      return true
    })
    return { rules: [...previewed.values()], locked, next }
  },
)

const emptyOf = (ruleId: string): PreviewedRule => ({
  ...{ ruleId, hidden: 0, versions: 0, markers: 0, bytes: 0, examples: [] },
})

const countOf = (action: Action, { sizeBytes: bytes }: VersionFacts) => ({
  ...{ bytes, hidden: Number(action === "hide") },
  ...{ versions: Number(action === "removeVersion"), markers: Number(action === "removeMarker") },
})

const sumOf = (a: PreviewedRule, b: PreviewedRule): PreviewedRule => ({
  ruleId: a.ruleId,
  hidden: a.hidden + b.hidden,
  versions: a.versions + b.versions,
  markers: a.markers + b.markers,
  bytes: a.bytes + b.bytes,
  examples: [...a.examples, ...b.examples].slice(0, INSPECTION_LIMITS.examplesShown),
})

interface Preview {
  readonly hasRules: boolean
  /** When the next pass begins. */
  readonly atMs: number
  readonly rules: readonly PreviewedRule[]
  readonly locked: number
}

export class LifecycleInspection {
  constructor(
    private readonly metadata: Pick<Metadata, "ask">,
    /** Undefined while the store's clock is unknown. */
    private readonly time: () => LifecycleTime | undefined,
  ) {}

  /** The versions of a key, and what the rules do to each. Throws `noSuchBucket`, `noSuchKey`. */
  async explain(name: BucketName, key: ObjectKey): Promise<Explanation> {
    const { id, versioning } = await this.bucket(name)
    const explained = await this.metadata.ask(explainKey(id, key, versioning, this.now()))
    if (explained.versions.length === 0) throw fail("noSuchKey", { key: textOfObjectKey(key) })
    return explained
  }

  /** What the next pass would remove from a bucket, if nothing changed until then. Throws `noSuchBucket`. */
  async preview(name: BucketName): Promise<Preview> {
    const { id, versioning } = await this.bucket(name)
    const { nowMs, dayMs } = this.now()
    const atMs = (Math.floor(nowMs / dayMs) + 1) * dayMs
    const { start: first, end } = rowsOfBucket(id)
    let rules: readonly PreviewedRule[] | undefined
    let locked = 0
    for (let start: SliceBounds["start"] | undefined = first; start !== undefined;) {
      const bounds: Omit<SliceBounds, "dueMax"> = { start, end, rowsMax: INSPECTION_LIMITS.rowsPerSlice }
      const slice: PreviewedSlice | undefined = await this.metadata.ask(
        previewVersions(id, versioning, bounds, { nowMs: atMs, dayMs }),
      )
      if (slice === undefined) return { hasRules: false, atMs, rules: [], locked: 0 }
      rules = rules === undefined ? slice.rules : merged(rules, slice.rules)
      locked += slice.locked
      start = slice.next
    }
    return { hasRules: true, atMs, rules: rules ?? [], locked }
  }

  private async bucket(name: BucketName) {
    const record = await this.metadata.ask(bucketNamed(name))
    if (record === undefined) throw fail("noSuchBucket", { bucket: name })
    return record
  }

  private now(): LifecycleTime {
    const time = this.time()
    if (time === undefined)
      throw fail("stopping", { message: "the store's clock is not known yet; try again in a minute" })
    return time
  }
}

/** Rules may have changed between slices: those that are gone keep what they had. */
function merged(before: readonly PreviewedRule[], more: readonly PreviewedRule[]): readonly PreviewedRule[] {
  const all = new Map(before.map(rule => [rule.ruleId, rule]))
  for (const rule of more) all.set(rule.ruleId, sumOf(all.get(rule.ruleId) ?? emptyOf(rule.ruleId), rule))
  return [...all.values()]
}
