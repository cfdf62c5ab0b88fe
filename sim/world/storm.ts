/**
 * Storm: many clients on few keys, on a machine that is stopped repeatedly.
 *
 * Each round is one process incarnation: clients put (also on conditions), remove and read until the
 * process ends by a power cut, a kill or a stop; the next process must return everything that was acknowledged.
 */
import { must } from "@hayloft/base/assert.js"
import { isFailure } from "@hayloft/base/failures.js"
import type { FailureKind } from "@hayloft/base/failures.js"
import { objectKeyOfText, parseAccountId, parseBucketName } from "@hayloft/base/ids.js"
import type { HotCopyTerms } from "@hayloft/engine/block/index.js"
import type { Engine } from "@hayloft/node/engine.js"
import type { Bucket } from "@hayloft/objects/index.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"
import { failing } from "@hayloft/base/seams/disk/index.js"
import { audit } from "./audit.js"
import { find, nameOfBody, type Server } from "./bodies.js"
import { check, CheckFailed, type CheckName } from "./checks.js"
import { Client, type ClientHost } from "./clients.js"
import { setEnds } from "./ends.js"
import { Observer } from "./observer.js"
import { FEW_HOT_COPIES } from "./settings.js"
import { differenceOfReplicas } from "./wholeness.js"
import { World } from "./world.js"

export interface StormOptions {
  readonly seed: number
  readonly devices: number
  readonly rounds: number
  readonly clients: number
  /** The longest run of a process, in milliseconds of virtual time. */
  readonly lifeMsMax: number
  /** The bucket is versioned from the first write on. */
  readonly versioned?: boolean
  /** Most objects end some time after the storm. */
  readonly ends?: boolean
  /** Copies of pieces are kept once they were read. */
  readonly hotCopies?: HotCopyTerms | undefined
  /** Front threads of each process, which serve clients beside the engine thread; one of them may end. */
  readonly fronts?: number
}

const DEVICES = [1, 2, 4, 7]
const FRONTS = [0, 3, 0, 1, 2]

/** The options that a seed implies: devices, fronts, versions, objects that end, and copies of pieces that were read. */
export const stormOf = (seed: number): Omit<StormOptions, "rounds"> => ({
  seed,
  devices: DEVICES[seed % DEVICES.length] ?? 1,
  clients: 8,
  lifeMsMax: 300,
  versioned: seed % 3 === 0,
  ends: seed % 3 === 1,
  hotCopies: seed % 5 === 3 ? FEW_HOT_COPIES : undefined,
  fronts: FRONTS[seed % FRONTS.length] ?? 0,
})

const RECOVERIES_CUT_MAX = 3
const BUCKET = parseBucketName("storm")
const OWNER = parseAccountId("root")
/** By the contract, these failures had no effect. */
const REFUSALS: readonly FailureKind[] = [
  "preconditionFailed",
  "noSuchKey",
  "deviceFailed",
  "stopping",
  "tooManyInFlight",
  "uploadAborted",
]

export class Storm implements ClientHost {
  readonly world: World
  readonly observer = new Observer()
  readonly refusals = REFUSALS
  readonly pauseMsMax = 3
  private readonly random: Random
  private drawn = 0
  /** They serve clients now. */
  private readonly servers = new Map<Server, Promise<void>[]>()
  /** The first error of a client; the run throws it. */
  private readonly errors: unknown[] = []

  constructor(private readonly options: StormOptions) {
    const { seed, devices, hotCopies, fronts = 0 } = options
    this.world = new World({ seed, devices, latencyMsMax: 3, hotCopies, hasFronts: fronts > 0 })
    this.random = this.world.random.fork("storm")
  }

  async run(): Promise<void> {
    const { world, options } = this
    let engine = await this.open()
    const bucket = await world.run(engine.services.buckets.create({ name: BUCKET, owner: OWNER, location: "" }))
    if (options.ends) await world.run(setEnds(engine, bucket))
    if (options.versioned) await world.run(engine.services.buckets.setVersioning(bucket, "enabled"))
    for (let round = 0; round < options.rounds; round += 1) {
      await this.live(engine, round)
      engine = await this.open()
      await this.readAll(engine, "acknowledgedStays")
      const difference = differenceOfReplicas(engine)
      check("replicasAgree", difference === undefined, () => String(difference))
    }
    this.observer.checkWinners()
    this.observer.checkLinearizable(options.versioned ? "enabled" : "never")
    await audit(world, engine, BUCKET)
    await world.run(world.stop(engine))
  }

  /** Opens the store after the last process ended; sometimes the start is interrupted too, and repeated. */
  private async open(): Promise<Engine> {
    const { world, random } = this
    for (let cuts = 0; cuts < RECOVERIES_CUT_MAX && world.incarnation > 0 && random.below(3) === 0; cuts += 1) {
      world.start().catch((error: unknown) => void this.errors.push(cannotOpen(error)))
      await world.pass(random.below(150))
      if (random.below(2) === 0) world.crash()
      else world.kill()
    }
    if (this.errors.length > 0) throw this.errors[0]
    try {
      return await this.world.run(this.world.start())
    } catch (error) {
      throw cannotOpen(error)
    }
  }

