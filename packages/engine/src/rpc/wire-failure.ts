/** Failures on the wire: every kind of this version as it is; a kind of a newer version as one that promises nothing. */
import { asFailure, fail, FAILURES, isFailure, type Failure, type FailureKind } from "@hayloft/base/failures.js"
import type { WireFailure } from "../format/nodes/frame.js"

const parseKind = (kind: string): FailureKind | undefined =>
  Object.hasOwn(FAILURES, kind) ? (kind as FailureKind) : undefined

export function failureOfWire({ kind, details }: WireFailure): Failure {
  const known = parseKind(kind)
  if (known !== undefined) return fail(known, details)
  const { message: said, ...others } = details
  const message = "the other node reported a failure that this version does not know; it may have happened"
  return fail("indeterminate", { ...others, message, kind, said })
}

export function wireOfFailure(error: unknown): WireFailure {
  // The text of an error that is no failure may contain anything.
  const { kind, details } = isFailure(error) ? error : fail("internal")
  return { kind, details }
}

/** The failure of a call whose answer will not come: whether it may have happened. */
export function lostAnswer(mayHaveHappened: boolean, reason: unknown): Failure {
  const { message } = asFailure(reason)
  return mayHaveHappened
    ? fail("indeterminate", { message: "the call may or may not have happened", reason: message }, reason)
    : fail("peerUnreachable", { reason: message }, reason)
}
