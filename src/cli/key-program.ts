/** The commands for access keys: their arguments, options and help. */
import { readFile } from "node:fs/promises"
import { resolve } from "node:path"
import type { Command } from "commander"
import { parseDuration } from "../config/index.js"
import type { AdminCommandOptions, AdminCommands, NewKeyRequest } from "./admin-commands.js"
import { CliError } from "./exit-codes.js"
import type { CliIo } from "./io.js"
import { addLimitCommand } from "./limit-program.js"
import { moveKeyOut } from "./move-key.js"
import { group, withStore } from "./options.js"

interface NewKeyOptions extends AdminCommandOptions {
  readonly account?: string
  readonly user?: string
  readonly description?: string
  readonly expires?: string
  readonly policy?: string
}

const withOwner = (command: Command): Command =>
  withStore(command)
    .option("--account <ID>", "owner (default: the root account)")
    .option("--user <NAME>", "user of the account (default: its root)")
    .option("--policy <FILE>", "an access policy that limits the key to less than its owner may do")
    .option("--expires <DURATION>", "duration after which the key is refused: 12h, 30d")
    .option("--description <TEXT>", "purpose of the key")

export function addKeyCommands(
  program: Command,
  io: CliIo,
  signal: AbortSignal,
  admin: (options: AdminCommandOptions) => AdminCommands,
): void {
  const key = group(program, "key").description("access keys: pairs that sign requests for an account or user")
  withOwner(key.command("create"))
    .description("create a key pair; its secret is shown only once")
    .action(async (options: NewKeyOptions) => admin(options).createKey(await requestOf(io, options)))
  withOwner(key.command("import"))
    .description("import an existing key pair; the secret is read from HAYLOFT_IMPORT_SECRET_KEY or standard input")
    .argument("<ACCESS_KEY>")
    .action(async (accessKeyId: string, options: NewKeyOptions) => {
      const secretAccessKey = await readSecret(io)
      await admin(options).importKey({ ...(await requestOf(io, options)), accessKeyId, secretAccessKey })
    })
  withStore(key.command("move-out"))
    .description("move the master key of a stopped store from its data folders to a new file, which every start needs")
    .argument("<FILE>")
    .action((file: string, options: AdminCommandOptions) => moveKeyOut(io, file, options))
  withStore(key.command("list"))
    .description("list keys, without their secrets")
    .option("--account <ID>", "only keys of this account")
    .action((options: AdminCommandOptions & { account?: string }) => admin(options).keys(options.account))
  withStore(key.command("rotate"))
    .description("create a second key with the owner, limits and terms of this one; both work until one is disabled")
    .argument("<ACCESS_KEY>")
    .action((id: string, options: AdminCommandOptions) => admin(options).rotateKey(id))
  withStore(key.command("disable"))
    .description("refuse a key until it is enabled again")
    .argument("<ACCESS_KEY>")
    .action((id: string, options: AdminCommandOptions) => admin(options).setKeyActive(id, false))
  withStore(key.command("enable"))
    .description("enable a disabled key")
    .argument("<ACCESS_KEY>")
    .action((id: string, options: AdminCommandOptions) => admin(options).setKeyActive(id, true))
  withStore(key.command("delete"))
    .description("delete a key")
    .argument("<ACCESS_KEY>")
    .action((id: string, options: AdminCommandOptions) => admin(options).removeKey(id))
  addLimitCommand(key, "key", io, signal)
}

async function requestOf(io: CliIo, options: NewKeyOptions): Promise<NewKeyRequest> {
  const { account: accountId, user: userName, description, expires, policy } = options
  const expiresMs = expires === undefined ? undefined : io.clock.wallMs() + parseDuration(expires, "--expires")
  const text = policy === undefined ? undefined : await readPolicy(resolve(io.workingFolder, policy))
  return { accountId, userName, description, expiresMs, policy: text }
}

async function readPolicy(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8")
  } catch {
    throw new CliError("notFound", `cannot read ${path}`)
  }
}

async function readSecret(io: CliIo): Promise<string> {
  const inEnvironment = io.environment["HAYLOFT_IMPORT_SECRET_KEY"]
  if (inEnvironment) return inEnvironment
  if (io.errorIsTerminal) io.error("secret key, then Ctrl-D: ")
  const chunks: Uint8Array[] = []
  for await (const chunk of io.input) chunks.push(chunk)
  const secret = Buffer.concat(chunks).toString("utf8").trim()
  if (secret === "")
    throw new CliError("usage", "the secret is empty; pass it in HAYLOFT_IMPORT_SECRET_KEY or on standard input")
  return secret
}
