/** Parts of a segment that have bytes of their own. Pure. */
import type { PartRecord, SegmentRecord } from "../../format/records.js"
import { plainBytesOf } from "../../format/sealing.js"
import type { PlacedPart } from "../queries/manifest-core.js"

/** The parts with bytes of their own, in order, each with its offset in the object. */
export function* ownPartsOf({ offsetBytes, parts, referring = [] }: SegmentRecord): Generator<PlacedPart> {
  const all: readonly { readonly partNumber: number; readonly lengthBytes: number; readonly part?: PartRecord }[] = [
    ...parts.map(part => ({ partNumber: part.partNumber, lengthBytes: plainBytesOf(part.extent), part })),
    ...referring.map(({ partNumber, source }) => ({ partNumber, lengthBytes: source.lengthBytes })),
  ].sort((a, b) => a.partNumber - b.partNumber)
  let at = offsetBytes
  for (const { part, lengthBytes } of all) {
    if (part !== undefined) yield { part, offsetBytes: at }
    at += lengthBytes
  }
}
