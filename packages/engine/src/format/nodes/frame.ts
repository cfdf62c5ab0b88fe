/**
 * Frames, versions 1 to 3: the messages between two nodes, on a stream of bytes.
 *
 * Each frame is a header of 12 bytes and a payload. All numbers are little-endian.
 *
 *   0  payload length (4)     5  flags (1): 1 last, 2 background, 4 answer to a ping
 *   4  type (1)               6  reserved (2), 0
 *                             8  call id (4); 0 for frames of the connection
 *
 *   type        payload
 *   1 hello     magic "HLRP", lowest and highest version (2, 2), store id (16), incarnation (8), window of a call (4),
 *               window of a class (4), calls of a class (2), reserved (2), node name
 *   2 call      method (2), flags (2): 1 a trace context of 25 bytes precedes the header (only between nodes that both speak
 *               version 2); deadline in ms (4), body length (8), header
 *   3 body      bytes of a body, of a call or of an answer
 *   4 answer    body length (8), header
 *   5 failure   of a call, before or during its answer: a packed record of kind and details
 *   6 cancel    nothing: the sender sends no more frames of this call, and ignores the rest of its answer
 *   7 window    bytes that the sender has consumed (4): of the call, or of the class if the call id is 0
 *   8 ping      8 bytes, which the answer repeats
 *   9 close     a packed record of kind and details: why the sender closes the connection
 *
 * A body length of all ones means unknown; the last piece has the flag *last*. A body of length 0 has no pieces.
 * The type, layout and limits of hello and close are the same in every version: two nodes of different versions can
 * read each other's reason.
 * A frame has no checksum: TLS protects the stream, and shards have checksums of their own.
 * Refuses   Anything else, with `malformedFrame` and a reason, before it allocates memory for it.
 */
import { TRACE_CONTEXT_BYTES } from "@hayloft/base/trace.js"
import { assert } from "@hayloft/base/assert.js"
import { bytesOfHex, hexOf } from "@hayloft/base/bytes.js"
import { fail, type Failure, type FailureDetails } from "@hayloft/base/failures.js"
import { parseStoreId, type StoreId } from "@hayloft/base/ids.js"
import { KIB, MIB } from "@hayloft/base/limits.js"
import { packRecord, RecordReader } from "../encoding/pack.js"

/**
 * The versions that this program speaks: since version 2 calls may have a trace context, since version 3 appends may say
 * when the needle ends.
 */
export const FRAME_VERSIONS = { lowest: 1, highest: 3 } as const
export const FRAME_VERSION_OF_TRACES = 2
export const FRAME_VERSION_OF_ENDS = 3
export const FRAME_HEADER_BYTES = 12
/** Header bytes of a call, with its trace context, or of an answer. */
export const CALL_HEADER_BYTES_MAX = 64 * KIB
/** One piece of a body. */
export const BODY_PIECE_BYTES_MAX = 1 * MIB
export const CALL_ID_MAX = 0xffff_ffff
const NODE_NAME_BYTES_MAX = 255
const DETAILS_MAX = 16
const DETAIL_CHARS_MAX = 1_000
const MAGIC = 0x5052_4c48
const UNKNOWN_LENGTH = 0xffff_ffff_ffff_ffffn

const TYPES = { hello: 1, call: 2, body: 3, answer: 4, failure: 5, cancel: 6, window: 7, ping: 8, close: 9 } as const
const FLAG_LAST = 1
const FLAG_BACKGROUND = 2
const FLAG_ECHO = 4

const HELLO_BYTES = 44
const CALL_BYTES = 16
const CALL_HAS_TRACE = 1
const ANSWER_BYTES = 8
const WINDOW_BYTES = 4
const PING_BYTES = 8
/** The record of a failure: its kind and details are short. */
const FAILURE_BYTES_MAX = 64 * KIB

/** The class of a call: client data goes before background work. */
export const CALL_CLASSES = ["client", "background"] as const
export type CallClass = (typeof CALL_CLASSES)[number]

export interface Hello {
  readonly versions: { readonly lowest: number; readonly highest: number }
  readonly storeId: StoreId
  readonly incarnation: number
  readonly node: string
  /** Bytes of one body that may be sent to this node before it has consumed any. */
  readonly callWindowBytes: number
  /** The same, of all bodies of one class on this connection together. */
  readonly classWindowBytes: number
  /** Calls of one class that this node serves concurrently on this connection. */
  readonly callsMax: number
}

