/**
 * Another node as this node calls it: its connections, calls that wait for a place, deadlines and reconnecting.
 *
 * Promises  As the contract says: one outcome for each call, which tells whether it may have happened. A call is never
 *           sent twice. While the peer cannot be reached, calls fail immediately with the reason of the last attempt;
 *           the next attempt comes after a growing wait with jitter.
 * Limits    `callsMax` calls of a class in progress (or what the peer allows), `callsWaitingMax` more that wait.
 */
import { asFailure, fail, type Failure } from "@hayloft/base/failures.js"
import type { CallClass } from "../format/nodes/frame.js"
import { backoffMs } from "@hayloft/base/life/index.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { Net, NetAddress } from "@hayloft/base/seams/net/contract.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"
import { ClientLink, type Outgoing } from "./client-link.js"
import type { Answered, CallOptions, RpcMethod, OwnHello, PeerIdentity } from "./contract.js"
import type { IncomingBody } from "./incoming-body.js"
import type { RpcLimits } from "./limits.js"
import type { RpcMetrics } from "./metrics.js"
import { lostAnswer } from "./wire-failure.js"

interface PeerSeams {
  readonly net: Net
  readonly clock: Clock
  readonly random: Random
  readonly metrics: RpcMetrics
}

interface PeerPlan {
  readonly address: NetAddress
  /** Its name, for metrics; by default its host. */
  readonly node?: string
  /** The fingerprint that its certificate must have. */
  readonly fingerprint?: string
  readonly own: OwnHello
  readonly limits: RpcLimits
  /** Checks that this is the expected node; by default any of the store is. */
  readonly admit?: (peer: PeerIdentity) => Failure | undefined
}

export class Peer {
  private readonly pools = new Map<number, Pool>()
  private readonly stop = new AbortController()
  private lost: () => void = () => undefined

  constructor(
    private readonly seams: PeerSeams,
    private readonly plan: PeerPlan,
  ) {}

  /** Calls the listener when an open connection is lost, as that of a process that ends: no call need find out. */
  onLost(listener: () => void): void {
    this.lost = listener
  }

  /** Throws what the contract says. */
  call<Request, Response>(
    method: RpcMethod<Request, Response>,
    request: Request,
    options: CallOptions,
  ): Promise<Answered<Response>> {
    return new Promise((resolve, reject) => {
      const spec = {
        node: this.plan.node ?? this.plan.address.host,
        method: method.number,
        name: method.name,
        changes: method.changes,
        header: (version: number) => method.request.encode(request, version),
      }
      const settle = {
        answered: (header: Uint8Array, body: IncomingBody): void => {
          try {
            resolve({ value: method.response.decode(header), body })
          } catch (error) {
            body.discard()
            reject(asFailure(error))
          }
        },
        failed: reject,
      }
      if (options.signal?.aborted === true) {
        options.body?.close?.()
        options.signal.throwIfAborted()
      }
      this.poolOf(options.callClass).add(new PendingCall(this.seams, spec, options, settle))
    })
  }

  /** Ends all calls and connections. */
  close(): void {
    this.stop.abort(fail("stopping"))
    for (const pool of this.pools.values()) pool.close()
  }

  private poolOf(callClass: CallClass): Pool {
    const number = this.plan.limits.connectionOf[callClass]
    const found = this.pools.get(number) ?? new Pool(this.seams, this.plan, this.stop.signal, () => this.lost())
    this.pools.set(number, found)
    return found
  }
}

/** One connection, and the calls of the classes that use it. */
class Pool {
  private link: ClientLink | undefined
  /** The links in use: `link`, and those that are used up and still have calls. */
  private readonly links = new Set<ClientLink>()
  private isConnecting = false
  private readonly waiting: Record<CallClass, Set<PendingCall>> = { client: new Set(), background: new Set() }
  private readonly places: Record<CallClass, number> = { client: 0, background: 0 }
  private failures = 0
  private retryAtMs = 0
  private lastFailure: Failure = fail("peerUnreachable")

