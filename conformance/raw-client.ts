/**
 * A raw HTTP/1.1 client on a plain socket: every byte of the request is the caller's, and the answer
 * comes back as it was sent.
 *
 * Node's own client normalises targets, joins headers and hides 100-continue; the behaviours tested
 * here live exactly there. An answer may arrive before the body has been written; a body that ends
 * early is an error that carries what came.
 * Limits  ANSWER_TIMEOUT_MS for each answer, ANSWER_BYTES_MAX of body.
 */
import { connect as connectPlain } from "node:net"
import type { Socket } from "node:net"
import { connect as connectTls } from "node:tls"

export type Header = readonly [name: string, value: string]

export interface Endpoint {
  readonly host: string
  readonly port: number
  /** Default: plain HTTP. */
  readonly tls?: { readonly ca: string }
}

export interface RawResponse {
  readonly status: number
  readonly reason: string
  readonly headers: readonly Header[]
  readonly body: Buffer
  readonly text: string
  /** A `100 Continue` came before it. */
  readonly continued: boolean
  /** The first value, undefined where absent. */
  header(name: string): string | undefined
}

export interface RawRequest {
  readonly method: string
  readonly target: string
  readonly headers: readonly Header[]
  /** Pieces are written one by one, each in a write of its own. */
  readonly body?: readonly Uint8Array[]
  /** Wait for `100 Continue` before the body (the header is the caller's). */
  readonly awaitContinue?: boolean
  /** Pause before each piece of the body. */
  readonly pauseMs?: number
}

export const ANSWER_TIMEOUT_MS = 120_000
const ANSWER_BYTES_MAX = 256 * 1024 * 1024

/** The connection ended, broke or stayed silent before the answer was whole. */
export class AnswerBroken extends Error {
  constructor(
    message: string,
    readonly partial: { readonly status: number | undefined; readonly body: Buffer },
  ) {
    super(message)
  }
}

const later = (durationMs: number) => new Promise<void>(resolve => void setTimeout(resolve, durationMs))

export function parseEndpoint(url: string, ca?: string): Endpoint {
  const { protocol, hostname, port } = new URL(url)
  const secure = protocol === "https:"
  const host = hostname.replace(/^\[|\]$/g, "")
  const number = port === "" ? (secure ? 443 : 80) : Number(port)
  return secure ? { host, port: number, tls: { ca: ca ?? "" } } : { host, port: number }
}

function openSocket(endpoint: Endpoint): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const where = { host: endpoint.host, port: endpoint.port }
    const socket = endpoint.tls
      ? connectTls({ ...where, ...(endpoint.tls.ca === "" ? {} : { ca: endpoint.tls.ca }) })
      : connectPlain({ ...where, noDelay: true })
    socket.once("error", reject)
    socket.once(endpoint.tls ? "secureConnect" : "connect", () => {
      socket.removeListener("error", reject)
      resolve(socket)
    })
  })
}

export class RawConnection {
  private received: Buffer = Buffer.alloc(0)
  private chunks: Buffer[] = []
  private ended = false
  private trouble: Error | undefined
  private wake: () => void = () => {}

  private constructor(private readonly socket: Socket) {
    socket.on("data", chunk => {
      this.chunks.push(chunk)
      this.wake()
    })
    socket.on("error", error => {
      this.trouble = error
      this.wake()
    })
    for (const event of ["end", "close"]) {
      socket.on(event, () => {
        this.ended = true
        this.wake()
      })
    }
  }

  static async open(endpoint: Endpoint): Promise<RawConnection> {
    return new RawConnection(await openSocket(endpoint))
  }

  /** True once the peer has closed, or the connection broke. */
  get closed(): boolean {
    return this.ended || this.trouble !== undefined
  }

  /** Resolves once the system has taken the bytes; a broken connection is not an error here. */
  write(bytes: Uint8Array): Promise<void> {
    return new Promise(resolve => {
      if (this.socket.destroyed || !this.socket.writable) return resolve()
      this.socket.write(bytes, () => resolve())
    })
  }

  /** Sends FIN and keeps reading. */
  endWriting(): void {
    this.socket.end()
  }

  destroy(): void {
    this.socket.destroy()
  }

