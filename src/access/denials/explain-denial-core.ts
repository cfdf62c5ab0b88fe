/**
 * A denial in words for the operator: why, and the least that would have helped. Pure.
 *
 * Keys are judged as they are when somebody asks, and not as they were: what was noted of the request does not say more
 * than that its key did not count.
 */
import { FAILURES, type FailureKind } from "../../base/failures.js"
import { isoDate } from "../../base/dates.js"
import { permissionFor } from "../acl/acl-match.js"
import type { AccessKey } from "../contract.js"
import type { DecidedBy, PolicySide } from "../policy/contract.js"
import { lackingGrants, sentenceOfDecision, type LackingGrant } from "../policy/explain.js"
import type { Denial } from "./denials.js"

interface Explanation {
  /** Why it was denied. */
  readonly sentence: string
  /** The statement that denies it. */
  readonly decidedBy: DecidedBy | undefined
  /** All of them are needed. */
  readonly grants: readonly LackingGrant[]
  /** What else there is to know, or to do. */
  readonly hints: readonly string[]
}

type Why = Pick<Explanation, "sentence"> & Partial<Explanation>

const NARROW = "no grant helps against a Deny: what that statement denies has to become less"
function listHint(action: string): string {
  const permission = permissionFor(action)
  if (permission === undefined) return "no access control list speaks of this: only the object's owner may"
  return `what would help: its owner grants ${permission} in the access control list of the object`
}

const OPENS_TO_ALL =
  "a grant to everybody is refused, and counts for nothing, as long as the bucket's public access block is on, as it is for new buckets"

/** A grant to everybody needs more than the statement. */
const hintsOf = ({ principal, service }: Denial, sides: readonly PolicySide[]): readonly string[] =>
  service === "s3" && principal?.kind === "anonymous" && sides.includes("resource") ? [OPENS_TO_ALL] : []

function ofDecision(denial: Denial, decision: NonNullable<Denial["decision"]>): Why {
  const { principal, action, resource, details } = denial
  const { reason } = details
  const sentence = `${sentenceOfDecision(decision)}${reason === undefined ? "" : `; ${String(reason)}`}`
  if (decision.outcome === "explicitDeny") return { sentence, decidedBy: decision.by, hints: [NARROW] }
  if (principal === undefined || action === undefined || resource === undefined) return { sentence }
  const isOnlyByList = details["onlyByList"] !== undefined
  // A policy of the bucket would not count.
  const lacking = decision.lacking.filter(side => !(isOnlyByList && side === "resource"))
  const grants = lackingGrants({ principal, action, resource }, { ...decision, lacking })
  return { sentence, grants, hints: isOnlyByList ? [listHint(action)] : hintsOf(denial, lacking) }
}

/** A bucket that has nothing by which others might get in is not asked for more. */
function ofClosedBucket(denial: Denial, bucket: string): Why {
  const { principal, action, resource } = denial
  const name = JSON.stringify(bucket)
  const sentence = `bucket ${name} is another account's, and has no policy and no access control list that lets in others`
  const isOfBucket = resource?.startsWith(`arn:aws:s3:::${bucket}/`) === true || resource === `arn:aws:s3:::${bucket}`
  if (principal === undefined || action === undefined || resource === undefined || !isOfBucket) return { sentence }
  const needsOwn = "arn" in principal && principal.kind !== "root"
  const lacking: readonly PolicySide[] = needsOwn ? ["identity", "resource"] : ["resource"]
  const grants = lackingGrants({ principal, action, resource }, { outcome: "implicitDeny", lacking })
  const own = needsOwn
    ? ["the grant of the caller's own side is needed only where none of its policies has it yet"]
    : []
  return { sentence, grants, hints: [...own, ...hintsOf(denial, lacking)] }
}

function ofKey({ accessKeyId, deniedMs }: Denial, key: AccessKey | undefined): Why {
  const id = accessKeyId ?? "of the request"
  const sentence = `the access key ${id} does not count`
  if (key === undefined)
    return { sentence, hints: ["now: no such key exists; it was mistyped, is another store's, or was deleted"] }
  if (!key.isActive)
    return { sentence, hints: [`now: the key is disabled; hayloft key enable ${id} lets it count again`] }
  const { expiresMs } = key.service ?? {}
  if (expiresMs !== undefined && expiresMs <= deniedMs)
    return { sentence, hints: [`now: the key ended at ${isoDate(expiresMs)}`] }
  return { sentence, hints: ["now: the key is there and counts, so that it was made or enabled since"] }
}

/** Of what policies do not decide. */
const BY_KIND: { readonly [kind in FailureKind]?: Why } = {
  signatureMismatch: {
    sentence: "the signature is wrong",
    hints: [
      "the secret key is not that of the access key, or something between changed the request (a proxy that rewrites the path, the Host header or x-amz headers)",
      "the answer shows the text that was to be signed; the client's own shows where they part",
    ],
  },
  requestSkewed: {
    sentence: "the clocks of client and server are more than 15 minutes apart",
    hints: ["set the clock of whichever is wrong"],
  },
  requestExpired: { sentence: "the presigned URL had expired" },
  tokenExpired: { sentence: "the temporary credentials had expired", hints: ["get new ones from STS"] },
  invalidToken: {
    sentence: "the session token does not count",
    hints: [
      "it is not one of this store, does not belong to the access key, or what the session came about by is gone: its role, key or provider",
    ],
  },
}

const TIMES = [
  ["requestTime", "signed at"],
  ["expires", "expired at"],
  ["serverTime", "the server's clock was"],
] as const

/** `key`: what there is now under the id that the request named. */
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
