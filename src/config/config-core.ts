/**
 * Configuration resolution: combines flags, environment and file into one checked configuration. A flag overrides the
 * environment, the environment overrides the file, the file overrides the default.
 *
 * Pure: the caller has read the file. An invalid setting throws `invalidConfig` with one line that names its source
 * and the expected value; nothing is ignored silently.
 */
import { fail } from "../base/failures.js"
import { MIB, SHARDS_MAX } from "../base/limits.js"
import { defaultPolicy, shardCount, textOfPolicy, type Policy } from "../base/policy.js"
import {
  CLIENT_ENVIRONMENT,
  CONFIG_FILE_ENVIRONMENT,
  SETTINGS,
  SETTING_NAMES,
  type ClusterConfig,
  type ServeConfig,
  type Setting,
  type SettingName,
  type WebsiteConfig,
} from "./config.js"
import {
  parseBlockSize,
  parseChoice,
  parseCount,
  parseDataFolders,
  parseDomain,
  parseDuration,
  parseFile,
  parseListen,
  parseName,
  parseRedundancy,
  parseDatabaseUrl,
  parseRegion,
  parseRootAccessKey,
  parseRootSecret,
  parseServicePath,
  parseServiceUrl,
} from "./config-values.js"

export type Environment = Readonly<Record<string, string | undefined>>
/** Texts by setting, from one source. */
export type SettingsInput = { readonly [name in SettingName]?: readonly string[] }

export interface ConfigSources {
  readonly flags: SettingsInput
  readonly environment: Environment
  /** Settings of the `--config` file, and its path for messages. */
  readonly file: { readonly path: string; readonly settings: SettingsInput } | undefined
  /** Relative paths are resolved against it. */
  readonly workingFolder: string
  readonly hostName: string
}

interface RawSettings {
  readonly texts: readonly string[]
  readonly where: string
}

/** Variables that a container platform sets automatically for a service called "hayloft". */
const SERVICE_LINK = /^HAYLOFT_(SERVICE_|PORT(_|$))/

/** Throws `invalidConfig` for an unknown `HAYLOFT_…` variable: it is most likely a typo. */
function checkVariables(environment: Environment): void {
  const known = new Set<string>([
    ...SETTING_NAMES.map(name => SETTINGS[name].environment),
    ...Object.keys(CLIENT_ENVIRONMENT),
    CONFIG_FILE_ENVIRONMENT,
  ])
  for (const name of Object.keys(environment)) {
    if (!name.startsWith("HAYLOFT_") || known.has(name) || SERVICE_LINK.test(name)) continue
    throw fail("invalidConfig", { message: `unknown environment variable ${name}; "hayloft serve --help" lists them` })
  }
}

function fromEnvironment(setting: Setting, environment: Environment): readonly string[] | undefined {
  const text = environment[setting.environment]
  if (text === undefined || text === "") return undefined
  return setting.repeatable ? text.split(",").map(part => part.trim()) : [text]
}

function find(name: SettingName, sources: ConfigSources): RawSettings | undefined {
  const setting: Setting = SETTINGS[name]
  const flags = sources.flags[name]
  if (flags !== undefined && flags.length > 0) return { texts: flags, where: setting.flag ?? name }
  const variable = fromEnvironment(setting, sources.environment)
  if (variable !== undefined) return { texts: variable, where: setting.environment }
  const inFile = sources.file?.settings[name]
  if (inFile !== undefined) return { texts: inFile, where: `"${name}" in ${sources.file?.path ?? ""}` }
  return setting.fallback === undefined ? undefined : { texts: [setting.fallback], where: setting.flag ?? name }
}

/** By other sources than its default. */
function isSet(name: SettingName, sources: ConfigSources): boolean {
  const setting: Setting = SETTINGS[name]
  return (
    (sources.flags[name]?.length ?? 0) > 0 ||
    fromEnvironment(setting, sources.environment) !== undefined ||
    sources.file?.settings[name] !== undefined
  )
}

/** Parses the single value of a setting; undefined if it is not set. */
function one<T>(input: RawSettings | undefined, parse: (text: string, where: string) => T): T | undefined {
  const [text, ...more] = input?.texts ?? []
  if (input === undefined || text === undefined) return undefined
  if (more.length > 0)
    throw fail("invalidConfig", { message: `${input.where}: set it once, not ${more.length + 1} times` })
  return parse(text, input.where)
}

function required<T>(name: SettingName, sources: ConfigSources, parse: (text: string, where: string) => T): T {
  const value = one(find(name, sources), parse)
  if (value === undefined) throw fail("invalidConfig", { message: `${SETTINGS[name].flag ?? name} is not set` })
  return value
}

/** Two settings that must be set together. */
function pair<A, B>(
  first: A | undefined,
  second: B | undefined,
  names: readonly [SettingName, SettingName],
): readonly [A, B] | undefined {
  if (first === undefined && second === undefined) return undefined
  if (first !== undefined && second !== undefined) return [first, second]
  const shown = names.map(name => SETTINGS[name].flag ?? SETTINGS[name].environment)
  const [present, missing] = first === undefined ? [shown[1], shown[0]] : shown
  throw fail("invalidConfig", { message: `${present} is set without ${missing}; set both or neither` })
}

