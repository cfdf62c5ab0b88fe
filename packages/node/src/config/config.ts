/**
 * Configuration of `hayloft serve`: the checked result. `resolveConfig` in `config-core.ts` makes it of the settings
 * (`settings.ts`) from three sources; nothing below this file reads flags or the environment.
 */
import type { AccessKeyId, BucketName } from "@hayloft/base/ids.js"
import type { MatrixKind, Policy } from "@hayloft/base/policy.js"
import type { LdapSettings } from "@hayloft/base/seams/ldap/contract.js"
import type { LogLevel } from "@hayloft/base/seams/telemetry/contract.js"
import type { Profile } from "./profiles-core.js"

export interface ListenAddress {
  /** A name or address without brackets. */
  readonly host: string
  /** 0: any free port. */
  readonly port: number
}

interface TlsFiles {
  readonly certFile: string
  readonly keyFile: string
}

/** A node of a store on several machines. */
export interface ClusterConfig {
  /** URL of the database that keeps the metadata. It may contain a password. */
  readonly databaseUrl: string
  /** Unique in the store. */
  readonly node: string
  /** Failure domains of the node's devices; devices without a zone share one. */
  readonly zone: string | undefined
  readonly machine: string
  /** The address on which other nodes connect. */
  readonly nodeListen: ListenAddress
  /**
   * The address that other nodes are told to connect to; if undefined, the listening address, or the host name for all
   * addresses.
   */
  readonly nodeAddress: ListenAddress | undefined
  /**
   * How many times as fast as real time the node counts the times after which nodes notice and help each other, the same
   * on all nodes; undefined: once. Only tests set it.
   */
  readonly haste?: number | undefined
}

/** External key services. Addresses are without a path, files absolute paths. */
interface KeyServicesConfig {
  readonly vault:
    | {
        readonly url: string
        /** Read again when it changes. */
        readonly tokenFile: string
        /** Path of the transit engine. */
        readonly mount: string
        readonly namespace: string | undefined
        /** If undefined: the authorities that Node.js trusts. */
        readonly authoritiesFile: string | undefined
      }
    | undefined
  readonly aws: { readonly endpoint: string; readonly region: string; readonly credentialsFile: string } | undefined
  /** How long opened data keys are kept in memory; 0: not at all. */
  readonly keepMs: number
}

interface AccessLogConfig {
  /** An absolute path; undefined: standard error. */
  readonly file: string | undefined
  readonly format: "json" | "s3"
}

/** The rights that everybody has in a bucket: nothing, read and list, write, or both. */
export type PublicAccess = "none" | "download" | "upload" | "public"

export interface ProvidedBucket {
  readonly name: BucketName
  /** If undefined: the bucket's policy stays as it is. */
  readonly access: PublicAccess | undefined
}

/** The rights of a user in one bucket. */
export interface BucketGrant {
  readonly bucket: BucketName
  readonly grant: "readonly" | "writeonly" | "readwrite"
}

export interface ProvidedUser {
  /** The user's name, and its access key. */
  readonly name: AccessKeyId
  readonly secret: string
  /** Names or ARNs of policies. */
  readonly policies: readonly string[]
  readonly grants: readonly BucketGrant[]
}

