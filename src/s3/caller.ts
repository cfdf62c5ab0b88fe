/** The caller of a request, as its signature proves: the owner of a key, or anonymous. */
import type { Account, HeldLimits } from "../access/contract.js"
import type { AnonymousPrincipal, KnownPrincipal, PrincipalPolicies, VerifiedRequest } from "../access/index.js"

export type BodyProtection = Pick<VerifiedRequest, "payload" | "chunkSignatures">

export interface SignedCaller {
  readonly account: Account
  readonly principal: KnownPrincipal
  readonly policies: PrincipalPolicies
  readonly isWholeRoot: boolean
  readonly limited: readonly HeldLimits[] | undefined
  readonly request: VerifiedRequest
  /** Who acts as the root user, for the audit log: the operator, or the holder of a token. */
  readonly insteadOfKey?: { readonly kind: "operator" | "token"; readonly id: string; readonly name: string }
}

/** The caller of an unsigned request. */
export interface AnonymousCaller {
  readonly account: undefined
  readonly principal: AnonymousPrincipal
  readonly policies: PrincipalPolicies
  readonly isWholeRoot: false
  readonly limited: undefined
  readonly request: BodyProtection &
    Record<"accessKeyId" | "signedMs" | "version", undefined> &
    Pick<VerifiedRequest, "form">
}

export type Caller = SignedCaller | AnonymousCaller
