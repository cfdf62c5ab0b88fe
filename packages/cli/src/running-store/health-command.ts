/**
 * `hayloft health`: whether requests may be sent to the store on this machine, for health checks of containers and load balancers.
 *
 * Promises  It needs no key. It finds the address of the running store in its data folders: those that the settings name, and
 *           otherwise those that the first process of the container names, whatever its arguments are.
 */
import { readFile } from "node:fs/promises"
import { join, resolve } from "node:path"
import type { Command } from "commander"
import { mapBounded } from "@hayloft/base/life/index.js"
import { DEVICES_MAX } from "@hayloft/base/limits.js"
import {
  AdminClient,
  parseRuntimeFile,
  RemoteFailure,
  RUNTIME_FILE_NAME,
  type RuntimeFile,
} from "@hayloft/client/index.js"
import { parseDataFolders } from "@hayloft/node/config/index.js"
import { CliError, messageOf } from "../exit-codes.js"
import type { CliIo } from "../io.js"
import { withStore } from "../options.js"
import { answer, type OutputOptions } from "../output.js"
import { localConfig, ownTrust, type StoreOptions } from "../stores.js"

/** The first process of a container: its command line, and its variables. */
const FIRST_PROCESS = ["/proc/1/cmdline", "/proc/1/environ"]

export function addHealthCommand(program: Command, io: CliIo, signal: AbortSignal): void {
  withStore(program.command("health"))
    .description(
      "exit code 0 while requests may be sent to the store on this machine, and 1 while not; it needs no key, and finds the store of a container whatever its arguments are",
    )
    .action((options: StoreOptions & OutputOptions) => healthCommand(io, options, signal))
}

/** `firstProcess` are files about the first process, unless a test brings others. */
export async function healthCommand(
  io: CliIo,
  options: StoreOptions & OutputOptions,
  signal: AbortSignal,
  firstProcess: readonly string[] = FIRST_PROCESS,
): Promise<void> {
  const { dataFolders, adminListen } = await localConfig(io, options)
  const found =
    (await runtimeIn(dataFolders)) ??
    (options.data === undefined ? await runtimeIn(await foldersNamedIn(firstProcess, io.workingFolder)) : undefined)
  // A gateway has no folders.
  const endpoint = found?.adminEndpoint ?? `http://127.0.0.1:${adminListen.port}`
  const trust = await ownTrust(found ?? {})
  const client = new AdminClient({ endpoint, token: "", ...trust }, signal)
  try {
    await client.text("/health/ready")
  } catch (error) {
    const reason = error instanceof RemoteFailure ? "it is not ready: hayloft status says why" : messageOf(error)
    throw new CliError("failed", `${endpoint}: ${reason}`)
  } finally {
    client.close()
  }
  await answer(io, options, { endpoint, ready: true }, `${endpoint}: ready\n`)
}

/** The address that a running store, or the last one that ran, has written to one of the folders. */
async function runtimeIn(folders: readonly string[]): Promise<RuntimeFile | undefined> {
  const texts = await mapBounded(folders, DEVICES_MAX, folder =>
    readFile(join(folder, RUNTIME_FILE_NAME), "utf8").catch(() => ""),
  )
  return texts.map(parseRuntimeFile).find(runtime => runtime !== undefined)
}

/** All words of a process, as paths. It may be a shell with the command in one word, or a process that starts it. */
async function foldersNamedIn(files: readonly string[], workingFolder: string): Promise<readonly string[]> {
  const texts = await mapBounded(files, files.length, path => readFile(path, "utf8").catch(() => ""))
  const words = texts.flatMap(text => text.split(/[\0\s=,]+/)).filter(word => word !== "")
  return words.flatMap(word => {
    try {
      return parseDataFolders([word], "", workingFolder)
    } catch {
      return [resolve(workingFolder, word)]
    }
  })
}
