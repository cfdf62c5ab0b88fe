/**
 * The effects that lifecycle rules would have, for people: why a version goes or stays, and what the next pass would
 * remove. This module uses the same core as the pass, and changes nothing.
 *
 * Limits  INSPECTION_LIMITS.
 */
import type { z } from "zod"
import type { ReadOnly } from "@hayloft/base/read-only.js"
import { DATE_MS_MAX } from "@hayloft/base/text/dates.js"
import { fail, unlessRefused } from "@hayloft/base/failures.js"
import { textOfObjectKey, type BucketId, type BucketName, type ObjectKey, type VersionId } from "@hayloft/base/ids.js"
import { objectRowKey, parseObjectRowKey, suffixRange } from "@hayloft/engine/format/row-key.js"
import type { StorageClass } from "@hayloft/base/storage-class.js"
import { decodeUpload, type Versioning } from "@hayloft/engine/format/records.js"
import { versionIdOfHead, type VersionHead } from "@hayloft/engine/format/objects/version-record.js"
import { query, type Metadata } from "@hayloft/engine/metadata/index.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import { decodeLifecycleRules } from "@hayloft/engine/format/objects/lifecycle-rules.js"
import { bucketNamed, type StoreDays } from "@hayloft/objects/door/index.js"
import { rowsOfBucket } from "@hayloft/objects/door/rows.js"
import { compileRules, dueOf, movesOf, NO_RULES, uploadDueOf, verdictsOf } from "./due-core.js"
import type { CompiledRules, LifecycleVerdict, VersionFacts, When } from "./due-core.js"
import { comparedRowsOf, isDue, isUnlocked, moveDue, removalOf, rulesOf, walkVersions } from "./walk-core.js"
import type { LifecycleTime, Removal, SliceBounds } from "./walk-core.js"
import type { LIFECYCLE_EXPLANATION, LIFECYCLE_PREVIEW } from "./schemas.js"

export const INSPECTION_LIMITS = {
  /** The versions of one key, newest first. */
  versionsShown: 100,
  /** The examples of each rule. */
  examplesShown: 5,
  rowsPerSlice: 2_000,
  /** The rows of a bucket for which rules are tried out: they take seconds, with a thousand rules minutes. */
  triedRowsMax: 1_000_000,
}

/** The action on a version whose time has come. */
type Action = Removal | "move"

type NextAction = NonNullable<ReadOnly<z.output<typeof LIFECYCLE_EXPLANATION>>["versions"][number]["next"]>

interface ExplainedVersion {
  readonly versionId: VersionId
  readonly isLatest: boolean
  readonly isMarker: boolean
  readonly sizeBytes: number
  readonly modifiedMs: number
  readonly storageClass: StorageClass
  /** A lock keeps it, whatever rules say. */
  readonly isLocked: boolean
  /** The first thing that happens; undefined means nothing, as things are. */
  readonly next: NextAction | undefined
  readonly rules: readonly LifecycleVerdict[]
}

interface Explanation {
  readonly hasRules: boolean
  readonly nowMs: number
  readonly versions: readonly ExplainedVersion[]
  /** The key has more versions. */
  readonly hasMore: boolean
}

/** A rule with many days means never: its date is none that texts and clients know. */
const shownDue = (dueMs: number): number => Math.min(dueMs, DATE_MS_MAX)
const shownWhen = (when: When): When => (typeof when === "number" ? shownDue(when) : when)
const shownVerdict = ({ ruleId, when, transitions }: LifecycleVerdict): LifecycleVerdict => ({
  ruleId,
  when: shownWhen(when),
  ...(transitions && {
    transitions: transitions.map(({ storageClass, when: moved }) => ({ storageClass, when: shownWhen(moved) })),
  }),
})

