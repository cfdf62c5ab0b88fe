/**
 * HTTP/1.1 responses for a load client, at low cost: status, body length, and whether the connection stays open. Pure.
 *
 * Promises  The result does not depend on how the bytes are split. Chunks are not retained: their memory may be reused.
 * Refuses   A response without a length, or with unreadable chunks, by throwing `BrokenAnswer`.
 * Limits    `HEAD_BYTES_MAX` before the body; `ERROR_BYTES_MAX` of an error's body are kept.
 */
import { BrokenAnswer } from "../remote.js"

const HEAD_BYTES_MAX = 64 * 1024
const ERROR_BYTES_MAX = 2048
const NOTHING = Buffer.alloc(0)

export interface ReadAnswer {
  readonly status: number
  readonly bodyBytes: number
  /** The server closes the connection after it. */
  readonly isLast: boolean
  /** The response asks for a retry after this time; undefined if it does not, or if it names a date. */
  readonly retryAfterSeconds: number | undefined
  /** The head, for callers that need a header. */
  readonly head: string
  /** The beginning of an error's body. */
  readonly errorText: string
}

type State = "head" | "sized" | "chunkLine" | "chunk" | "trailer"

export class AnswerReader {
  private state: State = "head"
  /** Bytes of an incomplete line or head. */
  private held = NOTHING
  private remainingBytes = 0
  private bodyBytes = 0
  private head = ""
  private status = 0
  private errorText = ""
  private isHead = false

  /** `onBody` is called when the first byte of a body has arrived. */
  constructor(
    private readonly onAnswer: (answer: ReadAnswer) => void,
    private readonly onBody: () => void,
  ) {}

  /** Call before each request: the response to a HEAD has no body, whatever its length header. */
  expect(isHead: boolean): void {
    this.isHead = isHead
  }

  take(chunk: Buffer): void {
    let rest = this.held.length === 0 ? chunk : Buffer.concat([this.held, chunk])
    this.held = NOTHING
    while (rest.length > 0) {
      const usedBytes = this.step(rest)
      if (usedBytes === 0) {
        if (rest.length > HEAD_BYTES_MAX) throw new BrokenAnswer("the head of the response has no end")
        this.held = Buffer.from(rest)
        return
      }
      rest = rest.subarray(usedBytes)
    }
  }

  /** Consumes one piece from the front; returns 0 if it is not complete yet. */
  private step(rest: Buffer): number {
    switch (this.state) {
      case "head": {
        const end = rest.indexOf("\r\n\r\n")
        if (end < 0) return 0
        this.begin(rest.toString("latin1", 0, end + 2))
        return end + 4
      }
      case "chunkLine": {
        const end = rest.indexOf("\r\n")
        if (end < 0) return 0
        const text = rest.toString("latin1", 0, end)
        if (!/^[0-9a-f]{1,12}(?:[; \t]|$)/i.test(text)) throw new BrokenAnswer("the answer's chunks make no sense")
        this.remainingBytes = Number.parseInt(text, 16)
        this.state = this.remainingBytes === 0 ? "trailer" : "chunk"
        return end + 2
      }
      case "trailer": {
        const end = rest.indexOf("\r\n")
        if (end === 0) this.finish()
        return end < 0 ? 0 : end + 2
      }
      case "chunk":
        // The line break after the data belongs to the chunk.
        if (this.remainingBytes === 0) {
          if (rest.length < 2) return 0
          this.state = "chunkLine"
          return 2
        }
        return this.body(rest)
      case "sized": {
        const usedBytes = this.body(rest)
        if (this.remainingBytes === 0) this.finish()
        return usedBytes
      }
    }
  }

  private begin(head: string): void {
    const status = Number(/^HTTP\/1\.[01] (\d{3})/.exec(head)?.[1])
    if (!(status >= 100)) throw new BrokenAnswer("the response is not HTTP/1.1")
    if (status < 200) return
    this.head = head
    this.status = status
    this.errorText = ""
    this.bodyBytes = 0
    if (this.isHead || status === 204 || status === 304) return this.finish()
    const length = /\r\ncontent-length: *(\d+)/i.exec(head)?.[1]
    if (length === undefined) {
      if (!/\r\ntransfer-encoding: *chunked/i.test(head)) throw new BrokenAnswer("the response has no length")
      this.state = "chunkLine"
      return
    }
    this.remainingBytes = Number(length)
    if (this.remainingBytes === 0) this.finish()
    else this.state = "sized"
  }

  private body(rest: Buffer): number {
    const usedBytes = Math.min(rest.length, this.remainingBytes)
    if (this.bodyBytes === 0) this.onBody()
    this.remainingBytes -= usedBytes
    this.bodyBytes += usedBytes
    if (this.status >= 300 && this.errorText.length < ERROR_BYTES_MAX) {
      this.errorText += rest.toString("latin1", 0, Math.min(usedBytes, ERROR_BYTES_MAX - this.errorText.length))
    }
    return usedBytes
  }

  private finish(): void {
    const { status, bodyBytes, head, errorText } = this
    this.state = "head"
    const isLast = /\r\nconnection: *close/i.test(head)
    const seconds = /\r\nretry-after: *(\d{1,6})\b/i.exec(head)?.[1]
    const retryAfterSeconds = seconds === undefined ? undefined : Number(seconds)
    this.onAnswer({ status, bodyBytes, isLast, retryAfterSeconds, head, errorText })
  }
}
