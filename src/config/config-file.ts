/**
 * The `--config` file: one JSON object whose keys are the names in `SETTINGS`.
 *
 * Refuses unknown keys, so that a typo never becomes a silent default, and secrets: those come only from the
 * environment.
 */
import { z } from "zod"
import { fail } from "../base/failures.js"
import { SETTINGS, SETTING_NAMES, type SettingName } from "./config.js"
import type { SettingsInput } from "./config-core.js"

export const CONFIG_FILE_BYTES_MAX = 64 * 1024
const TEXT = z.union([z.string(), z.number().int().nonnegative()]).transform(String)
const TEXTS = z.union([TEXT.transform(text => [text]), z.array(TEXT)])

/** Settings that are allowed in a file. */
export const FILE_SETTING_NAMES: readonly SettingName[] = SETTING_NAMES.filter(
  name => SETTINGS[name].flag !== undefined,
)

const FILE_SCHEMA = z.strictObject(
  Object.fromEntries(
    FILE_SETTING_NAMES.map(name => [
      name,
      (SETTINGS[name].repeatable ? TEXTS : TEXT.transform(text => [text])).optional(),
    ]),
  ),
)

/** Throws `invalidConfig`. */
export function parseConfigFile(text: string, path: string): SettingsInput {
  const refuse = (message: string) => fail("invalidConfig", { message: `${path}: ${message}` })
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    throw refuse(`not JSON (${error instanceof Error ? error.message.split("\n")[0] : "unreadable"})`)
  }
  const parsed = FILE_SCHEMA.safeParse(value)
  if (parsed.success) {
    return Object.fromEntries(Object.entries(parsed.data).filter(([, texts]) => texts !== undefined))
  }
  const [issue] = parsed.error.issues
  if (issue?.code === "unrecognized_keys") {
    throw refuse(`unknown key "${issue.keys[0]}"; known keys are ${FILE_SETTING_NAMES.join(", ")}`)
  }
  if (issue?.path.length === 0) throw refuse("must be one JSON object of settings")
  const name = String(issue?.path[0])
  const repeatable = FILE_SETTING_NAMES.some(known => known === name && SETTINGS[known].repeatable)
  throw refuse(`"${name}" must be a string${repeatable ? " or an array of strings" : ""}`)
}
