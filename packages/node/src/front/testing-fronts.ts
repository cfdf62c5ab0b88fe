/** Fronts of a simulated machine, over simulated channels. */
import { parseBucketName, objectKeyOfText } from "@hayloft/base/ids.js"
import { MIB } from "@hayloft/base/limits.js"
import { supervise } from "@hayloft/base/life/index.js"
import { SimChannel } from "@hayloft/base/seams/channel/sim.js"
import { InlineCompute } from "@hayloft/base/seams/compute/index.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { makeCodec } from "@hayloft/engine/erasure/index.js"
import { ThreadLink } from "@hayloft/engine/thread/index.js"
import type { StoreServices } from "@hayloft/features/index.js"
import type { Engine } from "../engine.js"
import { bytesOf, noSignal, sourceOf, type Machine } from "../testing-engine.js"
import type { Fronts } from "./fronts.js"
import { openFront, type FrontStore } from "./open-front.js"

interface RunningFront {
  readonly store: FrontStore
  readonly link: ThreadLink
  /** Its thread ends, now. */
  die(): void
}

/** A store whose requests any of its threads may serve. */
export class FrontWorld {
  private readonly lifetime = new AbortController()
  private ended: Promise<unknown> = Promise.resolve()
  private seed: number

  private constructor(
    readonly machine: Machine,
    readonly engine: Engine,
    readonly fronts: Fronts,
    seed: number,
  ) {
    this.seed = seed
    const { clock, telemetry } = machine
    this.ended = supervise([fronts], clock, new SimRandom(seed), telemetry.log, this.lifetime.signal)
  }

  static async open(machine: Machine, seed: number): Promise<FrontWorld> {
    const found: Fronts[] = []
    const engine = await machine.clock.runUntil(machine.open(fronts => found.push(fronts)))
    const [fronts] = found
    if (fronts === undefined) throw new Error("the machine was opened with fronts")
    return new FrontWorld(machine, engine, fronts, seed)
  }

  run<T>(work: Promise<T>): Promise<T> {
    return this.machine.clock.runUntil(work)
  }

  /** Begins another front. */
  async begin(): Promise<RunningFront> {
    this.seed += 1
    const { clock, telemetry } = this.machine
    const random = new SimRandom(this.seed)
    const [here, there] = SimChannel.pair(clock, random.fork("channel"))
    const ofEngine = new ThreadLink(there, clock)
    const start = this.fronts.begin(ofEngine)
    ofEngine.start()
    const { blockBytes } = this.engine.recordManager.record
    const compute = new InlineCompute(makeCodec, { slabBytes: 4 * blockBytes, poolBytes: 8 * MIB })
    const link = new ThreadLink(here, clock)
    const opening = openFront({ clock, random, compute, telemetry }, link, start, { onKeyLost: () => link.close() })
    const store = await this.run(opening)
    const lifetime = new AbortController()
    this.lifetime.signal.addEventListener("abort", () => lifetime.abort())
    const services = [...store.backgroundServices]
    this.ended = Promise.all([this.ended, supervise(services, clock, random, telemetry.log, lifetime.signal)])
    return {
      store,
      link,
      die: () => {
        here.die()
        lifetime.abort()
      },
    }
  }

  async put({ buckets, objects }: StoreServices, key: string, bytes: Uint8Array): Promise<void> {
    const bucket = await this.run(Promise.resolve(buckets.open(parseBucketName("bucket"))))
    const attributes = { headers: {}, userMetadata: [] }
    const what = { attributes, tags: [], conditions: {}, signal: noSignal, bucket, key: objectKeyOfText(key) }
    await this.run(objects.put({ ...what, body: sourceOf(bytes) }))
  }

  async get({ buckets, objects }: StoreServices, key: string): Promise<Buffer> {
    const bucket = await this.run(Promise.resolve(buckets.open(parseBucketName("bucket"))))
    const found = await this.run(Promise.resolve(objects.get({ bucket, key: objectKeyOfText(key), conditions: {} })))
    return this.run(bytesOf(found))
  }

  async close(): Promise<void> {
    this.lifetime.abort()
    await this.run(this.ended)
    await this.run(this.engine.stop())
  }
}
