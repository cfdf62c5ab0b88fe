/**
 * Restores what undelete keeps below a prefix, a page of keys at a time.
 *
 * Promises  No key is restored twice, also over several pages: with `over` the second time would undo the first, because
 *           what is overwritten is kept in turn.
 */
import type { z } from "zod"
import type { ReadOnly } from "@hayloft/base/read-only.js"
import { fail } from "@hayloft/base/failures.js"
import { objectKeyOfText, textOfObjectKey, type BucketId, type ObjectKey } from "@hayloft/base/ids.js"
import { mapBounded } from "@hayloft/base/life/index.js"
import type { UndeleteOutcome } from "./undelete-commands-core.js"
import type { Undelete } from "./undelete.js"
import type { RESTORED_PREFIX } from "./schemas.js"

/** Kept versions of a page: a second or two. */
const PAGE_ROWS = 256
/** Keys that are restored at the same time, so that they share commits. */
const KEYS_AT_ONCE = 16

interface RestoreBelowRequest {
  /** A byte string. */
  readonly prefix: string
  readonly atMs?: number | undefined
  readonly over: boolean
  /** `next` of the previous page. */
  readonly after?: string | undefined
}

type RestoredBelow = ReadOnly<z.output<typeof RESTORED_PREFIX>>

type Deleted = Pick<Undelete, "listDeleted" | "undelete">

export async function restoreBelow(
  deleted: Deleted,
  bucketId: BucketId,
  { prefix, atMs, over, after }: RestoreBelowRequest,
): Promise<RestoredBelow> {
  const from = after === undefined ? undefined : parsePlace(after)
  const page = { prefix, limit: PAGE_ROWS, ...(from !== undefined && { after: from.after }) }
  const { items, next } = await deleted.listDeleted(bucketId, page)
  // A key may have versions on several pages; those that come last may be new.
  const keys = [...new Set(items.map(({ key }) => key))].filter(key => key !== from?.lastKey)
  const counts: Record<UndeleteOutcome, number> = { restored: 0, exists: 0, nothingKept: 0 }
  const wanted = { over, ...(atMs !== undefined && { atMs }) }
  await mapBounded(keys, KEYS_AT_ONCE, async key => {
    counts[await deleted.undelete(bucketId, key, wanted)] += 1
  })
  const lastKey = items.at(-1)?.key ?? from?.lastKey
  const { restored, exists: exist, nothingKept } = counts
  return { restored, exist, nothingKept, ...(next !== undefined && { next: textOfPlace({ after: next, lastKey }) }) }
}

/** The place where the next page begins, and the last key of the pages before. */
interface Place {
  readonly after: string
  readonly lastKey: ObjectKey | undefined
}

const textOfPlace = ({ after, lastKey }: Place): string =>
  JSON.stringify(lastKey === undefined ? [after] : [after, textOfObjectKey(lastKey)])

/** Throws `invalidArgument`. */
function parsePlace(text: string): Place {
  const [after, lastKey] = parsedList(text)
  if (typeof after === "string") {
    if (lastKey === undefined) return { after, lastKey }
    if (typeof lastKey === "string") return { after, lastKey: objectKeyOfText(lastKey) }
  }
  throw fail("invalidArgument", { message: "after is not the next of a page" })
}

function parsedList(text: string): readonly unknown[] {
  try {
    const value: unknown = JSON.parse(text)
    return Array.isArray(value) ? value : []
  } catch {
    return []
  }
}