export interface ServeConfig {
  /** Absolute, without duplicates and none inside another; 1 to `DEVICES_MAX`, or none for a node without devices. */
  readonly dataFolders: readonly string[]
  /** If undefined: the policy of the store; for a new store `defaultPolicy` by its number of devices. */
  readonly policy: Policy | undefined
  /** If undefined: cauchy. Already part of `policy` if that is set. */
  readonly matrix: MatrixKind | undefined
  /** If undefined, the devices of this process are the store and keep the metadata. */
  readonly cluster: ClusterConfig | undefined
  /** How many times as fast as real time the jobs of the store count their rests; undefined: once. Only tests set it. */
  readonly haste?: number | undefined
  /** If undefined: `defaultMetaCopies`. */
  readonly metaCopies: number | undefined
  /** If undefined: the block size of the store; for a new store `BLOCK_BYTES_DEFAULT`. A multiple of 64 KiB. */
  readonly blockBytes: number | undefined
  /** Period in days in which all stored data is verified once. */
  readonly scrubDays: number
  /** Multipart uploads are removed so many days after they began, unless a lifecycle rule says otherwise; 0: never. */
  readonly abandonedUploadDays: number
  /** How long a day of lifecycle rules is, for trying them out; undefined: a day. */
  readonly lifecycleDayMs: number | undefined
  /** Writes that would have only one copy although the store has more devices fail with 503. */
  readonly refuseSingleCopy: boolean
  /** Upper bound for writes of moving shards and re-encoding objects together. */
  readonly moveBytesPerSecondMax: number
  /** Memory for copies of pieces of objects that are read often, and how often that is; undefined: none are kept. */
  readonly hotCopies: { readonly budgetBytes: number; readonly readsPerMinute: number } | undefined
  /** How often the metadata of a changed store is backed up into the store itself. */
  readonly metadataBackupEveryMs: number
  /** In a store of several nodes: how long an erasure keeps the former key in the control record. */
  readonly erasedKeysKeptMs: number
  readonly listen: ListenAddress
  /** An origin; undefined: clients reach the port where it listens. */
  readonly publicUrl: string | undefined
  readonly adminListen: ListenAddress
  /** The admin port serves the web console. */
  readonly hasConsole: boolean
  /** Lines about this start for the operator, beside the warnings of the store. */
  readonly remarks?: readonly string[]
  /** The output of the start says how many devices are online, in words that programs wait for. */
  readonly countsDevices?: boolean
  /** Threads that serve the ports of clients beside the one that decides; 0: that one serves them. */
  readonly threads: number
  /** The bounds of memory. */
  readonly profile: Profile
  /** This process cannot have the front threads that are wanted; undefined: it has as many as `threads`. */
  readonly threadsOff?: { readonly wanted: number; readonly reason: string }
  readonly shutdown: {
    /** How long the store serves on although it is not ready any more. */
    readonly drainMs: number
    /** How long requests in progress may take after that. */
    readonly stopMs: number
  }
  /** Everybody may read metrics at MinIO's paths on the S3 port. */
  readonly publicMetrics: boolean
  /** Without a store in the data folders, or in the database, the start is refused. */
  readonly existingStore: boolean
  /** Names by which browsers reach the admin port, in lower case; those of loopback and addresses need no entry. */
  readonly adminHosts: readonly string[]
  /** Origins, or patterns with one `*`, whose web pages may use buckets without CORS rules. */
  readonly corsOrigins: readonly string[]
  /** Base names of virtual-host addressing, in lower case; `localhost` needs no entry. */
  readonly domains: readonly string[]
  /** If undefined: a signature may name any region, and output shows `REGION_DEFAULT`. */
  readonly region: string | undefined
  /** Signature version 2 is refused in every form. */
  readonly refuseSignatureV2: boolean
  /** New buckets have no public access block. */
  readonly allowPublicBuckets: boolean
  /** New buckets have no ownership controls, so that access control lists take effect. */
  readonly allowAcls: boolean
  /** Access control lists of new objects and buckets are accepted without effect where lists are off. */
  readonly ignoreAcls: boolean
  /** AssumeRole acts as the caller if its RoleArn names no account of this store. */
  readonly ignoreUnknownRoles: boolean
  /** New buckets have SSE-S3 as their default encryption. */
  readonly encryptNewBuckets: boolean
  /** The store encrypts everything that it writes, from this start on. */
  readonly encryptAtRest: boolean
  /** Keys of clients (SSE-C) are accepted without TLS too. */
  readonly allowSseCWithoutTls: boolean
  /** Identity providers may have local addresses and may lack TLS. */
  readonly allowLocalIdentityProviders: boolean
  /** Sign-in to the console at a provider; undefined: not offered. */
  readonly consoleSignIn: ConsoleSignInConfig | undefined
  /** The directory whose people may sign in; undefined: none. The path of its file is absolute. */
  readonly ldap: LdapSettings | undefined
  /** Absolute paths. */
  readonly tls: TlsFiles | undefined
  /** It is undefined if websites are not served. */
  readonly website: WebsiteConfig | undefined
  /** Absolute paths, and names of built-in filters, in their order. */
  readonly filters: readonly string[]
  /** It is undefined if Swift's API is not served. */
  readonly swift: SwiftConfig | undefined
  /** It is undefined if K2V is not served. */
  readonly k2vListen: ListenAddress | undefined
  /** Locks and small files of clients are served on the admin port. */
  readonly coordination: boolean
  /** Transforms of objects are served. */
  readonly transforms: boolean
  /** The limit for results of rules that are kept. */
  readonly transformResultsBytesMax: number
  /** Absolute path of the file that names remote stores; undefined: there are no remote buckets. */
  readonly remotes: string | undefined
  /** The limit for objects of remote buckets that are cached. */
  readonly remoteCacheBytesMax: number
  /** It is undefined if queues are not served. */
  readonly queueListen: ListenAddress | undefined
  /** Absolute path; if undefined, the devices store the master key. */
  readonly masterKeyFile: string | undefined
  readonly nextMasterKeyFile: string | undefined
  readonly keyServices: KeyServicesConfig
  /** The sinks to which the records of the audit log are delivered. */
  readonly auditSinks: {
    /** Absolute path. */
    readonly file: string | undefined
    readonly webhook: { readonly url: string; readonly secret: string } | undefined
    readonly bucket: BucketName | undefined
  }
  readonly log: { readonly level: LogLevel; readonly format: LogFormat }
  /** Lines about requests that are done; undefined: none. */
  readonly accessLog: AccessLogConfig | undefined
  /** It is undefined if nothing is traced. */
  readonly tracing: { readonly endpoint: string; readonly oneIn: number } | undefined
  /** Buckets of the root account that the start makes. */
  readonly buckets: readonly ProvidedBucket[]
  /** Users of the root account that the start makes. */
  readonly users: readonly ProvidedUser[]
  /** The operator's root key pair; if undefined, generated at the first start. */
  readonly rootKey: { readonly accessKeyId: AccessKeyId; readonly secret: string } | undefined
}

