/**
 * Configuration of `hayloft serve`: what may be set, and the checked result.
 *
 * One table (`SETTINGS`) names every setting with its flag, environment variable, default and help;
 * parsing, `--help` and docs/cli.md all come from it. `resolveConfig` in `config-core.ts` turns the
 * three sources into a `ServeConfig`; nothing below this file reads flags or the environment.
 */
import type { AccessKeyId } from "../base/ids.js"
import type { Matrix, Policy } from "../base/policy.js"
import type { LogLevel } from "../seams/telemetry/contract.js"

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

export interface ServeConfig {
  /** Absolute, without duplicates and none inside another; 1 to `DEVICES_MAX`. */
  readonly dataFolders: readonly string[]
  /** Undefined: whatever the store has, and for a new one `defaultPolicy` by its number of devices. */
  readonly policy: Policy | undefined
  /** Undefined: cauchy. Already part of `policy` where that is set. */
  readonly matrix: Matrix | undefined
  /** Undefined: `defaultMetaCopies`. */
  readonly metaCopies: number | undefined
  /** Undefined: whatever the store has, and for a new one `BLOCK_BYTES_DEFAULT`. A multiple of 64 KiB. */
  readonly blockBytes: number | undefined
  /** Everything stored is verified once in so many days. */
  readonly scrubDays: number
  /** Writes that would have one copy only, where the store has more devices, are answered 503. */
  readonly refuseSingleCopy: boolean
  /** What moving shards and coding objects anew write together at most. */
  readonly moveBytesPerSecondMax: number
  /** How often a changed store's metadata is backed up into the store itself. */
  readonly metadataBackupEveryMs: number
  readonly listen: ListenAddress
  readonly adminListen: ListenAddress
  /** Base names of virtual-host addressing, in lower case; `localhost` needs no entry. */
  readonly domains: readonly string[]
  /** Undefined: a signature may name any region, and `REGION_DEFAULT` is what we print. */
  readonly region: string | undefined
  /** Signature version 2 is refused also of presigned URLs and forms. */
  readonly refuseSignatureV2: boolean
  /** New buckets come without a public access block. */
  readonly allowPublicBuckets: boolean
  /** New buckets come without ownership controls, so that access control lists count. */
  readonly allowAcls: boolean
  /** Identity providers may have local addresses, and be without TLS. */
  readonly allowLocalIdentityProviders: boolean
  /** Absolute paths. */
  readonly tls: TlsFiles | undefined
  /** Absolute path; undefined: the master key lies on the devices. */
  readonly masterKeyFile: string | undefined
  readonly log: { readonly level: LogLevel; readonly format: LogFormat }
  /** The root key pair as the operator chose it; undefined: drawn at the first start. */
  readonly rootKey: { readonly accessKeyId: AccessKeyId; readonly secret: string } | undefined
}

type LogFormat = "text" | "json"

export const REGION_DEFAULT = "us-east-1"

/** Which kind of text a value is, in `--help` and in docs. */
export interface Setting {
  /** Undefined: only in the environment (secrets do not belong on a command line). */
  readonly flag: string | undefined
  readonly environment: string
  /** Placeholder of the value in help. */
  readonly value: string
  /** Several values: repeat the flag, separate by commas in the environment, an array in the file. */
  readonly repeatable: boolean
  /** What the flag alone means; undefined: it needs a value. */
  readonly preset?: string
  /** As text; undefined: none, and `help` says what happens then. */
  readonly fallback: string | undefined
  readonly help: string
}

const setting = (
  flag: string | undefined,
  environment: string,
  value: string,
  fallback: string | undefined,
  help: string,
): Setting => ({ flag, environment, value, fallback, help, repeatable: false })

const list = (
  flag: string,
  environment: string,
  value: string,
  fallback: string | undefined,
  help: string,
): Setting => ({
  ...setting(flag, environment, value, fallback, help),
  repeatable: true,
})

