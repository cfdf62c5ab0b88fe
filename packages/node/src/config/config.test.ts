import { test } from "node:test"
import assert from "node:assert/strict"
import { isFailure } from "@hayloft/base/failures.js"
import type { ServeConfig } from "./config.js"
import { MIB } from "@hayloft/base/limits.js"
import { BOUNDS_OF } from "./profiles-core.js"
import { SETTINGS, SETTING_NAMES } from "./settings.js"
import { inspectConfig, policyOfNewStore, resolveConfig } from "./config-core.js"
import { checkConfigFile, FILE_SETTING_NAMES, parseConfigFile } from "./config-file.js"
import { bytesOfSize } from "@hayloft/base/text/quantity-text.js"
import { expandBraces } from "./config-values.js"
import type { ConfigSources } from "./setting-reader.js"

const NOTHING: ConfigSources = {
  flags: {},
  environment: {},
  file: undefined,
  workingFolder: "/somewhere",
  hostName: "here",
}
const resolved = (sources: Partial<ConfigSources>): ServeConfig => resolveConfig({ ...NOTHING, ...sources })
const refused = (sources: Partial<ConfigSources>, pattern: RegExp) =>
  assert.throws(
    () => resolved(sources),
    (error: unknown) => {
      assert.ok(isFailure(error, "invalidConfig"), String(error))
      assert.match(error.message, pattern)
      assert.doesNotMatch(error.message, /\n/)
      return true
    },
  )

test("without settings: one folder, loopback, text log", () => {
  assert.deepEqual(resolved({}), {
    dataFolders: ["/somewhere/data"],
    cluster: undefined,
    policy: undefined,
    matrix: undefined,
    metaCopies: undefined,
    blockBytes: undefined,
    refuseSingleCopy: false,
    threads: 0,
    profile: "standard",
    scrubDays: 30,
    abandonedUploadDays: 7,
    lifecycleDayMs: undefined,
    moveBytesPerSecondMax: 50 * 1024 * 1024,
    hotCopies: undefined,
    metadataBackupEveryMs: 3_600_000,
    erasedKeysKeptMs: 3_600_000,
    listen: { host: "127.0.0.1", port: 9000 },
    adminListen: { host: "127.0.0.1", port: 9001 },
    adminHosts: [],
    publicUrl: undefined,
    corsOrigins: [],
    publicMetrics: false,
    buckets: [],
    users: [],
    hasConsole: true,
    domains: [],
    region: undefined,
    refuseSignatureV2: false,
    allowPublicBuckets: false,
    allowAcls: false,
    ignoreAcls: false,
    ignoreUnknownRoles: false,
    encryptNewBuckets: false,
    encryptAtRest: false,
    allowSseCWithoutTls: false,
    allowLocalIdentityProviders: false,
    consoleSignIn: undefined,
    ldap: undefined,
    tls: undefined,
    website: undefined,
    filters: [],
    k2vListen: undefined,
    coordination: false,
    transforms: false,
    transformResultsBytesMax: 1024 * 1024 * 1024,
    remotes: undefined,
    remoteCacheBytesMax: 100 * 1024 * 1024 * 1024,
    queueListen: undefined,
    swift: undefined,
    masterKeyFile: undefined,
    haste: undefined,
    nextMasterKeyFile: undefined,
    keyServices: { vault: undefined, aws: undefined, keepMs: 300_000 },
    shutdown: { drainMs: 0, stopMs: 30_000 },
    existingStore: false,
    accessLog: undefined,
    tracing: undefined,
    auditSinks: { file: undefined, webhook: undefined, bucket: undefined },
    log: { level: "info", format: "text" },
    rootKey: undefined,
  })
})

const ROLES = "arn:aws:iam::123456789012:role"

