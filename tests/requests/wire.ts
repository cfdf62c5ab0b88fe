/**
 * A connection to one server: bytes are sent unchanged, and answers are read in order.
 *
 * Promises  `collect` resolves when the expected answers have arrived, the connection has ended, or the time is up,
 *           and returns which of these happened. Interim answers belong to the final answer that they precede.
 *           Bytes beyond the last expected answer stay for the next `collect`.
 */
import { connect, type Socket } from "node:net"

export type Header = readonly [name: string, value: string]

export interface Answer {
  /** `HTTP/1.1 200 OK` */
  readonly statusLine: string
  readonly status: number
  readonly headers: readonly Header[]
  readonly body: Buffer
  readonly interims: readonly string[]
}

export interface Collected {
  readonly answers: readonly Answer[]
  readonly ended: boolean
  readonly timedOut: boolean
}

export const valueOf = ({ headers }: Pick<Answer, "headers">, name: string): string | undefined =>
  headers.find(header => header[0].toLowerCase() === name)?.[1]

const HEAD_END = Buffer.from("\r\n\r\n")
const LINE_END = Buffer.from("\r\n")

interface Head {
  readonly statusLine: string
  readonly status: number
  readonly headers: readonly Header[]
  readonly end: number
}

function readHead(bytes: Buffer, from: number): Head | undefined {
  const end = bytes.indexOf(HEAD_END, from)
  if (end < 0) return undefined
  const [statusLine = "", ...lines] = bytes.toString("latin1", from, end).split("\r\n")
  const headers = lines.map((line): Header => {
    const colon = line.indexOf(":")
    return [line.slice(0, colon), line.slice(colon + 1).replace(/^ /, "")]
  })
  return { statusLine, status: Number(statusLine.slice(9, 12)), headers, end: end + HEAD_END.length }
}

/** The decoded bytes and where they end; undefined if more bytes are needed. */
function readChunks(bytes: Buffer, from: number): { body: Buffer; end: number } | undefined {
  const parts: Buffer[] = []
  for (let at = from; ;) {
    const lineEnd = bytes.indexOf(LINE_END, at)
    if (lineEnd < 0) return undefined
    const length = parseInt(bytes.toString("latin1", at, lineEnd), 16)
    const begin = lineEnd + LINE_END.length
    if (Number.isNaN(length)) throw new Error("an answer has a malformed chunk")
    if (length === 0) {
      const end = bytes.indexOf(LINE_END, begin)
      return end < 0 ? undefined : { body: Buffer.concat(parts), end: end + LINE_END.length }
    }
    if (bytes.length < begin + length + LINE_END.length) return undefined
    parts.push(bytes.subarray(begin, begin + length))
    at = begin + length + LINE_END.length
  }
}

function readBody(
  bytes: Buffer,
  head: Head,
  method: string,
  ended: boolean,
): { body: Buffer; end: number } | undefined {
  const none = { body: Buffer.alloc(0), end: head.end }
  if (method === "HEAD" || head.status === 204 || head.status === 304) return none
  if (valueOf(head, "transfer-encoding")?.toLowerCase() === "chunked") return readChunks(bytes, head.end)
  const length = valueOf(head, "content-length")
  if (length === undefined) return ended ? { body: bytes.subarray(head.end), end: bytes.length } : undefined
  const end = head.end + Number(length)
  return bytes.length < end ? undefined : { body: bytes.subarray(head.end, end), end }
}

export class Wire {
  private readonly socket: Socket
  private pieces: Buffer[] = []
  private kept: Buffer = Buffer.alloc(0)
  private hasEnded = false
  private wake: () => void = () => undefined

  private constructor(socket: Socket) {
    this.socket = socket
    socket.on("data", (piece: Buffer) => {
      this.pieces.push(piece)
      this.wake()
    })
    socket.on("error", () => undefined)
    for (const event of ["end", "close"]) {
      socket.on(event, () => {
        this.hasEnded = true
        this.wake()
      })
    }
  }

  static open(port: number): Promise<Wire> {
    return new Promise((resolve, reject) => {
      const socket = connect({ host: "127.0.0.1", port, noDelay: true, allowHalfOpen: true })
      socket.once("error", reject)
      socket.once("connect", () => {
        socket.removeListener("error", reject)
        resolve(new Wire(socket))
      })
    })
  }

  get ended(): boolean {
    return this.hasEnded
  }

  /**
   * Sends each piece in a separate write, one turn of the event loop apart, so that the server may receive them
   * separately.
   */
  async send(pieces: readonly Uint8Array[]): Promise<void> {
    for (const [i, piece] of pieces.entries()) {
      if (this.hasEnded || !this.socket.writable) return
      this.socket.write(piece)
      if (i + 1 < pieces.length) await new Promise(resolve => setImmediate(resolve))
    }
  }

  /** Sends FIN and keeps reading. */
  finish(): void {
    this.socket.end()
  }

  destroy(): void {
    this.socket.destroy()
  }

  /** Waits for one answer to each of the methods. */
  async collect(methods: readonly string[], timeoutMs: number): Promise<Collected> {
    const answers: Answer[] = []
    const isOver = await this.until(timeoutMs, () => {
      while (answers.length < methods.length) {
        const answer = this.next(methods[answers.length] ?? "GET")
        if (answer === undefined) return this.hasEnded
        answers.push(answer)
      }
      return true
    })
    return { answers, ended: this.hasEnded, timedOut: !isOver }
  }

  /** Returns true if an interim answer arrives before a final one: the body may be sent. */
  async mayContinue(timeoutMs: number): Promise<boolean> {
    let may = false
    await this.until(timeoutMs, () => {
      const head = readHead(this.gather(), 0)
      may = head !== undefined && head.status < 200
      return head !== undefined || this.hasEnded
    })
    return may
  }

  /** Returns true if the server closes within the time. */
  closes(timeoutMs: number): Promise<boolean> {
    return this.until(timeoutMs, () => this.hasEnded)
  }

  private gather(): Buffer {
    if (this.pieces.length > 0) {
      this.kept = Buffer.concat([this.kept, ...this.pieces])
      this.pieces = []
    }
    return this.kept
  }

  private next(method: string): Answer | undefined {
    const bytes = this.gather()
    const interims: string[] = []
    for (let from = 0; ;) {
      const head = readHead(bytes, from)
      if (head === undefined) return undefined
      if (head.status >= 200) {
        const read = readBody(bytes, head, method, this.hasEnded)
        if (read === undefined) return undefined
        this.kept = bytes.subarray(read.end)
        const { statusLine, status, headers } = head
        return { statusLine, status, headers, body: read.body, interims }
      }
      interims.push(bytes.toString("latin1", from, head.end))
      from = head.end
    }
  }

  private until(timeoutMs: number, isOver: () => boolean): Promise<boolean> {
    if (isOver()) return Promise.resolve(true)
    return new Promise(resolve => {
      const done = (result: boolean): void => {
        clearTimeout(timer)
        this.wake = () => undefined
        resolve(result)
      }
      const timer = setTimeout(() => done(isOver()), timeoutMs)
      this.wake = () => {
        if (isOver()) done(true)
      }
    })
  }
}
