/**
 * The fronts of a simulated node, over simulated channels. Each may end at any moment, and then does nothing more; another one
 * begins after a while, as in a real process.
 */
import { FRONT_THREADS_MAX, MIB } from "@hayloft/base/limits.js"
import { mapBounded, supervise, type BackgroundService } from "@hayloft/base/life/index.js"
import { SimChannel } from "@hayloft/base/seams/channel/sim.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { Disk } from "@hayloft/base/seams/disk/contract.js"
import { InlineCompute } from "@hayloft/base/seams/compute/index.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"
import type { Telemetry } from "@hayloft/base/seams/telemetry/contract.js"
import { makeCodec } from "@hayloft/engine/erasure/index.js"
import { ThreadLink } from "@hayloft/engine/thread/index.js"
import type { Fronts } from "@hayloft/node/front/fronts.js"
import { openFront } from "@hayloft/node/front/open-front.js"
import type { Server } from "../world/bodies.js"
import { Gate } from "./gate.js"
import { ProcessClock } from "./process-clock.js"

/** Between the end of a front and the begin of the next one. */
const RESTART_MS_MAX = 2_000
/** The clock of a front is that of its process. */
const RIGHT = { rate: 1, wallOffsetMs: 0 }

interface NodeSeams {
  readonly clock: Clock
  readonly disk: Disk
  readonly random: Random
  readonly telemetry: Telemetry
}

interface NodeFrontOptions {
  readonly count: number
  readonly slabBytes: number
}

interface RunningFront {
  readonly server: Server
  /** It ends now, whatever it does; it may lose the last messages that it has sent. */
  kill(loses: boolean): void
}

export class NodeFronts implements BackgroundService {
  readonly name = "simulated fronts"
  private readonly running: RunningFront[] = []
  private begun = 0

  constructor(
    private readonly fronts: Fronts,
    private readonly seams: NodeSeams,
    private readonly options: NodeFrontOptions,
  ) {}

  /** The fronts that serve now. */
  get servers(): readonly Server[] {
    return this.running.map(({ server }) => server)
  }

  serves(server: Server): boolean {
    return this.running.some(each => each.server === server)
  }

  /** One of them ends, and is returned. Undefined: there is none. */
  kill(choice: number): Server | undefined {
    const front = this.running[choice % this.running.length]
    if (front === undefined) return undefined
    this.forget(front)
    front.kill(choice % 2 === 0)
    return front.server
  }

  /** It gets no new requests. */
  private forget(front: RunningFront): void {
    const at = this.running.indexOf(front)
    if (at >= 0) this.running.splice(at, 1)
  }

  async run(signal: AbortSignal): Promise<void> {
    const each = Array.from({ length: this.options.count }, (_, number) => number)
    await mapBounded(each, FRONT_THREADS_MAX, () => this.keep(signal))
  }

  private async keep(signal: AbortSignal): Promise<void> {
    const { clock, random, telemetry } = this.seams
    while (!signal.aborted) {
      await this.serveOne(signal).catch((error: unknown) => {
        telemetry.log.debug("front_not_begun", { error: String(error) })
      })
      await clock.sleep(random.below(RESTART_MS_MAX), signal)
    }
  }

  /** Begins a front. Resolves once it has ended. */
  private async serveOne(signal: AbortSignal): Promise<void> {
    const { telemetry, disk, clock: ofProcess } = this.seams
    this.begun += 1
    const random = this.seams.random.fork(`front ${this.begun}`)
    const gate = new Gate()
    const clock = new ProcessClock(ofProcess, gate, random.fork("jitter"), RIGHT)
    const [channel, there] = SimChannel.pair(ofProcess, random.fork("channel"))
    const ofEngine = new ThreadLink(there, ofProcess)
    const start = await this.fronts.begin(ofEngine)
    ofEngine.start()
    const link = new ThreadLink(channel, clock)
    const compute = new InlineCompute(makeCodec, { slabBytes: this.options.slabBytes, poolBytes: 4 * MIB })
    const lifetime = new AbortController()
    const seams = { clock, disk, random, compute, telemetry }
    const opening = openFront(seams, link, start, { onKeyLost: () => link.close() })
    const isLost = new Promise<undefined>(resolve => void ofEngine.closed.then(() => resolve(undefined)))
    const store = await Promise.race([opening, isLost]).catch((error: unknown) => {
      link.close()
      throw error
    })
    if (store === undefined) return
    const ended = supervise([...store.backgroundServices], clock, random, telemetry.log, lifetime.signal)
    const kill = (loses: boolean): void => {
      channel.die(loses)
      gate.end()
    }
    const front: RunningFront = { server: store, kill }
    this.running.push(front)
    const stopped = new Promise<void>(resolve => {
      if (signal.aborted) resolve()
      else signal.addEventListener("abort", () => resolve(), { once: true })
    })
    await Promise.race([ofEngine.closed, stopped])
    this.forget(front)
    if (gate.hasEnded) return
    lifetime.abort()
    await ended
    link.close()
    await ofEngine.closed
  }
}
