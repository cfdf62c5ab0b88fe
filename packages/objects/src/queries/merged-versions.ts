/** Current and older versions in one order: by key, newest first. Pure. */
import type { RowKey } from "@hayloft/base/ids.js"
import type { KeyRange } from "@hayloft/base/rows/key-range.js"
import type { MetadataRow, RowView } from "@hayloft/engine/metadata/index.js"

/** From `start` to before `end`. A row's current record has the row's own key, which sorts before all its versions. */
export function* mergedVersions(
  view: RowView,
  range: Omit<KeyRange, "reverse">,
): Generator<readonly [RowKey, MetadataRow]> {
  if (range.start >= range.end) return
  const current = view.range("current", range)[Symbol.iterator]()
  const older = view.range("versions", range)[Symbol.iterator]()
  let top = current.next()
  let next = older.next()
  while (top.done !== true || next.done !== true) {
    if (top.done !== true && (next.done === true || top.value[0] < next.value[0])) {
      yield top.value
      top = current.next()
    } else if (next.done !== true) {
      yield next.value
      next = older.next()
    }
  }
}
