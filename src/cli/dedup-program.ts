/** The commands of deduplication: `dedup stat`, `verify`, `rebuild` and `compact`. */
import type { Command } from "commander"
import type { z } from "zod"
import { DEDUP, STARTED_JOB } from "../admin/index.js"
import { checked } from "./checked.js"
import { CliError } from "./exit-codes.js"
import type { CliIo } from "./io.js"
import { jobUntilEnd } from "./job-progress.js"
import { jobText, type StartedJob } from "./jobs-text.js"
import { group, numberOf, withStore } from "./options.js"
import { answer, type OutputOptions } from "./output.js"
import { withAdmin, type StoreOptions } from "./stores.js"
import { countText, printable, sizeText, tableText } from "./text.js"

type Options = StoreOptions & OutputOptions
type Report = z.output<typeof DEDUP>

interface JobOptions extends Options {
  readonly read?: true
  readonly rate?: string
  /** False with `--no-wait`. */
  readonly wait: boolean
}

const pathOf = (bucket: string): string => `/v1/buckets/${encodeURIComponent(bucket)}/dedup`

export function addDedupCommands(program: Command, io: CliIo, signal: AbortSignal): void {
  const dedup = group(program, "dedup").description(
    "deduplication of a bucket: what it saves, and whether its rows agree",
  )
  withStore(dedup.command("stat"))
    .description("what deduplication saves in a bucket, and what it keeps; reads all rows of the bucket")
    .argument("<BUCKET>")
    .action(async (bucket: string, options: Options) => {
      const report = checked(DEDUP, await withAdmin(io, options, signal, client => client.get(pathOf(bucket))))
      await answer(io, options, { bucket, ...report }, reportText(bucket, report))
    })
  const run = (bucket: string, options: JobOptions, request: Readonly<Record<string, unknown>>) =>
    runJob(io, signal, bucket, options, request)
  withJob(dedup.command("verify"))
    .description(
      "count references again, and compare index, digests and what is there; exit code 1 if something does not agree",
    )
    .option("--read", "also read the bytes, and compare them with their digests")
    .action((bucket: string, options: JobOptions) =>
      run(bucket, options, { kind: "verify", read: options.read === true }),
    )
  withJob(dedup.command("rebuild"))
    .description(
      "repair what verify finds, and read objects that have no digests, so that later writes find their blocks",
    )
    .option("--read", "also read objects that have digests, and replace digests that are not those of the bytes")
    .action((bucket: string, options: JobOptions) =>
      run(bucket, options, { kind: "rebuild", read: options.read === true }),
    )
  withJob(dedup.command("compact"))
    .description(
      "copy references to objects that are gone and kept for less than half of their bytes, so that these are deleted",
    )
    .action((bucket: string, options: JobOptions) => run(bucket, options, { kind: "compact" }))
}

const withJob = (command: Command): Command =>
  withStore(command)
    .argument("<BUCKET>")
    .option("--rate <NUMBER>", "rows a second at most")
    .option("--no-wait", "start the job, and do not wait until it has ended")

async function runJob(
  io: CliIo,
  signal: AbortSignal,
  bucket: string,
  options: JobOptions,
  request: Readonly<Record<string, unknown>>,
): Promise<void> {
  await withAdmin(io, options, signal, async client => {
    const rate = options.rate === undefined ? {} : { itemsPerSecond: numberOf(options.rate, "--rate") }
    const started = checked(STARTED_JOB, await client.post(`${pathOf(bucket)}/jobs`, { ...request, ...rate }))
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

/** "2.8 times": bytes of objects for each one that is stored. */
function ratioText({ logicalBytes, ownBytes, releasedBytes }: Report): string {
  const stored = ownBytes + releasedBytes
  return stored === 0 ? "–" : `${(logicalBytes / stored).toFixed(2)} times`
}

const STATES = {
  on: "on",
  off: "off: what is written now is stored as it is",
  suspended: "suspended: the store encrypts what is written now",
} as const

function reportText(bucket: string, report: Report): string {
  const { releasedSegments, releasedBytes, releasedReferencedBytes } = report
  const released =
    releasedSegments === 0
      ? "none"
      : `${countText(releasedSegments)}, ${sizeText(releasedBytes)}, of which ${sizeText(releasedReferencedBytes)} are referenced`
  return tableText(
    ["bucket", printable(bucket)],
    [
      ["deduplication", STATES[report.state]],
      ["versions", countText(report.versions)],
      ["their bytes", sizeText(report.logicalBytes)],
      ["own bytes", sizeText(report.ownBytes)],
      ["referenced bytes", sizeText(report.referencedBytes)],
      ["ratio", ratioText(report)],
      ["versions with references", countText(report.versionsWithReferences)],
      ["references", countText(report.references)],
      ["objects referenced", countText(report.referencedSegments)],
      ["of which gone", released],
      ["blocks in the index", countText(report.indexedBlocks)],
      ["rows of digests", countText(report.digestRows)],
    ],
  )
}
