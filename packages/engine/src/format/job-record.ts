/**
 * Jobs that a caller has started (family `jobs`): what was asked for, how far it is, and how it ended.
 *
 * Refuses  Anything malformed with `corruptRecord`.
 */
import {
  appended,
  APPENDED_COUNT,
  flags,
  flat,
  NUMBER,
  oneOf,
  optional,
  record,
  row,
  rowsOf,
  TEXT,
} from "./encoding/fields.js"
import type { ValueOf } from "./encoding/fields.js"

/** Numbers are on disk: append only. */
const STATES = ["running", "done", "failed", "cancelled"] as const
const STARTERS = ["operator", "token", "key", "store"] as const

const STARTER = row({
  /** With the token of the data folders, with one that has an id and a name, as the holder of a key; or nobody: the store itself. */
  kind: oneOf(STARTERS),
  id: TEXT,
  name: TEXT,
})
export type JobStarter = ValueOf<typeof STARTER>

/** Results of items, each counted once, whatever process died meanwhile. */
const COUNTS = row({
  scanned: NUMBER,
  matched: NUMBER,
  matchedBytes: NUMBER,
  done: NUMBER,
  doneBytes: NUMBER,
  failed: NUMBER,
  /** Items that changed during each comparison, if the job compares. */
  changing: APPENDED_COUNT,
  /** Items that the job has changed, if it repairs. */
  repaired: APPENDED_COUNT,
})

const FAILURES = rowsOf({
  /** A byte string, like keys. */
  key: TEXT,
  /** "" for the object itself. */
  versionId: TEXT,
  reason: TEXT,
})
export type JobFailure = ValueOf<typeof FAILURES>[number]

const PLANNED_ITEMS = rowsOf({
  what: TEXT,
  /** A byte string, like keys. */
  key: TEXT,
  /** "" for the object itself. */
  versionId: TEXT,
  sizeBytes: NUMBER,
})
export type PlannedItem = ValueOf<typeof PLANNED_ITEMS>[number]

/** The plan that counting made, for jobs that do more than one thing. */
const PLAN = row({
  /** An amount for each action: "restore", "delete", "unchanged". */
  amounts: rowsOf({ what: TEXT, objects: NUMBER, bytes: NUMBER }),
  /** The first items. */
  first: PLANNED_ITEMS,
})
export type JobPlan = ValueOf<typeof PLAN>

/** A page of items that is being worked on: the process that takes over does it again, and counts it once. */
const STEP = row({
  /** The cursor behind it. */
  until: TEXT,
  scanned: NUMBER,
  items: NUMBER,
  bytes: NUMBER,
})

const JOB = record("job", {
  kind: TEXT,
  target: TEXT,
  /** JSON; its kind defines it. */
  request: TEXT,
  starter: STARTER,
  startedMs: NUMBER,
  state: oneOf(STATES),
  /**
   * `isCancelling`: it ends as cancelled after the step under way. `isDryRun`: it only counts. `isCounted`: it has counted
   * what there is to do.
   */
  flags: flat(flags("isPaused", "isCancelling", "isDryRun", "isCounted")),
  /** The place where the next page begins; "" at the start. */
  cursor: TEXT,
  step: optional(STEP),
  counts: COUNTS,
  /** Items a second over the last minute, 0: not known. */
  rate: NUMBER,
  /** The first ones. */
  failures: FAILURES,
  lastError: optional(TEXT),
  ended: optional(row({ atMs: NUMBER, result: TEXT })),
  /** Increases with each change. */
  revision: NUMBER,
  /** The plan is absent if the job does one thing, or nothing was counted yet. */
  plan: appended(optional(PLAN)),
})
export type JobRecord = ValueOf<typeof JOB>
export const { encode: encodeJob, decode: decodeJob } = JOB
