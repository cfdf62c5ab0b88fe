/**
 * Operations of `/v1`: each is a row that routes requests and from which the OpenAPI document is generated. A row's
 * `run` makes one service call and returns the reply's JSON.
 */
import type { z } from "zod"
import type { Accounts, Identities } from "../access/contract.js"
import type {
  AdminTokens,
  AuditLog,
  Decision,
  Denials,
  KnownActions,
  KnownKey,
  RequestContext,
  SimulatedCaller,
} from "../access/index.js"
import { fail } from "../base/failures.js"
import type { AccessKeyId, AccountId } from "../base/ids.js"
import type { Soon } from "../base/soon.js"
import type { Coordination } from "../features/locks/index.js"
import type { JobStarter, StartedJobs } from "../features/user-jobs/index.js"
import type { NamedKeys } from "../keys/index.js"
import type { Bucket, Buckets, Moments, SettingDocuments } from "../object/contract.js"
import type { Events, StoreLive } from "../observe/index.js"
import type { CopiesAdmin } from "../features/copies/index.js"
import type { RemoteAdmin } from "../features/remote-buckets/contract.js"
import type { Queues } from "../features/queues/index.js"
import type { TransformAdmin } from "../features/transforms/contract.js"
import type { Dedup, LifecycleInspection, Quotas, ShardPlaces, UsageHistory } from "../object/index.js"
import type { Services as ObjectServices } from "../features/index.js"
import type { Undelete } from "../features/undelete/index.js"
import type {
  Erasures,
  HotCopiesOfNode,
  MasterKeyRotation,
  Reconciling,
  StoreConversion,
  Simulations,
  StoreOperations,
  StoreStatus,
} from "../node/index.js"

interface SimulatedS3Request {
  readonly caller: SimulatedCaller
  /** `s3:GetObject`. */
  readonly action: string
  readonly resource: string
  readonly values: RequestContext
  /** In place of the bucket's own. */
  readonly bucketPolicy: string | undefined
}

/** The facts that the simulator of policies needs of other services. */
interface PolicyFacts {
  /** Every action that policies may name; the scope of those of S3. */
  readonly knownActions: KnownActions
  /** The decision that a request to S3 would get, and the reason why a policy of the bucket does not apply. */
  decideS3(request: SimulatedS3Request): Promise<{
    readonly decision: Decision
    readonly exclusion: string | undefined
  }>
  nowMs(): number
}

/** Settings of buckets as JSON, by their names: the documents of S3. */
export interface BucketDocuments {
  readonly names: readonly string[]
  canRemove(name: string): boolean
  /** The action that access policies must allow: `s3:PutBucketPolicy`. Throws `invalidArgument`. */
  actionOf(name: string, method: "GET" | "PUT" | "DELETE"): string
  /** Returns undefined if the bucket has none. */
  get(bucket: Bucket, name: string): Promise<Readonly<Record<string, unknown>> | undefined>
  put(bucket: Bucket, name: string, value: Readonly<Record<string, unknown>>): Promise<void>
  remove(bucket: Bucket, name: string): Promise<void>
  /** Lifecycle rules as the store keeps them. Throws what S3 says of them. */
  lifecycleRules(value: Readonly<Record<string, unknown>>): string
}

/** The key that signs a link, with the token of temporary credentials. */
export interface LinkSigner {
  readonly key: KnownKey
  readonly sessionToken: string | undefined
}

/** The means to make presigned links of S3. */
interface Links {
  /** Returns undefined if the key is not valid now. */
  keyOf(id: AccessKeyId): Soon<KnownKey | undefined>
  /** How clients reach the S3 port, for those that reach this one by the Host header `host`. */
  endpoint(host: string | undefined): string
  sign(
    signer: LinkSigner,
    link: {
      readonly endpoint: string
      readonly method: string
      readonly bucket: string
      readonly key: string
      readonly versionId: string | undefined
    },
    expiresSeconds: number,
  ): string
  nowMs(): number
}

