/**
 * Finds the caller and opens the bucket: first the signature, then the bucket. `rights/` decides the permissions.
 *
 * Promises  No operation runs before these checks have passed. What they rest on includes everything that was
 *           acknowledged, by any process, before the request arrived. A request that looks signed is never anonymous. If a
 *           bucket admits nobody else, callers of other accounts learn only whether it exists (as on
 *           S3).
 */
import type { Account, Keyring } from "@hayloft/access/contract.js"
import { NO_POLICIES, readFormSignature, verifyFormSignature } from "@hayloft/access/index.js"
import type {
  PayloadMode,
  ProvesSecrets,
  ReceivedRequest,
  VerifiedRequest,
  Version2Rules,
} from "@hayloft/access/index.js"
import { fail } from "@hayloft/base/failures.js"
import { parseBucketName } from "@hayloft/base/ids.js"
import { Remembered } from "@hayloft/base/remembered.js"
import { after, type Soon } from "@hayloft/base/soon.js"
import type { QueryParameter } from "@hayloft/base/http/uri.js"
import type { Bucket, Buckets } from "@hayloft/objects/contract.js"
import type { Headers } from "@hayloft/base/http/request-headers.js"
import { KeyGate, type Arrival, type ClaimedKey } from "../signed/index.js"
import type { AnonymousCaller, S3Caller, Grants, SignedS3Caller } from "./caller.js"
import { mayHaveLists } from "./settings/ownership-controls.js"
import { SUB_RESOURCES } from "./route.js"
import type { S3Target } from "./wire/target.js"

const SIGNATURE_SERVICE = "s3"
const USE_OF_KEY = { service: SIGNATURE_SERVICE, region: undefined }

/** Other services of the S3 model that SDKs sign for; all are refused as not implemented. */
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
  const principal = { kind: "anonymous" } as const
  return { account: undefined, principal, policies: NO_POLICIES, isWholeRoot: false, limited: undefined, request }
}

/** The caller of a page of a website: signatures mean nothing there. */
export const ANONYMOUS: AnonymousCaller = anonymous("header", { kind: "unsigned" })

/** A caller without an identity, to whom lists of another protocol may grant something. */
export const anonymousWith = (grants: Grants): AnonymousCaller => ({ ...ANONYMOUS, grants })

export interface OpenBucket {
  readonly bucket: Bucket
  readonly owner: Account
}

interface Sources {
  readonly accounts: Keyring
  readonly attempts: ProvesSecrets
  readonly buckets: Buckets
  readonly region: string | undefined
  /** Signature version 2 is accepted, where it is safe. */
  readonly acceptVersion2: boolean
}

/** Clients do not sign `list-type`, which only selects the form of a listing. */
const SIGNED_BY_VERSION_2: ReadonlySet<string> = new Set([...SUB_RESOURCES].filter(name => name !== "list-type"))

function version2Rules({ bucket, rawKey, rawPath, style }: S3Target): Version2Rules {
  const isOfObject = bucket !== undefined && rawKey !== undefined
  const resource = style === "virtualHost" ? `/${bucket}${rawPath}` : rawPath
  // For `/bucket`, boto3 signs `/bucket/`: the name of a bucket in signature version 2.
  const resources = isOfObject || resource.endsWith("/") ? [resource] : [resource, `${resource}/`]
  return { resources, isOfObject, signedParameters: SIGNED_BY_VERSION_2 }
}

export class Gatekeeper {
  private readonly keys: KeyGate
  private readonly names = new Remembered(parseBucketName)

  private readonly accounts: Keyring
  private readonly buckets: Buckets
  private readonly region: string | undefined
  private readonly acceptVersion2: boolean

  constructor({ accounts, attempts, buckets, region, acceptVersion2 }: Sources) {
    this.keys = new KeyGate({ accounts, attempts })
    this.accounts = accounts
    this.buckets = buckets
    this.region = region
    this.acceptVersion2 = acceptVersion2
  }

