/** The commands of packing: `pack stat` and `pack undo`. The setting `packing` of a bucket switches it on. */
import type { Command } from "commander"
import type { z } from "zod"
import { PACKING } from "../admin/index.js"
import { checked } from "./checked.js"
import type { CliIo } from "./io.js"
import { group, withStore } from "./options.js"
import { answer, type OutputOptions } from "./output.js"
import { runRowsJob, withRowsJob, type RowsJobOptions } from "./rows-job.js"
import { withAdmin, type StoreOptions } from "./stores.js"
import { countText, printable, sizeText, tableText } from "./text.js"

type Options = StoreOptions & OutputOptions
type Report = z.output<typeof PACKING>

const pathOf = (bucket: string): string => `/v1/buckets/${encodeURIComponent(bucket)}/packing`

export function addPackingCommands(program: Command, io: CliIo, signal: AbortSignal): void {
  const pack = group(program, "pack").description(
    "packing of cold small objects: what it has made of a bucket, and back",
  )
  withStore(pack.command("stat"))
    .description("packs of a bucket, what of them is still in use, and what is left out; reads all rows of the bucket")
    .argument("<BUCKET>")
    .action(async (bucket: string, options: Options) => {
      const report = checked(PACKING, await withAdmin(io, options, signal, client => client.get(pathOf(bucket))))
      await answer(io, options, { bucket, ...report }, reportText(bucket, report))
    })
  withRowsJob(pack.command("undo"))
    .description("give each packed object bytes of its own; the setting packing must be removed before")
    .action((bucket: string, options: RowsJobOptions) => runRowsJob(io, signal, `${pathOf(bucket)}/undo`, options, {}))
}

const STATES = {
  on: "on",
  off: "off: nothing more is packed",
  suspended: "suspended: the store encrypts what is written now",
} as const

const WHY: Readonly<Record<string, string>> = {
  packed: "packed already",
  young: "written too recently",
  long: "too long",
  empty: "empty",
  encrypted: "encrypted",
  shared: "bytes shared with other versions",
  expiring: "with an expiry",
  parts: "of several parts",
  special: "lists of segments, and restored ones",
}

const settingText = ({ setting }: Report): string =>
  setting === undefined ? "–" : `after ${countText(setting.afterSeconds)} s, up to ${sizeText(setting.maxBytes)}`

function passText({ pass }: Report): string {
  if (pass === undefined) return "none yet"
  const made = `${countText(pass.objects)} objects packed since the setting was made`
  return pass.endedMs === undefined ? `under way; ${made}` : `ended ${new Date(pass.endedMs).toISOString()}; ${made}`
}

const shareText = ({ packBytes, liveBytes }: Report): string =>
  packBytes === 0 ? "–" : `${Math.floor((100 * liveBytes) / packBytes)} %`

function reportText(bucket: string, report: Report): string {
  return tableText(
    ["bucket", printable(bucket)],
    [
      ["packing", STATES[report.state]],
      ["setting", settingText(report)],
      ["last pass", passText(report)],
      ["packs", countText(report.packs)],
      ["of which less than half is left", countText(report.sparsePacks)],
      ["packed objects", countText(report.packedObjects)],
      ["their bytes", sizeText(report.liveBytes)],
      ["share in use", shareText(report)],
      ["waiting", `${countText(report.waitingObjects)}, ${sizeText(report.waitingBytes)}`],
      ...Object.entries(report.leftOut).map(
        ([why, count]) => [`left out: ${WHY[why] ?? why}`, countText(count)] as const,
      ),
    ],
  )
}
