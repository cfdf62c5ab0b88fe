/** The command `backup now`: writes the metadata of a running store among its shards, and waits until it is there. */
import type { z } from "zod"
import { printable } from "@hayloft/base/text/report-text.js"
import {
  CommandProblem,
  type Answering,
  type CommandOf,
  type JOB,
  type JOBS,
} from "@hayloft/features/operator/index.js"

type Job = z.output<typeof JOB>

const JOB_NAME = "metadata-backup"
const POLL_MS = 500
const WAIT_MS_MAX = 60 * 60_000
/**
 * The progress of the job while no snapshot is being written, with the time of the newest complete one. An order that waits
 * does not keep another one from beginning.
 */
const IDLE =
  /^(?:an ordered snapshot waits: .*; )?(?:the last snapshot is from ([^ ,]+)|there is no snapshot of the metadata yet)/
/** The progress of a job that does not go on by itself. */
const HELD_UP = /^(?:paused|no node does this)/
const WAITS = /^an ordered snapshot waits/
/** The progress of a job that another node does, which reports it. */
const ELSEWHERE = /^node (\S+) does this/

/** Returns the job of the node that makes the backups; undefined until it has reported. */
function doneBy(jobs: readonly Job[]): Job | undefined {
  const here = jobs.find(({ name }) => name === JOB_NAME)
  const node = ELSEWHERE.exec(here?.progress ?? "")?.[1]
  return node === undefined ? here : jobs.find(({ name }) => name === `${JOB_NAME} on ${node}`)
}

function checkGoesOn({ progress, state, lastError }: Job): void {
  if (HELD_UP.test(progress) || WAITS.test(progress))
    throw new CommandProblem("failed", `the metadata is not backed up: ${printable(progress)}`)
  if (state === "failed") throw new CommandProblem("failed", `the backup fails: ${printable(lastError ?? "")}`)
}

/**
 * A command of the operation that lists jobs. It fails if the backup does, or takes more than an hour. A snapshot that had
 * begun before does not count, since it may lack what was written until now.
 */
export const backupNow = (wakeJob: Answering<Job>): CommandOf<z.output<typeof JOBS>> => ({
  name: "backup now",
  help: "back up the metadata now, and wait until the backup is complete",
  async run({ call, sleep }, own) {
    let waitedMs = 0
    /** Returns the idle job once its newest snapshot is another one. */
    const idle = async (before?: string | null): Promise<{ readonly job: Job; readonly written: string | null }> => {
      for (; waitedMs < WAIT_MS_MAX; waitedMs += POLL_MS) {
        const job = doneBy((await own()).jobs)
        const found = IDLE.exec(job?.progress ?? "")
        const written = found?.[1] ?? null
        if (job !== undefined && found !== null && written !== before) return { job, written }
        if (job !== undefined) checkGoesOn(job)
        await sleep(POLL_MS)
      }
      const message = "the backup is not complete after an hour; hayloft jobs list shows its progress"
      throw new CommandProblem("failed", message)
    }
    const { written: before } = await idle()
    await call(wakeJob, { job: JOB_NAME })
    const { job } = await idle(before)
    return { json: job, text: `the metadata is backed up: ${printable(job.progress)}\n` }
  },
})
