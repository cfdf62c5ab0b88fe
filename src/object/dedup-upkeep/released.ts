/**
 * Segments that stay although their object is gone, because others reference them: if less than half of their bytes are, those
 * that reference them get bytes of their own, and the segments are deleted with the last reference.
 */
import type { BucketId, RowKey } from "../../base/ids.js"
import { decodeReferences, decodeSegment } from "../../format/records.js"
import { suffixRange } from "../../format/row-key.js"
import { query } from "../../metadata/index.js"
import { detachSome, type DetachSeams } from "../jobs/detach-sources.js"
import { bytesOfParts, referencesRowKey, sourcesOf } from "../queries/manifest-core.js"
import type { Recounted } from "./recount.js"

/** References to less than this share of the bytes are copied. */
const SHARE_MIN = 0.5
const NEVER = new AbortController().signal

/** The released segments that a segment references, each with its bytes. */
export const releasedOf = query("ReleasedOf", (view, bucketId: BucketId, rowKey: RowKey) => {
  const row = view.get("segments", rowKey)
  const sources = row === undefined ? [] : sourcesOf(decodeSegment(row.value))
  return [...new Set(sources.map(source => referencesRowKey(bucketId, source)))].flatMap(stem => {
    const references = view.get("references", stem)
    if (references === undefined || !decodeReferences(references.value).isReleased) return []
    let bytes = 0
    for (const [, { value }] of view.range("segments", suffixRange(stem)))
      bytes += bytesOfParts(decodeSegment(value).parts)
    return [{ stem, bytes }]
  })
})

export class Released {
  constructor(private readonly seams: DetachSeams) {}

  /** Gives a segment bytes of its own if what it references is kept for little. Clients see no change. */
  async free(
    bucketId: BucketId,
    rowKey: RowKey,
    countedOf: (stem: RowKey) => Promise<Recounted | undefined>,
  ): Promise<undefined | { readonly isRepaired: true }> {
    const { metadata } = this.seams
    for (const { stem, bytes } of await metadata.ask(releasedOf(bucketId, rowKey))) {
      const counted = await countedOf(stem)
      // What changes is looked at by the next job.
      if (counted === undefined || counted.isChanging || counted.bytes >= bytes * SHARE_MIN) continue
      let isRepaired = false
      while ((await detachSome(this.seams, rowKey, NEVER)) > 0) isRepaired = true
      return isRepaired ? { isRepaired } : undefined
    }
    return undefined
  }
}
