/** Forms as browsers send them, signed as a web server does for its pages; every byte is the caller's own. */
import { createHmac } from "node:crypto"
import { exchange, parseEndpoint } from "./raw-client.js"
import type { RawResponse } from "./raw-client.js"
import { amzDate, deriveSigningKey } from "./sign-v4.js"
import type { Credentials } from "./sign-v4.js"

export type Fields = readonly (readonly [name: string, value: string])[]

export interface FormFile {
  readonly name?: string
  readonly bytes: Uint8Array | string
  readonly type?: string
}

export const FORM_BOUNDARY = "----TestBoundary7MA4YWxkTrZu0gW"

/** Far longer than a browser takes to start on a busy machine. */
const POLICY_MS = 10 * 60_000

export interface PolicyOptions {
  readonly bucket: string
  readonly conditions?: readonly unknown[]
  readonly expiresMs?: number
  readonly region?: string
}

function policyOf(
  { bucket, conditions = [], expiresMs = Date.now() + POLICY_MS }: PolicyOptions,
  more: readonly unknown[],
) {
  const document = { expiration: new Date(expiresMs).toISOString(), conditions: [{ bucket }, ...conditions, ...more] }
  return Buffer.from(JSON.stringify(document)).toString("base64")
}

/** The fields of a signature of version 4 over such a policy. */
export function signForm({ accessKey, secretKey }: Credentials, options: PolicyOptions): Fields {
  const { region = "us-east-1" } = options
  const date = amzDate(Date.now())
  const day = date.slice(0, 8)
  const signed: Fields = [
    ["x-amz-algorithm", "AWS4-HMAC-SHA256"],
    ["x-amz-credential", `${accessKey}/${day}/${region}/s3/aws4_request`],
    ["x-amz-date", date],
  ]
  const policy = policyOf(
    options,
    signed.map(([name, value]) => ({ [name]: value })),
  )
  const key = deriveSigningKey(secretKey, day, region, "s3")
  return [...signed, ["policy", policy], ["x-amz-signature", createHmac("sha256", key).update(policy).digest("hex")]]
}

/** The fields of an HMAC-SHA1 signature over such a policy. */
export function signOldForm({ accessKey, secretKey }: Credentials, options: PolicyOptions): Fields {
  const policy = policyOf(options, [])
  const signature = createHmac("sha1", secretKey).update(policy).digest("base64")
  return [
    ["AWSAccessKeyId", accessKey],
    ["policy", policy],
    ["signature", signature],
  ]
}

export const fieldPart = (name: string, value: string): string =>
  `--${FORM_BOUNDARY}\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`

export function filePart({ name, bytes, type = "text/plain" }: FormFile): Buffer {
  const fileName = name === undefined ? "" : `; filename="${name}"`
  const head = `--${FORM_BOUNDARY}\r\nContent-Disposition: form-data; name="file"${fileName}\r\nContent-Type: ${type}\r\n\r\n`
  return Buffer.concat([Buffer.from(head), Buffer.from(bytes), Buffer.from("\r\n")])
}

export const FORM_END = `--${FORM_BOUNDARY}--\r\n`

export const formBody = (fields: Fields, file: FormFile): Buffer =>
  Buffer.concat([
    Buffer.from(fields.map(([name, value]) => fieldPart(name, value)).join("")),
    filePart(file),
    Buffer.from(FORM_END),
  ])

export interface Post {
  readonly endpoint: string
  readonly bucket: string
  readonly body: Buffer
  readonly headers?: Readonly<Record<string, string>>
  /** How many bytes a write to the socket has. */
  readonly pieceBytes?: number
}

/** Sends a body as a form. */
export function post({ endpoint, bucket, body, headers = {}, pieceBytes = body.length }: Post): Promise<RawResponse> {
  const { host } = new URL(endpoint)
  const all = {
    Host: host,
    "Content-Type": `multipart/form-data; boundary=${FORM_BOUNDARY}`,
    "Content-Length": String(body.length),
    ...headers,
  }
  const pieces: Buffer[] = []
  for (let at = 0; at < body.length; at += pieceBytes) pieces.push(body.subarray(at, at + pieceBytes))
  return exchange(parseEndpoint(endpoint), {
    method: "POST",
    target: `/${bucket}`,
    headers: Object.entries(all),
    body: pieces,
  })
}
