/**
 * Who asks, and for which bucket: signature, then the bucket. What they may do there, `rights/` decides.
 *
 * Promises  Nothing of an operation runs before this has passed. Nobody is anonymous whose request looks signed. Where a
 *           bucket lets nobody in, whoever is not of its owner's account learns no more than whether it is there (as S3
 *           tells them too).
 */
import type { Account, Keyring, KnownKey } from "../access/contract.js"
import { NO_POLICIES, readFormSignature, SignatureVerifier, verifyFormSignature } from "../access/index.js"
import type { PayloadMode, ReceivedRequest, VerifiedRequest } from "../access/index.js"
import { fail } from "../base/failures.js"
import { parseBucketName } from "../base/ids.js"
import type { AccessKeyId } from "../base/ids.js"
import { Remembered } from "../base/remembered.js"
import { after, type Soon } from "../base/soon.js"
import type { QueryParameter } from "../base/uri.js"
import type { Bucket, Buckets } from "../object/contract.js"
import type { Headers } from "../base/request-headers.js"
import type { AnonymousCaller, Caller, SignedCaller } from "./caller.js"
import { mayHaveLists } from "./settings/ownership-controls.js"
import { SUB_RESOURCES } from "./route.js"
import type { S3Target } from "./wire/target.js"

export const SIGNATURE_SERVICE = "s3"

/** What SDKs sign for other services of the S3 model: all of it is refused as not built. */
const UNBUILT_SERVICES: ReadonlyMap<string, string> = new Map([
  ["s3express", "Requests for directory buckets, such as ListDirectoryBuckets,"],
  ["s3-object-lambda", "Requests for Object Lambda, such as WriteGetObjectResponse,"],
  ["s3-outposts", "Requests for S3 on Outposts"],
])

function anonymous(form: VerifiedRequest["form"], payload: PayloadMode): AnonymousCaller {
  const chunkSignatures = (): never => {
    throw fail("internal", { reason: "nothing is signed" })
  }
  const request = { form, payload, accessKeyId: undefined, signedMs: undefined, version: undefined, chunkSignatures }
  return { account: undefined, principal: { kind: "anonymous" }, policies: NO_POLICIES, isWholeRoot: false, request }
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

/** As signature version 2 writes it; undefined where the request is not about an object. */
function signedResource({ bucket, rawKey, rawPath, style }: S3Target): string | undefined {
  if (bucket === undefined || rawKey === undefined) return undefined
  return style === "virtualHost" ? `/${bucket}${rawPath}` : rawPath
}

export class Gatekeeper {
  private readonly verifier = new SignatureVerifier()
  private readonly names = new Remembered(parseBucketName)

  constructor(
    private readonly accounts: Keyring,
    private readonly buckets: Buckets,
    private readonly region: string | undefined,
    /** Whether signature version 2 is accepted, of objects' URLs and of forms. */
    private readonly acceptVersion2: boolean,
  ) {}

  /**
   * Whose key signed the request.
   * Throws as `SignatureVerifier`, and `invalidAccessKey`; for an unsigned request `invalidRequest` where it asks to
   * override headers.
   */
  caller(request: ReceivedRequest, target: S3Target, nowMs: number): Soon<Caller> {
    const version2 =
      this.acceptVersion2 && request.rawQuery !== ""
        ? { resource: signedResource(target), signedParameters: SUB_RESOURCES }
        : undefined
    const rules = { service: SIGNATURE_SERVICE, region: this.region, unbuiltServices: UNBUILT_SERVICES, version2 }
    const claim = this.verifier.read(request, rules, nowMs)
    if (claim.kind === "anonymous") {
      checkOverridesNothing(request.parameters)
      return anonymous("header", claim.payload)
    }
    return after(this.keyOf(claim, nowMs), key => this.admit(key, this.verifier.verify(claim, key.secret), nowMs))
  }

  /** Whose key signed the form. Throws as `caller`, in the words for forms. */
  callerOfForm(fields: ReadonlyMap<string, string>, { parameters }: ReceivedRequest, nowMs: number): Soon<Caller> {
    const rules = { service: SIGNATURE_SERVICE, region: this.region, acceptVersion2: this.acceptVersion2 }
    const claim = readFormSignature(fields, rules)
    if (claim.kind === "anonymous") {
      checkOverridesNothing(parameters)
      return anonymous("form", { kind: "unsigned" })
    }
    return after(this.keyOf(claim, nowMs), key =>
      this.admit(key, verifyFormSignature(claim, key.secret, this.verifier.keys), nowMs),
    )
  }

  private keyOf({ accessKeyId, token }: Claim, nowMs: number): Soon<KnownKey> {
    return after(this.accounts.secretOf(accessKeyId, token, nowMs), key => {
      if (key === undefined) throw fail("invalidAccessKey", { accessKeyId })
      return key
    })
  }

  /** Who has proved to have the key. */
  private admit(key: KnownKey, request: VerifiedRequest, nowMs: number): SignedCaller {
    this.accounts.noteUse(key, nowMs, SIGNATURE_SERVICE, request.region)
    const { account, principal, policies, isWholeRoot } = key
    return { account, principal, policies, isWholeRoot, request }
  }

  /**
   * The bucket, where its owner's account asks, or it has something that may let others in; `expectedBy` is the header
   * that says whose it should be. Throws `noSuchBucket`, `invalidBucketName`, `accessDenied`.
   */
  openBucket(name: string, { account }: Caller, headers: Headers, expectedBy?: string): Soon<OpenBucket> {
    return after(this.buckets.open(this.names.of(name)), bucket => {
      if (bucket.owner === account?.id) {
        checkExpectedOwner(headers, account, expectedBy)
        return { bucket, owner: account }
      }
      return after(this.ownerForOthers(bucket), owner => {
        checkExpectedOwner(headers, owner, expectedBy)
        return { bucket, owner }
      })
    })
  }

  /** The owner of a bucket that may let in other accounts. Throws `accessDenied`. */
  private ownerForOthers(bucket: Bucket): Soon<Account> {
    return after(this.accounts.getAccount(bucket.owner), owner => {
      if (owner === undefined || !mayLetOthersIn(bucket)) throw fail("accessDenied", { closedBucket: bucket.name })
      return owner
    })
  }
}

const mayLetOthersIn = (bucket: Bucket): boolean => bucket.settings.includes("policy") || mayHaveLists(bucket)

/** Throws `invalidRequest`. */
function checkOverridesNothing(parameters: readonly QueryParameter[]): void {
  for (const { name } of parameters) {
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
