/** The command on the history of buckets that asks: `bucket restore`. */
import type { Command } from "commander"
import type { ConfirmOptions } from "../confirm.js"
import { CliError } from "../exit-codes.js"
import type { CliIo } from "../io.js"
import { JobCommands } from "./jobs-program.js"
import { momentText } from "./moment-option.js"
import type { Timed } from "./past-time.js"
import { numberOf, withStore } from "../options.js"
import type { OutputOptions } from "../output.js"
import type { StoreOptions } from "../stores.js"

interface RestoreOptions extends StoreOptions, OutputOptions, ConfirmOptions {
  readonly to: string
  readonly prefix?: string
  readonly rate?: string
  readonly preview?: boolean
  readonly wait?: boolean
}

export function addRestoreCommand(bucket: Command, io: CliIo, signal: AbortSignal): void {
  withStore(bucket.command("restore"))
    .description(
      "make all objects of a bucket with a history what they were at a moment; newer ones get delete markers",
    )
    .argument("<BUCKET>")
    .requiredOption("--to <TIME>", "the moment: 2h, 2026-01-31T09:30:00Z")
    .option("--prefix <PREFIX>", "only keys that begin with it")
    .option("--rate <NUMBER>", "objects a second at most")
    .option("--preview", "show what would be done, and change nothing")
    .option("--yes", "start without counting and asking")
    .option("--wait", "wait until the job has ended; exit code 1 if anything failed")
    .action((name: string, options: RestoreOptions) => restore(io, name, options, signal))
}

async function restore(io: CliIo, name: string, options: RestoreOptions, signal: AbortSignal): Promise<void> {
  const { to, prefix = "", rate, preview = false, ...rest } = options
  if (preview && options.wait === true)
    throw new CliError("usage", "--preview changes nothing: there is nothing to wait for")
  const itemsPerSecond = rate === undefined ? undefined : numberOf(rate, "--rate")
  const jobAt = (store: Timed) => ({
    kind: "restore-objects",
    prefix,
    to: momentText(to, "--to", store),
    ...(itemsPerSecond && { itemsPerSecond }),
  })
  await new JobCommands(io, options, signal).start(name, jobAt, { ...rest, dryRun: preview })
}
