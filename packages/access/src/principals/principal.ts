/**
 * Principals: the identity that a request acts as, once its signature is verified.
 *
 * The terms are AWS's, since policies use them: the ARN of the principal, a unique id that is never reused, and the
 * account that both belong to. Pure.
 */
import type { AccountId, AccountNumber } from "@hayloft/base/ids.js"

export interface AnonymousPrincipal {
  readonly kind: "anonymous"
}

interface SignedPrincipal {
  readonly accountId: AccountId
  readonly accountNumber: AccountNumber
  /** `aws:PrincipalArn`: for a session the role's ARN, otherwise the principal's own. */
  readonly arn: string
  /** `aws:userid`: account number, `AIDA…`, `AROA…:session`. */
  readonly userId: string
  /** `aws:PrincipalTag/…`. */
  readonly tags: readonly (readonly [key: string, value: string])[]
  /** `aws:TokenIssueTime`; undefined for long-term keys. */
  readonly issuedMs: number | undefined
}

export interface RootPrincipal extends SignedPrincipal {
  readonly kind: "root"
}

export interface UserPrincipal extends SignedPrincipal {
  readonly kind: "user"
  readonly userName: string
}

/** A session of an assumed role. */
export interface SessionPrincipal extends SignedPrincipal {
  readonly kind: "session"
  /** `arn:aws:sts::…:assumed-role/role/session`. */
  readonly sessionArn: string
  /** Claims of the web identity that assumed it, as condition keys: `issuer:sub` … */
  readonly claims: readonly (readonly [key: string, value: string])[]
}

export type KnownPrincipal = RootPrincipal | UserPrincipal | SessionPrincipal
export type Principal = AnonymousPrincipal | KnownPrincipal