  /** Created before the first storm, so that it always exists. */
  private async openBucket(engine: Engine): Promise<Bucket> {
    try {
      return await this.world.run(engine.services.buckets.open(BUCKET))
    } catch (error) {
      throw new CheckFailed("acknowledgedStays", String(error))
    }
  }

  private async live(engine: Engine, round: number): Promise<void> {
    const { world, random, options } = this
    const bucket = await this.openBucket(engine)
    const { fronts = 0 } = options
    const serving: Server[] = [engine]
    while (serving.length <= fronts) serving.push(await world.run(world.fronts.begin()))
    for (const server of serving) this.servers.set(server, [])
    for (let number = 0; number < options.clients; number += 1) {
      const server = must(serving[number % serving.length], "there is the engine thread")
      this.serve(server, bucket, random.fork(`client ${number}`), round)
    }
    const lifeMs = 20 + random.below(options.lifeMsMax)
    if (fronts > 0) this.endFront(random.below(2 * lifeMs), bucket, round)
    const faultAtMs = random.below(3) === 0 ? random.below(lifeMs) : lifeMs
    await world.pass(faultAtMs)
    const isLog = random.below(3) > 0
    const volumes = options.ends === true && faultAtMs % 2 === 0 ? "volumes-10d" : "volumes"
    const pathPart = `/d${1 + random.below(options.devices)}/${isLog ? "log" : volumes}/`
    if (faultAtMs < lifeMs) world.failDisk(failing({ kind: "write", nth: 1, pathPart, code: "EIO" }))
    await world.pass(lifeMs - faultAtMs)
    const ending = random.below(5)
    const clients = [...this.servers.values()].flat()
    this.servers.clear()
    if (ending < 3) world.crash()
    else if (ending < 4) world.kill()
    else await world.run(Promise.all(clients).then(() => world.stop(engine)))
    world.failDisk()
    this.observer.endLife()
    if (this.errors.length > 0) throw this.errors[0]
  }

  private serve(server: Server, bucket: Bucket, random: Random, round: number): void {
    const client = new Client(this, server, bucket, random, `${round}`)
    const work = client.work().catch((error: unknown) => void this.errors.push(asFinding(error)))
    this.servers.get(server)?.push(work)
  }

  /** One of the fronts ends, and another one begins, unless the process ends before. */
  private endFront(afterMs: number, bucket: Bucket, round: number): void {
    const { world, random, servers } = this
    const { fronts } = world
    world.clock.alarm(afterMs, () => {
      if (servers.size === 0 || world.fronts !== fronts) return
      const ended = fronts.kill(random.below(servers.size))
      if (ended !== undefined) servers.delete(ended)
      const next = async (): Promise<void> => {
        const front = await fronts.begin()
        if (servers.size === 0) return
        servers.set(front, [])
        this.serve(front, bucket, random.fork("next client"), round)
      }
      next().catch((error: unknown) => {
        if (!isFailure(error, "deviceFailed", "stopping", "indeterminate")) this.errors.push(error)
      })
    })
  }

  pause(durationMs: number): Promise<void> {
    return this.world.pause(durationMs)
  }

  isLive(server: Server): boolean {
    return this.servers.has(server) && this.errors.length === 0
  }

  isDoubt(): boolean {
    return false
  }

  nextName(): string {
    this.drawn += 1
    return `w${this.drawn}`
  }

  private async readAll(engine: Engine, fresh: CheckName): Promise<void> {
    const bucket = await this.openBucket(engine)
    for (const key of this.observer.keys()) await this.world.run(this.read(engine, bucket, key, fresh))
  }

  /** Reads a key and compares the result with the clients' responses. */
  async read(engine: Server, bucket: Bucket, key: string, fresh: CheckName): Promise<string | undefined> {
    const startTick = this.observer.now()
    const got = await find(engine, bucket, objectKeyOfText(key)).catch((error: unknown) => {
      if (isFailure(error, "deviceFailed", "stopping") || !isFailure(error)) throw error
      throw new CheckFailed(fresh, `${key} cannot be read: ${error.message}`)
    })
    const versionId = this.options.versioned ? got?.info.versionId : undefined
    const shown = got && { name: nameOfBody(got.bytes), etag: got.info.etag, versionId }
    this.observer.read(key, shown, startTick, this.observer.now(), fresh)
    return got?.info.etag
  }
}

/** The bucket was created before the first storm. */
const asFinding = (error: unknown): unknown =>
  isFailure(error, "noSuchBucket") ? new CheckFailed("acknowledgedStays", error.message) : error

const cannotOpen = (error: unknown): CheckFailed =>
  new CheckFailed("opens", error instanceof Error ? (error.stack ?? error.message) : String(error))
