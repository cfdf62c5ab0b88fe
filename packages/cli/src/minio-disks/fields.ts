/** Fields of MinIO's metadata with the types that they must have. Pure; throws `damaged` naming the field. */
import { damaged } from "./failure.js"
import type { MessageMap, MessageValue } from "./message-pack.js"

const wrong = (name: string): Error => damaged(`the field ${name} is missing or wrong`)

export function mapField(fields: MessageMap, name: string): MessageMap {
  const value = fields.get(name)
  if (value === undefined || value === null) return new Map()
  if (value instanceof Map) return value
  throw wrong(name)
}

export function textField(fields: MessageMap, name: string): string {
  const value = fields.get(name) ?? ""
  if (typeof value === "string") return value
  throw wrong(name)
}

/** Names and texts. */
export function textsField(fields: MessageMap, name: string): readonly (readonly [string, string])[] {
  return [...mapField(fields, name)].map(([key, value]) => {
    if (typeof value === "string") return [key, value]
    throw wrong(name)
  })
}

export function bytesField(fields: MessageMap, name: string): Uint8Array {
  const value = fields.get(name) ?? new Uint8Array()
  if (value instanceof Uint8Array) return value
  throw wrong(name)
}

/** A whole number of a field that must be there. */
export const countField = (fields: MessageMap, name: string): number => countOf(fields.get(name), name)

export function countOf(value: MessageValue | undefined, name: string): number {
  if (typeof value === "number" && Number.isSafeInteger(value) && value >= 0) return value
  throw wrong(name)
}

/** Nanoseconds since 1970. */
export function timeField(fields: MessageMap, name: string): bigint {
  const value = fields.get(name)
  if (typeof value === "bigint") return value
  if (typeof value === "number" && Number.isSafeInteger(value)) return BigInt(value)
  throw wrong(name)
}

/** Returns no values if the field is not there. */
export function listField(fields: MessageMap, name: string): readonly MessageValue[] {
  const value = fields.get(name) ?? []
  // A list of bytes may be written as a byte string.
  if (value instanceof Uint8Array) return [...value]
  if (isList(value)) return value
  throw wrong(name)
}

const isList = (value: MessageValue | undefined): value is readonly MessageValue[] => Array.isArray(value)

export const isMap = (value: MessageValue | undefined): value is MessageMap => value instanceof Map
