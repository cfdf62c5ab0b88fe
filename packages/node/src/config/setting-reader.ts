/**
 * Setting reader: reads settings from their sources and collects every problem.
 *
 * Promises  After a problem the reader goes on with the default, or without the setting, so that one look finds all
 *           problems. A problem is not reported twice: what only follows from another one is left out.
 * Callers   use the values only if `problems` is empty.
 */
import { must } from "@hayloft/base/assert.js"
import { fail, isFailure } from "@hayloft/base/failures.js"
import type { Setting } from "./setting.js"
import { SETTINGS, type SettingName } from "./settings.js"

export type Environment = Readonly<Record<string, string | undefined>>
/** Texts by setting, from one source. */
export type SettingsInput = { readonly [name in SettingName]?: readonly string[] }

/** The texts of a setting from a variable of another program, and the variable's name for messages. */
interface AliasedSetting {
  readonly texts: readonly string[]
  readonly where: string
}

/** Settings that variables of another program name, which mean the same. */
export type SettingAliases = { readonly [name in SettingName]?: AliasedSetting }

/** A config file as it was read. */
interface FileSource {
  /** For messages. */
  readonly path: string
  readonly settings: SettingsInput
  /** The line numbers of the keys, counted from 1. */
  readonly lines?: ReadonlyMap<string, number>
}

export interface ConfigSources {
  readonly flags: SettingsInput
  readonly environment: Environment
  /** They come after the variables of Hayloft, and must not contradict them. */
  readonly aliases?: SettingAliases | undefined
  /** Defaults of a command that differ from those of the settings. */
  readonly fallbacks?: SettingsInput | undefined
  readonly file: FileSource | undefined
  /** Relative paths are resolved against it. */
  readonly workingFolder: string
  readonly hostName: string
}

export interface ConfigProblem {
  /**
   * "unknown": no such key or variable; "value": the text of one setting; "requirement": settings that need, or exclude,
   * others.
   */
  readonly kind: "unknown" | "value" | "requirement"
  readonly setting?: SettingName
  /** In the config file, counted from 1. */
  readonly line?: number
  readonly message: string
}

type SourceKind = "flag" | "environment" | "file" | "default"

/** The texts of a setting and where they are from. */
export interface FoundSetting {
  readonly texts: readonly string[]
  readonly source: SourceKind
  /** For messages. */
  readonly where: string
  readonly line?: number
}

type Parse<T> = (text: string, where: string) => T

export function fromEnvironment(setting: Setting, environment: Environment): readonly string[] | undefined {
  const text = environment[setting.environment]
  if (text === undefined || text === "") return undefined
  return setting.repeatable ? text.split(",").map(part => part.trim()) : [text]
}

/** The sources of the texts of settings. */
export type SettingSources = Pick<ConfigSources, "flags" | "environment" | "aliases" | "fallbacks" | "file">

export function findSetting(
  name: SettingName,
  { flags, environment, aliases, fallbacks, file }: SettingSources,
): FoundSetting | undefined {
  const setting: Setting = SETTINGS[name]
  const flag = flags[name]
  if (flag !== undefined && flag.length > 0) return { texts: flag, source: "flag", where: setting.flag ?? name }
  const variable = fromEnvironment(setting, environment)
  if (variable !== undefined) return { texts: variable, source: "environment", where: setting.environment }
  const alias = aliases?.[name]
  if (alias !== undefined) return { ...alias, source: "environment" }
  const inFile = file?.settings[name]
  if (inFile !== undefined) {
    const line = file?.lines?.get(name)
    const found = { texts: inFile, source: "file", where: `"${name}" in ${file?.path ?? ""}` } as const
    return line === undefined ? found : { ...found, line }
  }
  const texts = fallbacks?.[name] ?? (setting.fallback === undefined ? undefined : [setting.fallback])
  return texts && { texts, source: "default", where: setting.flag ?? name }
}

export class SettingReader {
  readonly problems: ConfigProblem[] = []
  private readonly broken = new Set<SettingName>()

  constructor(readonly sources: ConfigSources) {}

  /** By other sources than its default. */
  isSet(name: SettingName): boolean {
    const source = findSetting(name, this.sources)?.source
    return source !== undefined && source !== "default"
  }

  /** It is set to something that cannot be used, which has been reported. */
  isBroken(name: SettingName): boolean {
    return this.broken.has(name)
  }

  /** The single value of a setting; undefined if it is not set. */
  optional<T>(name: SettingName, parse: Parse<T>): T | undefined {
    return this.whole(name, ([text = "", ...more], where) => {
      if (more.length > 0)
        throw fail("invalidConfig", { message: `${where}: set it once, not ${more.length + 1} times` })
      return parse(text, where)
    })
  }

  /** Returns the value of a setting with a default. */
  required<T>(name: SettingName, parse: Parse<T>): T {
    const setting: Setting = SETTINGS[name]
    return this.optional(name, parse) ?? parse(must(setting.fallback, "the setting has a default"), name)
  }

  /** All texts of a setting as one value; undefined if it is not set. */
  whole<T>(name: SettingName, parse: (texts: readonly string[], where: string) => T): T | undefined {
    const found = findSetting(name, this.sources)
    return found && this.attempt(name, found, () => parse(found.texts, found.where))
  }

  /** Each text of a setting, without duplicates. */
  each<T>(name: SettingName, parse: Parse<T>): readonly T[] {
    const found = findSetting(name, this.sources)
    const values = found?.texts.map(text => this.attempt(name, found, () => parse(text, found.where))) ?? []
    return [...new Set(values.filter(value => value !== undefined))]
  }

  /** Two settings that must be set together. */
  pair<A, B>(
    names: readonly [SettingName, SettingName],
    parseFirst: Parse<A>,
    parseSecond: Parse<B>,
  ): readonly [A, B] | undefined {
    const [first, second] = [this.optional(names[0], parseFirst), this.optional(names[1], parseSecond)]
    if (first !== undefined && second !== undefined) return [first, second]
    const [present, missing] = this.isSet(names[0]) ? names : [names[1], names[0]]
    if (this.isSet(present) && !this.isSet(missing))
      this.requirement(present, `${shown(present)} is set without ${shown(missing)}; set both or neither`)
    return undefined
  }

  /** Settings without the one that gives them a meaning. */
  refuseStray(names: readonly SettingName[], needed: SettingName): void {
    if (this.isSet(needed)) return
    for (const name of names) {
      if (this.isSet(name)) this.requirement(name, `${shown(name)} has no meaning without ${shown(needed)}`)
    }
  }

  unknown(message: string): void {
    this.problems.push({ kind: "unknown", message })
  }

  requirement(setting: SettingName, message: string): void {
    this.problems.push({ kind: "requirement", ...placeOf(setting, findSetting(setting, this.sources)), message })
  }

  private attempt<T>(setting: SettingName, found: FoundSetting, use: () => T): T | undefined {
    try {
      return use()
    } catch (error) {
      if (!isFailure(error, "invalidConfig")) throw error
      this.broken.add(setting)
      this.problems.push({ kind: "value", ...placeOf(setting, found), message: error.message })
      return undefined
    }
  }
}

const shown = (name: SettingName): string => SETTINGS[name].flag ?? SETTINGS[name].environment

const placeOf = (setting: SettingName, found: FoundSetting | undefined): Pick<ConfigProblem, "setting" | "line"> =>
  found?.line === undefined ? { setting } : { setting, line: found.line }
