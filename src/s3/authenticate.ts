/**
 * Who asks, and for which bucket: signature, then the bucket. What they may do there, `rights/` decides.
 *
 * Promises  Nothing of an operation runs before this has passed. Nobody is anonymous whose request looks signed. Where a
 *           bucket lets nobody in, whoever is not of its owner's account learns no more than whether it is there (as S3
 *           tells them too).
 */
import type { Account, Keyring, KnownKey } from "../access/contract.js"
import {
  NO_POLICIES,
  readFormSignature,
  readSignature,
  SigningKeys,
  verifyFormSignature,
  verifySignature,
} from "../access/index.js"
import type {
  AnonymousPrincipal,
  KnownPrincipal,
  PayloadMode,
  PrincipalPolicies,
  VerifiedRequest,
} from "../access/index.js"
import { fail } from "../base/failures.js"
import { parseBucketName } from "../base/ids.js"
import type { AccessKeyId } from "../base/ids.js"
import type { Exchange } from "../http/index.js"
import type { Bucket, Buckets } from "../object/contract.js"
import type { BodyProtection } from "./body.js"
import type { Headers } from "./call.js"
import { mayHaveLists } from "./settings/ownership-controls.js"
import { SUB_RESOURCES } from "./route.js"
import type { Query } from "./wire/query.js"
import type { S3Target } from "./wire/target.js"

export const SIGNATURE_SERVICE = "s3"

/** What SDKs sign for other services of the S3 model: all of it is refused as not built. */
const UNBUILT_SERVICES: ReadonlyMap<string, string> = new Map([
  ["s3express", "Requests for directory buckets, such as ListDirectoryBuckets,"],
  ["s3-object-lambda", "Requests for Object Lambda, such as WriteGetObjectResponse,"],
  ["s3-outposts", "Requests for S3 on Outposts"],
])

export interface SignedCaller {
  readonly account: Account
  readonly principal: KnownPrincipal
  readonly policies: PrincipalPolicies
  readonly request: VerifiedRequest
}

/** Whoever signs nothing. */
export interface AnonymousCaller {
  readonly account: undefined
  readonly principal: AnonymousPrincipal
  readonly policies: PrincipalPolicies
  readonly request: BodyProtection &
    Record<"accessKeyId" | "signedMs" | "version", undefined> &
    Pick<VerifiedRequest, "form">
}

export type Caller = SignedCaller | AnonymousCaller

function anonymous(form: VerifiedRequest["form"], payload: PayloadMode): AnonymousCaller {
  const chunkSignatures = (): never => {
    throw fail("internal", { reason: "nothing is signed" })
  }
  const request = { form, payload, accessKeyId: undefined, signedMs: undefined, version: undefined, chunkSignatures }
  return { account: undefined, principal: { kind: "anonymous" }, policies: NO_POLICIES, request }
}

export interface OpenBucket {
  readonly bucket: Bucket
  readonly owner: Account
}

/** Whose key a request claims to be signed with. */
interface Claim {
  readonly accessKeyId: AccessKeyId
  readonly token: string | undefined
}

/** What a request is about, before anybody knows who sends it. */
export interface Asked {
  readonly target: S3Target
  readonly query: Query
  readonly nowMs: number
}

/** As signature version 2 writes it; undefined where the request is not about an object. */
function signedResource({ bucket, rawKey, rawPath, style }: S3Target): string | undefined {
  if (bucket === undefined || rawKey === undefined) return undefined
  return style === "virtualHost" ? `/${bucket}${rawPath}` : rawPath
}

export class Gatekeeper {
  private readonly keys = new SigningKeys()

  constructor(
    private readonly accounts: Keyring,
    private readonly buckets: Buckets,
    private readonly region: string | undefined,
    /** Whether signature version 2 is accepted, of objects' URLs and of forms. */
    private readonly acceptVersion2: boolean,
  ) {}

  /**
   * Whose key signed the request.
   * Throws as `readSignature` and `verifySignature`, and `invalidAccessKey`; for an unsigned request
   * `invalidRequest` where it asks to override headers.
   */
  async caller(exchange: Exchange, { target, query, nowMs }: Asked): Promise<Caller> {
    const version2 = this.acceptVersion2
      ? { resource: signedResource(target), signedParameters: SUB_RESOURCES }
      : undefined
    const rules = { service: SIGNATURE_SERVICE, region: this.region, unbuiltServices: UNBUILT_SERVICES, version2 }
    const claim = readSignature(exchange, rules, nowMs)
    if (claim.kind === "anonymous") {
      checkOverridesNothing(query)
      return anonymous("header", claim.payload)
    }
    const key = await this.keyOf(claim, nowMs)
    return this.admit(key, verifySignature(claim, key.secret, this.keys), nowMs)
  }

  /** Whose key signed the form. Throws as `caller`, in the words for forms. */
  async callerOfForm(fields: ReadonlyMap<string, string>, query: Query, nowMs: number): Promise<Caller> {
    const rules = { service: SIGNATURE_SERVICE, region: this.region, acceptVersion2: this.acceptVersion2 }
    const claim = readFormSignature(fields, rules)
    if (claim.kind === "anonymous") {
      checkOverridesNothing(query)
      return anonymous("form", { kind: "unsigned" })
    }
    const key = await this.keyOf(claim, nowMs)
    return this.admit(key, verifyFormSignature(claim, key.secret, this.keys), nowMs)
  }

  private async keyOf({ accessKeyId, token }: Claim, nowMs: number): Promise<KnownKey> {
    const key = await this.accounts.secretOf(accessKeyId, token, nowMs)
    if (key === undefined) throw fail("invalidAccessKey", { accessKeyId })
    return key
  }

  /** Who has proved to have the key. */
  private admit(key: KnownKey, request: VerifiedRequest, nowMs: number): SignedCaller {
    this.accounts.noteUse(key, nowMs, SIGNATURE_SERVICE, request.region)
    return { account: key.account, principal: key.principal, policies: key.policies, request }
  }

  /**
   * The bucket, where its owner's account asks, or it has something that may let others in; `expectedBy` is the header
   * that says whose it should be. Throws `noSuchBucket`, `invalidBucketName`, `accessDenied`.
   */
  async openBucket(name: string, { account }: Caller, headers: Headers, expectedBy?: string): Promise<OpenBucket> {
    const bucket = await this.buckets.open(parseBucketName(name))
    const owner = bucket.owner === account?.id ? account : this.accounts.accountNow(bucket.owner)
    if (owner === undefined || (owner !== account && !mayLetOthersIn(bucket))) {
      throw fail("accessDenied", { closedBucket: bucket.name })
    }
    checkExpectedOwner(headers, owner, expectedBy)
    return { bucket, owner }
  }
}

const mayLetOthersIn = (bucket: Bucket): boolean => bucket.settings.includes("policy") || mayHaveLists(bucket)

/** Throws `invalidRequest`. */
function checkOverridesNothing(query: Query): void {
  for (const name of query.names()) {
    if (!name.startsWith("response-")) continue
    const message = "Request specific response headers cannot be used for anonymous GET requests."
    throw fail("invalidRequest", { message })
  }
}

/** The account number, as AWS has it, or the canonical id. Throws `accessDenied`. */
export function checkExpectedOwner(headers: Headers, owner: Account, name = "x-amz-expected-bucket-owner"): void {
  const expected = headers.get(name)
  if (expected === undefined || expected === owner.number || expected === owner.id) return
  throw fail("accessDenied", { reason: `${name} names another account than the owner of the bucket` })
}
