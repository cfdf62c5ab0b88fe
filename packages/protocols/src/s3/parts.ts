/** Parts: what the handlers of S3 requests and of websites share, made from the settings of the store. */
import type { Keyring } from "@hayloft/access/contract.js"
import type { AuditLog } from "@hayloft/access/index.js"
import type { Exchange } from "../http/index.js"
import type { S3Keys } from "@hayloft/access/keys/index.js"
import { Polls } from "@hayloft/base/life/index.js"
import { REAL_DAYS, type Days } from "@hayloft/objects/index.js"
import type { RemoteBuckets } from "@hayloft/features/remote-buckets/index.js"
import type { ObjectTransforms } from "@hayloft/features/transforms/index.js"
import type { Compute } from "@hayloft/base/seams/compute/contract.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"
import { AccessControl } from "./acl/access-control.js"
import type { Grantees } from "./acl/access-control.js"
import { Gatekeeper } from "./authenticate.js"
import type { CallContext, S3Services } from "./call.js"
import { ChangeAudit } from "./audit-changes.js"
import type { SignedS3Caller } from "./caller.js"
import { ContentLines } from "./content-lines.js"
import { rulesOfOrigins } from "./cors-core.js"
import { CrossOrigin } from "./cross-origin.js"
import { EncryptionHeaders } from "./encryption.js"
import { DEFAULT_REGION } from "./operations/buckets.js"
import { AttributeReader } from "./parse-content.js"
import { OperationRunner } from "./run-operation.js"
import { S3Meters } from "./s3-meters.js"
import { BucketSettings } from "./settings/bucket-settings.js"
import type { NewBuckets } from "./settings/new-bucket.js"
import type { FrameSettings } from "../signed/index.js"

export interface S3Settings extends FrameSettings {
  /** The caller of an exchange that carries no signature because the server knows who it is; undefined: it must be signed. */
  readonly knownCaller?: ((exchange: Exchange) => SignedS3Caller | undefined) | undefined
  readonly services: S3Services
  readonly accounts: Keyring & Grantees
  /** If it is undefined, any region is accepted, and us-east-1 is reported. */
  readonly region: string | undefined
  /** Domains whose sub-domains are buckets, in lower case; `localhost` is always one. */
  readonly domains: readonly string[]
  /**
   * The path that clients send before the bucket, already removed from exchanges: their Host header names no bucket.
   */
  readonly pathPrefix?: string | undefined
  /** The address that the welcome page links to. */
  readonly adminUrl: string
  /** The server listens on loopback only: the welcome page then requires a matching Host header. */
  readonly onLoopback: boolean
  readonly random: Random
  /** Signature version 2 is refused in every form. */
  readonly refuseSignatureV2: boolean
  readonly newBuckets: NewBuckets
  /** Keys of clients (SSE-C) are accepted without TLS too. */
  readonly allowSseCWithoutTls: boolean
  /** Origins whose pages may use buckets without CORS rules, with at most one `*` in each; if undefined, none may. */
  readonly corsOrigins?: readonly string[] | undefined
  /** Named keys, for SSE-KMS. */
  readonly kms?: S3Keys | undefined
  /** Records changes of buckets and their settings. */
  readonly audit: Pick<AuditLog, "begin">
  /** Digests of small documents. */
  readonly hash: Compute["hash"]
  /** It is undefined if transforms are switched off. */
  readonly transforms?: ObjectTransforms | undefined
  /** It is undefined if remote buckets are switched off. */
  readonly remotes?: RemoteBuckets | undefined
  /** Access control lists of new objects and buckets are ignored where none applies. */
  readonly ignoreAcls?: boolean | undefined
  /** How lifecycle rules count days; undefined: as they are. */
  readonly lifecycleDays?: Days | undefined
}

export class S3Parts {
  readonly gate: Gatekeeper
  readonly crossOrigin: CrossOrigin
  readonly meters: S3Meters
  readonly runner: OperationRunner
  readonly context: CallContext

  constructor(settings: S3Settings) {
    const { accounts, attempts, services, region, random, clock } = settings
    const { buckets } = services
    this.gate = new Gatekeeper({ accounts, attempts, buckets, region, acceptVersion2: !settings.refuseSignatureV2 })
    const bucketSettings = new BucketSettings(services.buckets)
    this.crossOrigin = new CrossOrigin(services.buckets, bucketSettings, rulesOfOrigins(settings.corsOrigins ?? []))
    this.meters = new S3Meters(settings.metrics)
    this.runner = new OperationRunner(this.gate, this.meters, bucketSettings, new ChangeAudit(settings.audit))
    this.context = {
      services,
      accounts,
      newBuckets: settings.newBuckets,
      region: region ?? DEFAULT_REGION,
      configuredRegion: region,
      pathPrefix: settings.pathPrefix ?? "",
      bucketSettings,
      accessControl: new AccessControl(bucketSettings, accounts, settings.ignoreAcls),
      attributes: new AttributeReader(),
      encryption: new EncryptionHeaders(),
      kms: settings.kms,
      allowSseCWithoutTls: settings.allowSseCWithoutTls,
      contentLines: new ContentLines(),
      clock,
      random: random.fork("calls"),
      lifecycleDays: settings.lifecycleDays ?? REAL_DAYS,
      transforms: settings.transforms,
      remotes: settings.remotes,
      hash: settings.hash,
      polls: new Polls(clock),
    }
  }
}
