/**
 * The calling side of a connection: calls in progress, their answers and their ends.
 *
 * Promises  Each call ends exactly once. One that never left the send queue has not happened.
 * Refuses   Frames of calls that were never made, with `malformedFrame`.
 */
import { fail, isFailure, type Failure } from "@hayloft/base/failures.js"
import { encodeCall, FRAME_VERSION_OF_TRACES, type CallClass } from "../format/nodes/frame.js"
import type { Connection } from "@hayloft/base/seams/net/contract.js"
import type { RpcBodySource, PeerIdentity } from "./contract.js"
import type { IncomingBody } from "./incoming-body.js"
import { Link, type CallFrame, type LinkRole, type LinkSettings } from "./link.js"
import { failureOfWire, lostAnswer } from "./wire-failure.js"

/** A call as a connection carries it. */
export interface Outgoing {
  readonly method: number
  readonly changes: boolean
  readonly callClass: CallClass
  /** Encodes the header for a link of this version. */
  header(version: number): Uint8Array
  readonly body: RpcBodySource | undefined
  readonly trace: Uint8Array | undefined
  /** Returns what is left of the deadline. */
  deadlineLeftMs(): number
  answered(header: Uint8Array, body: IncomingBody): void
  failed(failure: unknown): void
  /** Nothing of the call is left on the connection. */
  over(): void
}

interface Running {
  readonly call: Outgoing
  /** Present once the call is answered. */
  answerBody: IncomingBody | undefined
}

interface ClientEvents {
  welcome(peer: PeerIdentity): Failure | undefined
  opened(): void
  lost(reason: Failure): void
}

export class ClientLink implements LinkRole {
  readonly isClient = true
  private readonly link: Link
  private readonly running = new Map<number, Running>()
  private readonly ids = new Map<Outgoing, number>()
  private lastId = 0

  constructor(
    connection: Connection,
    private readonly settings: LinkSettings,
    private readonly events: ClientEvents,
  ) {
    this.link = new Link(connection, settings, this)
    this.link.start()
  }

  get isOpen(): boolean {
    return this.link.isOpen
  }

  get callsMax(): number {
    return this.link.peerCallsMax
  }

  /** The connection has served as many calls as it may; those in progress continue. */
  get isUsedUp(): boolean {
    return this.lastId >= this.settings.limits.callsPerConnectionMax
  }

  send(call: Outgoing): void {
    this.lastId += 1
    const id = this.lastId
    const { method, callClass, body } = call
    const header = call.header(this.link.version)
    const trace = this.link.version >= FRAME_VERSION_OF_TRACES ? call.trace : undefined
    const lengthBytes = body === undefined ? 0 : body.lengthBytes
    this.running.set(id, { call, answerBody: undefined })
    this.ids.set(call, id)
    this.link.sendHead(
      id,
      callClass,
      encodeCall(id, { method, callClass, deadlineMs: call.deadlineLeftMs(), lengthBytes, header, trace }),
    )
    if (body === undefined || lengthBytes === 0) {
      body?.close?.()
      return
    }
    this.link.sendBody(id, callClass, body, {
      complete: () => undefined,
      failed: error => this.abandon(call, error, error),
    })
  }

  /** Ends a call from this side. Its caller gets `failure`, or `sent` if the peer may know of the call. */
  abandon(call: Outgoing, failure: unknown, sent: unknown): void {
    const id = this.ids.get(call)
    const running = id === undefined ? undefined : this.running.get(id)
    if (id === undefined || running === undefined) return
    const isUnsent = this.link.withdrawHead(id, call.callClass)
    if (!isUnsent) this.link.sendCancel(id)
    this.end(id, running, isUnsent ? failure : sent)
  }

  close(reason: Failure): void {
    this.link.lose(reason, false)
  }

  welcome(peer: PeerIdentity): Failure | undefined {
    const refusal = this.events.welcome(peer)
    // The link is open once this event is over.
    if (refusal === undefined) this.settings.clock.atEndOfTurn(() => this.events.opened())
    return refusal
  }

  receive(frame: CallFrame): void {
    if (frame.type === "call" || frame.type === "cancel") {
      throw fail("malformedFrame", { reason: `${frame.type} from the called side` })
    }
    const { id } = frame
    const running = this.running.get(id)
    if (running === undefined) {
      this.checkOld(id)
      return
    }
    if (frame.type === "failure") {
      if (this.link.stopBody(id)) this.link.sendCancel(id)
      this.end(id, running, failureOfWire(frame.failure))
      return
    }
    if (running.answerBody !== undefined) throw fail("malformedFrame", { reason: "second answer of a call" })
    const { call } = running
    const body = this.link.openIncoming(id, call.callClass, frame.lengthBytes, () =>
      this.abandon(call, discarded(), discarded()),
    )
    running.answerBody = body
    call.answered(frame.header, body)
    if (body.isComplete) this.bodyArrived(id)
  }

  strayBody(id: number): void {
    if (this.running.has(id)) throw fail("malformedFrame", { reason: "body of a call without an answer" })
    this.checkOld(id)
  }

  bodyArrived(id: number): void {
    const running = this.running.get(id)
    if (running === undefined) return
    // An answer that is complete needs no more of the call's own body.
    if (this.link.stopBody(id)) this.link.sendCancel(id)
    this.remove(id, running)
  }

  lost(reason: Failure): void {
    this.settings.metrics.lost("client", reason)
    for (const [id, running] of this.running) {
      const isUnsent = this.link.withdrawHead(id, running.call.callClass)
      this.end(id, running, lostAnswer(running.call.changes && !isUnsent, reason))
    }
    this.events.lost(reason)
  }

  private checkOld(id: number): void {
    if (id > this.lastId) throw fail("malformedFrame", { reason: "id of a call that was not made" })
  }

  private end(id: number, running: Running, failure: unknown): void {
    this.link.stopBody(id)
    this.link.forgetIncoming(id, isFailure(failure) ? failure : lostAnswer(false, failure))
    if (running.answerBody === undefined) running.call.failed(failure)
    this.remove(id, running)
  }

  private remove(id: number, { call }: Running): void {
    this.running.delete(id)
    this.ids.delete(call)
    call.over()
    if (this.isUsedUp && this.running.size === 0) this.link.lose(fail("stopping"), false)
  }
}

const discarded = (): Failure => fail("incompleteBody", { message: "the answer was discarded before its end" })
