/** The services on which the operations of this folder are defined; those of features have fewer. */
import type { z } from "zod"
import type { Accounts, DirectoryEntries, Identities, People } from "@hayloft/access/contract.js"
import type {
  AdminTokens,
  AuditLog,
  Decision,
  Denials,
  KnownActions,
  KnownAccessKey,
  RequestContext,
  SimulatedCaller,
} from "@hayloft/access/index.js"
import type { AccessKeyId } from "@hayloft/base/ids.js"
import type { ReadOnly } from "@hayloft/base/read-only.js"
import type { Soon } from "@hayloft/base/soon.js"
import type { StartedJobs } from "@hayloft/features/user-jobs/index.js"
import type { NamedKeys } from "@hayloft/access/keys/index.js"
import type { Buckets, SettingDocuments } from "@hayloft/objects/contract.js"
import type { Events, StoreLive } from "./observe/index.js"
import {
  operationsOn,
  type LinkSigner,
  type Operation as Defined,
  type OperatorServices,
} from "@hayloft/features/operator/index.js"
import type { ShardPlaces, UsageHistory } from "@hayloft/upkeep/index.js"
import type {
  Erasures,
  MasterKeyRotation,
  Reconciling,
  StoreConversion,
  Simulations,
  StoreOperations,
  StoreStatus,
} from "@hayloft/node/index.js"
import type { FREE_DISKS } from "./store/store-schemas.js"

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

/** An empty file system of this machine that could become a device. */
export type FreeDisk = ReadOnly<z.output<typeof FREE_DISKS>>["disks"][number] & {
  /** Equal to that of devices on the same file system. */
  readonly disk: string
}

/** The means to make presigned links of S3. */
interface Links {
  /** Returns undefined if the key is not valid now. */
  keyOf(id: AccessKeyId): Soon<KnownAccessKey | undefined>
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

export interface AdminServices extends OperatorServices {
  readonly accounts: Accounts
  readonly identities: Identities
  readonly entries: DirectoryEntries
  /** The people of the LDAP directory; undefined: none is configured. */
  readonly people: Pick<People, "find"> | undefined
  /** Throws `invalidArgument` for the issuer of a new identity provider that would not be contacted. */
  readonly checkIssuer: (url: string) => void
  readonly policyFacts: PolicyFacts
  readonly buckets: Buckets
  readonly shardPlaces: Pick<ShardPlaces, "locate" | "dispersion">
  readonly usageHistory: Pick<UsageHistory, "of">
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
  readonly live: Pick<StoreLive, "trace" | "traffic" | "disks">
  readonly links: Links
  readonly freeDisks: () => Promise<readonly FreeDisk[]>
  readonly newBucketSettings: SettingDocuments
}

export type AdminOperation = Defined<AdminServices>

export const { operation, action } = operationsOn<AdminServices>()
