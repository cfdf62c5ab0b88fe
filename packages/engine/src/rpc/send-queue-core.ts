/**
 * The send queue of a connection: decides what leaves in the next write.
 *
 * Promises  Frames of the connection go first, then heads of calls and answers, then pieces of bodies; each in the
 *           order of their arrival, client data before background. Bodies take turns by piece. Background gets one byte
 *           for each `clientShare` bytes of client data, and bodies get half of each write, so that none starves.
 *           A body is never sent before its head, nor beyond the windows of its call and class.
 * Limits    `writeBytes` a write, `pieceBytes` a piece.
 */
import { assert } from "@hayloft/base/assert.js"
import type { LentBytes } from "@hayloft/base/memory/pieces.js"
import { KIB } from "@hayloft/base/limits.js"
import { CALL_CLASSES, FRAME_HEADER_BYTES, writeBodyHeader, type CallClass } from "../format/nodes/frame.js"

/** Buffers up to this length are copied together: that costs less than a buffer of its own in the write. */
const COPIED_BYTES_MAX = 4 * KIB
const SCRATCH_BYTES = 64 * KIB

interface SendLimits {
  readonly pieceBytes: number
  readonly writeBytes: number
  readonly clientShare: number
}

/** A lent piece of a body, until its last byte is written. */
interface HeldPiece {
  readonly lent: LentBytes
  /** Bytes that writes have taken. */
  at: number
  writes: number
  isDropped: boolean
}

interface OutgoingBody {
  readonly id: number
  readonly callClass: CallClass
  windowBytes: number
  piece: HeldPiece | undefined
  /** No piece follows. */
  isEnded: boolean
}

interface WriteBatch {
  readonly buffers: readonly Uint8Array[]
  readonly bytes: number
  /** Calls whose bodies are complete with this write. */
  readonly complete: readonly number[]
}

interface Taken {
  readonly gathering: Gathering
  readonly draw: (id: number) => void
  readonly complete: number[]
}

/** Collects a write; small buffers share one memory, which is free again once the write before it is done. */
class Gathering {
  readonly buffers: Uint8Array[] = []
  bytes = 0
  private from = 0
  private at = 0

  constructor(private scratch: Buffer) {}

  add(bytes: Uint8Array): void {
    if (bytes.length > COPIED_BYTES_MAX) this.addUncopied(bytes)
    else if (bytes.length > 0) {
      const at = this.reserve(bytes.length)
      this.scratch.set(bytes, at)
    }
  }

  /** Memory for so many bytes, which the caller fills: the buffer and the place in it. */
  reserveIn(length: number): { readonly scratch: Buffer; readonly at: number } {
    const at = this.reserve(length)
    return { scratch: this.scratch, at }
  }

  addUncopied(bytes: Uint8Array): void {
    this.cutScratch()
    this.buffers.push(bytes)
    this.bytes += bytes.length
  }

  finish(): void {
    this.cutScratch()
  }

  private reserve(length: number): number {
    if (this.at + length > this.scratch.length) {
      this.cutScratch()
      this.scratch = Buffer.allocUnsafeSlow(SCRATCH_BYTES)
      this.from = this.at = 0
    }
    const { at } = this
    this.at += length
    this.bytes += length
    return at
  }

  private cutScratch(): void {
    if (this.at > this.from) this.buffers.push(this.scratch.subarray(this.from, this.at))
    this.from = this.at
  }
}

export class SendQueue {
  private readonly scratch = Buffer.allocUnsafeSlow(SCRATCH_BYTES)
  private urgent: Uint8Array[] = []
  private readonly heads: Record<CallClass, Map<number, Uint8Array>> = { client: new Map(), background: new Map() }
  private readonly bodies = new Map<number, OutgoingBody>()
  /** Bodies with something to send and a window for it; the first is next. */
  private readonly ready: Record<CallClass, Set<OutgoingBody>> = { client: new Set(), background: new Set() }
  private readonly classWindow: Record<CallClass, number> = { client: 0, background: 0 }
  private callWindowBytes = 0
  /** Bytes that background may send before more client data. */
  private backgroundDue = 0
  /** Pieces with bytes in the write under way. */
  private writing: HeldPiece[] = []
  /** Bytes of frames that are not bodies. */
  queuedBytes = 0

