/**
 * The tables of docs/reference/cli.md, generated from the program: every command with its options, every setting of `serve`
 * with its flag, variable and key, the client's variables and the exit codes.
 */
import type { Command } from "commander"
import {
  CLIENT_ENVIRONMENT,
  CONFIG_FILE_ENVIRONMENT,
  CONFIG_FILE_FLAG,
  FILE_SETTING_NAMES,
  type Setting,
  SETTING_NAMES,
  SETTINGS,
} from "@hayloft/node/config/index.js"
import { EXIT_CODES } from "./exit-codes.js"

const cell = (text: string): string => text.replaceAll("|", "\\|")
const code = (text: string): string => `\`${text}\``
const row = (cells: readonly string[]): string => `| ${cells.map(cell).join(" | ")} |\n`
const table = (head: readonly string[], rows: readonly (readonly string[])[]): string =>
  row(head) + row(head.map(() => "---")) + rows.map(row).join("")

/** By placeholder; the others are texts. */
const TYPES: Readonly<Record<string, string>> = {
  DIR: "folder",
  FOLDER: "folder",
  FILE: "file",
  N: "whole number",
  MIB: "whole number",
  SECONDS: "whole number",

  "yes|no": "yes or no",
  "HOST:PORT": "address",
  SIZE: "size",
  DURATION: "duration",
  URL: "URL",
  POLICY: "policy",
  PATH: "path",
  NAME: "name",
}

/** A placeholder like `text|json` lists the words. */
const typeOf = ({ value, repeatable }: Setting): string =>
  `${TYPES[value] ?? (value.includes("|") ? "word" : "text")}${repeatable ? ", several" : ""}`

function settingsTable(): string {
  const rows = SETTING_NAMES.map(name => {
    const setting: Setting = SETTINGS[name]
    return [
      setting.flag === undefined
        ? ""
        : code(`${setting.flag} ${setting.preset === undefined ? setting.value : `[${setting.value}]`}`),
      code(setting.environment),
      FILE_SETTING_NAMES.includes(name) ? code(name) : "",
      typeOf(setting),
      setting.fallback === undefined ? "" : code(setting.fallback),
      setting.isReread === true ? "what the file has" : "no",
      `${setting.help}${setting.repeatable ? " (may be repeated; separated by commas in the variable, an array in the file)" : ""}`,
    ]
  })
  const file = [
    code(`${CONFIG_FILE_FLAG} FILE`),
    code(CONFIG_FILE_ENVIRONMENT),
    "",
    "file",
    "",
    "no",
    "a JSON file of these settings",
  ]
  const head = ["flag", "variable", "key in the file", "type", "default", "reloaded", "description"]
  return table(head, [...rows, file])
}

const SETTING_FLAGS: ReadonlySet<string> = new Set([
  CONFIG_FILE_FLAG,
  ...SETTING_NAMES.flatMap((name): readonly string[] => {
    const { flag } = SETTINGS[name]
    return flag === undefined ? [] : [flag]
  }),
])

/** Commands with an action, with their full names. */
function* leaves(command: Command, names: readonly string[]): Generator<readonly [string, Command]> {
  const own = command.commands
  if (own.length === 0) yield [names.join(" "), command]
  for (const inner of own) yield* leaves(inner, [...names, inner.name()])
}

function commandText(name: string, command: Command): string {
  const usage = command.registeredArguments
    .map(argument => {
      const name = argument.variadic ? `${argument.name()}...` : argument.name()
      return argument.required ? `<${name}>` : `[${name}]`
    })
    .join(" ")
  const isServe = name === "hayloft serve" || name === "hayloft server"
  const options = command.options
    .filter(option => !option.hidden && !(isServe && SETTING_FLAGS.has(option.long ?? "")))
    .map(option => [code(option.flags), option.description])
  const own = options.length === 0 ? "" : table(["option", "description"], options)
  const shown = isServe ? `${own}${own === "" ? "" : "\n"}Settings: see the table below.\n` : own
  return `### ${name}\n\n${code(`${name} [options] ${usage}`.trimEnd())}: ${command.description()}.\n\n${shown}`
}

/** The generated parts of docs/reference/cli.md, as Markdown. */
interface CommandLineTables {
  readonly commands: string
  readonly settings: string
  readonly exitCodes: string
  readonly clientVariables: string
}

export function commandLineTables(program: Command): CommandLineTables {
  const exits = Object.entries(EXIT_CODES).map(([name, exit]) => [code(String(exit.code)), name, exit.meaning])
  const client = Object.entries(CLIENT_ENVIRONMENT).map(([name, help]) => [code(name), help])
  return {
    commands: [...leaves(program, ["hayloft"])].map(([name, command]) => commandText(name, command)).join("\n"),
    settings: settingsTable(),
    exitCodes: table(["code", "name", "meaning"], exits),
    clientVariables: table(["variable", "purpose"], client),
  }
}
