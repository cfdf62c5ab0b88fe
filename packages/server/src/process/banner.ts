/** Banner: the output of a start: addresses, redundancy, warnings, and three ways to store a first object. */
import { fileSystemWarning } from "@hayloft/base/file-systems.js"
import type { ListenAddress, ServeConfig } from "@hayloft/node/config/config.js"
import type { OpenedStore } from "@hayloft/node/open/contract.js"
import type { Disk } from "@hayloft/base/seams/disk/contract.js"

interface BannerFacts {
  readonly version: string
  /** How this program is called in a shell. */
  readonly command: string
  readonly endpoint: string
  readonly adminEndpoint: string
  /** The admin port serves the web console. */
  readonly hasConsole: boolean
  /** Ports besides S3 and the admin port: title and URL. */
  readonly furtherEndpoints: readonly (readonly [title: string, endpoint: string])[]
  readonly region: string
  readonly accessKeyId: string
  /** Only at the first start of a store with a generated root key. */
  readonly secret: string | undefined
  /** None: the node is a gateway. */
  readonly dataFolders: readonly string[]
  /** The command line uses this data folder by default. */
  readonly isDefaultData: boolean
  readonly masterKeyFile: string | undefined
  readonly redundancy: string
  /** How many devices are online and offline, if the start says so. */
  readonly devices: { readonly online: number; readonly offline: number } | undefined
  readonly warnings: readonly string[]
}

const TITLE_WIDTH = 12

const foldersInWords = (folders: readonly string[]): string =>
  folders.length <= 2
    ? folders.join(", ")
    : `${folders[0] ?? ""} ... ${folders.at(-1) ?? ""} (${folders.length} folders)`

/** Commands for another terminal. */
function firstObject({ command, endpoint, region, dataFolders, isDefaultData, masterKeyFile }: BannerFacts): string[] {
  const credentials = `eval "$(${command} env)"`
  const sign = `--aws-sigv4 "aws:amz:${region}:s3" --user "$AWS_ACCESS_KEY_ID:$AWS_SECRET_ACCESS_KEY" -H 'x-amz-content-sha256: UNSIGNED-PAYLOAD'`
  const variables = [
    ...(isDefaultData ? [] : [`HAYLOFT_DATA='${dataFolders.join(",")}'`]),
    ...(masterKeyFile === undefined ? [] : [`HAYLOFT_MASTER_KEY_FILE='${masterKeyFile}'`]),
  ]
  return [
    "A first object, in another terminal:",
    ...(variables.length === 0 ? [] : [`  export ${variables.join(" ")}`]),
    `  ${command} cp README.md s3://first/`,
    `  ${credentials}; curl -X PUT ${endpoint}/second ${sign}; curl -T README.md ${endpoint}/second/ ${sign}`,
    `  ${credentials}; aws s3 mb s3://third && aws s3 cp README.md s3://third/`,
  ]
}

export function bannerOf(facts: BannerFacts): string {
  const { command, endpoint, adminEndpoint, region, accessKeyId, secret, dataFolders, devices } = facts
  const isGateway = dataFolders.length === 0
  const lines = [
    `Hayloft ${facts.version}  S3 ${endpoint}  region ${region}  admin ${adminEndpoint}`,
    secret === undefined
      ? `Access key  ${accessKeyId}  (its secret: ${command} env${isGateway ? ", on a node with data folders" : ""})`
      : `Access key  ${accessKeyId}  secret ${secret}  (shown only once; later: ${command} env)`,
    ...(facts.hasConsole
      ? [`Console     ${adminEndpoint}/console/  (sign in with the access key and its secret)`]
      : []),
    `Data        ${isGateway ? "none: this node is a gateway" : foldersInWords(dataFolders)}`,
    ...facts.furtherEndpoints.map(([title, url]) => `${title.padEnd(TITLE_WIDTH)}${url}`),
    `Redundancy  ${facts.redundancy}`,
    ...(devices === undefined ? [] : [`Status:         ${devices.online} Online, ${devices.offline} Offline. `]),
    ...facts.warnings.map(warning => `Warning     ${warning}`),
    ...(isGateway ? [] : firstObject(facts)),
  ]
  return `${lines.join("\n")}\n`
}

/** Without the brackets of an IPv6 address. */
const hostOf = (url: string): string => new URL(url).hostname.replace(/^\[(.*)\]$/, "$1")

async function keyServiceWarnings(
  disk: Disk,
  { keyServices: { vault, aws } }: ServeConfig,
  isLoopback: (address: ListenAddress) => boolean,
): Promise<string[]> {
  const warnings: string[] = []
  for (const address of [vault?.url, aws?.endpoint]) {
    if (address?.startsWith("http:") === true && !isLoopback({ host: hostOf(address), port: 0 }))
      warnings.push(`the key service ${address} is called without TLS: keys can be read in transit; use https://`)
  }
  // Not an error: something else may write them later.
  for (const path of [vault?.tokenFile, vault?.authoritiesFile, aws?.credentialsFile]) {
    if (path !== undefined && !(await disk.exists(path)))
      warnings.push(`${path} does not exist: until it does, no key of that key service can be used`)
  }
  return warnings
}

/** Warnings for the operator before this start is trusted with data: one line each. */
export async function warningsOf(
  disk: Disk,
  config: ServeConfig,
  store: Pick<OpenedStore, "notes"> & {
    readonly record: Pick<OpenedStore["record"], "devices">
    readonly devices: readonly Pick<OpenedStore["devices"][number], "identity">[]
  },
  isLoopback: (address: ListenAddress) => boolean,
): Promise<string[]> {
  const warnings: string[] = []
  if (!config.tls && !isLoopback(config.listen)) {
    warnings.push(
      `S3 listens on ${config.listen.host} without TLS: requests can be read in transit; pass --tls-cert and --tls-key`,
    )
  }
  if (!config.tls && !isLoopback(config.adminListen)) {
    warnings.push(`the admin port listens on ${config.adminListen.host} without TLS: its token can be read in transit`)
  }
  if (config.allowSseCWithoutTls && !config.tls) {
    warnings.push(
      "encryption keys of clients (SSE-C) are accepted without TLS: anyone between client and server can read them; this is for a proxy that ends TLS",
    )
  }
  if (config.lifecycleDayMs !== undefined) {
    const seconds = config.lifecycleDayMs / 1000
    warnings.push(
      `a day of lifecycle rules lasts ${seconds} s: objects are removed early, and uploads also without a rule; this is for trying rules out`,
    )
  }
  warnings.push(...(config.remarks ?? []))
  warnings.push(...(await keyServiceWarnings(disk, config, isLoopback)))
  warnings.push(...store.notes)
  for (const { id, pathHint, state } of store.record.devices) {
    if (state === "offline") warnings.push(`missing: device ${id}, last at ${pathHint}`)
  }
  for (const { identity } of store.devices) {
    const warning = fileSystemWarning(identity.path, (await disk.space(identity.path)).fileSystemKind)
    if (warning !== undefined) warnings.push(warning)
  }
  return warnings
}
