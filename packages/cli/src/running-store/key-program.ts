/** The commands for access keys that are not calls alone: `key import` reads a secret, `key move-out` works on files. */
import { readFile } from "node:fs/promises"
import { resolve } from "node:path"
import type { Command } from "commander"
import { parseDuration } from "@hayloft/node/config/index.js"
import { KEY_WITH_SECRET } from "@hayloft/admin/index.js"
import { checked } from "../checked.js"
import { CliError } from "../exit-codes.js"
import type { CliIo } from "../io.js"
import { moveKeyOut } from "../transfer/move-key.js"
import { withStore } from "../options.js"
import { answer, type OutputOptions } from "../output.js"
import { withAdmin, type StoreOptions } from "../stores.js"

interface NewKeyOptions extends StoreOptions, OutputOptions {
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

export function addKeyCommands(key: Command, io: CliIo, signal: AbortSignal): void {
  withOwner(key.command("import"))
    .description("import an existing key pair; the secret is read from HAYLOFT_IMPORT_SECRET_KEY or standard input")
    .argument("<ACCESS_KEY>")
    .action(async (accessKeyId: string, options: NewKeyOptions) => {
      const secretAccessKey = await readSecret(io)
      const lastsMs = options.expires === undefined ? undefined : parseDuration(options.expires, "--expires")
      const request = { ...(await requestOf(io, options)), accessKeyId, secretAccessKey }
      const imported = await withAdmin(io, options, signal, async client => {
        const expiresMs = lastsMs === undefined ? undefined : (await client.nowMs()) + lastsMs
        return client.post("/v1/keys", { ...request, expiresMs })
      })
      const key = checked(KEY_WITH_SECRET, imported)
      await answer(io, options, key, `imported key ${key.accessKeyId}\n`)
    })
  withStore(key.command("move-out"))
    .description("move the master key of a stopped store from its data folders to a new file, which every start needs")
    .argument("<FILE>")
    .action((file: string, options: StoreOptions & OutputOptions) => moveKeyOut(io, file, options))
}

async function requestOf(io: CliIo, options: NewKeyOptions): Promise<object> {
  const { account: accountId, user: userName, description, policy } = options
  const text = policy === undefined ? undefined : await readPolicy(resolve(io.workingFolder, policy))
  return { accountId, userName, description, policy: text }
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