  constructor(
    private readonly seams: PeerSeams,
    private readonly plan: PeerPlan,
    private readonly stop: AbortSignal,
    private readonly lost: () => void,
  ) {}

  add(call: PendingCall): void {
    const waiting = this.waiting[call.callClass]
    if (this.stop.aborted) call.end(fail("stopping"))
    else if (this.link === undefined && this.seams.clock.monotonicMs() < this.retryAtMs) {
      call.end(lostAnswer(false, this.lastFailure))
    } else if (waiting.size >= this.plan.limits.callsWaitingMax) {
      call.end(fail("tooManyInFlight", { message: "too many calls wait for the same node" }))
    } else {
      waiting.add(call)
      call.waitIn(this)
      this.advance()
    }
  }

  /** The call does not wait any more. */
  leave(call: PendingCall): void {
    this.waiting[call.callClass].delete(call)
  }

  /** A call has left the connection. */
  freePlace(callClass: CallClass): void {
    this.places[callClass] -= 1
    this.advance()
  }

  close(): void {
    const reason = fail("stopping")
    for (const link of [...this.links]) link.close(reason)
    this.refuseAll(reason)
  }

  private advance(): void {
    const { link } = this
    if (link?.isOpen === true && !link.isUsedUp) {
      this.fill(link, "client")
      this.fill(link, "background")
    }
    // Calls in progress on a connection that is used up go on; new ones get another.
    if (link?.isUsedUp === true) this.link = undefined
    const isWanted = this.waiting.client.size + this.waiting.background.size > 0
    if (this.link === undefined && isWanted && !this.isConnecting && !this.stop.aborted) void this.connect()
  }

  private fill(link: ClientLink, callClass: CallClass): void {
    const callsMax = Math.min(this.plan.limits.callsMax, link.callsMax)
    for (const call of this.waiting[callClass]) {
      if (this.places[callClass] >= callsMax || link.isUsedUp) return
      this.waiting[callClass].delete(call)
      this.places[callClass] += 1
      call.sendOn(link)
    }
  }

  private async connect(): Promise<void> {
    const { net, clock } = this.seams
    const { address, fingerprint, limits, own, admit } = this.plan
    this.isConnecting = true
    const attempt = new AbortController()
    const stop = (): void => attempt.abort(this.stop.reason)
    this.stop.addEventListener("abort", stop, { once: true })
    const cancelAlarm = clock.alarm(limits.connectMs, () =>
      attempt.abort(fail("peerUnreachable", { reason: "no connection in time" })),
    )
    try {
      const connection = await net.connect(address, attempt.signal, fingerprint)
      const { metrics } = this.seams
      let wasOpen = false
      const link: ClientLink = new ClientLink(
        connection,
        { clock, limits, own, metrics },
        {
          welcome: peer => admit?.(peer),
          opened: () => {
            wasOpen = true
            this.failures = 0
            this.advance()
          },
          lost: reason => this.onLost(link, wasOpen, reason),
        },
      )
      this.link = link
      this.links.add(link)
      if (this.stop.aborted) link.close(fail("stopping"))
    } catch (error) {
      this.onFailed(asFailure(error))
    } finally {
      cancelAlarm()
      this.stop.removeEventListener("abort", stop)
      this.isConnecting = false
    }
  }

  private onLost(link: ClientLink, wasOpen: boolean, reason: Failure): void {
    this.links.delete(link)
    if (this.link !== link) return
    this.link = undefined
    // A connection that worked: another may work immediately. Calls that wait were never sent.
    if (wasOpen && reason.kind === "peerUnreachable") this.advance()
    else this.onFailed(reason)
    if (wasOpen && !this.stop.aborted) this.lost()
  }

