/**
 * Store selection: a command uses the store in the environment, otherwise the one in the data folder.
 *
 * The environment counts only if it contains an endpoint: a key pair alone probably belongs to an Amazon account, and
 * a first `cp` must not send data there.
 */
import { REGION_DEFAULT } from "@hayloft/base/region.js"
import { existsSync } from "node:fs"
import { readFile } from "node:fs/promises"
import { join, resolve } from "node:path"
import { fail } from "@hayloft/base/failures.js"
import {
  type AdminAccess,
  AdminClient,
  type CoordAccess,
  type S3Access,
  S3Client,
  type StoreCredentials,
  type Trust,
} from "@hayloft/client/index.js"
import {
  CONFIG_FILE_BYTES_MAX,
  CONFIG_FILE_ENVIRONMENT,
  type ConfigSources,
  type SettingsInput,
  parseConfigFile,
  resolveConfig,
  type ServeConfig,
} from "@hayloft/node/config/index.js"
import { CliError, messageOf } from "./exit-codes.js"
import type { CliIo } from "./io.js"
import { momentText } from "./running-store/moment-option.js"
import { byStoreClock } from "./running-store/past-time.js"

/** The variable of the AWS command line for a file of certificates in PEM. */
export const CA_BUNDLE = "AWS_CA_BUNDLE"

/** Options that select the store, on every command that accesses one. */
export interface StoreOptions {
  readonly data?: readonly string[]
  readonly config?: string
  readonly masterKeyFile?: string
  readonly nextMasterKeyFile?: string
}

/** The config file that a command is to use, if any. */
export const configFileOf = (io: CliIo, configFile: string | undefined): string | undefined =>
  configFile ?? (io.environment[CONFIG_FILE_ENVIRONMENT] || undefined)

/** Reads `--config` (or its variable) and resolves all settings. Throws `invalidConfig`. */
export async function configOf(
  io: CliIo,
  flags: SettingsInput,
  configFile: string | undefined,
  others: Pick<ConfigSources, "aliases" | "fallbacks"> = {},
): Promise<ServeConfig> {
  const { environment, workingFolder, hostName } = io
  const path = configFileOf(io, configFile)
  const file =
    path === undefined ? undefined : { path, ...parseConfigFile(await textOfConfigFile(workingFolder, path), path) }
  return resolveConfig({ flags, environment, ...others, file, workingFolder, hostName })
}

/** Throws `invalidConfig` if the file cannot be read. */
export async function textOfConfigFile(workingFolder: string, path: string): Promise<string> {
  const bytes = await readFile(resolve(workingFolder, path)).catch((error: unknown) => {
    const code = error instanceof Error && "code" in error ? String(error.code) : "unreadable"
    throw fail("invalidConfig", { message: `cannot read the config file ${path} (${code})` })
  })
  if (bytes.length > CONFIG_FILE_BYTES_MAX)
    throw fail("invalidConfig", { message: `${path}: too long for a config file` })
  return bytes.toString("utf8")
}

/** The settings that the options of a command set. */
export function flagsOf(options: StoreOptions): SettingsInput {
  return {
    ...(options.data === undefined ? {} : { data: options.data }),
    ...(options.masterKeyFile === undefined ? {} : { masterKeyFile: [options.masterKeyFile] }),
    ...(options.nextMasterKeyFile === undefined ? {} : { nextMasterKeyFile: [options.nextMasterKeyFile] }),
  }
}

export function localConfig(io: CliIo, options: StoreOptions): Promise<ServeConfig> {
  return configOf(io, flagsOf(options), options.config)
}

/** The data folders of a store on this machine. */
export async function localFolders(io: CliIo, options: StoreOptions): Promise<readonly string[]> {
  return (await localConfig(io, options)).dataFolders
}

/** Returns true if the environment contains the admin endpoint of a store, local or not. */
export const isElsewhere = ({ environment }: CliIo, { data }: StoreOptions): boolean =>
  data === undefined && Boolean(environment["HAYLOFT_ADMIN_ENDPOINT"] || environment["HAYLOFT_ADMIN_TOKEN"])

/** Credentials of the store in the data folder. */
export async function localCredentials(io: CliIo, options: StoreOptions): Promise<StoreCredentials> {
  const config = await localConfig(io, options)
  if (!config.dataFolders.some(folder => existsSync(join(folder, "superblock")))) {
    throw new CliError(
      "notFound",
      `no store in ${config.dataFolders.join(", ")}: start one with "hayloft serve", point --data to one, or set AWS_ENDPOINT_URL and keys`,
    )
  }
  // Loaded on demand, because unsealing needs much code that no other command uses.
  const { unsealRootCredentials } = await import("./credentials.js")
  return unsealRootCredentials(config.dataFolders, config.masterKeyFile, config.nextMasterKeyFile)
}

/** Trust in the certificate of the store in the data folder, if it has one that can be read. */
export async function ownTrust({
  certificateFile,
}: Pick<StoreCredentials, "certificateFile">): Promise<{ readonly trust?: Trust }> {
  const pem = certificateFile && (await readFile(certificateFile, "utf8").catch(() => undefined))
  return pem ? { trust: { pem, isOwnStore: true } } : {}
}

