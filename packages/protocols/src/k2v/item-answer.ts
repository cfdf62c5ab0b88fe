/**
 * The answer with an item, in the form that the client accepts: a JSON list of its values, or the bytes of its only one.
 * Pure.
 */
import { fail } from "@hayloft/base/failures.js"
import { encodeToken } from "@hayloft/engine/format/k2v/k2v-token.js"
import type { PlainAnswer } from "../http/index.js"
import type { ItemContent } from "@hayloft/features/items/index.js"

export const TOKEN_HEADER = "x-garage-causality-token"

interface Accept {
  readonly json: boolean
  readonly binary: boolean
}

const JSON_TYPE = "application/json"
const BINARY_TYPE = "application/octet-stream"

/** Throws `invalidArgument`, as not acceptable. */
export function acceptOf(header: string | undefined): Accept {
  if (header === undefined) return { json: true, binary: false }
  const types = new Set(header.split(",").map(type => type.replace(/;.*/s, "").trim().toLowerCase()))
  const accepts = (type: string): boolean => types.has(type) || types.has("*/*")
  const accept = { json: accepts(JSON_TYPE), binary: accepts(BINARY_TYPE) }
  if (accept.json || accept.binary) return accept
  const message = `Accept must contain ${JSON_TYPE} or ${BINARY_TYPE}, or both.`
  throw fail("invalidArgument", { message, field: "accept" })
}

export function itemAnswer({ context, values }: ItemContent, accept: Accept): PlainAnswer {
  const answer = (status: number, type: string, body: Uint8Array): PlainAnswer => ({
    status,
    headers: ["X-Garage-Causality-Token", encodeToken(context), "Content-Type", type],
    body,
  })
  const [only] = values
  if (accept.binary && values.length === 1)
    return only === undefined ? answer(204, BINARY_TYPE, NO_BODY) : answer(200, BINARY_TYPE, only)
  if (!accept.json) return answer(409, BINARY_TYPE, NO_BODY)
  const shown = values.map(bytes => (bytes === undefined ? null : Buffer.from(bytes).toString("base64")))
  return answer(200, JSON_TYPE, Buffer.from(JSON.stringify(shown)))
}

const NO_BODY = new Uint8Array(0)
