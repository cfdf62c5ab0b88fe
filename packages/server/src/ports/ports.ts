/** The protocols of the ports besides the admin port, over the parts of a store, in whichever thread serves them. */
import {
  openSwiftAccounts,
  type AuditLog,
  type Denials,
  type People,
  type RateLimiter,
  type SecretAttempts,
} from "@hayloft/access/index.js"
import type { AccountId } from "@hayloft/base/ids.js"
import type { Soon } from "@hayloft/base/soon.js"
import type { Compute } from "@hayloft/base/seams/compute/contract.js"
import { gunzipped } from "@hayloft/base/seams/compute/decompress.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"
import type { Metrics } from "@hayloft/base/seams/telemetry/contract.js"
import { MACHINE } from "@hayloft/base/seams/telemetry/real-machine.js"
import type { RealWeb } from "@hayloft/base/seams/web/real.js"
import { readVersion } from "@hayloft/cli/version.js"
import type { Metadata } from "@hayloft/engine/metadata/index.js"
import type { ListenAddress, ServeConfig } from "@hayloft/node/config/index.js"
import type { Leases } from "@hayloft/node/cluster/leases.js"
import type { Engine } from "@hayloft/node/engine.js"
import type { StoreStatus } from "@hayloft/node/index.js"
import type { DeviceReport } from "@hayloft/node/status/contract.js"
import { filtered, type Filter, type Protocol } from "@hayloft/protocols/http/index.js"
import { createIamHandler, LdapSignIn, speaksIam } from "@hayloft/protocols/iam/index.js"
import { createK2vHandler } from "@hayloft/protocols/k2v/index.js"
import {
  bucketPolicyReader,
  createS3Handler,
  createWebsiteHandler,
  type S3Settings,
} from "@hayloft/protocols/s3/index.js"
import type { FrameSettings } from "@hayloft/protocols/signed/index.js"
import { createSwiftHandler, type SyncRealms } from "@hayloft/protocols/swift/index.js"
import { Bunzip } from "../machine/bunzip.js"
import { minioAdminGuest } from "../minio/admin/admin-guest.js"
import type { MinioAdmin } from "../minio/admin/contract.js"
import { healthGuest } from "../minio/health-guest.js"
import type { MinioMetricsKind } from "../minio/metrics-core.js"
import { metricsGuest } from "../minio/metrics-guest.js"
import { PortRouter, type Guest } from "./port-router.js"
import type { QueuePort } from "./queue-port.js"

const LOOPBACK = /^(127\.|::1$|localhost$)/

export const isLoopback = ({ host }: ListenAddress): boolean => LOOPBACK.test(host)

/** A store in one of the threads that serve it. */
export interface ServingParts {
  readonly engine: Pick<Engine, "services" | "accounts">
  /** The leases of this thread; undefined: it does what one process of a store does for all. */
  readonly leases: Pick<Leases, "holds"> | undefined
}

/** A front does nothing for the others: the engine thread does. */
export const NO_LEASES: Pick<Leases, "holds"> = { holds: () => false }

/** The parts of a store that requests use. */
export interface PortParts {
  readonly config: ServeConfig
  readonly clock: Clock
  readonly random: Random
  readonly metrics: Metrics
  readonly engine: Pick<Engine, "services" | "accounts" | "identities" | "sessions" | "namedKeys"> & {
    readonly metadata: Metadata
  }
  readonly status: Pick<StoreStatus, "health" | "liveness">
  readonly devices: () => Soon<readonly DeviceReport[]>
  /** The metrics of the process and its store as text, under MinIO's names. */
  readonly minioMetrics: (kind: MinioMetricsKind) => Soon<string>
  readonly minioAdmin: MinioAdmin
  readonly rootAccount: AccountId
  readonly rates: Pick<RateLimiter, "enter">
  readonly attempts: SecretAttempts
  readonly denials: Pick<Denials, "note">
  readonly audit: AuditLog
  readonly hash: Compute["hash"]
  /** The people of the LDAP directory; undefined: none is configured. */
  readonly people: People | undefined
  /** For addresses that callers name. */
  readonly web: RealWeb
  /** For services that the operator has named: wherever they are. */
  readonly chosenWeb: RealWeb
  readonly filters: readonly Filter[]
  readonly realms: SyncRealms
  readonly queuePort: QueuePort
  /** They are undefined if they are switched off. */
  readonly transforms: S3Settings["transforms"]
  readonly remotes: S3Settings["remotes"]
}

/** `adminUrl`: where the admin port listens. */
export function s3SettingsOf(parts: PortParts, adminUrl: string): S3Settings {
  const { config, engine, clock, random, metrics, rates, attempts, denials, audit, hash } = parts
  const { region, domains, refuseSignatureV2, allowSseCWithoutTls, ignoreAcls } = config
  const { services, accounts } = engine
  return {
    services,
    accounts,
    clock,
    random,
    region,
    domains,
    refuseSignatureV2,
    denials,
    audit,
    newBuckets: config,
    rates,
    attempts,
    allowSseCWithoutTls,
    ignoreAcls,
    kms: engine.namedKeys.of("s3"),
    adminUrl,
    metrics,
    onLoopback: isLoopback(config.listen),
    hash,
    lifecycleDays: services.core.days,
    transforms: parts.transforms,
    remotes: parts.remotes,
  }
}

