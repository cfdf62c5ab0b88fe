/** Commands that start a job on the rows of a bucket. */
import type { Command } from "commander"
import { STARTED_JOB } from "../admin/index.js"
import { checked } from "./checked.js"
import { CliError } from "./exit-codes.js"
import type { CliIo } from "./io.js"
import { jobUntilEnd } from "./job-progress.js"
import { jobText, type StartedJob } from "./jobs-text.js"
import { numberOf, withStore } from "./options.js"
import { answer, type OutputOptions } from "./output.js"
import { withAdmin, type StoreOptions } from "./stores.js"

export interface RowsJobOptions extends StoreOptions, OutputOptions {
  readonly rate?: string
  /** False with `--no-wait`. */
  readonly wait: boolean
}

export const withRowsJob = (command: Command): Command =>
  withStore(command)
    .argument("<BUCKET>")
    .option("--rate <NUMBER>", "rows a second at most")
    .option("--no-wait", "start the job, and do not wait until it has ended")

/** Starts a job by this path, and waits until it has ended. Throws a `CliError` if it has failed, or has findings. */
export async function runRowsJob(
  io: CliIo,
  signal: AbortSignal,
  path: string,
  options: RowsJobOptions,
  request: Readonly<Record<string, unknown>>,
): Promise<void> {
  await withAdmin(io, options, signal, async client => {
    const rate = options.rate === undefined ? {} : { itemsPerSecond: numberOf(options.rate, "--rate") }
    const started = checked(STARTED_JOB, await client.post(path, { ...request, ...rate }))
    if (!options.wait) {
      const text = `started as job ${started.id}; hayloft jobs watch ${started.id} shows the progress\n`
      return answer(io, options, started, text)
    }
    const ended = await jobUntilEnd(io, client, started.id, { printsEach: false, signal })
    await answer(io, options, ended, jobText(ended, io.clock.wallMs()))
    requireAgreement(ended)
  })
}

/** Throws a `CliError` if the job has failed, or has findings. */
function requireAgreement({ id, state, counts, result = "" }: StartedJob): void {
  if (state !== "done")
    throw new CliError("failed", `job ${id} has ${state === "failed" ? "failed" : "been cancelled"}: ${result}`)
  if ((counts?.failed ?? 0) > 0) throw new CliError("failed", `${result}; hayloft jobs show ${id} lists them`)
}
