/**
 * Segments that stay although their object is gone, because others reference them: if less than half of their bytes are, those
 * that reference them get bytes of their own, and the segments are deleted with the last reference.
 */
import type { BucketId, RowKey } from "@hayloft/base/ids.js"
import { NEVER } from "@hayloft/base/never.js"
import { decodeSegment } from "@hayloft/engine/format/records.js"
import { decodeReferences } from "@hayloft/engine/format/objects/references-record.js"
import { suffixRange } from "@hayloft/engine/format/row-key.js"
import { query, type RowView } from "@hayloft/engine/metadata/index.js"
import { type DetachSeams, detachSome } from "@hayloft/objects/door/index.js"
import { bytesOfParts, recount, RECOUNT_LIMITS, type Recounted, type WalkSeams } from "@hayloft/objects/door/rows.js"

/** References to less than this share of the bytes are copied. */
const SHARE_MIN = 0.5

/** The bytes of segments, by the key of what counts their references. `cost` is increased by the rows that are read. */
export function bytesOfSegments(view: RowView, stem: RowKey, cost = { rows: 0 }): number {
  let bytes = 0
  for (const [, { value }] of view.range("segments", suffixRange(stem))) {
    cost.rows += 1
    bytes += bytesOfParts(decodeSegment(value).parts)
  }
  return bytes
}

/** The bytes of segments whose object is gone; undefined: it is not, or nothing references them. */
export const bytesOfReleased = query("BytesOfReleased", (view, stem: RowKey): number | undefined => {
  const row = view.get("references", stem)
  const { isReleased, count } = row === undefined ? { isReleased: false, count: 0 } : decodeReferences(row.value)
  return isReleased && count > 0 ? bytesOfSegments(view, stem) : undefined
})

export class Released {
  constructor(private readonly seams: DetachSeams & WalkSeams) {}

  /**
   * Gives those that reference the segments bytes of their own if these are kept for little: for less than `shareMin` of
   * them. Clients see no change.
   */
  async free(
    bucketId: BucketId,
    stem: RowKey,
    counted: Recounted | undefined,
    shareMin = SHARE_MIN,
  ): Promise<undefined | { readonly isRepaired: true } | { readonly changing: string }> {
    let isRepaired = false
    for (let found = counted; found !== undefined;) {
      const bytes = await this.seams.metadata.ask(bytesOfReleased(stem))
      if (found.isChanging) return { changing: "the number of references changed during each count" }
      if (bytes === undefined || found.bytes >= bytes * shareMin) break
      let isDetached = false
      for (const by of found.by) while ((await detachSome(this.seams, by, NEVER, stem)) > 0) isDetached = true
      if (!isDetached) break
      isRepaired = true
      // These were all that referenced it.
      if (found.by.length < RECOUNT_LIMITS.byMax) break
      found = (await recount(this.seams, bucketId, [stem])).get(stem)
    }
    return isRepaired ? { isRepaired } : undefined
  }
}
