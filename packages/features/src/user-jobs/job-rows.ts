/**
 * The rows of jobs. Several processes and callers change them: each change is made to the row as it is, or not at all.
 */
import { fail } from "@hayloft/base/failures.js"
import { parseJobId, type JobId } from "@hayloft/base/ids.js"
import type { JobRecord } from "@hayloft/engine/format/job-record.js"
import type { Metadata } from "@hayloft/engine/metadata/index.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"
import { changeJob, dropJobs, overdueJobs, readJob, readJobs, startJob, type JobRow } from "./job-commands-core.js"
import { JOB_LIMITS } from "./limits.js"

const ID_LETTERS = "abcdefghijklmnopqrstuvwxyz234567"
const ID_LENGTH = 8
/** Times that a change is made again because the row has changed meanwhile. */
const RACES_MAX = 20

type NewJob = Pick<JobRecord, "kind" | "target" | "request" | "starter" | "startedMs" | "isDryRun">

/** `arn:aws:iam::123456789012:user/ann`. */
const accountOf = ({ starter }: Pick<JobRecord, "starter">): string => starter.name.split(":")[4] ?? ""

/** Throws `limitExceeded`. */
function checkRoom(underWay: readonly JobRow[], job: NewJob): void {
  const ofKeys = underWay.filter(({ starter }) => starter.kind === "key")
  const ofAccount = ofKeys.filter(other => accountOf(other) === accountOf(job))
  const { underWayMax, underWayOfKeysMax, underWayOfAccountMax } = JOB_LIMITS
  const isOfKey = job.starter.kind === "key"
  const isFull =
    underWay.length >= underWayMax ||
    (isOfKey && (ofKeys.length >= underWayOfKeysMax || ofAccount.length >= underWayOfAccountMax))
  if (!isFull) return
  const count = isOfKey
    ? `${ofAccount.length} jobs of the account and ${underWay.length} of the store`
    : `${underWay.length} jobs`
  throw fail("limitExceeded", { message: `${count} are under way: wait until some have ended, or cancel some` })
}

export const NOTHING = { scanned: 0, matched: 0, matchedBytes: 0, done: 0, doneBytes: 0, failed: 0 }

export class JobRows {
  private readonly random: Random

  constructor(
    random: Random,
    private readonly metadata: Pick<Metadata, "run" | "ask">,
    /** Resolves once the devices refuse releases that do not know jobs. */
    private readonly prepare: () => Promise<void>,
    private readonly dueTimeMs: () => number | undefined,
  ) {
    this.random = random.fork("jobs")
  }

  /**
   * Drops ended jobs that are no longer kept. `isOnly`: there is at most one of its kind and target under way; returns that
   * one. Throws `limitExceeded`.
   */
  async start(job: NewJob, isOnly: boolean): Promise<JobRow> {
    await this.prepare()
    const rows = await this.list()
    const underWay = rows.filter(({ ended }) => ended === undefined)
    const same = underWay.find(({ kind, target }) => kind === job.kind && target === job.target)
    if (isOnly && same !== undefined) return same
    if (!isOnly) checkRoom(underWay, job)
    const dropped = overdueJobs(rows, this.dueTimeMs() ?? 0).slice(0, JOB_LIMITS.droppedMax)
    if (dropped.length > 0) await this.metadata.run(dropJobs(dropped))
    const letters = Array.from({ length: ID_LENGTH }, () => ID_LETTERS[this.random.below(ID_LETTERS.length)]).join("")
    const id = parseJobId(`${job.kind}-${letters}`)
    const record: JobRecord = {
      ...job,
      state: "running",
      isPaused: false,
      isCancelling: false,
      isCounted: false,
      cursor: "",
      step: undefined,
      counts: NOTHING,
      rate: 0,
      failures: [],
      lastError: undefined,
      ended: undefined,
      revision: 1,
    }
    await this.metadata.run(startJob(id, record))
    return { id, ...record }
  }

  async list(): Promise<readonly JobRow[]> {
    return this.metadata.ask(readJobs())
  }

  /** Throws `noSuchEntity`. */
  async get(id: JobId): Promise<JobRow> {
    const row = await this.metadata.ask(readJob(id))
    if (row === undefined)
      throw fail("noSuchEntity", { message: `there is no job ${id}; ended jobs are kept for a while only` })
    return row
  }

  /**
   * Changes the row as it is then; `next` may run several times, and returns undefined to leave the row alone. Resolves
   * with the row, or undefined if it was left alone. Throws `noSuchEntity`, `conflict`.
   */
  async change(id: JobId, next: (row: JobRow) => Partial<JobRecord> | undefined): Promise<JobRow | undefined> {
    for (let races = 1; races <= RACES_MAX; races += 1) {
      const row = await this.get(id)
      const change = next(row)
      if (change === undefined) return undefined
      const { id: _, ...record } = { ...row, ...change }
      if (await this.metadata.run(changeJob(id, row.revision, record))) {
        return { id, ...record, revision: row.revision + 1 }
      }
    }
    throw fail("conflict", { message: `job ${id} keeps changing; try again` })
  }
}