/** Throws `invalidConfig` with the first error. */
export function resolveConfig(sources: ConfigSources): ServeConfig {
  checkVariables(sources.environment)
  const { workingFolder } = sources
  const optional = <T>(name: SettingName, parse: (text: string, where: string) => T) => one(find(name, sources), parse)
  const switchOf = (name: SettingName) =>
    required(name, sources, (text, where) => parseChoice(text, where, ["yes", "no"])) === "yes"
  const file = (text: string, where: string) => parseFile(text, where, workingFolder)

  const cluster = clusterOf(sources)
  // The default folder is for a store of its own: a node that is to have devices names them.
  const data = cluster === undefined || isSet("data", sources) ? find("data", sources) : undefined
  const dataFolders = parseDataFolders(data?.texts ?? [], data?.where ?? "--data", workingFolder)
  if (dataFolders.length === 0 && cluster === undefined)
    throw fail("invalidConfig", { message: `${data?.where ?? "--data"}: name at least one folder` })
  const matrix = optional("matrix", (text, where) => parseChoice(text, where, ["cauchy", "vandermonde", "xor"]))
  const domain = find("domain", sources)
  const tls = pair(optional("tlsCert", file), optional("tlsKey", file), ["tlsCert", "tlsKey"])
  const rootKey = pair(optional("rootAccessKey", parseRootAccessKey), optional("rootSecretKey", parseRootSecret), [
    "rootAccessKey",
    "rootSecretKey",
  ])
  const masterKeyFile = optional("masterKeyFile", file)
  const metaCopies = optional("metaCopies", (text, where) => parseCount(text, where, { min: 1, max: SHARDS_MAX }))
  checkCluster({ cluster, masterKeyFile, metaCopies })
  return {
    dataFolders,
    cluster,
    policy: optional("redundancy", (text, where) => parseRedundancy(text, where, matrix)),
    matrix,
    metaCopies,
    blockBytes: optional("blockSize", parseBlockSize),
    scrubDays: required("scrubDays", sources, (text, where) => parseCount(text, where, { min: 1, max: 3650 })),
    abandonedUploadDays: required("abandonedUploadDays", sources, (text, where) =>
      parseCount(text, where, { min: 0, max: 3650 }),
    ),
    lifecycleDayMs: optional("lifecycleDay", (text, where) => 1000 * parseCount(text, where, { min: 1, max: 86_400 })),
    refuseSingleCopy: switchOf("refuseSingleCopy"),
    moveBytesPerSecondMax:
      MIB * required("moveRate", sources, (text, where) => parseCount(text, where, { min: 1, max: 1_000_000 })),
    metadataBackupEveryMs: required("metadataBackupEvery", sources, parseDuration),
    erasedKeysKeptMs: required("erasedKeysKept", sources, parseDuration),
    ...listenersOf(sources),
    domains: [...new Set((domain?.texts ?? []).map(text => parseDomain(text, domain?.where ?? "--domain")))],
    region: optional("region", parseRegion),
    refuseSignatureV2: switchOf("refuseSignatureV2"),
    allowPublicBuckets: switchOf("allowPublicBuckets"),
    allowAcls: switchOf("allowAcls"),
    encryptNewBuckets: switchOf("encryptNewBuckets"),
    encryptAtRest: switchOf("encryptAtRest") && hasKeyApart(masterKeyFile),
    allowSseCWithoutTls: switchOf("allowSseCWithoutTls"),
    allowLocalIdentityProviders: switchOf("allowLocalIdentityProviders"),
    tls: tls && { certFile: tls[0], keyFile: tls[1] },
    website: websiteOf(sources),
    ...{ masterKeyFile, nextMasterKeyFile: optional("nextMasterKeyFile", file) },
    keyServices: keyServicesOf(sources),
    log: {
      level: required("logLevel", sources, (text, where) =>
        parseChoice(text, where, ["debug", "info", "warn", "error"]),
      ),
      format: required("logFormat", sources, (text, where) => parseChoice(text, where, ["text", "json"])),
    },
    rootKey: rootKey && { accessKeyId: rootKey[0], secret: rootKey[1] },
  }
}

function listenersOf(sources: ConfigSources): Pick<ServeConfig, "listen" | "adminListen"> {
  const listen = required("listen", sources, parseListen)
  const adminListen = required("adminListen", sources, parseListen)
  if (listen.port !== 0 && listen.port === adminListen.port && listen.host === adminListen.host) {
    throw fail("invalidConfig", {
      message: `--listen and --admin-listen are the same address; use a different port for each`,
    })
  }
  return { listen, adminListen }
}

function websiteOf(sources: ConfigSources): WebsiteConfig | undefined {
  const listen = one(find("websiteListen", sources), parseListen)
  if (listen === undefined) {
    refuseStray(["websiteDomain", "websiteCertificates"], "websiteListen", sources)
    return undefined
  }
  const domain = find("websiteDomain", sources)
  const texts = domain?.texts ?? []
  const file = (text: string, where: string) => parseFile(text, where, sources.workingFolder)
  return {
    listen,
    domains: [...new Set(texts.map(text => parseDomain(text, domain?.where ?? "--website-domain")))],
    certificates: one(find("websiteCertificates", sources), file),
  }
}