/** A valid text for each setting, two if it may repeat, and the settings that it requires. */
const EXAMPLES: Record<keyof typeof SETTINGS, { texts: [string, string]; field: (config: ServeConfig) => unknown }> = {
  data: { texts: ["a", "b"], field: config => config.dataFolders },
  redundancy: { texts: ["replica:2", "ec:4+2"], field: config => config.policy },
  matrix: { texts: ["vandermonde", "cauchy"], field: config => config.matrix },
  cluster: { texts: ["postgres://one/x", "postgresql://two/x"], field: config => config.cluster },
  node: { texts: ["a", "b.example"], field: config => config.cluster?.node },
  zone: { texts: ["north", "south"], field: config => config.cluster?.zone },
  machine: { texts: ["m1", "m2"], field: config => config.cluster?.machine },
  nodeListen: { texts: ["127.0.0.1:9", "[::1]:0"], field: config => config.cluster?.nodeListen },
  nodeAddress: { texts: ["a.example:1", "b.example:2"], field: config => config.cluster?.nodeAddress },
  metaCopies: { texts: ["3", "5"], field: config => config.metaCopies },
  blockSize: { texts: ["8MiB", "2MiB"], field: config => config.blockBytes },
  profile: { texts: ["small", "standard"], field: config => config.profile },
  threads: { texts: ["3", "16"], field: config => config.threads },
  scrubDays: { texts: ["7", "90"], field: config => config.scrubDays },
  abandonedUploadDays: { texts: ["0", "30"], field: config => config.abandonedUploadDays },
  lifecycleDay: { texts: ["10", "60"], field: config => config.lifecycleDayMs },
  refuseSingleCopy: { texts: ["yes", "no"], field: config => config.refuseSingleCopy },
  moveRate: { texts: ["10", "1000"], field: config => config.moveBytesPerSecondMax },
  hotCopies: { texts: ["512MiB", "2GiB"], field: config => config.hotCopies?.budgetBytes },
  hotReads: { texts: ["10", "600"], field: config => config.hotCopies?.readsPerMinute },
  metadataBackupEvery: { texts: ["10m", "30s"], field: config => config.metadataBackupEveryMs },
  erasedKeysKept: { texts: ["1s", "1d"], field: config => config.erasedKeysKeptMs },
  listen: { texts: ["0.0.0.0:80", "127.0.0.1:8000"], field: config => config.listen },
  adminListen: { texts: ["[::1]:80", "127.0.0.1:0"], field: config => config.adminListen },
  existingStore: { texts: ["yes", "no"], field: config => config.existingStore },
  drainSeconds: { texts: ["0", "3600"], field: config => config.shutdown.drainMs },
  stopTimeout: { texts: ["1s", "10m"], field: config => config.shutdown.stopMs },
  buckets: { texts: ["photos:download", "photos"], field: config => config.buckets },
  users: { texts: ["app:secret-of-app:readwrite", "app:secret-of-app"], field: config => config.users },
  publicMetrics: { texts: ["yes", "no"], field: config => config.publicMetrics },
  corsOrigin: { texts: ["https://app.example.org", "*"], field: config => config.corsOrigins },
  publicUrl: { texts: ["https://s3.example.org", "http://s3:9000/"], field: config => config.publicUrl },
  console: { texts: ["off", "on"], field: config => config.hasConsole },
  adminHost: { texts: ["console.example.org", "admin.test"], field: config => config.adminHosts },
  domain: { texts: ["s3.example.org", "store.test"], field: config => config.domains },
  region: { texts: ["eu-central-1", "home"], field: config => config.region },
  refuseSignatureV2: { texts: ["yes", "no"], field: config => config.refuseSignatureV2 },
  allowPublicBuckets: { texts: ["yes", "no"], field: config => config.allowPublicBuckets },
  encryptNewBuckets: { texts: ["yes", "no"], field: config => config.encryptNewBuckets },
  encryptAtRest: { texts: ["yes", "no"], field: config => config.encryptAtRest },
  allowSseCWithoutTls: { texts: ["yes", "no"], field: config => config.allowSseCWithoutTls },
  allowAcls: { texts: ["yes", "no"], field: config => config.allowAcls },
  ignoreAcls: { texts: ["yes", "no"], field: config => config.ignoreAcls },
  ignoreUnknownRoles: { texts: ["yes", "no"], field: config => config.ignoreUnknownRoles },
  allowLocalIdentityProviders: { texts: ["yes", "no"], field: config => config.allowLocalIdentityProviders },
  consoleOidcIssuer: { texts: ["https://id.example", "https://id.example/"], field: config => config.consoleSignIn },
  consoleOidcClientId: { texts: ["hayloft", "other"], field: config => config.consoleSignIn?.clientId },
  consoleOidcClientSecret: { texts: ["s3cret", "other"], field: config => config.consoleSignIn?.clientSecret },
  consoleOidcRole: { texts: [`${ROLES}/a`, `${ROLES}/team/b`], field: config => config.consoleSignIn?.roles },
  consoleOidcScopes: { texts: ["openid", "openid groups"], field: config => config.consoleSignIn?.scopes },
  ldapServer: { texts: ["ldaps://a.example", "ldap://b.example:1389"], field: config => config.ldap?.servers },
  ldapTls: { texts: ["unverified", "verified"], field: config => config.ldap?.tls },
  ldapCaFile: { texts: ["ca.pem", "other.pem"], field: config => config.ldap?.caFile },
  ldapBindDn: { texts: ["cn=reader,dc=a", "cn=other,dc=a"], field: config => config.ldap?.lookup?.dn },
  ldapBindPassword: { texts: ["topsecret-1", "topsecret-2"], field: config => config.ldap?.lookup?.password },
  ldapUserBase: { texts: ["ou=a,dc=a; ou=b,dc=a", "dc=b"], field: config => config.ldap?.userBases },
  ldapUserFilter: { texts: ["(cn=%s)", "(&(objectClass=user)(sn=%s))"], field: config => config.ldap?.userFilter },
  ldapUserAttribute: { texts: ["cn", "sAMAccountName"], field: config => config.ldap?.userAttribute },
  ldapGroupBase: { texts: ["ou=groups,dc=a", "dc=b"], field: config => config.ldap?.groupBases },
  ldapGroupFilter: { texts: ["(member=%d)", "(memberUid=%s)"], field: config => config.ldap?.groupFilter },
  ldapTimeout: { texts: ["1s", "1m"], field: config => config.ldap?.timeoutMs },
  websiteListen: { texts: ["0.0.0.0:80", "127.0.0.1:8000"], field: config => config.website?.listen },
  filter: { texts: ["a.cjs", "read-only"], field: config => config.filters },
  swiftListen: { texts: ["0.0.0.0:8080", "127.0.0.1:8080"], field: config => config.swift?.listen },
  swiftKeystone: { texts: ["https://k:5000/v3", "http://k/v3"], field: config => config.swift?.keystone?.url },
  swiftOperatorRole: { texts: ["admin", "owner"], field: config => config.swift?.keystone?.operators },
  swiftReaderRole: { texts: ["reader", "auditor"], field: config => config.swift?.keystone?.readers },
  swiftResellerAdminRole: {
    texts: ["ResellerAdmin", "boss"],
    field: config => config.swift?.keystone?.resellerAdmins,
  },
  swiftResellerReaderRole: {
    texts: ["auditor", "ops"],
    field: config => config.swift?.keystone?.resellerReaders,
  },
  swiftServiceAccounts: { texts: ["yes", "no"], field: config => config.swift?.serviceAccounts },
  swiftServiceRole: { texts: ["service", "glance"], field: config => config.swift?.keystone?.services },
  swiftInfoKey: { texts: ["topsecret-1", "topsecret-2"], field: config => config.swift?.info.adminKey },
  swiftHideInfo: { texts: ["tempurl", "swift.policies"], field: config => config.swift?.info.hidden },
  swiftSyncRealms: { texts: ["realms.conf", "other.conf"], field: config => config.swift?.syncRealms },
  swiftAllowSha1: { texts: ["yes", "no"], field: config => config.swift?.allowSha1 },
  websiteDomain: { texts: ["web.example.org", "site.test"], field: config => config.website?.domains },
  websiteCertificates: { texts: ["c", "d"], field: config => config.website?.certificates },
  k2vListen: { texts: ["0.0.0.0:81", "127.0.0.1:8001"], field: config => config.k2vListen },
  coordination: { texts: ["yes", "no"], field: config => config.coordination },
  transforms: { texts: ["yes", "no"], field: config => config.transforms },
  transformResults: { texts: ["5", "0"], field: config => config.transformResultsBytesMax },
  remotes: { texts: ["remotes.json", "/etc/other.json"], field: config => config.remotes },
  remoteCache: { texts: ["0", "1000000"], field: config => config.remoteCacheBytesMax },
  queueListen: { texts: ["0.0.0.0:82", "127.0.0.1:8002"], field: config => config.queueListen },
  tlsCert: { texts: ["c.pem", "d.pem"], field: config => config.tls?.certFile },
  tlsKey: { texts: ["k.pem", "l.pem"], field: config => config.tls?.keyFile },
  masterKeyFile: { texts: ["m.key", "n.key"], field: config => config.masterKeyFile },
  nextMasterKeyFile: { texts: ["m.key", "n.key"], field: config => config.nextMasterKeyFile },
  kmsVaultUrl: { texts: ["https://v:8200", "http://127.0.0.1:1"], field: config => config.keyServices.vault?.url },
  kmsVaultTokenFile: { texts: ["t", "u"], field: config => config.keyServices.vault?.tokenFile },
  kmsVaultMount: { texts: ["transit2", "a/b/"], field: config => config.keyServices.vault?.mount },
  kmsVaultNamespace: { texts: ["a", "b/c"], field: config => config.keyServices.vault?.namespace },
  kmsVaultCaFile: { texts: ["c.pem", "d.pem"], field: config => config.keyServices.vault?.authoritiesFile },
  kmsAwsRegion: { texts: ["eu-north-1", "us-west-2"], field: config => config.keyServices.aws },
  kmsAwsCredentialsFile: { texts: ["c", "d"], field: config => config.keyServices.aws?.credentialsFile },
  kmsAwsEndpoint: { texts: ["https://k", "http://localhost:2"], field: config => config.keyServices.aws?.endpoint },
  kmsCacheSeconds: { texts: ["0", "60"], field: config => config.keyServices.keepMs },
  logLevel: { texts: ["debug", "error"], field: config => config.log.level },
  logFormat: { texts: ["json", "text"], field: config => config.log.format },
  accessLog: { texts: ["access.jsonl", "stderr"], field: config => config.accessLog },
  accessLogFormat: { texts: ["json", "s3"], field: config => config.accessLog?.format },
  traceEndpoint: { texts: ["http://127.0.0.1:4318", "https://c:4318"], field: config => config.tracing?.endpoint },
  traceOneIn: { texts: ["1", "50"], field: config => config.tracing?.oneIn },
  rootAccessKey: { texts: ["AKIAROOT", "AKIAOTHER"], field: config => config.rootKey?.accessKeyId },
  auditFile: { texts: ["a.jsonl", "b.jsonl"], field: config => config.auditSinks.file },
  auditWebhook: { texts: ["https://a/b", "http://127.0.0.1:1/"], field: config => config.auditSinks.webhook?.url },
  auditWebhookSecret: { texts: ["topsecret-1", "topsecret-2"], field: config => config.auditSinks.webhook?.secret },
  auditBucket: { texts: ["audit", "other"], field: config => config.auditSinks.bucket },
  rootSecretKey: { texts: ["topsecret-1", "topsecret-2"], field: config => config.rootKey?.secret },
}
const OF_SIGN_IN = {
  HAYLOFT_CONSOLE_OIDC_ISSUER: "https://id.example",
  HAYLOFT_CONSOLE_OIDC_CLIENT_ID: "hayloft",
  HAYLOFT_CONSOLE_OIDC_ROLE: `${ROLES}/a`,
}
const OF_LDAP = { HAYLOFT_LDAP_SERVER: "ldap://c.example", HAYLOFT_LDAP_USER_BASE: "dc=c" }
const OF_CLUSTER = { HAYLOFT_CLUSTER: "postgres://one/x", HAYLOFT_MASTER_KEY_FILE: "m.key" }
const OF_VAULT = { HAYLOFT_KMS_VAULT_URL: "https://v", HAYLOFT_KMS_VAULT_TOKEN_FILE: "t" }
const OF_WEBSITES = { HAYLOFT_WEBSITE_LISTEN: "127.0.0.1:8000" }
const OF_SWIFT = { HAYLOFT_SWIFT_LISTEN: "127.0.0.1:8080" }
const OF_KEYSTONE = { ...OF_SWIFT, HAYLOFT_SWIFT_KEYSTONE: "https://k/v3" }
const OF_SERVICES = { ...OF_KEYSTONE, HAYLOFT_SWIFT_SERVICE_ACCOUNTS: "yes" }
const COMPANIONS: Partial<Record<keyof typeof SETTINGS, Record<string, string>>> = {
  hotReads: { HAYLOFT_HOT_COPIES: "512MiB" },
  cluster: { HAYLOFT_MASTER_KEY_FILE: "m.key" },
  node: OF_CLUSTER,
  zone: OF_CLUSTER,
  machine: OF_CLUSTER,
  nodeListen: OF_CLUSTER,
  nodeAddress: OF_CLUSTER,
  encryptAtRest: { HAYLOFT_MASTER_KEY_FILE: "m.key" },
  consoleOidcIssuer: OF_SIGN_IN,
  consoleOidcClientId: OF_SIGN_IN,
  consoleOidcClientSecret: OF_SIGN_IN,
  consoleOidcRole: OF_SIGN_IN,
  consoleOidcScopes: OF_SIGN_IN,
  ldapServer: { HAYLOFT_LDAP_USER_BASE: "dc=c" },
  ldapTls: OF_LDAP,
  ldapCaFile: OF_LDAP,
  ldapBindDn: { ...OF_LDAP, HAYLOFT_LDAP_BIND_PASSWORD: "p" },
  ldapBindPassword: { ...OF_LDAP, HAYLOFT_LDAP_BIND_DN: "cn=c" },
  ldapUserBase: { HAYLOFT_LDAP_SERVER: "ldap://c.example" },
  ldapUserFilter: OF_LDAP,
  ldapUserAttribute: OF_LDAP,
  ldapGroupBase: OF_LDAP,
  ldapGroupFilter: OF_LDAP,
  ldapTimeout: OF_LDAP,
  websiteDomain: OF_WEBSITES,
  websiteCertificates: OF_WEBSITES,
  swiftAllowSha1: OF_SWIFT,
  swiftKeystone: OF_SWIFT,
  swiftInfoKey: OF_SWIFT,
  swiftHideInfo: OF_SWIFT,
  swiftSyncRealms: OF_SWIFT,
  swiftOperatorRole: OF_KEYSTONE,
  swiftReaderRole: OF_KEYSTONE,
  swiftResellerAdminRole: OF_KEYSTONE,
  swiftResellerReaderRole: OF_KEYSTONE,
  swiftServiceAccounts: OF_SWIFT,
  swiftServiceRole: OF_SERVICES,
  tlsCert: { HAYLOFT_TLS_KEY: "other.pem" },
  tlsKey: { HAYLOFT_TLS_CERT: "other.pem" },
  kmsVaultUrl: { HAYLOFT_KMS_VAULT_TOKEN_FILE: "t" },
  kmsVaultTokenFile: { HAYLOFT_KMS_VAULT_URL: "https://v" },
  kmsVaultMount: OF_VAULT,
  kmsVaultNamespace: OF_VAULT,
  kmsVaultCaFile: OF_VAULT,
  kmsAwsRegion: { HAYLOFT_KMS_AWS_CREDENTIALS_FILE: "c" },
  kmsAwsCredentialsFile: { HAYLOFT_KMS_AWS_REGION: "eu-north-1" },
  kmsAwsEndpoint: { HAYLOFT_KMS_AWS_CREDENTIALS_FILE: "c", HAYLOFT_KMS_AWS_REGION: "eu-north-1" },
  traceOneIn: { OTEL_EXPORTER_OTLP_ENDPOINT: "http://127.0.0.1:4318" },
  accessLogFormat: { HAYLOFT_ACCESS_LOG: "stderr" },
  auditWebhook: { HAYLOFT_AUDIT_WEBHOOK_SECRET: "other-secret" },
  auditWebhookSecret: { HAYLOFT_AUDIT_WEBHOOK: "https://other/" },
  rootAccessKey: { HAYLOFT_ROOT_SECRET_KEY: "other-secret" },
  rootSecretKey: { HAYLOFT_ROOT_ACCESS_KEY: "AKIAOTHER" },
}

