/** Fan-out with a bound: like `Promise.all(items.map(…))`, but with at most `limit` calls in progress. */
import { assert } from "../assert.js"

/**
 * Calls `fn` on every item with at most `limit` calls in progress, and resolves with the results in the order of the
 * items. After the first error it starts no further calls, waits for the running ones, and then throws the error, so
 * that no work continues unnoticed.
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
  // If a lane ends synchronously, no further lanes are needed, however large the limit.
  for (let before = -1; lanes.length < limit && started > before;) {
    before = started
    lanes.push(lane())
  }
  await Promise.all(lanes)
  if (errors.length > 0) throw errors[0]
  return results
}
