/** The commands of deduplication: `dedup stat`, `verify`, `rebuild` and `compact`. */
import type { Command } from "commander"
import type { z } from "zod"
import { DEDUP } from "../admin/index.js"
import { checked } from "./checked.js"
import type { CliIo } from "./io.js"
import { group, withStore } from "./options.js"
import { answer, type OutputOptions } from "./output.js"
import { runRowsJob, withRowsJob, type RowsJobOptions } from "./rows-job.js"
import { withAdmin, type StoreOptions } from "./stores.js"
import { countText, printable, sizeText, tableText } from "./text.js"

type Options = StoreOptions & OutputOptions
type Report = z.output<typeof DEDUP>

interface JobOptions extends RowsJobOptions {
  readonly read?: true
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
    runRowsJob(io, signal, `${pathOf(bucket)}/jobs`, options, request)
  withRowsJob(dedup.command("verify"))
    .description(
      "count references again, and compare index, digests and what is there; exit code 1 if something does not agree",
    )
    .option("--read", "also read the bytes, and compare them with their digests")
    .action((bucket: string, options: JobOptions) =>
      run(bucket, options, { kind: "verify", read: options.read === true }),
    )
  withRowsJob(dedup.command("rebuild"))
    .description(
      "repair what verify finds, and read objects that have no digests, so that later writes find their blocks",
    )
    .option("--read", "also read objects that have digests, and replace digests that are not those of the bytes")
    .action((bucket: string, options: JobOptions) =>
      run(bucket, options, { kind: "rebuild", read: options.read === true }),
    )
  withRowsJob(dedup.command("compact"))
    .description(
      "copy references to objects that are gone and kept for less than half of their bytes, so that these are deleted",
    )
    .action((bucket: string, options: JobOptions) => run(bucket, options, { kind: "compact" }))
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
