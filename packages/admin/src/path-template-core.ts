/**
 * Paths of operations: `/v1/accounts/{account}/users/{user}`. A segment in braces matches any text but the empty one.
 * Pure.
 */
import { must } from "@hayloft/base/assert.js"
import { textOfObjectKey } from "@hayloft/base/ids.js"
import { percentDecode } from "@hayloft/base/http/uri.js"

const BRACES = /^\{(\w+)\}$/

/** The decoded segments of a path, by the names that its template has for them, in their order. */
export type Segments = ReadonlyMap<string, string>

/** The names in braces, in their order. */
export const bracesOf = (template: string): readonly string[] =>
  template.split("/").flatMap(segment => BRACES.exec(segment)?.slice(1) ?? [])

/**
 * Returns undefined if the path does not match. Throws `invalidUri` for a segment that is not percent-encoded UTF-8.
 */
export function segmentsOf(template: string, rawPath: string): Segments | undefined {
  const [wanted, actual] = [template.split("/"), rawPath.split("/")]
  if (wanted.length !== actual.length) return undefined
  const pairs = wanted.map((segment, i) => ({ segment, name: BRACES.exec(segment)?.[1], text: actual[i] ?? "" }))
  if (!pairs.every(({ segment, name, text }) => (name === undefined ? segment === text : text !== ""))) return undefined
  return new Map(
    pairs.flatMap(({ name, text }) =>
      name === undefined ? [] : [[name, textOfObjectKey(percentDecode(text))] as const],
    ),
  )
}

export const segmentFrom =
  (segments: Segments) =>
  (name: string): string =>
    must(segments.get(name), `the path of the operation has {${name}}`)

/** The path of the thing that a path is about or under: `/v1/users/{user}` of `/v1/users/{user}/keys`. */
export const thingOf = (template: string): string => template.slice(0, template.lastIndexOf("}") + 1)