for (const name of SETTING_NAMES) {
  const { texts, field } = EXAMPLES[name]
  const environment = { ...COMPANIONS[name] }
  const value = (sources: Partial<ConfigSources>) =>
    JSON.stringify(field(resolved({ ...sources, environment: { ...environment, ...sources.environment } })))
  const variable = SETTINGS[name].environment
  test(`${name}: each source is read, flag before environment before file`, () => {
    const byFlag = value({ flags: { [name]: [texts[0]] } })
    const other = value({ flags: { [name]: [texts[1]] } })
    assert.notEqual(byFlag, other)
    assert.equal(value({ environment: { [variable]: texts[0] } }), byFlag)
    assert.equal(value({ file: { path: "f", settings: { [name]: [texts[0]] } } }), byFlag)
    assert.equal(value({ flags: { [name]: [texts[0]] }, environment: { [variable]: texts[1] } }), byFlag)
    const file = { path: "f", settings: { [name]: [texts[1]] } }
    assert.equal(value({ environment: { [variable]: texts[0] }, file }), byFlag)
    assert.equal(value({ environment: { [variable]: "" }, file }), other)
  })
}

test("a setting with one value is refused if set twice", () => {
  refused({ flags: { listen: ["127.0.0.1:1", "127.0.0.1:2"] } }, /--listen: set it once, not 2 times/)
})

