/**
 * Refusals of requests, as operators find them: in the log, in the metrics, and in the list of denials.
 *
 * Promises  Details of internal errors, and the statement that denied a request, are in the log; clients do not get them.
 */
import { DeniedAccess, sentenceOfDecision, type Denials } from "@hayloft/access/index.js"
import { asFailure, type Failure } from "@hayloft/base/failures.js"
import type { Exchange } from "../http/index.js"
import type { RequestMeters } from "./request-meters.js"

const UNAUTHORIZED_STATUS = 401
const DENIED_STATUS = 403
const INTERNAL_STATUS = 500

type DeniedRequest = Parameters<Denials["note"]>[0]

/** The answer to a request that failed. */
interface RefusingAnswer {
  readonly status: number
  readonly code: string
}

/** The failure that the protocol answers. Throws the error if the server answers it: it logs internal errors with their stack. */
export function answerable({ answered }: Pick<Exchange, "answered">, error: unknown): Failure {
  const failure = asFailure(error)
  if (answered || failure.kind === "internal") throw error
  return failure
}

export class Refusals {
  constructor(
    private readonly denials: Pick<Denials, "note">,
    private readonly meters: Pick<RequestMeters, "noteFailure">,
  ) {}

  /** Notes why a request failed, and that its caller was denied; then `denied` is called. */
  note(
    exchange: Pick<Exchange, "note" | "denyAccount">,
    failure: Failure,
    { status, code }: RefusingAnswer,
    denied: () => DeniedRequest,
  ): void {
    const reason = reasonOf(failure, status)
    exchange.note(reason === undefined ? { failure: code } : { failure: code, kind: failure.kind, reason })
    if (isDenial(failure, status)) exchange.denyAccount()
    this.noteUnlogged(failure, status, denied)
  }

  /** The same without the log line, for a failure that is a part of an answer. */
  noteUnlogged(failure: Failure, status: number, denied: () => DeniedRequest): void {
    this.meters.noteFailure(failure)
    if (isDenial(failure, status)) this.denials.note(denied(), failure)
  }
}

/** The caller may not do this, or has not shown who it is; protocols word that with different statuses. */
const isDenial = ({ remedy }: Failure, status: number): boolean =>
  status === DENIED_STATUS || status === UNAUTHORIZED_STATUS || remedy === "signIn"

/** The reason that the client does not get, if there is one. */
function reasonOf(failure: Failure, status: number): string | undefined {
  if (failure instanceof DeniedAccess) return sentenceOfDecision(failure.decision)
  if (status >= INTERNAL_STATUS) return failure.message
  const { reason } = failure.details
  return reason === undefined ? undefined : String(reason)
}
