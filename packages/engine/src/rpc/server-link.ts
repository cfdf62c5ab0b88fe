/**
 * The serving side of a connection: calls in progress, each with a signal, and their answers.
 *
 * Promises  A call gets one answer or one failure. Its signal fires when the caller cancels, the deadline passes or the
 *           connection is lost. A call takes its place until its method has returned and its answer has been sent.
 * Refuses   Calls beyond `callsMax` of a class (`tooManyInFlight`), and of methods that do not exist
 *           (`notImplemented`), before they change anything.
 */
import { during } from "@hayloft/base/trace.js"
import { fail, isFailure, type Failure } from "@hayloft/base/failures.js"
import { encodeAnswer, encodeFailure, type CallHead } from "../format/nodes/frame.js"
import { recover } from "@hayloft/base/soon.js"
import type { Connection } from "@hayloft/base/seams/net/contract.js"
import type { RpcAnswer, Codec, Handler, PeerIdentity, ServedCall } from "./contract.js"
import type { IncomingBody } from "./incoming-body.js"
import { Link, type CallFrame, type LinkRole, type LinkSettings } from "./link.js"
import { lostAnswer, wireOfFailure } from "./wire-failure.js"

/** Refused calls whose bodies still arrive, as a multiple of `callsMax`. */
const REFUSED_TIMES_MAX = 4

/** A method with its handler, without its types. */
export interface ServedMethod {
  readonly name: string
  readonly changes: boolean
  serve(header: Uint8Array, call: ServedCall): ReturnType<Handler<unknown, Uint8Array>>
}

export function servedMethod<Request, Response>(
  {
    name,
    changes,
    request,
    response,
  }: {
    readonly name: string
    readonly changes: boolean
    readonly request: Codec<Request>
    readonly response: Codec<Response>
  },
  handler: Handler<Request, Response>,
): ServedMethod {
  const encoded = ({ value, body }: RpcAnswer<Response>): RpcAnswer<Uint8Array> => {
    const bytes = response.encode(value)
    return body === undefined ? { value: bytes } : { value: bytes, body }
  }
  return {
    name,
    changes,
    serve: (header, call) => {
      const answer = handler(request.decode(header), call)
      return answer instanceof Promise ? answer.then(encoded) : encoded(answer)
    },
  }
}

interface ServerEvents {
  welcome(peer: PeerIdentity): Failure | undefined
  methodOf(number: number): ServedMethod | undefined
  /** Set while the server stops. */
  readonly isStopping: boolean
  callOver(): void
  lost(reason: Failure): void
}

export class ServerLink implements LinkRole {
  readonly isClient = false
  private readonly link: Link
  private readonly calls = new Map<number, RunningCall>()
  private readonly running = { client: 0, background: 0 }
  private peer: PeerIdentity | undefined
  private readonly lastIds = { client: 0, background: 0 }

  constructor(
    connection: Connection,
    private readonly settings: LinkSettings,
    private readonly events: ServerEvents,
  ) {
    this.link = new Link(connection, settings, this)
    this.link.start()
  }

  get runningCalls(): number {
    return this.running.client + this.running.background
  }

  close(reason: Failure): void {
    this.link.lose(reason, true)
  }

  welcome(peer: PeerIdentity): Failure | undefined {
    this.peer = peer
    return this.events.isStopping ? fail("stopping") : this.events.welcome(peer)
  }

  receive(frame: CallFrame): void {
    if (frame.type === "answer" || frame.type === "failure") {
      throw fail("malformedFrame", { reason: `${frame.type} from the calling side` })
    }
    const { id } = frame
    if (frame.type === "call") {
      const { callClass } = frame.head
      // Calls of one class arrive in their order; those of another class may overtake them.
      if (id <= this.lastIds[callClass] || this.calls.has(id)) {
        throw fail("malformedFrame", { reason: "id of a call out of order" })
      }
      this.lastIds[callClass] = id
      this.onCall(id, frame.head)
      return
    }
    this.checkOld(id)
    this.calls.get(id)?.cancel()
  }

  strayBody(id: number): void {
    const call = this.calls.get(id)
    if (call?.body.isComplete === true) throw fail("malformedFrame", { reason: "body after its end" })
    this.checkOld(id)
  }

  bodyArrived(id: number): void {
    this.calls.get(id)?.forgetIfOver()
  }

  lost(reason: Failure): void {
    this.settings.metrics.lost("server", reason)
    for (const call of [...this.calls.values()]) call.drop(reason)
    this.events.lost(reason)
  }

  private checkOld(id: number): void {
    if (id > Math.max(this.lastIds.client, this.lastIds.background))
      throw fail("malformedFrame", { reason: "id of a call that was not made" })
  }

  private onCall(id: number, head: CallHead): void {
    const { callsMax } = this.settings.limits
    const { peer } = this
    if (peer === undefined || this.calls.size >= REFUSED_TIMES_MAX * 2 * callsMax) {
      throw fail("malformedFrame", { reason: "too many calls" })
    }
    const method = this.events.methodOf(head.method)
    const call = new RunningCall(
      this.link,
      this.settings,
      { id, head, peer, method },
      {
        started: () => (this.running[head.callClass] += 1),
        ended: () => {
          this.running[head.callClass] -= 1
          this.events.callOver()
        },
        forgotten: () => this.calls.delete(id),
      },
    )
    this.calls.set(id, call)
    if (this.events.isStopping) call.refuse(fail("stopping"))
    else if (method === undefined) {
      call.refuse(fail("notImplemented", { message: "the node does not know this call", method: head.method }))
    } else if (this.running[head.callClass] >= callsMax) {
      call.refuse(fail("tooManyInFlight", { message: "the node serves as many calls as it may" }))
    } else call.run(method)
  }
}

