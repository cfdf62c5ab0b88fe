/**
 * One connection between two nodes: the handshake, one write per turn, bodies with their windows, and the watch over a
 * peer that does not read or does not respond. Who calls and who serves is its owner's concern (`LinkRole`).
 *
 * Promises  The role learns of the end of the connection exactly once, with a named reason, and of nothing after it.
 *           Lent memory is given back once the connection no longer reads it. Nothing that arrives after `silenceMs`
 *           without any byte is used, also if this process was stopped meanwhile: no call begins so late.
 * Refuses   Peers of other stores and versions (`incompatiblePeer`) and malformed streams (`malformedFrame`): the peer
 *           receives the reason, then the connection closes.
 * Limits    `RpcLimits`.
 */
import type { Tracer } from "@hayloft/base/trace.js"
import { fail, isFailure, type Failure } from "@hayloft/base/failures.js"
import {
  encodeCancel,
  encodeClose,
  encodeHello,
  encodePing,
  encodeWindow,
  FRAME_VERSIONS,
  FrameDecoder,
  type CallClass,
  type Frame,
  type Hello,
} from "../format/nodes/frame.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { Connection } from "@hayloft/base/seams/net/contract.js"
import { BodyPump } from "./body-pump.js"
import type { RpcBodySource, OwnHello, PeerIdentity } from "./contract.js"
import { IncomingBody } from "./incoming-body.js"
import type { RpcLimits } from "./limits.js"
import type { RpcMetrics } from "./metrics.js"
import { SendQueue } from "./send-queue-core.js"
import { failureOfWire, lostAnswer, wireOfFailure } from "./wire-failure.js"

/** How long a peer may take to read why it is disconnected. */
const FAREWELL_MS = 1_000

export interface LinkSettings {
  readonly clock: Clock
  readonly limits: RpcLimits
  readonly own: OwnHello
  readonly metrics: RpcMetrics
  readonly tracer?: Tracer | undefined
}

/** Frames that the roles handle. */
export type CallFrame = Extract<Frame, { type: "call" | "answer" | "failure" | "cancel" }>

export interface LinkRole {
  /** The client says hello first and sends pings. */
  readonly isClient: boolean
  /** The peer has introduced itself: a failure refuses it. */
  welcome(peer: PeerIdentity): Failure | undefined
  /** Throws `malformedFrame`. */
  receive(frame: CallFrame): void
  /** Bytes of a body that is not expected (any more). Throws `malformedFrame` if it never was. */
  strayBody(id: number): void
  /** The last byte of a body has arrived. */
  bodyArrived(id: number): void
  lost(reason: Failure): void
}

interface OutgoingEvents {
  complete(): void
  failed(error: unknown): void
}

export class Link {
  private readonly decoder = new FrameDecoder()
  private readonly queue: SendQueue
  private readonly incoming = new Map<number, IncomingBody>()
  private readonly outgoing = new Map<number, { readonly pump: BodyPump; readonly events: OutgoingEvents }>()
  private readonly unreturned: Record<CallClass, number> = { client: 0, background: 0 }
  private state: "greeting" | "open" | "closing" | "closed" = "greeting"
  private peerHello: Hello | undefined
  private isWriting = false
  private isFlushDue = false
  private writeStartedMs = 0
  private lastReceivedMs: number
  private stopWatch: () => void
  /** The last frame, which waits for the write under way. */
  private farewell: Uint8Array | undefined

  constructor(
    private readonly connection: Connection,
    private readonly settings: LinkSettings,
    private readonly role: LinkRole,
  ) {
    const { clock, limits } = settings
    this.queue = new SendQueue(limits)
    this.lastReceivedMs = clock.monotonicMs()
    this.stopWatch = clock.alarm(limits.connectMs, () =>
      this.lose(fail("peerUnreachable", { reason: "no hello in time" }), false),
    )
  }

  /** Starts to read. Within the turn in which the connection was received. */
  start(): void {
    this.connection.start({ bytes: chunk => this.onBytes(chunk), closed: reason => this.onClosed(reason) })
    if (this.role.isClient) this.sayHello()
  }

  get isOpen(): boolean {
    return this.state === "open"
  }

  /** The calls of one class that the peer serves concurrently. */
  get peerCallsMax(): number {
    return this.peerHello?.callsMax ?? 0
  }

  /** The newest version that both sides speak; 0 before the peer's hello. */
  get version(): number {
    return Math.min(FRAME_VERSIONS.highest, this.peerHello?.versions.highest ?? 0)
  }

  sendHead(id: number, callClass: CallClass, frame: Uint8Array): void {
    this.queue.addHead(id, callClass, frame)
    this.flushLater()
  }

