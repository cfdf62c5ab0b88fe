/**
 * The words that a shell completes: the commands, options, arguments and values of the program. Pure.
 *
 * Promises  Everything comes from the program itself, so that completion knows each command as soon as it exists. What a
 *           value may be comes from its choices, or from its placeholder in the help: words between "|" are the
 *           possible words, and FILE, FOLDER, POLICY and others have a meaning (`MEANINGS`).
 */
import type { Argument, Command, Option } from "commander"
import { STORAGE_CLASSES } from "@hayloft/base/storage-class.js"
import { allCodes } from "@hayloft/admin/explain/index.js"

/** The completions of a value: names of files or folders, files or `s3://`, `s3://` alone, words, or nothing (text). */
export type CompletedValues = "file" | "folder" | "place" | "object" | "text" | readonly string[]

/** How many words of the command line are values of an option. */
type Count = "one" | "oneOrNone" | "many"

interface CompletedOption {
  /** `-r` and `--recursive`, or only one of them. */
  readonly names: readonly string[]
  readonly description: string
  readonly isRepeatable: boolean
  /** It is undefined for an option without a value. */
  readonly value: { readonly placeholder: string; readonly values: CompletedValues; readonly count: Count } | undefined
}

interface CompletedArgument {
  readonly placeholder: string
  readonly values: CompletedValues
  readonly isRequired: boolean
  readonly isVariadic: boolean
}

export interface CompletedCommand {
  readonly name: string
  /** The words before it and its own: `[]` for hayloft, `["device", "add"]`. */
  readonly path: readonly string[]
  readonly description: string
  readonly commands: readonly CompletedCommand[]
  readonly options: readonly CompletedOption[]
  readonly arguments: readonly CompletedArgument[]
}

/** Examples that cover the usual numbers of disks; any other policy can be typed. */
const POLICIES = ["ec:2+1", "ec:4+2", "ec:8+3", "replica:2", "replica:3"]

/** The codes are listed only for a shell: no other command reads them. */
const codes = (): readonly string[] => [...new Set(allCodes().map(({ code }) => code))]

const MEANINGS: Readonly<Record<string, CompletedValues | (() => readonly string[])>> = {
  FILE: "file",
  DIR: "folder",
  FOLDER: "folder",
  FROM: "place",
  TO: "place",
  POLICY: POLICIES,
  // The redundancy of this class is that of the store.
  CLASS: STORAGE_CLASSES.filter(name => name !== "STANDARD"),
  CODE: codes,
}

function meaningOf(word: string): CompletedValues | undefined {
  const meaning = MEANINGS[word]
  return typeof meaning === "function" ? meaning() : meaning
}

/** Returns the completions of the value with this placeholder: `yes|no`, `FILE`, `FOLDER...`, `POLICY|automatic`. */
export function valuesOf(placeholder: string): CompletedValues {
  const name = placeholder.replace(/\.\.\.$/, "")
  if (name.startsWith("s3://")) return "object"
  const meaning = meaningOf(name)
  if (meaning !== undefined) return meaning
  if (!name.includes("|")) return "text"
  return name.split("|").flatMap(word => {
    const words = meaningOf(word)
    return typeof words === "object" ? words : word
  })
}

function optionOf(option: Option): CompletedOption {
  const { short, long, description, required, optional, variadic, parseArg, argChoices } = option
  const [, placeholder = ""] = /[<[]([^<>[\]]+)[>\]]$/.exec(option.flags) ?? []
  const count = variadic ? "many" : optional ? "oneOrNone" : "one"
  return {
    names: [short, long].filter(name => name !== undefined),
    description,
    isRepeatable: variadic || parseArg !== undefined,
    value:
      required || optional
        ? { placeholder: placeholder.replace(/\.\.\.$/, ""), values: argChoices ?? valuesOf(placeholder), count }
        : undefined,
  }
}

const argumentOf = (argument: Argument, siblings: readonly string[]): CompletedArgument => ({
  placeholder: argument.name(),
  values: argument.name() === "COMMAND" ? siblings : (argument.argChoices ?? valuesOf(argument.name())),
  isRequired: argument.required,
  isVariadic: argument.variadic,
})

/** The program, or one of its commands, with all commands below it. */
export function completedCommand(
  command: Command,
  path: readonly string[] = [],
  siblings: readonly string[] = [],
): CompletedCommand {
  const help = command.createHelp()
  const commands = help.visibleCommands(command)
  const names = commands.map(inner => inner.name())
  return {
    name: command.name(),
    path,
    description: command.description(),
    commands: commands.map(inner => completedCommand(inner, [...path, inner.name()], names)),
    options: help.visibleOptions(command).map(optionOf),
    arguments: command.registeredArguments.map(argument => argumentOf(argument, siblings)),
  }
}

/** A command and all below it. */
export function* allCommands(command: CompletedCommand): Generator<CompletedCommand> {
  yield command
  for (const inner of command.commands) yield* allCommands(inner)
}
