/** A client for tests that sends exactly the given bytes, and shows exactly the bytes that it receives. */
import { connect } from "node:net"
import type { Socket } from "node:net"
import { assert } from "@hayloft/base/assert.js"
import { RealClock } from "@hayloft/base/seams/clock/real.js"
import { breakSocket } from "@hayloft/base/seams/net/real-break.js"

/** Test machines stall for seconds at times; only an endless wait is a failure. */
const DEADLINE_MS = 30_000

export class RawClient {
  received = ""
  closed = false
  private readonly checks = new Set<() => void>()
  private readonly clock = new RealClock()

  private constructor(readonly socket: Socket) {
    socket.setEncoding("latin1")
    socket.on("data", (text: string) => {
      this.received += text
      this.check()
    })
    socket.on("error", () => undefined)
    socket.on("close", () => {
      this.closed = true
      this.check()
    })
  }

  static async open(port: number): Promise<RawClient> {
    const socket = connect(port, "127.0.0.1")
    await new Promise<void>((resolve, reject) => {
      socket.once("connect", resolve)
      socket.once("error", reject)
    })
    return new RawClient(socket)
  }

  send(text: string | Uint8Array): this {
    this.socket.write(typeof text === "string" ? Buffer.from(text, "latin1") : text)
    return this
  }

  /** Waits until the received bytes satisfy the test; throws them if that takes too long. */
  async until(test: (received: string) => boolean, what = "an answer"): Promise<string> {
    const done = new AbortController()
    const check = (): void => {
      if (test(this.received) || this.closed) done.abort()
    }
    this.checks.add(check)
    check()
    await this.clock.sleep(DEADLINE_MS, done.signal)
    this.checks.delete(check)
    assert(test(this.received), () => `${what} did not come; received: ${JSON.stringify(this.received.slice(0, 600))}`)
    return this.received
  }

  /** Waits for the end of the connection. */
  async end(): Promise<string> {
    await this.until(() => this.closed, "the end of the connection")
    return this.received
  }

  /** Waits for `count` whole answers with Content-Length, and returns them. */
  async answers(count: number, toHead = false): Promise<ReceivedAnswer[]> {
    await this.until(received => parseAnswers(received, toHead).length >= count, `answer ${count}`)
    return parseAnswers(this.received, toHead)
  }

  /** Leaves, so that the server learns it: a client that only ends its side may still wait for its response. */
  close(): void {
    breakSocket(this.socket)
  }

  /** Ends its side, and still receives. */
  endSide(): this {
    this.socket.end()
    return this
  }

  private check(): void {
    for (const check of [...this.checks]) check()
  }
}

export interface ReceivedAnswer {
  readonly status: number
  readonly headers: ReadonlyMap<string, string>
  readonly body: string
}

/** The complete answers at the front of the received bytes; `100 Continue` is an answer without a body. */
export function parseAnswers(received: string, toHead = false): ReceivedAnswer[] {
  const answers: ReceivedAnswer[] = []
  for (let rest = received; ;) {
    const end = rest.indexOf("\r\n\r\n")
    if (end < 0) return answers
    const [statusLine = "", ...lines] = rest.slice(0, end).split("\r\n")
    const status = Number(statusLine.split(" ")[1])
    const headers = new Map(
      lines.map(line => {
        const colon = line.indexOf(":")
        return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trimStart()] as const
      }),
    )
    const hasBody = !toHead && status !== 100 && status !== 204 && status !== 304
    const length = hasBody ? Number(headers.get("content-length") ?? 0) : 0
    if (rest.length < end + 4 + length) return answers
    answers.push({ status, headers, body: rest.slice(end + 4, end + 4 + length) })
    rest = rest.slice(end + 4 + length)
  }
}
