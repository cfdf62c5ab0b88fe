/**
 * Configuration resolution: combines flags, environment and file into one checked configuration. A flag overrides the
 * environment, the environment overrides the file, the file overrides the default.
 *
 * Pure: the caller has read the file. An invalid setting throws `invalidConfig` with one line that names its source
 * and the expected value; nothing is ignored silently. `inspectConfig` returns all such lines.
 */
import { fail, isFailure } from "@hayloft/base/failures.js"
import { FRONT_THREADS_MAX, GIB, MIB, SHARDS_MAX } from "@hayloft/base/limits.js"
import { defaultPolicy, shardCount, textOfPolicy, type Policy } from "@hayloft/base/policy.js"
import type { ClusterConfig, ServeConfig, SwiftConfig, WebsiteConfig } from "./config.js"
import {
  CLIENT_ENVIRONMENT,
  CONFIG_FILE_ENVIRONMENT,
  SECRET_FILE_ENVIRONMENTS,
  SETTINGS,
  SETTING_NAMES,
  type SettingName,
} from "./settings.js"
import {
  parseBlockSize,
  parseMemory,
  parseChoice,
  parseCount,
  parseDataFolders,
  parseDomain,
  parseDuration,
  parseFile,
  parseListen,
  parseName,
  parseOrigin,
  parseRedundancy,
  parseDatabaseUrl,
  parseRegion,
  parseRootAccessKey,
  parseRootSecret,
  parseClientText,
  parseInfoSection,
  parseIssuer,
  parseRoleArn,
  parseScopes,
  parseServicePath,
  parseServiceUrl,
  parseAuditBucket,
  parseWebhook,
} from "./config-values.js"
import {
  checkLdapTimeout,
  parseAttribute,
  parseBindPassword,
  parseDn,
  parseDns,
  parseFilter,
  parseLdapServer,
} from "./ldap-values.js"
import { PROFILES } from "./profiles-core.js"
import { parseProvidedBuckets, parseProvidedUsers } from "./provided-values.js"
import {
  findSetting,
  fromEnvironment,
  SettingReader,
  type ConfigProblem,
  type ConfigSources,
  type Environment,
  type FoundSetting,
  type SettingsInput,
  type SettingSources,
} from "./setting-reader.js"

/** The environment without the variables of settings, for a server that a config file alone describes. */
export function withoutSettings(environment: Environment): Environment {
  const names = new Set<string>([
    CONFIG_FILE_ENVIRONMENT,
    ...SETTING_NAMES.map(name => SETTINGS[name].environment),
    ...SECRET_FILE_ENVIRONMENTS,
  ])
  return Object.fromEntries(Object.entries(environment).filter(([name]) => !names.has(name)))
}

/** Tests shorten the waits of nodes and jobs with it. It is not an option of `serve`, because operators must not set it. */
const HASTE_ENVIRONMENT = "HAYLOFT_TEST_HASTE"
/** With more, a busy machine makes nodes look silent. */
const HASTE_MAX = 8

/** Variables that a container platform sets automatically for a service called "hayloft". */
const SERVICE_LINK = /^HAYLOFT_(SERVICE_|PORT(_|$))/

/** An unknown `HAYLOFT_…` variable is most likely a typo. */
function checkVariables(reader: SettingReader): void {
  const known = new Set<string>([
    ...SETTING_NAMES.map(name => SETTINGS[name].environment),
    ...SECRET_FILE_ENVIRONMENTS,
    ...Object.keys(CLIENT_ENVIRONMENT),
    CONFIG_FILE_ENVIRONMENT,
    HASTE_ENVIRONMENT,
  ])
  for (const name of Object.keys(reader.sources.environment)) {
    if (!name.startsWith("HAYLOFT_") || known.has(name) || SERVICE_LINK.test(name)) continue
    reader.unknown(`unknown environment variable ${name}; "hayloft serve --help" lists them`)
  }
}

/** Two variables of one meaning: whichever won would surprise somebody. The texts may be secrets, so none is shown. */
function checkAliases(reader: SettingReader): void {
  const { aliases = {}, environment } = reader.sources
  for (const name of SETTING_NAMES) {
    const [alias, own] = [aliases[name], fromEnvironment(SETTINGS[name], environment)]
    if (alias === undefined || own === undefined || own.join() === alias.texts.join()) continue
    const variable = SETTINGS[name].environment
    const message = `${variable} and ${alias.where} contradict each other: remove one of them, or give both the same value`
    reader.requirement(name, message)
  }
}

