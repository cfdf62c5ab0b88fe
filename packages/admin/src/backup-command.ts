/** The command `backup now`: writes the metadata of a running store among its shards, and waits until it is there. */
import type { z } from "zod"
import { printable } from "@hayloft/base/report-text.js"
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
/** When the newest complete snapshot was written, in the progress of the job. */
const WRITTEN = /^the last snapshot is from ([^ ,]+)/

const writtenIn = (job: Job | undefined): string | undefined => WRITTEN.exec(job?.progress ?? "")?.[1]

/** A command of the operation that lists jobs. It fails if the backup does, or takes more than an hour. */
export const backupNow = (wakeJob: Answering<Job>): CommandOf<z.output<typeof JOBS>> => ({
  name: "backup now",
  help: "back up the metadata now, and wait until the backup is complete",
  async run({ call, sleep }, own) {
    const jobNow = async () => (await own()).jobs.find(({ name }) => name === JOB_NAME)
    const before = writtenIn(await jobNow())
    await call(wakeJob, { job: JOB_NAME })
    for (let waitedMs = 0; waitedMs < WAIT_MS_MAX; waitedMs += POLL_MS) {
      const job = await jobNow()
      const written = writtenIn(job)
      if (job !== undefined && written !== undefined && written !== before)
        return { json: job, text: `the metadata is backed up: ${printable(job.progress)}\n` }
      if (job?.state === "failed") throw new CommandProblem("failed", `the backup fails: ${job.lastError ?? ""}`)
      await sleep(POLL_MS)
    }
    throw new CommandProblem("failed", "the backup is not complete after an hour; hayloft jobs list shows its progress")
  },
})
