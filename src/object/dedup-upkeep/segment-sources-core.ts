/** What a segment has itself, and what it references. Pure. */
import type { PartRecord, SegmentRecord, SegmentSource } from "../../format/records.js"
import { plainBytesOf } from "../../format/sealing.js"
import type { PlacedPart } from "../queries/manifest-core.js"

/** Of a segment whose bytes are those of another, or of its parts. */
export const sourcesOf = ({ source, referring = [] }: SegmentRecord): readonly SegmentSource[] =>
  source === undefined ? referring.map(part => part.source) : [source]

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