const count =
  (min: number, max: number) =>
  (text: string, where: string): number =>
    parseCount(text, where, { min, max })

/** Throws `invalidConfig` with the first problem. */
export function resolveConfig(sources: ConfigSources): ServeConfig {
  const reader = new SettingReader(sources)
  return checked(reader, configIn(reader))
}

function checked<T>({ problems: [problem] }: SettingReader, value: T): T {
  if (problem !== undefined) throw fail("invalidConfig", { message: problem.message })
  return value
}

/** Everything that makes `resolveConfig` throw, and the settings with defaults in place of what is wrong. */
export function inspectConfig(sources: ConfigSources): {
  readonly config: ServeConfig
  readonly problems: readonly ConfigProblem[]
} {
  const reader = new SettingReader(sources)
  return { config: configIn(reader), problems: reader.problems }
}

/**
 * Returns the settings that `serve` uses: the texts of every setting, and where they are from; undefined if it is not
 * set.
 */
export const settingsInEffect = (
  sources: SettingSources,
): readonly (readonly [name: SettingName, found: FoundSetting | undefined])[] =>
  SETTING_NAMES.map(name => {
    const found = findSetting(name, sources)
    const isUnused = name === "data" && found?.source === "default" && isGiven(findSetting("cluster", sources))
    return [name, isUnused ? undefined : found]
  })

const isGiven = (found: FoundSetting | undefined): boolean => found !== undefined && found.source !== "default"

function configIn(reader: SettingReader): ServeConfig {
  checkVariables(reader)
  checkAliases(reader)
  const switchOf = (name: SettingName) =>
    reader.required(name, (text, where) => parseChoice(text, where, ["yes", "no"])) === "yes"
  const file = fileIn(reader)
  const haste = hasteIn(reader)
  const profile = reader.required("profile", (text, where) => parseChoice(text, where, PROFILES))
  const threads = reader.optional("threads", count(0, FRONT_THREADS_MAX))
  const cluster = clusterOf(reader, haste)
  const dataFolders = dataFoldersIn(reader)
  const matrix = reader.optional("matrix", (text, where) => parseChoice(text, where, ["cauchy", "vandermonde", "xor"]))
  const tls = reader.pair(["tlsCert", "tlsKey"], file, file)
  const rootKey = reader.pair(["rootAccessKey", "rootSecretKey"], parseRootAccessKey, parseRootSecret)
  const masterKeyFile = reader.optional("masterKeyFile", file)
  const lifecycleDay = reader.optional("lifecycleDay", count(1, 86_400))
  const metaCopies = reader.optional("metaCopies", count(1, SHARDS_MAX))
  const encryptAtRest = switchOf("encryptAtRest")
  checkCluster(reader)
  if (encryptAtRest) checkKeyApart(reader)
  return {
    dataFolders,
    cluster,
    matrix,
    metaCopies,
    encryptAtRest,
    masterKeyFile,
    haste,
    policy: reader.optional("redundancy", (text, where) => parseRedundancy(text, where, matrix)),
    profile,
    blockBytes: reader.optional("blockSize", parseBlockSize),
    scrubDays: reader.required("scrubDays", count(1, 3650)),
    abandonedUploadDays: reader.required("abandonedUploadDays", count(0, 3650)),
    lifecycleDayMs: lifecycleDay === undefined ? undefined : 1000 * lifecycleDay,
    refuseSingleCopy: switchOf("refuseSingleCopy"),
    moveBytesPerSecondMax: MIB * reader.required("moveRate", count(1, 1_000_000)),
    hotCopies: hotCopiesOf(reader),
    metadataBackupEveryMs: reader.required("metadataBackupEvery", parseDuration),
    erasedKeysKeptMs: reader.required("erasedKeysKept", parseDuration),
    ...listenersOf(reader),
    threads: profile === "small" && !reader.isSet("threads") ? 0 : (threads ?? 0),
    shutdown: {
      drainMs: 1000 * reader.required("drainSeconds", count(0, 3600)),
      stopMs: reader.required("stopTimeout", parseDuration),
    },
    existingStore: switchOf("existingStore"),
    publicMetrics: switchOf("publicMetrics"),
    corsOrigins: reader.each("corsOrigin", parseOrigin),
    domains: reader.each("domain", parseDomain),
    region: reader.optional("region", parseRegion),
    refuseSignatureV2: switchOf("refuseSignatureV2"),
    allowPublicBuckets: switchOf("allowPublicBuckets"),
    allowAcls: switchOf("allowAcls"),
    ignoreAcls: switchOf("ignoreAcls"),
    ignoreUnknownRoles: switchOf("ignoreUnknownRoles"),
    encryptNewBuckets: switchOf("encryptNewBuckets"),
    allowSseCWithoutTls: switchOf("allowSseCWithoutTls"),
    allowLocalIdentityProviders: switchOf("allowLocalIdentityProviders"),
    consoleSignIn: consoleSignInOf(reader),
    ldap: ldapOf(reader),
    tls: tls && { certFile: tls[0], keyFile: tls[1] },
    website: websiteOf(reader),
    filters: reader.each("filter", filterIn(reader)),
    swift: swiftOf(reader, {
      allowSha1: switchOf("swiftAllowSha1"),
      serviceAccounts: switchOf("swiftServiceAccounts"),
    }),
    k2vListen: reader.optional("k2vListen", parseListen),
    coordination: switchOf("coordination"),
    transforms: switchOf("transforms"),
    transformResultsBytesMax: MIB * reader.required("transformResults", count(0, 1_000_000_000)),
    remotes: reader.optional("remotes", file),
    remoteCacheBytesMax: GIB * reader.required("remoteCache", count(0, 1_000_000)),
    queueListen: reader.optional("queueListen", parseListen),
    nextMasterKeyFile: reader.optional("nextMasterKeyFile", file),
    keyServices: keyServicesOf(reader),
    auditSinks: auditSinksOf(reader),
    log: {
      level: reader.required("logLevel", (text, where) => parseChoice(text, where, ["debug", "info", "warn", "error"])),
      format: reader.required("logFormat", (text, where) => parseChoice(text, where, ["text", "json"])),
    },
    accessLog: accessLogOf(reader),
    tracing: tracingOf(reader),
    ...providedIn(reader),
    rootKey: rootKey && { accessKeyId: rootKey[0], secret: rootKey[1] },
  }
}