interface CallPlan {
  readonly id: number
  readonly head: CallHead
  readonly peer: PeerIdentity
  readonly method: ServedMethod | undefined
}

interface CallEvents {
  started(): void
  ended(): void
  forgotten(): void
}

class RunningCall implements ServedCall {
  readonly body: IncomingBody
  private controller: AbortController | undefined
  private abortReason: Failure | undefined
  private cancelAlarm: () => void = () => undefined
  /** The method is running, or its answer's body is being sent. */
  private isRunning = false
  /** The method has returned, and the body of its answer is being sent. */
  private isSending = false
  /** No more frames of this call are queued. */
  private isAnswered = false
  /** The peer sends no more of this call. */
  private isCancelled = false

  constructor(
    private readonly link: Link,
    private readonly settings: LinkSettings,
    private readonly plan: CallPlan,
    private readonly events: CallEvents,
  ) {
    const { id, head } = plan
    this.body = link.openIncoming(id, head.callClass, head.lengthBytes, () => undefined)
  }

  get callClass() {
    return this.plan.head.callClass
  }

  get peer(): PeerIdentity {
    return this.plan.peer
  }

  /** Made on first use: most calls never look. */
  get signal(): AbortSignal {
    this.controller ??= new AbortController()
    if (this.abortReason !== undefined) this.controller.abort(this.abortReason)
    return this.controller.signal
  }

  run(method: ServedMethod): void {
    const { limits, clock } = this.settings
    this.isRunning = true
    this.events.started()
    const deadlineMs = Math.min(this.plan.head.deadlineMs, limits.deadlineMsMax)
    this.cancelAlarm = clock.alarm(deadlineMs, () => this.expire())
    const { header, trace } = this.plan.head
    const span = trace && this.settings.tracer?.beginCall(`rpc ${method.name}`, trace)
    const done = recover<void>(
      () => {
        const serve = () => method.serve(header, this)
        const answer = span === undefined ? serve() : during(span, serve)
        return answer instanceof Promise ? answer.then(it => this.answer(it)) : this.answer(answer)
      },
      error => this.failed(error),
    )
    if (done instanceof Promise) done.catch((error: unknown) => this.failed(error))
  }

  /** Answers a call that does not run. */
  refuse(failure: Failure): void {
    this.sendFailure(failure)
    this.body.discard()
    this.forgetIfOver()
  }

  /** The caller does not want the answer, or sends no more of its body. */
  cancel(): void {
    const reason = fail("peerUnreachable", { message: "the caller has cancelled the call" })
    this.isCancelled = true
    this.link.forgetIncoming(this.plan.id, reason)
    if (!this.isAnswered) this.link.withdrawHead(this.plan.id, this.callClass)
    this.isAnswered = true
    this.abort(reason)
  }

  /** The connection is lost. */
  drop(reason: Failure): void {
    this.isCancelled = true
    this.isAnswered = true
    this.abort(reason)
  }

  forgetIfOver(): void {
    if (!this.isRunning && this.isAnswered && (this.isCancelled || this.body.isComplete)) this.events.forgotten()
  }

  private answer({ value, body }: RpcAnswer<Uint8Array>): void {
    const { id } = this.plan
    if (this.isAnswered) {
      body?.close?.()
      this.end(undefined)
      return
    }
    const lengthBytes = body === undefined ? 0 : body.lengthBytes
    this.link.sendHead(id, this.callClass, encodeAnswer(id, lengthBytes, value))
    if (body === undefined || lengthBytes === 0) {
      body?.close?.()
      this.isAnswered = true
      this.end(undefined)
      return
    }
    this.isSending = true
    this.link.sendBody(id, this.callClass, body, {
      complete: () => {
        this.isAnswered = true
        this.end(undefined)
      },
      failed: error => this.failed(error),
    })
  }

  private failed(error: unknown): void {
    if (!this.isRunning) return
    if (!this.isAnswered) {
      if (!isFailure(error)) {
        const { name = "unknown" } = this.plan.method ?? {}
        this.settings.metrics.telemetry.log.error("rpc_call_failed", { method: name, error: textOf(error) })
      }
      this.sendFailure(error)
    }
    this.end(error)
  }

  private sendFailure(error: unknown): void {
    this.isAnswered = true
    this.link.sendHead(this.plan.id, this.callClass, encodeFailure(this.plan.id, wireOfFailure(error)))
  }

  private expire(): void {
    const late = fail("peerUnreachable", { message: "the deadline of the call has passed" })
    if (!this.isAnswered) {
      this.sendFailure(lostAnswer(this.plan.method?.changes ?? false, late))
    }
    this.abort(late)
  }

  private abort(reason: Failure): void {
    this.abortReason ??= reason
    this.controller?.abort(reason)
    this.link.stopBody(this.plan.id)
    // A method that still runs ends by itself, and keeps its place until then.
    if (this.isSending) this.end(reason)
    this.forgetIfOver()
  }

  private end(error: unknown): void {
    if (!this.isRunning) return
    this.isRunning = false
    this.cancelAlarm()
    this.settings.metrics.servedCall(this.plan.method?.name ?? "unknown", this.callClass, error)
    this.body.discard()
    this.events.ended()
    this.forgetIfOver()
  }
}

const textOf = (error: unknown): string => (error instanceof Error ? (error.stack ?? error.message) : String(error))
