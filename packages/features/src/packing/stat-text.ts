/** Text for people: the packs of a bucket, and the objects that are left out. Pure. */
import type { z } from "zod"
import { countText, sizeText } from "@hayloft/base/text/quantity-text.js"
import { printable, tableText } from "@hayloft/base/text/report-text.js"
import type { PACKING } from "./schemas.js"

type Report = z.output<typeof PACKING>

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

export function packingText(bucket: string, report: Report): string {
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
