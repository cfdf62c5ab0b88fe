/** The fronts of a simulated process, over simulated channels: each may end at any moment, and then does nothing more. */
import { MIB } from "@hayloft/base/limits.js"
import { SimChannel } from "@hayloft/base/seams/channel/sim.js"
import { InlineCompute } from "@hayloft/base/seams/compute/index.js"
import type { Telemetry } from "@hayloft/base/seams/telemetry/contract.js"
import { makeCodec } from "@hayloft/engine/erasure/index.js"
import { ThreadLink } from "@hayloft/engine/thread/index.js"
import type { Fronts } from "@hayloft/node/front/fronts.js"
import { openFront } from "@hayloft/node/front/open-front.js"
import type { StoreDays } from "@hayloft/objects/index.js"
import type { Server } from "./bodies.js"
import { clockOf, type ProcessRun } from "./machine.js"

interface SimFront extends Server {
  readonly channel: SimChannel
  readonly link: ThreadLink
  readonly ofEngine: ThreadLink
  isOver: boolean
  readonly running: readonly Promise<unknown>[]
}

interface FrontOptions {
  readonly blockBytes: number
  readonly days: StoreDays | undefined
  readonly telemetry: Telemetry
}

export class ProcessFronts {
  private readonly running = new Set<SimFront>()
  private begun = 0

  constructor(
    private readonly fronts: Fronts,
    private readonly process: Pick<ProcessRun, "clock" | "disk" | "random" | "signal">,
    private readonly options: FrontOptions,
  ) {}

  async begin(): Promise<Server> {
    const { clock: ofProcess, disk, signal } = this.process
    const { blockBytes, days, telemetry } = this.options
    this.begun += 1
    const random = this.process.random.fork(`front ${this.begun}`)
    const [channel, there] = SimChannel.pair(ofProcess, random.fork("channel"))
    const ofEngine = new ThreadLink(there, ofProcess)
    const start = await this.fronts.begin(ofEngine)
    ofEngine.start()
    const state = { isOver: false }
    const clock = clockOf(ofProcess, () => state.isOver)
    const link = new ThreadLink(channel, clock)
    const compute = new InlineCompute(makeCodec, { slabBytes: 4 * blockBytes, poolBytes: 8 * MIB })
    const settings = { days, onKeyLost: () => link.close() }
    const { services, backgroundServices } = await openFront(
      { clock, disk, random, compute, telemetry },
      link,
      start,
      settings,
    )
    const running = backgroundServices.map(service => service.run(signal).catch(() => undefined))
    const front: SimFront = Object.assign(state, { services, channel, link, ofEngine, running })
    this.running.add(front)
    return front
  }

  /** One of them ends, whatever it does; it is returned. Undefined: there is none. */
  kill(choice: number): Server | undefined {
    const front = [...this.running][choice % this.running.size]
    if (front === undefined) return undefined
    this.running.delete(front)
    front.isOver = true
    front.channel.die()
    return front
  }

  /** Ends all of them, once their background work has ended. */
  async stop(): Promise<void> {
    for (const { running, link, ofEngine } of this.running) {
      await Promise.all(running)
      link.close()
      await ofEngine.closed
    }
    this.running.clear()
  }
}