/** Entries of a list are separated by more than commas. */
const providedIn = (reader: SettingReader): Pick<ServeConfig, "buckets" | "users"> => ({
  buckets: reader.whole("buckets", parseProvidedBuckets) ?? [],
  users: reader.optional("users", parseProvidedUsers) ?? [],
})

const fileIn =
  ({ sources }: SettingReader) =>
  (text: string, where: string): string =>
    parseFile(text, where, sources.workingFolder)

/** A name, as of a built-in filter, stays as it is; with a slash or a suffix it is a file. */
const filterIn =
  (reader: SettingReader) =>
  (text: string, where: string): string =>
    /^[a-z-]+(?:=|$)/.test(text) ? text : fileIn(reader)(text, where)

/** The default folder is for a store of its own: a node that is to have devices names them. */
function dataFoldersIn(reader: SettingReader): readonly string[] {
  const isNode = reader.isSet("cluster")
  if (isNode && !reader.isSet("data")) return []
  const { workingFolder } = reader.sources
  const folders = reader.whole("data", (texts, where) => parseDataFolders(texts, where, workingFolder)) ?? []
  if (folders.length === 0 && !isNode && !reader.isBroken("data"))
    reader.requirement("data", `${findSetting("data", reader.sources)?.where ?? "--data"}: name at least one folder`)
  return folders
}

function listenersOf(
  reader: SettingReader,
): Pick<ServeConfig, "listen" | "publicUrl" | "adminListen" | "adminHosts" | "hasConsole"> {
  const listen = reader.required("listen", parseListen)
  const adminListen = reader.required("adminListen", parseListen)
  const isSame = listen.port !== 0 && listen.port === adminListen.port && listen.host === adminListen.host
  if (isSame && !reader.isBroken("listen") && !reader.isBroken("adminListen"))
    reader.requirement("adminListen", "--listen and --admin-listen are the same address; use a different port for each")
  const hasConsole = reader.required("console", (text, where) => parseChoice(text, where, ["on", "off"])) === "on"
  const publicUrl = reader.optional("publicUrl", (text, where) =>
    parseServiceUrl(text, where, "https://s3.example.org"),
  )
  return { listen, publicUrl, adminListen, adminHosts: reader.each("adminHost", parseDomain), hasConsole }
}

