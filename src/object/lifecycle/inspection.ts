/**
 * What lifecycle rules would do, for people: why a version goes or stays, and what the next pass would remove. It asks the
 * same core as the pass, and changes nothing.
 *
 * Limits  INSPECTION_LIMITS.
 */
import { DATE_MS_MAX } from "../../base/dates.js"
import { fail, unlessRefused } from "../../base/failures.js"
import { textOfObjectKey, type BucketId, type BucketName, type ObjectKey, type VersionId } from "../../base/ids.js"
import { objectRowKey, parseObjectRowKey, suffixRange } from "../../format/row-key.js"
import type { StorageClass } from "../../base/storage-class.js"
import { decodeUpload, type Versioning } from "../../format/records.js"
import { versionIdOfHead } from "../../format/version-record.js"
import { query, type Metadata } from "../../metadata/index.js"
import { bucketNamed } from "../bucket-service.js"
import { dueOf, movesOf, uploadDueOf, verdictsOf } from "./due-core.js"
import type { AbandonedAfter, CompiledRules, Verdict, VersionFacts, When } from "./due-core.js"
import { isDue, isUnlocked, moveDue, removalOf, rowsOfBucket, rulesOf, walkVersions } from "./walk-core.js"
import type { LifecycleTime, Removal, SliceBounds } from "./walk-core.js"

const INSPECTION_LIMITS = {
  /** Of one key, newest first. */
  versionsShown: 100,
  /** Of each rule. */
  examplesShown: 5,
  rowsPerSlice: 2_000,
} as const

/** What happens to a version whose time has come. */
type Action = Removal | "move"

/** The first thing that happens to a version. */
interface NextAction {
  readonly ruleId: string
  readonly dueMs: number
  readonly action: Action
  /** To which a version moves. */
  readonly storageClass?: StorageClass
}