  /** Returns true if the frame had not left: then the peer will never know of it. */
  withdrawHead(id: number, callClass: CallClass): boolean {
    return this.queue.withdrawHead(id, callClass)
  }

  sendCancel(id: number): void {
    this.queue.addUrgent(encodeCancel(id))
    this.flushLater()
  }

  /** Sends a body after its head. */
  sendBody(id: number, callClass: CallClass, source: RpcBodySource, events: OutgoingEvents): void {
    const pump = new BodyPump(source, {
      piece: (piece, isLast) => {
        this.queue.addPiece(id, piece, isLast)
        this.flushLater()
      },
      failed: error => {
        this.stopBody(id)
        events.failed(error)
      },
    })
    this.queue.openBody(id, callClass)
    this.outgoing.set(id, { pump, events })
    pump.next()
  }

  /** Returns true if a body of the call was still being sent. */
  stopBody(id: number): boolean {
    const found = this.outgoing.get(id)
    if (found === undefined) return false
    this.outgoing.delete(id)
    found.pump.stop()
    this.queue.dropBody(id)
    return true
  }

  /** The body that the peer sends for a call. */
  openIncoming(id: number, callClass: CallClass, lengthBytes: number | undefined, onDiscard: () => void): IncomingBody {
    const { callWindowBytes } = this.settings.limits
    let unreturned = 0
    const body = new IncomingBody(lengthBytes, callWindowBytes, {
      consumed: (bytes, wantsMore) => {
        this.returnToClass(callClass, bytes)
        unreturned += bytes
        if (!wantsMore || unreturned < callWindowBytes / 4 || this.incoming.get(id) !== body) return
        this.addUrgent(encodeWindow(id, callClass, unreturned))
        unreturned = 0
      },
      discarded: onDiscard,
    })
    if (!body.isComplete) this.incoming.set(id, body)
    return body
  }

  /** The peer sends no more of this call's body. */
  forgetIncoming(id: number, reason: Failure): void {
    const body = this.incoming.get(id)
    this.incoming.delete(id)
    body?.fail(reason)
  }

  /** Ends the connection; `tells` sends the reason first. */
  lose(reason: Failure, tells: boolean): void {
    if (this.state === "closing" || this.state === "closed") return
    this.state = tells ? "closing" : "closed"
    this.stopWatch()
    for (const id of [...this.outgoing.keys()]) this.stopBody(id)
    for (const id of [...this.incoming.keys()]) this.forgetIncoming(id, lostAnswer(false, reason))
    if (tells) this.sayFarewell(reason)
    else this.connection.reset()
    this.role.lost(reason)
  }

  private addUrgent(frame: Uint8Array): void {
    if (this.state !== "open") return
    this.queue.addUrgent(frame)
    if (this.queue.queuedBytes > this.settings.limits.queuedBytesMax) {
      this.lose(fail("peerUnreachable", { reason: "the peer does not read what it causes to be sent" }), false)
    } else this.flushLater()
  }

  private sayHello(): void {
    const { own, limits } = this.settings
    const { callWindowBytes, classWindowBytes, callsMax } = limits
    const windows = { callWindowBytes, classWindowBytes, callsMax }
    this.queue.addUrgent(encodeHello({ versions: FRAME_VERSIONS, ...own, ...windows }))
    this.flush()
  }

  private sayFarewell(reason: Failure): void {
    this.stopWatch = this.settings.clock.alarm(FAREWELL_MS, () => this.connection.reset())
    // The write under way goes first.
    this.farewell = encodeClose(wireOfFailure(reason))
    if (!this.isWriting) this.writeFarewell()
  }

  /** After the frames that are still queued: answers of calls that are complete. */
  private writeFarewell(): void {
    const batch = this.queue.take(() => undefined)
    if (batch !== undefined) {
      this.connection.write(batch.buffers, () => this.onWritten())
      return
    }
    const { farewell } = this
    if (farewell === undefined) return
    this.farewell = undefined
    this.connection.write([farewell], () => this.connection.end())
  }

  // Sending

  private flushLater(): void {
    if (this.isFlushDue || this.isWriting || this.peerHello === undefined) return
    this.isFlushDue = true
    this.settings.clock.atEndOfTurn(() => {
      this.isFlushDue = false
      this.flush()
    })
  }

  private flush(): void {
    if (this.isWriting || this.state === "closing" || this.state === "closed") return
    this.isWriting = true
    const batch = this.queue.take(id => this.outgoing.get(id)?.pump.next())
    if (batch === undefined) {
      this.isWriting = false
      return
    }
    this.writeStartedMs = this.settings.clock.monotonicMs()
    this.settings.metrics.sent.add(batch.bytes)
    this.connection.write(batch.buffers, () => this.onWritten())
    for (const id of batch.complete) {
      const found = this.outgoing.get(id)
      this.outgoing.delete(id)
      found?.events.complete()
    }
  }

