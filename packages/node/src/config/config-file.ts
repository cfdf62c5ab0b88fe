/**
 * The `--config` file: one JSON object whose keys are the names in `SETTINGS`.
 *
 * Refuses unknown keys, so that a typo never becomes a silent default, keys that are set twice, and secrets: those come
 * only from the environment.
 */
import { z } from "zod"
import { fail } from "@hayloft/base/failures.js"
import { SETTINGS, SETTING_NAMES, type SettingName } from "./settings.js"
import type { ConfigProblem, SettingsInput } from "./setting-reader.js"

export const CONFIG_FILE_BYTES_MAX = 64 * 1024
const TEXT = z.union([z.string(), z.number().int().nonnegative()]).transform(String)
const TEXTS = z.union([TEXT.transform(text => [text]), z.array(TEXT)])

/** Settings that are allowed in a file. */
export const FILE_SETTING_NAMES: readonly SettingName[] = SETTING_NAMES.filter(
  name => SETTINGS[name].flag !== undefined,
)

interface CheckedFile {
  readonly settings: SettingsInput
  /** The line numbers of the keys, counted from 1. */
  readonly lines: ReadonlyMap<string, number>
  /** Unknown keys, and values that are no text. Whether the texts are valid is for `inspectConfig` to say. */
  readonly problems: readonly ConfigProblem[]
}

/** Reads a config file as far as possible; never throws. */
export function checkConfigFile(text: string): CheckedFile {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    return { settings: {}, lines: new Map(), problems: [syntaxProblem(text, error)] }
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    const message = "must be one JSON object of settings"
    return { settings: {}, lines: new Map(), problems: [{ kind: "value", message }] }
  }
  const keys = keysOf(text)
  const problems: ConfigProblem[] = []
  const settings: { [name in SettingName]?: readonly string[] } = {}
  for (const [key, given] of Object.entries(value)) {
    const line = keys.findLast(({ name }) => name === key)?.line ?? 1
    const name = FILE_SETTING_NAMES.find(known => known === key)
    if (name === undefined) {
      problems.push({ kind: "unknown", line, message: `unknown key "${key}"` })
      continue
    }
    const { repeatable } = SETTINGS[name]
    const parsed = (repeatable ? TEXTS : TEXT.transform(single => [single])).safeParse(given)
    if (parsed.success) settings[name] = parsed.data
    else {
      const message = `"${key}" must be a string${repeatable ? " or an array of strings" : ""}`
      problems.push({ kind: "value", setting: name, line, message })
    }
  }
  // JSON.parse silently keeps the last of repeated members.
  const twice = keys.filter(({ name }, at) => keys.findIndex(other => other.name === name) < at)
  for (const { name, line } of twice) problems.push({ kind: "value", line, message: `"${name}" is set twice` })
  return { settings, lines: new Map(keys.map(({ name, line }) => [name, line])), problems }
}

/** Messages of Node have the place as an offset. */
function syntaxProblem(text: string, error: unknown): ConfigProblem {
  const reason = error instanceof Error ? (error.message.split("\n")[0] ?? "") : "unreadable"
  const [, offset] = /position (\d+)/.exec(reason) ?? []
  const line = offset === undefined ? undefined : text.slice(0, Number(offset)).split("\n").length
  return { kind: "value", ...(line === undefined ? {} : { line }), message: `not JSON (${reason})` }
}

/** The keys of the outermost object of a valid JSON text, with their lines. */
function keysOf(text: string): readonly { readonly name: string; readonly line: number }[] {
  const keys: { name: string; line: number }[] = []
  let [depth, line] = [0, 1]
  let before = ""
  for (const [token] of text.matchAll(/"(?:[^"\\]|\\.)*"|[{}[\]:\n]/g)) {
    if (token === "\n") line += 1
    else if (token === "{" || token === "[") depth += 1
    else if (token === "}" || token === "]") depth -= 1
    else if (token === ":" && depth === 1) keys.push({ name: String(JSON.parse(before)), line })
    if (token.startsWith('"')) before = token
  }
  return keys
}

/** Throws `invalidConfig` with the first problem. */
export function parseConfigFile(text: string, path: string): Pick<CheckedFile, "settings" | "lines"> {
  const { settings, lines, problems } = checkConfigFile(text)
  const [problem] = problems
  if (problem === undefined) return { settings, lines }
  const known = problem.kind === "unknown" ? `; known keys are ${FILE_SETTING_NAMES.join(", ")}` : ""
  throw fail("invalidConfig", { message: `${path}: ${problem.message}${known}` })
}