/** Every setting of `serve`. The property name is the key in a `--config` file. */
export const SETTINGS = {
  data: list(
    "--data",
    "HAYLOFT_DATA",
    "DIR",
    "./data",
    "a data folder, one per disk; repeat it, or write /mnt/disk{1...7} for seven",
  ),
  redundancy: setting(
    "--redundancy",
    "HAYLOFT_REDUNDANCY",
    "POLICY",
    undefined,
    "replica:N keeps N copies, ec:K+M keeps K data and M parity shards (default: by the number of folders)",
  ),
  matrix: setting(
    "--matrix",
    "HAYLOFT_MATRIX",
    "NAME",
    undefined,
    "coding matrix: cauchy, vandermonde, or xor for one parity shard (default: cauchy)",
  ),
  metaCopies: setting(
    "--meta-copies",
    "HAYLOFT_META_COPIES",
    "N",
    undefined,
    "devices that hold each metadata row (default: as many losses as the data survives, plus one, made odd)",
  ),
  blockSize: setting(
    "--block-size",
    "HAYLOFT_BLOCK_SIZE",
    "SIZE",
    undefined,
    "slice of an object that is coded at once, 1MiB to 64MiB (default: 4MiB)",
  ),
  scrubDays: setting(
    "--scrub-days",
    "HAYLOFT_SCRUB_DAYS",
    "N",
    "30",
    "days in which everything that is stored is read and verified once, slowly",
  ),
  refuseSingleCopy: {
    ...setting(
      "--refuse-single-copy",
      "HAYLOFT_REFUSE_SINGLE_COPY",
      "yes|no",
      "no",
      "answer 503 to writes of which one disk alone would have a copy, while others are out; without it they are taken, under an alarm",
    ),
    preset: "yes",
  },
  moveRate: setting(
    "--move-rate",
    "HAYLOFT_MOVE_RATE",
    "MIB",
    "50",
    "MiB a second that moving shards to other disks, and coding objects anew, write at most; rebuilding what is lost is not held back by it",
  ),
  metadataBackupEvery: setting(
    "--metadata-backup-every",
    "HAYLOFT_METADATA_BACKUP_EVERY",
    "DURATION",
    "1h",
    "how often names and metadata are written among the shards of a store that has changed, for hayloft rescue; 30s, 10m, 1h",
  ),
  listen: setting("--listen", "HAYLOFT_LISTEN", "HOST:PORT", "127.0.0.1:9000", "where S3 is served"),
  adminListen: setting(
    "--admin-listen",
    "HAYLOFT_ADMIN_LISTEN",
    "HOST:PORT",
    "127.0.0.1:9001",
    "where health, metrics and the admin API are served",
  ),
  domain: list(
    "--domain",
    "HAYLOFT_DOMAIN",
    "NAME",
    undefined,
    "name under which buckets are subdomains (bucket.NAME); *.localhost works without",
  ),
  region: setting(
    "--region",
    "HAYLOFT_REGION",
    "NAME",
    undefined,
    `the region that signatures must name (default: any, and ${REGION_DEFAULT} is what we print)`,
  ),
  refuseSignatureV2: {
    ...setting(
      "--refuse-signature-v2",
      "HAYLOFT_REFUSE_SIGNATURE_V2",
      "yes|no",
      "no",
      "refuse presigned URLs and browser forms signed with version 2 (HMAC-SHA1), which boto3 makes by default",
    ),
    preset: "yes",
  },
  allowPublicBuckets: {
    ...setting(
      "--allow-public-buckets",
      "HAYLOFT_ALLOW_PUBLIC_BUCKETS",
      "yes|no",
      "no",
      "make new buckets without a public access block, as they were before April 2023: a policy or list opens them to everybody at once",
    ),
    preset: "yes",
  },
  allowAcls: {
    ...setting(
      "--allow-acls",
      "HAYLOFT_ALLOW_ACLS",
      "yes|no",
      "no",
      "make new buckets without ownership controls, as they were before April 2023: access control lists count, and objects are their writers'",
    ),
    preset: "yes",
  },
  allowLocalIdentityProviders: {
    ...setting(
      "--allow-local-identity-providers",
      "HAYLOFT_ALLOW_LOCAL_IDENTITY_PROVIDERS",
      "yes|no",
      "no",
      "fetch keys of OpenID Connect providers also from this machine and from private networks, and without TLS: whoever may name providers can then make the server ask there",
    ),
    preset: "yes",
  },
  tlsCert: setting(
    "--tls-cert",
    "HAYLOFT_TLS_CERT",
    "FILE",
    undefined,
    "certificate chain in PEM; reloaded when it changes",
  ),
  tlsKey: setting("--tls-key", "HAYLOFT_TLS_KEY", "FILE", undefined, "its private key in PEM"),
  masterKeyFile: setting(
    "--master-key-file",
    "HAYLOFT_MASTER_KEY_FILE",
    "FILE",
    undefined,
    "keeps the key that seals secrets in this file (default: on every data folder)",
  ),
  logLevel: setting("--log-level", "HAYLOFT_LOG_LEVEL", "LEVEL", "info", "debug, info, warn or error"),
  logFormat: setting("--log-format", "HAYLOFT_LOG_FORMAT", "FORMAT", "text", "text for people, json for machines"),
  rootAccessKey: setting(
    undefined,
    "HAYLOFT_ROOT_ACCESS_KEY",
    "KEY",
    undefined,
    "access key of the root account (default: drawn at the first start)",
  ),
  rootSecretKey: setting(
    undefined,
    "HAYLOFT_ROOT_SECRET_KEY",
    "SECRET",
    undefined,
    "its secret key, 8 to 128 characters; set together with the access key",
  ),
} as const satisfies Record<string, Setting>

export type SettingName = keyof typeof SETTINGS

/** Names in the order of the table. */
export const SETTING_NAMES = Object.keys(SETTINGS).filter((name): name is SettingName => name in SETTINGS)

/** Settings that allow what is refused otherwise, for the sake of older clients or of what is near. */
export const ALLOWANCES = [
  "allowPublicBuckets",
  "allowAcls",
  "allowLocalIdentityProviders",
] as const satisfies readonly SettingName[]

/** The file of settings itself: a flag and an environment variable, but no key in the file. */
export const CONFIG_FILE_FLAG = "--config"
export const CONFIG_FILE_ENVIRONMENT = "HAYLOFT_CONFIG"

/** What the command-line client reads from the environment; `serve` takes no notice of these. */
export const CLIENT_ENVIRONMENT = {
  HAYLOFT_ADMIN_ENDPOINT: "address of the admin API, for the commands that need it",
  HAYLOFT_ADMIN_TOKEN: "token of the admin API",
  HAYLOFT_IMPORT_SECRET_KEY: "secret that `key import` imports",
} as const
