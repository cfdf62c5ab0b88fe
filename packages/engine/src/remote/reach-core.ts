/**
 * Reach: whether a node can be reached, and which of its devices accept needles, as far as it is known without a call.
 *
 * Promises  What a call has shown counts until the node has answered a later question about its devices: an answer to
 *           one that was asked before does not undo it. Before the first answer no device is writable.
 */
import { fail, type Failure } from "@hayloft/base/failures.js"
import type { DeviceId } from "@hayloft/base/ids.js"
import type { RemoteDeviceState } from "../format/nodes/shard-calls.js"

/** The moment at which a question was asked, in events. */
type AskedAt = number

export class Reach {
  private events = 0
  private failure: Failure | undefined = fail("peerUnreachable", { message: "the node has not answered yet" })
  private failedAt = 0
  private failedQuestions = 0
  private states: ReadonlyMap<DeviceId, RemoteDeviceState> = new Map()
  /** Devices that were found full or failed, with the moment. */
  private readonly full = new Map<DeviceId, number>()
  private readonly failed = new Map<DeviceId, number>()

  constructor(private readonly questionsFailedMax: number) {}

  /** Returns why the node cannot be reached; undefined if it can. */
  get trouble(): Failure | undefined {
    return this.failure
  }

  /** Returns why the node does not respond to anything any more; undefined if a call may succeed. */
  get silence(): Failure | undefined {
    return this.failedQuestions >= this.questionsFailedMax ? this.failure : undefined
  }

  isWritable(id: DeviceId): boolean {
    return this.failure === undefined && !this.failed.has(id) && this.states.get(id)?.isWritable === true
  }

  isFull(id: DeviceId): boolean {
    return this.full.has(id) || this.states.get(id)?.isFull === true
  }

  /** Before the node is asked for the states of its devices. */
  ask(): AskedAt {
    this.events += 1
    return this.events
  }

  answered(askedAt: AskedAt, states: readonly RemoteDeviceState[]): void {
    this.states = new Map(states.map(state => [state.id, state]))
    this.failedQuestions = 0
    if (this.failedAt <= askedAt) this.failure = undefined
    for (const found of [this.full, this.failed]) {
      for (const [id, at] of found) if (at <= askedAt) found.delete(id)
    }
  }

  /** The question about the devices was not answered. */
  notAnswered(reason: Failure): void {
    this.failedQuestions += 1
    this.fail(reason)
  }

  /** A call about a device has failed. */
  callFailed(id: DeviceId, reason: Failure): void {
    this.events += 1
    switch (reason.kind) {
      case "peerUnreachable":
      case "indeterminate":
      case "incompatiblePeer":
      case "stopping":
        this.fail(reason)
        break
      case "deviceFull":
        this.full.set(id, this.events)
        break
      case "deviceFailed":
        this.failed.set(id, this.events)
        break
      default:
    }
  }

  private fail(reason: Failure): void {
    this.events += 1
    this.failedAt = this.events
    this.failure = reason
  }
}
