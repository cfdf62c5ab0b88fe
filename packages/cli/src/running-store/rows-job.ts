/** Commands that start a job on the rows of a bucket. */
import type { Command } from "commander"
import { jobText, STARTED_JOB, type StartedJobAnswer } from "@hayloft/admin/index.js"
import type { AdminClient } from "@hayloft/client/index.js"
import { checked } from "../checked.js"
import { CliError } from "../exit-codes.js"
import type { CliIo } from "../io.js"
import { jobUntilEnd } from "./job-progress.js"
import { numberOf, withStore } from "../options.js"
import { answer, type OutputOptions } from "../output.js"
import { nowOf, type StoreOptions } from "../stores.js"

export interface RowsJobOptions extends StoreOptions, OutputOptions {
  readonly rate?: string
  /** False with `--no-wait`. */
  readonly wait: boolean
}

export const withRowsJob = (command: Command): Command =>
  withStore(command)
    .option("--rate <NUMBER>", "rows a second at most")
    .option("--no-wait", "start the job, and do not wait until it has ended")

/** Starts a job, and waits until it has ended. Throws a `CliError` if it has failed, or has findings. */
export async function runRowsJob(
  io: CliIo,
  client: AdminClient,
  options: RowsJobOptions,
  signal: AbortSignal,
  start: (more: Readonly<Record<string, unknown>>) => Promise<unknown>,
): Promise<void> {
  const rate = options.rate === undefined ? {} : { itemsPerSecond: numberOf(options.rate, "--rate") }
  const started = checked(STARTED_JOB, await start(rate))
  if (!options.wait) {
    const text = `started as job ${started.id}; hayloft jobs watch ${started.id} shows the progress\n`
    return answer(io, options, started, text)
  }
  const ended = await jobUntilEnd(io, client, started.id, { printsEach: false, signal })
  await answer(io, options, ended, jobText(ended, nowOf(io, client)))
  requireAgreement(ended)
}

/** Throws a `CliError` if the job has failed, or has findings. */
function requireAgreement({ id, state, counts, result = "" }: StartedJobAnswer): void {
  if (state !== "done")
    throw new CliError("failed", `job ${id} has ${state === "failed" ? "failed" : "been cancelled"}: ${result}`)
  if ((counts?.failed ?? 0) > 0) throw new CliError("failed", `${result}; hayloft jobs show ${id} lists them`)
}
