/**
 * `hayloft server DIR...`: `hayloft serve` as MinIO's server is called, with its arguments and its variables.
 *
 * Promises  Every option of `serve` works beside MinIO's own. As with MinIO, S3 listens on every interface unless an address is
 *           given; the admin port, which has the console, does not.
 */
import { existsSync } from "node:fs"
import { join, resolve } from "node:path"
import { Option, type Command } from "commander"
import { fail } from "@hayloft/base/failures.js"
import { SECRET_ENVIRONMENTS, type Environment, type SettingsInput } from "@hayloft/node/config/index.js"
import type { CliIo } from "../io.js"
import { fallbacksOf } from "../serve-command.js"
import { textOfVariableFile, withSecretFiles } from "../secret-files.js"
import { addServeOptions, settingsOf } from "../serve-command.js"
import { configOf } from "../stores.js"
import { addressOf, foldersOf, REFUSED_OPTIONS, refuseOption } from "./arguments-core.js"
import { takeBucketFolders } from "./bucket-folders.js"
import {
  ENVIRONMENT_FILE,
  idleVariables,
  MINIO_SECRETS,
  minioAliases,
  minioArgument,
  minioVariablesIn,
  variablesOfFile,
} from "./variables-core.js"

/** Docker and Kubernetes mount secrets here; MinIO begins the path of a secret file here, too. */
const SECRETS_FOLDER = "/run/secrets"
const EVERY_INTERFACE: SettingsInput = { listen: ["0.0.0.0:9000"] }
/**
 * Pages of every origin may use buckets without CORS rules, as with MinIO, a policy can make a new bucket public without another
 * request before it, access control lists that come with objects are accepted without effect, and a RoleArn may be any text.
 */
const AS_MINIO: SettingsInput = {
  corsOrigin: ["*"],
  allowPublicBuckets: ["yes"],
  ignoreAcls: ["yes"],
  ignoreUnknownRoles: ["yes"],
}

interface ServerOptions {
  readonly address?: string
  readonly consoleAddress?: string
  readonly certsDir?: string
  readonly configDir?: string
  readonly json?: boolean
  readonly config?: string
}

export function addMinioServer(program: Command, io: CliIo, signal: AbortSignal): void {
  const command = addServeOptions(program.command("server"))
    .description("run the store as `minio server` is called, with MinIO's variables: another name of serve")
    .argument("[DIR...]", "data folders; /mnt/disk{1...4} is four of them (default: as of serve)")
    .option("--address <HOST:PORT>", "address of the S3 API (default: :9000, which is every interface)")
    .option("--console-address <HOST:PORT>", "address of the admin port, which has the console")
    .option("-S, --certs-dir <DIR>", "folder with public.crt and private.key: S3 has TLS if they are there")
    .option("-C, --config-dir <DIR>", "folder whose folder certs is that of --certs-dir; nothing else in it is read")
    .option("--json", "log lines for machines, as with --log-format json")
    .option("--quiet", "accepted: there is nothing to leave out")
    .option("--anonymous", "accepted: secrets that are given are not shown")
    .option("--compat", "accepted: S3 is always strict")
    .option("--no-compat", "accepted likewise")
  for (const flag of Object.keys(REFUSED_OPTIONS)) {
    command.addOption(
      new Option(`${flag} [VALUE]`)
        .hideHelp()
        .argParser(() => refuseOption(flag))
        .preset(""),
    )
  }
  command.action((folders: readonly string[], options: ServerOptions & Readonly<Record<string, unknown>>) =>
    serverCommand(io, folders, options, signal),
  )
}

