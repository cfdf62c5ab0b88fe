/** Options that commands share. */
import type { Command } from "commander"
import { CliError } from "./exit-codes.js"

const collect = (value: string, earlier: readonly string[] | undefined): readonly string[] => [
  ...(earlier ?? []),
  value,
]

export const withJson = (command: Command): Command =>
  command.configureHelp({ sortOptions: true }).option("--json", "answer with one JSON value a line")

export const group = (program: Command, name: string): Command => program.command(name).helpCommand(false)

/** Options of every command that speaks to a store. */
export const withStore = (command: Command): Command =>
  withJson(command)
    .option("--data <DIR>", "use the store in this data folder, whatever the environment says", collect)
    .option("--config <FILE>", "the store's config file")
    .option("--master-key-file <FILE>", "the store's master key file")

/** Options of every command that changes what a store is made of. */
export const withChange = (command: Command): Command =>
  withStore(command)
    .option("--dry-run", "show the plan, and change nothing")
    .option("--yes", "do what the plan says without asking")
    .option("--confirm <NAME>", "besides --yes, where the plan asks for a name: of the policy, or of the folder")
    .option("--wait", "stay until the shards are where they should be")

/** Throws unless the text is a number. */
export function numberOf(text: string, what: string): number {
  const value = Number(text)
  if (text.trim() === "" || !Number.isFinite(value)) throw new CliError("usage", `${what}: "${text}" is no number`)
  return value
}
