/**
 * The commands of jobs that follow or ask: `jobs watch`, and `jobs start`, which works on many objects. A start counts first,
 * shows that, and asks.
 */
import type { Command } from "commander"
import { amountsText, jobText, STARTED_JOB, type StartedJobAnswer } from "@hayloft/admin/index.js"
import { SELECTED_MAX } from "@hayloft/base/limits.js"
import type { AdminClient } from "@hayloft/client/index.js"
import { checked } from "../checked.js"
import { confirm, type ConfirmOptions } from "../confirm.js"
import { readText } from "../document-file.js"
import { CliError } from "../exit-codes.js"
import type { CliIo } from "../io.js"
import { jobUntilEnd } from "./job-progress.js"
import { group, numberOf, withStore } from "../options.js"
import { byStoreClock, pastMs, type Timed } from "./past-time.js"
import { answer, type OutputOptions } from "../output.js"
import { nowOf, withAdmin, type StoreOptions } from "../stores.js"
import { plural, printable, sizeText } from "../text.js"

type Options = StoreOptions & OutputOptions
type JobRequest = Readonly<Record<string, unknown>>

export class JobCommands {
  constructor(
    private readonly io: CliIo,
    private readonly options: Options,
    private readonly signal: AbortSignal,
  ) {}

  private untilEnd(client: AdminClient, id: string, printsEach: boolean): Promise<StartedJobAnswer> {
    return jobUntilEnd(this.io, client, id, { printsEach, signal: this.signal })
  }

  private with<T>(use: (client: AdminClient) => Promise<T>): Promise<T> {
    return withAdmin(this.io, this.options, this.signal, use)
  }

  /** Shows each change until the job ends; exit code 1 if it fails. */
  async watch(id: string): Promise<void> {
    await this.with(async client => {
      const job = await this.untilEnd(client, id, this.options.json === true)
      if (this.options.json !== true) await this.io.out(jobText(job, nowOf(this.io, client)))
      if (job.state === "failed") throw new CliError("failed", `job ${id} has failed: ${job.result ?? ""}`)
    })
  }

  /** Counts, shows what was counted, asks, and starts. Ages of objects are by the store's clock. */
  async start(bucket: string, jobAt: (store: Timed) => JobRequest, options: BeginOptions): Promise<void> {
    const job = await byStoreClock(this.io, () => this.with(client => client.nowMs()), jobAt)
    await this.with(async client => {
      const path = `/v1/buckets/${encodeURIComponent(bucket)}/jobs`
      const begin = async (dryRun: boolean): Promise<StartedJobAnswer> =>
        checked(STARTED_JOB, await client.post(path, { dryRun, job }))
      if (options.yes !== true || options.dryRun === true) {
        const counted = await this.untilEnd(client, (await begin(true)).id, false)
        if (counted.state !== "done") throw new CliError("failed", counted.result ?? "it could not be counted")
        if (options.dryRun === true)
          return answer(this.io, this.options, counted, jobText(counted, nowOf(this.io, client)))
        await confirm(this.io, options, planText(counted))
      }
      const started = await begin(false)
      if (options.wait !== true) {
        const text = `started as job ${started.id}; hayloft jobs watch ${started.id} shows the progress\n`
        return answer(this.io, this.options, started, text)
      }
      const ended = await this.untilEnd(client, started.id, false)
      await answer(this.io, this.options, ended, jobText(ended, nowOf(this.io, client)))
      if (ended.state !== "done") throw new CliError("failed", `job ${ended.id} has ${ended.state}`)
      if ((ended.counts?.failed ?? 0) > 0)
        throw new CliError("failed", `some objects failed; hayloft jobs show ${ended.id}`)
    })
  }
}

const planText = ({ kind, target, counts, plan }: StartedJobAnswer): string =>
  plan === undefined
    ? `${kind}: ${plural(counts?.matched ?? 0, "object")}, ${sizeText(counts?.matchedBytes ?? 0)}, of ${printable(target)}\n`
    : `${kind}, of ${printable(target)}\n${amountsText(plan)}`

interface BeginOptions extends Options, ConfirmOptions {
  readonly dryRun?: boolean
  readonly wait?: boolean
}

interface StartOptions extends BeginOptions {
  readonly prefix?: string
  readonly keys?: string
  readonly olderThan?: string
  readonly largerThan?: string
  readonly tagged?: string
  readonly rate?: string
}

const withFilter = (command: Command): Command =>
  withStore(command)
    .argument("<BUCKET>")
    .option("--prefix <PREFIX>", "only objects whose keys begin with it (default: all)")
    .option("--keys <FILE>", `only these, a key on each line, ${SELECTED_MAX} at most; - reads standard input`)
    .option("--older-than <TIME>", "only objects older than this: 30d, 2026-01-31T09:30:00Z")
    .option("--larger-than <BYTES>", "only objects with more bytes")
    .option("--tagged <KEY=VALUE>", "only objects with this tag")
    .option("--rate <NUMBER>", "objects a second at most")
    .option("--dry-run", "count the objects, and change nothing")
    .option("--yes", "start without counting and asking")
    .option("--wait", "wait until the job has ended; exit code 1 if anything failed")

/** `KEY=VALUE`. */
function tagOf(text: string): { readonly key: string; readonly value: string } {
  const equals = text.indexOf("=")
  if (equals <= 0) throw new CliError("usage", `"${text}" is no tag: KEY=VALUE`)
  return { key: text.slice(0, equals), value: text.slice(equals + 1) }
}