/** Trust in the certificates that the environment names, for an endpoint from the environment. */
export async function namedTrust(
  { environment, workingFolder }: CliIo,
  variable: string = CA_BUNDLE,
): Promise<{ readonly trust?: Trust }> {
  const file = environment[variable]
  if (!file) return {}
  const pem = await readFile(resolve(workingFolder, file), "utf8").catch((error: unknown) => {
    throw new CliError("usage", `${variable}: cannot read ${file} (${messageOf(error)})`)
  })
  return { trust: { pem, isOwnStore: false } }
}

export async function s3Access(io: CliIo, options: StoreOptions): Promise<S3Access> {
  const { environment } = io
  const endpoint = environment["AWS_ENDPOINT_URL_S3"] || environment["AWS_ENDPOINT_URL"]
  if (!endpoint || options.data !== undefined) {
    const credentials = await localCredentials(io, options)
    return { ...credentials, ...(await ownTrust(credentials)) }
  }
  const accessKeyId = environment["AWS_ACCESS_KEY_ID"]
  const secretAccessKey = environment["AWS_SECRET_ACCESS_KEY"]
  if (!accessKeyId || !secretAccessKey) {
    throw new CliError(
      "usage",
      "AWS_ENDPOINT_URL is set without AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; set all three or none",
    )
  }
  const sessionToken = environment["AWS_SESSION_TOKEN"]
  return {
    endpoint: httpUrl(endpoint, "AWS_ENDPOINT_URL"),
    accessKeyId,
    secretAccessKey,
    region: environment["AWS_REGION"] || environment["AWS_DEFAULT_REGION"] || REGION_DEFAULT,
    ...(sessionToken ? { sessionToken } : {}),
    ...(await namedTrust(io)),
  }
}

async function adminAccess(io: CliIo, options: StoreOptions): Promise<AdminAccess> {
  const endpoint = io.environment["HAYLOFT_ADMIN_ENDPOINT"]
  const token = io.environment["HAYLOFT_ADMIN_TOKEN"]
  if (isElsewhere(io, options)) {
    if (endpoint && token) {
      return { endpoint: httpUrl(endpoint, "HAYLOFT_ADMIN_ENDPOINT"), token, ...(await namedTrust(io)) }
    }
    throw new CliError(
      "usage",
      "HAYLOFT_ADMIN_ENDPOINT and HAYLOFT_ADMIN_TOKEN must be set together; set both or neither",
    )
  }
  const credentials = await localCredentials(io, options)
  return { endpoint: credentials.adminEndpoint, token: credentials.adminToken, ...(await ownTrust(credentials)) }
}

/** The admin port with a token, or with a key if the environment has no token. */
export async function coordAccess(io: CliIo, options: StoreOptions): Promise<CoordAccess> {
  const { environment } = io
  const endpoint = environment["HAYLOFT_ADMIN_ENDPOINT"]
  const [accessKeyId, secretAccessKey] = [environment["AWS_ACCESS_KEY_ID"], environment["AWS_SECRET_ACCESS_KEY"]]
  const isByKey = endpoint && !environment["HAYLOFT_ADMIN_TOKEN"] && accessKeyId && secretAccessKey
  if (!isByKey || options.data !== undefined) return adminAccess(io, options)
  const region = environment["AWS_REGION"] || environment["AWS_DEFAULT_REGION"] || REGION_DEFAULT
  const sessionToken = environment["AWS_SESSION_TOKEN"] || undefined
  const key = { accessKeyId, secretAccessKey, region, ...(sessionToken !== undefined && { sessionToken }) }
  return { endpoint: httpUrl(endpoint, "HAYLOFT_ADMIN_ENDPOINT"), ...key, ...(await namedTrust(io)) }
}

export function httpUrl(text: string, where: string): string {
  if (URL.canParse(text) && /^https?:$/.test(new URL(text).protocol)) return text
  throw new CliError("usage", `${where}: "${text.slice(0, 80)}" is not a URL like http://127.0.0.1:9000`)
}

/** Runs with an S3 client and closes it. */
export async function withS3<T>(
  io: CliIo,
  options: StoreOptions,
  signal: AbortSignal,
  use: (client: S3Client) => Promise<T>,
  readTimestamp?: string,
): Promise<T> {
  const client = new S3Client(await s3Access(io, options), io.clock, signal, { readTimestamp })
  try {
    return await use(client)
  } finally {
    client.close()
  }
}

/** Runs with an S3 client that reads what was there at the moment that `--at` names, if any: an age is by the store's clock. */
export async function withS3At<T>(
  io: CliIo,
  options: StoreOptions & { readonly at?: string },
  signal: AbortSignal,
  use: (client: S3Client) => Promise<T>,
): Promise<T> {
  const { at } = options
  if (at === undefined) return withS3(io, options, signal, use)
  const askStore = () => withS3(io, options, signal, client => client.nowMs())
  return withS3(io, options, signal, use, await byStoreClock(io, askStore, timed => momentText(at, "--at", timed)))
}

/** The store's clock at its last response, by which ages are shown; that of this machine if none told it. */
export const nowOf = ({ clock }: CliIo, { answeredMs }: AdminClient): number => answeredMs ?? clock.wallMs()

/** Runs with an admin client and closes it. */
export async function withAdmin<T>(
  io: CliIo,
  options: StoreOptions,
  signal: AbortSignal,
  use: (client: AdminClient) => Promise<T>,
): Promise<T> {
  const client = new AdminClient(await adminAccess(io, options), signal)
  try {
    return await use(client)
  } finally {
    client.close()
  }
}
