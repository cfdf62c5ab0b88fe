/**
 * Decodes a multipart/form-data body with one file or several, as browsers send it for a form. A push decoder.
 *
 * Promises  The result does not depend on how the bytes are split into pieces. The file is passed on as views of
 *           them as it arrives, so callers must not publish it before `end` has returned: only then is
 *           it known to be complete. Fields after the first file are read and dropped.
 * Refuses   `malformedForm`: no last boundary, bare line breaks among headers, parts without a name,
 *           codings that would change the bytes, unknown parameters; `formTooLarge`;
 *           `invalidArgument` for a second file where one is wanted.
 * Limits    `FORM_BYTES_MAX` for everything but the content of files, boundaries included.
 * Source    RFC 7578 and RFC 2046 section 5.1; "POST Object", Amazon S3 Developer Guide.
 * Why own   docs/decisions/0022-own-form-reader.md.
 */
import { fail } from "@hayloft/base/failures.js"
import type { Failure } from "@hayloft/base/failures.js"
import { KIB } from "@hayloft/base/limits.js"
import { byteStringOfBytes } from "@hayloft/base/bytes.js"

export const FORM_BYTES_MAX = 20 * KIB
const FILE_FIELD = "file"

export interface FormPart {
  readonly kind: "field" | "file"
  /** The name that the client sent: a byte string, like all texts here. */
  readonly name: string
  /** The name is undefined if the part has none; it may include a path, which the caller strips. */
  readonly fileName: string | undefined
  readonly contentType: string | undefined
  readonly contentEncoding: string | undefined
}

/** `one`: the part that is named `file`, as in S3. `many`: all parts that have the name of a file. */
export type FormFiles = "one" | "many"

/** The start of a part, or a piece of its content. */
export type FormEvent = FormPart | { readonly kind: "content"; readonly bytes: Uint8Array }

const [CR, HYPHEN] = [0x0d, 0x2d]
const LINE_END = Buffer.from("\r\n", "latin1")
const HEAD_END = Buffer.from("\r\n\r\n", "latin1")
const NO_BYTES = Buffer.alloc(0)

const malformed = (reason: string): Failure => fail("malformedForm", { reason })

export const notOneFile = (files: number): Failure =>
  fail("invalidArgument", {
    message: "POST requires exactly one file upload per request.",
    argumentName: FILE_FIELD,
    argumentValue: files,
  })

