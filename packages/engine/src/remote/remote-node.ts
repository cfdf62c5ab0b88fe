/**
 * Another node as this node uses its devices.
 *
 * Promises  The devices are those of the block layer (`ShardDevice`). Their hints need no request: they come from a
 *           call for the states of all devices, repeated every `statesEveryMs`, when a connection is lost and when a
 *           device is first used, while `keepUp` runs, and from the outcomes of other calls. While the node cannot be reached none of its devices is
 *           writable; once it has not answered several of those calls, other calls to it fail immediately.
 */
import { asFailure, type Failure } from "@hayloft/base/failures.js"
import type { DeviceId } from "@hayloft/base/ids.js"
import type { ShardDevice } from "../block/contract.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import { HasQuestions } from "./has-questions.js"
import { REMOTE_LIMITS, type RemoteLimits } from "./limits.js"
import { METHODS } from "./methods.js"
import { NodeCalls, type PeerCaller } from "./node-calls.js"
import { Reach } from "./reach-core.js"
import { RemoteShards } from "./remote-shards.js"

interface RemoteDevice extends ShardDevice {
  readonly volumes: RemoteShards
}

export class RemoteNode {
  private readonly reach: Reach
  private readonly calls: NodeCalls
  private readonly questions: HasQuestions
  private readonly devices = new Map<DeviceId, RemoteDevice>()
  private wake: () => void = () => undefined
  /** A connection was lost, or a device was first used, since the latest question about the devices. */
  private isOutdated = false

  /** `peer` stays the caller's: close it after `keepUp` has ended. */
  constructor(
    private readonly clock: Clock,
    peer: PeerCaller,
    private readonly limits: RemoteLimits = REMOTE_LIMITS,
  ) {
    this.reach = new Reach(limits.statesFailedMax)
    this.calls = new NodeCalls(clock, peer, this.reach, limits, () => this.wake())
    this.questions = new HasQuestions(this.calls)
    peer.onLost(() => this.askSoon())
  }

  /** Returns why the node cannot be reached; undefined if it can. */
  get trouble(): Failure | undefined {
    return this.reach.trouble
  }

  /** A device that the node should have; always the same object for the same device. */
  shardsOf(id: DeviceId): RemoteDevice {
    const found = this.devices.get(id)
    if (found !== undefined) return found
    const { reach } = this
    const device: RemoteDevice = {
      id,
      volumes: new RemoteShards(id, this.calls, this.questions, reach),
      get isWritable() {
        return reach.isWritable(id)
      },
      get isFull() {
        return reach.isFull(id)
      },
    }
    this.devices.set(id, device)
    // Blocks would be written with fewer shards until its state is known.
    this.askSoon()
    return device
  }

  private askSoon(): void {
    this.isOutdated = true
    this.wake()
  }

  /** Asks for the states of the devices until the signal fires. */
  async keepUp(signal: AbortSignal): Promise<void> {
    const { statesEveryMs, statesRetryMs } = this.limits
    while (!signal.aborted) {
      await this.askForStates(signal)
      await this.clock.sleep(statesRetryMs, signal)
      const { trouble, silence } = this.reach
      if (trouble === undefined || silence !== undefined) {
        await this.untilTrouble(statesEveryMs - statesRetryMs, signal)
      }
    }
  }

  private async askForStates(signal: AbortSignal): Promise<void> {
    const { reach, limits } = this
    this.isOutdated = false
    const askedAt = reach.ask()
    try {
      const settings = { deadlineMs: limits.statesMs, signal }
      reach.answered(askedAt, await this.calls.ask(METHODS.deviceStates, undefined, "client", settings))
    } catch (error) {
      if (!signal.aborted) reach.notAnswered(asFailure(error))
    }
  }

  /** Sleeps until the time is over, the signal fires, or a call or a lost connection shows trouble. */
  private async untilTrouble(durationMs: number, signal: AbortSignal): Promise<void> {
    const end = new AbortController()
    const stop = (): void => end.abort()
    this.wake = stop
    signal.addEventListener("abort", stop, { once: true })
    if (!signal.aborted && !this.isOutdated) await this.clock.sleep(durationMs, end.signal)
    signal.removeEventListener("abort", stop)
    this.wake = () => undefined
  }
}