const ONLY_WITH_CLUSTER = ["node", "zone", "machine", "nodeListen", "nodeAddress"] as const

function clusterOf(sources: ConfigSources): ClusterConfig | undefined {
  const optional = <T>(name: SettingName, parse: (text: string, where: string) => T) => one(find(name, sources), parse)
  const databaseUrl = optional("cluster", parseDatabaseUrl)
  if (databaseUrl === undefined) {
    refuseStray(ONLY_WITH_CLUSTER, "cluster", sources)
    return undefined
  }
  const node = optional("node", parseName) ?? parseName(sources.hostName, "the host name; set --node")
  return {
    databaseUrl,
    node,
    zone: optional("zone", parseName),
    machine: optional("machine", parseName) ?? node,
    nodeListen: required("nodeListen", sources, parseListen),
    nodeAddress: optional("nodeAddress", parseListen),
  }
}

/** The same settings of a node, given while its process runs. Throws `invalidConfig`. */
export const clusterConfigOf = (
  flags: Pick<SettingsInput, "cluster" | (typeof ONLY_WITH_CLUSTER)[number]>,
  hostName: string,
): ClusterConfig | undefined => clusterOf({ flags, environment: {}, file: undefined, workingFolder: "/", hostName })

function keyServicesOf(sources: ConfigSources): ServeConfig["keyServices"] {
  const keepSeconds = required("kmsCacheSeconds", sources, (text, where) =>
    parseCount(text, where, { min: 0, max: 3600 }),
  )
  return { vault: vaultOf(sources), aws: awsOf(sources), keepMs: 1000 * keepSeconds }
}

function vaultOf(sources: ConfigSources): ServeConfig["keyServices"]["vault"] {
  const optional = <T>(name: SettingName, parse: (text: string, where: string) => T) => one(find(name, sources), parse)
  const file = (text: string, where: string) => parseFile(text, where, sources.workingFolder)
  const both = pair(optional("kmsVaultUrl", parseServiceUrl), optional("kmsVaultTokenFile", file), [
    "kmsVaultUrl",
    "kmsVaultTokenFile",
  ])
  if (both === undefined) {
    refuseStray(["kmsVaultMount", "kmsVaultNamespace", "kmsVaultCaFile"], "kmsVaultUrl", sources)
    return undefined
  }
  return {
    url: both[0],
    tokenFile: both[1],
    mount: required("kmsVaultMount", sources, parseServicePath),
    namespace: optional("kmsVaultNamespace", parseServicePath),
    authoritiesFile: optional("kmsVaultCaFile", file),
  }
}

function awsOf(sources: ConfigSources): ServeConfig["keyServices"]["aws"] {
  const optional = <T>(name: SettingName, parse: (text: string, where: string) => T) => one(find(name, sources), parse)
  const file = (text: string, where: string) => parseFile(text, where, sources.workingFolder)
  const both = pair(optional("kmsAwsRegion", parseRegion), optional("kmsAwsCredentialsFile", file), [
    "kmsAwsRegion",
    "kmsAwsCredentialsFile",
  ])
  if (both === undefined) {
    refuseStray(["kmsAwsEndpoint"], "kmsAwsRegion", sources)
    return undefined
  }
  const [region, credentialsFile] = both
  const endpoint = optional("kmsAwsEndpoint", parseServiceUrl) ?? `https://kms.${region}.amazonaws.com`
  return { endpoint, region, credentialsFile }
}

/** Settings without the one that gives them a meaning. */
function refuseStray(names: readonly SettingName[], needed: SettingName, sources: ConfigSources): void {
  const stray = names.find(name => isSet(name, sources))
  if (stray === undefined) return
  throw fail("invalidConfig", { message: `${SETTINGS[stray].flag} has no meaning without ${SETTINGS[needed].flag}` })
}

/** A reader of the database must not be able to unseal the secrets in it. */
function checkCluster(config: Pick<ServeConfig, "cluster" | "masterKeyFile" | "metaCopies">): void {
  if (config.cluster === undefined) return
  if (config.masterKeyFile === undefined) {
    throw fail("invalidConfig", {
      message:
        "--cluster needs --master-key-file: every node has the same key, and the database does not; create one with: openssl rand -hex 32 > FILE",
    })
  }
  if (config.metaCopies !== undefined) {
    throw fail("invalidConfig", {
      message: "--meta-copies has no meaning with --cluster: the database keeps the copies",
    })
  }
}

/** A disk that holds its own key opens itself: throws then. */
function hasKeyApart(masterKeyFile: string | undefined): true {
  if (masterKeyFile !== undefined) return true
  throw fail("invalidConfig", {
    message:
      "--encrypt-at-rest needs --master-key-file: if the key were on the same disks, a stolen disk could be read; create one with: openssl rand -hex 32 > FILE, or move the key of a store out of its data folders with: hayloft key move-out FILE",
  })
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
