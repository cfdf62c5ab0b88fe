/** `hayloft serve`: resolves the configuration, then runs the server until the signal fires. */
import { Option, type Command } from "commander"
import {
  CONFIG_FILE_ENVIRONMENT,
  CONFIG_FILE_FLAG,
  SECRET_ENVIRONMENTS,
  type SettingsInput,
  type Setting,
  SETTING_NAMES,
  type SettingName,
  SETTINGS,
  frontThreadsFor,
} from "@hayloft/node/config/index.js"
import { collect } from "./options.js"
import type { CliIo } from "./io.js"
import { minioVariablesIn } from "./minio/variables-core.js"
import { withSecretFiles } from "./secret-files.js"
import { configOf } from "./stores.js"

/** Adds an option for every setting with a flag; each collects all its values, to detect repetition. */
export function addServeOptions(command: Command): Command {
  for (const name of SETTING_NAMES) {
    const setting: Setting = SETTINGS[name]
    if (setting.flag === undefined) continue
    const fallback = setting.fallback === undefined ? "" : ` (default: ${setting.fallback})`
    const value = setting.preset === undefined ? `<${setting.value}>` : `[${setting.value}]`
    const option = new Option(`${setting.flag} ${value}`, `${setting.help}${fallback} [${setting.environment}]`)
    if (setting.preset !== undefined) option.preset(setting.preset)
    command.addOption(option.argParser(collect))
  }
  command.addOption(
    new Option(`${CONFIG_FILE_FLAG} <FILE>`, `a JSON file of these settings [${CONFIG_FILE_ENVIRONMENT}]`),
  )
  const secrets = SETTING_NAMES.map(name => SETTINGS[name]).filter(setting => setting.flag === undefined)
  const lines = secrets.map(setting => `  ${setting.environment}  ${setting.help}`)
  return command.addHelpText(
    "after",
    `\nOnly in the environment, or in a file that VARIABLE_FILE names:\n${lines.join("\n")}\n\nA flag wins over its variable [IN BRACKETS], a variable over the file.`,
  )
}

/** Commander's options, by setting. */
export function settingsOf(options: Readonly<Record<string, unknown>>): SettingsInput {
  const settings: { [name in SettingName]?: readonly string[] } = {}
  for (const name of SETTING_NAMES) {
    const values = options[name]
    if (Array.isArray(values)) settings[name] = values.map(String)
  }
  return settings
}

/** Defaults that depend on the machine. */
export const fallbacksOf = ({ machine }: Pick<CliIo, "machine">): SettingsInput =>
  machine === undefined ? {} : { threads: [String(frontThreadsFor(machine))] }

export async function serveCommand(
  io: CliIo,
  options: Readonly<Record<string, unknown>>,
  signal: AbortSignal,
): Promise<void> {
  const configFile = options["config"]
  const environment = await withSecretFiles(io.environment, SECRET_ENVIRONMENTS, io.workingFolder)
  const file = typeof configFile === "string" ? configFile : undefined
  const config = await configOf({ ...io, environment }, settingsOf(options), file, { fallbacks: fallbacksOf(io) })
  const idle = minioVariablesIn(environment)
  const remarks = idle.length === 0 ? [] : [`serve does not read ${idle.join(", ")}: hayloft server does`]
  await io.programs.serve({ ...config, remarks }, io, signal)
}