const BAD: readonly (readonly [name: keyof typeof SETTINGS, text: string, pattern: RegExp])[] = [
  ["data", "", /not a folder/],
  ["data", "disk{7...1}", /ascending range/],
  ["data", "disk{1..7}", /like disk\{1\.\.\.7\}/],
  ["data", "disk{1...33}", /33 data folders, but at most 32/],
  ["data", "disk{1...999999}", /ascending range/],
  ["redundancy", "raid5", /--redundancy: not a redundancy: "raid5" \(try replica:2 or ec:4\+2\)/],
  ["redundancy", "ec:0+2", /out of range/],
  ["redundancy", "ec:4+0", /out of range/],
  ["redundancy", "ec:30+3", /out of range/],
  ["redundancy", "replica:0", /out of range/],
  ["redundancy", "ec:4+2/xor", /one parity shard/],
  ["matrix", "hilbert", /one of cauchy, vandermonde, xor/],
  ["metaCopies", "0", /1 to 32/],
  ["metaCopies", "33", /1 to 32/],
  ["metaCopies", "2.5", /1 to 32/],
  ["blockSize", "512KiB", /1MiB to 64MiB/],
  ["blockSize", "65MiB", /1MiB to 64MiB/],
  ["blockSize", "1048577", /steps of 64KiB/],
  ["blockSize", "4MB", /block size/],
  ["moveRate", "0", /1 to 1000000/],
  ["moveRate", "50MiB", /whole number/],
  ["hotCopies", "1000", /from 1MiB to 1TiB/],
  ["hotCopies", "lots", /from 1MiB to 1TiB/],
  ["hotReads", "10", /no meaning without --hot-copies/],
  ["metadataBackupEvery", "60", /a duration like 30s, 10m, 1h/],
  ["metadataBackupEvery", "0s", /a duration/],
  ["metadataBackupEvery", "400d", /a duration/],
  ["kmsVaultUrl", "https://v/v1", /without a path/],
  ["kmsVaultUrl", "https://user:word@v", /^(?!.*word).*without a path/],
  ["kmsVaultUrl", "ftp://v", /address of a server/],
  ["kmsVaultUrl", "https://v", /--kms-vault-url is set without --kms-vault-token-file/],
  ["auditWebhook", "https://user:hunter2@v", /^(?!.*hunter2).*without user and password/],
  ["auditWebhook", "https://v", /--audit-webhook is set without HAYLOFT_AUDIT_WEBHOOK_SECRET/],
  ["accessLogFormat", "s3", /no meaning without --access-log/],
  ["accessLogFormat", "combined", /one of json, s3/],
  ["auditBucket", "No", /the name of a bucket/],
  ["consoleOidcIssuer", "https://a:hunter2@id.example", /^(?!.*hunter2).*the issuer of a provider/],
  ["consoleOidcIssuer", "https://id.example/?a=b", /as it spells it/],
  ["consoleOidcIssuer", "https://id.example", /set without --console-oidc-client-id/],
  ["consoleOidcRole", `${ROLES}/a`, /no meaning without --console-oidc-issuer/],
  ["consoleOidcRole", "admins", /the ARN of a role/],
  ["consoleOidcScopes", "email", /"openid" among them/],
  ["ldapServer", "ldap.example", /ldaps:\/\/HOST\[:PORT\]/],
  ["ldapServer", "ldaps://cn=a:hunter2@b", /^(?!.*hunter2).*without user, password/],
  ["ldapServer", "ldaps://a", /needs the entry below which people are: --ldap-user-base/],
  ["ldapUserBase", "dc=a", /no meaning without --ldap-server/],
  ["kmsVaultMount", "transit", /no meaning without --kms-vault-url/],
  ["kmsAwsRegion", "eu-north-1", /--kms-aws-region is set without --kms-aws-credentials-file/],
  ["kmsAwsEndpoint", "https://k", /no meaning without --kms-aws-region/],
  ["kmsCacheSeconds", "3601", /0 to 3600/],
  ["listen", "9000", /HOST:PORT/],
  ["listen", ":9000", /0\.0\.0\.0:9000 for every interface/],
  ["listen", "localhost:65536", /HOST:PORT/],
  ["listen", "::1:9000", /HOST:PORT/],
  ["adminListen", "x:y", /--admin-listen: "x:y"/],
  ["adminListen", "127.0.0.1:9000", /same address/],
  ["publicUrl", "s3.example.org", /without a path/],
  ["console", "yes", /one of on, off/],
  ["corsOrigin", "app.example.org", /not an origin like https/],
  ["corsOrigin", "https://*.*.org", /not an origin like https/],
  ["corsOrigin", "https://app.example.org/path", /not an origin like https/],
  ["buckets", "photos Bad:download", /--buckets: "Bad:download": .*lower-case/],
  [
    "buckets",
    "photos:readable",
    /"photos:readable": expected NAME or NAME:ACCESS, with one of none, download, upload, public/,
  ],
  ["buckets", "photos:none:x", /"photos:none:x": expected/],
  ["buckets", "photos;films;photos", /"photos": it is named twice/],
  [
    "users",
    "app:hunter2hunter2:tail=hunter2",
    /^(?!.*(hunter2|tail)).*"app": expected a policy or BUCKET=readonly\|writeonly\|readwrite; behind a secret/,
  ],
  ["users", "app:hunter2hunter2:Tail=readonly", /^(?!.*(hunter2|Tail)).*"app": expected a policy or BUCKET=/],
  ["users", "app:hunter2hunter2:tail=readonly=", /^(?!.*(hunter2|tail)).*"app": expected a policy or BUCKET=/],
  ["users", "app:hunter2", /^(?!.*hunter2).*app: a secret key has 8 to 128/],
  ["users", "app", /"entry 1": expected NAME:SECRET/],
  ["users", "app:hunter2hunter2 app:hunter2hunter2", /^(?!.*hunter2).*"app": it is named twice/],
  ["domain", "-s3.example", /domain name/],
  ["domain", "10.0.0.1", /domain name/],
  ["region", "US East", /region name/],
  ["tlsCert", "c.pem", /--tls-cert is set without --tls-key/],
  ["tlsKey", "k.pem", /--tls-key is set without --tls-cert/],
  ["masterKeyFile", "", /not a file/],
  ["logLevel", "trace", /debug, info, warn, error/],
  ["logFormat", "xml", /text, json/],
  ["rootAccessKey", "AKIA", /HAYLOFT_ROOT_ACCESS_KEY is set without HAYLOFT_ROOT_SECRET_KEY/],
  ["rootSecretKey", "short", /8 to 128 printable/],
]
for (const [name, text, pattern] of BAD) {
  test(`${name} "${text}" is refused in one line`, () => refused({ flags: { [name]: [text] } }, pattern))
}

