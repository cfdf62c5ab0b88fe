/**
 * One keep-alive connection for load: requests are prepared bytes, written in one piece, and responses are only
 * measured. It costs a fraction of `node:http`, so that a client on the server's own processors uses little of them.
 *
 * Promises  One request at a time; reopens a connection that the server closed for the next request.
 * Failures  `Unreachable` before a response, `BrokenAnswer` during one; rethrows an abort of the signal.
 * Limits    `SILENCE_MS_MAX` without a byte in either direction.
 */
import { setMaxListeners } from "node:events"
import { connect, isIP, type Socket } from "node:net"
import { connect as connectSecurely } from "node:tls"
import { BrokenAnswer, Unreachable } from "../remote.js"
import { tlsOptionsOf, type Trust } from "../trust.js"
import { AnswerReader, type ReadAnswer } from "./answer-reader.js"

const SILENCE_MS_MAX = 60_000
const BUFFER_BYTES = 64 * 1024

export interface RawRequest {
  /** The head, and the body if it is short. */
  readonly bytes: Uint8Array
  /** Sent after `bytes`. */
  readonly body?: Uint8Array
  readonly isHead: boolean
}

export interface RawOptions {
  /** The buffer of each read; large bodies are cheaper in large pieces. */
  readonly bufferBytes?: number
  readonly trust?: Trust | undefined
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
      if (socket === undefined || reader === undefined) return reject(this.unreachable("connection closed"))
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
    socket.setTimeout(SILENCE_MS_MAX, () => socket.destroy(new Error(`no data for ${SILENCE_MS_MAX / 1000} s`)))
    await new Promise<void>((resolve, reject) => {
      socket.once(this.isSecure ? "secureConnect" : "connect", resolve)
      socket.once("error", error => reject(this.unreachable(error.message)))
      socket.once("close", () => reject(this.unreachable("connection closed")))
    })
    socket.on("error", error => this.fail(this.unreachable(error.message)))
    socket.on("close", () => this.fail(new BrokenAnswer("the connection closed before the response")))
  }

  private get isSecure(): boolean {
    return this.endpoint.protocol === "https:"
  }

  private connected(): Socket {
    const host = this.endpoint.hostname.replace(/^\[|\]$/g, "")
    const port = this.endpoint.port === "" ? (this.isSecure ? 443 : 80) : Number(this.endpoint.port)
    if (this.isSecure) {
      // SNI does not allow addresses; the certificate is checked against the address nevertheless.
      const servername = isIP(host) === 0 ? host : ""
      return connectSecurely({ host, port, servername, ...tlsOptionsOf(this.options.trust) }).on(
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