export interface CallHead {
  readonly method: number
  readonly callClass: CallClass
  readonly deadlineMs: number
  /** The length is undefined if it is unknown until the last piece. */
  readonly lengthBytes: number | undefined
  /** The trace of the request that the call is for, if that is traced: `TRACE_CONTEXT_BYTES`. */
  readonly trace?: Uint8Array | undefined
  readonly header: Uint8Array
}

/** A failure as it arrives: its kind may be one that only a newer version knows. */
export interface WireFailure {
  readonly kind: string
  readonly details: FailureDetails
}

export type Frame =
  | { readonly type: "hello"; readonly hello: Hello }
  | { readonly type: "call"; readonly id: number; readonly head: CallHead }
  /** Bytes of a piece as they arrive; a piece may arrive in several parts, of which only the final one is the last. */
  | {
      readonly type: "body"
      readonly id: number
      readonly callClass: CallClass
      readonly bytes: Uint8Array
      readonly isLast: boolean
    }
  | {
      readonly type: "answer"
      readonly id: number
      readonly lengthBytes: number | undefined
      readonly header: Uint8Array
    }
  | { readonly type: "failure"; readonly id: number; readonly failure: WireFailure }
  | { readonly type: "cancel"; readonly id: number }
  | { readonly type: "window"; readonly id: number; readonly callClass: CallClass; readonly bytes: number }
  | { readonly type: "ping"; readonly token: bigint; readonly isEcho: boolean }
  | { readonly type: "close"; readonly failure: WireFailure }

const malformed = (reason: string): Failure => fail("malformedFrame", { reason })

// Encoding

function frameOf(type: keyof typeof TYPES, id: number, payloadBytes: number, flags = 0): Buffer {
  const frame = Buffer.allocUnsafe(FRAME_HEADER_BYTES + payloadBytes)
  frame.writeUInt32LE(payloadBytes, 0)
  frame[4] = TYPES[type]
  frame[5] = flags
  frame.writeUInt16LE(0, 6)
  frame.writeUInt32LE(id, 8)
  return frame
}

const flagOf = (callClass: CallClass): number => (callClass === "background" ? FLAG_BACKGROUND : 0)
const wireLength = (lengthBytes: number | undefined): bigint =>
  lengthBytes === undefined ? UNKNOWN_LENGTH : BigInt(lengthBytes)

export function encodeHello(hello: Hello): Uint8Array {
  const name = Buffer.from(hello.node)
  const storeId = bytesOfHex(hello.storeId)
  assert(storeId?.length === 16, "a store id has its length")
  assert(name.length <= NODE_NAME_BYTES_MAX, "a node's name is short")
  const frame = frameOf("hello", 0, HELLO_BYTES + name.length)
  const at = FRAME_HEADER_BYTES
  frame.writeUInt32LE(MAGIC, at)
  frame.writeUInt16LE(hello.versions.lowest, at + 4)
  frame.writeUInt16LE(hello.versions.highest, at + 6)
  frame.set(storeId, at + 8)
  frame.writeBigUInt64LE(BigInt(hello.incarnation), at + 24)
  frame.writeUInt32LE(hello.callWindowBytes, at + 32)
  frame.writeUInt32LE(hello.classWindowBytes, at + 36)
  frame.writeUInt16LE(hello.callsMax, at + 40)
  frame.writeUInt16LE(0, at + 42)
  frame.set(name, at + HELLO_BYTES)
  return frame
}

export function encodeCall(id: number, head: CallHead): Uint8Array {
  const { method, callClass, deadlineMs, lengthBytes, header, trace } = head
  assert(trace === undefined || trace.length === TRACE_CONTEXT_BYTES, "a trace context has its length")
  const traceBytes = trace?.length ?? 0
  assert(traceBytes + header.length <= CALL_HEADER_BYTES_MAX, "the header of a call is within its limit")
  const frame = frameOf("call", id, CALL_BYTES + traceBytes + header.length, flagOf(callClass))
  frame.writeUInt16LE(method, FRAME_HEADER_BYTES)
  frame.writeUInt16LE(trace === undefined ? 0 : CALL_HAS_TRACE, FRAME_HEADER_BYTES + 2)
  frame.writeUInt32LE(deadlineMs, FRAME_HEADER_BYTES + 4)
  frame.writeBigUInt64LE(wireLength(lengthBytes), FRAME_HEADER_BYTES + 8)
  if (trace !== undefined) frame.set(trace, FRAME_HEADER_BYTES + CALL_BYTES)
  frame.set(header, FRAME_HEADER_BYTES + CALL_BYTES + traceBytes)
  return frame
}

