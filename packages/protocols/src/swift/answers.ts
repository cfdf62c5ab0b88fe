/** Answers of Swift: what every one of them has, and those of requests that failed. */
import { HeaderLines, type PlainAnswer } from "../http/index.js"
import type { S3Answer } from "../s3/index.js"
import { escapedText } from "./markup-core.js"
import type { HeaderField } from "@hayloft/base/http/request-headers.js"

/** Headers that identify a request. */
export const idFields = (requestId: string): HeaderField[] => {
  const id = `tx${requestId.toLowerCase()}`
  return [
    ["X-Trans-Id", id],
    ["X-Openstack-Request-Id", id],
  ]
}

export const headerLinesOf = (fields: readonly HeaderField[]): HeaderLines => HeaderLines.of(fields.flat())

export const emptyAnswer = (status: number, fields: readonly HeaderField[] = []): S3Answer => ({
  status,
  headers: headerLinesOf(fields),
  body: { kind: "none" },
})

/** An account or a container without a body: Swift states its length, although HTTP asks for none with 204. */
export const emptyEntity = (fields: readonly HeaderField[]): S3Answer =>
  emptyAnswer(204, [...fields, ["Content-Length", "0"]])

export const textAnswer = (
  status: number,
  type: string,
  text: string,
  fields: readonly HeaderField[] = [],
): S3Answer => ({
  status,
  headers: headerLinesOf(fields),
  body: { kind: "document", type, bytes: new TextEncoder().encode(text) },
})

/** Seconds with five decimals, as Swift writes times of entities. */
export const timestampOf = (timeMs: number): string => (timeMs / 1000).toFixed(5)

interface ErrorText {
  readonly status: number
  readonly title: string
  readonly message: string
  readonly fields: readonly HeaderField[]
  /** The message is the whole body. */
  readonly isPlain?: boolean
}

/** A page, as Swift answers errors. */
export function errorAnswer(
  { status, title, message, fields, isPlain = false }: ErrorText,
  requestId: string,
): PlainAnswer {
  const headers = [...idFields(requestId), ...fields].flat()
  if (status === 304) return { status, headers, body: new Uint8Array() }
  const page = isPlain ? message : `<html><h1>${escapedText(title)}</h1><p>${escapedText(message)}</p></html>`
  return {
    status,
    headers: [...headers, "Content-Type", "text/html; charset=UTF-8"],
    body: new TextEncoder().encode(page),
  }
}
