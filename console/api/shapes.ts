/** Types of the admin API's JSON, from the schemas by which the server checks it. Types only: nothing is bundled. */
import type { z } from "zod"
import type * as simulation from "@hayloft/admin/store/simulation-schemas.js"
import type * as audit from "@hayloft/admin/store/audit-schemas.js"
import type * as coord from "@hayloft/features/locks/schemas.js"
import type * as identity from "@hayloft/admin/identities/identity-schemas.js"
import type * as dedup from "@hayloft/features/dedup/schemas.js"
import type * as packing from "@hayloft/features/packing/schemas.js"
import type * as lifecycle from "@hayloft/features/lifecycle/schemas.js"
import type * as copies from "@hayloft/features/copies/schemas.js"
import type * as history from "@hayloft/features/history/schemas.js"
import type * as hotCopies from "@hayloft/features/hot-copies/schemas.js"
import type * as event from "@hayloft/admin/store/event-schemas.js"
import type * as job from "@hayloft/features/operator/job-schemas.js"
import type * as live from "@hayloft/admin/store/live-schemas.js"
import type * as access from "@hayloft/admin/schemas.js"
import type * as token from "@hayloft/admin/identities/token-schemas.js"
import type * as policy from "@hayloft/admin/identities/simulate-schemas.js"
import type * as share from "@hayloft/admin/buckets/share-schemas.js"
import type * as quota from "@hayloft/features/quotas/schemas.js"
import type * as queue from "@hayloft/features/queues/schemas.js"
import type * as remote from "@hayloft/features/remote-buckets/schemas.js"
import type * as setting from "@hayloft/features/operator/setting-schemas.js"
import type { StreamLine } from "@hayloft/admin/stream-schemas.js"
import type * as transform from "@hayloft/features/transforms/schemas.js"
import type * as store from "@hayloft/admin/store/store-schemas.js"

export type DeviceDisks = z.output<typeof store.DEVICE_DISKS>
export type AuditPage = z.output<typeof audit.AUDIT_PAGE>
export type AuditEntry = AuditPage["entries"][number]
/** The console shows quotas, a field of their feature. */
export type Status = z.output<typeof store.STATUS> & { readonly quotas?: readonly z.output<typeof quota.QUOTA>[] }
export type Device = z.output<typeof store.DEVICE>
export type FreeDisks = z.output<typeof store.FREE_DISKS>
export type Change = z.output<typeof store.CHANGE>
export type Plan = z.output<typeof store.PLAN>
export type Progress = z.output<typeof store.PROGRESS>
export type Redundancy = z.output<typeof store.REDUNDANCY>
export type LayoutDetails = z.output<typeof store.LAYOUT_DETAILS>
export type Nodes = z.output<typeof store.NODES>
export type DeviceCheck = z.output<typeof store.DEVICE_CHECK>
export type Simulate = z.input<typeof simulation.SIMULATE>
export type Simulation = z.output<typeof simulation.SIMULATION>
export type Traffic = z.output<typeof live.TRAFFIC>
export type NamedTraffic = Traffic["buckets"][number]
export type HotCopies = z.output<typeof hotCopies.HOT_COPIES>
export type LiveRequest = z.output<typeof live.LIVE_REQUEST>
export type TraceLine = z.output<typeof live.TRACE_LINE> | StreamLine
export type Events = z.output<typeof event.EVENT_PAGE>
export type StoreEvent = Events["events"][number]
export type PolicySimulation = z.input<typeof policy.SIMULATION>
export type SimulatedCaller = PolicySimulation["caller"]
export type Simulated = z.output<typeof policy.SIMULATED>
export type PolicyValidation = z.input<typeof policy.VALIDATION>
export type PolicyActions = z.output<typeof policy.POLICY_ACTIONS>
export type ValidatedPolicy = z.output<typeof policy.VALIDATED>
export type Jobs = z.output<typeof job.JOBS>
export type BackgroundJob = z.output<typeof job.JOB>
export type Shared = z.output<typeof share.SHARED>
export type Queues = z.output<typeof queue.QUEUES>
export type Queue = Queues["queues"][number]
export type QueueMessages = z.output<typeof queue.MESSAGES>
export type QueueMessage = QueueMessages["messages"][number]
export type CoordSessions = z.output<typeof coord.COORD_SESSIONS>
export type CoordSession = CoordSessions["sessions"][number]
export type CoordNamespaces = z.output<typeof coord.COORD_NAMESPACES>
export type CoordNamespace = CoordNamespaces["namespaces"][number]
export type CoordLocks = z.output<typeof coord.COORD_LOCKS>
export type CoordLock = CoordLocks["locks"][number]
export type CoordFiles = z.output<typeof coord.COORD_FILES>
export type CoordFile = CoordFiles["files"][number]
export type Transforms = z.output<typeof transform.TRANSFORMS>
export type TransformModule = Transforms["modules"][number]
export type TransformStep = Transforms["steps"][number]
export type Remotes = z.output<typeof remote.REMOTES>
export type RemoteStore = Remotes["stores"][number]
export type RemoteBucket = NonNullable<Remotes["buckets"]>[number]
export type PendingRemoteWrites = z.output<typeof remote.PENDING_WRITES>
export type PendingRemoteWrite = PendingRemoteWrites["pending"][number]
export type Dedup = z.output<typeof dedup.DEDUP>
export type Packing = z.output<typeof packing.PACKING>
export type Buckets = z.output<typeof access.BUCKETS>
export type Bucket = z.output<typeof access.BUCKET>
export type BucketHistory = z.output<typeof history.HISTORY>
export type BucketCopies = z.output<typeof copies.COPIES>
export type Differences = z.output<typeof history.DIFFERENCES>
export type UsageHistory = z.output<typeof access.USAGE_HISTORY>
export type LifecyclePreview = z.output<typeof lifecycle.LIFECYCLE_PREVIEW>
export type Denial = z.output<typeof access.DENIAL>
export type BucketSetting = z.output<typeof setting.BUCKET_SETTING>
export type BucketSettings = z.output<typeof setting.BUCKET_SETTINGS>
export type StartedJob = z.output<typeof job.STARTED_JOB>
export type Account = z.output<typeof access.ACCOUNT>
export type Accounts = z.output<typeof access.ACCOUNTS>
export type Key = z.output<typeof access.KEY>
export type KeyWithSecret = z.output<typeof access.KEY_WITH_SECRET>
export type Keys = z.output<typeof access.KEYS>
export type User = z.output<typeof identity.USER>
export type Group = z.output<typeof identity.GROUP>
export type Role = z.output<typeof identity.ROLE>
export type Users = z.output<typeof identity.USERS>
export type Groups = z.output<typeof identity.GROUPS>
export type Roles = z.output<typeof identity.ROLES>
export type InlinePolicy = z.output<typeof identity.INLINE_POLICY>
export type ManagedPolicies = z.output<typeof identity.MANAGED_POLICIES>
export type ManagedPolicy = z.output<typeof identity.MANAGED_POLICY>
export type PolicyHolders = z.output<typeof identity.POLICY_HOLDERS>
export type OidcProvider = z.output<typeof identity.OIDC_PROVIDER>
export type OidcProviders = z.output<typeof identity.OIDC_PROVIDERS>
export type AdminTokens = z.output<typeof token.ADMIN_TOKENS>
export type CreatedAdminToken = z.output<typeof token.CREATED_ADMIN_TOKEN>
