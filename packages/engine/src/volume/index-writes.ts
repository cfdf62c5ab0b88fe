/** The index row of a needle after it was written, and after a walk through the volumes. */
import { fail } from "@hayloft/base/failures.js"
import type { Family } from "@hayloft/base/rows/families.js"
import type { RowKey } from "@hayloft/base/ids.js"
import type { NeedleHeader, NeedlePlace } from "../format/needles/needle.js"
import { encodeNeedlePlace, needleKeyOf } from "../format/needles/needle.js"

export interface IndexWrite {
  readonly family: Family
  readonly key: RowKey
  readonly value: Uint8Array | undefined
}

/** In the order of the volumes the last write of a key counts, so a later copy wins and a tombstone drops. */
export function indexWrite(header: NeedleHeader, place: NeedlePlace): IndexWrite {
  if (header.kind === "payload") throw fail("corruptNeedle", { message: "an inline payload among needles", ...place })
  const value = header.kind === "tombstone" ? undefined : encodeNeedlePlace(place, header)
  return { family: "needles", key: needleKeyOf(header.id), value }
}
