/**
 * Calls about the devices of one other node: their classes and deadlines, and what their failures mean.
 *
 * Promises  A failure of the device arrives as it is. Anything else (the node cannot be reached, does not answer in
 *           time, answers something else) is `deviceFailed` with the device's id: the block layer then uses other
 *           shards. An append whose outcome is unknown is one of them, since the same needle may be appended again.
 * Limits    `RemoteLimits`.
 */
import type { Span } from "@hayloft/base/trace.js"
import { fail, isFailure, type FailureKind } from "@hayloft/base/failures.js"
import type { DeviceId } from "@hayloft/base/ids.js"
import type { CallClass } from "../format/nodes/frame.js"
import type { Answered, RpcBodySource, RpcMethod } from "../rpc/contract.js"
import type { Peer } from "../rpc/index.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import { BodyBudget } from "./body-budget.js"
import type { RemoteLimits } from "./limits.js"
import type { Reach } from "./reach-core.js"

/** The failures that a device itself throws. */
const OF_DEVICE: readonly FailureKind[] = ["noSuchNeedle", "corruptNeedle", "corruptRow", "deviceFailed", "deviceFull"]
/** An append also fails if too many of them wait. */
export const OF_APPEND: readonly FailureKind[] = [...OF_DEVICE, "tooManyInFlight"]

/** Calls as the parts of a remote node make them. */
export type PeerCaller = Pick<Peer, "call" | "onLost">

interface CallSettings {
  readonly deadlineMs?: number
  readonly signal?: AbortSignal
  readonly body?: RpcBodySource
  readonly trace?: Span | undefined
}

export class NodeCalls {
  private readonly sending: Readonly<Record<CallClass, BodyBudget>>

  constructor(
    readonly clock: Clock,
    private readonly peer: PeerCaller,
    private readonly reach: Reach,
    readonly limits: RemoteLimits,
    private readonly onTrouble: () => void,
  ) {
    const { sendBytesMax } = limits
    this.sending = {
      client: new BodyBudget(sendBytesMax, sendBytesMax),
      background: new BodyBudget(sendBytesMax, sendBytesMax),
    }
  }

  /** Does work of calls about one device; `passed` are the failures that arrive as they are. */
  async about<T>(deviceId: DeviceId, work: () => Promise<T>, passed: readonly FailureKind[] = OF_DEVICE): Promise<T> {
    const { silence } = this.reach
    try {
      if (silence !== undefined) throw silence
      return await work()
    } catch (error) {
      throw this.reported(deviceId, error, passed)
    }
  }

  /** A call with bodies. */
  call<Request, Response>(
    method: RpcMethod<Request, Response>,
    request: Request,
    callClass: CallClass,
    settings: CallSettings = {},
  ): Promise<Answered<Response>> {
    const { deadlineMs = this.limits.deadlineMs[callClass], ...others } = settings
    return this.peer.call(method, request, { callClass, deadlineMs, ...others })
  }

  /** A call whose answer has no body. */
  async ask<Request, Response>(
    method: RpcMethod<Request, Response>,
    request: Request,
    callClass: CallClass,
    settings?: CallSettings,
  ): Promise<Response> {
    const { value, body } = await this.call(method, request, callClass, settings)
    body.discard()
    return value
  }

  /** Sends once the bytes have a place; `send` gets what is left of the deadline. */
  async whenSendable<T>(callClass: CallClass, bytes: number, send: (leftMs: number) => Promise<T>): Promise<T> {
    const startedMs = this.clock.monotonicMs()
    // Bodies that have the places end by deadlines that are earlier than this one.
    const taken = this.sending[callClass].take(bytes, [])
    const giveBack = taken instanceof Promise ? await taken : taken
    try {
      const leftMs = startedMs + this.limits.deadlineMs[callClass] - this.clock.monotonicMs()
      const { silence } = this.reach
      if (silence !== undefined) throw silence
      if (leftMs <= 0) throw fail("peerUnreachable", { message: "the node accepts shards too slowly" })
      return await send(leftMs)
    } finally {
      giveBack()
    }
  }

  private reported(deviceId: DeviceId, error: unknown, passed: readonly FailureKind[]): unknown {
    if (!isFailure(error)) return error
    const wasReachable = this.reach.trouble === undefined
    if (error !== this.reach.silence) this.reach.callFailed(deviceId, error)
    if (wasReachable && this.reach.trouble !== undefined) this.onTrouble()
    return isFailure(error, ...passed) ? error : unreachable(deviceId, error)
  }
}

export const unreachable = (deviceId: DeviceId, { message }: Error, cause?: unknown) =>
  fail("deviceFailed", { message: "the node of the device does not respond", device: deviceId, reason: message }, cause)
