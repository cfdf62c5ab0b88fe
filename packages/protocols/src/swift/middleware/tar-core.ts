/**
 * Reads a tar archive as it arrives: its members, one after another, and their contents. A push decoder. Pure.
 *
 * Promises  The result does not depend on how the bytes are split into pieces. Contents are passed on as they arrive, as views
 *           of the pieces; nothing but one header, or the attributes before it, is kept in memory.
 * Refuses   `invalidRequest`: a header whose sum is wrong, a size that is no number, an archive that is cut short.
 * Limits    `ATTRIBUTES_BYTES_MAX` for the attributes of one member, `COMMON_BYTES_MAX` for those of all members.
 * Source    POSIX.1-2017 pax, "ustar Interchange Format" and "pax Header Block"; GNU tar manual, "Basic Tar Format", for long
 *           names and numbers over 8 GiB.
 */
import { fail } from "@hayloft/base/failures.js"
import { KIB } from "@hayloft/base/limits.js"
import { withoutTrailing } from "@hayloft/base/text/trailing.js"

export interface UploadedTarMember {
  /** A byte string. */
  readonly name: string
  /** `sparse`: a file whose holes are described elsewhere. `other`: a folder, a link, a device. */
  readonly kind: "file" | "sparse" | "other"
  readonly sizeBytes: number
  /** The attributes of the member's pax header, or of that of all members; byte strings. */
  readonly attributes: ReadonlyMap<string, string>
}

type TarEvent =
  | { readonly kind: "member"; readonly member: UploadedTarMember }
  | { readonly kind: "content"; readonly bytes: Uint8Array }
  /** All bytes of the member have been passed on. */
  | { readonly kind: "end" }

const BLOCK_BYTES = 512
const ATTRIBUTES_BYTES_MAX = 256 * KIB
/** Every member has them: with many, an archive of empty members would keep the thread busy. */
const COMMON_BYTES_MAX = 8 * KIB
const SUM_AT = 148
const SUM_BYTES = 8
const NAME = { at: 0, length: 100 }
const SIZE = { at: 124, length: 12 }
const KIND_AT = 156
const MAGIC = { at: 257, length: 5 }
const PREFIX = { at: 345, length: 155 }
/** Set in the first byte of a number that is binary. */
const BINARY = 0x80

const FILES: ReadonlySet<string> = new Set(["0", "\0", "7"])
const SPARSE = "S"

const invalid = (reason: string) => fail("invalidRequest", { message: `Invalid Tar File: ${reason}` })

/** Returns a text that ends with a zero byte, or with its field. */
function textAt(block: Buffer, { at, length }: { readonly at: number; readonly length: number }): string {
  const field = block.subarray(at, at + length)
  const end = field.indexOf(0)
  return field.toString("latin1", 0, end < 0 ? length : end)
}

function sizeIn(block: Buffer): number {
  const field = block.subarray(SIZE.at, SIZE.at + SIZE.length)
  if (((field[0] ?? 0) & BINARY) !== 0) {
    const isNegative = (field[0] ?? 0) !== BINARY
    const size = field.subarray(1).reduce((value, byte) => value * 256 + byte, 0)
    if (isNegative || !Number.isSafeInteger(size)) throw invalid("a size is out of range")
    return size
  }
  const text = textAt(block, SIZE).trim()
  if (!/^[0-7]*$/.test(text)) throw invalid("a size is no number")
  return text === "" ? 0 : parseInt(text, 8)
}

/**
 * Checks the sum of all bytes of a header, with blanks for the sum itself: some writers take bytes for signed numbers.
 */
function checkSum(block: Buffer): void {
  let [unsigned, signed] = [0, 0]
  for (const [at, byte] of block.entries()) {
    const counted = at >= SUM_AT && at < SUM_AT + SUM_BYTES ? 0x20 : byte
    unsigned += counted
    signed += counted > 127 ? counted - 256 : counted
  }
  const stored = parseInt(withoutTrailing(block.toString("latin1", SUM_AT, SUM_AT + SUM_BYTES), "\0 "), 8)
  if (stored !== unsigned && stored !== signed) throw invalid("the sum of a header does not match")
}

/** `LENGTH KEY=VALUE\n`, one after another; the length counts itself. */
function attributesIn(bytes: Buffer): Map<string, string> {
  const attributes = new Map<string, string>()
  for (let at = 0; at < bytes.length;) {
    const blank = bytes.indexOf(0x20, at)
    const length = blank < 0 ? NaN : Number(bytes.toString("latin1", at, blank))
    const end = at + length
    const isRecord = Number.isInteger(length) && end > blank + 2 && end <= bytes.length && bytes[end - 1] === 0x0a
    const record = isRecord ? bytes.toString("latin1", blank + 1, end - 1) : ""
    const equals = record.indexOf("=")
    if (equals < 1) throw invalid("an extended header is malformed")
    attributes.set(record.slice(0, equals), record.slice(equals + 1))
    at = end
  }
  return attributes
}

const tooLarge = () => invalid("an extended header is too large")

const bytesOf = (attributes: ReadonlyMap<string, string>): number =>
  [...attributes].reduce((sum, [key, value]) => sum + key.length + value.length, 0)

const blocksOf = (sizeBytes: number): number => Math.ceil(sizeBytes / BLOCK_BYTES) * BLOCK_BYTES

/**
 * The part that is read next: a header, the content of a member, the attributes of a later one, the padding of the last
 * block.
 */
type State = "header" | "content" | "attributes" | "filling" | "over"