  private onWritten(): void {
    this.isWriting = false
    this.queue.written()
    if (this.state === "closing") this.writeFarewell()
    else this.flush()
  }

  // Receiving

  private onBytes(chunk: Uint8Array): void {
    if (this.state === "closing" || this.state === "closed") return
    // A process that was stopped finds them before its alarm has rung: their senders have given up long ago.
    if (this.hasBeenSilent()) {
      this.lose(fail("peerUnreachable", { reason: "the peer was silent" }), false)
      return
    }
    this.lastReceivedMs = this.settings.clock.monotonicMs()
    this.settings.metrics.received.add(chunk.length)
    try {
      this.decoder.feed(chunk, frame => this.onFrame(frame))
    } catch (error) {
      if (!isFailure(error, "malformedFrame", "incompatiblePeer")) throw error
      this.lose(error, true)
    }
  }

  private onFrame(frame: Frame): void {
    // A frame before this one, of the same chunk, may have ended the connection.
    if (this.state === "closing" || this.state === "closed") return
    if (frame.type === "close") {
      this.lose(failureOfWire(frame.failure), false)
      return
    }
    if ((this.state === "greeting") !== (frame.type === "hello")) {
      throw fail("malformedFrame", { reason: `${frame.type} out of place` })
    }
    switch (frame.type) {
      case "hello":
        this.onHello(frame.hello)
        break
      case "body":
        this.onBody(frame)
        break
      case "window":
        this.queue.addWindow(frame.id, frame.callClass, frame.bytes)
        this.flushLater()
        break
      case "ping":
        if (!frame.isEcho) this.addUrgent(encodePing(frame.token, true))
        break
      default:
        this.role.receive(frame)
    }
  }

  private onHello(hello: Hello): void {
    const { own, limits } = this.settings
    const { lowest, highest } = FRAME_VERSIONS
    if (hello.storeId !== own.storeId) throw fail("incompatiblePeer", { message: "the nodes are of different stores" })
    if (hello.versions.lowest > highest || hello.versions.highest < lowest) {
      const message = "the versions of two nodes are too far apart; upgrade one release at a time"
      throw fail("incompatiblePeer", {
        message,
        node: own.node,
        highest,
        other: hello.node,
        its: hello.versions.highest,
      })
    }
    const refusal = this.role.welcome({ hello, fingerprint: this.connection.fingerprint })
    if (refusal !== undefined) {
      this.lose(refusal, true)
      return
    }
    this.peerHello = hello
    this.queue.setWindows(hello.callWindowBytes, hello.classWindowBytes)
    this.state = "open"
    if (!this.role.isClient) this.sayHello()
    this.stopWatch()
    this.watch(limits.pingEveryMs)
    this.flushLater()
  }

  private onBody({ id, callClass, bytes, isLast }: Extract<Frame, { type: "body" }>): void {
    const body = this.incoming.get(id)
    if (body === undefined) {
      this.role.strayBody(id)
      this.returnToClass(callClass, bytes.length)
      return
    }
    if (isLast) this.incoming.delete(id)
    body.push(bytes, isLast)
    if (isLast) this.role.bodyArrived(id)
  }

  /** Returns bytes to the class's window, a quarter of it at a time. */
  private returnToClass(callClass: CallClass, bytes: number): void {
    this.unreturned[callClass] += bytes
    if (this.unreturned[callClass] < this.settings.limits.classWindowBytes / 4) return
    this.addUrgent(encodeWindow(0, callClass, this.unreturned[callClass]))
    this.unreturned[callClass] = 0
  }

  // Watching

  private hasBeenSilent(): boolean {
    const { limits, clock } = this.settings
    return clock.monotonicMs() - this.lastReceivedMs > limits.silenceMs
  }

  private watch(everyMs: number): void {
    this.stopWatch = this.settings.clock.alarm(everyMs, () => {
      const { limits, clock } = this.settings
      const nowMs = clock.monotonicMs()
      if (this.hasBeenSilent()) {
        this.lose(fail("peerUnreachable", { reason: "the peer is silent" }), false)
      } else if (this.isWriting && nowMs - this.writeStartedMs > limits.writeMs) {
        this.lose(fail("peerUnreachable", { reason: "the peer does not read" }), false)
      } else {
        if (this.role.isClient) this.addUrgent(encodePing(BigInt(Math.floor(nowMs)), false))
        this.watch(everyMs)
      }
    })
  }

  private onClosed(reason: string | undefined): void {
    this.stopWatch()
    this.lose(fail("peerUnreachable", { reason: reason ?? "the connection was closed" }), false)
    this.state = "closed"
    this.stopWatch()
    // From here on the connection reads no memory.
    this.queue.close()
  }
}
