/** The first item; closes the iteration after it. Undefined if there is none. */
export function firstOf<T>(items: Iterable<T>): T | undefined {
  const iterator = items[Symbol.iterator]()
  const first = iterator.next()
  if (first.done) return undefined
  iterator.return?.()
  return first.value
}
