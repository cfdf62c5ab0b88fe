/**
 * Explains a denial to the operator: why, and the smallest change that would have helped. Pure.
 *
 * Keys are described in their present state, not in their state at the denial: the entry only records that the key was
 * not valid.
 */
import { FAILURES, type FailureKind } from "@hayloft/base/failures.js"
import { isoDate } from "@hayloft/base/text/dates.js"
import { permissionFor } from "../acl/acl-match.js"
import type { AccessKey } from "../contract.js"
import type { DecidedBy, PolicySide } from "../policy/contract.js"
import { lackingGrants, sentenceOfDecision, type LackingGrant } from "../policy/explain.js"
import type { Denial } from "./denials.js"

interface Explanation {
  /** The reason why it was denied. */
  readonly sentence: string
  /** The statement that denies it. */
  readonly decidedBy: DecidedBy | undefined
  /** Every one of them is required. */
  readonly grants: readonly LackingGrant[]
  /** Further facts and remedies. */
  readonly hints: readonly string[]
}

type Why = Pick<Explanation, "sentence"> & Partial<Explanation>

const NARROW = "no grant helps against a Deny: narrow that statement"
function listHint(action: string): string {
  const permission = permissionFor(action)
  if (permission === undefined) return "no access control list covers this action: only the object's owner may do it"
  return `to allow it: its owner grants ${permission} in the access control list of the object`
}

const OPENS_TO_ALL =
  "a grant to everybody is refused and ignored while the bucket's public access block is on, as it is for new buckets"

/** A grant to everybody is effective only if the bucket's public access block is off. */
const hintsOf = ({ principal, service }: Denial, sides: readonly PolicySide[]): readonly string[] =>
  service === "s3" && principal?.kind === "anonymous" && sides.includes("resource") ? [OPENS_TO_ALL] : []

function ofDecision(denial: Denial, decision: NonNullable<Denial["decision"]>): Why {
  const { principal, action, resource, details } = denial
  const { reason } = details
  const sentence = `${sentenceOfDecision(decision)}${reason === undefined ? "" : `; ${String(reason)}`}`
  if (decision.outcome === "explicitDeny") return { sentence, decidedBy: decision.by, hints: [NARROW] }
  if (principal === undefined || action === undefined || resource === undefined) return { sentence }
  const isOnlyByList = details["onlyByList"] !== undefined
  // A bucket policy does not apply here.
  const lacking = decision.lacking.filter(side => !(isOnlyByList && side === "resource"))
  const grants = lackingGrants({ principal, action, resource }, { ...decision, lacking })
  return { sentence, grants, hints: isOnlyByList ? [listHint(action)] : hintsOf(denial, lacking) }
}

/** A bucket without a policy and without grants to others denies early: the caller's policies were not evaluated. */
function ofClosedBucket(denial: Denial, bucket: string): Why {
  const { principal, action, resource } = denial
  const name = JSON.stringify(bucket)
  const sentence = `bucket ${name} belongs to another account and has no policy and no access control list that admits others`
  const isOfBucket = resource?.startsWith(`arn:aws:s3:::${bucket}/`) === true || resource === `arn:aws:s3:::${bucket}`
  if (principal === undefined || action === undefined || resource === undefined || !isOfBucket) return { sentence }
  const needsOwn = "arn" in principal && principal.kind !== "root"
  const lacking: readonly PolicySide[] = needsOwn ? ["identity", "resource"] : ["resource"]
  const grants = lackingGrants({ principal, action, resource }, { outcome: "implicitDeny", lacking })
  const own = needsOwn ? ["the identity grant is required only if none of the caller's policies contains it yet"] : []
  return { sentence, grants, hints: [...own, ...hintsOf(denial, lacking)] }
}

function ofKey({ accessKeyId, deniedMs }: Denial, key: AccessKey | undefined): Why {
  const id = accessKeyId ?? "of the request"
  const sentence = `the access key ${id} is not valid`
  if (key === undefined)
    return { sentence, hints: ["now: no such key exists; it was mistyped, belongs to another store, or was deleted"] }
  if (!key.isActive) return { sentence, hints: [`now: the key is disabled; hayloft key enable ${id} enables it`] }
  const { expiresMs } = key.service ?? {}
  if (expiresMs !== undefined && expiresMs <= deniedMs)
    return { sentence, hints: [`now: the key expired at ${isoDate(expiresMs)}`] }
  return { sentence, hints: ["now: the key exists and is enabled, so it was created or enabled after the denial"] }
}

/** Denials that policies do not decide. */
const BY_KIND: { readonly [kind in FailureKind]?: Why } = {
  signatureMismatch: {
    sentence: "the signature is wrong",
    hints: [
      "the secret key is not that of the access key, or something between changed the request (a proxy that rewrites the path, the Host header or x-amz headers)",
      "the response shows the text that was to be signed; compare it with the client's own",
    ],
  },
  requestSkewed: {
    sentence: "the clocks of client and server are more than 15 minutes apart",
    hints: ["correct the clock that is wrong"],
  },
  requestExpired: { sentence: "the presigned URL had expired" },
  tokenExpired: { sentence: "the temporary credentials had expired", hints: ["get new ones from STS"] },
  invalidToken: {
    sentence: "the session token is not valid",
    hints: [
      "it is not from this store, does not belong to the access key, or the session's role, key or provider was deleted",
    ],
  },
}

const TIMES = [
  ["requestTime", "signed at"],
  ["expires", "expired at"],
  ["serverTime", "the server's clock was"],
] as const

/** `key` is the current record of the access key that the request named. */
export function explainDenial(denial: Denial, key: AccessKey | undefined): Explanation {
  return { decidedBy: undefined, grants: [], hints: [], ...whyOf(denial, key) }
}

function whyOf(denial: Denial, key: AccessKey | undefined): Why {
  const { kind, details, decision } = denial
  const { closedBucket } = details
  if (decision !== undefined) return ofDecision(denial, decision)
  if (closedBucket !== undefined) return ofClosedBucket(denial, String(closedBucket))
  if (kind === "invalidAccessKey") return ofKey(denial, key)
  const known = BY_KIND[kind]
  const sentence = known?.sentence ?? String(details["reason"] ?? details["message"] ?? FAILURES[kind].message)
  const times = TIMES.flatMap(([name, words]) =>
    details[name] === undefined ? [] : [`${words} ${String(details[name])}`],
  )
  const headers = details["headersNotSigned"]
  const more = [...times, ...(headers === undefined ? [] : [`headers that are not signed: ${String(headers)}`])]
  return { ...known, sentence: more.length === 0 ? sentence : `${sentence} (${more.join(", ")})` }
}