/** Writes the header of a body frame, whose bytes follow it. */
export function writeBodyHeader(
  target: Buffer,
  at: number,
  { id, callClass, length, isLast }: { id: number; callClass: CallClass; length: number; isLast: boolean },
): void {
  target.writeUInt32LE(length, at)
  target[at + 4] = TYPES.body
  target[at + 5] = flagOf(callClass) | (isLast ? FLAG_LAST : 0)
  target.writeUInt16LE(0, at + 6)
  target.writeUInt32LE(id, at + 8)
}

export function encodeAnswer(id: number, lengthBytes: number | undefined, header: Uint8Array): Uint8Array {
  assert(header.length <= CALL_HEADER_BYTES_MAX, "the header of an answer is within its limit")
  const frame = frameOf("answer", id, ANSWER_BYTES + header.length)
  frame.writeBigUInt64LE(wireLength(lengthBytes), FRAME_HEADER_BYTES)
  frame.set(header, FRAME_HEADER_BYTES + ANSWER_BYTES)
  return frame
}

function failureBytes({ kind, details }: WireFailure): Uint8Array {
  const members = Object.entries(details)
    .filter(([, value]) => value !== undefined)
    .slice(0, DETAILS_MAX)
    .map(([name, value]) => {
      if (typeof value === "boolean") return [name, "boolean", value ? 1 : 0]
      if (typeof value === "number" && Number.isFinite(value)) return [name, "number", value]
      return [name, "text", String(value).slice(0, DETAIL_CHARS_MAX)]
    })
  return packRecord(1, [kind, members])
}

function withFailure(type: "failure" | "close", id: number, failure: WireFailure): Uint8Array {
  const bytes = failureBytes(failure)
  const frame = frameOf(type, id, bytes.length)
  frame.set(bytes, FRAME_HEADER_BYTES)
  return frame
}

export const encodeFailure = (id: number, failure: WireFailure): Uint8Array => withFailure("failure", id, failure)
export const encodeClose = (failure: WireFailure): Uint8Array => withFailure("close", 0, failure)
export const encodeCancel = (id: number): Uint8Array => frameOf("cancel", id, 0)

/** Bytes consumed: of a call, or with id 0 of the class. */
export function encodeWindow(id: number, callClass: CallClass, bytes: number): Uint8Array {
  const frame = frameOf("window", id, WINDOW_BYTES, flagOf(callClass))
  frame.writeUInt32LE(bytes, FRAME_HEADER_BYTES)
  return frame
}

export function encodePing(token: bigint, isEcho: boolean): Uint8Array {
  const frame = frameOf("ping", 0, PING_BYTES, isEcho ? FLAG_ECHO : 0)
  frame.writeBigUInt64LE(token, FRAME_HEADER_BYTES)
  return frame
}

// Decoding

interface FrameRule {
  readonly type: keyof typeof TYPES
  readonly leastBytes: number
  readonly mostBytes: number
  readonly flags: number
  /** The frame belongs to a call, to the connection, or to either. */
  readonly of: "call" | "connection" | "either"
}

const rule = (
  type: keyof typeof TYPES,
  [leastBytes, mostBytes]: readonly [number, number],
  of: FrameRule["of"],
  flags = 0,
): FrameRule => ({ type, leastBytes, mostBytes, flags, of })

const RULES = new Map<number, FrameRule>(
  [
    rule("hello", [HELLO_BYTES, HELLO_BYTES + NODE_NAME_BYTES_MAX], "connection"),
    rule("call", [CALL_BYTES, CALL_BYTES + CALL_HEADER_BYTES_MAX], "call", FLAG_BACKGROUND),
    rule("body", [0, BODY_PIECE_BYTES_MAX], "call", FLAG_LAST | FLAG_BACKGROUND),
    rule("answer", [ANSWER_BYTES, ANSWER_BYTES + CALL_HEADER_BYTES_MAX], "call"),
    rule("failure", [1, FAILURE_BYTES_MAX], "call"),
    rule("cancel", [0, 0], "call"),
    rule("window", [WINDOW_BYTES, WINDOW_BYTES], "either", FLAG_BACKGROUND),
    rule("ping", [PING_BYTES, PING_BYTES], "connection", FLAG_ECHO),
    rule("close", [1, FAILURE_BYTES_MAX], "connection"),
  ].map(it => [TYPES[it.type], it]),
)

interface FrameHeader extends FrameRule {
  readonly payloadBytes: number
  readonly flagsSet: number
  readonly id: number
}

