/**
 * Jobs that a caller has started (family `jobs`): what was asked for, how far it is, and how it ended.
 *
 * Refuses  Anything malformed with `corruptRecord`.
 */
import { packRecord, pick, RecordReader } from "./pack.js"

/** Numbers are on disk: append only. */
const STATES = ["running", "done", "failed", "cancelled"] as const
const STARTERS = ["operator", "token", "key", "store"] as const

export interface JobStarter {
  /** With the token of the data folders, with one that has an id and a name, as the holder of a key; or nobody: the store itself. */
  readonly kind: (typeof STARTERS)[number]
  readonly id: string
  readonly name: string
}

/** Results of items, each counted once, whatever process died meanwhile. */
export interface JobCounts {
  readonly scanned: number
  readonly matched: number
  readonly matchedBytes: number
  readonly done: number
  readonly doneBytes: number
  readonly failed: number
  /** Items that changed during each comparison, if the job compares. */
  readonly changing?: number
  /** Items that the job has changed, if it repairs. */
  readonly repaired?: number
}

export interface JobFailure {
  /** A byte string, like keys. */
  readonly key: string
  /** "" for the object itself. */
  readonly versionId: string
  readonly reason: string
}

/** The plan that counting made, for jobs that do more than one thing. */
export interface JobPlan {
  /** An amount for each action: "restore", "delete", "unchanged". */
  readonly amounts: readonly PlannedAmount[]
  /** The first items. */
  readonly first: readonly PlannedItem[]
}

interface PlannedAmount {
  readonly what: string
  readonly objects: number
  readonly bytes: number
}

export interface PlannedItem {
  readonly what: string
  /** A byte string, like keys. */
  readonly key: string
  /** "" for the object itself. */
  readonly versionId: string
  readonly sizeBytes: number
}

/** A page of items that is being worked on: the process that takes over does it again, and counts it once. */
interface JobStep {
  /** The cursor behind it. */
  readonly until: string
  readonly scanned: number
  readonly items: number
  readonly bytes: number
}

export interface JobRecord {
  readonly kind: string
  readonly target: string
  /** JSON; its kind defines it. */
  readonly request: string
  readonly starter: JobStarter
  readonly startedMs: number
  readonly state: (typeof STATES)[number]
  readonly isPaused: boolean
  /** It ends as cancelled after the step under way. */
  readonly isCancelling: boolean
  /** It only counts. */
  readonly isDryRun: boolean
  /** It has counted what there is to do. */
  readonly isCounted: boolean
  /** Where the next page begins; "" at the start. */
  readonly cursor: string
  readonly step: JobStep | undefined
  readonly counts: JobCounts
  /** Items a second over the last minute, 0: not known. */
  readonly rate: number
  /** The first ones. */
  readonly failures: readonly JobFailure[]
  readonly lastError: string | undefined
  readonly ended: { readonly atMs: number; readonly result: string } | undefined
  /** Increases with each change. */
  readonly revision: number
  /** The plan is absent if the job does one thing, or nothing was counted yet. */
  readonly plan?: JobPlan | undefined
}

const flagsOf = (record: JobRecord): number =>
  [record.isPaused, record.isCancelling, record.isDryRun, record.isCounted].reduce(
    (flags, isSet, bit) => flags + (isSet ? 2 ** bit : 0),
    0,
  )

const isSet = (flags: number, bit: number): boolean => Math.floor(flags / 2 ** bit) % 2 === 1

/** Earlier releases ignore members at the end that they do not know. */
function packCounts({ scanned, matched, matchedBytes, done, doneBytes, failed, ...more }: JobCounts) {
  const { changing = 0, repaired = 0 } = more
  const tail = repaired > 0 ? [changing, repaired] : changing > 0 ? [changing] : []
  return [scanned, matched, matchedBytes, done, doneBytes, failed, ...tail]
}

export const encodeJob = (record: JobRecord): Uint8Array => {
  const { starter, step, counts, ended, plan } = record
  return packRecord(1, [
    ...[record.kind, record.target, record.request, [STARTERS.indexOf(starter.kind), starter.id, starter.name]],
    ...[record.startedMs, STATES.indexOf(record.state), flagsOf(record), record.cursor],
    step ? [step.until, step.scanned, step.items, step.bytes] : null,
    packCounts(counts),
    record.rate,
    record.failures.map(({ key, versionId, reason }) => [key, versionId, reason]),
    record.lastError ?? null,
    ended ? [ended.atMs, ended.result] : null,
    record.revision,
    ...(plan === undefined ? [] : [packPlan(plan)]),
  ])
}

const packPlan = ({ amounts, first }: JobPlan): readonly unknown[] => [
  amounts.map(({ what, objects, bytes }) => [what, objects, bytes]),
  first.map(({ what, key, versionId, sizeBytes }) => [what, key, versionId, sizeBytes]),
]

const planIn = (row: RecordReader): JobPlan => ({
  amounts: row.rows(each => ({ what: each.text(), objects: each.number(), bytes: each.number() })),
  first: row.rows(each => ({
    ...{ what: each.text(), key: each.text(), versionId: each.text() },
    sizeBytes: each.number(),
  })),
})

export function decodeJob(bytes: Uint8Array): JobRecord {
  const row = RecordReader.open("job", bytes, 1)
  const asked = { kind: row.text(), target: row.text(), request: row.text(), starter: starterIn(row.row()) }
  const startedMs = row.number()
  const state = pick(STATES, row.number(), "state")
  const flags = row.number()
  const cursor = row.text()
  const step = row.optional(() => stepIn(row.row()))
  const record = {
    ...{ ...asked, startedMs, state, cursor, step },
    ...{
      isPaused: isSet(flags, 0),
      isCancelling: isSet(flags, 1),
      isDryRun: isSet(flags, 2),
      isCounted: isSet(flags, 3),
    },
    counts: countsIn(row.row()),
    rate: row.number(),
    failures: row.rows(failure => ({ key: failure.text(), versionId: failure.text(), reason: failure.text() })),
    lastError: row.optional(() => row.text()),
    ended: row.optional(() => {
      const end = row.row()
      return { atMs: end.number(), result: end.text() }
    }),
    revision: row.number(),
  }
  const plan = row.optional(() => planIn(row.row()))
  return plan === undefined ? record : { ...record, plan }
}

const starterIn = (row: RecordReader): JobStarter => ({
  kind: pick(STARTERS, row.number(), "starter"),
  id: row.text(),
  name: row.text(),
})

const stepIn = (row: RecordReader): JobStep => ({
  until: row.text(),
  scanned: row.number(),
  items: row.number(),
  bytes: row.number(),
})

function countsIn(row: RecordReader): JobCounts {
  const [scanned, matched, matchedBytes] = [row.number(), row.number(), row.number()]
  const [done, doneBytes, failed] = [row.number(), row.number(), row.number()]
  const changing = row.optional(() => row.number()) ?? 0
  const repaired = row.optional(() => row.number()) ?? 0
  return {
    ...{ scanned, matched, matchedBytes, done, doneBytes, failed },
    ...(changing > 0 && { changing }),
    ...(repaired > 0 && { repaired }),
  }
}
