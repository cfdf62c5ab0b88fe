/**
 * Values that may have to be awaited. Most requests find everything in memory: a stage that returns `Soon`
 * serves those without a promise, and the others by the same code.
 *
 * Promises  An available value is never wrapped in a promise, and the code after it runs within the same turn.
 */

/** A value, or a promise of it. */
export type Soon<T> = T | Promise<T>

/** Continues with the value, synchronously if it is available. Throws, or rejects with, what either throws. */
export function after<A, B>(value: Soon<A>, next: (value: A) => Promise<B>): Promise<B>
export function after<A, B>(value: Soon<A>, next: (value: A) => Soon<B>): Soon<B>
export function after<A, B>(value: Soon<A>, next: (value: A) => Soon<B>): Soon<B> {
  return value instanceof Promise ? value.then(next) : next(value)
}

/** A promise of what the work returns, for callers that always await; rejects with what the work throws. */
export function asPromise<T>(work: () => Soon<T>): Promise<T> {
  try {
    const value = work()
    return value instanceof Promise ? value : Promise.resolve(value)
  } catch (error) {
    return Promise.reject(error instanceof Error ? error : new Error(String(error)))
  }
}

/** Does the work; passes an exception or rejection to `onError`. */
export function recover<T>(work: () => Soon<T>, onError: (error: unknown) => Soon<T>): Soon<T> {
  try {
    const value = work()
    return value instanceof Promise ? value.catch(onError) : value
  } catch (error) {
    return onError(error)
  }
}

/** Does the work, then `cleanUp`, however the work ends. */
export function lastly<T>(work: () => Soon<T>, cleanUp: () => void): Soon<T> {
  let value: Soon<T>
  try {
    value = work()
  } catch (error) {
    cleanUp()
    throw error
  }
  if (value instanceof Promise) return value.finally(cleanUp)
  cleanUp()
  return value
}

/** Starts the work for all items concurrently; the caller limits their number. Returns all values. */
export function allSoon<Item, T>(items: readonly Item[], work: (item: Item) => Soon<T>): Soon<readonly T[]> {
  const values: Soon<T>[] = []
  try {
    for (const item of items) values.push(work(item))
  } catch (error) {
    // No caller waits for the others any more.
    Promise.all(values).catch(() => undefined)
    throw error
  }
  const available: T[] = []
  for (const value of values) {
    if (value instanceof Promise) return Promise.all(values)
    available.push(value)
  }
  return available
}

/** Does the work for each item in sequence, synchronously until the first promise. */
export function forEachSoon<Item>(items: readonly Item[], work: (item: Item) => Soon<void>, from = 0): Soon<void> {
  for (let i = from; i < items.length; i += 1) {
    const item = items[i]
    const done = item === undefined ? undefined : work(item)
    if (done instanceof Promise) return done.then(() => forEachSoon(items, work, i + 1))
  }
}