function decodeHeader(view: DataView, at: number): FrameHeader {
  const found = RULES.get(view.getUint8(at + 4))
  if (found === undefined) throw malformed("type of frame")
  const payloadBytes = view.getUint32(at, true)
  if (payloadBytes < found.leastBytes) throw malformed(`short ${found.type}`)
  if (payloadBytes > found.mostBytes) throw malformed(`long ${found.type}`)
  const flagsSet = view.getUint8(at + 5)
  if ((flagsSet & ~found.flags) !== 0) throw malformed(`flags of ${found.type}`)
  if (view.getUint16(at + 6, true) !== 0) throw malformed(`reserved bytes of ${found.type}`)
  const id = view.getUint32(at + 8, true)
  if (found.of === "call" ? id === 0 : found.of === "connection" && id !== 0) throw malformed(`id of ${found.type}`)
  return { ...found, payloadBytes, flagsSet, id }
}

const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
const classOf = (flags: number): CallClass => ((flags & FLAG_BACKGROUND) === 0 ? "client" : "background")

function decodeLength(view: DataView, at: number): number | undefined {
  const length = view.getBigUint64(at, true)
  if (length === UNKNOWN_LENGTH) return undefined
  if (length > BigInt(Number.MAX_SAFE_INTEGER)) throw malformed("length of a body")
  return Number(length)
}

function decodeText(bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes)
  } catch {
    throw malformed("text that is not UTF-8")
  }
}

function decodeHello(payload: Uint8Array): Hello {
  const view = viewOf(payload)
  if (view.getUint32(0, true) !== MAGIC) throw malformed("magic of hello")
  const versions = { lowest: view.getUint16(4, true), highest: view.getUint16(6, true) }
  if (versions.lowest < 1 || versions.lowest > versions.highest) throw malformed("versions of hello")
  const incarnation = view.getBigUint64(24, true)
  if (incarnation > BigInt(Number.MAX_SAFE_INTEGER)) throw malformed("incarnation of hello")
  const hello = {
    versions,
    storeId: parseStoreId(hexOf(payload.subarray(8, 24))),
    incarnation: Number(incarnation),
    callWindowBytes: view.getUint32(32, true),
    classWindowBytes: view.getUint32(36, true),
    callsMax: view.getUint16(40, true),
    node: decodeText(payload.subarray(HELLO_BYTES)),
  }
  if (hello.callWindowBytes === 0 || hello.classWindowBytes === 0 || hello.callsMax === 0) {
    throw malformed("windows of hello")
  }
  return hello
}

function decodeFailure(payload: Uint8Array): WireFailure {
  try {
    const record = RecordReader.open("failure", payload, 1)
    const kind = record.text()
    const details = record.rows(row => {
      const name = row.text()
      switch (row.text()) {
        case "boolean":
          return [name, row.number() === 1] as const
        case "number":
          return [name, row.number()] as const
        default:
          return [name, row.text()] as const
      }
    })
    if (details.length > DETAILS_MAX) throw malformed("details of a failure")
    return { kind, details: Object.fromEntries<string | number | boolean>(details) }
  } catch (error) {
    throw fail("malformedFrame", { reason: "record of a failure" }, error)
  }
}

function decodeCall({ flagsSet, id }: FrameHeader, payload: Uint8Array): Frame {
  const view = viewOf(payload)
  const flags = view.getUint16(2, true)
  if ((flags & ~CALL_HAS_TRACE) !== 0) throw malformed("reserved flags of call")
  const hasTrace = flags === CALL_HAS_TRACE
  const headerAt = CALL_BYTES + (hasTrace ? TRACE_CONTEXT_BYTES : 0)
  if (payload.length < headerAt) throw malformed("length of call")
  const head = {
    method: view.getUint16(0, true),
    callClass: classOf(flagsSet),
    deadlineMs: view.getUint32(4, true),
    lengthBytes: decodeLength(view, 8),
    ...(hasTrace && { trace: payload.slice(CALL_BYTES, headerAt) }),
    header: payload.subarray(headerAt),
  }
  return { type: "call", id, head }
}

/** A frame whose payload is complete; never a body. */
function decodeWhole(header: FrameHeader, payload: Uint8Array): Frame {
  const { type, id, flagsSet } = header
  switch (type) {
    case "hello":
      return { type, hello: decodeHello(payload) }
    case "call":
      return decodeCall(header, payload)
    case "answer":
      return { type, id, lengthBytes: decodeLength(viewOf(payload), 0), header: payload.subarray(ANSWER_BYTES) }
    case "failure":
      return { type, id, failure: decodeFailure(payload) }
    case "cancel":
      return { type, id }
    case "window": {
      const bytes = viewOf(payload).getUint32(0, true)
      if (bytes === 0) throw malformed("empty window")
      return { type, id, callClass: classOf(flagsSet), bytes }
    }
    case "ping":
      return { type, token: viewOf(payload).getBigUint64(0, true), isEcho: (flagsSet & FLAG_ECHO) !== 0 }
    case "close":
      return { type, failure: decodeFailure(payload) }
    default:
      throw malformed("type of frame")
  }
}