interface ExplainedVersion {
  readonly versionId: VersionId
  readonly isLatest: boolean
  readonly isMarker: boolean
  readonly sizeBytes: number
  readonly modifiedMs: number
  readonly storageClass: StorageClass
  /** A lock keeps it, whatever rules say. */
  readonly isLocked: boolean
  /** What happens first; undefined: nothing, as things are. */
  readonly next: NextAction | undefined
  readonly rules: readonly Verdict[]
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
const shownVerdict = ({ ruleId, when, transitions }: Verdict): Verdict => ({
  ...{ ruleId, when: shownWhen(when) },
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
    const next = walkVersions(view, bounds, rules?.newerKeptMax ?? 0, (facts, version) => {
      const isCurrent = facts.place.kind === "current"
      const removal = removalOf(facts, version.head, versioning)
      versions.push({
        ...{ versionId: versionIdOfHead(version.head), isLatest: isCurrent, isMarker: facts.isMarker },
        ...{ sizeBytes: facts.sizeBytes, modifiedMs: facts.modifiedMs, isLocked: !isUnlocked(version, time) },
        storageClass: facts.storageClass,
        next: rules && nextOf(rules, facts, removal, time),
        rules: rules === undefined ? [] : verdictsOf(rules, facts, time).map(shownVerdict),
      })
      return true
    })
    return { hasRules: rules !== undefined, nowMs: time.nowMs, versions, hasMore: next !== undefined }
  },
)

interface PreviewedVersion {
  readonly key: string
  readonly versionId: VersionId
  readonly action: Action
  /** To which it moves. */
  readonly storageClass?: StorageClass
}

/** What one rule removes and moves. */
interface PreviewedRule {
  readonly ruleId: string
  /** One that is not does nothing. */
  readonly isEnabled: boolean
  /** Objects that get a delete marker. */
  readonly hidden: number
  readonly versions: number
  readonly markers: number
  /** Of versions that are removed, and of objects that are hidden. */
  readonly bytes: number
  /** Versions that move to another storage class. */
  readonly moved: number
  readonly movedBytes: number
  /** Unfinished multipart uploads that are removed. */
  readonly uploads: number
  readonly examples: readonly PreviewedVersion[]
}

interface PreviewedSlice {
  readonly rules: readonly PreviewedRule[]
  /** Versions that are due, and locked. */
  readonly locked: number
  readonly next: SliceBounds["start"] | undefined
}

/** What the rules of a bucket remove from, and move in, a slice of its rows; undefined: it has no rules. */
export const previewVersions = query(
  "PreviewVersions",
  (
    view,
    bucketId: BucketId,
    versioning: Versioning,
    bounds: Omit<SliceBounds, "dueMax">,
    time: LifecycleTime,
  ): PreviewedSlice | undefined => {
    const rules = rulesOf(view, bucketId)
    if (rules === undefined) return undefined
    const previewed = new Map<string, PreviewedRule>(
      rules.rules.map(({ id, isEnabled }) => [id, emptyOf(id, isEnabled)]),
    )
    let locked = 0
    const next = walkVersions(view, bounds, rules.newerKeptMax, (facts, version) => {
      const shown = { key: textOfObjectKey(facts.key), versionId: versionIdOfHead(version.head) }
      const add = (ruleId: string, action: Action, storageClass?: StorageClass): void => {
        const example = storageClass === undefined ? { ...shown, action } : { ...shown, action, storageClass }
        const one: PreviewedRule = { ...emptyOf(ruleId), ...countOf(action, facts), examples: [example] }
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
    return { rules: [...previewed.values()], locked, next }
  },
)

interface PreviewedUploads {
  /** Of each due upload: the rule that removes it; undefined: none does, but it was abandoned. */
  readonly due: readonly (string | undefined)[]
  readonly next: SliceBounds["start"] | undefined
}

/** What removes the uploads of a slice of a bucket that are due. An upload that is being completed then stays. */
export const previewUploads = query(
  "PreviewUploads",
  (
    view,
    bucketId: BucketId,
    { start, end, rowsMax }: Omit<SliceBounds, "dueMax">,
    time: LifecycleTime & AbandonedAfter,
  ): PreviewedUploads => {
    const rules = rulesOf(view, bucketId)
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
  ...{
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
  },
})

const countOf = (action: Action, { sizeBytes }: VersionFacts) => ({
  ...{ bytes: action === "move" ? 0 : sizeBytes, hidden: Number(action === "hide") },
  ...{ moved: Number(action === "move"), movedBytes: action === "move" ? sizeBytes : 0 },
  ...{ versions: Number(action === "removeVersion"), markers: Number(action === "removeMarker"), uploads: 0 },
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

interface Preview {
  readonly hasRules: boolean
  /** When the next pass begins. */
  readonly atMs: number
  readonly rules: readonly PreviewedRule[]
  readonly locked: number
  /** Unfinished uploads that no rule removes, but that began so long ago that they are. */
  readonly abandonedUploads: number
}

export class LifecycleInspection {
  constructor(
    private readonly metadata: Pick<Metadata, "ask">,
    /** Undefined while the store's clock is unknown. */
    private readonly time: () => (LifecycleTime & AbandonedAfter) | undefined,
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
    const now = this.now()
    const atMs = (Math.floor(now.nowMs / now.dayMs) + 1) * now.dayMs
    const time = { ...now, nowMs: atMs }
    const uploads = await this.uploads(id, time)
    const abandonedUploads = uploads.filter(ruleId => ruleId === undefined).length
    const { start: first, end } = rowsOfBucket(id)
    let rules: readonly PreviewedRule[] | undefined
    let locked = 0
    for (let start: SliceBounds["start"] | undefined = first; start !== undefined;) {
      const bounds: Omit<SliceBounds, "dueMax"> = { start, end, rowsMax: INSPECTION_LIMITS.rowsPerSlice }
      const slice: PreviewedSlice | undefined = await this.metadata.ask(previewVersions(id, versioning, bounds, time))
      if (slice === undefined) return { hasRules: false, atMs, rules: [], locked: 0, abandonedUploads }
      rules = rules === undefined ? slice.rules : merged(rules, slice.rules)
      locked += slice.locked
      start = slice.next
    }
    const ofUploads = uploads.flatMap(ruleId => (ruleId === undefined ? [] : { ...emptyOf(ruleId), uploads: 1 }))
    return { hasRules: true, atMs, rules: merged(rules ?? [], ofUploads), locked, abandonedUploads }
  }

  /** What removes each of a bucket's uploads that are due. */
  private async uploads(id: BucketId, time: LifecycleTime & AbandonedAfter): Promise<readonly (string | undefined)[]> {
    const due: (string | undefined)[] = []
    const { start: first, end } = rowsOfBucket(id)
    for (let start: SliceBounds["start"] | undefined = first; start !== undefined;) {
      const bounds: Omit<SliceBounds, "dueMax"> = { start, end, rowsMax: INSPECTION_LIMITS.rowsPerSlice }
      const slice: PreviewedUploads = await this.metadata.ask(previewUploads(id, bounds, time))
      due.push(...slice.due)
      start = slice.next
    }
    return due
  }

  private async bucket(name: BucketName) {
    const record = await this.metadata.ask(bucketNamed(name))
    if (record === undefined) throw fail("noSuchBucket", { bucket: name })
    return record
  }

  private now(): LifecycleTime & AbandonedAfter {
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
