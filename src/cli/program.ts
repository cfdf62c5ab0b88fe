/**
 * The command line: every command with its arguments, options, help and action.
 *
 * Commands get their environment passed in (`CliIo`). `run` turns errors into one line on standard error (JSON with
 * `--json`) and an exit code from `EXIT_CODES`.
 */
import { Command, CommanderError } from "commander"
import { readVersion } from "./version.js"
import { AdminCommands, type AdminCommandOptions } from "./admin-commands.js"
import { addAuditCommand } from "./audit-command.js"
import { addBenchCommand } from "./bench-command.js"
import { addClusterCommands } from "./cluster-program.js"
import { addCompletionCommand } from "./completion-command.js"
import { addConfigCommands } from "./config-program.js"
import { addDevCommands } from "./dev-command.js"
import { addDoctorCommand } from "./doctor-command.js"
import { envCommand, type EnvOptions } from "./env-command.js"
import { eraseCommand, type EraseOptions } from "./erase-command.js"
import { EXIT_CODES, exitOf, messageOf, ProgramEnded } from "./exit-codes.js"
import type { KeyOptions } from "./device-cipher.js"
import { addExplainCommand } from "./explain-command.js"
import { fsckCommand } from "./fsck-command.js"
import type { ConfirmOptions } from "./confirm.js"
import { giveUpCommand } from "./give-up-command.js"
import { rebuildIndexCommand } from "./index-command.js"
import { inspectCommand } from "./inspect-command.js"
import { addInventoryCommands } from "./inventory-program.js"
import type { CliIo } from "./io.js"
import { addJobCommands } from "./jobs-program.js"
import { addKeyCommands } from "./key-program.js"
import { addKmsCommands } from "./kms-program.js"
import { addLimitCommand } from "./limit-program.js"
import { addMasterKeyCommands } from "./master-key-program.js"
import { addLayoutCommands, addNodeCommands } from "./nodes-program.js"
import { addObjectCommands } from "./object-program.js"
import { group, withJson, withLocked, withMasterKey, withStore } from "./options.js"
import { answer, type OutputOptions } from "./output.js"
import { addCoordCommands } from "./coord-program.js"
import { addDedupCommands } from "./dedup-program.js"
import { addPackingCommands } from "./packing-program.js"
import { addQueueCommands } from "./queue-program.js"
import { addQuotaCommands } from "./quota-program.js"
import { addCopiesCommands } from "./copies-program.js"
import { addRemoteCommands } from "./remote-program.js"
import { addRescueCommand } from "./rescue-command.js"
import { addRingCommands } from "./ring-program.js"
import { addServeOptions, serveCommand } from "./serve-command.js"
import { StoppedCommands } from "./stopped-commands.js"
import { StoreCommands, type StoreCommandOptions } from "./store-commands.js"
import {
  addClassCommands,
  addDeviceCommands,
  addRedundancyCommands,
  addStatusCommand,
  addWorkCommands,
} from "./store-program.js"
import { addSimulateCommand } from "./simulate-command.js"
import { addSupportCommands } from "./support-program.js"
import { addTableCommands } from "./table-program.js"
import { addTokenCommands } from "./token-program.js"
import { addTransformCommands } from "./transform-program.js"
import { addHotCommand } from "./hot-command.js"
import { addTopCommand } from "./top-command.js"
import { addEventsCommand } from "./events-command.js"
import { addTraceCommand } from "./trace-command.js"
import { addSettingCommands } from "./setting-program.js"
import { addHistoryCommands } from "./history-program.js"
import { addUndeleteCommands } from "./undelete-program.js"
import { addPolicyCommands } from "./policy-program.js"
import { addRoleCommands } from "./role-program.js"
import { addUserCommands } from "./user-program.js"
import { addWhyCommand } from "./why-command.js"

function addAccountCommands(
  program: Command,
  io: CliIo,
  signal: AbortSignal,
  admin: (options: AdminCommandOptions) => AdminCommands,
): void {
  const account = group(program, "account").description("accounts: owners of buckets and keys")
  withStore(account.command("create"))
    .description("create an account")
    .argument("<NAME>", "display name")
    .option("--id <ID>", "instead of 64 random hex digits")
    .option("--email <ADDRESS>")
    .action((displayName: string, options: AdminCommandOptions & { id?: string; email?: string }) => {
      const { id, email } = options
      const request = { displayName, ...(id === undefined ? {} : { id }), ...(email === undefined ? {} : { email }) }
      return admin(options).createAccount(request)
    })
  withStore(account.command("list"))
    .description("list accounts")
    .action((options: AdminCommandOptions) => admin(options).accounts())
  addLimitCommand(account, "account", io, signal)
}

function addBucketCommands(program: Command, admin: (options: AdminCommandOptions) => AdminCommands): Command {
  const bucket = group(program, "bucket").description("buckets of all accounts")
  withStore(bucket.command("list"))
    .description("list buckets with their exact usage")
    .option("--owner <ACCOUNT>", "only buckets of this account")
    .action((options: AdminCommandOptions & { owner?: string }) => admin(options).buckets(options.owner))
  withStore(bucket.command("create"))
    .description("create a bucket")
    .argument("<NAME>")
    .option("--owner <ACCOUNT>", "owner (default: the root account)")
    .option("--location <NAME>", "location constraint")
    .action((name: string, options: AdminCommandOptions & { owner?: string; location?: string }) =>
      admin(options).createBucket({ name, owner: options.owner, location: options.location }),
    )
  withStore(bucket.command("stat"))
    .description("one bucket: owner, versioning, objects, bytes, and what it held before")
    .argument("<NAME>")
    .action((name: string, options: AdminCommandOptions) => admin(options).bucket(name))
  withStore(bucket.command("delete"))
    .description("delete an empty bucket")
    .argument("<NAME>")
    .action((name: string, options: AdminCommandOptions) => admin(options).removeBucket(name))
  return bucket
}

