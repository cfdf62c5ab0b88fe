/**
 * Jobs that callers start: long work on objects, and changes of the store whose work takes long. A job has an id, shows
 * its progress, and can be watched; most can be cancelled.
 *
 * Two kinds share one list. *Bulk jobs* work through the objects of a bucket page by page; this module does them.
 * *Followed jobs* are the work of the store itself (a drain, a re-encoding, an erasure): other modules do it, and this one
 * notes when it begins and ends.
 */
import type { z } from "zod"
import type { ReadOnly } from "@hayloft/base/read-only.js"
import { textOfObjectKey, type JobId } from "@hayloft/base/ids.js"
import type { JobFailure, JobPlan, JobStarter } from "@hayloft/engine/format/job-record.js"

import type { Buckets } from "@hayloft/objects/contract.js"
import type { STARTED_JOB } from "./job-schemas.js"

export type { JobStarter } from "@hayloft/engine/format/job-record.js"

export type StartedProgress = StartedJob["progress"]

/** A job as answers show it, but for its failures and its plan, whose keys are byte strings (`startedJson`). */
export type StartedJob = ReadOnly<Omit<z.output<typeof STARTED_JOB>, "id" | "failures" | "plan">> & {
  readonly id: JobId
  /** The first ones; `counts.failed` counts all. */
  readonly failures: readonly JobFailure[]
  /** The planned changes and their first objects; undefined if the job does one thing to all. */
  readonly plan: JobPlan | undefined
}

/** Work that the store does by itself, as it is now. */
export interface FollowedWork {
  readonly kind: string
  /** Stays the same while the work goes on: with the kind it names it. */
  readonly target: string
  readonly phase: string
  readonly sinceMs: number | undefined
  readonly progress: StartedProgress
  readonly rate: number | undefined
  readonly endsInSeconds: number | undefined
  readonly lastError: string | undefined
  /** The reason why it cannot be cancelled here, and what undoes it. */
  readonly cancelBy: string
  /** It is shown even if no caller has started it. */
  readonly isNoted: boolean
}

/** A page of the items of a job. */
export interface ItemPage<Item> {
  readonly items: readonly Item[]
  readonly bytes: number
  /** Rows that were looked at. */
  readonly scanned: number
  /** It is undefined if there is nothing more. */
  readonly next: string | undefined
  /** The plan for these items, if the job does more than one thing. */
  readonly plan?: JobPlan
}

/** The outcome of an item: undefined if it is done, or a text that says why it could not be. */
type ItemOutcome =
  | undefined
  | string
  /** It changed whenever it was compared, which is no failure. */
  | { readonly changing: string }
  /** It is done; something was wrong with it. */
  | { readonly isRepaired: true }
  /** The store failed at it, and may do so again: the page is tried again, and after some attempts it could not be done. */
  | { readonly failing: string }

/** A kind of bulk job: reads its items page by page, and works on each. */
export interface ItemWork<Item, Outcome extends ItemOutcome = ItemOutcome> {
  /** Throws a failure that ends the job, as `itemsAfter` does. */
  prepare(): Promise<void>
  /** At most `max` items behind the cursor; no further than `until`, if that is given. */
  itemsAfter(cursor: string, until: string | undefined, max: number): Promise<ItemPage<Item>>
  /**
   * Safe to repeat; `isRepeated`: an earlier process may have done it. Throws what passes: the page is tried again.
   */
  work(item: Item, isRepeated: boolean): Promise<Outcome>
  describe(item: Item): Pick<JobFailure, "key" | "versionId">
}

/** A step of work that makes one whole thing. */
export interface WholePage {
  readonly rows: number
  readonly bytes: number
  /** The thing is there, whole. */
  readonly isOver: boolean
}

/**
 * A kind of job that makes one thing, which appears when it is whole. What a process has of it is in its memory, so the
 * process that takes over begins again.
 */
export interface WholeWork {
  /** Throws a failure that ends the job, as the other calls do. */
  prepare(): Promise<void>
  /** Begins. Returns a text for the row, by which another process can discard what this one has written. */
  begin(): Promise<string>
  /** Returns true if an earlier process of the job has made the thing. */
  isMade(): Promise<boolean>
  /** Removes what a process has written, if it is not whole. Safe to repeat. */
  discard(begun: string): Promise<void>
  /** Does a small piece of the work. Can be repeated if it has thrown what passes. */
  advance(): Promise<WholePage>
}

/** Makes the work of a job from its row. Throws `invalidArgument` for a request that it does not know. */
export type OpenWork = (job: {
  readonly kind: string
  readonly request: string
  readonly starter: JobStarter
  readonly startedMs: number
}) => Promise<ItemWork<unknown> | WholeWork>

/** A job that a caller starts. */
export interface NewStartedJob {
  readonly kind: string
  readonly target: string
  /** JSON. */
  readonly request: string
  readonly starter: JobStarter
  readonly isDryRun: boolean
  /** The rate is undefined if the job goes as fast as it can. */
  readonly itemsPerSecond?: number | undefined
}

/** The jobs of a store, as far as operations start them. */
export interface JobsOfOperators {
  start(job: NewStartedJob): Promise<StartedJob>
}

/** The services from which such jobs find their work. */
export interface RowJobServices {
  readonly core: object
  readonly buckets: Pick<Buckets, "open" | "confirm">
}

/** Jobs of a feature on rows of the metadata. */
export interface RowJobs {
  readonly kinds: readonly string[]
  open(services: RowJobServices, job: Parameters<OpenWork>[0]): ReturnType<OpenWork>
}

/** A job in the JSON of answers. */
export const startedJson = ({ failures, plan, ...job }: StartedJob) => ({
  ...job,
  ...(plan && { plan: { amounts: plan.amounts, first: plan.first.map(plannedJson) } }),
  failures: failures.map(({ key, versionId, reason }) => ({
    key: textOfObjectKey(key),
    reason,
    ...(versionId !== "" && { versionId }),
  })),
})

const plannedJson = ({ key, versionId, ...item }: JobPlan["first"][number]) => ({
  ...item,
  key: textOfObjectKey(key),
  ...(versionId !== "" && { versionId }),
})
