/** Work on several things at a time, up to a limit. */

/**
 * Returns the results of `work` on each of the items, in their order. The first failure aborts the signal of the others, and
 * is thrown once all have ended.
 */
export async function inParallel<Item, Result>(
  items: Iterable<Item>,
  limit: number,
  stop: AbortSignal,
  work: (item: Item, signal: AbortSignal) => Promise<Result>,
): Promise<readonly Result[]> {
  const failing = new AbortController()
  const signal = AbortSignal.any([stop, failing.signal])
  const results: Result[] = []
  const left = [...items].entries()
  const workers = Array.from({ length: limit }, async () => {
    for (const [at, item] of left) results[at] = await work(item, signal)
  })
  try {
    await Promise.all(workers)
  } catch (error) {
    failing.abort()
    await Promise.allSettled(workers)
    throw error
  }
  return results
}