function addEraseCommand(bucket: Command, io: CliIo, signal: AbortSignal): void {
  withStore(bucket.command("erase"))
    .description(
      "destroy the key of a bucket whose objects are all encrypted, so that no copy of its bytes can be read any more, and remove it",
    )
    .argument("<NAME>")
    .option("--confirm <NAME>", "the name again: an erasure cannot be undone")
    .action((name: string, options: EraseOptions) => eraseCommand(io, name, options, signal))
}

function addLifecycleCommands(program: Command, admin: (options: AdminCommandOptions) => AdminCommands): void {
  const lifecycle = group(program, "lifecycle").description("lifecycle rules of buckets: what they remove, and when")
  withStore(lifecycle.command("explain"))
    .description("what the rules do to each version of an object: which rule, when, or why not")
    .argument("<BUCKET/KEY>")
    .action((place: string, options: AdminCommandOptions) => admin(options).explainLifecycle(place))
  withStore(lifecycle.command("preview"))
    .description(
      "objects and bytes that each rule removes in the next pass, with examples; reads all rows of the bucket",
    )
    .argument("<BUCKET>")
    .option("--rules <FILE>", "as if the bucket had the rules of this JSON, which are not set; - for standard input")
    .action((bucket: string, options: AdminCommandOptions & { rules?: string }) =>
      admin(options).previewLifecycle(bucket, options.rules),
    )
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

/** Builds the whole program; `signal` ends the running command. */
export function buildProgram(io: CliIo, signal: AbortSignal): Command {
  const program = new Command("hayloft")
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
  const admin = (options: AdminCommandOptions) => new AdminCommands(io, options, signal)
  const store = (options: StoreCommandOptions) => new StoreCommands(io, options, signal)
  addServeOptions(program.command("serve").description("run the store"))
    .allowExcessArguments(false)
    .action((options: Readonly<Record<string, unknown>>) => serveCommand(io, options, signal))
  addStatusCommand(program, store)
  addWhyCommand(program, io, signal)
  addExplainCommand(program, io)
  addLocalCommands(program, io, signal)
  addDeviceCommands(program, store, options => new StoppedCommands(io, options))
  addNodeCommands(program, store)
  addLayoutCommands(program, store)
  addRingCommands(program, io, signal)
  addRedundancyCommands(program, store)
  addClassCommands(program, store)
  addWorkCommands(program, store)
  addJobCommands(program, io, signal)
  addRescueCommand(program, io, signal)
  addClusterCommands(program, io, signal)
  addConfigCommands(program, io)
  addDevCommands(program, io, signal)
  addDoctorCommand(program, io, signal)
  addSimulateCommand(program, io, signal)
  addSupportCommands(program, io, signal)
  addBenchCommand(program, io, signal)
  addObjectCommands(program, io, signal)
  const bucket = addBucketCommands(program, admin)
  addEraseCommand(bucket, io, signal)
  addUndeleteCommands(bucket, io, signal)
  addHistoryCommands(bucket, io, signal)
  addSettingCommands(bucket, io, signal)
  addLifecycleCommands(program, admin)
  addQuotaCommands(program, io, signal)
  addQueueCommands(program, io, signal)
  addCoordCommands(program, io, signal)
  addTransformCommands(program, io, signal)
  addRemoteCommands(program, io, signal)
  addCopiesCommands(program, io, signal)
  addDedupCommands(program, io, signal)
  addPackingCommands(program, io, signal)
  addTableCommands(program, io, signal)
  addInventoryCommands(program, io, signal)
  addAccountCommands(program, io, signal, admin)
  addKeyCommands(program, io, signal, admin)
  addUserCommands(program, io, signal)
  addRoleCommands(program, io, signal)
  addPolicyCommands(program, io, signal)
  addKmsCommands(program, io, signal)
  addTokenCommands(program, io, signal)
  addAuditCommand(program, io, signal)
  addEventsCommand(program, io, signal)
  addTraceCommand(program, io, signal)
  addTopCommand(program, io, signal)
  addHotCommand(program, io, signal)
  addMasterKeyCommands(program, io, signal)
  addCompletionCommand(program, io)
  return program
}

/** Runs one command line (without node and script). Resolves with the exit code; never rejects. */
export async function run(args: readonly string[], io: CliIo, signal: AbortSignal): Promise<number> {
  const program = buildProgram(io, signal)
  try {
    await program.parseAsync([...args], { from: "user" })
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
  const message = error.message
    .replace(/^error: /, "")
    .replace(/\s*\n\s*/g, " ")
    .replace(/\.$/, "")
  const command = args.find(arg => commands.includes(arg))
  return `${message}; see hayloft ${command === undefined ? "" : `${command} `}--help`
}