const BAD_OF_LDAP: typeof BAD = [
  ["ldapUserBase", "people", /"people" is not TYPE=VALUE/],
  ["ldapBindDn", "cn=a", /--ldap-bind-dn is set without HAYLOFT_LDAP_BIND_PASSWORD/],
  ["ldapTls", "no", /one of verified, unverified, off/],
  ["ldapUserFilter", "(uid=ann)", /has no %s: it would find the same for everybody/],
  ["ldapUserFilter", "uid=%s", /it is not in brackets/],
  ["ldapGroupFilter", "(&(a=b)(member=%d)", /its brackets do not match/],
  ["ldapGroupFilter", "(member=%d))(a=b", /its brackets do not match/],
  ["ldapUserAttribute", "uid)(", /the name of an attribute/],
  ["ldapTimeout", "2m", /from 1s to 60s/],
]
for (const [name, text, pattern] of BAD_OF_LDAP) {
  const flags = { ldapServer: ["ldaps://a"], ldapUserBase: ["dc=a"], [name]: [text] }
  test(`${name} "${text}" is refused in one line`, () => refused({ flags }, pattern))
}

test("policies of users are named by ARNs, too, and secrets may have colons", () => {
  const { users } = resolved({
    environment: {
      HAYLOFT_USERS:
        "one:secret-of-one:arn:aws:iam::123456789012:policy/a+readonly+photos=readwrite two:secret:of:two: three:secret-of-three:of:readonly",
    },
  })
  assert.deepEqual(
    users.map(({ secret, policies, grants }) => [secret, policies, grants.length]),
    [
      ["secret-of-one", ["arn:aws:iam::123456789012:policy/a", "readonly"], 1],
      ["secret:of:two", [], 0],
      ["secret-of-three:of", ["readonly"], 0],
    ],
  )
})