/** At the same time a removal comes before a move, and a move before a delete marker. */
function nextOf(
  rules: CompiledRules,
  facts: VersionFacts,
  removal: Removal,
  time: LifecycleTime,
): NextAction | undefined {
  const due = dueOf(rules, facts, time)
  const [move] = movesOf(rules, facts, time)
  const removedMs = due?.dueMs ?? Infinity
  const isMoved = move !== undefined && (removal === "hide" ? move.dueMs <= removedMs : move.dueMs < removedMs)
  if (isMoved) return { ...move, dueMs: shownDue(move.dueMs), action: "move" }
  return due && { ...due, dueMs: shownDue(due.dueMs), action: removal }
}

export const explainKey = query(
  "ExplainKey",
  (view, bucketId: BucketId, key: ObjectKey, versioning: Versioning, time: LifecycleTime): Explanation => {
    const rules = rulesOf(view, bucketId)
    const row = objectRowKey(bucketId, key)
    const versions: ExplainedVersion[] = []
    const bounds = { start: row, end: suffixRange(row).end, rowsMax: INSPECTION_LIMITS.versionsShown }
    const next = walkVersions(view, bounds, rules ?? NO_RULES, (facts, version) => {
      const isCurrent = facts.place.kind === "current"
      const removal = removalOf(facts, version.head, versioning)
      versions.push({
        versionId: versionIdOfHead(version.head),
        isLatest: isCurrent,
        isMarker: facts.isMarker,
        sizeBytes: facts.sizeBytes,
        modifiedMs: facts.modifiedMs,
        isLocked: !isUnlocked(version, time),
        storageClass: facts.storageClass,
        next: nextOf(rules ?? NO_RULES, facts, removal, time),
        rules: rules === undefined ? [] : verdictsOf(rules, facts, time).map(shownVerdict),
      })
      return true
    })
    return { hasRules: rules !== undefined, nowMs: time.nowMs, versions, hasMore: next !== undefined }
  },
)

type PreviewedRule = Preview["rules"][number]

interface PreviewedSlice {
  readonly rules: readonly PreviewedRule[]
  /** Versions that are due, and locked. */
  readonly locked: number
  /** Versions and delete markers that were looked at. */
  readonly examined: number
  readonly next: SliceBounds["start"] | undefined
}

/**
 * Returns what the rules of a bucket, or others in their place, remove from and move in a slice of its rows; undefined
 * if it has none.
 */
export const previewVersions = query(
  "PreviewVersions",
  (
    view,
    bucketId: BucketId,
    versioning: Versioning,
    bounds: Omit<SliceBounds, "dueMax">,
    time: LifecycleTime,
    tried: CompiledRules | undefined,
  ): PreviewedSlice | undefined => {
    const rules = tried ?? rulesOf(view, bucketId)
    if (rules === undefined) return undefined
    const previewed = new Map<string, PreviewedRule>(
      rules.rules.map(({ id, isEnabled }) => [id, emptyOf(id, isEnabled)]),
    )
    let [locked, examined] = [0, 0]
    const next = walkVersions(view, bounds, rules, (facts, version) => {
      examined += 1
      const shown = { key: textOfObjectKey(facts.key), versionId: versionIdOfHead(version.head) }
      const add = (ruleId: string, action: Action, storageClass?: StorageClass): void => {
        const example = storageClass === undefined ? { ...shown, action } : { ...shown, action, storageClass }
        const one: PreviewedRule = { ...emptyOf(ruleId), ...countOf(action, version.head), examples: [example] }
        previewed.set(ruleId, sumOf(previewed.get(ruleId) ?? emptyOf(ruleId), one))
      }
      const move = moveDue(rules, facts, version, versioning, time)
      if (move !== undefined) add(move.ruleId, "move", move.storageClass)
      const due = dueOf(rules, facts, time)
      if (!isDue(due, time)) return true
      const removal = removalOf(facts, version.head, versioning)
      if (removal !== "hide" && !isUnlocked(version, time)) locked += 1
      else add(due.ruleId, removal)
      return true
    })
    return { rules: [...previewed.values()], locked, examined, next }
  },
)

