/**
 * One direction of a simulated connection: memory of the writer, then a bounded buffer of the network, then the
 * receiver. Bytes are copied when they enter the buffer, which is the moment from which their memory may change.
 */
import { assert } from "../../assert.js"
import type { Clock } from "../clock/contract.js"

/** The network as a pipe uses it. */
interface PipeNetwork {
  readonly clock: Clock
  readonly options: { readonly bufferBytes: number; readonly segmentBytes: number }
  isCut(from: string, to: string): boolean
  isLost(): boolean
  segmentOf(bytes: number): number
  arrivalMs(from: string, to: string, bytes: number): number
}

/** A connection as its pipes use it. */
interface PipeEnd {
  readonly isClosed: boolean
  readonly isPaused: boolean
  readonly pipes: { readonly in: SimPipe }
  receive(bytes: Uint8Array): void
  end(): void
  close(reason: string | undefined): void
}

/** An alarm rings at the sum of two rounded times. */
const ROUNDING_MS = 1e-6

/** The last packet of a direction. */
type Last = "end" | "reset"

interface Packet {
  readonly bytes: Uint8Array | Last
  readonly arrivesAtMs: number
}

export class SimPipe {
  private readonly unsent: Uint8Array[] = []
  private written: (() => void) | undefined
  private readonly packets: Packet[] = []
  private bufferedBytes = 0
  private lastArrivalMs = 0
  private last: Last | undefined
  private receiver: PipeEnd | undefined
  private sender: PipeEnd | undefined

  constructor(
    private readonly network: PipeNetwork,
    private readonly from: string,
    private readonly to: string,
  ) {}

  connect(receiver: PipeEnd, sender: PipeEnd): void {
    this.receiver = receiver
    this.sender = sender
  }

  write(buffers: readonly Uint8Array[], written: () => void): void {
    assert(this.written === undefined, "one write is under way at a time")
    assert(this.last === undefined, "no write follows the end")
    this.unsent.push(...buffers.filter(({ length }) => length > 0))
    this.written = written
    this.fill()
  }

  finish(last: Last): void {
    if (this.last === "reset") return
    this.last = last
    if (last === "reset") {
      this.forgetMemory()
      // A reset overtakes nothing that was sent, but the receiver does not wait to read it.
      this.send(last, 0)
    } else if (this.unsent.length === 0) this.send(last, 0)
  }

  /** The sender is closed: its memory is not read any more. */
  forgetMemory(): void {
    this.unsent.length = 0
    this.written = undefined
  }

  /** Delivers everything that has arrived. */
  deliver(): void {
    for (;;) {
      const next = this.packets[0]
      const { receiver } = this
      if (next === undefined || receiver === undefined) return
      if (next.arrivesAtMs > this.network.clock.monotonicMs() + ROUNDING_MS || this.network.isCut(this.from, this.to))
        return
      if (receiver.isClosed) {
        this.refuse()
        return
      }
      if (receiver.isPaused && next.bytes !== "reset") return
      this.packets.shift()
      this.handOver(receiver, next.bytes)
    }
  }

  private handOver(receiver: PipeEnd, bytes: Uint8Array | Last): void {
    if (bytes === "reset") receiver.close("ECONNRESET")
    else if (bytes === "end") {
      // Sockets here allow no half-open state: the other direction ends too.
      receiver.end()
      receiver.close(undefined)
      this.sender?.close(undefined)
    } else if (this.network.isLost()) {
      receiver.close("ECONNRESET")
      this.sender?.close("ECONNRESET")
    } else {
      this.bufferedBytes -= bytes.length
      receiver.receive(bytes)
      this.fill()
    }
  }

  /** The receiver knows no such connection: it responds with a reset, if that can arrive. */
  private refuse(): void {
    this.packets.length = 0
    const { sender } = this
    if (sender === undefined || sender.isClosed) return
    sender.pipes.in.send("reset", 0)
  }

  private fill(): void {
    for (;;) {
      const first = this.unsent[0]
      const space = this.network.options.bufferBytes - this.bufferedBytes
      // A buffer that is filled byte by byte, as its reader empties it, would send ever smaller packets.
      const { segmentBytes, bufferBytes } = this.network.options
      if (first === undefined || space < Math.min(first.length, segmentBytes, bufferBytes)) break
      const length = this.network.segmentOf(Math.min(first.length, space))
      if (length === first.length) this.unsent.shift()
      else this.unsent[0] = first.subarray(length)
      this.bufferedBytes += length
      this.send(new Uint8Array(first.subarray(0, length)), length)
    }
    if (this.unsent.length > 0 || this.sender?.isClosed !== false) return
    const { written } = this
    this.written = undefined
    if (written !== undefined) queueMicrotask(() => this.sender?.isClosed === false && written())
    if (this.last === "end" && !this.packets.some(({ bytes }) => bytes === "end")) this.send("end", 0)
  }

  private send(bytes: Uint8Array | Last, length: number): void {
    const arrivesAtMs = Math.max(this.lastArrivalMs, this.network.arrivalMs(this.from, this.to, length))
    this.lastArrivalMs = arrivesAtMs
    this.packets.push({ bytes, arrivesAtMs })
    this.network.clock.alarm(arrivesAtMs - this.network.clock.monotonicMs(), () => this.deliver())
  }
}
