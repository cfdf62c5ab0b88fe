/**
 * S3 requests for the conformance rows: built from parts, signed, sent raw.
 *
 * Everything can be overridden: the raw path, the Host, what is signed and how. What is not said is
 * done the plain way (path style, header signature over the body's SHA-256, Content-Length).
 */
import { exchange } from "./raw-client.js"
import type { Endpoint, Header, KeptConnections, RawRequest, RawResponse } from "./raw-client.js"
import { UNSIGNED_PAYLOAD, amzDate, authorization, encodeText, presign, signRequest } from "./sign-v4.js"
import type { Credentials, SignOptions, Signature } from "./sign-v4.js"
import { sha256Hex } from "./checksums.js"

export type HeaderInput = readonly Header[] | Readonly<Record<string, string>>

export interface Call {
  readonly bucket?: string
  readonly key?: string
  /** Raw path, instead of one built from bucket and key. */
  readonly path?: string
  /** Raw query without `?`. */
  readonly query?: string
  readonly headers?: HeaderInput
  readonly body?: Uint8Array | string
  /** Value of the Host header. */
  readonly host?: string
  /** Sends the request without a signature. */
  readonly anonymous?: boolean
  readonly credentials?: Credentials
  readonly sign?: Partial<SignOptions>
  /** Leave out Content-Length. */
  readonly noLength?: boolean
  readonly awaitContinue?: boolean
}

export interface Prepared {
  readonly request: RawRequest
  readonly signature: Signature | undefined
}

export const headerList = (input: HeaderInput | undefined): Header[] =>
  input === undefined ? [] : isList(input) ? [...input] : Object.entries(input)

const isList = (input: HeaderInput): input is readonly Header[] => Array.isArray(input)

const bytesOf = (body: Uint8Array | string | undefined): Uint8Array =>
  body === undefined ? Buffer.alloc(0) : typeof body === "string" ? Buffer.from(body, "utf8") : body

/** Text whose characters are the UTF-8 bytes: how header values and raw targets are written here. */
export const utf8 = (text: string): string => Buffer.from(text, "utf8").toString("latin1")

/** Headers that say where a message ends, and how long its connection lives. */
const FRAMING: readonly string[] = ["content-length", "transfer-encoding", "connection", "expect"]

/** Returns true unless a request may leave something behind on its connection. */
const keepsItsFrame = (call: Call): boolean =>
  call.noLength !== true &&
  call.awaitContinue !== true &&
  headerList(call.headers).every(([name]) => !FRAMING.includes(name.toLowerCase()))

/** `kept`: for requests in which nothing is unusual; default: a connection for each request. */
export class Client {
  constructor(
    readonly endpoint: Endpoint,
    readonly credentials: Credentials,
    readonly region: string,
    private readonly kept?: KeptConnections,
  ) {}

  get authority(): string {
    return `${this.endpoint.host}:${this.endpoint.port}`
  }

  target(call: Call): string {
    const bucket = call.bucket === undefined ? "" : `/${encodeText(call.bucket)}`
    const key = call.key === undefined ? "" : `/${encodeText(call.key, true)}`
    const path = call.path ?? (bucket + key === "" ? "/" : bucket + key)
    return call.query === undefined || call.query === "" ? path : `${path}?${call.query}`
  }

  private signOptions(call: Call, payloadHash: string): SignOptions {
    return {
      timeMs: Date.now(),
      region: this.region,
      service: "s3",
      payloadHash,
      unsignedHeaders: [],
      ...call.sign,
    }
  }

  /** The request as it will be sent, and its signature for those who tamper or stream. */
  prepare(method: string, call: Call): Prepared {
    const body = bytesOf(call.body)
    const given = headerList(call.headers)
    const has = (name: string) => given.some(header => header[0].toLowerCase() === name)
    const headers: Header[] = has("host") ? given : [["Host", call.host ?? this.authority], ...given]
    const sends = body.length > 0 || method === "PUT" || method === "POST"
    if (sends && !has("content-length") && !has("transfer-encoding") && call.noLength !== true) {
      headers.push(["Content-Length", String(body.length)])
    }
    const target = this.target(call)
    const plain = { method, target, headers, body: body.length > 0 ? [body] : [] }
    const request = call.awaitContinue ? { ...plain, awaitContinue: true } : plain
    if (call.anonymous) return { request, signature: undefined }
    const options = this.signOptions(call, call.sign?.payloadHash ?? sha256Hex(body))
    if (!has("x-amz-content-sha256")) headers.push(["x-amz-content-sha256", options.payloadHash])
    if (!has("x-amz-date") && !has("date")) headers.push(["x-amz-date", amzDate(options.timeMs)])
    const credentials = call.credentials ?? this.credentials
    if (credentials.sessionToken !== undefined) headers.push(["x-amz-security-token", credentials.sessionToken])
    const signature = signRequest({ method, target, headers }, credentials, options)
    headers.push(["Authorization", authorization(credentials, signature)])
    return { request, signature }
  }

  call(method: string, call: Call): Promise<RawResponse> {
    const { request } = this.prepare(method, call)
    return this.kept !== undefined && keepsItsFrame(call)
      ? this.kept.exchange(request)
      : exchange(this.endpoint, request)
  }

  /** Target of a presigned request; send it with `send` or any HTTP client. */
  presign(method: string, call: Call & { readonly expires?: number | string }): string {
    const headers: Header[] = [["Host", call.host ?? this.authority], ...headerList(call.headers)]
    const options = { ...this.signOptions(call, UNSIGNED_PAYLOAD), expires: String(call.expires ?? 300) }
    return presign({ method, target: this.target(call), headers }, call.credentials ?? this.credentials, options)
  }

  /** Sends a raw target (a presigned one, say) without any other credentials. */
  send(method: string, target: string, call: Pick<Call, "headers" | "body" | "host"> = {}): Promise<RawResponse> {
    const body = bytesOf(call.body)
    const headers: Header[] = [["Host", call.host ?? this.authority], ...headerList(call.headers)]
    if (body.length > 0 || method === "PUT" || method === "POST") headers.push(["Content-Length", String(body.length)])
    return exchange(this.endpoint, { method, target, headers, body: body.length > 0 ? [body] : [] })
  }
}
