/** Checks: the named requirements of a run, so that each planted bug names the check that must catch it. */
import type { FailureKind } from "../../src/base/failures.js"
import { isFailure } from "../../src/base/failures.js"

export const CHECKS = {
  acknowledgedStays: "what was acknowledged is there after every restart",
  refusalWasTrue: "a refusal stands on something that stayed",
  readsAreFresh: "a read sees the last write that was acknowledged before it",
  oneWinner: "of conditional writes on one state exactly one wins",
  nothingHalf: "bytes read back are one whole write",
  refusedStaysOut: "what was refused never becomes visible",
  countersAgree: "counters agree with what a listing shows",
  listingsAgree: "a listing shows exactly what can be read",
  newestIsLatest: "the newest write is the latest version",
  onceOnly: "a repeated completion is the same version",
  oneShardADevice: "no two shards of a block lie on one device",
  rotIsFound: "rotten bytes are rebuilt or refused, never served",
  readersFinish: "a reader that began gets all its bytes",
  voidStaysOut: "an upload that was given up never becomes visible",
  spaceComesBack: "bytes that nothing names are given back, all others stay",
  linearizable: "every history of a key is linearizable",
  opens: "the store opens after every end",
  readsGoOn: "reads go on while no more devices are gone than may be",
  writesGoOn: "writes go on while no more devices are gone than may be",
  wholeIsWhole: "what is called whole has all that it should have",
  replicasAgree: "all devices that hold names hold the same",
  fullIsNotBroken: "a full disk takes nothing more, and loses nothing",
  lossIsNotFinal: "bodies outlive the loss of the rows that name them",
  redundancyComesBack: "what was lost is made good once devices are well",
} as const

export type CheckName = keyof typeof CHECKS

export class CheckFailed extends Error {
  override readonly name = "CheckFailed"
  constructor(
    readonly check: CheckName,
    readonly found: string,
  ) {
    super(`${CHECKS[check]}: ${found}`)
  }
}

export function check(name: CheckName, holds: boolean, found: () => string): asserts holds {
  if (!holds) throw new CheckFailed(name, found())
}

/** The failure that a call ended in; undefined if it succeeded. Rethrows any other error. */
export async function kindOf(call: Promise<unknown>): Promise<FailureKind | undefined> {
  try {
    await call
    return undefined
  } catch (error) {
    if (isFailure(error)) return error.kind
    throw error
  }
}
