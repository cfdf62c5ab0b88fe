/**
 * Settings of `hayloft serve`: one table (`SETTINGS`) lists every setting with its flag, environment variable, default
 * and help; parsing, `--help` and docs/reference/cli.md are derived from it.
 */
import { REGION_DEFAULT } from "@hayloft/base/region.js"
import { list, setting, type Setting, toggle } from "./setting.js"
import { LDAP_SETTINGS } from "./ldap-settings.js"
import { SWIFT_SETTINGS } from "./swift-settings.js"

/** Every setting of `serve`. The property name is the key in a `--config` file. */
export const SETTINGS = {
  data: list(
    "--data",
    "HAYLOFT_DATA",
    "DIR",
    "./data",
    "a data folder, one per disk; repeat it, or write /mnt/disk{1...7} for seven; with --cluster there is no default, and a node without folders is a gateway",
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
    "cauchy|vandermonde|xor",
    undefined,
    "erasure-coding matrix; xor is for one parity shard (default: cauchy)",
  ),
  metaCopies: setting(
    "--meta-copies",
    "HAYLOFT_META_COPIES",
    "N",
    undefined,
    "replicas of the metadata, each on its own device (default: the number of losses that the data survives plus one, rounded up to an odd number)",
  ),
  cluster: {
    ...setting(
      "--cluster",
      "HAYLOFT_CLUSTER",
      "URL",
      undefined,
      "run as a node of the store whose metadata is in this PostgreSQL database (postgres://…); needs --master-key-file, the same on all nodes",
    ),
    secret: "password",
  },
  node: setting(
    "--node",
    "HAYLOFT_NODE",
    "NAME",
    undefined,
    "with --cluster: name of the node, unique in the store (default: the host name)",
  ),
  zone: setting(
    "--zone",
    "HAYLOFT_ZONE",
    "NAME",
    undefined,
    "with --cluster: what fails together with this node, such as a data centre; blocks are spread over zones",
  ),
  machine: setting(
    "--machine",
    "HAYLOFT_MACHINE",
    "NAME",
    undefined,
    "with --cluster: name of the machine, if several nodes run on one (default: the node's name)",
  ),
  nodeListen: setting(
    "--node-listen",
    "HAYLOFT_NODE_LISTEN",
    "HOST:PORT",
    "0.0.0.0:9002",
    "with --cluster: address for the other nodes; they prove with TLS that they have the master key",
  ),
  nodeAddress: setting(
    "--node-address",
    "HAYLOFT_NODE_ADDRESS",
    "HOST:PORT",
    undefined,
    "with --cluster: where the other nodes reach this one (default: --node-listen, or the host name if that is 0.0.0.0)",
  ),
  blockSize: setting(
    "--block-size",
    "HAYLOFT_BLOCK_SIZE",
    "SIZE",
    undefined,
    "slice of an object that is encoded as a unit, 1MiB to 64MiB (default: 4MiB)",
  ),
  threads: setting(
    "--threads",
    "HAYLOFT_THREADS",
    "N",
    undefined,
    "front threads, which serve the ports of clients beside the thread that decides and writes, 0 to 16; needs Node.js 22.12 or later (default: the cores less one, with 1 GiB of memory for each; none with two cores)",
  ),
  profile: setting(
    "--profile",
    "HAYLOFT_PROFILE",
    "standard|small",
    "standard",
    "small: hold 256 MiB of memory, with fewer requests at once, no front threads, and blocks of 1 MiB in a new store",
  ),
  scrubDays: setting(
    "--scrub-days",
    "HAYLOFT_SCRUB_DAYS",
    "N",
    "30",
    "period in days in which all stored data is read and verified once, at low priority",
  ),
  abandonedUploadDays: setting(
    "--abandoned-upload-days",
    "HAYLOFT_ABANDONED_UPLOAD_DAYS",
    "N",
    "7",
    "multipart uploads are removed so many days after they began, unless a lifecycle rule of their bucket says otherwise; 0: never",
  ),
  lifecycleDay: setting(
    "--lifecycle-day",
    "HAYLOFT_LIFECYCLE_DAY",
    "SECONDS",
    undefined,
    "how long a day of lifecycle rules is, for trying them out: data is removed early (default: a day, which ends at midnight UTC)",
  ),
  refuseSingleCopy: toggle(
    "--refuse-single-copy",
    "HAYLOFT_REFUSE_SINGLE_COPY",
    "reject writes with 503 if only one disk would have a copy because others are offline; by default such writes are accepted and an alarm is raised",
  ),
  moveRate: setting(
    "--move-rate",
    "HAYLOFT_MOVE_RATE",
    "MIB",
    "50",
    "upper bound in MiB a second for moving shards to other disks and re-encoding objects together; rebuilding lost shards is not limited",
  ),
  hotCopies: setting(
    "--hot-copies",
    "HAYLOFT_HOT_COPIES",
    "SIZE",
    undefined,
    "memory for copies of the pieces of objects that are read most, like 512MiB: they are then served without reading disks or other nodes (default: no copies)",
  ),
  hotReads: setting(
    "--hot-reads",
    "HAYLOFT_HOT_READS",
    "N",
    "30",
    "with --hot-copies: how many reads a minute make a piece of an object hot",
  ),
  metadataBackupEvery: setting(
    "--metadata-backup-every",
    "HAYLOFT_METADATA_BACKUP_EVERY",
    "DURATION",
    "1h",
    "how often the metadata of a changed store is backed up among its shards, for hayloft rescue; 30s, 10m, 1h",
  ),
  erasedKeysKept: setting(
    "--erased-keys-kept",
    "HAYLOFT_ERASED_KEYS_KEPT",
    "DURATION",
    "1h",
    "with --cluster: how long hayloft bucket erase keeps the former key of the store, without which no encrypted object can be opened if the database loses its last changes; longer than a standby lags behind",
  ),
  listen: setting("--listen", "HAYLOFT_LISTEN", "HOST:PORT", "127.0.0.1:9000", "address of the S3 API"),
  publicUrl: {
    ...setting(
      "--public-url",
      "HAYLOFT_PUBLIC_URL",
      "URL",
      undefined,
      "address by which clients reach the S3 API, for links that the console makes, like https://s3.example.org (default: --listen, at the host by which the admin port was reached)",
    ),
    secret: "user",
  },
  adminListen: setting(
    "--admin-listen",
    "HAYLOFT_ADMIN_LISTEN",
    "HOST:PORT",
    "127.0.0.1:9001",
    "address of health, metrics and the admin API",
  ),
  existingStore: toggle(
    "--existing-store",
    "HAYLOFT_EXISTING_STORE",
    "refuse the start if the data folders, or the database, have no store yet: folders of disks that are not mounted do not become a new store; set it once the store exists",
  ),
  drainSeconds: setting(
    "--drain-seconds",
    "HAYLOFT_DRAIN_SECONDS",
    "N",
    "0",
    "at SIGTERM, how long /health/ready answers 503 while requests are served as before, until the ports close: as long as load balancers and Kubernetes take to notice",
  ),
  stopTimeout: setting(
    "--stop-timeout",
    "HAYLOFT_STOP_TIMEOUT",
    "DURATION",
    "30s",
    "how long requests in progress may take once the ports have closed; longer ones are cut",
  ),
  publicMetrics: toggle(
    "--public-metrics",
    "HAYLOFT_PUBLIC_METRICS",
    "serve metrics under MinIO's names at /minio/v2/metrics/cluster, node and bucket of the S3 port to everybody; otherwise to bearer tokens that the root key has signed",
  ),
  adminHost: list(
    "--admin-host",
    "HAYLOFT_ADMIN_HOST",
    "NAME",
    undefined,
    "name by which browsers reach the admin port, like console.example.org; sign-in works by localhost and, where the port listens on other addresses, by those without",
  ),
  console: setting("--console", "HAYLOFT_CONSOLE", "on|off", "on", "whether the admin port serves the web console"),
  domain: list(
    "--domain",
    "HAYLOFT_DOMAIN",
    "NAME",
    undefined,
    "name under which buckets are subdomains (bucket.NAME); *.localhost works without",
  ),
  corsOrigin: list(
    "--cors-origin",
    "HAYLOFT_CORS_ORIGIN",
    "ORIGIN",
    undefined,
    "origin whose web pages may use buckets without CORS rules of their own, like https://app.example.org, https://*.example.org or *",
  ),
  region: setting(
    "--region",
    "HAYLOFT_REGION",
    "NAME",
    undefined,
    `the region that signatures must name (default: any; output shows ${REGION_DEFAULT})`,
  ),
  refuseSignatureV2: toggle(
    "--refuse-signature-v2",
    "HAYLOFT_REFUSE_SIGNATURE_V2",
    "refuse requests signed with version 2 (HMAC-SHA1), as boto3 presigns URLs and forms by default, and old clients sign all",
  ),
  allowPublicBuckets: toggle(
    "--allow-public-buckets",
    "HAYLOFT_ALLOW_PUBLIC_BUCKETS",
    "create new buckets without a public access block, as before April 2023: a policy or access control list can make them public immediately",
  ),
  allowAcls: toggle(
    "--allow-acls",
    "HAYLOFT_ALLOW_ACLS",
    "create new buckets without ownership controls, as before April 2023: access control lists take effect, and writers own their objects",
  ),
  ignoreAcls: toggle(
    "--ignore-acls",
    "HAYLOFT_IGNORE_ACLS",
    "accept access control lists with new objects and buckets, also those that would grant others something, without effect where ownership controls switch lists off: as MinIO does",
  ),
  ignoreUnknownRoles: toggle(
    "--ignore-unknown-roles",
    "HAYLOFT_IGNORE_UNKNOWN_ROLES",
    "answer AssumeRole with temporary keys of the caller, within the policy of the request, if its RoleArn names no account of this store: as MinIO does with every RoleArn",
  ),
  encryptNewBuckets: toggle(
    "--encrypt-new-buckets",
    "HAYLOFT_ENCRYPT_NEW_BUCKETS",
    "create new buckets with SSE-S3 (AES256) as their default encryption, as Amazon does since January 2023",
  ),
  encryptAtRest: toggle(
    "--encrypt-at-rest",
    "HAYLOFT_ENCRYPT_AT_REST",
    "encrypt everything on the disks, names and metadata included, in an existing store as well, and the values of rows in a database, only of a new one; needs --master-key-file, is stored, and cannot be switched off",
  ),
  allowSseCWithoutTls: toggle(
    "--allow-sse-c-without-tls",
    "HAYLOFT_ALLOW_SSE_C_WITHOUT_TLS",
    "accept encryption keys of clients (SSE-C) in requests without TLS too, for a proxy that ends TLS in front of the server: anyone between the two can read the keys",
  ),
  allowLocalIdentityProviders: toggle(
    "--allow-local-identity-providers",
    "HAYLOFT_ALLOW_LOCAL_IDENTITY_PROVIDERS",
    "fetch keys of OpenID Connect providers also from this machine and from private networks, and without TLS: anyone who may register providers can then make the server send requests there",
  ),
  consoleOidcIssuer: {
    ...setting(
      "--console-oidc-issuer",
      "HAYLOFT_CONSOLE_OIDC_ISSUER",
      "URL",
      undefined,
      "let people sign in to the console at this OpenID Connect provider, which must be registered in the account of the role; needs --console-oidc-client-id and --console-oidc-role",
    ),
    secret: "user",
  },
  consoleOidcClientId: setting(
    "--console-oidc-client-id",
    "HAYLOFT_CONSOLE_OIDC_CLIENT_ID",
    "ID",
    undefined,
    "the id by which the provider knows the console",
  ),
  consoleOidcClientSecret: {
    ...setting(
      undefined,
      "HAYLOFT_CONSOLE_OIDC_CLIENT_SECRET",
      "SECRET",
      undefined,
      "its secret at the provider (default: none, for a public client)",
    ),
    secret: "value",
  },
  consoleOidcRole: list(
    "--console-oidc-role",
    "HAYLOFT_CONSOLE_OIDC_ROLE",
    "ARN",
    undefined,
    "a role that people take by such a sign-in; of several, the first whose trust policy admits them",
  ),
  consoleOidcScopes: setting(
    "--console-oidc-scopes",
    "HAYLOFT_CONSOLE_OIDC_SCOPES",
    "WORDS",
    "openid email",
    "what the console asks the provider for; a provider may put groups into its tokens only for a scope of its own",
  ),
  websiteListen: setting(
    "--website-listen",
    "HAYLOFT_WEBSITE_LISTEN",
    "HOST:PORT",
    undefined,
    "address of the static websites of buckets (default: none are served)",
  ),
  filter: list(
    "--filter",
    "HAYLOFT_FILTER",
    "FILTER",
    undefined,
    "filter that sees requests of S3 and Swift first: read-only, name-check, crossdomain=DOMAINS, domain-remap=DOMAINS, or a CommonJS module; several run in their order (docs/guide/write-a-filter.md)",
  ),
  ...SWIFT_SETTINGS,
  ...LDAP_SETTINGS,
  websiteDomain: list(
    "--website-domain",
    "HAYLOFT_WEBSITE_DOMAIN",
    "NAME",
    undefined,
    "name under which buckets are websites (bucket.NAME); a bucket with the name of a host is its website without",
  ),
  websiteCertificates: {
    ...setting(
      "--website-certificates",
      "HAYLOFT_WEBSITE_CERTIFICATES",
      "FOLDER",
      undefined,
      "folder with certificates of websites: HOST.pem and HOST.key, and default.pem and default.key; changes take effect at once",
    ),
    isReread: true,
  },
  k2vListen: setting(
    "--k2v-listen",
    "HAYLOFT_K2V_LISTEN",
    "HOST:PORT",
    undefined,
    "address of K2V, the key-value API of Garage (default: it is not served)",
  ),
  coordination: toggle(
    "--coordination",
    "HAYLOFT_COORDINATION",
    "serve locks, leases, elections and small files for clients, on the admin port below /coord/",
  ),
  transforms: toggle(
    "--transforms",
    "HAYLOFT_TRANSFORMS",
    "serve what transforms make of objects: GET ?x-transform=PIPELINE, and rules of buckets",
  ),
  transformResults: setting(
    "--transform-results",
    "HAYLOFT_TRANSFORM_RESULTS",
    "MIB",
    "1024",
    "with --transforms: most MiB of results of rules that the store keeps; 0 keeps none",
  ),
  remotes: setting(
    "--remotes",
    "HAYLOFT_REMOTES",
    "FILE",
    undefined,
    "JSON file that names other S3 stores, whose buckets may be buckets here (default: there are no remote buckets)",
  ),
  remoteCache: setting(
    "--remote-cache",
    "HAYLOFT_REMOTE_CACHE",
    "GIB",
    "100",
    "with --remotes: most GiB of objects of remote buckets that the store caches",
  ),
  queueListen: setting(
    "--queue-listen",
    "HAYLOFT_QUEUE_LISTEN",
    "HOST:PORT",
    undefined,
    "address of queues: a REST API, and that of Amazon's SQS (default: they are not served)",
  ),
  tlsCert: {
    ...setting(
      "--tls-cert",
      "HAYLOFT_TLS_CERT",
      "FILE",
      undefined,
      "certificate chain in PEM; reloaded when it changes",
    ),
    isReread: true,
  },
  tlsKey: {
    ...setting("--tls-key", "HAYLOFT_TLS_KEY", "FILE", undefined, "its private key in PEM"),
    isReread: true,
  },
  masterKeyFile: setting(
    "--master-key-file",
    "HAYLOFT_MASTER_KEY_FILE",
    "FILE",
    undefined,
    "file with the master key, which seals secrets (default: stored in every data folder)",
  ),
  nextMasterKeyFile: setting(
    "--next-master-key-file",
    "HAYLOFT_NEXT_MASTER_KEY_FILE",
    "FILE",
    undefined,
    'file with a new master key, for "hayloft master-key rotate"',
  ),
  kmsVaultUrl: {
    ...setting(
      "--kms-vault-url",
      "HAYLOFT_KMS_VAULT_URL",
      "URL",
      undefined,
      "Vault or OpenBao whose transit engine has KMS keys, like https://vault.example.org:8200; needs --kms-vault-token-file",
    ),
    secret: "password",
  },
  kmsVaultTokenFile: {
    ...setting(
      "--kms-vault-token-file",
      "HAYLOFT_KMS_VAULT_TOKEN_FILE",
      "FILE",
      undefined,
      "file with the token for Vault; read again when it changes",
    ),
    isReread: true,
  },
  kmsVaultMount: setting(
    "--kms-vault-mount",
    "HAYLOFT_KMS_VAULT_MOUNT",
    "PATH",
    "transit",
    "path of the transit engine",
  ),
  kmsVaultNamespace: setting(
    "--kms-vault-namespace",
    "HAYLOFT_KMS_VAULT_NAMESPACE",
    "PATH",
    undefined,
    "namespace of the engine in Vault (default: none)",
  ),
  kmsVaultCaFile: {
    ...setting(
      "--kms-vault-ca-file",
      "HAYLOFT_KMS_VAULT_CA_FILE",
      "FILE",
      undefined,
      "certificate authorities of Vault in PEM; reloaded when it changes (default: those that Node.js trusts)",
    ),
    isReread: true,
  },
  kmsAwsRegion: setting(
    "--kms-aws-region",
    "HAYLOFT_KMS_AWS_REGION",
    "NAME",
    undefined,
    "region of AWS KMS, for keys that are in AWS; needs --kms-aws-credentials-file",
  ),
  kmsAwsCredentialsFile: {
    ...setting(
      "--kms-aws-credentials-file",
      "HAYLOFT_KMS_AWS_CREDENTIALS_FILE",
      "FILE",
      undefined,
      "credentials for AWS KMS, in the form of ~/.aws/credentials; read again when it changes",
    ),
    isReread: true,
  },
  kmsAwsEndpoint: {
    ...setting(
      "--kms-aws-endpoint",
      "HAYLOFT_KMS_AWS_ENDPOINT",
      "URL",
      undefined,
      "address of AWS KMS, for VPC endpoints and services with its API (default: https://kms.REGION.amazonaws.com)",
    ),
    secret: "password",
  },
  kmsCacheSeconds: setting(
    "--kms-cache-seconds",
    "HAYLOFT_KMS_CACHE_SECONDS",
    "N",
    "300",
    "how long data keys that Vault or AWS has opened are kept in memory, 0 to 3600: a key that is disabled there is usable for so long",
  ),
  logLevel: setting(
    "--log-level",
    "HAYLOFT_LOG_LEVEL",
    "debug|info|warn|error",
    "info",
    "the least level of the lines that are logged",
  ),
  logFormat: setting("--log-format", "HAYLOFT_LOG_FORMAT", "text|json", "text", "text for people, json for machines"),
  accessLog: setting(
    "--access-log",
    "HAYLOFT_ACCESS_LOG",
    "FILE",
    undefined,
    "append a line for each request that is done to this file, which becomes FILE.1 at 64 MiB, up to FILE.8; stderr: write them there (default: none)",
  ),
  accessLogFormat: setting(
    "--access-log-format",
    "HAYLOFT_ACCESS_LOG_FORMAT",
    "json|s3",
    "json",
    "json: an object for each request of all ports; s3: Amazon's server access log format, of the requests that name a bucket",
  ),
  traceEndpoint: {
    ...setting(
      "--trace-endpoint",
      "OTEL_EXPORTER_OTLP_ENDPOINT",
      "URL",
      undefined,
      "send traces of requests to this collector by OTLP over HTTP, like http://127.0.0.1:4318; needs the optional packages of OpenTelemetry (default: nothing is traced)",
    ),
    secret: "password",
  },
  traceOneIn: setting(
    "--trace-one-in",
    "HAYLOFT_TRACE_ONE_IN",
    "N",
    "100",
    "of so many requests, one is traced; in addition to those that ask for it, or whose caller traces them",
  ),
  buckets: list(
    "--buckets",
    "HAYLOFT_BUCKETS",
    "NAME:ACCESS",
    undefined,
    "buckets of the root account that each start makes unless they are there; NAME, or NAME:download, :upload, :public or :none for what everybody may do",
  ),
  users: {
    ...setting(
      undefined,
      "HAYLOFT_USERS",
      "NAME:SECRET:POLICY",
      undefined,
      "users of the root account that each start makes, with their access keys, which are their names: NAME:SECRET:POLICY+POLICY, or BUCKET=readwrite in place of a policy",
    ),
    secret: "value",
  },
  rootAccessKey: setting(
    undefined,
    "HAYLOFT_ROOT_ACCESS_KEY",
    "KEY",
    undefined,
    "access key of the root account (default: generated at the first start)",
  ),
  auditFile: setting(
    "--audit-file",
    "HAYLOFT_AUDIT_FILE",
    "FILE",
    undefined,
    "append the records of the audit log to this file, one JSON object a line; at 64 MiB it is renamed to FILE.1, up to FILE.8",
  ),
  auditWebhook: {
    ...setting(
      "--audit-webhook",
      "HAYLOFT_AUDIT_WEBHOOK",
      "URL",
      undefined,
      "POST the records of the audit log to this address in batches of JSON lines; needs HAYLOFT_AUDIT_WEBHOOK_SECRET",
    ),
    secret: "password",
  },
  auditWebhookSecret: {
    ...setting(
      undefined,
      "HAYLOFT_AUDIT_WEBHOOK_SECRET",
      "SECRET",
      undefined,
      "key of the HMAC by which the receiver of the audit webhook recognises its batches, 8 to 128 characters",
    ),
    secret: "value",
  },
  auditBucket: setting(
    "--audit-bucket",
    "HAYLOFT_AUDIT_BUCKET",
    "NAME",
    undefined,
    "write the records of the audit log to this bucket, as objects of JSON lines under YEAR/MONTH/DAY/",
  ),
  rootSecretKey: {
    ...setting(
      undefined,
      "HAYLOFT_ROOT_SECRET_KEY",
      "SECRET",
      undefined,
      "its secret key, 8 to 128 characters; set together with the access key",
    ),
    secret: "value",
  },
} as const satisfies Record<string, Setting>