  private onFailed(reason: Failure): void {
    const { clock, random } = this.seams
    this.failures += 1
    this.lastFailure = reason
    this.retryAtMs = clock.monotonicMs() + backoffMs(this.failures, this.plan.limits.retry, random)
    this.refuseAll(reason)
  }

  private refuseAll(reason: Failure): void {
    for (const waiting of Object.values(this.waiting)) {
      for (const call of [...waiting]) call.end(lostAnswer(false, reason))
    }
  }
}

interface CallSpec {
  /** The node that is called. */
  readonly node: string
  readonly method: number
  readonly name: string
  readonly changes: boolean
  readonly header: (version: number) => Uint8Array
}

interface Settle {
  answered(header: Uint8Array, body: IncomingBody): void
  failed(error: unknown): void
}

/** A call from its start to its end: waiting, then on a connection. */
class PendingCall implements Outgoing {
  readonly callClass: CallClass
  private readonly startedMs: number
  private readonly deadlineMs: number
  private readonly cancelAlarm: () => void
  private readonly onAbort: (() => void) | undefined
  private pool: Pool | undefined
  private link: ClientLink | undefined
  private isSettled = false
  private isOver = false

  constructor(
    private readonly seams: PeerSeams,
    private readonly spec: CallSpec,
    private readonly options: CallOptions,
    private readonly settle: Settle,
  ) {
    const { clock } = seams
    this.callClass = options.callClass
    this.startedMs = clock.monotonicMs()
    this.deadlineMs = options.deadlineMs
    this.cancelAlarm = clock.alarm(this.deadlineMs, () => this.expire())
    const { signal } = options
    if (signal !== undefined) {
      this.onAbort = () => this.endBoth(signal.reason, signal.reason)
      signal.addEventListener("abort", this.onAbort, { once: true })
    }
  }

  get method(): number {
    return this.spec.method
  }

  get changes(): boolean {
    return this.spec.changes
  }

  header(version: number): Uint8Array {
    return this.spec.header(version)
  }

  get body() {
    return this.options.body
  }

  get trace(): Uint8Array | undefined {
    return this.options.trace?.context
  }

  deadlineLeftMs(): number {
    return Math.max(1, Math.ceil(this.startedMs + this.deadlineMs - this.seams.clock.monotonicMs()))
  }

  waitIn(pool: Pool): void {
    this.pool = pool
  }

  sendOn(link: ClientLink): void {
    this.link = link
    link.send(this)
  }

  answered(header: Uint8Array, body: IncomingBody): void {
    this.isSettled = true
    this.record(undefined)
    this.settle.answered(header, body)
  }

  failed(error: unknown): void {
    if (this.isSettled) return
    this.isSettled = true
    this.record(error)
    this.settle.failed(error)
  }

  /** Ends a call that is not on a connection. */
  end(failure: unknown): void {
    this.pool?.leave(this)
    this.failed(failure)
    this.release()
  }

  over(): void {
    this.release()
    this.pool?.freePlace(this.callClass)
  }

  private expire(): void {
    const reason = fail("peerUnreachable", { message: "no answer within the deadline", ms: this.deadlineMs })
    this.endBoth(lostAnswer(false, reason), lostAnswer(this.changes, reason))
  }

  private endBoth(unsent: unknown, sent: unknown): void {
    if (this.isOver) return
    if (this.link === undefined) this.end(unsent)
    else this.link.abandon(this, unsent, sent)
  }

  private release(): void {
    if (this.isOver) return
    this.isOver = true
    if (this.link === undefined) this.options.body?.close?.()
    this.cancelAlarm()
    if (this.onAbort !== undefined) this.options.signal?.removeEventListener("abort", this.onAbort)
  }

  private record(error: unknown): void {
    const seconds = (this.seams.clock.monotonicMs() - this.startedMs) / 1_000
    const { name: method, node } = this.spec
    this.seams.metrics.answered({ method, callClass: this.callClass, node }, seconds, error)
  }
}
