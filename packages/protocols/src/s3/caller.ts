/** The caller of a request, as its signature proves: the owner of a key, or anonymous. */
import type { Account, HeldLimits } from "@hayloft/access/contract.js"
import type {
  PrincipalMatch,
  AnonymousPrincipal,
  KnownPrincipal,
  PrincipalPolicies,
  VerifiedRequest,
} from "@hayloft/access/index.js"
import type { Soon } from "@hayloft/base/soon.js"
import type { Bucket, ObjectAt } from "@hayloft/objects/contract.js"

export type BodyProtection = Pick<VerifiedRequest, "payload" | "chunkSignatures">

/**
 * The grants that the lists of another protocol give a caller, beside the policies and lists of S3. Callers who may
 * read objects by them also learn which are missing, as in Swift.
 */
export interface Grants {
  /** `action` without its service: `GetObject`. Undefined: nothing. */
  match(bucket: Bucket, action: string): Soon<PrincipalMatch | undefined>
}

/** All that a caller may do, whatever its policies allow. `bucket`: undefined for actions that concern none. */
export type CallerScope = (bucket: Bucket | undefined, action: string) => boolean

export interface SignedS3Caller {
  readonly account: Account
  readonly principal: KnownPrincipal
  readonly policies: PrincipalPolicies
  readonly isWholeRoot: boolean
  readonly limited: readonly HeldLimits[] | undefined
  readonly request: VerifiedRequest
  /** Returns false if the caller's key or its rights have changed. If absent, they are not asked for again. */
  readonly isStillAllowed?: (nowMs: number) => Promise<boolean>
  readonly grants?: Grants
  /** Somebody else acts as the caller, by a signature of another protocol for these actions alone. */
  readonly scope?: CallerScope
  /** The party that acts as the root user, for the audit log: the operator, or the holder of a token. */
  readonly insteadOfKey?: { readonly kind: "operator" | "token"; readonly id: string; readonly name: string }
  /** A condition of a request that the store itself makes: no header has it. */
  readonly ifUnchanged?: ObjectAt | undefined
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
    Pick<VerifiedRequest, "form" | "spaced">
  readonly grants?: Grants
  readonly isStillAllowed?: undefined
  readonly scope?: undefined
  readonly ifUnchanged?: undefined
}

export type S3Caller = SignedS3Caller | AnonymousCaller
