/** Says why an incarnation is over, and why work is refused. */
import { fail, type Failure } from "@hayloft/base/failures.js"
import type { Halt } from "../metadata/index.js"

export type EndReason =
  /** It was silent for too long, or another process of the same node has begun one. */
  | "ended"
  /** The database has lost what it committed. */
  | "rolledBack"
  /** Another process runs as the same node. */
  | "superseded"

/** Returns why an incarnation that is over refuses work. */
export function endedFailure(reason: EndReason): Failure {
  if (reason === "rolledBack") return fail("databaseRolledBack")
  if (reason === "superseded") return fail("stopping", { message: "another process runs as this node" })
  return fail("tooManyInFlight", { message: "this node was away for too long and registers again; try again" })
}

/** Returns why work is refused while the store is halted. */
export const haltedFailure = ({ reason }: Pick<Halt, "reason">): Failure =>
  fail("databaseRolledBack", {
    message: `the database has lost changes that were acknowledged: ${reason}. Nothing is read, written or removed until an operator has run "hayloft cluster reconcile"`,
  })
