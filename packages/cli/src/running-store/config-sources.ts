/** Settings with all their problems and their sources, for commands that show or check them. */
import {
  checkConfigFile,
  inspectConfig,
  SETTINGS,
  settingsInEffect,
  type ConfigProblem,
  type ConfigSources,
  type FoundSetting,
  type ServeConfig,
  type Setting,
  type SettingName,
  type SettingsInput,
} from "@hayloft/node/config/index.js"
import type { CliIo } from "../io.js"
import { configFileOf, textOfConfigFile } from "../stores.js"

/** A setting as it may be shown to anyone. */
export interface ShownServeSetting {
  readonly setting: SettingName
  readonly variable: string
  /** The value is undefined if the setting is not set, and has no default. */
  readonly value: readonly string[] | undefined
  readonly source: FoundSetting["source"]
  /** The flag, the variable, or the place in the file. */
  readonly where: string
}

interface InspectedConfig {
  readonly sources: ConfigSources
  /** The configuration; the defaults if there are problems. */
  readonly config: ServeConfig
  readonly problems: readonly ConfigProblem[]
}

/** Reads `--config` (or its variable) and all settings. Throws `invalidConfig` only if the file cannot be read. */
export async function inspectSources(
  io: CliIo,
  flags: SettingsInput,
  configFile: string | undefined,
): Promise<InspectedConfig> {
  const { environment, workingFolder, hostName } = io
  const path = configFileOf(io, configFile)
  const checked = path === undefined ? undefined : checkConfigFile(await textOfConfigFile(workingFolder, path))
  const file = path === undefined || checked === undefined ? undefined : { path, ...checked }
  const sources = { flags, environment, file, workingFolder, hostName }
  const { config, problems } = inspectConfig(sources)
  return { sources, config, problems: [...(checked?.problems ?? []), ...problems] }
}

const HIDDEN = "***"
/** Begins or ends the parts of a URL that may be secrets: user and password, query, fragment. */
const MAY_HAVE_SECRET = /[@?#]/

/** Secrets are hidden, and of URLs that may contain some, everything that may be one. */
export async function shownSettings(sources: ConfigSources): Promise<readonly ShownServeSetting[]> {
  // Loaded on demand, because it loads the database's client too.
  const { maskedUrl } = await import("@hayloft/engine/sql/index.js")
  return settingsInEffect(sources).map(([setting, found]) => {
    const { environment: variable, secret }: Setting = SETTINGS[setting]
    const masked = (text: string): string => {
      if (secret === undefined) return text
      if (secret === "value") return HIDDEN
      if (secret === "user") return MAY_HAVE_SECRET.test(text) ? HIDDEN : text
      return setting === "cluster" ? maskedUrl(text) : withoutUser(text)
    }
    const line = found?.line === undefined ? "" : `, line ${found.line}`
    return {
      setting,
      variable,
      value: found?.texts.map(masked),
      source: found?.source ?? "default",
      where: found === undefined || found.source === "default" ? "default" : `${found.where}${line}`,
    }
  })
}

/** A valid address of a service is an origin; what else the text contains may be a secret. */
function withoutUser(text: string): string {
  const { origin } = URL.canParse(text) ? new URL(text) : { origin: "null" }
  return origin === "null" ? HIDDEN : origin
}
