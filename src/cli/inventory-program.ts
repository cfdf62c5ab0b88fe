/** The command of inventories: `inventory start`, a job that writes a table of the objects of a bucket as an object. */
import type { Command } from "commander"
import { STARTED_JOB } from "../admin/index.js"
import { checked } from "./checked.js"
import { CliError } from "./exit-codes.js"
import type { CliIo } from "./io.js"
import { jobUntilEnd } from "./job-progress.js"
import { jobText } from "./jobs-text.js"
import { momentText } from "./moment-option.js"
import { group, numberOf, withStore } from "./options.js"
import { answer, type OutputOptions } from "./output.js"
import { withAdmin, type StoreOptions } from "./stores.js"

interface StartOptions extends StoreOptions, OutputOptions {
  readonly into: string
  readonly versions?: true
  readonly at?: string
  readonly rate?: string
  /** False with `--no-wait`. */
  readonly wait: boolean
}

export function addInventoryCommands(program: Command, io: CliIo, signal: AbortSignal): void {
  const inventory = group(program, "inventory").description("tables of the objects of a bucket, for table get and scan")
  withStore(inventory.command("start"))
    .description("write a table of all objects of a bucket as an object; a job of the server does it")
    .argument("<BUCKET>")
    .requiredOption("--into <BUCKET/KEY>", "the object; it appears when the inventory is whole")
    .option("--versions", "all versions and delete markers, and not only the current objects")
    .option("--at <TIME>", "the objects of a moment, in a bucket with a history: 2h, 2026-01-31T09:30:00Z")
    .option("--rate <NUMBER>", "rows a second at most")
    .option("--no-wait", "start the job, and do not wait until it has ended")
    .action((bucket: string, options: StartOptions) => start(io, signal, bucket, options))
}

/** `BUCKET/KEY`, `s3://BUCKET/KEY`. Throws a `CliError`. */
function targetOf(text: string): { readonly toBucket: string; readonly toKey: string } {
  const path = text.replace(/^s3:\/\//, "")
  const slash = path.indexOf("/")
  if (slash < 1 || slash === path.length - 1) throw new CliError("usage", "--into is a bucket and a key: BUCKET/KEY")
  return { toBucket: path.slice(0, slash), toKey: path.slice(slash + 1) }
}

async function start(io: CliIo, signal: AbortSignal, bucket: string, options: StartOptions): Promise<void> {
  const { into, versions = false, at, rate } = options
  const request = {
    ...targetOf(into),
    versions,
    ...(at !== undefined && { at: momentText(at, "--at", io) }),
    ...(rate !== undefined && { itemsPerSecond: numberOf(rate, "--rate") }),
  }
  await withAdmin(io, options, signal, async client => {
    const path = `/v1/buckets/${encodeURIComponent(bucket)}/inventory`
    const started = checked(STARTED_JOB, await client.post(path, request))
    if (!options.wait) {
      const text = `started as job ${started.id}; hayloft jobs watch ${started.id} shows the progress\n`
      return answer(io, options, started, text)
    }
    const ended = await jobUntilEnd(io, client, started.id, { printsEach: false, signal })
    await answer(io, options, ended, jobText(ended, io.clock.wallMs()))
    if (ended.state !== "done")
      throw new CliError("failed", `job ${ended.id} has ${ended.state === "failed" ? "failed" : "been cancelled"}`)
  })
}
