/** From S3's answers to those of HTTP: error documents, ids, bytes. */
import type { Answer as HttpAnswer, Exchange, PlainAnswer } from "../http/index.js"
import type { Answer } from "./call.js"
import { XML_TYPE } from "./call.js"
import type { Field, S3Error } from "./failures.js"
import { xmlDocument } from "./wire/xml-writer.js"
import type { XmlWriter } from "./wire/xml-writer.js"

/** What an answer says besides what its operation does, and an error document besides the error. */
export interface AnswerScene {
  readonly requestId: string
  readonly hostId: string
  /** The path as sent. */
  readonly resource: string
  readonly bucketName: string | undefined
  /** As text. */
  readonly key: string | undefined
  readonly region: string
  /** Headers of every answer to the request. */
  readonly fields: readonly Field[]
}

function flat(fields: readonly Field[]): string[] {
  const names: string[] = []
  for (const [name, value] of fields) names.push(name, value)
  return names
}

export const commonFields = ({ requestId, hostId, fields }: AnswerScene): Field[] => [
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
  const named: Field[] = []
  if (scene.bucketName !== undefined && NAMES_BUCKET.has(code)) named.push(["BucketName", scene.bucketName])
  if (scene.key !== undefined && (code === "NoSuchKey" || code === "NoSuchVersion")) named.push(["Key", scene.key])
  const all: Field[] = [
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

/** Clients that signed for another region find the right one here. */
const NAMES_REGION = new Set([301, 400, 403])

export function errorAnswer(error: S3Error, scene: AnswerScene): PlainAnswer {
  const region: Field[] =
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

/** An answer of an operation, ready for the wire. */
export function httpAnswer(answer: Answer, scene: AnswerScene, exchange: Pick<Exchange, "signal">): HttpAnswer {
  const { status, body } = answer
  const headers = flat([...commonFields(scene), ...answer.headers])
  switch (body.kind) {
    case "none":
      return { status, headers }
    case "omitted":
      return { status, headers, contentLength: body.lengthBytes }
    case "document":
      return { status, headers: [...headers, "Content-Type", body.type ?? XML_TYPE], body: body.bytes }
    case "error":
      return errorAnswer(body.error, scene)
    case "object":
      return {
        status,
        headers,
        contentLength: body.lengthBytes,
        // The signal is made when it is asked for.
        body: body.body.whole ?? body.body.read(exchange.signal, "reader"),
      }
  }
}
