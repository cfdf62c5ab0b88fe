/**
 * MinIO's environment variables as settings of Hayloft. Pure.
 *
 * Promises  A variable that has a meaning here has it as soon as it is set; every other one of MinIO is named, so that nobody
 *           believes that it does something. Of two names for the same, the newer one counts.
 * Refuses   a root user without a password, and the other way round.
 */
import { isIP } from "node:net"
import { fail } from "@hayloft/base/failures.js"
import type { Environment, SettingAliases, SettingName } from "@hayloft/node/config/index.js"
import { withoutTrailing } from "@hayloft/base/text/trailing.js"

interface KnownVariable {
  /** The newest name first. */
  readonly names: readonly string[]
  readonly setting: SettingName
  /** The texts of the setting; by default the one of the variable. None: the setting stays as it is. */
  readonly texts?: (text: string) => readonly string[]
}

const separated = (text: string): readonly string[] =>
  text
    .split(",")
    .map(part => part.trim())
    .filter(part => part !== "")

/** MinIO's words for a switch; others stay as they are, so that the setting refuses them. */
const switched =
  (on: string, off: string) =>
  (text: string): readonly string[] => {
    if (/^(on|true|enabled?|1)$/i.test(text)) return [on]
    return [/^(off|false|disabled?|0)$/i.test(text) ? off : text]
  }

/** The name by which browsers reach the console; an address needs no entry. */
function hostOf(text: string): readonly string[] {
  const host = /^https?:\/\//i.test(text) && URL.canParse(text) ? new URL(text).hostname : text
  return isIP(host.replace(/^\[(.*)\]$/, "$1")) === 0 ? [host] : []
}

const authentication = (text: string): readonly string[] => {
  if (/^public$/i.test(text)) return ["yes"]
  return [/^jwt$/i.test(text) ? "no" : text]
}

const withoutSlash = (text: string): readonly string[] => [withoutTrailing(text, "/")]

const KNOWN: readonly KnownVariable[] = [
  { names: ["MINIO_SITE_REGION", "MINIO_REGION", "MINIO_REGION_NAME"], setting: "region" },
  { names: ["MINIO_DOMAIN"], setting: "domain", texts: separated },
  { names: ["MINIO_BROWSER"], setting: "console", texts: switched("on", "off") },
  { names: ["MINIO_SERVER_URL"], setting: "publicUrl", texts: withoutSlash },
  { names: ["MINIO_BROWSER_REDIRECT_URL"], setting: "adminHost", texts: hostOf },
  { names: ["MINIO_DEFAULT_BUCKETS"], setting: "buckets" },
  { names: ["MINIO_PROMETHEUS_AUTH_TYPE"], setting: "publicMetrics", texts: authentication },
  { names: ["MINIO_API_CORS_ALLOW_ORIGIN"], setting: "corsOrigin", texts: separated },
  { names: ["MINIO_KMS_AUTO_ENCRYPTION"], setting: "encryptNewBuckets", texts: switched("yes", "no") },
]

/** MinIO's sign-in by LDAP; its server's address is in `ldapAliases`. */
const OF_LDAP: readonly KnownVariable[] = [
  { names: ["MINIO_IDENTITY_LDAP_LOOKUP_BIND_DN"], setting: "ldapBindDn" },
  { names: ["MINIO_IDENTITY_LDAP_LOOKUP_BIND_PASSWORD"], setting: "ldapBindPassword" },
  { names: ["MINIO_IDENTITY_LDAP_USER_DN_SEARCH_BASE_DN"], setting: "ldapUserBase" },
  { names: ["MINIO_IDENTITY_LDAP_USER_DN_SEARCH_FILTER"], setting: "ldapUserFilter" },
  { names: ["MINIO_IDENTITY_LDAP_GROUP_SEARCH_BASE_DN"], setting: "ldapGroupBase" },
  { names: ["MINIO_IDENTITY_LDAP_GROUP_SEARCH_FILTER"], setting: "ldapGroupFilter" },
]

const LDAP_SERVER = "MINIO_IDENTITY_LDAP_SERVER_ADDR"
/** Switches that say how the server is reached. */
const LDAP_SWITCHES = {
  insecure: "MINIO_IDENTITY_LDAP_SERVER_INSECURE",
  startTls: "MINIO_IDENTITY_LDAP_SERVER_STARTTLS",
  skipVerify: "MINIO_IDENTITY_LDAP_TLS_SKIP_VERIFY",
  enabled: "MINIO_IDENTITY_LDAP_ENABLE",
} as const

/** Pairs of root user and password, the newest names first. A pair with either of its names is the one that counts. */
const ROOT_PAIRS = [
  ["MINIO_ROOT_USER", "MINIO_ROOT_PASSWORD"],
  ["MINIO_ACCESS_KEY", "MINIO_SECRET_KEY"],
] as const

/** Variables whose values may be in files, which `VARIABLE_FILE` names. */
export const MINIO_SECRETS: readonly string[] = [...ROOT_PAIRS.flat(), "MINIO_IDENTITY_LDAP_LOOKUP_BIND_PASSWORD"]

/** Variables in place of arguments. The second name is that of Bitnami's image, whose ports are numbers. */
const ARGUMENTS = {
  folders: ["MINIO_VOLUMES", "MINIO_DATA_DIR"],
  address: ["MINIO_ADDRESS", "MINIO_API_PORT_NUMBER"],
  consoleAddress: ["MINIO_CONSOLE_ADDRESS", "MINIO_CONSOLE_PORT_NUMBER"],
} as const satisfies Record<string, readonly string[]>

