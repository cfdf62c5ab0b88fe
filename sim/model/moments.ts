/** Moments of the model: it keeps no history, so that no bucket can be read at one. Tests record the states that they compare. */
import { fail } from "@hayloft/base/failures.js"
import type { Moments } from "@hayloft/objects/contract.js"

const noHistory = (): Promise<never> =>
  Promise.reject(fail("historyIncomplete", { message: "the bucket has no history" }))

export const NO_MOMENTS: Moments = {
  now: noHistory,
  check: noHistory,
  versionAt: noHistory,
  versionSoFar: noHistory,
  list: noHistory,
  differences: noHistory,
}
