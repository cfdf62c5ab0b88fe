/**
 * Removes the framing of `Transfer-Encoding: chunked` from a body (RFC 9112 section 7.1). Pure.
 *
 * Promises  No other reader can see a different end of the body: lines end in CRLF, sizes are hex digits and nothing
 *           else, and anything else is an error. Extensions and trailers are read and dropped.
 * Limits    `OVERHEAD_BYTES_MAX` for all extensions and trailers of a body.
 */
import { KIB } from "@hayloft/base/limits.js"

/** Extensions of the size lines, and trailers. */
const OVERHEAD_BYTES_MAX = 16 * KIB
/** A size line; 13 digits are 4 PiB. */
const SIZE_LINE = /^([0-9A-Fa-f]{1,13})(;[\t\x20-\x7e\x80-\xff]*)?$/
const TRAILER_LINE = /^[A-Za-z0-9!#$%&'*+.^_`|~-]+:[\t\x20-\x7e\x80-\xff]*$/
const [LF, CR] = [0x0a, 0x0d]

/** The part of the body that comes next. */
type Part = "size" | "data" | "data's CR" | "data's LF" | "trailer" | "end" | "broken"

export class ChunkDecoder {
  private part: Part = "size"
  private remainingBytes = 0
  /** The beginning of an incomplete line. */
  private line = ""
  private overheadBytes = 0

  get isEnd(): boolean {
    return this.part === "end"
  }

  get isBroken(): boolean {
    return this.part === "broken"
  }

  /** Consumes bytes from the front of `bytes`, passes on the data among them, and returns how many it consumed. */
  read(bytes: Buffer, take: (data: Buffer) => void): number {
    let at = 0
    while (at < bytes.length && this.part !== "end" && this.part !== "broken") {
      if (this.part === "data") at += this.readData(bytes, at, take)
      else if (this.part === "size" || this.part === "trailer") at += this.readLine(bytes, at)
      else {
        this.readDataEnd(bytes[at])
        at += 1
      }
    }
    return at
  }

  private readData(bytes: Buffer, at: number, take: (data: Buffer) => void): number {
    const length = Math.min(this.remainingBytes, bytes.length - at)
    take(bytes.subarray(at, at + length))
    this.remainingBytes -= length
    if (this.remainingBytes === 0) this.part = "data's CR"
    return length
  }

  private readDataEnd(byte: number | undefined): void {
    if (this.part === "data's CR") this.part = byte === CR ? "data's LF" : "broken"
    else this.part = byte === LF ? "size" : "broken"
  }

  private readLine(bytes: Buffer, at: number): number {
    const lf = bytes.indexOf(LF, at)
    const end = lf < 0 ? bytes.length : lf + 1
    if (this.line.length + end - at > OVERHEAD_BYTES_MAX) {
      this.part = "broken"
      return 0
    }
    this.line += bytes.toString("latin1", at, end)
    if (lf < 0) return end - at
    const { line } = this
    this.line = ""
    if (!line.endsWith("\r\n")) this.part = "broken"
    else if (this.part === "size") this.noteSize(line.slice(0, -2))
    else this.noteTrailer(line.slice(0, -2))
    return end - at
  }

  private noteSize(line: string): void {
    const [, digits, extension = ""] = SIZE_LINE.exec(line) ?? []
    if (digits === undefined || !this.mayCarry(extension)) {
      this.part = "broken"
      return
    }
    this.remainingBytes = Number.parseInt(digits, 16)
    this.part = this.remainingBytes === 0 ? "trailer" : "data"
  }

  private noteTrailer(line: string): void {
    if (line === "") this.part = "end"
    else if (!TRAILER_LINE.test(line) || !this.mayCarry(line)) this.part = "broken"
  }

  private mayCarry({ length }: string): boolean {
    this.overheadBytes += length
    return this.overheadBytes <= OVERHEAD_BYTES_MAX
  }
}
