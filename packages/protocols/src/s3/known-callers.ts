/**
 * Known callers: who acts in requests that carry no signature, since the server knows by other means who sends them. They
 * have the rights of the key, or of the root user, and no others.
 */
import type { KnownAccessKey } from "@hayloft/access/contract.js"
import { NO_POLICIES, parsePayloadMode, rootPrincipal, type PayloadMode } from "@hayloft/access/index.js"
import { fail } from "@hayloft/base/failures.js"
import { parseAccessKeyId, type AccountId } from "@hayloft/base/ids.js"
import type { Headers } from "@hayloft/base/http/request-headers.js"
import type { SignedS3Caller } from "./caller.js"
import { DEFAULT_REGION } from "./operations/buckets.js"
import type { S3Settings } from "./parts.js"

/** It takes the place of a key's id in logs. */
const OPERATOR = parseAccessKeyId("operator")

type Sources = Pick<S3Settings, "accounts" | "clock" | "region">

export class KnownCallers {
  constructor(private readonly sources: Sources) {}

  /** With the permissions that the key has now. */
  ofKey({ id, account, principal, policies, isWholeRoot, limited }: KnownAccessKey): SignedS3Caller {
    return { account, principal, policies, isWholeRoot, limited, request: this.verified(id) }
  }

  /** Returns undefined if there is no such account. */
  async rootOf(id: AccountId): Promise<SignedS3Caller | undefined> {
    const account = await this.sources.accounts.getAccount(id)
    if (account === undefined) return undefined
    const who = { account, principal: rootPrincipal(account), policies: NO_POLICIES, isWholeRoot: true }
    return { ...who, limited: undefined, request: this.verified(OPERATOR) }
  }

  private verified(accessKeyId: SignedS3Caller["request"]["accessKeyId"]): SignedS3Caller["request"] {
    const signed = { kind: "verified", form: "header", version: "AWS4-HMAC-SHA256" } as const
    return {
      ...signed,
      accessKeyId,
      region: this.sources.region ?? DEFAULT_REGION,
      payload: { kind: "unsigned" },
      signedMs: this.sources.clock.wallMs(),
      chunkSignatures,
    }
  }
}

/** The caller of a request whose headers may say how its body is framed. Throws as `parsePayloadMode`, and `invalidRequest`. */
export function withPayload(caller: SignedS3Caller, headers: Headers): SignedS3Caller {
  const value = headers.get("x-amz-content-sha256")
  if (value === undefined) return caller
  return { ...caller, request: { ...caller.request, payload: checkUnsigned(parsePayloadMode(value)) } }
}

function checkUnsigned(payload: PayloadMode): PayloadMode {
  if (payload.kind !== "chunked" || !payload.signed) return payload
  const message =
    "the chunks of this body are signed, but the request is not: send it whole, or as STREAMING-UNSIGNED-PAYLOAD-TRAILER."
  throw fail("invalidRequest", { message })
}

const chunkSignatures = (): never => {
  throw fail("internal", { reason: "requests of known callers have no signed chunks" })
}