/**
 * Decodes a stream of bytes into frames.
 *
 * Promises  Bytes of bodies are views of the chunks that they arrive in, passed on as they arrive. All else is kept
 *           until it is complete, in at most `CALL_HEADER_BYTES_MAX` and a few bytes.
 * Refuses   Any call after it has thrown.
 */
export class FrameDecoder {
  /** A started header, or the started payload of a frame other than a body. */
  #partial: Uint8Array = new Uint8Array(FRAME_HEADER_BYTES)
  #filled = 0
  #header: FrameHeader | undefined
  /** The bytes of a body frame that are still to come. */
  #bodyLeft = 0
  #isBroken = false

  /** Passes each frame to `onFrame`. Throws `malformedFrame`; the stream cannot be decoded any further. */
  feed(chunk: Uint8Array, onFrame: (frame: Frame) => void): void {
    assert(!this.#isBroken, "a malformed stream is not decoded any further")
    this.#isBroken = true
    const view = viewOf(chunk)
    let at = 0
    while (at < chunk.length) {
      const header = this.#header
      if (header === undefined) at = this.#readHeader(chunk, view, at, onFrame)
      else if (header.type === "body") at = this.#readBody(header, chunk, at, onFrame)
      else at = this.#readPayload(header, chunk, at, onFrame)
    }
    this.#isBroken = false
  }

  #readHeader(chunk: Uint8Array, view: DataView, at: number, onFrame: (frame: Frame) => void): number {
    let next = at + FRAME_HEADER_BYTES
    if (this.#filled === 0 && next <= chunk.length) this.#header = decodeHeader(view, at)
    else {
      next = this.#fill(chunk, at, FRAME_HEADER_BYTES)
      if (this.#filled < FRAME_HEADER_BYTES) return next
      this.#filled = 0
      this.#header = decodeHeader(viewOf(this.#partial), 0)
    }
    const header = this.#header
    if (header.type === "body") this.#bodyLeft = header.payloadBytes
    // Payloads that are complete with their header: an empty one would otherwise wait for the next byte.
    if (header.payloadBytes === 0) {
      this.#header = undefined
      const { id, flagsSet } = header
      onFrame(header.type === "body" ? bodyOf(id, flagsSet, chunk.subarray(0, 0), true) : decodeWhole(header, NO_BYTES))
    }
    return next
  }

  #readBody(header: FrameHeader, chunk: Uint8Array, at: number, onFrame: (frame: Frame) => void): number {
    const end = Math.min(chunk.length, at + this.#bodyLeft)
    this.#bodyLeft -= end - at
    const isWhole = this.#bodyLeft === 0
    if (isWhole) this.#header = undefined
    onFrame(bodyOf(header.id, header.flagsSet, chunk.subarray(at, end), isWhole))
    return end
  }

  #readPayload(header: FrameHeader, chunk: Uint8Array, at: number, onFrame: (frame: Frame) => void): number {
    const { payloadBytes } = header
    const end = at + payloadBytes
    if (this.#filled === 0 && end <= chunk.length) {
      this.#header = undefined
      onFrame(decodeWhole(header, chunk.subarray(at, end)))
      return end
    }
    if (this.#filled === 0) this.#partial = new Uint8Array(payloadBytes)
    const next = this.#fill(chunk, at, payloadBytes)
    if (this.#filled < payloadBytes) return next
    const payload = this.#partial
    this.#partial = new Uint8Array(FRAME_HEADER_BYTES)
    this.#filled = 0
    this.#header = undefined
    onFrame(decodeWhole(header, payload))
    return next
  }

  #fill(chunk: Uint8Array, at: number, wantedBytes: number): number {
    const end = Math.min(chunk.length, at + wantedBytes - this.#filled)
    this.#partial.set(chunk.subarray(at, end), this.#filled)
    this.#filled += end - at
    return end
  }
}

const NO_BYTES = new Uint8Array(0)

const bodyOf = (id: number, flags: number, bytes: Uint8Array, isWhole: boolean): Frame => ({
  type: "body",
  id,
  callClass: classOf(flags),
  bytes,
  isLast: isWhole && (flags & FLAG_LAST) !== 0,
})