  /** Waits until the peer closes; false when it has not within the time. */
  async waitClosed(timeoutMs: number): Promise<boolean> {
    const deadline = Date.now() + timeoutMs
    while (!this.closed && Date.now() < deadline) await this.more(deadline)
    return this.closed
  }

  /** Reads one answer; informational ones before it are noted and skipped. */
  async read(method: string, timeoutMs = ANSWER_TIMEOUT_MS): Promise<RawResponse> {
    const deadline = Date.now() + timeoutMs
    let continued = false
    for (;;) {
      const head = await this.readHead(deadline)
      if (head.status >= 200) {
        const body = await this.readBody(method, head, deadline)
        return answer(head, body, continued)
      }
      continued ||= head.status === 100
    }
  }

  /** Waits for the first answer of any kind; true if it is `100 Continue`, which is then consumed. */
  async awaitContinue(timeoutMs = ANSWER_TIMEOUT_MS): Promise<boolean> {
    const deadline = Date.now() + timeoutMs
    while (this.gather().indexOf("\r\n\r\n") < 0) await this.need(deadline, undefined)
    if (!/^HTTP\/1\.1 100 /.test(this.received.toString("latin1", 0, 13))) return false
    await this.readHead(deadline)
    return true
  }

  private gather(): Buffer {
    if (this.chunks.length > 0) {
      this.received = Buffer.concat([this.received, ...this.chunks])
      this.chunks = []
    }
    return this.received
  }

