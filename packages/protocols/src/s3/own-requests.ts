/**
 * Own requests: requests of S3 that the store itself makes for a caller who is known already: as root user of a bucket's
 * owner. They are routed, checked and run like those of clients, so that nothing is allowed that a client could not do.
 *
 * Promises  An exchange of this module never names another caller than the one that made it.
 * Limits    Bodies are in memory: small documents, and parts of uploads. Of an answer up to `REPLY_BYTES_MAX` bytes are read.
 */
import { asFailure, fail } from "@hayloft/base/failures.js"
import { parseAccessKeyId } from "@hayloft/base/ids.js"
import { NO_PAYER } from "@hayloft/base/places-core.js"
import { HeaderShapes, type RequestHeaders } from "@hayloft/base/http/request-headers.js"
import { percentEncode } from "@hayloft/base/http/uri.js"
import { HeaderLines, type HttpAnswer, type Exchange, type PlainAnswer, type Protocol } from "../http/index.js"
import type { RequestSubject } from "../http/index.js"
import type {
  JobStarter,
  ObjectReply,
  ObjectRequest,
  ObjectRequests,
  Requester,
} from "@hayloft/features/user-jobs/index.js"
import type { Bucket } from "@hayloft/objects/contract.js"
import type { SignedS3Caller } from "./caller.js"
import { createS3Handler } from "./handler.js"
import { KnownCallers } from "./known-callers.js"
import type { S3Settings } from "./parts.js"

const HOST = "localhost"
const REQUEST_ID = "0000000000000000"
const CODE = /<Code>([^<]*)<\/Code>/
const MESSAGE = /<Message>([^<]*)<\/Message>/
const REPLY_BYTES_MAX = 64 * 1024

export class OwnRequests implements ObjectRequests {
  private readonly protocol: Protocol
  private readonly known: KnownCallers
  private readonly shapes = new HeaderShapes()

  constructor(private readonly settings: Omit<S3Settings, "knownCaller">) {
    this.known = new KnownCallers(settings)
    const knownCaller = (exchange: Exchange) => (exchange instanceof OwnExchange ? exchange.caller : undefined)
    // No client has the id of an own request: the caller gets the failure, and reports it under an id of its own.
    const denials = { note: () => undefined }
    this.protocol = createS3Handler({ ...settings, denials, knownCaller })
  }

  async as({ kind, id }: JobStarter, { owner }: Pick<Bucket, "owner">): Promise<Requester> {
    const caller = kind === "key" ? await this.keyHolder(id) : await this.rootOf(owner)
    return { send: (request, signal = new AbortController().signal) => this.send(caller, request, signal) }
  }

  /** A request by the root user of the bucket's owner. Throws `accessDenied` if the owner does not exist. */
  async sendAsOwner({ owner }: Pick<Bucket, "owner">, request: ObjectRequest): Promise<ObjectReply> {
    return this.send(await this.rootOf(owner), request, new AbortController().signal)
  }

  /** With the permissions that the key has now. Throws `accessDenied`. */
  private async keyHolder(id: string): Promise<SignedS3Caller> {
    const { accounts, clock } = this.settings
    const key = await accounts.secretOf(parseAccessKeyId(id), undefined, clock.wallMs())
    if (key === undefined)
      throw fail("accessDenied", { message: `the key ${id}, whose holder started the job, is not valid any more` })
    // Jobs have limits of their own.
    return { ...this.known.ofKey(key), limited: undefined }
  }

  /** Throws `accessDenied`. */
  private async rootOf(owner: Bucket["owner"]): Promise<SignedS3Caller> {
    const root = await this.known.rootOf(owner)
    if (root !== undefined) return root
    throw fail("accessDenied", { message: "the account that owns the bucket does not exist" })
  }

  private async send(caller: SignedS3Caller, request: ObjectRequest, signal: AbortSignal): Promise<ObjectReply> {
    const { ifUnchanged } = request
    const exchange = new OwnExchange({ ...caller, ifUnchanged }, request, this.headersOf(request), signal)
    try {
      await this.protocol.handle(exchange)
    } catch (error) {
      const refusal = {
        requestId: REQUEST_ID,
        failure: asFailure(error),
        status: undefined,
        target: exchange.rawTarget,
      }
      await exchange.respond(this.protocol.refuse(refusal))
    }
    return exchange.reply()
  }