/** Keys of a file, and with `hasVersions` behind a tab the version. Throws a `CliError`. */
async function selectedOf(io: CliIo, file: string, hasVersions: boolean): Promise<readonly object[]> {
  const lines = (await readText(io, file)).split("\n").map(line => line.replace(/\r$/, ""))
  const keys = lines.filter(line => line !== "")
  if (keys.length === 0) throw new CliError("usage", `there are no keys in ${file}`)
  if (keys.length > SELECTED_MAX)
    throw new CliError(
      "usage",
      `${file} has ${keys.length} keys; a job takes ${SELECTED_MAX}: use --prefix, or several jobs`,
    )
  return keys.map(line => {
    const [key = "", versionId] = hasVersions ? line.split("\t") : [line]
    return versionId === undefined ? { key } : { key, versionId }
  })
}

function filterOf(options: StartOptions, store: Timed): JobRequest {
  const { prefix = "", olderThan, largerThan, tagged, rate } = options
  return {
    prefix,
    ...(olderThan !== undefined && { modifiedBeforeMs: pastMs(olderThan, "--older-than", store) }),
    ...(largerThan !== undefined && { largerThanBytes: numberOf(largerThan, "--larger-than") }),
    ...(tagged !== undefined && { tag: tagOf(tagged) }),
    ...(rate !== undefined && { itemsPerSecond: numberOf(rate, "--rate") }),
  }
}

export function addJobCommands(jobs: Command, io: CliIo, signal: AbortSignal): void {
  const commands = (options: Options): JobCommands => new JobCommands(io, options, signal)
  withStore(jobs.command("watch"))
    .description("the progress of a started job until it ends; --json prints each change; exit code 1 if it fails")
    .argument("<ID>")
    .action((id: string, options: Options) => commands(options).watch(id))
  addStartCommands(group(jobs, "start").description("start work on many objects of a bucket"), io, commands)
}

function addStartCommands(start: Command, io: CliIo, commands: (options: Options) => JobCommands): void {
  const run = async (
    bucket: string,
    options: StartOptions,
    job: JobRequest,
    timesOf: (store: Timed) => JobRequest = () => ({}),
  ): Promise<void> => {
    const { keys } = options
    if (keys === "-" && options.yes !== true && options.dryRun !== true)
      throw new CliError("usage", "--keys - reads the keys where the answer would be: add --yes or --dry-run")
    const selected = keys === undefined ? undefined : await selectedOf(io, keys, job["kind"] === "delete-versions")
    const jobAt = (store: Timed): JobRequest => ({
      ...filterOf(options, store),
      ...(selected && { selected }),
      ...job,
      ...timesOf(store),
    })
    await commands(options).start(bucket, jobAt, options)
  }
  withFilter(start.command("delete-objects"))
    .description("delete the objects that a listing shows; with versioning they get delete markers")
    .action((bucket: string, options: StartOptions) => run(bucket, options, { kind: "delete-objects" }))
  withFilter(start.command("delete-versions"))
    .description(
      "delete all versions and delete markers permanently, except those that object lock protects; --keys may name one behind a tab",
    )
    .option("--bypass-governance", "also versions that are locked in governance mode")
    .action((bucket: string, options: StartOptions & { bypassGovernance?: true }) =>
      run(bucket, options, { kind: "delete-versions", bypassGovernance: options.bypassGovernance === true }),
    )
  withFilter(start.command("restore-objects"))
    .description("make the versions of a time current again, and deleted objects visible")
    .option("--at <TIME>", "as the objects were then: 2h, 2026-01-31T09:30:00Z (default: what delete markers hide)")
    .action((bucket: string, options: StartOptions & { at?: string }) =>
      run(bucket, options, { kind: "restore-objects" }, store => {
        const atMs = pastMs(options.at, "--at", store)
        return atMs === undefined ? {} : { atMs }
      }),
    )
  withFilter(start.command("tag-objects"))
    .description("replace the tags of objects")
    .argument("[TAG...]", "KEY=VALUE; none: the tags are removed")
    .action((bucket: string, tags: readonly string[], options: StartOptions) =>
      run(bucket, options, { kind: "tag-objects", tags: tags.map(tagOf) }),
    )
  withFilter(start.command("set-class"))
    .description("copy objects onto themselves with another storage class; with versioning that makes new versions")
    .argument("<CLASS>", "STANDARD, STANDARD_IA, GLACIER_IR …")
    .action((bucket: string, storageClass: string, options: StartOptions) =>
      run(bucket, options, { kind: "set-class", storageClass }),
    )
  withFilter(start.command("prefetch"))
    .description("bring objects of a remote bucket into the cache")
    .action((bucket: string, options: StartOptions) => run(bucket, options, { kind: "prefetch-objects" }))
  withFilter(start.command("evict"))
    .description("drop what is cached of objects of a remote bucket; writes that are pending stay")
    .action((bucket: string, options: StartOptions) => run(bucket, options, { kind: "evict-objects" }))
  withFilter(start.command("copy-objects"))
    .description("copy objects with their tags to another bucket")
    .argument("<TO-BUCKET>")
    .option("--to-prefix <PREFIX>", "in place of --prefix; keys stay as they are if absent")
    .action((bucket: string, toBucket: string, options: StartOptions & { toPrefix?: string }) =>
      run(bucket, options, {
        kind: "copy-objects",
        toBucket,
        ...(options.toPrefix !== undefined && { toPrefix: options.toPrefix }),
      }),
    )
}
