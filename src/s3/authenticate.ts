/**
 * Who asks, and for which bucket: signature, then the bucket's owner. What they may do there, `rights/` decides.
 *
 * Promises  Nothing of an operation runs before this has passed. An account reaches only its own
 *           buckets; whoever signs nothing reaches none, and learns no more than whether a bucket is
 *           there (as S3 tells them too).
 */
import type { Account, Keyring, KnownKey } from "../access/contract.js"
import { readFormSignature, readSignature, SigningKeys, verifyFormSignature, verifySignature } from "../access/index.js"
import type { VerifiedRequest } from "../access/index.js"
import { fail } from "../base/failures.js"
import { parseBucketName } from "../base/ids.js"
import type { AccessKeyId } from "../base/ids.js"
import type { Exchange } from "../http/index.js"
import type { Bucket, Buckets } from "../object/contract.js"
import type { Headers } from "./call.js"
import type { Query } from "./wire/query.js"

export const SIGNATURE_SERVICE = "s3"

export interface Caller {
  readonly account: Account
  readonly key: KnownKey
  readonly request: VerifiedRequest
}

/** Whose key a request claims to be signed with. */
interface Claim {
  readonly accessKeyId: AccessKeyId
  readonly token: string | undefined
}

export class Gatekeeper {
  private readonly keys = new SigningKeys()

  constructor(
    private readonly accounts: Keyring,
    private readonly buckets: Buckets,
    private readonly region: string | undefined,
    /** Whether forms signed with HMAC-SHA1 are taken. */
    private readonly allowSha1Forms: boolean,
  ) {}

  /**
   * The account whose key signed the request.
   * Throws as `readSignature` and `verifySignature`, and `invalidAccessKey`; for an unsigned request
   * `accessDenied`, `noSuchBucket`, or `invalidRequest` where it asks to override headers.
   */
  async caller(exchange: Exchange, query: Query, bucketName: string | undefined, nowMs: number): Promise<Caller> {
    const claim = readSignature(exchange, { service: SIGNATURE_SERVICE, region: this.region }, nowMs)
    if (claim.kind === "anonymous") throw await this.refuseAnonymous(query, bucketName)
    const key = await this.keyOf(claim, nowMs)
    return this.admit(key, verifySignature(claim, key.secret, this.keys), nowMs)
  }

  /** The account whose key signed the form. Throws as `caller`, in the words for forms. */
  async callerOfForm(
    fields: ReadonlyMap<string, string>,
    query: Query,
    bucketName: string,
    nowMs: number,
  ): Promise<Caller> {
    const rules = { service: SIGNATURE_SERVICE, region: this.region, allowSha1: this.allowSha1Forms }
    const claim = readFormSignature(fields, rules)
    if (claim.kind === "anonymous") throw await this.refuseAnonymous(query, bucketName)
    const key = await this.keyOf(claim, nowMs)
    return this.admit(key, verifyFormSignature(claim, key.secret, this.keys), nowMs)
  }

  private async keyOf({ accessKeyId, token }: Claim, nowMs: number): Promise<KnownKey> {
    const key = await this.accounts.secretOf(accessKeyId, token, nowMs)
    if (key === undefined) throw fail("invalidAccessKey", { accessKeyId })
    return key
  }

  /** Who has proved to have the key. */
  private admit(key: KnownKey, request: VerifiedRequest, nowMs: number): Caller {
    this.accounts.noteUse(key, nowMs, SIGNATURE_SERVICE, request.region)
    return { account: key.account, key, request }
  }

  /** The bucket, if it is the caller's. Throws `noSuchBucket`, `invalidBucketName`, `accessDenied`. */
  async ownBucket(name: string, account: Account, headers: Headers): Promise<Bucket> {
    const bucket = await this.buckets.open(parseBucketName(name))
    if (bucket.owner !== account.id) throw fail("accessDenied")
    checkExpectedOwner(headers, account)
    return bucket
  }

  private async refuseAnonymous(query: Query, bucketName: string | undefined) {
    for (const name of query.names()) {
      if (name.startsWith("response-")) {
        return fail("invalidRequest", {
          message: "Request specific response headers cannot be used for anonymous GET requests.",
        })
      }
    }
    if (bucketName !== undefined) await this.buckets.open(parseBucketName(bucketName))
    return fail("accessDenied", { reason: "the request carries no credentials" })
  }
}

/** The account number, as AWS has it, or the canonical id. Throws `accessDenied`. */
export function checkExpectedOwner(headers: Headers, owner: Account, name = "x-amz-expected-bucket-owner"): void {
  const expected = headers.get(name)
  if (expected === undefined || expected === owner.number || expected === owner.id) return
  throw fail("accessDenied", { reason: "another owner was expected" })
}
