/** `hayloft hot`: what a node keeps copies of in memory because it is read often. */
import type { Command } from "commander"
import type { z } from "zod"
import { HOT_COPIES } from "../admin/index.js"
import { PACKED_PART } from "../base/limits.js"
import { checked } from "./checked.js"
import { CliError } from "./exit-codes.js"
import type { CliIo } from "./io.js"
import { withStore } from "./options.js"
import { answer, type OutputOptions } from "./output.js"
import { withAdmin, type StoreOptions } from "./stores.js"
import { countText, printable, sizeText, tableText } from "./text.js"

type Report = z.output<typeof HOT_COPIES>

interface HotOptions extends StoreOptions, OutputOptions {
  readonly max: string
}

export function addHotCommand(program: Command, io: CliIo, signal: AbortSignal): void {
  withStore(program.command("hot"))
    .description("the objects that are read most, of which this node keeps copies in memory (serve --hot-copies)")
    .option("--max <N>", "at most so many objects, up to 1000", "20")
    .action((options: HotOptions) => hot(io, options, signal))
}

async function hot(io: CliIo, options: HotOptions, signal: AbortSignal): Promise<void> {
  const { max } = options
  if (!/^[1-9]\d{0,3}$/.test(max) || Number(max) > 1_000)
    throw new CliError("usage", "--max is a number from 1 to 1000")
  const shown = await withAdmin(io, options, signal, client => client.get("/v1/hot-copies", { max }))
  const report = checked(HOT_COPIES, shown)
  await answer(io, options, report, textOf(report))
}

function textOf(report: Report): string {
  if (!report.isOn) return "hot copies are switched off: start the node with --hot-copies SIZE\n"
  const { usedBytes, budgetBytes, copies, hits, misses, evicted, cooled, hottest, readsPerMinute } = report
  const reads = hits + misses
  const share = reads === 0 ? "nothing was read yet" : `${Math.floor((100 * hits) / reads)} % of reads came from copies`
  const head = [
    `copies: ${countText(copies)}, ${sizeText(usedBytes)} of ${sizeText(budgetBytes)}; ${share}`,
    `hot: from ${countText(readsPerMinute)} reads a minute; dropped: ${countText(cooled)} cold, ${countText(evicted)} for hotter ones`,
  ]
  if (hottest.length === 0) return `${head.join("\n")}\n`
  const rows = hottest.map(({ bucket, key, uploadId, part, ...object }) => [
    ...[countText(Math.round(object.readsPerMinute)), countText(object.hits), countText(object.copies)],
    sizeText(object.bytes),
    (bucket === undefined || key === undefined ? `upload ${uploadId}` : printable(`${bucket}/${key}`)) +
      (part === 0 ? "" : part === PACKED_PART ? " (a pack of small objects)" : ` (part ${part})`),
  ])
  return `${head.join("\n")}\n\n${tableText(["READS/MIN", "HITS", "COPIES", "SIZE", "OBJECT"], rows)}`
}