/** The file with further variables, which a systemd unit or an operator writes. */
export const ENVIRONMENT_FILE = "MINIO_CONFIG_ENV_FILE"

/** There is nothing to do for them: a unit has put them into the arguments, or they are about MinIO's own build. */
const NEEDLESS = [ENVIRONMENT_FILE, "MINIO_OPTS", "MINIO_CI_CD", "MINIO_UPDATE", "MINIO_UPDATE_MINISIGN_PUBKEY"]

/** Variables that a container platform sets automatically for a service called "minio". */
const SERVICE_LINK = /^MINIO_(SERVICE_|PORT(_|$))/

const isGiven = (environment: Environment, name: string): boolean => (environment[name] ?? "") !== ""

/** Root user and password. Throws `invalidConfig` for one without the other. */
function rootAliases(environment: Environment): SettingAliases {
  const pair = ROOT_PAIRS.find(names => names.some(name => isGiven(environment, name)))
  if (pair === undefined) return {}
  const [user, password] = pair
  const [id, secret] = [environment[user], environment[password]]
  if (!id || !secret) {
    const [present, missing] = id ? pair : [password, user]
    throw fail("invalidConfig", { message: `${present} is set without ${missing}: set both or neither` })
  }
  return { rootAccessKey: { texts: [id], where: user }, rootSecretKey: { texts: [secret], where: password } }
}

/**
 * The settings of sign-in by LDAP. As in MinIO the connection has TLS from its beginning unless StartTLS or none is asked
 * for, and without an address, or with a switch that is off, there is no such sign-in. Throws `invalidConfig`.
 */
function ldapAliases(environment: Environment): SettingAliases {
  const isOn = (name: string): boolean => switched("on", "off")(environment[name] ?? "")[0] === "on"
  const { insecure, startTls, skipVerify, enabled } = LDAP_SWITCHES
  const address = environment[LDAP_SERVER] ?? ""
  if (address === "" || (isGiven(environment, enabled) && !isOn(enabled))) return {}
  const [isPlain, isStarted] = [isOn(insecure), isOn(startTls)]
  if (isPlain && isStarted)
    throw fail("invalidConfig", { message: `${insecure} and ${startTls} are both on: switch one of them off` })
  const scheme = isPlain || isStarted ? "ldap" : "ldaps"
  const unprotected = isPlain
    ? { texts: ["off"], where: insecure }
    : isOn(skipVerify)
      ? { texts: ["unverified"], where: skipVerify }
      : undefined
  return {
    ldapServer: { texts: [`${scheme}://${address}`], where: LDAP_SERVER },
    ...(unprotected !== undefined && { ldapTls: unprotected }),
    ...aliasesOf(OF_LDAP, environment),
  }
}

function aliasesOf(known: readonly KnownVariable[], environment: Environment): SettingAliases {
  const found = known.flatMap(({ names, setting, texts = text => [text] }) => {
    const where = names.find(name => isGiven(environment, name))
    const values = where === undefined ? [] : texts(environment[where] ?? "")
    return values.length === 0 ? [] : [[setting, { texts: values, where }] as const]
  })
  return Object.fromEntries(found)
}

/** The settings that MinIO's variables name. Throws `invalidConfig`. */
export const minioAliases = (environment: Environment): SettingAliases => ({
  ...aliasesOf(KNOWN, environment),
  ...ldapAliases(environment),
  ...rootAliases(environment),
})

/** The value of the variable that is set in place of an argument, and its name. */
export function minioArgument(
  environment: Environment,
  argument: keyof typeof ARGUMENTS,
): { readonly text: string; readonly where: string } | undefined {
  const where = ARGUMENTS[argument].find(name => isGiven(environment, name))
  if (where === undefined) return undefined
  const text = environment[where] ?? ""
  return { text: where.endsWith("_PORT_NUMBER") ? `:${text}` : text, where }
}

/** The variables of MinIO that mean something here, as far as they are set. */
export const minioVariablesIn = (environment: Environment): readonly string[] =>
  [...MEANT].filter(name => isGiven(environment, name))

const MEANT: ReadonlySet<string> = new Set([
  ...[...KNOWN, ...OF_LDAP].flatMap(({ names }) => names),
  LDAP_SERVER,
  ...Object.values(LDAP_SWITCHES),
  ...MINIO_SECRETS,
  ...Object.values(ARGUMENTS).flat(),
])

/** The variables of MinIO that are set and mean nothing here, sorted. */
export function idleVariables(environment: Environment): readonly string[] {
  const known = new Set([...MEANT, ...MINIO_SECRETS.map(name => `${name}_FILE`), ...NEEDLESS])
  return Object.keys(environment)
    .filter(name => name.startsWith("MINIO_") && isGiven(environment, name))
    .filter(name => !known.has(name) && !SERVICE_LINK.test(name))
    .sort()
}

/**
 * The lines `NAME=VALUE` of a file of variables. Comments, `export` and quotes around a value are left out. Throws
 * `invalidConfig` for another line, which is named by its number, as it may have a secret.
 */
export function variablesOfFile(text: string, path: string): Environment {
  const pairs = text.split(/\r?\n/).flatMap((line, at) => {
    if (/^\s*(#|$)/.test(line)) return []
    const [, name, value = ""] = /^(?:export\s+)?([A-Za-z_]\w*)=(.*)$/.exec(line.trim()) ?? []
    if (name === undefined)
      throw fail("invalidConfig", { message: `${ENVIRONMENT_FILE}: line ${at + 1} of ${path} is not NAME=VALUE` })
    const [, , quoted] = /^(["'])(.*)\1$/.exec(value) ?? []
    return [[name, quoted ?? value] as const]
  })
  return Object.fromEntries(pairs)
}
