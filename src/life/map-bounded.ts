/** Fan-out with a bound: what `Promise.all(items.map(…))` would do, but never more than `limit` at once. */
import { assert } from "../base/assert.js"

/**
 * Calls `fn` on every item, at most `limit` at a time, and resolves with the results in the order of
 * the items. After the first error nothing new is started; what runs is waited for, and then that
 * error is thrown, so that no work goes on behind the caller's back.
 */
export async function mapBounded<Item, Result>(
  items: Iterable<Item>,
  limit: number,
  fn: (item: Item, index: number) => Promise<Result>,
): Promise<Result[]> {
  assert(Number.isSafeInteger(limit) && limit >= 1, "at least one at a time")
  const results: Result[] = []
  const errors: unknown[] = []
  const source = items[Symbol.iterator]()
  let started = 0

  const lane = async (): Promise<void> => {
    try {
      for (let next = source.next(); errors.length === 0 && next.done !== true; next = source.next()) {
        const index = started
        started += 1
        results[index] = await fn(next.value, index)
      }
    } catch (error) {
      errors.push(error)
    }
  }

  const lanes: Promise<void>[] = []
  // A lane that ran dry at once proves that no more are needed, however large the limit.
  for (let before = -1; lanes.length < limit && started > before;) {
    before = started
    lanes.push(lane())
  }
  await Promise.all(lanes)
  if (errors.length > 0) throw errors[0]
  return results
}