  /**
   * The caller whose key signed the request.
   * Throws the failures of `SignatureVerifier`, `invalidAccessKey`, and `rateExceeded` after many wrong signatures; for an unsigned request `invalidRequest` if it
   * overrides headers.
   */
  caller(request: ReceivedRequest, target: S3Target, { address, nowMs }: Arrival): Soon<S3Caller> {
    const version2 = this.acceptVersion2 ? version2Rules(target) : undefined
    const { region } = this
    const unbuiltServices = UNBUILT_SERVICES
    const rules = { service: SIGNATURE_SERVICE, region, unbuiltServices, version2, plusMayBeSpace: true }
    const claim = this.keys.verifier.read(request, rules, nowMs)
    if (claim.kind === "anonymous") {
      checkOverridesNothing(request.parameters)
      return after(this.buckets.confirm(), () => anonymous("header", claim.payload))
    }
    return after(this.keys.keyOf(claim, nowMs), key =>
      this.admit({ claim, key }, { address, nowMs }, () => this.keys.verifier.verify(claim, key.secret)),
    )
  }

  /** The caller whose key signed the form. Throws as `caller`, with messages for forms. */
  callerOfForm(
    fields: ReadonlyMap<string, string>,
    { parameters }: ReceivedRequest,
    { address, nowMs }: Arrival,
  ): Soon<S3Caller> {
    const rules = { service: SIGNATURE_SERVICE, region: this.region, acceptVersion2: this.acceptVersion2 }
    const claim = readFormSignature(fields, rules)
    if (claim.kind === "anonymous") {
      checkOverridesNothing(parameters)
      return after(this.buckets.confirm(), () => anonymous("form", { kind: "unsigned" }))
    }
    return after(this.keys.keyOf(claim, nowMs), key =>
      this.admit({ claim, key }, { address, nowMs }, () =>
        verifyFormSignature(claim, key.secret, this.keys.verifier.keys),
      ),
    )
  }

  /** The caller, who proves to have the key. Throws as `prove`, and `rateExceeded`. */
  private admit(claimed: ClaimedKey, arrival: Arrival, prove: () => VerifiedRequest): SignedS3Caller {
    const { key } = claimed
    const request = this.keys.proved(key, arrival, USE_OF_KEY, prove)
    const { account, principal, policies, isWholeRoot, limited } = key
    const isStillAllowed = (nowMs: number): Promise<boolean> => this.keys.isUnchanged(claimed, nowMs)
    return { account, principal, policies, isWholeRoot, limited, request, isStillAllowed }
  }

  /**
   * The bucket, if the caller is of its owner's account, or the bucket may admit others; `expectedBy` is the header
   * that names the expected owner. Throws `noSuchBucket`, `invalidBucketName`, `accessDenied`.
   */
  openBucket(name: string, { account, grants }: S3Caller, headers: Headers, expectedBy?: string): Soon<OpenBucket> {
    return after(this.buckets.openConfirmed(this.names.of(name)), bucket => {
      if (bucket.owner === account?.id) {
        checkExpectedOwner(headers, account, expectedBy)
        return { bucket, owner: account }
      }
      return after(this.ownerForOthers(bucket, grants), owner => {
        checkExpectedOwner(headers, owner, expectedBy)
        return { bucket, owner }
      })
    })
  }

  /** The owner of a bucket that may admit other accounts. Throws `accessDenied`. */
  private ownerForOthers(bucket: Bucket, grants: Grants | undefined): Soon<Account> {
    return after(this.accounts.getAccount(bucket.owner), owner => {
      if (owner === undefined || (grants === undefined && !mayLetOthersIn(bucket)))
        throw fail("accessDenied", { closedBucket: bucket.name })
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

/** Accepts the account number, as on AWS, or the canonical id. Throws `accessDenied`. */
export function checkExpectedOwner(headers: Headers, owner: Account, name = "x-amz-expected-bucket-owner"): void {
  const expected = headers.get(name)
  if (expected === undefined || expected === owner.number || expected === owner.id) return
  throw fail("accessDenied", { reason: `${name} names another account than the owner of the bucket` })
}