  private more(deadline: number): Promise<void> {
    return new Promise(resolve => {
      const timer = setTimeout(resolve, Math.max(1, deadline - Date.now()))
      this.wake = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  }

  /** Waits until there are more pieces than `known` not yet gathered. */
  private async need(deadline: number, status: number | undefined, known = 0): Promise<void> {
    if (this.chunks.length > known) return
    if (this.closed || Date.now() >= deadline) {
      const why = this.trouble ? this.trouble.message : this.ended ? "connection closed" : "no answer in time"
      throw new AnswerBroken(
        `${why}${status === undefined ? " before an answer" : ` inside the body of a ${status}`}`,
        {
          status,
          body: this.gather(),
        },
      )
    }
    await this.more(deadline)
  }

  private async readHead(deadline: number): Promise<Head> {
    for (;;) {
      const end = this.gather().indexOf("\r\n\r\n")
      if (end >= 0) {
        const head = parseHead(this.received.toString("latin1", 0, end))
        this.received = this.received.subarray(end + 4)
        return head
      }
      await this.need(deadline, undefined)
    }
  }

  private async readBody(method: string, head: Head, deadline: number): Promise<Buffer> {
    if (method === "HEAD" || head.status === 204 || head.status === 304) return Buffer.alloc(0)
    const coding = valueOf(head.headers, "transfer-encoding")
    if (coding?.toLowerCase() === "chunked") return this.readChunks(head.status, deadline)
    const length = valueOf(head.headers, "content-length")
    if (length !== undefined) return this.take(Number(length), head.status, deadline)
    while (!this.closed) await this.need(deadline, head.status)
    const rest = this.gather()
    this.received = Buffer.alloc(0)
    return rest
  }

  private async take(length: number, status: number, deadline: number): Promise<Buffer> {
    if (!(length <= ANSWER_BYTES_MAX)) throw new Error(`answer of ${length} bytes`)
    let have = this.received.length
    while (have < length) {
      await this.need(deadline, status, this.chunks.length)
      have = this.received.length + this.chunks.reduce((sum, chunk) => sum + chunk.length, 0)
    }
    const all = this.gather()
    this.received = all.subarray(length)
    return all.subarray(0, length)
  }

  private async readLine(status: number, deadline: number): Promise<string> {
    for (;;) {
      const end = this.gather().indexOf("\r\n")
      if (end >= 0) {
        const line = this.received.toString("latin1", 0, end)
        this.received = this.received.subarray(end + 2)
        return line
      }
      await this.need(deadline, status)
    }
  }

  private async readChunks(status: number, deadline: number): Promise<Buffer> {
    const parts: Buffer[] = []
    for (;;) {
      const length = parseInt(await this.readLine(status, deadline), 16)
      if (Number.isNaN(length)) throw new AnswerBroken("malformed chunk", { status, body: Buffer.concat(parts) })
      if (length === 0) break
      parts.push(await this.take(length, status, deadline))
      await this.readLine(status, deadline)
    }
    while ((await this.readLine(status, deadline)) !== "") continue
    return Buffer.concat(parts)
  }
}

interface Head {
  readonly status: number
  readonly reason: string
  readonly headers: readonly Header[]
}

function parseHead(text: string): Head {
  const [first = "", ...lines] = text.split("\r\n")
  const match = /^HTTP\/1\.[01] (\d{3}) ?(.*)$/.exec(first)
  if (!match) throw new Error(`not an HTTP answer: ${first.slice(0, 80)}`)
  const headers = lines.map((line): Header => {
    const colon = line.indexOf(":")
    return [line.slice(0, colon), line.slice(colon + 1).trim()]
  })
  return { status: Number(match[1]), reason: match[2] ?? "", headers }
}

const valueOf = (headers: readonly Header[], name: string): string | undefined =>
  headers.find(header => header[0].toLowerCase() === name.toLowerCase())?.[1]

function answer(head: Head, body: Buffer, continued: boolean): RawResponse {
  let text: string | undefined
  return {
    ...head,
    body,
    // Only callers that read it pay for it: bodies of megabytes take longer to decode than to receive.
    get text() {
      return (text ??= body.toString("utf8"))
    },
    continued,
    header: name => valueOf(head.headers, name),
  }
}

/** Request line and headers as they go out, one character a byte. */
export function encodeHead(request: RawRequest): Buffer {
  const lines = [`${request.method} ${request.target} HTTP/1.1`, ...request.headers.map(([n, v]) => `${n}: ${v}`)]
  return Buffer.from(`${lines.join("\r\n")}\r\n\r\n`, "latin1")
}

/** Sends one request on an open connection and reads its answer; the body goes out while reading. */
export async function exchangeOn(connection: RawConnection, request: RawRequest): Promise<RawResponse> {
  await connection.write(encodeHead(request))
  let continued = false
  if (request.awaitContinue) {
    continued = await connection.awaitContinue()
    if (!continued) return connection.read(request.method)
  }
  const writing = writeBody(connection, request)
  const response = await connection.read(request.method)
  if (!connection.closed) await Promise.race([writing, later(2_000)])
  return continued ? { ...response, continued } : response
}

async function writeBody(connection: RawConnection, request: RawRequest): Promise<void> {
  for (const piece of request.body ?? []) {
    if (request.pauseMs !== undefined) await later(request.pauseMs)
    if (connection.closed) return
    await connection.write(piece)
  }
}

/** One request on a connection of its own. */
export async function exchange(endpoint: Endpoint, request: RawRequest): Promise<RawResponse> {
  const connection = await RawConnection.open(endpoint)
  try {
    return await exchangeOn(connection, request)
  } finally {
    connection.destroy()
  }
}

/** A connection kept for many requests, one after the other; reopened when the server closed it or announced that. */
export class KeptConnection {
  private connection: RawConnection | undefined

  constructor(private readonly endpoint: Endpoint) {}

  async exchange(request: RawRequest): Promise<RawResponse> {
    try {
      if (this.connection === undefined || this.connection.closed) {
        this.connection = await RawConnection.open(this.endpoint)
      }
      const response = await exchangeOn(this.connection, request)
      if (response.header("connection")?.toLowerCase() === "close") this.close()
      return response
    } catch (error) {
      this.close()
      throw error
    }
  }

  close(): void {
    this.connection?.destroy()
    this.connection = undefined
  }
}

/** Kept connections, as many as there are requests at the same time. One whose request was refused is not used again. */
export class KeptConnections {
  private readonly idle: KeptConnection[] = []

  constructor(private readonly endpoint: Endpoint) {}

  async exchange(request: RawRequest): Promise<RawResponse> {
    const connection = this.idle.pop() ?? new KeptConnection(this.endpoint)
    const response = await connection.exchange(request)
    if (response.status < 400) this.idle.push(connection)
    else connection.close()
    return response
  }

  close(): void {
    for (const connection of this.idle.splice(0)) connection.close()
  }
}