interface PreviewedUploads {
  /** The rule that removes each due upload; undefined if none does, but the upload was abandoned. */
  readonly due: readonly (string | undefined)[]
  readonly next: SliceBounds["start"] | undefined
}

/**
 * Returns what removes the uploads of a slice of a bucket that are due. An upload that is being completed then stays.
 */
export const previewUploads = query(
  "PreviewUploads",
  (
    view,
    bucketId: BucketId,
    { start, end, rowsMax: most }: Omit<SliceBounds, "dueMax">,
    time: LifecycleTime & StoreDays,
    tried: CompiledRules | undefined,
  ): PreviewedUploads => {
    const rules = tried ?? rulesOf(view, bucketId)
    const rowsMax = comparedRowsOf(most, rules)
    const due: (string | undefined)[] = []
    let rows = 0
    for (const [rowKey, row] of view.range("uploads", { start, end, expectedRows: rowsMax + 1 })) {
      if (rows === rowsMax) return { due, next: rowKey }
      rows += 1
      const upload = unlessRefused(() => decodeUpload(row.value))
      if (upload === undefined) continue
      const { initiatedMs } = upload
      const end = uploadDueOf(rules, { key: parseObjectRowKey(rowKey).key, initiatedMs }, time)
      if (end !== undefined && end.dueMs <= time.nowMs) due.push(end.ruleId)
    }
    return { due, next: undefined }
  },
)

const emptyOf = (ruleId: string, isEnabled = true): PreviewedRule => ({
  ruleId,
  isEnabled,
  hidden: 0,
  versions: 0,
  markers: 0,
  bytes: 0,
  moved: 0,
  movedBytes: 0,
  uploads: 0,
  examples: [],
})

/** The bytes are those that the pass counts: the stored ones. */
const countOf = (action: Action, { sizeBytes }: Pick<VersionHead, "sizeBytes">) => ({
  bytes: action === "move" ? 0 : sizeBytes,
  hidden: Number(action === "hide"),
  moved: Number(action === "move"),
  movedBytes: action === "move" ? sizeBytes : 0,
  versions: Number(action === "removeVersion"),
  markers: Number(action === "removeMarker"),
  uploads: 0,
})

const sumOf = (a: PreviewedRule, b: PreviewedRule): PreviewedRule => ({
  ruleId: a.ruleId,
  isEnabled: a.isEnabled,
  hidden: a.hidden + b.hidden,
  versions: a.versions + b.versions,
  markers: a.markers + b.markers,
  bytes: a.bytes + b.bytes,
  moved: a.moved + b.moved,
  movedBytes: a.movedBytes + b.movedBytes,
  uploads: a.uploads + b.uploads,
  examples: [...a.examples, ...b.examples].slice(0, INSPECTION_LIMITS.examplesShown),
})

type Preview = ReadOnly<z.output<typeof LIFECYCLE_PREVIEW>>

interface Walk {
  /** In place of those of the bucket. */
  readonly rules: CompiledRules | undefined
  readonly rowsMax: number
  readonly isWanted: () => boolean
}

export class LifecycleInspection {
  constructor(
    private readonly metadata: Pick<Metadata, "ask">,
    /** Returns undefined while the store's clock is unknown. */
    private readonly time: () => (LifecycleTime & StoreDays) | undefined,
    /** Other work goes on between slices. */
    private readonly clock: Pick<Clock, "atEndOfTurn">,
    private readonly limits: typeof INSPECTION_LIMITS = INSPECTION_LIMITS,
  ) {}

  /** The versions of a key, and what the rules do to each. Throws `noSuchBucket`, `noSuchKey`. */
  async explain(name: BucketName, key: ObjectKey): Promise<Explanation> {
    const { id, versioning } = await this.bucket(name)
    const explained = await this.metadata.ask(explainKey(id, key, versioning, this.now()))
    if (explained.versions.length === 0) throw fail("noSuchKey", { key: textOfObjectKey(key) })
    return explained
  }

