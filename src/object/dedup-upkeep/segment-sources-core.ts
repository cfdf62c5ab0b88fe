/** The references of a segment. Pure. */
import type { SegmentRecord, SegmentSource } from "../../format/records.js"

/** Of a segment whose bytes are those of another, or of its parts. */
export const sourcesOf = ({ source, referring = [] }: SegmentRecord): readonly SegmentSource[] =>
  source === undefined ? referring.map(part => part.source) : [source]