test("the small profile bounds memory: no front threads unless they are set, and small blocks of new stores", () => {
  const machine = { fallbacks: { threads: ["3"] } }
  const boundsOf = (flags: ConfigSources["flags"]) => {
    const { profile, threads } = resolved({ ...machine, flags })
    return [profile, threads]
  }
  assert.deepEqual(boundsOf({}), ["standard", 3])
  assert.deepEqual(boundsOf({ profile: ["small"] }), ["small", 0])
  assert.deepEqual(boundsOf({ profile: ["small"], threads: ["2"] }), ["small", 2])
  const { standard, small } = BOUNDS_OF
  assert.deepEqual([standard.share, standard.heapFlags], [1, []], "the standard changes nothing")
  assert.ok(small.share < 0.1 && small.blockBytes === MIB && small.heapFlags.length > 0)
})

test("a refused secret is not shown", () => {
  assert.throws(
    () => resolved({ environment: { HAYLOFT_ROOT_ACCESS_KEY: "AKIA", HAYLOFT_ROOT_SECRET_KEY: "se cret key" } }),
    (error: unknown) => error instanceof Error && !error.message.includes("se cret"),
  )
})

test("folders: braces, widths, commas, duplicates, nesting", () => {
  assert.deepEqual(expandBraces("r{1...2}/d{08...10}", ""), [
    "r1/d08",
    "r1/d09",
    "r1/d10",
    "r2/d08",
    "r2/d09",
    "r2/d10",
  ])
  assert.deepEqual(resolved({ environment: { HAYLOFT_DATA: "/a{1...2}, /b" } }).dataFolders, ["/a1", "/a2", "/b"])
  assert.equal(resolved({ flags: { data: ["d{1...32}"] } }).dataFolders.length, 32)
  refused({ flags: { data: ["x,y"] } }, /^--data: "x,y" is not one folder/)
  refused({ flags: { data: ["x", "./x/"] } }, /\/somewhere\/x is named twice/)
  refused({ flags: { data: ["x/y", "x"] } }, /\/somewhere\/x\/y is inside \/somewhere\/x/)
  assert.deepEqual(resolved({ flags: { data: ["x", "xy"] } }).dataFolders, ["/somewhere/x", "/somewhere/xy"])
})

