/** Fronts of a simulated machine, over simulated channels. */
import { must } from "@hayloft/base/assert.js"
import { parseBucketName, objectKeyOfText } from "@hayloft/base/ids.js"
import { MIB } from "@hayloft/base/limits.js"
import { supervise, type StepOutcome } from "@hayloft/base/life/index.js"
import type { Channel } from "@hayloft/base/seams/channel/contract.js"
import { SimChannel } from "@hayloft/base/seams/channel/sim.js"
import { InlineCompute } from "@hayloft/base/seams/compute/index.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { ALL_NEEDLES } from "@hayloft/engine/block/index.js"
import { makeCodec } from "@hayloft/engine/erasure/index.js"
import { ThreadLink, type ThreadMethod } from "@hayloft/engine/thread/index.js"
import type { StoreServices } from "@hayloft/features/index.js"
import type { Bucket, PutRequest, PutResult } from "@hayloft/objects/index.js"
import type { Engine } from "../engine.js"
import { bytesOf, createBucket, noSignal, sourceOf, type Machine } from "../testing-engine.js"
import type { Fronts } from "./fronts.js"
import { openFront, type FrontStore } from "./open-front.js"

const STEPS_MAX = 5_000

/** A replica is not verified more often. */
const VERIFIED_AGAIN_MS = 60_000

/** The method of commands. */
const COMMANDS = "run"

/** Left bytes are found in one, and removed in the next one. */
const CLEANING_PASSES = 2

/** For a machine whose fronts leave something behind. */
export const SHORT_WAITS = { removalWaitMs: 2, countWaitMs: 1 }

export const BUCKET = parseBucketName("bucket")

/** A write without conditions. */
export const PLAIN_WRITE = {
  attributes: { headers: {}, userMetadata: [] },
  tags: [],
  conditions: {},
  signal: noSignal,
}

export interface RunningFront {
  readonly store: FrontStore
  readonly services: StoreServices
  readonly link: ThreadLink
  /** The methods of the engine thread that it has called since the last question. */
  takeCalled(): readonly string[]
  /** The side of the engine thread. */
  readonly ofEngine: ThreadLink
  /** Its thread reads nothing from the engine thread until the result is called. */
  hold(): () => void
  /** Calls once the thread has sent so many further messages. */
  afterMessages(count: number, call: () => void): void
  /** Calls once the thread has sent its next command. */
  afterCommand(call: () => void): void
  /** Its thread ends, now; it may lose some of the last messages that it has sent. */
  die(loses?: boolean): void
}

/** The side of a front, which counts what it sends. */
class CountedChannel implements Channel {
  private left = Infinity
  private call: () => void = () => undefined

  constructor(private readonly channel: Channel) {}

  start: Channel["start"] = events => this.channel.start(events)
  close: Channel["close"] = () => this.channel.close()
  send: Channel["send"] = (message, moved) => {
    this.channel.send(message, moved)
    this.left -= 1
    if (this.left === 0) this.call()
  }

  after(count: number, call: () => void): void {
    this.left = count
    this.call = call
    if (count === 0) call()
  }
}

/** The link of a front, which tells of its next command, and counts its calls. */
class CommandedLink extends ThreadLink {
  onCommand: () => void = () => undefined
  private called: string[] = []

  /** The methods that were called since the last question. */
  takeCalled(): readonly string[] {
    return this.called.splice(0)
  }

  override call<Request, Answer>(method: ThreadMethod<Request, Answer>, request: Request): Promise<Answer> {
    this.called.push(method.name)
    if (method.name === COMMANDS) this.onCommand()
    return super.call(method, request)
  }
}

/** A store whose requests any of its threads may serve. */
export class FrontWorld {
  private readonly lifetime = new AbortController()
  private readonly lifetimes = [this.lifetime]
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