export class TarDecoder {
  private state: State = "header"
  private held: Buffer = Buffer.alloc(0)
  /** Bytes of the content, of the attributes or of the filling that are still to come. */
  private leftBytes = 0
  private fillingBytes = 0
  /** The kind of the attributes that are read: `x`, `g`, `L`, `K`. */
  private reading = ""
  private readonly common = new Map<string, string>()
  private own = new Map<string, string>()
  /** Bytes of the headers that `own` is from. */
  private ownBytes = 0

  push(bytes: Uint8Array): readonly TarEvent[] {
    const events: TarEvent[] = []
    const piece = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
    let rest = this.held.length > 0 ? Buffer.concat([this.held, piece]) : piece
    this.held = Buffer.alloc(0)
    while (rest.length > 0) {
      const taken = this.step(rest, events)
      if (taken === undefined) {
        this.held = Buffer.from(rest)
        break
      }
      rest = rest.subarray(taken)
    }
    return events
  }

  /** Throws `invalidRequest` for an archive that is cut short. One without the blocks of zeros at its end is whole. */
  end(): void {
    const isWhole = this.state === "over" || (this.state === "header" && this.held.length === 0 && this.own.size === 0)
    if (!isWhole) throw invalid("unexpected end of data")
  }

  /** @returns how many bytes were consumed; undefined if more are needed first. */
  private step(bytes: Buffer, events: TarEvent[]): number | undefined {
    switch (this.state) {
      case "header":
        return bytes.length < BLOCK_BYTES ? undefined : this.takeHeader(bytes.subarray(0, BLOCK_BYTES), events)
      case "content":
        return this.takeContent(bytes, events)
      case "attributes":
        return bytes.length < this.leftBytes ? undefined : this.takeAttributes(bytes.subarray(0, this.leftBytes))
      case "filling":
        return this.takeFilling(bytes.length)
      case "over":
        return bytes.length
    }
  }

  private takeHeader(block: Buffer, events: TarEvent[]): number {
    if (block.every(byte => byte === 0)) {
      this.state = "over"
      return BLOCK_BYTES
    }
    checkSum(block)
    const kind = String.fromCharCode(block[KIND_AT] ?? 0)
    const sizeBytes = sizeIn(block)
    if ("xgLK".includes(kind)) {
      this.ownBytes += kind === "g" ? 0 : sizeBytes
      if (Math.max(this.ownBytes, sizeBytes) > ATTRIBUTES_BYTES_MAX) throw tooLarge()
      this.reading = kind
      this.begin("attributes", sizeBytes)
    } else this.beginMember(block, kind, sizeBytes, events)
    return BLOCK_BYTES
  }

  private beginMember(block: Buffer, kind: string, sizeBytes: number, events: TarEvent[]): void {
    const attributes = new Map([...this.common, ...this.own])
    this.own = new Map()
    this.ownBytes = 0
    const stated = attributes.get("size")
    if (stated !== undefined && !/^\d{1,15}$/.test(stated)) throw invalid("a size is no number")
    const size = stated === undefined ? sizeBytes : Number(stated)
    const prefix = textAt(block, MAGIC) === "ustar" ? textAt(block, PREFIX) : ""
    const short = textAt(block, NAME)
    const name = attributes.get("path") ?? (prefix === "" ? short : `${prefix}/${short}`)
    const isFile = FILES.has(kind) && !(kind === "\0" && name.endsWith("/"))
    const isSparse = kind === SPARSE || (isFile && [...attributes.keys()].some(key => key.startsWith("GNU.sparse.")))
    // Only files have contents; the size of a link is not one of its bytes.
    const hasContent = isFile || isSparse || !"123456".includes(kind)
    events.push({
      kind: "member",
      member: { name, kind: isSparse ? "sparse" : isFile ? "file" : "other", sizeBytes: size, attributes },
    })
    this.begin("content", hasContent ? size : 0)
    if (this.leftBytes === 0) this.endContent(events)
  }

  private begin(state: "content" | "attributes", sizeBytes: number): void {
    this.state = state
    this.leftBytes = sizeBytes
    this.fillingBytes = blocksOf(sizeBytes) - sizeBytes
    if (state === "attributes" && sizeBytes === 0) this.state = "header"
  }

  private takeContent(bytes: Buffer, events: TarEvent[]): number {
    const taken = Math.min(bytes.length, this.leftBytes)
    events.push({ kind: "content", bytes: bytes.subarray(0, taken) })
    this.leftBytes -= taken
    if (this.leftBytes === 0) this.endContent(events)
    return taken
  }

  private endContent(events: TarEvent[]): void {
    events.push({ kind: "end" })
    this.fill()
  }

  private fill(): void {
    this.leftBytes = this.fillingBytes
    this.state = this.leftBytes === 0 ? "header" : "filling"
  }

  private takeFilling(lengthBytes: number): number {
    const taken = Math.min(lengthBytes, this.leftBytes)
    this.leftBytes -= taken
    if (this.leftBytes === 0) this.state = "header"
    return taken
  }

  private takeCommon(attributes: ReadonlyMap<string, string>): void {
    for (const [key, value] of attributes) this.common.set(key, value)
    if (bytesOf(this.common) > COMMON_BYTES_MAX) throw tooLarge()
  }

  private takeAttributes(bytes: Buffer): number {
    if (this.reading === "x") for (const [key, value] of attributesIn(bytes)) this.own.set(key, value)
    else if (this.reading === "g") this.takeCommon(attributesIn(bytes))
    else if (this.reading === "L") this.own.set("path", bytes.toString("latin1").split("\0", 1)[0] ?? "")
    this.fill()
    return bytes.length
  }
}
