/**
 * The command line: every command with its arguments, options, help and action.
 *
 * Commands get their environment passed in (`CliIo`). `run` turns errors into one line on standard error (JSON with
 * `--json`) and an exit code from `EXIT_CODES`.
 */
import { Command, CommanderError } from "commander"
import { readVersion } from "./version.js"
import { serverFirst } from "./minio/arguments-core.js"
import { addMinioServer } from "./minio/server-command.js"
import { addBenchCommand } from "./bench-command.js"
import { addClusterCommands } from "./running-store/cluster-program.js"
import { addCompletionCommand } from "./completion/completion-command.js"
import { addConfigCommands } from "./running-store/config-program.js"
import { addDevCommands } from "./dev-command.js"
import { addDoctorCommand } from "./stopped-store/doctor-command.js"
import { envCommand, type EnvOptions } from "./env-command.js"
import { eraseCommand, type EraseOptions } from "./running-store/erase-command.js"
import { EXIT_CODES, exitOf, messageOf, oneLine, ProgramEnded } from "./exit-codes.js"
import type { KeyOptions } from "./stopped-store/device-cipher.js"
import { addExplainCommand } from "./running-store/explain-command.js"
import { addHealthCommand } from "./running-store/health-command.js"
import { fsckCommand } from "./stopped-store/fsck-command.js"
import type { ConfirmOptions } from "./confirm.js"
import { giveUpCommand } from "./stopped-store/give-up-command.js"
import { rebuildIndexCommand } from "./stopped-store/index-command.js"
import { inspectCommand } from "./stopped-store/inspect-command.js"
import type { CliIo } from "./io.js"
import { addJobCommands } from "./running-store/jobs-program.js"
import { addKeyCommands } from "./running-store/key-program.js"
import { addLayoutCommands } from "./running-store/nodes-program.js"
import { addObjectCommands } from "./transfer/object-program.js"
import { group, withJson, withLocked, withMasterKey, withStore } from "./options.js"
import { answer, type OutputOptions } from "./output.js"
import { PlainCommands } from "./plain-commands.js"
import { addCoordCommands } from "./running-store/coord-program.js"
import { addRescueCommand } from "./stopped-store/rescue-command.js"
import { addRingCommands } from "./running-store/ring-program.js"
import { addServeOptions, serveCommand } from "./serve-command.js"
import { StoppedCommands } from "./stopped-store/stopped-commands.js"
import { StoreCommands, type StoreCommandOptions } from "./running-store/store-commands.js"
import { addDeviceCommands } from "./running-store/store-program.js"
import { addSimulateCommand } from "./simulate/simulate-command.js"
import { addSupportCommands } from "./running-store/support-program.js"
import { addTableCommands } from "./stopped-store/table-program.js"
import { addTransformCommands } from "./running-store/transform-program.js"
import { addTopCommand } from "./running-store/top-command.js"
import { addEventsCommand } from "./running-store/events-command.js"
import { addTraceCommand } from "./running-store/trace-command.js"
import { addRestoreCommand } from "./running-store/history-program.js"
import { addPurgeCommand } from "./running-store/undelete-program.js"

function addEraseCommand(bucket: Command, io: CliIo, signal: AbortSignal): void {
  withStore(bucket.command("erase"))
    .description(
      "destroy the key of a bucket whose objects are all encrypted, so that no copy of its bytes can be read any more, and remove it",
    )
    .argument("<NAME>")
    .option("--confirm <NAME>", "the name again: an erasure cannot be undone")
    .action((name: string, options: EraseOptions) => eraseCommand(io, name, options, signal))
}

