/**
 * Policies of named keys: those that new keys get, and the decision whether a caller may use a key.
 *
 * A key's policy decides first: without its grant not even the account's root may use the key. The usual policy grants
 * everything to the account, and so lets its identity policies decide.
 *
 * Sources  "Key policies", "Default key policy" and "AWS KMS condition keys", AWS KMS Developer Guide; the policy of the
 *          key `aws/s3` as Amazon shows it.
 */
import {
  decide,
  DeniedAccess,
  parseAccessPolicy,
  type AccessPolicy,
  type ConditionKey,
  type Decision,
  type KnownPrincipal,
  type NamedPolicy,
  type PrincipalPolicies,
  type RequestContext,
} from "../index.js"
import type { AccountId, AccountNumber } from "@hayloft/base/ids.js"
import type { KmsKeyRecord } from "@hayloft/engine/format/accounts/kms-records.js"
import type { EncryptionContext } from "./encryption-context.js"

/** The account that a key belongs to. */
export interface KeyHolder {
  readonly accountId: AccountId
  readonly accountNumber: AccountNumber
}

export interface NamedKey {
  readonly arn: string
  readonly record: KmsKeyRecord
  readonly holder: KeyHolder
}

/** The caller that sent a request. */
export interface KeyCaller {
  readonly principal: KnownPrincipal
  readonly policies: PrincipalPolicies
  /** Condition keys of the request, besides those of KMS. */
  readonly context: RequestContext
  readonly nowMs: number
}

/** The use that a request makes of a key. */
interface KeyUse {
  /** `kms:Decrypt`. */
  readonly action: string
  readonly encryptionContext?: EncryptionContext
  /** The service on whose behalf the caller uses the key: `s3.us-east-1.amazonaws.com`. */
  readonly viaService?: string
  /** The alias by which the request names the key. */
  readonly alias?: string | undefined
}

const ACCOUNT_STATEMENT = (account: AccountNumber) => ({
  Sid: "Enable IAM User Permissions",
  Effect: "Allow",
  Principal: { AWS: `arn:aws:iam::${account}:root` },
  Action: "kms:*",
  Resource: "*",
})

export const defaultPolicy = (account: AccountNumber): string =>
  JSON.stringify({ Version: "2012-10-17", Id: "key-default-1", Statement: [ACCOUNT_STATEMENT(account)] })

/**
 * Returns the policy of the key that an account's objects get if nobody named one: everybody who may use S3 may use it,
 * through S3.
 */
export const s3KeyPolicy = (account: AccountNumber, region: string): string =>
  JSON.stringify({
    Version: "2012-10-17",
    Id: "auto-s3-2",
    Statement: [
      {
        Sid: "Allow access through S3 for all principals in the account that are authorized to use S3",
        Effect: "Allow",
        Principal: { AWS: "*" },
        Action: ["kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:DescribeKey"],
        Resource: "*",
        Condition: { StringEquals: { "kms:CallerAccount": account, "kms:ViaService": viaS3(region) } },
      },
      ACCOUNT_STATEMENT(account),
    ],
  })

export const viaS3 = (region: string): string => `s3.${region}.amazonaws.com`

/** Throws `malformedPolicy`. */
export const parseKeyPolicy = (text: string): AccessPolicy => parseAccessPolicy(text, "key")

/** More than the keys that a store can have. */
const PARSED_MAX = 2048

/** Compiled policies by their text: derived data is cached by object identity. */
export class KeyPolicies {
  private readonly parsed = new Map<string, NamedPolicy>()

  /** Throws `accessDenied`. */
  check(caller: KeyCaller, key: NamedKey, use: KeyUse): void {
    const decision = this.decide(caller, key, use)
    if (decision.outcome === "allow") return
    const { principal } = caller
    const who = principal.kind === "session" ? principal.sessionArn : principal.arn
    throw new DeniedAccess({ principal, action: use.action, resource: key.arn }, decision, {
      message: `User: ${who} is not authorized to perform: ${use.action} on resource: ${key.arn}`,
    })
  }

  decide({ principal, policies, context, nowMs }: KeyCaller, key: NamedKey, use: KeyUse): Decision {
    const request = {
      principal,
      action: use.action,
      resource: key.arn,
      owner: key.holder,
      nowMs,
      context: contextOf(context, principal, key, use),
    }
    return decide(request, policies, { policy: this.policyOf(key.record.policy), acl: undefined })
  }

  private policyOf(text: string): NamedPolicy {
    const known = this.parsed.get(text)
    if (known !== undefined) return known
    if (this.parsed.size >= PARSED_MAX) this.parsed.clear()
    const policy = { name: "the policy of the key", policy: parseKeyPolicy(text) }
    this.parsed.set(text, policy)
    return policy
  }
}

type Values = string | readonly string[] | undefined
const PAIR = "kms:encryptioncontext:"

/** Names of condition keys have no case, so `kms:EncryptionContext:NAME` matches NAME in any case. */
const contextOf = (
  rest: RequestContext,
  { accountNumber }: KnownPrincipal,
  { record }: NamedKey,
  { encryptionContext = [], viaService, alias }: KeyUse,
): RequestContext => ({
  valuesOf(key: ConditionKey): Values {
    const { name, suffix } = key
    if (name.startsWith(PAIR)) {
      const values = encryptionContext.filter(([pair]) => pair.toLowerCase() === name.slice(PAIR.length))
      return values.length === 0 ? undefined : values.map(([, value]) => value)
    }
    switch (name) {
      case "kms:encryptioncontextkeys":
        return encryptionContext.length === 0 ? undefined : encryptionContext.map(([pair]) => pair)
      case "kms:viaservice":
        return viaService
      case "kms:calleraccount":
        return accountNumber
      case "kms:keyspec":
        return "SYMMETRIC_DEFAULT"
      case "kms:keyusage":
        return "ENCRYPT_DECRYPT"
      case "kms:requestalias":
        return alias
      case "aws:resourcetag":
        return record.tags.find(([tag]) => tag.toLowerCase() === suffix?.toLowerCase())?.[1]
      default:
        return rest.valuesOf(key)
    }
  },
})
