/** Answers of key services: JSON whose members are read one by one, since a service may answer anything. */
import type { PostAnswer } from "@hayloft/base/seams/web/contract.js"
import { jsonMember } from "@hayloft/base/json.js"

const REASON_CHARACTERS_MAX = 200

/** The answer's JSON; undefined if it is none. */
export function jsonOf({ body }: PostAnswer): unknown {
  try {
    return JSON.parse(Buffer.from(body).toString("utf8"))
  } catch {
    return undefined
  }
}

export function textMember(value: unknown, name: string): string | undefined {
  const member = jsonMember(value, name)
  return typeof member === "string" ? member : undefined
}

/** Bytes in base64. */
export function bytesMember(value: unknown, name: string): Uint8Array | undefined {
  const text = textMember(value, name)
  return text === undefined || !/^[A-Za-z0-9+/]+={0,2}$/.test(text) ? undefined : Buffer.from(text, "base64")
}

/** Returns what a service says about an error, for logs. */
export const reasonOf = ({ status }: PostAnswer, said: string): string =>
  `status ${status}${said === "" ? "" : `: ${said.slice(0, REASON_CHARACTERS_MAX)}`}`

/** The service itself is in trouble. */
export const isTrouble = (status: number): boolean => status >= 500

/** The service has too much to do. */
export const isThrottle = (status: number): boolean => status === 429

export const malformedAnswer = (what: string) => ({ kind: "unreachable", reason: `its answer has no ${what}` }) as const
