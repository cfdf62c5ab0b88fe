/** The commands for keys that objects are sealed under: their arguments, options and help. */
import type { Command } from "commander"
import type { AdminCommandOptions, AdminCommands } from "./admin-commands.js"
import { CliError } from "./exit-codes.js"
import { group, withStore } from "./options.js"

interface AddOptions extends AdminCommandOptions {
  readonly vault?: string
  readonly aws?: string
  readonly account?: string
}

export function addKmsCommands(program: Command, admin: (options: AdminCommandOptions) => AdminCommands): void {
  const kms = group(program, "kms").description("keys that objects are sealed under (SSE-KMS)")
  withStore(kms.command("add"))
    .description("register a key of Vault or AWS KMS as alias/NAME, after trying it")
    .argument("<NAME>")
    .option("--vault <KEY>", "name of a key in the transit engine of --kms-vault-url")
    .option("--aws <ARN>", "ARN of a key in AWS KMS")
    .option("--account <ID>", "owner (default: the root account)")
    .action((name: string, options: AddOptions) => admin(options).addNamedKey(requestOf(name, options)))
}

function requestOf(name: string, { vault, aws, account: accountId }: AddOptions) {
  const key = vault ?? aws
  if (key === undefined || (vault !== undefined && aws !== undefined))
    throw new CliError("usage", "name one key: --vault KEY or --aws ARN")
  return { accountId, alias: `alias/${name}`, service: vault === undefined ? "aws" : "vault", name: key }
}