const FORM_TYPE = /^multipart\/form-data[ \t]*(?:;|$)/i
const BOUNDARY = /;[ \t]*boundary=(?:"([\w'()+,./:=? -]{0,69}[\w'()+,./:=?-])"|([\w'()+,./:=?-]{1,70}))[ \t]*(?:;|$)/i

/** The boundary of a form's Content-Type; undefined for another type. Throws `malformedForm`. */
export function boundaryOf(contentType: string): string | undefined {
  if (!FORM_TYPE.test(contentType)) return undefined
  const [, quoted, plain] = BOUNDARY.exec(contentType) ?? []
  const boundary = quoted ?? plain
  if (boundary === undefined) throw malformed("the Content-Type names no boundary")
  return boundary
}

/** The position: after a boundary, in a part's headers, in its content or before the first part, after the last one. */
type State = "boundary" | "head" | "content" | "over"

export class FormDecoder {
  private state: State = "content"
  /** The kind of the current part; undefined before the first part, and for fields after a file. */
  private part: FormPart["kind"] | undefined
  private hasFile = false
  /** Bytes that cannot be decoded before more arrive. The first boundary need not begin a line. */
  private held: Buffer = LINE_END
  /** Bytes of everything but the file's content. */
  private countedBytes = 0
  private readonly delimiter: Buffer

  constructor(
    boundary: string,
    private readonly files: FormFiles = "one",
  ) {
    this.delimiter = Buffer.from(`\r\n--${boundary}`, "latin1")
  }

  /** Feeds bytes of the body; contents are views of `bytes`, except for a few that were buffered. */
  push(bytes: Uint8Array): FormEvent[] {
    const events: FormEvent[] = []
    let rest: Buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
    if (this.held.length > 0) rest = Buffer.concat([this.held, rest])
    this.held = NO_BYTES
    while (rest.length > 0) {
      const taken = this.step(rest, events)
      if (taken === undefined) {
        this.held = Buffer.from(rest)
        this.count(0)
        break
      }
      rest = rest.subarray(taken)
    }
    return events
  }

  /** Throws `malformedForm` unless the last boundary has arrived. */
  end(): void {
    if (this.state !== "over") throw malformed("the body ends before its last boundary")
  }

  /** @returns how many bytes were consumed; undefined if more are needed first. */
  private step(bytes: Buffer, events: FormEvent[]): number | undefined {
    switch (this.state) {
      case "content":
        return this.takeContent(bytes, events)
      case "boundary":
        return this.takeBoundary(bytes)
      case "head":
        return this.takeHead(bytes, events)
      case "over":
        return this.count(bytes.length)
    }
  }

  private count(lengthBytes: number): number {
    this.countedBytes += lengthBytes
    if (this.countedBytes + this.held.length > FORM_BYTES_MAX) throw fail("formTooLarge", { bytesMax: FORM_BYTES_MAX })
    return lengthBytes
  }

  private takeContent(bytes: Buffer, events: FormEvent[]): number | undefined {
    const at = bytes.indexOf(this.delimiter)
    const end = at < 0 ? this.endOfContent(bytes) : at
    if (this.part !== "file") this.count(end)
    if (this.part !== undefined && end > 0) events.push({ kind: "content", bytes: bytes.subarray(0, end) })
    if (at < 0) return end === 0 ? undefined : end
    this.state = "boundary"
    return end + this.count(this.delimiter.length)
  }

  /** The end of content without a whole delimiter: before the possible beginning of one. */
  private endOfContent(bytes: Buffer): number {
    const from = Math.max(0, bytes.length - this.delimiter.length + 1)
    const at = bytes.subarray(from).lastIndexOf(CR) + from
    const isBeginning = at >= from && bytes.subarray(at).equals(this.delimiter.subarray(0, bytes.length - at))
    return isBeginning ? at : bytes.length
  }

  /** `--` after the boundary ends the form; otherwise only blanks may follow on its line. */
  private takeBoundary(bytes: Buffer): number | undefined {
    if (bytes.length === 1) return undefined
    if (bytes[0] === HYPHEN && bytes[1] === HYPHEN) {
      this.state = "over"
      return this.count(2)
    }
    const end = bytes.indexOf(LINE_END)
    const isBlank =
      end < 0
        ? /^[ \t]*\r?$/.test(byteStringOfBytes(bytes))
        : /^[ \t]*$/.test(byteStringOfBytes(bytes.subarray(0, end)))
    if (!isBlank) throw malformed("something follows a boundary in its line")
    if (end < 0) return undefined
    this.state = "head"
    // The line end is not consumed: if there are no headers, it begins the blank line.
    return this.count(end)
  }

  private takeHead(bytes: Buffer, events: FormEvent[]): number | undefined {
    const end = bytes.indexOf(HEAD_END)
    if (end < 0) return undefined
    const part = parsePart(byteStringOfBytes(bytes.subarray(LINE_END.length, end)), this.files)
    if (part.kind === "file" && this.hasFile && this.files === "one") throw notOneFile(2)
    // Fields after a file are dropped, as on Amazon.
    this.part = this.hasFile && part.kind === "field" ? undefined : part.kind
    if (this.part !== undefined) events.push(part)
    this.hasFile ||= part.kind === "file"
    this.state = "content"
    return this.count(end + HEAD_END.length)
  }
}

const HEADER_LINE = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):([^\x00-\x08\x0a-\x1f\x7f]*)$/
/** Codings that leave the bytes unchanged. */
const PLAIN_CODINGS = ["7bit", "8bit", "binary"]

/** Throws `malformedForm`. */
function parsePart(head: string, files: FormFiles): FormPart {
  const headers = new Map<string, string>()
  for (const line of head === "" ? [] : head.split("\r\n")) {
    const [, name, value] = HEADER_LINE.exec(line) ?? []
    if (name === undefined || value === undefined) throw malformed("a header of a part is not well formed")
    if (headers.has(name.toLowerCase())) throw malformed("a header of a part is given twice")
    headers.set(name.toLowerCase(), value.replace(/^[ \t]+/, ""))
  }
  const coding = headers.get("content-transfer-encoding") ?? "binary"
  if (!PLAIN_CODINGS.includes(coding.trim().toLowerCase())) throw malformed("a part has a Content-Transfer-Encoding")
  const { name, filename: fileName } = parseDisposition(headers.get("content-disposition") ?? "")
  if (!name) throw malformed("a part has no name")
  const isFile = files === "one" ? name.toLowerCase() === FILE_FIELD : (fileName ?? "") !== ""
  const [contentType, contentEncoding] = [headers.get("content-type"), headers.get("content-encoding")]
  return { kind: isFile ? "file" : "field", name, fileName, contentType, contentEncoding }
}

interface Disposition {
  name?: string
  filename?: string
}

/** Parses `form-data; name="a"; filename="b"`. Browsers write inner quotes as `%22`, other clients as `\"`. */
function parseDisposition(value: string): Disposition {
  const parameter = /;[ \t]*([A-Za-z*]+)=(?:"((?:[^"\\]|\\.)*)"|([^\s";\\]+))[ \t]*/y
  const found: Disposition = {}
  const [type] = /^form-data[ \t]*/i.exec(value) ?? []
  if (type === undefined) throw malformed("a part is no form-data")
  parameter.lastIndex = type.length
  for (let at = type.length; at < value.length; at = parameter.lastIndex) {
    const [matched, name = "", quoted, plain] = parameter.exec(value) ?? []
    const known = name.toLowerCase()
    const isKnown = known === "name" || known === "filename"
    if (matched === undefined || !isKnown || found[known] !== undefined) {
      throw malformed("the Content-Disposition of a part needs a name and maybe a filename, once each")
    }
    found[known] = quoted?.replace(/\\(["\\])/g, "$1") ?? plain ?? ""
  }
  return found
}
