/** Text for people: the savings of deduplication in a bucket. Pure. */
import type { z } from "zod"
import { countText, sizeText } from "@hayloft/base/text/quantity-text.js"
import { printable, tableText } from "@hayloft/base/text/report-text.js"
import type { DEDUP } from "./schemas.js"

type Report = z.output<typeof DEDUP>

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

export function dedupText(bucket: string, report: Report): string {
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