function addLocalCommands(program: Command, io: CliIo, signal: AbortSignal): void {
  withStore(program.command("env"))
    .description(`the root credentials as shell exports: eval "$(hayloft env)"`)
    .option("--admin", "also the admin API's address and token")
    .action((options: EnvOptions) => envCommand(io, options))
  const volume = group(program, "volume").description("files inside a data folder")
  withMasterKey(withJson(volume.command("inspect")))
    .description(
      "decode a file of a data folder (volume, log segment, superblock, control record) or its folder base/, and check every checksum",
    )
    .argument("<FILE>")
    .action((file: string, options: OutputOptions & KeyOptions) => inspectCommand(io, file, options))
  withMasterKey(withJson(volume.command("fsck")))
    .description(
      "verify volumes and metadata of a data folder whose store is stopped, and the index of needles; changes nothing",
    )
    .argument("<FOLDER>")
    .action((folder: string, options: OutputOptions & KeyOptions) => fsckCommand(io, folder, options, signal))
  withMasterKey(withJson(volume.command("rebuild-index")))
    .description(
      "remove the needle index of a data folder whose store is stopped; the next start rebuilds it from the volumes",
    )
    .argument("<FOLDER>")
    .action((folder: string, options: OutputOptions & KeyOptions) => rebuildIndexCommand(io, folder, options))
  withMasterKey(withLocked(withJson(volume.command("give-up"))))
    .description("remove unreadable rows from the only metadata replica, in a data folder whose store is stopped")
    .argument("<FOLDER>")
    .option("--yes", "carry out the plan without asking")
    .option("--confirm <NAME>", "in addition to --yes: the folder's name")
    .action((folder: string, options: ConfirmOptions & KeyOptions) => giveUpCommand(io, folder, options))
  withJson(program.command("version"))
    .description("version of Hayloft and of Node")
    .action((options: OutputOptions) => {
      const value = { hayloft: readVersion(), node: process.versions.node }
      return answer(io, options, value, `${versionText()}\n`)
    })
}

const versionText = (): string => `hayloft ${readVersion()} (Node ${process.versions.node})`

interface Building {
  readonly program: Command
  /** Adds commands that operations define. */
  readonly plain: PlainCommands
  readonly io: CliIo
  readonly signal: AbortSignal
}

const SERVE = "serve"

function addServe(program: Command, io: CliIo, signal: AbortSignal): void {
  addServeOptions(program.command(SERVE).description("run the store"))
    .allowExcessArguments(false)
    .action((options: Readonly<Record<string, unknown>>) => serveCommand(io, options, signal))
}

/** Commands on the store itself and its devices. */
function addStoreCommands({ program, plain, io, signal }: Building): void {
  const store = (options: StoreCommandOptions) => new StoreCommands(io, options, signal)
  addServe(program, io, signal)
  addMinioServer(program, io, signal)
  plain.addTo(program, "", "status")
  addHealthCommand(program, io, signal)
  plain.addTo(program, "", "why")
  addExplainCommand(program, io)
  addLocalCommands(program, io, signal)
  addDeviceCommands(plain.group(program, "device"), store, options => new StoppedCommands(io, options))
  plain.group(program, "node")
  addLayoutCommands(plain.group(program, "layout"), store)
  addRingCommands(plain.group(program, "ring"), io, signal)
  for (const name of ["redundancy", "class", "repair", "scrub", "pending", "orphans"] as const)
    plain.group(program, name)
  plain.group(program, "backup")
  addJobCommands(plain.group(program, "jobs"), io, signal)
  addRescueCommand(program, io, signal)
  addClusterCommands(program, io, signal)
  addConfigCommands(program, io)
  addDevCommands(program, io, signal)
  addDoctorCommand(program, io, signal)
  addSimulateCommand(program, io, signal)
  addSupportCommands(program, io, signal)
  addBenchCommand(program, io, signal)
}