  constructor(private readonly limits: SendLimits) {}

  /** Sets the windows that the peer accepts; no body is sent before they are known. */
  setWindows(callWindowBytes: number, classWindowBytes: number): void {
    this.callWindowBytes = callWindowBytes
    for (const callClass of CALL_CLASSES) this.classWindow[callClass] = classWindowBytes
  }

  /** A frame of the connection, or one that ends a call. */
  addUrgent(frame: Uint8Array): void {
    this.urgent.push(frame)
    this.queuedBytes += frame.length
  }

  /** The first frame of a call or answer. Replaces one of the same id that has not left. */
  addHead(id: number, callClass: CallClass, frame: Uint8Array): void {
    this.withdrawHead(id, callClass)
    this.heads[callClass].set(id, frame)
    this.queuedBytes += frame.length
  }

  /** Returns true if the head had not left: then the peer will never know of it. */
  withdrawHead(id: number, callClass: CallClass): boolean {
    const frame = this.heads[callClass].get(id)
    if (frame === undefined) return false
    this.heads[callClass].delete(id)
    this.queuedBytes -= frame.length
    return true
  }

  openBody(id: number, callClass: CallClass): void {
    assert(!this.bodies.has(id), "a call sends one body")
    this.bodies.set(id, { id, callClass, windowBytes: this.callWindowBytes, piece: undefined, isEnded: false })
  }

  /** The next piece of a body, which `take` has requested; `isLast` if none follows. */
  addPiece(id: number, lent: LentBytes | undefined, isLast: boolean): void {
    const body = this.bodies.get(id)
    if (body === undefined) {
      lent?.giveBack()
      return
    }
    assert(body.piece === undefined && !body.isEnded, "a body has one piece at a time")
    body.isEnded = isLast
    if (lent !== undefined) body.piece = { lent, at: 0, writes: 0, isDropped: false }
    this.enqueue(body)
  }

  /** Stops a body. Its memory is given back, at the latest when the write under way is done. */
  dropBody(id: number): void {
    const body = this.bodies.get(id)
    if (body === undefined) return
    this.bodies.delete(id)
    this.ready[body.callClass].delete(body)
    const { piece } = body
    if (piece === undefined) return
    piece.isDropped = true
    if (piece.writes === 0) piece.lent.giveBack()
  }

  /** The peer has consumed bytes of the call, or of the class if there is no such call. */
  addWindow(id: number, callClass: CallClass, bytes: number): void {
    if (id === 0) {
      this.classWindow[callClass] += bytes
      return
    }
    const body = this.bodies.get(id)
    if (body === undefined) return
    body.windowBytes += bytes
    this.enqueue(body)
  }

  /**
   * Returns what leaves next; undefined if nothing may. It is not called again before `written`. `draw` requests the
   * next piece of a body: one that is added within the call may still leave with this write.
   */
  take(draw: (id: number) => void): WriteBatch | undefined {
    assert(this.writing.length === 0, "one write is under way at a time")
    const gathering = new Gathering(this.scratch)
    for (const frame of this.urgent) gathering.add(frame)
    if (this.urgent.length > 0) this.urgent = []
    const { writeBytes } = this.limits
    this.takeHeads(gathering, CALL_CLASSES.some(it => this.canSendBody(it)) ? writeBytes / 2 : writeBytes)
    const complete: number[] = []
    while (gathering.bytes < writeBytes) {
      const first = this.nextClass()
      if (first === undefined) break
      const taken = { gathering, draw, complete }
      if (!this.takePiece(first, taken) && !this.takePiece(first === "client" ? "background" : "client", taken)) break
    }
    gathering.finish()
    this.queuedBytes = 0
    for (const callClass of CALL_CLASSES)
      for (const frame of this.heads[callClass].values()) this.queuedBytes += frame.length
    if (gathering.bytes === 0) return undefined
    return { buffers: gathering.buffers, bytes: gathering.bytes, complete }
  }

