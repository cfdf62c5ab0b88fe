/** Messages between the serving thread and a checkpoint thread. Both ends are the same program at the same version. */
import { assert } from "@hayloft/base/assert.js"
import { fail, FAILURES, type Failure, type FailureDetails, type FailureKind } from "@hayloft/base/failures.js"
import type { CheckpointWorks } from "./checkpoint-job.js"

export type CheckpointWorkKind = keyof CheckpointWorks

/** Without work: close and end. */
export interface CheckpointOrder {
  readonly id: number
  readonly work: CheckpointWork | undefined
}

/** Instead of an order: end, without a reply, as soon as no call is in progress in this thread. */
export const END = "end"

export type CheckpointWork = {
  [Kind in CheckpointWorkKind]: { readonly kind: Kind; readonly request: CheckpointWorks[Kind]["request"] }
}[CheckpointWorkKind]

export interface CheckpointReply {
  readonly id: number
  /** Not the reply yet: the device responds, and the work continues. */
  readonly goesOn?: true
  /** Damage in a file that the store has repaired meanwhile. */
  readonly rebuilt?: { readonly path: string; readonly offsetBytes: number }
  /** The answer of the requested kind. */
  readonly answer?: unknown
  readonly failure?: { readonly kind: FailureKind; readonly details: FailureDetails }
}

export function parseCheckpointOrder(message: unknown): CheckpointOrder {
  assert(typeof message === "object" && message !== null && "id" in message, "an order has an id")
  return message as CheckpointOrder
}

export function parseCheckpointReply(message: unknown): CheckpointReply {
  assert(typeof message === "object" && message !== null && "id" in message, "a reply has an id")
  return message as CheckpointReply
}

/** The answer to completed work of a kind. */
export function parseCheckpointAnswer<Kind extends CheckpointWorkKind>(
  kind: Kind,
  answer: unknown,
): CheckpointWorks[Kind]["answer"] {
  assert(kind === "forget" || (typeof answer === "object" && answer !== null), "work has an answer")
  return answer as CheckpointWorks[Kind]["answer"]
}

export const failureOfReply = ({ failure }: CheckpointReply): Failure =>
  failure !== undefined && failure.kind in FAILURES ? fail(failure.kind, failure.details) : fail("internal")
