/** The operation of `/v1` on the hot copies of a node. */
import type { z } from "zod"
import { PACKED_PART } from "@hayloft/base/limits.js"
import { countText, sizeText } from "@hayloft/base/text/quantity-text.js"
import { printable, tableText } from "@hayloft/base/text/report-text.js"
import {
  CommandProblem,
  operation,
  PAGE_PARAMETERS,
  pageSize,
  type OperatorPart,
  type OperatorServices,
} from "../operator/index.js"
import { HOT_COPIES } from "./schemas.js"
import { HOT_COPIES_SERVICE } from "./services.js"

type HotCopies = z.output<typeof HOT_COPIES>

/** The hot copies of a store without `--hot-copies`. */
const OFF: HotCopies = {
  isOn: false,
  budgetBytes: 0,
  readsPerMinute: 0,
  usedBytes: 0,
  copies: 0,
  hits: 0,
  hitBytes: 0,
  misses: 0,
  made: 0,
  failed: 0,
  evicted: 0,
  cooled: 0,
  hottest: [],
}

async function hotCopies({ core }: OperatorServices, max: number): Promise<HotCopies> {
  const copies = HOT_COPIES_SERVICE.find(core)
  if (copies === undefined) return OFF
  const { hottest, ...figures } = await copies.report(max)
  const shown = hottest.map(({ bucket, key, ...each }) => ({
    ...(bucket !== undefined && key !== undefined && { bucket, key }),
    ...each,
  }))
  return { isOn: true, ...figures, hottest: shown }
}

function hotText(report: HotCopies): string {
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
    countText(Math.round(object.readsPerMinute)),
    countText(object.hits),
    countText(object.copies),
    sizeText(object.bytes),
    (bucket === undefined || key === undefined ? `upload ${uploadId}` : printable(`${bucket}/${key}`)) +
      (part === 0 ? "" : part === PACKED_PART ? " (a pack of small objects)" : ` (part ${part})`),
  ])
  return `${head.join("\n")}\n\n${tableText(["READS/MIN", "HITS", "COPIES", "SIZE", "OBJECT"], rows)}`
}

/** Throws a `CommandProblem`. */
function hotMax(text: string): string {
  if (/^[1-9]\d{0,3}$/.test(text) && Number(text) <= 1_000) return text
  throw new CommandProblem("usage", "--max is a number from 1 to 1000")
}

export const HOT_COPIES_OPERATOR = {
  operations: [
    operation("getHotCopies", "GET /v1/hot-copies", {
      summary: "Returns what this node keeps copies of because it is read often, the hottest objects first.",
      scope: "devices",
      parameters: PAGE_PARAMETERS.filter(({ name }) => name === "max"),
      answer: HOT_COPIES,
      run: (services, { query }) => hotCopies(services, pageSize(query)),
      commands: [
        {
          name: "hot",
          help: "the objects that are read most, of which this node keeps copies in memory (serve --hot-copies)",
          inputs: {
            max: { flags: "--max <N>", help: "at most so many objects, up to 1000", preset: "20", reads: hotMax },
          },
          text: hotText,
        },
      ],
    }),
  ],
} satisfies OperatorPart