/** How people sign in to the console at a provider of OpenID Connect. */
interface ConsoleSignInConfig {
  /** The issuer in the provider's own spelling: it is compared letter by letter. */
  readonly issuer: string
  readonly clientId: string
  /** The secret is undefined for a public client. */
  readonly clientSecret: string | undefined
  /** ARNs, at least one: the first whose trust policy admits a person is taken. */
  readonly roles: readonly string[]
  /** With spaces between them; `openid` is one of them. */
  readonly scopes: string
}

type KeystoneRole = "operators" | "readers" | "resellerAdmins" | "resellerReaders" | "services"

/** The listener of Swift. */
export interface SwiftConfig {
  readonly listen: ListenAddress
  readonly allowSha1: boolean
  /** There are accounts of services. */
  readonly serviceAccounts: boolean
  /** The key of administrators of `/info`, and the sections that others do not see. */
  readonly info: { readonly adminKey: string | undefined; readonly hidden: readonly string[] }
  /** It is undefined if Swift uses tokens of its own only. */
  readonly keystone:
    | (Readonly<Record<KeystoneRole, readonly string[]>> & {
        readonly url: string
      })
    | undefined
  /** Absolute path of the file of realms; undefined: containers are not synchronized. */
  readonly syncRealms: string | undefined
}

/** The listener of static websites. */
export interface WebsiteConfig {
  readonly listen: ListenAddress
  /** Buckets are websites below these names, in lower case. */
  readonly domains: readonly string[]
  /** Absolute path of a folder of certificates; undefined: without TLS. */
  readonly certificates: string | undefined
}

type LogFormat = "text" | "json"
