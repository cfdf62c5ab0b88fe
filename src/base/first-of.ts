/** The first item, closing the iteration behind it; undefined where there is none. */
export function firstOf<T>(items: Iterable<T>): T | undefined {
  const iterator = items[Symbol.iterator]()
  const first = iterator.next()
  if (first.done) return undefined
  iterator.return?.()
  return first.value
}
