/**
 * Denials that operators can look up: the latest denied requests by request id, in memory only.
 *
 * An entry is small and holds no secret; it is turned into an explanation only on request.
 * Limits  `DENIALS_KEPT` of each kind of caller, so that a flood of requests without a key, or with a wrong one,
 *         does not evict denials of authenticated callers.
 */
import type { Failure, FailureDetails, FailureKind } from "@hayloft/base/failures.js"
import type { AccessRequest, Denied } from "../policy/contract.js"
import { DeniedAccess } from "../policy/denied-access.js"

export const DENIALS_KEPT = 1_000

export interface Denial {
  readonly requestId: string
  readonly deniedMs: number
  /** `s3`, `iam`, `sts`. */
  readonly service: string
  /** Empty if the operation was not determined before the denial. */
  readonly operation: string
  /** The status and code of the response. */
  readonly status: number
  readonly code: string
  readonly remoteAddress: string
  /** The id of the key that the request states; it is proved only if `principal` is defined. */
  readonly accessKeyId: string | undefined
  /** The principal is undefined if the caller was not authenticated. */
  readonly principal: AccessRequest["principal"] | undefined
  /**
   * The action and the resource, by their names in policies. They are undefined if policies have no name for them, or
   * if they were not determined before the denial.
   */
  readonly action: string | undefined
  readonly resource: string | undefined
  readonly kind: FailureKind
  readonly details: FailureDetails
  /** The decision is undefined if policies did not decide. */
  readonly decision: Denied | undefined
}

/** A denied request as the server knows it; the principal, action and resource of a decision take precedence. */
export type DeniedRequest = Omit<Denial, "kind" | "details" | "decision">

/** Details that explain a denial. Others are for the client, and may be long. */
const REPORTED_DETAILS = [
  "message",
  "reason",
  "closedBucket",
  "onlyByList",
  "requestTime",
  "serverTime",
  "expires",
  "headersNotSigned",
] as const
const TEXT_CHARACTERS_MAX = 2_048

const brief = (text: string | undefined): string | undefined => text?.slice(0, TEXT_CHARACTERS_MAX)

function reportedDetailsOf({ details }: Failure): FailureDetails {
  const reported: Record<string, FailureDetails[string]> = {}
  for (const name of REPORTED_DETAILS) {
    const value = details[name]
    if (value !== undefined) reported[name] = brief(String(value))
  }
  return reported
}

/** Copies field by field, which costs a tenth of spreading: a flood of denied requests passes here. */
export function denialOf(request: DeniedRequest, failure: Failure): Denial {
  const { requestId, deniedMs, service, operation, status, code, remoteAddress, accessKeyId } = request
  const decided = failure instanceof DeniedAccess ? failure : undefined
  // Only these three fields: the decided request's context holds the whole request.
  const { principal, action, resource } = decided?.request ?? request
  return {
    requestId,
    deniedMs,
    service,
    operation,
    status,
    code,
    remoteAddress,
    accessKeyId,
    principal,
    action,
    resource: brief(resource),
    kind: failure.kind,
    details: reportedDetailsOf(failure),
    decision: decided?.decision,
  }
}

type CallerKind = "known" | "claimed" | "anonymous"

function callerKindOf({ principal, accessKeyId }: DeniedRequest): CallerKind {
  if (principal !== undefined && "arn" in principal) return "known"
  return accessKeyId === undefined ? "anonymous" : "claimed"
}

/** The latest of one kind of caller. */
class Latest {
  private readonly byId = new Map<string, Denial>()
  /** A ring: the next slot to overwrite holds the oldest. */
  private readonly ids: string[] = []
  private at = 0

  add(denial: Denial): void {
    const { requestId } = denial
    this.byId.delete(this.ids[this.at] ?? "")
    this.byId.set(requestId, denial)
    this.ids[this.at] = requestId
    this.at = (this.at + 1) % DENIALS_KEPT
  }

  find(requestId: string): Denial | undefined {
    return this.byId.get(requestId)
  }
}

export class Denials {
  private readonly latest: Readonly<Record<CallerKind, Latest>> = {
    known: new Latest(),
    claimed: new Latest(),
    anonymous: new Latest(),
  }

  note(request: DeniedRequest, failure: Failure): void {
    this.keep(denialOf(request, failure))
  }

  /** A denial of another thread, which has made it by `denialOf`. */
  keep(denial: Denial): void {
    this.latest[callerKindOf(denial)].add(denial)
  }

  /** Returns undefined if no such request was denied, or its entry was evicted. */
  find(requestId: string): Denial | undefined {
    const { known, claimed, anonymous } = this.latest
    return known.find(requestId) ?? claimed.find(requestId) ?? anonymous.find(requestId)
  }
}
