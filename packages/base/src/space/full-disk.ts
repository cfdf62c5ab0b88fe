/**
 * Work on a disk that may be full: the work that a lack of space only postpones, and the work that first has space made.
 *
 * Promises  Errors other than a lack of space are thrown as they are.
 */
import type { Failure } from "../failures.js"
import { isShortage, lacksSpace, SPACE_RETRIES_MAX } from "./full-disk-core.js"

type Instead<R> = (failure: Failure) => R | Promise<R>

async function unless<T, R>(
  isExpected: (error: unknown) => error is Failure,
  run: () => Promise<T>,
  instead: Instead<R>,
): Promise<T | R> {
  try {
    return await run()
  } catch (error) {
    if (!isExpected(error)) throw error
    return instead(error)
  }
}

/** Returns the result of `run`, or that of `instead` if a device has no space for it. */
export const unlessFull = <T, R>(run: () => Promise<T>, instead: Instead<R>): Promise<T | R> =>
  unless(lacksSpace, run, instead)

/** Works like `unlessFull`, but also calls `instead` if the process has no file handle for the work. */
export const unlessShort = <T, R>(run: () => Promise<T>, instead: Instead<R>): Promise<T | R> =>
  unless(isShortage, run, instead)

/**
 * Returns the result of `run`, which is repeated whole while a device has no space for it and `makeSpace` makes some; throws
 * `deviceFull` when that returns false, or after so many retries.
 */
export async function retryWithSpace<T>(
  run: () => Promise<T>,
  makeSpace: () => Promise<boolean>,
  retriesMax: number = SPACE_RETRIES_MAX,
): Promise<T> {
  for (let left = retriesMax; ; left -= 1) {
    try {
      return await run()
    } catch (error) {
      if (left === 0 || !lacksSpace(error) || !(await makeSpace())) throw error
    }
  }
}
