/** The command `backup now`: writes the metadata of a running store among its shards, and waits until it is there. */
import type { Command } from "commander"
import { JOB, JOBS } from "../admin/index.js"
import type { AdminClient } from "../client/index.js"
import { checked } from "./checked.js"
import { CliError } from "./exit-codes.js"
import type { CliIo } from "./io.js"
import { group, withStore } from "./options.js"
import { answer, type OutputOptions } from "./output.js"
import { withAdmin, type StoreOptions } from "./stores.js"
import { printable } from "./text.js"

const JOB_NAME = "metadata-backup"
const POLL_MS = 500
const WAIT_MS_MAX = 60 * 60_000
/** When the newest complete snapshot was written, in the progress of the job. */
const WRITTEN = /^the last snapshot is from ([^ ,]+)/

type Options = StoreOptions & OutputOptions

async function jobNow(client: AdminClient) {
  const { jobs } = checked(JOBS, await client.get("/v1/jobs"))
  return jobs.find(({ name }) => name === JOB_NAME)
}

/** Throws `CliError` if the backup fails, or takes more than an hour. */
async function backUp(io: CliIo, client: AdminClient, signal: AbortSignal) {
  const before = WRITTEN.exec((await jobNow(client))?.progress ?? "")?.[1]
  checked(JOB, await client.post(`/v1/jobs/${JOB_NAME}/wake`, {}))
  const endMs = io.clock.monotonicMs() + WAIT_MS_MAX
  while (io.clock.monotonicMs() < endMs) {
    const job = await jobNow(client)
    const written = WRITTEN.exec(job?.progress ?? "")?.[1]
    if (job !== undefined && written !== undefined && written !== before) return job
    if (job?.state === "failed") throw new CliError("failed", `the backup fails: ${job.lastError ?? ""}`)
    await io.clock.sleep(POLL_MS, signal)
  }
  throw new CliError("failed", "the backup is not complete after an hour; hayloft jobs list shows its progress")
}

export function addBackupCommands(program: Command, io: CliIo, signal: AbortSignal): void {
  const backup = group(program, "backup").description("backup: the metadata among the shards, for hayloft rescue")
  withStore(backup.command("now"))
    .description("back up the metadata now, and wait until the backup is complete")
    .action(async (options: Options) => {
      const job = await withAdmin(io, options, signal, client => backUp(io, client, signal))
      await answer(io, options, job, `the metadata is backed up: ${printable(job.progress)}\n`)
    })
}