  /** A store with a bucket, named as `BUCKET`. */
  static async withBucket(machine: Machine, seed: number): Promise<FrontWorld> {
    const world = await FrontWorld.open(machine, seed)
    await world.run(createBucket(world.engine))
    return world
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
    const start = await this.run(this.fronts.begin(ofEngine))
    ofEngine.start()
    const { blockBytes } = this.engine.recordManager.record
    const compute = new InlineCompute(makeCodec, { slabBytes: 4 * blockBytes, poolBytes: 8 * MIB })
    const counted = new CountedChannel(here)
    const link = new CommandedLink(counted, clock)
    const opening = openFront({ clock, disk: this.machine.opened, random, compute, telemetry }, link, start, {
      onKeyLost: () => link.close(),
    })
    const store = await this.run(opening)
    const lifetime = new AbortController()
    this.lifetimes.push(lifetime)
    const services = [...store.backgroundServices]
    this.ended = Promise.all([this.ended, supervise(services, clock, random, telemetry.log, lifetime.signal)])
    return {
      store,
      services: store.services,
      link,
      takeCalled: () => link.takeCalled(),
      ofEngine,
      hold: () => here.hold(),
      afterMessages: (count, call) => counted.after(count, call),
      afterCommand: call => (link.onCommand = () => counted.after(1, call)),
      die: loses => {
        here.die(loses)
        // It goes on here, but nothing of it reaches anybody.
        link.close()
        lifetime.abort()
      },
    }
  }

  async begins(count: number): Promise<readonly RunningFront[]> {
    const fronts: RunningFront[] = []
    while (fronts.length < count) fronts.push(await this.begin())
    return fronts
  }

  async bucketOf({ buckets }: StoreServices): Promise<Bucket> {
    await buckets.confirm()
    return buckets.openConfirmed(BUCKET)
  }

  /** Puts an object; the caller lets time pass. */
  async putting(
    services: StoreServices,
    key: string,
    bytes: Uint8Array,
    terms: Partial<PutRequest> = {},
  ): Promise<PutResult> {
    const bucket = await this.bucketOf(services)
    return services.objects.put({ ...PLAIN_WRITE, bucket, key: objectKeyOfText(key), body: sourceOf(bytes), ...terms })
  }

  async put(services: StoreServices, key: string, bytes: Uint8Array): Promise<void> {
    await this.run(this.putting(services, key, bytes))
  }

  async getting(services: StoreServices, key: string): Promise<Buffer> {
    const bucket = await this.bucketOf(services)
    return bytesOf(await services.objects.get({ bucket, key: objectKeyOfText(key), conditions: {} }))
  }

  get(services: StoreServices, key: string): Promise<Buffer> {
    return this.run(this.getting(services, key))
  }

  async remove(services: StoreServices, key: string): Promise<void> {
    const bucket = await this.run(this.bucketOf(services))
    await this.run(services.objects.remove({ bucket, key: objectKeyOfText(key), conditions: {} }))
  }

  step(name: string): Promise<StepOutcome> {
    const job = must(
      this.engine.jobs.find(each => each.name === name),
      "there is such a job",
    )
    return job.step(noSignal)
  }

  /** Runs the jobs of the engine thread until each of them has nothing to do. */
  async settle(...names: readonly string[]): Promise<void> {
    for (const name of names) {
      for (let steps = 0; ; steps += 1) {
        if (steps === STEPS_MAX) throw new Error(`${name} does not end`)
        const outcome = await this.run(this.step(name))
        if (outcome === "idle" || outcome === "done") break
        if (outcome !== "busy") await this.machine.clock.advance(100)
      }
    }
  }

  /** Removes what no object has: what is pending, and what fronts have left that are over. */
  async clean(): Promise<void> {
    const { orphans } = this.engine.services
    for (let pass = 0; pass < CLEANING_PASSES; pass += 1) {
      orphans.order()
      // They are many, of few.
      orphans.resume()
      await this.settle("collector", "orphans", "verify metadata", "orphans")
      await this.machine.clock.advance(VERIFIED_AGAIN_MS)
    }
  }

  /** The number of needles on all devices. */
  get needles(): number {
    return this.engine.devices.reduce((sum, { volumes }) => sum + [...volumes.indexed(ALL_NEEDLES)].length, 0)
  }

  async close(): Promise<void> {
    for (const lifetime of this.lifetimes) lifetime.abort()
    await this.run(this.ended)
    await this.run(this.engine.stop())
  }
}
