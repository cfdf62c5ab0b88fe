/**
 * Denials that people may ask about: the latest requests that were told no, by their ids, in memory only.
 *
 * What is noted is small and holds no secret; it is put into words only when somebody asks.
 * Limits  `DENIALS_KEPT` of each kind of caller, so that a flood of requests without a key, or with a wrong one, pushes
 *         out none of callers who are known.
 */
import type { Failure, FailureDetails, FailureKind } from "../../base/failures.js"
import type { AccessRequest, Denied } from "../policy/contract.js"
import { DeniedAccess } from "../policy/denied-access.js"

export const DENIALS_KEPT = 1_000

export interface Denial {
  readonly requestId: string
  readonly deniedMs: number
  /** `s3`, `iam`, `sts`. */
  readonly service: string
  /** "": it was not understood so far. */
  readonly operation: string
  /** As the client was told. */
  readonly status: number
  readonly code: string
  readonly remoteAddress: string
  /** As the request says it; proved where the principal is known. */
  readonly accessKeyId: string | undefined
  /** Undefined: nobody has proved to be anybody. */
  readonly principal: AccessRequest["principal"] | undefined
  /** As policies name them; undefined: policies have no name for it, or it was not understood so far. */
  readonly action: string | undefined
  readonly resource: string | undefined
  readonly kind: FailureKind
  readonly details: FailureDetails
  /** Undefined: it was not for policies to decide. */
  readonly decision: Denied | undefined
}

/** What is known of a request that is denied; what a decision was asked about, it says itself. */
export type DeniedRequest = Omit<Denial, "kind" | "details" | "decision">

/** Details that explain a denial. Others are for the client, and may be long. */
const TOLD = ["message", "reason", "closedBucket", "requestTime", "serverTime", "expires", "headersNotSigned"] as const
const TEXT_CHARACTERS_MAX = 2_048

const brief = (text: string | undefined): string | undefined => text?.slice(0, TEXT_CHARACTERS_MAX)

function denialOf(request: DeniedRequest, failure: Failure): Denial {
  const { kind } = failure
  const details: Record<string, FailureDetails[string]> = {}
  for (const name of TOLD) {
    const value = failure.details[name]
    if (value !== undefined) details[name] = brief(String(value))
  }
  if (!(failure instanceof DeniedAccess)) {
    return { ...request, resource: brief(request.resource), kind, details, decision: undefined }
  }
  const { asked, decision } = failure
  // No more of it: its context holds all of the request.
  const { principal, action, resource } = asked
  return { ...request, principal, action, resource: brief(resource), kind, details, decision }
}

type CallerKind = "known" | "claimed" | "nobody"

function callerKindOf({ principal, accessKeyId }: DeniedRequest): CallerKind {
  if (principal !== undefined && "arn" in principal) return "known"
  return accessKeyId === undefined ? "nobody" : "claimed"
}

export class Denials {
  private readonly kept: Readonly<Record<CallerKind, Map<string, Denial>>> = {
    known: new Map(),
    claimed: new Map(),
    nobody: new Map(),
  }

  note(request: DeniedRequest, failure: Failure): void {
    const latest = this.kept[callerKindOf(request)]
    latest.set(request.requestId, denialOf(request, failure))
    if (latest.size <= DENIALS_KEPT) return
    const [oldest = ""] = latest.keys()
    latest.delete(oldest)
  }

  /** Undefined: there was none, or it is forgotten. */
  find(requestId: string): Denial | undefined {
    const { known, claimed, nobody } = this.kept
    return known.get(requestId) ?? claimed.get(requestId) ?? nobody.get(requestId)
  }
}