const ROLES_MAX = 10

function consoleSignInOf(reader: SettingReader): ServeConfig["consoleSignIn"] {
  const both = reader.pair(["consoleOidcIssuer", "consoleOidcClientId"], parseIssuer, parseClientText)
  const clientSecret = reader.optional("consoleOidcClientSecret", parseClientText)
  const roles = reader.each("consoleOidcRole", parseRoleArn)
  const scopes = reader.required("consoleOidcScopes", parseScopes)
  reader.refuseStray(["consoleOidcClientSecret", "consoleOidcRole", "consoleOidcScopes"], "consoleOidcIssuer")
  if (both === undefined) return undefined
  const isRoleBroken = reader.isBroken("consoleOidcRole")
  if ((roles.length === 0 && !isRoleBroken) || roles.length > ROLES_MAX) {
    const message = `--console-oidc-issuer needs one to ${ROLES_MAX} roles that people may take: --console-oidc-role ARN`
    reader.requirement("consoleOidcIssuer", message)
  }
  const [issuer, clientId] = both
  return { issuer, clientId, clientSecret, roles, scopes }
}

const ONLY_WITH_LDAP = [
  "ldapTls",
  "ldapCaFile",
  "ldapBindDn",
  "ldapBindPassword",
  "ldapUserBase",
  "ldapUserFilter",
  "ldapUserAttribute",
  "ldapGroupBase",
  "ldapGroupFilter",
  "ldapTimeout",
] as const

function ldapOf(reader: SettingReader): ServeConfig["ldap"] {
  reader.refuseStray(ONLY_WITH_LDAP, "ldapServer")
  const servers = reader.each("ldapServer", parseLdapServer)
  const lookup = reader.pair(["ldapBindDn", "ldapBindPassword"], parseDn, parseBindPassword)
  const userBases = reader.optional("ldapUserBase", parseDns) ?? []
  const settings = {
    servers,
    tls: reader.required("ldapTls", (text, where) => parseChoice(text, where, ["verified", "unverified", "off"])),
    caFile: reader.optional("ldapCaFile", fileIn(reader)),
    timeoutMs: reader.required("ldapTimeout", (text, where) => checkLdapTimeout(parseDuration(text, where), where)),
    lookup: lookup && { dn: lookup[0], password: lookup[1] },
    userBases,
    userFilter: reader.required("ldapUserFilter", parseFilter(["%s"])),
    userAttribute: reader.optional("ldapUserAttribute", parseAttribute),
    groupBases: reader.optional("ldapGroupBase", parseDns) ?? [],
    groupFilter: reader.required("ldapGroupFilter", parseFilter(["%d", "%s"])),
  }
  if (!reader.isSet("ldapServer")) return undefined
  if (userBases.length === 0 && !reader.isBroken("ldapUserBase"))
    reader.requirement("ldapServer", "--ldap-server needs the entry below which people are: --ldap-user-base DN")
  const plain = servers.find(url => url.startsWith("ldaps:"))
  if (settings.tls === "off" && plain !== undefined)
    reader.requirement("ldapTls", `--ldap-tls off contradicts ${plain}: name it ldap://, or leave TLS on`)
  return settings
}

function websiteOf(reader: SettingReader): WebsiteConfig | undefined {
  reader.refuseStray(["websiteDomain", "websiteCertificates"], "websiteListen")
  const listen = reader.optional("websiteListen", parseListen)
  const domains = reader.each("websiteDomain", parseDomain)
  const certificates = reader.optional("websiteCertificates", fileIn(reader))
  return listen && { listen, domains, certificates }
}

const KEYSTONE_ROLES = [
  "swiftOperatorRole",
  "swiftReaderRole",
  "swiftResellerAdminRole",
  "swiftResellerReaderRole",
  "swiftServiceRole",
] as const
const KEYSTONE_OPERATORS = ["admin", "member"]
const KEYSTONE_READERS = ["reader"]
const KEYSTONE_SERVICES = ["service"]

const ONLY_WITH_SWIFT = [
  "swiftAllowSha1",
  "swiftKeystone",
  "swiftInfoKey",
  "swiftHideInfo",
  "swiftServiceAccounts",
  "swiftSyncRealms",
] as const