  /** Returns what the next pass would remove from a bucket, if nothing changed until then. Throws `noSuchBucket`. */
  preview(name: BucketName): Promise<Preview> {
    return this.previewed(name, { rules: undefined, rowsMax: Infinity, isWanted: () => true })
  }

  /**
   * The same as if the bucket had these rules, the document of its setting. Ends when the signal fires. Throws
   * `noSuchBucket`.
   */
  tryRules(name: BucketName, document: string, signal: AbortSignal): Promise<Preview> {
    const rules = compileRules(decodeLifecycleRules(document))
    return this.previewed(name, { rules, rowsMax: this.limits.triedRowsMax, isWanted: () => !signal.aborted })
  }

  private async previewed(name: BucketName, walk: Walk): Promise<Preview> {
    const { id, versioning } = await this.bucket(name)
    const now = this.now()
    const atMs = (Math.floor(now.nowMs / now.dayMs) + 1) * now.dayMs
    const time = { ...now, nowMs: atMs }
    const uploads: (string | undefined)[] = []
    const moreUploads = await this.slices(id, walk, async bounds => {
      const slice = await this.metadata.ask(previewUploads(id, bounds, time, walk.rules))
      uploads.push(...slice.due)
      return slice.next
    })
    let [locked, examined] = [0, 0]
    let rules: readonly PreviewedRule[] = []
    let hasRules = true
    const moreVersions = await this.slices(id, walk, async bounds => {
      const slice = await this.metadata.ask(previewVersions(id, versioning, bounds, time, walk.rules))
      if (slice === undefined) {
        hasRules = false
        return undefined
      }
      rules = merged(rules, slice.rules)
      locked += slice.locked
      examined += slice.examined
      return slice.next
    })
    const abandonedUploads = uploads.filter(ruleId => ruleId === undefined).length
    const ofUploads = uploads.flatMap(ruleId => (ruleId === undefined ? [] : { ...emptyOf(ruleId), uploads: 1 }))
    return {
      hasRules,
      atMs,
      rules: hasRules ? merged(rules, ofUploads) : [],
      locked,
      examined,
      abandonedUploads,
      isComplete: moreUploads === undefined && moreVersions === undefined,
    }
  }

  /** Reads the rows of a bucket slice by slice. Returns where it has stopped; undefined: at the end. */
  private async slices(
    id: BucketId,
    { rules, rowsMax, isWanted }: Walk,
    read: (bounds: Omit<SliceBounds, "dueMax">) => Promise<SliceBounds["start"] | undefined>,
  ): Promise<SliceBounds["start"] | undefined> {
    const rowsPerSlice = comparedRowsOf(this.limits.rowsPerSlice, rules)
    const { start, end } = rowsOfBucket(id)
    let next: SliceBounds["start"] | undefined = start
    for (let rows = 0; next !== undefined && rows < rowsMax && isWanted(); rows += rowsPerSlice) {
      next = await read({ start: next, end, rowsMax: rowsPerSlice })
      await new Promise<void>(resolve => this.clock.atEndOfTurn(resolve))
    }
    return next
  }

  private async bucket(name: BucketName) {
    const record = await this.metadata.ask(bucketNamed(name))
    if (record === undefined) throw fail("noSuchBucket", { bucket: name })
    return record
  }

  private now(): LifecycleTime & StoreDays {
    const time = this.time()
    if (time === undefined)
      throw fail("stopping", { message: "the store's clock is not known yet; try again in a minute" })
    return time
  }
}

/** Rules may have changed between slices: those that are gone keep what they had. */
function merged(before: readonly PreviewedRule[], more: readonly PreviewedRule[]): readonly PreviewedRule[] {
  const all = new Map(before.map(rule => [rule.ruleId, rule]))
  for (const rule of more) {
    const former = all.get(rule.ruleId)
    all.set(rule.ruleId, former === undefined ? rule : sumOf(former, rule))
  }
  return [...all.values()]
}
