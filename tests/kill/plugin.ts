/**
 * A feature's part of the run of kills: clients that use it while the store is killed again and again, and a ledger of what
 * they were promised.
 */
import { setTimeout as later } from "node:timers/promises"
import type { SimRandom } from "@hayloft/base/seams/random/sim.js"
import type { ServerProcess } from "../harness/server.js"

export interface KillPlugin {
  /** Changes that were acknowledged: each process acknowledges some before it is killed. */
  readonly done: number
  /** A change is under way whose answer a kill may lose; some kills wait for it. */
  readonly isAtRisk?: boolean
  begin(): Promise<void>
  /** Clients at work until the run is over. Throws if a promise is broken. */
  work(): Promise<void>
  /** Checks all promises; no client works any more. */
  end(): Promise<void>
  /** Removes all objects of the feature; returns how many bytes at least the devices store less for it. */
  removeAll?(): Promise<number>
  /** Checks the folders of the server, which has ended. */
  afterStop?(): Promise<void>
}

/** The stores of a run, and when its clients send requests. */
export class KillWorld {
  /** Between two requests of a client. */
  paceMs = 0
  isOver = false
  private isAbandoned = false
  private pause: Promise<void> | undefined
  private goOn: () => void = () => undefined

  constructor(
    readonly near: ServerProcess,
    /** Near stores copies, and objects of remote buckets, in this one. */
    readonly far: ServerProcess,
    readonly stores: {
      readonly folder: string
      /** The data folders of the near one. */
      readonly folders: readonly string[]
      readonly queueHost: string
    },
    readonly random: SimRandom,
  ) {}

  /** Ends all clients, also those that repeat a request until it succeeds. */
  abandon(): void {
    this.isAbandoned = true
  }

  /** Resolves when a client may send its next request. */
  async turn(): Promise<void> {
    await later(this.isOver ? 0 : this.paceMs)
    while (this.pause !== undefined) await this.pause
    if (this.isAbandoned) throw new Error("the run has ended")
  }

  /** No client begins a request while the work is done. */
  async quietly(work: () => Promise<void>): Promise<void> {
    this.pause = new Promise(resolve => (this.goOn = resolve))
    try {
      await work()
    } finally {
      this.pause = undefined
      this.goOn()
    }
  }
}
