/**
 * Work that goes on after a failure, and throws it at its end. So an engine whose views lack rows learns together of the
 * rows that all steps need, not of those of one step for each run of a query.
 */

/** Makes a call; returns `otherwise` if it fails. */
export type OrElse = <Result>(call: () => Result, otherwise: Result) => Result

/** Returns the result of the work. Throws the first failure of its attempts, once it has ended. */
export function failingLast<Result>(work: (attempt: OrElse) => Result): Result {
  let failed: { readonly error: unknown } | undefined
  const result = work((call, otherwise) => {
    try {
      return call()
    } catch (error) {
      failed ??= { error }
      return otherwise
    }
  })
  if (failed !== undefined) throw failed.error
  return result
}

/** Maps all items, also after one has failed, and then throws the first failure. */
export const mapAll = <Item, Result>(items: Iterable<Item>, map: (item: Item) => Result): Result[] =>
  failingLast(attempt => Array.from(items, item => attempt<Result[]>(() => [map(item)], [])).flat())
