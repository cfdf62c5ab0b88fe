/** Converts S3's answers to HTTP answers: error documents, ids, bytes. */
import type { LentBytes } from "@hayloft/base/memory/pieces.js"
import { lastly, type Soon } from "@hayloft/base/soon.js"
import { HeaderLines, type HttpAnswer, type Exchange, type PlainAnswer } from "../http/index.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { S3Answer } from "./call.js"
import { XML_TYPE } from "./call.js"
import type { S3Error } from "./failures.js"
import { xmlDocument } from "./wire/xml-writer.js"
import type { XmlWriter } from "./wire/xml-writer.js"
import type { HeaderField } from "@hayloft/base/http/request-headers.js"

/** Context that answers and error documents add to the operation's result. */
export interface AnswerScene {
  readonly requestId: string
  readonly hostId: string
  /** The path as sent. */
  readonly resource: string
  readonly bucketName: string | undefined
  /** The key that the request addresses, as text. */
  readonly key: string | undefined
  readonly region: string
  /** Headers of every answer to the request. */
  readonly fields: readonly HeaderField[]
}

function flat(fields: readonly HeaderField[]): string[] {
  const names: string[] = []
  for (const [name, value] of fields) names.push(name, value)
  return names
}

const commonFields = ({ requestId, hostId, fields }: AnswerScene): HeaderField[] => [
  ["x-amz-request-id", requestId],
  ["x-amz-id-2", hostId],
  ...fields,
]

const NAMES_BUCKET = new Set([
  "NoSuchBucket",
  "InvalidBucketName",
  "BucketAlreadyExists",
  "BucketAlreadyOwnedByYou",
  "BucketNotEmpty",
])

export function errorDocument(error: S3Error, scene: AnswerScene): Uint8Array {
  const { code, message, fields } = error
  const named: HeaderField[] = []
  const name = (element: string, value: string | undefined): void => {
    const isNamed = fields.some(([field]) => field === element)
    if (value !== undefined && !isNamed) named.push([element, value])
  }
  if (NAMES_BUCKET.has(code)) name("BucketName", scene.bucketName)
  if (code === "NoSuchKey" || code === "NoSuchVersion") name("Key", scene.key)
  const all: HeaderField[] = [
    ["Code", code],
    ["Message", message],
    ...named,
    ...fields,
    ["Resource", scene.resource],
    ["RequestId", scene.requestId],
    ["HostId", scene.hostId],
  ]
  const write = (xml: XmlWriter): void => {
    for (const [name, value] of all) xml.text(name, value)
  }
  return xmlDocument("Error", write, { namespace: false })
}

/** Clients that signed for another region find the right one in these answers. */
const NAMES_REGION = new Set([301, 400, 403])

export function errorAnswer(error: S3Error, scene: AnswerScene): PlainAnswer {
  const region: HeaderField[] =
    NAMES_REGION.has(error.status) && !error.headers.some(([name]) => name === "x-amz-bucket-region")
      ? [["x-amz-bucket-region", scene.region]]
      : []
  const headers = [...commonFields(scene), ...region, ...error.headers]
  if (error.status === 304) return { status: 304, headers: flat(headers), body: new Uint8Array() }
  return {
    status: error.status,
    headers: flat([...headers, ["Content-Type", XML_TYPE]]),
    body: errorDocument(error, scene),
  }
}

/** The header lines that every answer begins with; `hostLine` includes its line end. */
export function commonLines(requestId: string, hostLine: string, fields: readonly HeaderField[]): HeaderLines {
  const lines = HeaderLines.ofChecked(`x-amz-request-id: ${requestId}\r\n${hostLine}`)
  return fields.length === 0 ? lines : lines.and(HeaderLines.of(flat(fields)))
}

/** An operation's answer without object bytes, ready to send. */
export function httpAnswer(answer: S3Answer, common: HeaderLines, scene: () => AnswerScene): HttpAnswer {
  const { status, body } = answer
  if (body.kind === "error") return errorAnswer(body.error, scene())
  const headers = common.and(answer.headers)
  if (body.kind === "document") {
    const type = body.type === undefined ? XML_TYPE_LINE : HeaderLines.of(["Content-Type", body.type])
    return { status, headers: headers.and(type), body: body.bytes }
  }
  if (body.kind !== "omitted") return { status, headers }
  // Without a length, the head is that of a stream.
  return body.lengthBytes === undefined
    ? { status, headers, body: NOTHING }
    : { status, headers, contentLength: body.lengthBytes }
}

/** Sends an object's bytes, and closes it. */
export function respondObject(
  exchange: Exchange,
  { status, headers }: Pick<S3Answer, "status" | "headers">,
  { body, lengthBytes: contentLength }: Extract<S3Answer["body"], { kind: "object" }>,
  clock: Clock,
): Soon<void> {
  const { whole } = body
  if (whole !== undefined) {
    return lastly(
      () => exchange.respond({ status, headers, body: whole, isLent: true }),
      () => body.close(),
    )
  }
  const startedMs = clock.monotonicMs()
  const answer = { status, headers, ...(contentLength !== undefined && { contentLength }) }
  let lent: LentBytes | undefined
  return lastly(
    () => {
      lent = body.lend()
      return lent === undefined
        ? exchange.respond({ ...answer, body: body.read(exchange.signal, "reader") })
        : exchange.respond({ status, headers, body: lent.bytes })
    },
    () => {
      // Once the answer is done, no one reads the bytes any more: they have been sent, or the connection is closed.
      lent?.giveBack()
      body.close()
      exchange.timing.add("data", clock.monotonicMs() - startedMs)
    },
  )
}

const NOTHING: AsyncIterable<Uint8Array> = {
  async *[Symbol.asyncIterator]() {},
}
const XML_TYPE_LINE = HeaderLines.of(["Content-Type", XML_TYPE])