  /** The write is done: memory whose last byte it has sent is given back. */
  written(): void {
    const pieces = this.writing
    this.writing = []
    for (const piece of pieces) {
      piece.writes -= 1
      if (piece.writes === 0 && (piece.isDropped || piece.at === piece.lent.bytes.length)) piece.lent.giveBack()
    }
  }

  /** The connection is gone: gives back all memory. */
  close(): void {
    for (const id of [...this.bodies.keys()]) this.dropBody(id)
    for (const piece of this.writing) piece.isDropped = true
    this.written()
  }

  private enqueue(body: OutgoingBody): void {
    const hasBytes = body.piece !== undefined && body.windowBytes > 0
    if (hasBytes || (body.piece === undefined && body.isEnded)) this.ready[body.callClass].add(body)
  }

  private takeHeads(gathering: Gathering, bytesMax: number): void {
    let isFirst = true
    for (const [id, frame] of this.heads.background) {
      // One of them goes in any case; the others after the client's.
      if (!isFirst) break
      isFirst = false
      this.heads.background.delete(id)
      gathering.add(frame)
    }
    for (const callClass of CALL_CLASSES) {
      for (const [id, frame] of this.heads[callClass]) {
        if (gathering.bytes >= bytesMax) return
        this.heads[callClass].delete(id)
        gathering.add(frame)
      }
    }
  }

  private canSendBody(callClass: CallClass): boolean {
    const ready = this.ready[callClass]
    if (ready.size === 0) return false
    if (this.classWindow[callClass] > 0) return true
    for (const body of ready) if (body.piece === undefined) return true
    return false
  }

  private nextClass(): CallClass | undefined {
    const isClientReady = this.canSendBody("client")
    if (!this.canSendBody("background")) {
      this.backgroundDue = 0
      return isClientReady ? "client" : undefined
    }
    return !isClientReady || this.backgroundDue >= this.limits.pieceBytes ? "background" : "client"
  }

  /** Takes a piece of the first body that may send. False if none may. */
  private takePiece(callClass: CallClass, { gathering, draw, complete }: Taken): boolean {
    const ready = this.ready[callClass]
    for (const body of ready) {
      if (this.heads[callClass].has(body.id)) continue
      if (body.piece !== undefined && this.classWindow[callClass] <= 0) continue
      ready.delete(body)
      const length = this.slice(gathering, body)
      if (callClass === "client") this.backgroundDue += length / this.limits.clientShare
      else this.backgroundDue = Math.max(0, this.backgroundDue - length)
      if (body.piece !== undefined) this.enqueue(body)
      else if (body.isEnded) {
        this.bodies.delete(body.id)
        complete.push(body.id)
      } else draw(body.id)
      return true
    }
    return false
  }

  private slice(gathering: Gathering, body: OutgoingBody): number {
    const { id, callClass, piece } = body
    const left = piece === undefined ? 0 : piece.lent.bytes.length - piece.at
    const length = Math.min(left, body.windowBytes, this.classWindow[callClass], this.limits.pieceBytes)
    const isLast = body.isEnded && length === left
    const header = gathering.reserveIn(FRAME_HEADER_BYTES)
    writeBodyHeader(header.scratch, header.at, { id, callClass, length, isLast })
    if (piece === undefined) return 0
    body.windowBytes -= length
    this.classWindow[callClass] -= length
    gathering.add(piece.lent.bytes.subarray(piece.at, piece.at + length))
    piece.at += length
    piece.writes += 1
    this.writing.push(piece)
    if (length === left) body.piece = undefined
    return length
  }
}