  private headersOf({ headers = [], body }: ObjectRequest): RequestHeaders {
    const ofBody: string[] = []
    if (body !== undefined) {
      const { md5 } = this.settings.hash({ md5: true, sha256: false, checksum: undefined }, body)
      ofBody.push("content-md5", Buffer.from(md5 ?? new Uint8Array()).toString("base64"))
    }
    return this.shapes.ofFlat(["host", HOST, ...headers.flat(), ...ofBody])
  }
}

function targetOf({ bucket, key, query = [] }: ObjectRequest): string {
  const path = `/${bucket}${key === undefined ? "" : `/${percentEncode(key, true)}`}`
  if (query.length === 0) return path
  return `${path}?${query.map(([name, value]) => `${percentEncode(name)}=${percentEncode(value)}`).join("&")}`
}

/** A request without a connection. */
class OwnExchange implements Exchange {
  readonly requestId = REQUEST_ID
  readonly method: string
  readonly rawTarget: string
  readonly remoteAddress = "127.0.0.1"
  /** No request leaves the process: policies that ask for TLS are satisfied. */
  readonly tlsVersion = "1.3"
  readonly contentLength: number
  readonly chunkedTransfer = false
  readonly timing = { add: () => undefined, measure: <T>(_stage: string, work: () => Promise<T>) => work() }
  readonly wholeBody: Uint8Array
  readonly payer = NO_PAYER.payer
  readonly pausedMs = 0
  private answer: HttpAnswer | PlainAnswer | undefined
  private subject: RequestSubject | undefined
  private document = ""

  constructor(
    readonly caller: SignedS3Caller,
    request: ObjectRequest,
    readonly headers: RequestHeaders,
    readonly signal: AbortSignal,
  ) {
    this.method = request.method
    this.rawTarget = targetOf(request)
    this.wholeBody = request.body ?? new Uint8Array()
    this.contentLength = this.wholeBody.length
  }

  get answered(): boolean {
    return this.answer !== undefined
  }

  header(name: string): string | undefined {
    return this.headers.get(name)
  }

  async *body(): AsyncGenerator<Uint8Array> {
    yield this.wholeBody
  }

  async gather(): Promise<Uint8Array> {
    return this.wholeBody
  }

  note(): void {}
  about(subject: RequestSubject): void {
    this.subject = subject
  }
  countIn(): void {}
  proveAccount(): void {}

  denyAccount(): void {}
  paceBy(): undefined {}
  pause(begin: (go: () => void) => unknown): Promise<void> {
    return new Promise(resolve => begin(resolve) ?? resolve())
  }
  async turn(): Promise<void> {}

  async respond(answer: HttpAnswer | PlainAnswer): Promise<void> {
    this.answer = answer
    const { body } = answer
    if (body === undefined) return
    if (body instanceof Uint8Array) {
      this.document = textOf(body)
      return
    }
    for await (const piece of body) if (this.document.length < REPLY_BYTES_MAX) this.document += textOf(piece)
  }

  /** A slow answer says in its document that it failed. */
  reply(): ObjectReply {
    const { document } = this
    const status = this.answer?.status ?? 500
    const isError = status >= 400 || /^(?:<\?xml[^>]*>)?\s*<Error>/.test(document)
    const read = { document, header: (name: string) => this.headerOfAnswer(name), failure: this.subject?.failure }
    if (!isError) return { ...read, status, code: "", message: "" }
    const [, code = "InternalError"] = CODE.exec(document) ?? []
    const [, message = ""] = MESSAGE.exec(document) ?? []
    return { ...read, status: status < 300 ? statusOf(code) : status, code, message: plainText(message) }
  }

  private headerOfAnswer(wanted: string): string | undefined {
    const headers = this.answer?.headers ?? []
    const flat = headers instanceof HeaderLines ? headers.flat() : headers
    const index = flat.findIndex((text, at) => at % 2 === 0 && text.toLowerCase() === wanted)
    return index < 0 ? undefined : flat[index + 1]
  }
}

const statusOf = (code: string): number => (code === "AccessDenied" ? 403 : 500)
const textOf = (bytes: Uint8Array): string => new TextDecoder().decode(bytes)
const plainText = (xml: string): string =>
  xml
    .replace(/&lt;/g, "<")
    .replace(/&gt;/g, ">")
    .replace(/&quot;/g, '"')
    .replace(/&apos;/g, "'")
    .replace(/&amp;/g, "&")
