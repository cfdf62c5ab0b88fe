/** `hayloft config`: checks a config file, and shows the settings in effect with their sources. */
import type { Command } from "commander"
import { checkConfigFile, inspectConfig, type ConfigProblem } from "@hayloft/node/config/index.js"
import { inspectSources, shownSettings, type ShownServeSetting } from "./config-sources.js"
import { CliError } from "../exit-codes.js"
import type { CliIo } from "../io.js"
import { group, withJson } from "../options.js"
import { answer, answerList, type OutputOptions } from "../output.js"
import { addServeOptions, settingsOf } from "../serve-command.js"
import { configFileOf, textOfConfigFile } from "../stores.js"
import { plural, printable, tableText } from "../text.js"

export function addConfigCommands(program: Command, io: CliIo): void {
  const config = group(program, "config").description("settings of serve: check a config file, show what is in effect")
  withJson(config.command("validate"))
    .description(
      "name every unknown key, wrong value and missing setting of a config file, together with the variables; exit code 2 if there is one",
    )
    .argument("[FILE]", "default: that of HAYLOFT_CONFIG")
    .action((file: string | undefined, options: OutputOptions) => validateCommand(io, file, options))
  addServeOptions(withJson(config.command("show")))
    .description(
      "every setting as serve with the same flags would have it, and where it is from; secrets are not shown",
    )
    .allowExcessArguments(false)
    .action((options: OutputOptions & Readonly<Record<string, unknown>>) => showCommand(io, options))
}

async function validateCommand(io: CliIo, argument: string | undefined, options: OutputOptions): Promise<void> {
  const path = configFileOf(io, argument)
  if (path === undefined) throw new CliError("usage", "name a config file, or set HAYLOFT_CONFIG")
  const { environment, workingFolder, hostName } = io
  const { problems: ofFile, ...read } = checkConfigFile(await textOfConfigFile(workingFolder, path))
  const sources = { flags: {}, file: { path, ...read }, workingFolder, hostName }
  // A variable hides the value in the file, which must be valid all the same, but it may be what another setting needs.
  const alone = inspectConfig({ ...sources, environment: {} }).problems.filter(({ kind }) => kind === "value")
  const together = inspectConfig({ ...sources, environment }).problems
  const known = new Set(alone.map(({ message }) => message))
  const problems = [...ofFile, ...alone, ...together.filter(({ message }) => !known.has(message))]
  const sorted = problems.sort((a, b) => (a.line ?? Infinity) - (b.line ?? Infinity) || 0)
  const text = sorted.length === 0 ? `${printable(path)}: no problems\n` : sorted.map(lineOf).join("")
  await answer(io, options, { file: path, problems: sorted }, text)
  refuse(path, sorted)
}

const lineOf = ({ line, message }: ConfigProblem): string =>
  `${line === undefined ? "" : `line ${line}: `}${printable(message)}\n`

function refuse(what: string, { length }: readonly ConfigProblem[]): void {
  if (length > 0) throw new CliError("usage", `${what}: ${plural(length, "problem")}`)
}

async function showCommand(io: CliIo, options: OutputOptions & Readonly<Record<string, unknown>>): Promise<void> {
  const { config: configFile } = options
  const file = typeof configFile === "string" ? configFile : undefined
  const { sources, problems } = await inspectSources(io, settingsOf(options), file)
  const settings = await shownSettings(sources)
  await answerList(io, options, settings.map(jsonOf), settingsText(settings))
  // Not in the output, which scripts read.
  for (const problem of options.json === true ? [] : problems) io.error(lineOf(problem))
  refuse("the settings cannot be used", problems)
}

/** A setting without a value is null, so that each has all members. */
const jsonOf = ({ value = null, ...setting }: Omit<ShownServeSetting, "value"> & { value?: unknown }): object => ({
  ...setting,
  value,
})

const settingsText = (settings: readonly ShownServeSetting[]): string =>
  tableText(
    ["SETTING", "VALUE", "SOURCE"],
    settings.map(({ setting, value, where }) => [setting, printable(value?.join(", ") ?? "not set"), printable(where)]),
  )