export interface Services {
  readonly accounts: Accounts
  readonly identities: Identities
  /** Throws `invalidArgument` for the issuer of a new identity provider that would not be contacted. */
  readonly checkIssuer: (url: string) => void
  readonly policyFacts: PolicyFacts
  readonly buckets: Buckets
  readonly bucketDocuments: BucketDocuments
  readonly lifecycle: Pick<LifecycleInspection, "explain" | "preview" | "tryRules">
  readonly shardPlaces: Pick<ShardPlaces, "locate" | "dispersion">
  readonly usageHistory: Pick<UsageHistory, "of">
  readonly quotas: Pick<Quotas, "show" | "set" | "clear" | "check" | "restart">
  readonly queues: Pick<
    Queues,
    "list" | "find" | "lengths" | "waitingFor" | "create" | "change" | "peek" | "empty" | "remove"
  >
  /** The service is undefined if the store was started without `--coordination`. */
  readonly coordination?: Pick<Coordination, "sessions" | "end" | "namespaces" | "locks" | "files"> | undefined
  /** It is undefined if the store was started without `--transforms`. */
  readonly transforms?: TransformAdmin | undefined
  /** It is undefined if the store was started without `--remotes`. */
  readonly remotes?: RemoteAdmin | undefined
  /** Likewise. */
  readonly copies?: CopiesAdmin | undefined
  /** It is undefined if the store was started without `--hot-copies`. */
  readonly hotCopies?: Pick<HotCopiesOfNode, "report"> | undefined
  readonly moments: Pick<Moments, "now" | "differences">
  readonly histories: Pick<ObjectServices["histories"], "begin" | "end" | "since">
  readonly undelete: Pick<Undelete, "setUndelete" | "listDeleted" | "undelete" | "purgeDeleted">
  readonly dedup: Pick<Dedup, "setDedup">
  readonly packing: Pick<ObjectServices["packing"], "set" | "setting" | "stat">
  readonly dedupUpkeep: Pick<ObjectServices["dedupUpkeep"], "stat">
  readonly namedKeys: NamedKeys
  readonly erasures: Pick<Erasures, "begin" | "state">
  readonly masterKey: Pick<MasterKeyRotation, "report" | "rotate">
  readonly status: StoreStatus
  readonly store: StoreOperations
  readonly simulations: Pick<Simulations, "run">
  readonly conversion: StoreConversion
  /** It is undefined for a store on one machine. */
  readonly reconciling?: Pick<Reconciling, "report" | "compare" | "apply" | "entries"> | undefined
  readonly startedJobs: Pick<
    StartedJobs,
    "list" | "get" | "watch" | "cancel" | "setPaused" | "start" | "follow" | "digest" | "works"
  >
  readonly tokens: Pick<AdminTokens, "create" | "list" | "revoke">
  readonly audit: Pick<AuditLog, "list">
  readonly denials: Pick<Denials, "find">
  readonly events: Pick<Events, "list" | "watch">
  readonly live: Pick<StoreLive, "trace" | "traffic">
  readonly links: Links
  readonly rootAccount: AccountId
  /** In ARNs. */
  readonly region: string
  readonly newBucketSettings: SettingDocuments
}

export interface OperationInput {
  /** The decoded path segment that matches the braces with this name; the operation's path must have them. */
  readonly segment: (name: string) => string
  readonly query: ReadonlyMap<string, string>
  /** The body is undefined if the operation has none; it is a `Uint8Array` if the operation has a `bytesType`. */
  readonly body: unknown
  /** Who sends the request. */
  readonly caller: JobStarter
  /** Returns true if the caller may do all of this, too; it always may, unless it has access policies. */
  readonly isAllowed: (required: readonly RequiredAction[]) => Promise<boolean>
  /** The key that the caller has signed in with; undefined: the operator, or a token. */
  readonly signer: LinkSigner | undefined
  /** The Host header. */
  readonly host: string | undefined
  /** Fires when the client has disconnected. */
  readonly signal: AbortSignal
}

/** An action that a caller must be allowed to do, in the terms of access policies: `iam:DeleteUser` on a user's ARN. */
export interface RequiredAction {
  readonly action: string
  /** An ARN, or `*`. */
  readonly resource: string
  /** The account that the resource belongs to. */
  readonly owner: AccountId
  /** Values of condition keys, by name in lower case, a tag's with its key: `aws:resourcetag/team`. */
  readonly conditions?: ReadonlyMap<string, string | readonly string[]>
}

export interface Operation {
  readonly id: string
  readonly method: "GET" | "POST" | "PUT" | "DELETE"
  /** `/v1/devices/{device}/drain`: a segment in braces matches any text, and has the name of what it identifies. */
  readonly path: string
  readonly summary: string
  readonly parameters: readonly { readonly name: string; readonly description: string }[]
  readonly request: z.ZodType | undefined
  /** The media type of its body, if that is bytes and not JSON; `request` is then undefined. */
  readonly bytesType?: string
  /** With `dryRun` in its body it only plans; of other operations that says nothing. */
  readonly mayPlan?: boolean
  /** It changes nothing, although its method is not GET. */
  readonly isRead?: boolean
  /** If its result has a `job`, the work goes on in it, and the status is 202. */
  readonly mayStartJob?: boolean
  /** A request without a body is one with an empty object. */
  readonly isBodyOptional?: boolean
  /** The limit of its body, if that may be larger than others. */
  readonly bodyBytesMax?: number
  readonly response: {
    readonly status: number
    readonly schema: z.ZodType | undefined
    /** It answers with JSON lines, each by the schema, until the client leaves: `run` returns a `LineSource`. */
    readonly isStream?: true
  }
  /**
   * All of which a caller with access policies needs; at least one. Throws the faults of the request that `run` throws.
   * Undefined: the action `hayloft:` and the operation's id, on `*`, which only the root account can allow.
   */
  permission?(services: Services, input: OperationInput): Promise<readonly RequiredAction[]>
  /**
   * Requests for which a caller whose access policies name any action of S3 needs no further permission: those about what
   * it has started itself, or those whose work is decided as its own requests of S3. `permission`: for the description.
   */
  readonly own?: {
    readonly permission: string
    is(services: Services, input: OperationInput): Promise<boolean>
  }
  run(services: Services, input: OperationInput): Promise<unknown>
}

/** Parses a body by its schema. Throws `invalidArgument` with the path and the reason. */
export function parseBody<T extends z.ZodType>(type: T, body: unknown): z.output<T> {
  const parsed = type.safeParse(body)
  if (parsed.success) return parsed.data
  const [issue] = parsed.error.issues
  const place = issue === undefined || issue.path.length === 0 ? "the body" : issue.path.join(".")
  throw fail("invalidArgument", { message: `${place}: ${issue?.message ?? "not valid"}` })
}