test("a typo in a variable's name is refused; a platform's service links are not", () => {
  refused({ environment: { HAYLOFT_LISTNE: "x" } }, /unknown environment variable HAYLOFT_LISTNE/)
  refused(
    { environment: { HAYLOFT_TEST_HASTE: "100" } },
    /^HAYLOFT_TEST_HASTE: "100" is not a whole number from 1 to 8/,
  )
  assert.equal(resolved({ environment: { HAYLOFT_TEST_HASTE: "4" } }).haste, 4)
  resolved({ environment: { HAYLOFT_SERVICE_HOST: "10.0.0.1", HAYLOFT_PORT: "tcp://10.0.0.1:9000", PATH: "/bin" } })
})

test("an error in the environment or the file contains its place", () => {
  refused({ environment: { HAYLOFT_LISTEN: "9000" } }, /^HAYLOFT_LISTEN: /)
  refused({ file: { path: "/etc/h.json", settings: { listen: ["9000"] } } }, /^"listen" in \/etc\/h\.json: /)
})

test("a matrix belongs to erasure coding, and is set once", () => {
  const shape = { kind: "ec", k: 4, m: 2 }
  const flags = (redundancy: string, matrix: string) => ({ flags: { redundancy: [redundancy], matrix: [matrix] } })
  assert.deepEqual(resolved(flags("ec:4+2", "vandermonde")).policy, { ...shape, matrix: "vandermonde" })
  assert.deepEqual(resolved(flags("ec:4+2/cauchy", "cauchy")).policy, { ...shape, matrix: "cauchy" })
  refused(flags("ec:4+2/cauchy", "vandermonde"), /set twice/)
  refused(flags("replica:2", "cauchy"), /uses no matrix/)
})

test("a new store's policy must fit its devices", () => {
  const policy = (flags: ConfigSources["flags"], devices: number) => () =>
    policyOfNewStore(resolved({ flags }), devices)
  assert.deepEqual(policy({}, 1)(), { kind: "replica", copies: 1 })
  assert.deepEqual(policy({ matrix: ["xor"] }, 3)(), { kind: "ec", k: 2, m: 1, matrix: "xor" })
  assert.throws(policy({ redundancy: ["ec:4+2"] }, 5), /ec:4\+2 needs 6 data folders, but there are 5/)
  assert.throws(policy({ redundancy: ["replica:2"] }, 1), /there is 1;/)
  assert.throws(policy({ matrix: ["xor"] }, 7), /--matrix xor does not fit ec:4\+3/)
  assert.throws(policy({ matrix: ["cauchy"] }, 2), /does not fit replica:2/)
  assert.throws(policy({ metaCopies: ["3"] }, 2), /--meta-copies 3/)
})