/** Commands on buckets and what is in them. */
function addBucketCommands({ program, plain, io, signal }: Building): void {
  addObjectCommands(program, io, signal)
  const bucket = plain.group(program, "bucket")
  addEraseCommand(bucket, io, signal)
  addPurgeCommand(plain.group(bucket, "bucket undelete"), io, signal)
  addRestoreCommand(bucket, io, signal)
  plain.group(bucket, "bucket settings")
  addCoordCommands(program, io, signal)
  plain.featureGroups(program, { transform: made => addTransformCommands(made, io, signal) })
  addTableCommands(program, io, signal)
}

/** Commands on those who use the store, and on what they do. */
function addAccessCommands({ program, plain, io, signal }: Building): void {
  plain.group(program, "account")
  addKeyCommands(plain.group(program, "key"), io, signal)
  plain.group(program, "user")
  plain.group(program, "group")
  plain.group(program, "role")
  plain.group(program, "policy")
  plain.group(program, "ldap")
  plain.group(program, "kms")
  plain.group(program, "token")
  plain.addTo(program, "", "audit")
  addEventsCommand(program, io, signal)
  addTraceCommand(program, io, signal)
  addTopCommand(program, io, signal)
  plain.addTo(program, "", "hot")
  plain.group(program, "master-key")
}

/** The program without its commands. */
const newProgram = (io: CliIo): Command =>
  new Command("hayloft")
    .description("An S3-compatible object store for data that must not be lost.")
    .exitOverride()
    .configureOutput({
      writeOut: text => void io.out(text),
      writeErr: text => io.error(text),
      outputError: () => undefined,
    })
    .version(versionText(), "--version", "the same as the command version")
    .helpCommand("help [COMMAND]", "the same as COMMAND --help")
    .showSuggestionAfterError(true)

/** Builds the whole program; `signal` ends the running command. */
export function buildProgram(io: CliIo, signal: AbortSignal): Command {
  const program = newProgram(io)
  const building = { program, plain: new PlainCommands(io, signal), io, signal }
  addStoreCommands(building)
  addBucketCommands(building)
  addAccessCommands(building)
  addCompletionCommand(program, io)
  return program
}

/** The program for a command line. A store starts without the other commands: to build them takes a twentieth of its start. */
function programFor([command]: readonly string[], io: CliIo, signal: AbortSignal): Command {
  if (command !== SERVE) return buildProgram(io, signal)
  const program = newProgram(io)
  addServe(program, io, signal)
  return program
}

/** Runs one command line (without node and script). Resolves with the exit code; never rejects. */
export async function run(args: readonly string[], io: CliIo, signal: AbortSignal): Promise<number> {
  const program = programFor(args, io, signal)
  try {
    await program.parseAsync([...serverFirst(args)], { from: "user" })
    return EXIT_CODES.ok.code
  } catch (error) {
    if (error instanceof ProgramEnded) return error.code
    const exit = exitOf(error)
    if (exit === "ok") return EXIT_CODES.ok.code
    // Commander has already printed this help as the output of a command group without a command.
    if (!(error instanceof CommanderError && error.code === "commander.help")) {
      const commands = program.commands.map(command => command.name())
      io.error(errorText(error, args, commands))
    }
    return EXIT_CODES[exit].code
  }
}

function errorText(error: unknown, args: readonly string[], commands: readonly string[]): string {
  const exit = exitOf(error)
  if (exit === "interrupted") return "hayloft: interrupted\n"
  const message = error instanceof CommanderError ? usageText(error, args, commands) : messageOf(error)
  return args.includes("--json") ? `${JSON.stringify({ error: { code: exit, message } })}\n` : `hayloft: ${message}\n`
}

/** `unknown option '--lisen' (Did you mean --listen?); see hayloft serve --help` in one line. */
function usageText(error: CommanderError, args: readonly string[], commands: readonly string[]): string {
  const message = oneLine(error.message)
    .replace(/^error: /, "")
    .replace(/\.$/, "")
  const [command = ""] = args.filter(arg => !arg.startsWith("-"))
  return `${message}; see hayloft ${commands.includes(command) ? `${command} ` : ""}--help`
}