/** The parts of a protocol whose requests are signed. */
function signedPartsOf({ engine, clock, metrics, denials, rates, attempts }: PortParts): FrameSettings {
  return { accounts: engine.accounts, clock, metrics, denials, rates, attempts }
}

/** IAM and STS, which the S3 port and the admin port serve. */
export function iamGuest(parts: PortParts): Guest {
  const { config, engine, clock, metrics, rates, attempts, denials, audit, web, people } = parts
  const { accounts, identities, sessions } = engine
  const ignoresUnknownRoles = config.ignoreUnknownRoles
  const ldap = people && new LdapSignIn({ people, sessions, attempts, audit })
  const shared = { web, audit, clock, metrics, denials, rates, attempts, ldap, ignoresUnknownRoles }
  return { protocol: createIamHandler({ accounts, identities, sessions, ...shared }), speaks: speaksIam }
}

/** The protocols of the S3 port. */
function s3PortOf(parts: PortParts, adminUrl: string): Protocol {
  const own = createS3Handler({ ...s3SettingsOf(parts, adminUrl), corsOrigins: parts.config.corsOrigins })
  const { config, status, engine, clock, attempts, rootAccount, minioMetrics: text } = parts
  const { domains, publicMetrics: isPublic } = config
  const ofMetrics = { clock, accounts: engine.accounts, attempts, rootAccount, isPublic, domains, text }
  const guests = [
    healthGuest(status, domains, own),
    metricsGuest(ofMetrics, own),
    minioAdminGuest({ ...signedPartsOf(parts), admin: parts.minioAdmin, domains }),
    iamGuest(parts),
  ]
  return filtered(new PortRouter(guests, own), "s3", parts.filters)
}

function websitePortOf(parts: PortParts, adminUrl: string): Protocol {
  const websiteDomains = parts.config.website?.domains ?? []
  return createWebsiteHandler({ ...s3SettingsOf(parts, adminUrl), websiteDomains })
}

function swiftPortOf(parts: PortParts, adminUrl: string): Protocol {
  const { config, engine, attempts, rootAccount, realms, devices } = parts
  const { metadata, services, accounts } = engine
  const { shardPlaces, quotas, storeClock, refuseEarlier: prepare } = services
  const { allowSha1 = false, serviceAccounts = false, keystone: chosen, info } = config.swift ?? {}
  const bunzip = new Bunzip()
  const settings = {
    ...s3SettingsOf(parts, adminUrl),
    info: info ?? { adminKey: undefined, hidden: [] },
    swiftAccounts: openSwiftAccounts(metadata, prepare),
    version: readVersion(),
    prepare,
    allowSha1,
    serviceAccounts,
    decompress: { "tar.gz": gunzipped, "tar.bz2": (pieces: AsyncIterable<Uint8Array>) => bunzip.of(pieces) },
    keystone: chosen && { ...chosen, web: parts.chosenWeb },
    realms,
    accounts,
    attempts,
    rootAccount,
    quotas,
    storeClock,
    inside: { devices, machine: MACHINE, shardPlaces },
  }
  return filtered(createSwiftHandler(settings), "swift", parts.filters)
}

function k2vPortOf({ config, engine, clock, metrics, denials, rates, attempts }: PortParts): Protocol {
  const { items, buckets } = engine.services
  const { accounts } = engine
  const denialsOfBucket = bucketPolicyReader(buckets, "denials")
  const { region } = config
  return createK2vHandler({
    items,
    buckets,
    denialsOfBucket,
    accounts,
    clock,
    region,
    metrics,
    denials,
    rates,
    attempts,
  })
}

function queuePortOf({ queuePort, config, engine, ...parts }: PortParts): Protocol {
  const { clock, metrics, denials, rates, attempts } = parts
  const { accounts } = engine
  const { region } = config
  return queuePort.protocol({ accounts, clock, region, metrics, denials, rates, attempts })
}

/** A port that any thread can serve. */
interface ThreadedPort {
  readonly listenOf: (config: ServeConfig) => ListenAddress | undefined
  /** Certificates of its own, and not those of S3; undefined: without TLS. */
  readonly folderOf?: (config: ServeConfig) => string | undefined
  readonly protocolOf: (parts: PortParts, adminUrl: string) => Protocol
}

const THREADED_PORTS = {
  s3: { listenOf: ({ listen }) => listen, protocolOf: s3PortOf },
  websites: {
    listenOf: ({ website }) => website?.listen,
    folderOf: ({ website }) => website?.certificates,
    protocolOf: websitePortOf,
  },
  swift: { listenOf: ({ swift }) => swift?.listen, protocolOf: swiftPortOf },
  k2v: { listenOf: ({ k2vListen }) => k2vListen, protocolOf: parts => k2vPortOf(parts) },
  queue: { listenOf: ({ queueListen }) => queueListen, protocolOf: parts => queuePortOf(parts) },
} as const satisfies Record<string, ThreadedPort>

export type ThreadedPortName = keyof typeof THREADED_PORTS

export const threadedPort = (name: ThreadedPortName): ThreadedPort => THREADED_PORTS[name]

/** A port that each front thread listens on. */
export interface SharedPort {
  readonly name: ThreadedPortName
  readonly listen: ListenAddress
}