test("the file: keys by name, single texts or arrays, numbers as written", () => {
  const { settings } = parseConfigFile(
    `{"data": ["a", "b"], "domain": "s3.example", "metaCopies": 3, "logLevel": "warn"}`,
    "h.json",
  )
  const config = resolved({ file: { path: "h.json", settings } })
  assert.deepEqual(config.dataFolders, ["/somewhere/a", "/somewhere/b"])
  assert.deepEqual([config.domains, config.metaCopies, config.log.level], [["s3.example"], 3, "warn"])
})

for (const [text, pattern] of [
  ["{", /^h\.json: not JSON/],
  ["[]", /one JSON object/],
  ["null", /one JSON object/],
  [`{"listne": "x"}`, /unknown key "listne"; known keys are data, /],
  [`{"listen": ["x"]}`, /"listen" must be a string$/],
  [`{"data": {"a": 1}}`, /"data" must be a string or an array of strings/],
  [`{"rootSecretKey": "not here"}`, /unknown key "rootSecretKey"/],
  [`{"__proto__": 1}`, /unknown key "__proto__"/],
] as const) {
  test(`file ${text} is refused in one line`, () => {
    assert.throws(
      () => parseConfigFile(text, "h.json"),
      (error: unknown) => isFailure(error, "invalidConfig") && pattern.test(error.message) && !/\n/.test(error.message),
    )
  })
}

test("file with a key twice is refused, and keys inside values do not count", () => {
  assert.throws(() => parseConfigFile(`{"listen": "a:1", "listen": "b:2"}`, "h.json"), /"listen" is set twice/)
  const { problems } = checkConfigFile(`{"listen": {"region": 1, "region": 2}}`)
  assert.deepEqual(
    problems.map(({ message }) => message),
    [`"listen" must be a string`],
  )
})

test("every problem of the sources is found at once, with its line in the file, and none that follows from another", () => {
  const text = `{
  "listen": "9000",
  "lisen": "a \\"quoted\\": text",
  "data": ["a", {"b": 1}],
  "scrubDays": 0,

  "cluster": "mysql://x", "node": "n1",
  "tlsCert": "c.pem",
  "kmsVaultMount": "a b",
  "websiteDomain": ["fine.example", "-bad"]
}`
  const { settings, lines, problems: ofFile } = checkConfigFile(text)
  const file = { path: "h.json", settings, lines }
  const environment = { HAYLOFT_LOG_LEVEL: "loud", HAYLOFT_TYPO: "1", HAYLOFT_REGION: "US East" }
  const problems = [...ofFile, ...inspectConfig({ ...NOTHING, environment, file }).problems]
  const found = problems.map(({ kind, line, message }) => `${line ?? "-"} ${kind} ${message.slice(0, 56)}`)
  assert.deepEqual(found.sort(), [
    '- unknown unknown environment variable HAYLOFT_TYPO; "hayloft serve'.slice(0, 66),
    '- value HAYLOFT_LOG_LEVEL: "loud" is not one of debug, info, war',
    '- value HAYLOFT_REGION: "US East" is not a region name like us-e',
    "10 requirement --website-domain has no meaning without --website-listen",
    '10 value "websiteDomain" in h.json: "-bad" is not a domain name l',
    '2 value "listen" in h.json: "9000" is not HOST:PORT (try 127.0.0',
    '3 unknown unknown key "lisen"',
    '4 value "data" must be a string or an array of strings',
    '5 value "scrubDays" in h.json: "0" is not a whole number from 1 ',
    "7 requirement --cluster needs --master-key-file: every node has the sa",
    '7 value "cluster" in h.json: expected the URL of a PostgreSQL da',
    "8 requirement --tls-cert is set without --tls-key; set both or neither",
    "9 requirement --kms-vault-mount has no meaning without --kms-vault-url",
    '9 value "kmsVaultMount" in h.json: "a b" is not a path like team',
  ])
})

test("text that is not JSON is found with its line", () => {
  const { problems } = checkConfigFile(`{\n  "listen": "a:1",\n  "region" "home"\n}`)
  assert.deepEqual(
    problems.map(({ line, message }) => [line, message.slice(0, 8)]),
    [[3, "not JSON"]],
  )
})

test("secrets are the only settings without a flag, and not in a file", () => {
  const hidden = SETTING_NAMES.filter(name => !FILE_SETTING_NAMES.includes(name))
  assert.deepEqual(hidden, [
    "consoleOidcClientSecret",
    "swiftInfoKey",
    "ldapBindPassword",
    "users",
    "rootAccessKey",
    "auditWebhookSecret",
    "rootSecretKey",
  ])
})

test("sizes and addresses in their usual forms", () => {
  assert.deepEqual(
    ["4MiB", "4m", "4194304", "1 GiB", "2TiB", "1p", "5GB", "8192PiB", "x", "", "4XB"].map(bytesOfSize),
    [
      4194304,
      4194304,
      4194304,
      1 << 30,
      2 * 2 ** 40,
      2 ** 50,
      5_000_000_000,
      undefined, // beyond what a number holds exactly
      undefined,
      undefined,
      undefined,
    ],
  )
})
