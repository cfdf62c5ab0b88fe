/** Maps items with a function that may fail. */

/**
 * Maps all items, also after one has failed, and then throws the first failure. So an engine whose views lack rows learns
 * at once of those that all items need, not of one for each run of a query.
 */
export function mapAll<Item, Result>(items: Iterable<Item>, map: (item: Item) => Result): Result[] {
  const results: Result[] = []
  let failed: { readonly error: unknown } | undefined
  for (const item of items) {
    try {
      results.push(map(item))
    } catch (error) {
      failed ??= { error }
    }
  }
  if (failed !== undefined) throw failed.error
  return results
}
