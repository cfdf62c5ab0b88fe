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
const TOLD = [
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

function toldOf({ details }: Failure): FailureDetails {
  const told: Record<string, FailureDetails[string]> = {}
  for (const name of TOLD) {
    const value = details[name]
    if (value !== undefined) told[name] = brief(String(value))
  }
  return told
}

/** Member by member, which costs a tenth of spreading: those who are denied may come by the thousand. */
function denialOf(request: DeniedRequest, failure: Failure): Denial {
  const { requestId, deniedMs, service, operation, status, code, remoteAddress, accessKeyId } = request
  const decided = failure instanceof DeniedAccess ? failure : undefined
  // No more of what was asked: its context holds all of the request.
  const { principal, action, resource } = decided?.asked ?? request
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
    details: toldOf(failure),
    decision: decided?.decision,
  }
}

type CallerKind = "known" | "claimed" | "nobody"

function callerKindOf({ principal, accessKeyId }: DeniedRequest): CallerKind {
  if (principal !== undefined && "arn" in principal) return "known"
  return accessKeyId === undefined ? "nobody" : "claimed"
}

/** The latest of one kind of caller. */
class Latest {
  private readonly byId = new Map<string, Denial>()
  /** In a ring: the next to be written over is the oldest. */
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
    nobody: new Latest(),
  }

  note(request: DeniedRequest, failure: Failure): void {
    this.latest[callerKindOf(request)].add(denialOf(request, failure))
  }

  /** Undefined: there was none, or it is forgotten. */
  find(requestId: string): Denial | undefined {
    const { known, claimed, nobody } = this.latest
    return known.find(requestId) ?? claimed.find(requestId) ?? nobody.find(requestId)
  }
}
