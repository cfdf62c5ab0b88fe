/**
 * Expectations of rows about answers; a broken expectation contains the actual answer.
 */
import { AssertionError } from "node:assert"
import type { RawResponse } from "./raw-client.js"
import { text } from "./xml.js"

const brief = (response: RawResponse): string =>
  `${response.status} ${text(response.text, "Code") ?? ""} ${response.text.slice(0, 300)}`.trim()

function refuse(message: string): never {
  throw new AssertionError({ message })
}

export function check(condition: boolean, message: string): asserts condition {
  if (!condition) refuse(message)
}

export function same(actual: unknown, expected: unknown, what: string): void {
  const [left, right] = [JSON.stringify(actual), JSON.stringify(expected)]
  if (left !== right) refuse(`${what}: expected ${right?.slice(0, 400)}, got ${left?.slice(0, 400)}`)
}

/** Returns the value; throws a broken expectation if it is undefined. */
export function present<T>(value: T | undefined, what: string): T {
  if (value === undefined) refuse(`${what} is missing`)
  return value
}

const oneOf = (allowed: number | readonly number[]): readonly number[] =>
  typeof allowed === "number" ? [allowed] : allowed

export function expectStatus(response: RawResponse, allowed: number | readonly number[]): RawResponse {
  if (!oneOf(allowed).includes(response.status))
    refuse(`expected ${oneOf(allowed).join(" or ")}, got ${brief(response)}`)
  return response
}

/** A refusal: status, XML document and one of the codes (any, where none is given). */
export function expectError(
  response: RawResponse,
  allowed: number | readonly number[],
  ...codes: readonly string[]
): RawResponse {
  expectStatus(response, allowed)
  const code = text(response.text, "Code")
  if (code === undefined) refuse(`expected an <Error> document, got ${brief(response)}`)
  if (codes.length > 0 && !codes.includes(code)) refuse(`expected code ${codes.join(" or ")}, got ${brief(response)}`)
  return response
}

export function expectHeader(response: RawResponse, name: string, expected: string | RegExp | undefined): void {
  const actual = response.header(name)
  const fits = expected instanceof RegExp ? actual !== undefined && expected.test(actual) : actual === expected
  if (!fits) refuse(`header ${name}: expected ${String(expected)}, got ${String(actual)} (${response.status})`)
}

export function expectBody(response: RawResponse, expected: Uint8Array | string): void {
  const bytes = typeof expected === "string" ? Buffer.from(expected, "utf8") : Buffer.from(expected)
  if (response.body.equals(bytes)) return
  refuse(`body: expected ${bytes.length} bytes, got ${response.body.length}: ${response.text.slice(0, 200)}`)
}
