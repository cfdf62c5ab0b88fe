/**
 * Copies of arguments and results, as another process or thread receives them.
 *
 * Promises  The copy shares nothing with the value that could change. A value that is not plain data is refused, such as a
 *           function or an instance of a class.
 */
import { AssertionError } from "@hayloft/base/assert.js"

/** The same as `structuredClone` for plain data, which takes many times as long for small values. */
export function plainCopy<T>(value: T): T
export function plainCopy(value: unknown): unknown {
  if (typeof value === "function" || typeof value === "symbol") throw notPlain(typeof value)
  if (typeof value !== "object" || value === null) return value
  if (Array.isArray(value)) return value.map(each => plainCopy<unknown>(each))
  if (value instanceof Uint8Array) return new Uint8Array(value)
  if (value instanceof Map) return new Map([...value].map(([key, held]) => [plainCopy(key), plainCopy(held)]))
  if (value instanceof Set) return new Set([...value].map(each => plainCopy<unknown>(each)))
  const prototype: unknown = Object.getPrototypeOf(value)
  if (prototype !== Object.prototype && prototype !== null) throw notPlain(value.constructor.name)
  return copyOfRecord(parseRecord(value))
}

/** In place of `Object.fromEntries`, which takes three times as long. */
function copyOfRecord(record: Readonly<Record<string, unknown>>): object {
  const copy: Record<string, unknown> = {}
  for (const name of Object.keys(record)) {
    const value = plainCopy<unknown>(record[name])
    if (name === "__proto__")
      Object.defineProperty(copy, name, { value, enumerable: true, writable: true, configurable: true })
    else copy[name] = value
  }
  return copy
}

/** Its prototype has been checked: it is a plain object. */
const parseRecord = (value: object) => value as Readonly<Record<string, unknown>>

const notPlain = (kind: string): AssertionError =>
  new AssertionError(`an argument or a result is no plain data, but a ${kind}`)
