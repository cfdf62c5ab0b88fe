/** Options that commands share. */
import type { Command } from "commander"
import { LOCKED_FLAG } from "@hayloft/base/locked-names.js"
import { CliError } from "./exit-codes.js"

/** Collects the values of an option that may be repeated. */
export const collect = (value: string, earlier: readonly string[] | undefined): readonly string[] => [
  ...(earlier ?? []),
  value,
]

export const withJson = (command: Command): Command =>
  command.configureHelp({ sortOptions: true }).option("--json", "print one JSON value per line")

export const group = (program: Command, name: string): Command => program.command(name).helpCommand(false)

/** The option of commands that open files of an encrypted store. */
export const withMasterKey = (command: Command): Command =>
  command
    .option("--master-key-file <FILE>", "the store's master key file")
    .option("--next-master-key-file <FILE>", "another file that may have the key, during and after a rotation")

/** Options of every command that accesses a store. */
export const withStore = (command: Command): Command =>
  withMasterKey(
    withJson(command)
      .option("--data <DIR>", "use the store in this data folder, regardless of the environment", collect)
      .option("--config <FILE>", "the store's config file"),
  )

/** Options of every command that changes the devices or the redundancy of a store. */
export const withChange = (command: Command): Command =>
  withLocked(withStore(command))
    .option("--dry-run", "show the plan and change nothing")
    .option("--yes", "carry out the plan without asking")
    .option("--confirm <NAME>", "in addition to --yes, if the plan requires a name: the policy or the folder")
    .option("--wait", "wait until all shards are in their places")

/** The option of every command that may leave buckets with object lock less safe. */
export const withLocked = (command: Command): Command =>
  command.option(
    `${LOCKED_FLAG} <NAME,...>`,
    "name the buckets with object lock that would be less safe, if the command requires it",
  )

/** Throws unless the text is a number. */
export function numberOf(text: string, what: string): number {
  const value = Number(text)
  if (text.trim() === "" || !Number.isFinite(value)) throw new CliError("usage", `${what}: "${text}" is not a number`)
  return value
}