function swiftOf(
  reader: SettingReader,
  { allowSha1, serviceAccounts }: Pick<SwiftConfig, "allowSha1" | "serviceAccounts">,
): SwiftConfig | undefined {
  reader.refuseStray(ONLY_WITH_SWIFT, "swiftListen")
  reader.refuseStray(KEYSTONE_ROLES, "swiftKeystone")
  reader.refuseStray(["swiftServiceRole"], "swiftServiceAccounts")
  const listen = reader.optional("swiftListen", parseListen)
  const url = reader.optional("swiftKeystone", parseIssuer)
  const [operators = [], readers = [], resellerAdmins = [], resellerReaders = [], services = []] = KEYSTONE_ROLES.map(
    name => reader.each(name, parseName),
  )
  const keystone = url && {
    url,
    operators: operators.length === 0 ? KEYSTONE_OPERATORS : operators,
    readers: readers.length === 0 ? KEYSTONE_READERS : readers,
    resellerAdmins,
    resellerReaders,
    services: services.length === 0 ? KEYSTONE_SERVICES : services,
  }
  const info = {
    adminKey: reader.optional("swiftInfoKey", parseRootSecret),
    hidden: reader.each("swiftHideInfo", parseInfoSection),
  }
  const syncRealms = reader.optional("swiftSyncRealms", fileIn(reader))
  return (
    listen && {
      listen,
      allowSha1,
      serviceAccounts,
      info,
      syncRealms,
      keystone: keystone === "" ? undefined : keystone,
    }
  )
}

const ONLY_WITH_CLUSTER = ["node", "zone", "machine", "nodeListen", "nodeAddress"] as const

function clusterOf(reader: SettingReader, haste: number | undefined): ClusterConfig | undefined {
  reader.refuseStray(ONLY_WITH_CLUSTER, "cluster")
  const databaseUrl = reader.optional("cluster", parseDatabaseUrl)
  const named = reader.optional("node", parseName)
  const [zone, machine] = [reader.optional("zone", parseName), reader.optional("machine", parseName)]
  const nodeListen = reader.required("nodeListen", parseListen)
  const nodeAddress = reader.optional("nodeAddress", parseListen)
  if (databaseUrl === undefined) return undefined
  const node = named ?? hostNameIn(reader)
  return { databaseUrl, node, zone, machine: machine ?? node, nodeListen, nodeAddress, haste }
}

function hasteIn(reader: SettingReader): number | undefined {
  const text = reader.sources.environment[HASTE_ENVIRONMENT]
  if (text === undefined) return undefined
  try {
    return parseCount(text, HASTE_ENVIRONMENT, { min: 1, max: HASTE_MAX })
  } catch (error) {
    if (!isFailure(error, "invalidConfig")) throw error
    reader.unknown(error.message)
    return undefined
  }
}

/** The name of a node that sets none. */
function hostNameIn(reader: SettingReader): string {
  const { hostName } = reader.sources
  if (reader.isBroken("node")) return hostName
  try {
    return parseName(hostName, "the host name; set --node")
  } catch (error) {
    if (!isFailure(error, "invalidConfig")) throw error
    reader.requirement("node", error.message)
    return hostName
  }
}

/** The same settings of a node, given while its process runs. Throws `invalidConfig`. */
export function clusterConfigOf(
  flags: Pick<SettingsInput, "cluster" | (typeof ONLY_WITH_CLUSTER)[number]>,
  hostName: string,
): ClusterConfig | undefined {
  const reader = new SettingReader({ flags, environment: {}, file: undefined, workingFolder: "/", hostName })
  return checked(reader, clusterOf(reader, undefined))
}

function hotCopiesOf(reader: SettingReader): ServeConfig["hotCopies"] {
  reader.refuseStray(["hotReads"], "hotCopies")
  const readsPerMinute = reader.required("hotReads", count(1, 60_000))
  const budgetBytes = reader.optional("hotCopies", parseMemory)
  return budgetBytes === undefined ? undefined : { budgetBytes, readsPerMinute }
}

function auditSinksOf(reader: SettingReader): ServeConfig["auditSinks"] {
  const webhook = reader.pair(["auditWebhook", "auditWebhookSecret"], parseWebhook, parseRootSecret)
  return {
    file: reader.optional("auditFile", fileIn(reader)),
    webhook: webhook && { url: webhook[0], secret: webhook[1] },
    bucket: reader.optional("auditBucket", parseAuditBucket),
  }
}