export type SettingName = keyof typeof SETTINGS

/** Names in the order of the table. */
export const SETTING_NAMES = Object.keys(SETTINGS).filter((name): name is SettingName => name in SETTINGS)

const FILE_SUFFIX = "_FILE"

/** The variable that names a file with the value of another one, as orchestrators mount secrets. */
export const fileVariableOf = (variable: string): string => `${variable}${FILE_SUFFIX}`

/** Settings that are only in the environment, whose values may be in files. */
export const SECRET_ENVIRONMENTS: readonly string[] = SETTING_NAMES.map((name): Setting => SETTINGS[name])
  .filter(({ flag }) => flag === undefined)
  .map(({ environment }) => environment)

export const SECRET_FILE_ENVIRONMENTS: readonly string[] = SECRET_ENVIRONMENTS.map(fileVariableOf)

/** Compatibility switches: each allows what is refused by default, for older clients or for local providers. */
export const COMPATIBILITY_SWITCHES = [
  "allowPublicBuckets",
  "allowAcls",
  "ignoreAcls",
  "ignoreUnknownRoles",
  "allowSseCWithoutTls",
  "allowLocalIdentityProviders",
] as const satisfies readonly SettingName[]

/** The config file itself: a flag and an environment variable, but no key in the file. */
export const CONFIG_FILE_FLAG = "--config"
export const CONFIG_FILE_ENVIRONMENT = "HAYLOFT_CONFIG"

/** Environment variables of the command-line client; `serve` ignores them. */
export const CLIENT_ENVIRONMENT = {
  AWS_CA_BUNDLE:
    "file of certificates in PEM that are trusted in addition to those of well-known authorities, for a store in the environment",
  HAYLOFT_ADMIN_ENDPOINT: "address of the admin API, for the commands that need it",
  HAYLOFT_ADMIN_TOKEN: "token of the admin API",
  HAYLOFT_IMPORT_SECRET_KEY: "secret that `key import` imports",
} as const
