/**
 * Parses JSON for policies: a duplicate member of an object is refused. The standard does not define which of the two
 * wins, and a permission must not depend on the parser.
 */
import { malformedPolicy, pathOfMember } from "./messages.js"
import { isJsonObject, type JsonObject } from "@hayloft/base/json.js"

const TOKEN = /"[^"\\]*(?:\\.[^"\\]*)*"|[{}[\],:]/g

interface Level {
  readonly where: string
  /** The names are undefined in an array. */
  readonly names: Set<string> | undefined
  /** The current position: in an array, in an object. */
  index: number
  name: string
}

const placeIn = (level: Level): string =>
  level.names === undefined ? `${level.where}[${level.index}]` : pathOfMember(level.where, level.name)

const textOfToken = (token: string): string => {
  const name: unknown = JSON.parse(token)
  return String(name)
}

/** The first duplicate member in a text that is known to be valid JSON, without recursion: it may be deep. */
export function duplicateMemberIn(text: string): { readonly name: string; readonly where: string } | undefined {
  const levels: Level[] = []
  let lastString = ""
  for (const [token] of text.matchAll(TOKEN)) {
    const level = levels.at(-1)
    if (token === "{" || token === "[") {
      const where = level === undefined ? "$" : placeIn(level)
      levels.push({ where, names: token === "{" ? new Set() : undefined, index: 0, name: "" })
    } else if (token === "}" || token === "]") levels.pop()
    else if (token === "," && level !== undefined) level.index += 1
    else if (token === ":" && level?.names !== undefined) {
      level.name = textOfToken(lastString)
      if (level.names.has(level.name)) return { name: level.name, where: placeIn(level) }
      level.names.add(level.name)
    } else lastString = token
  }
  return undefined
}

interface PlacedText {
  /** A path into the document. */
  readonly where: string
  readonly value: string
  /** The span of its token, quotes included. */
  readonly start: number
  readonly end: number
}

/** The strings that are values, in a text that is known to be valid JSON. */
export function* textsIn(text: string): Generator<PlacedText> {
  const levels: Level[] = []
  let last: RegExpMatchArray | undefined
  for (const match of text.matchAll(TOKEN)) {
    const [token] = match
    const level = levels.at(-1)
    if (token.startsWith('"')) {
      last = match
      continue
    }
    if (last !== undefined && level !== undefined && token !== ":") {
      const start = last.index ?? 0
      yield { where: placeIn(level), value: textOfToken(last[0]), start, end: start + last[0].length }
    }
    if (token === "{" || token === "[") {
      const where = level === undefined ? "$" : placeIn(level)
      levels.push({ where, names: token === "{" ? new Set() : undefined, index: 0, name: "" })
    } else if (token === "}" || token === "]") levels.pop()
    else if (token === "," && level !== undefined) level.index += 1
    else if (token === ":" && level !== undefined) level.name = textOfToken(last?.[0] ?? '""')
    last = undefined
  }
}

/** Returns where each object, list and string begins in a text that is known to be valid JSON, by its path. */
export function placesIn(text: string): ReadonlyMap<string, number> {
  const places = new Map<string, number>()
  for (const { where, start } of textsIn(text)) places.set(where, start)
  const levels: Level[] = []
  let lastString = ""
  for (const { 0: token, index } of text.matchAll(TOKEN)) {
    const level = levels.at(-1)
    if (token === "{" || token === "[") {
      const where = level === undefined ? "$" : placeIn(level)
      places.set(where, index)
      levels.push({ where, names: token === "{" ? new Set() : undefined, index: 0, name: "" })
    } else if (token === "}" || token === "]") levels.pop()
    else if (token === "," && level !== undefined) level.index += 1
    else if (token === ":" && level?.names !== undefined) level.name = textOfToken(lastString)
    else lastString = token
  }
  return places
}

/** Throws `malformedPolicy` with the given message if the text is not a JSON object. */
export function readJsonObject(text: string, message: string): JsonObject {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    throw malformedPolicy(message, "$")
  }
  if (!isJsonObject(value)) throw malformedPolicy(message, "$")
  const twice = duplicateMemberIn(text)
  if (twice !== undefined) throw malformedPolicy(`The policy has a member twice: ${twice.name}`, twice.where)
  return value
}