function tracingOf(reader: SettingReader): ServeConfig["tracing"] {
  reader.refuseStray(["traceOneIn"], "traceEndpoint")
  const oneIn = reader.required("traceOneIn", count(1, 1_000_000))
  return reader.optional("traceEndpoint", (text, where) => ({ endpoint: parseServiceUrl(text, where), oneIn }))
}

function accessLogOf(reader: SettingReader): ServeConfig["accessLog"] {
  const format = reader.required("accessLogFormat", (text, where) => parseChoice(text, where, ["json", "s3"]))
  reader.refuseStray(["accessLogFormat"], "accessLog")
  const file = fileIn(reader)
  return reader.optional("accessLog", (text, where) => ({
    file: text === "stderr" ? undefined : file(text, where),
    format,
  }))
}

function keyServicesOf(reader: SettingReader): ServeConfig["keyServices"] {
  const keepSeconds = reader.required("kmsCacheSeconds", count(0, 3600))
  return { vault: vaultOf(reader), aws: awsOf(reader), keepMs: 1000 * keepSeconds }
}

function vaultOf(reader: SettingReader): ServeConfig["keyServices"]["vault"] {
  const file = fileIn(reader)
  const both = reader.pair(["kmsVaultUrl", "kmsVaultTokenFile"], parseServiceUrl, file)
  reader.refuseStray(["kmsVaultMount", "kmsVaultNamespace", "kmsVaultCaFile"], "kmsVaultUrl")
  const mount = reader.required("kmsVaultMount", parseServicePath)
  const namespace = reader.optional("kmsVaultNamespace", parseServicePath)
  const authoritiesFile = reader.optional("kmsVaultCaFile", file)
  return both && { url: both[0], tokenFile: both[1], mount, namespace, authoritiesFile }
}

function awsOf(reader: SettingReader): ServeConfig["keyServices"]["aws"] {
  const both = reader.pair(["kmsAwsRegion", "kmsAwsCredentialsFile"], parseRegion, fileIn(reader))
  reader.refuseStray(["kmsAwsEndpoint"], "kmsAwsRegion")
  const endpoint = reader.optional("kmsAwsEndpoint", parseServiceUrl)
  if (both === undefined) return undefined
  const [region, credentialsFile] = both
  return { endpoint: endpoint ?? `https://kms.${region}.amazonaws.com`, region, credentialsFile }
}

/** A reader of the database must not be able to unseal the secrets in it. */
function checkCluster(reader: SettingReader): void {
  if (!reader.isSet("cluster")) return
  if (!reader.isSet("masterKeyFile")) {
    reader.requirement(
      "cluster",
      "--cluster needs --master-key-file: every node has the same key, and the database does not; create one with: openssl rand -hex 32 > FILE",
    )
  }
  if (reader.isSet("metaCopies"))
    reader.requirement("metaCopies", "--meta-copies has no meaning with --cluster: the database keeps the copies")
}

/** A disk that holds its own key opens itself. */
function checkKeyApart(reader: SettingReader): void {
  if (reader.isSet("masterKeyFile")) return
  reader.requirement(
    "encryptAtRest",
    "--encrypt-at-rest needs --master-key-file: if the key were on the same disks, a stolen disk could be read; create one with: openssl rand -hex 32 > FILE, or move the key of a store out of its data folders with: hayloft key move-out FILE",
  )
}

/** The policy of a new store with this number of devices. Throws `invalidConfig` if they are too few for it. */
export function policyOfNewStore(config: ServeConfig, devices: number): Policy {
  const policy = config.policy ?? defaultPolicy(devices, config.matrix)
  const needed = shardCount(policy)
  if (needed > devices) {
    throw fail("invalidConfig", {
      message: `${textOfPolicy(policy)} needs ${needed} data folders, but there ${devices === 1 ? "is 1" : `are ${devices}`}; add --data folders or choose another --redundancy`,
    })
  }
  if (config.matrix !== undefined && (policy.kind === "replica" || policy.matrix !== config.matrix)) {
    throw fail("invalidConfig", {
      message: `--matrix ${config.matrix} does not fit ${textOfPolicy(policy)}, the default of ${devices} folders; set --redundancy too`,
    })
  }
  if ((config.metaCopies ?? 1) > devices) {
    throw fail("invalidConfig", {
      message: `--meta-copies ${config.metaCopies} needs as many data folders, but there are ${devices}`,
    })
  }
  return policy
}