async function serverCommand(
  io: CliIo,
  args: readonly string[],
  options: ServerOptions & Readonly<Record<string, unknown>>,
  signal: AbortSignal,
): Promise<void> {
  const environment = await minioEnvironment(io)
  const flags = flagsOf({ ...io, environment }, args, options)
  // A container of Hayloft starts this command, too: with nothing of MinIO it serves as `serve` does.
  const isForMinio = args.length > 0 || minioVariablesIn(environment).length > 0
  const fallbacks = { ...fallbacksOf(io), ...EVERY_INTERFACE, ...(isForMinio && AS_MINIO) }
  const others = { aliases: minioAliases(environment), fallbacks }
  const config = await configOf({ ...io, environment }, flags, options.config, others)
  const idle = idleVariables(environment)
  const remarks =
    idle.length === 0
      ? []
      : [`these variables of MinIO have no effect here: ${idle.join(", ")} (docs/guide/from-minio.md says what has)`]
  const folders = await takeBucketFolders(config.dataFolders)
  const named = new Set(config.buckets.map(({ name }) => name))
  const buckets = [...config.buckets, ...folders.buckets.filter(({ name }) => !named.has(name))]
  try {
    await io.programs.serve({ ...config, buckets, remarks, countsDevices: isForMinio }, io, signal)
  } catch (error) {
    await folders.restore()
    throw error
  }
}

/** The variables of the process, of the file that one of them names, and of the files of secrets. */
async function minioEnvironment({ environment, workingFolder }: CliIo): Promise<Environment> {
  const path = environment[ENVIRONMENT_FILE]
  const inFile = path
    ? variablesOfFile(await textOfVariableFile(resolve(workingFolder, path), ENVIRONMENT_FILE), path)
    : {}
  const all = { ...environment, ...inFile }
  const own = await withSecretFiles(all, SECRET_ENVIRONMENTS, workingFolder)
  return withSecretFiles(own, MINIO_SECRETS, SECRETS_FOLDER)
}

/** An argument wins over the variable in its place; the option of `serve` for the same must not be given as well. */
function flagsOf(
  io: CliIo,
  folders: readonly string[],
  options: ServerOptions & Readonly<Record<string, unknown>>,
): SettingsInput {
  const given = settingsOf(options)
  const { environment } = io
  const own = ofArguments(environment, folders, options)
  const certificates =
    options.certsDir ?? (options.configDir === undefined ? undefined : join(options.configDir, "certs"))
  const tls = certificates === undefined ? {} : certificatesIn(resolve(io.workingFolder, certificates))
  const logFormat = options.json === true ? { logFormat: ["json"] } : {}
  const twice = [
    ["DIR", "--data", folders.length > 0 && given.data !== undefined],
    ["--address", "--listen", options.address !== undefined && given.listen !== undefined],
    ["--console-address", "--admin-listen", options.consoleAddress !== undefined && given.adminListen !== undefined],
    ["--certs-dir", "--tls-cert", options.certsDir !== undefined && given.tlsCert !== undefined],
    ["--json", "--log-format", options.json === true && given.logFormat !== undefined],
  ] as const
  for (const [name, other, isTwice] of twice) {
    if (isTwice) throw fail("invalidConfig", { message: `${name} and ${other} are the same: give one of them` })
  }
  return { ...own, ...tls, ...logFormat, ...given }
}

function ofArguments(environment: Environment, folders: readonly string[], options: ServerOptions): SettingsInput {
  const volumes = folders.length > 0 ? undefined : minioArgument(environment, "folders")
  const data =
    volumes === undefined ? foldersOf(folders, "DIR") : foldersOf(volumes.text.trim().split(/\s+/), volumes.where)
  const listen = addressIn(options.address, "--address", minioArgument(environment, "address"))
  const adminListen = addressIn(
    options.consoleAddress,
    "--console-address",
    minioArgument(environment, "consoleAddress"),
  )
  return {
    ...(data.length === 0 ? {} : { data }),
    ...(listen === undefined ? {} : { listen: [listen] }),
    ...(adminListen === undefined ? {} : { adminListen: [adminListen] }),
  }
}

function addressIn(
  option: string | undefined,
  flag: string,
  variable: ReturnType<typeof minioArgument>,
): string | undefined {
  if (option !== undefined) return addressOf(option, flag)
  return variable && addressOf(variable.text, variable.where)
}

/** A folder without certificates is no error, as with MinIO: charts always name one. */
function certificatesIn(folder: string): SettingsInput {
  const [certificate, key] = [join(folder, "public.crt"), join(folder, "private.key")]
  return existsSync(certificate) || existsSync(key) ? { tlsCert: [certificate], tlsKey: [key] } : {}
}
