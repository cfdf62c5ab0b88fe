/**
 * One kept-alive connection for load: requests are bytes that were made before, written in one piece, and
 * answers are only measured. It costs a fraction of `node:http`, so that a client on the server's own
 * processors takes little of them.
 *
 * Promises  One request at a time; a connection that the server ended is opened anew for the next one.
 * Failures  `Unreachable` before an answer, `BrokenAnswer` inside one, an abort of the signal as such.
 * Limits    `SILENCE_MS_MAX` without a byte in either direction.
 */
import { setMaxListeners } from "node:events"
import { connect, isIP, type Socket } from "node:net"
import { connect as connectSecurely } from "node:tls"
import { BrokenAnswer, Unreachable } from "../remote.js"
import { AnswerReader, type ReadAnswer } from "./answer-reader.js"

const SILENCE_MS_MAX = 60_000
const BUFFER_BYTES = 64 * 1024

export interface RawRequest {
  /** The head, and the body where that is short. */
  readonly bytes: Uint8Array
  /** What follows it. */
  readonly body?: Uint8Array
  readonly isHead: boolean
}

export interface RawOptions {
  /** Of each read; large bodies are cheaper in large pieces. */
  readonly bufferBytes?: number
  /** Certificates in PEM that are trusted in place of the system's. */
  readonly trustedCertificates?: string
}

interface Waiting {
  readonly resolve: (answer: ReadAnswer) => void
  readonly reject: (error: Error) => void
  readonly onBody: (() => void) | undefined
}

export class RawConnection {
  private socket: Socket | undefined
  private reader: AnswerReader | undefined
  private waiting: Waiting | undefined
  private readonly onAbort = (): void => this.close()

  constructor(
    private readonly endpoint: URL,
    private readonly signal: AbortSignal,
    private readonly options: RawOptions = {},
  ) {
    // Thousands of connections listen to it.
    setMaxListeners(0, signal)
    signal.addEventListener("abort", this.onAbort)
  }

  /** `onBody` is called when the first byte of the body is there. */
  async ask(request: RawRequest, onBody?: () => void): Promise<ReadAnswer> {
    this.signal.throwIfAborted()
    if (this.socket === undefined || this.socket.destroyed || !this.socket.writable) await this.open()
    return new Promise((resolve, reject) => {
      const { socket, reader } = this
      if (socket === undefined || reader === undefined) return reject(this.unreachable("it hung up"))
      this.waiting = { resolve, reject, onBody }
      reader.expect(request.isHead)
      socket.cork()
      socket.write(request.bytes)
      if (request.body !== undefined) socket.write(request.body)
      socket.uncork()
    })
  }

  close(): void {
    this.signal.removeEventListener("abort", this.onAbort)
    this.socket?.destroy()
  }

  async open(): Promise<void> {
    const socket = this.connected()
    this.socket = socket
    this.reader = new AnswerReader(
      answer => {
        if (answer.isLast) socket.destroy()
        this.settle()?.resolve(answer)
      },
      () => this.waiting?.onBody?.(),
    )
    socket.setNoDelay(true)
    socket.setTimeout(SILENCE_MS_MAX, () => socket.destroy(new Error(`silent for ${SILENCE_MS_MAX / 1000} s`)))
    await new Promise<void>((resolve, reject) => {
      socket.once(this.isSecure ? "secureConnect" : "connect", resolve)
      socket.once("error", error => reject(this.unreachable(error.message)))
      socket.once("close", () => reject(this.unreachable("it hung up")))
    })
    socket.on("error", error => this.fail(this.unreachable(error.message)))
    socket.on("close", () => this.fail(new BrokenAnswer("the connection ended before the answer")))
  }

  private get isSecure(): boolean {
    return this.endpoint.protocol === "https:"
  }

  private connected(): Socket {
    const host = this.endpoint.hostname.replace(/^\[|\]$/g, "")
    const port = this.endpoint.port === "" ? (this.isSecure ? 443 : 80) : Number(this.endpoint.port)
    if (this.isSecure) {
      // An address is no name that TLS could ask for; the certificate is checked against it all the same.
      const servername = isIP(host) === 0 ? host : ""
      const { trustedCertificates: ca } = this.options
      const trusted = ca === undefined ? {} : { ca }
      return connectSecurely({ host, port, servername, ...trusted }).on(
        "data",
        (chunk: Buffer) => void this.take(chunk),
      )
    }
    const buffer = Buffer.allocUnsafeSlow(this.options.bufferBytes ?? BUFFER_BYTES)
    return connect({
      host,
      port,
      onread: { buffer, callback: lengthBytes => this.take(buffer.subarray(0, lengthBytes)) },
    })
  }

  private take(chunk: Buffer): boolean {
    try {
      this.reader?.take(chunk)
    } catch (error) {
      this.fail(error instanceof Error ? error : new BrokenAnswer(String(error)))
      this.socket?.destroy()
    }
    return true
  }

  private settle(): Waiting | undefined {
    const { waiting } = this
    this.waiting = undefined
    return waiting
  }

  private fail(error: Error): void {
    const reason: unknown = this.signal.reason
    this.settle()?.reject(this.signal.aborted && reason instanceof Error ? reason : error)
  }

  private unreachable(reason: string): Unreachable {
    return new Unreachable(this.endpoint.origin, reason)
  }
}
