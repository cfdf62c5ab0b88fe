/** Checks: the named requirements of a run, so that each planted bug names the check that must catch it. */
import type { FailureKind } from "@hayloft/base/failures.js"
import { isFailure } from "@hayloft/base/failures.js"

export const CHECKS = {
  acknowledgedStays: "every acknowledged write is present after every restart",
  refusalWasTrue: "a refusal is based on state that lasts",
  readsAreFresh: "a read returns the last write that was acknowledged before it",
  oneWinner: "exactly one conditional write on the same state succeeds",
  noPartialWrites: "a read returns one whole write",
  refusedStaysOut: "a refused write never becomes visible",
  countersAgree: "counters agree with listings",
  listingsAgree: "a listing shows exactly the objects that can be read",
  newestIsLatest: "the newest write is the latest version",
  completesOnce: "a repeated completion returns the same version",
  oneShardPerDevice: "no device stores two shards of the same block",
  rotIsFound: "rotten bytes are rebuilt or refused, never served",
  readersFinish: "a reader that began gets all its bytes",
  foreignStaysOut: "an upload of an ended process never becomes visible",
  spaceIsFreed: "unreferenced bytes are freed, all others stay",
  linearizable: "every history of a key is linearizable",
  opens: "the store opens after every crash, kill or stop",
  readsContinue: "reads continue while no more devices are lost than the store tolerates",
  writesContinue: "writes continue while no more devices are lost than the store tolerates",
  completeIsComplete: "a device or layout reported as complete is complete",
  replicasAgree: "all metadata replicas are equal",
  fullIsNotFaulty: "a full disk refuses writes, and loses nothing",
  bodiesOutliveRows: "bodies are kept although the rows that reference them are lost",
  noAssertionFails: "no process finds itself in a state that must not occur",
  lossIsNoticed: "a database that has lost commits halts every node until it is reconciled",
  lossIsReported: "an acknowledged upload that the database has lost is an object again, or listed",
  nodesRecover: "every node serves, and the store is whole, a while after the last fault",
  machinesAreApart: "the shards of a block are spread over the machines",
  releasedBytesStay: "bytes that an object ever referenced are kept for the retention",
  lockedStays: "a version is kept until its retention is over, whatever wall clocks do",
  locksEnd: "a version can be removed once its retention is over",
  dueStays: "lifecycle removes nothing before its time, and nothing by a rule that is no longer in effect",
  dueGoes: "what a lifecycle rule removes is gone within a day after its time",
  movedIsSame: "a version that moves to another storage class stays what it was",
  limitsHold: "nothing grows beyond a hard limit of a quota",
  storeClockIsSteady: "the store's clock never goes back, and is not faster than time while a process runs",
  erasedIsClosed: "no file of any disk, with the master key, opens the secret of a bucket that counts as erased",
  erasureEnds: "an erasure that has begun ends once every disk is there",
  valuesStay: "a value of an item is there until a token that has seen it replaces it",
  valuesGo: "a value of an item that a token has replaced is never read again",
  fencesHold: "a write with a fence is acknowledged only while the lock is held with its token",
  tokensGrow: "each acquisition of a lock has a greater token than all before it",
  sessionsLast: "a session that was renewed in time goes on, with all that it holds",
  sessionsEnd: "a session that is not renewed ends, and leaves nothing behind",
  nothingLeaks: "a node that stopped leaves nothing open",
  repairGoesOn: "a device that lacks shards, or waits for an upload, has a visit at a known time",
  redundancyIsRestored: "full redundancy is restored once the devices are healthy",
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

/** Returns the failure of a call; undefined if it succeeded. Rethrows any other error. */
export async function kindOf(call: Promise<unknown>): Promise<FailureKind | undefined> {
  try {
    await call
    return undefined
  } catch (error) {
    if (isFailure(error)) return error.kind
    throw error
  }
}
