/**
 * Storm: many clients on few keys, and a machine that is cut off again and again.
 *
 * Each round is one life of the process: clients put (also on conditions), remove and read until the
 * life ends by a power cut, a kill or a stop; the next life must show everything that was acknowledged.
 */
import { isFailure } from "../../src/base/failures.js"
import type { FailureKind } from "../../src/base/failures.js"
import { objectKeyOfText, parseAccountId, parseBucketName } from "../../src/base/ids.js"
import type { Engine } from "../../src/main/engine/engine.js"
import type { Bucket, Conditions } from "../../src/object/index.js"
import type { Random } from "../../src/seams/random/contract.js"
import { failing } from "../../src/seams/disk/index.js"
import { hex, md5 } from "../model/digests.js"
import { audit } from "./audit.js"
import { bodyBytes, find, nameOfBody, noSignal, putRequest, sourceOf } from "./bodies.js"
import { CheckFailed, type CheckName } from "./checks.js"
import { Observer, type Write } from "./observer.js"
import { World } from "./world.js"

export interface StormOptions {
  readonly seed: number
  readonly devices: number
  readonly rounds: number
  readonly clients: number
  /** How long a life lasts at most, in milliseconds of virtual time. */
  readonly lifeMsMax: number
  /** Versions are kept, from the first write on. */
  readonly versioned?: boolean
}

const RECOVERIES_CUT_MAX = 3
const BUCKET = parseBucketName("storm")
const OWNER = parseAccountId("root")
/** Around the inline and the block limit, small ones most often. */
const SIZES = [40, 100, 1_000, 1_000, 4_096, 4_097, 20_000, 131_072, 131_073, 300_000]
/** Nothing happened, says the contract. */
const REFUSALS: readonly FailureKind[] = [
  "preconditionFailed",
  "noSuchKey",
  "deviceFailed",
  "stopping",
  "tooManyInFlight",
  "uploadVoid",
]

export class Storm {
  readonly world: World
  readonly observer = new Observer()
  private readonly random: Random
  private drawn = 0
  private engine: Engine | undefined
  /** What went wrong while a client was at work: the run's to throw. */
  private readonly errors: unknown[] = []

  constructor(private readonly options: StormOptions) {
    this.world = new World({ seed: options.seed, devices: options.devices, latencyMsMax: 3 })
    this.random = this.world.random.fork("storm")
  }

  async run(): Promise<void> {
    const { world, options } = this
    let engine = await this.open()
    const bucket = await world.run(engine.services.buckets.create({ name: BUCKET, owner: OWNER, location: "" }))
    if (options.versioned) await world.run(engine.services.buckets.setVersioning(bucket, "enabled"))
    for (let round = 0; round < options.rounds; round += 1) {
      await this.live(engine, round)
      engine = await this.open()
      await this.readAll(engine, "acknowledgedStays")
    }
    this.observer.judgeWinners()
    this.observer.judgeHistory(options.versioned ? "enabled" : "never")
    await audit(world, engine, BUCKET)
    await world.run(world.stop(engine))
  }

  /** Opens what the life before has left; now and then that is cut off too, and begun again. */
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
      this.engine = await this.world.run(this.world.start())
      return this.engine
    } catch (error) {
      throw cannotOpen(error)
    }
  }

  /** Made before the first storm, so that it is there always. */
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
    const clients = Array.from({ length: options.clients }, (_, number) => {
      const client = new Client(this, engine, bucket, random.fork(`client ${number}`), round)
      return client.work().catch((error: unknown) => void this.errors.push(error))
    })
    const lifeMs = 20 + random.below(options.lifeMsMax)
    const faultAtMs = random.below(3) === 0 ? random.below(lifeMs) : lifeMs
    await world.pass(faultAtMs)
    const isLog = random.below(3) > 0
    const pathPart = `/d${1 + random.below(options.devices)}/${isLog ? "log" : "volumes"}/`
    if (faultAtMs < lifeMs) world.failDisk(failing({ kind: "write", nth: 1, pathPart, code: "EIO" }))
    await world.pass(lifeMs - faultAtMs)
    const ending = random.below(5)
    this.engine = undefined
    if (ending < 3) world.crash()
    else if (ending < 4) world.kill()
    else await world.run(Promise.all(clients).then(() => world.stop(engine)))
    world.failDisk()
    this.observer.endLife()
    if (this.errors.length > 0) throw this.errors[0]
  }

  isLiving(engine: Engine): boolean {
    return this.engine === engine && this.errors.length === 0
  }

  nextName(): string {
    this.drawn += 1
    return `w${this.drawn}`
  }

  private async readAll(engine: Engine, fresh: CheckName): Promise<void> {
    const bucket = await this.openBucket(engine)
    for (const key of this.observer.keys()) await this.world.run(this.read(engine, bucket, key, fresh))
  }

  /** Reads a key and holds what it shows against what clients were told. */
  async read(engine: Engine, bucket: Bucket, key: string, fresh: CheckName): Promise<string | undefined> {
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

const cannotOpen = (error: unknown): CheckFailed =>
  new CheckFailed("opens", error instanceof Error ? (error.stack ?? error.message) : String(error))

/** One client: an operation after the other, as long as its process lives. */
class Client {
  constructor(
    private readonly storm: Storm,
    private readonly engine: Engine,
    private readonly bucket: Bucket,
    private readonly random: Random,
    private readonly round: number,
  ) {}

  async work(): Promise<void> {
    while (this.storm.isLiving(this.engine)) {
      await this.act()
      await this.storm.world.pause(this.random.below(4))
    }
  }

  private async act(): Promise<void> {
    const what = this.random.below(10)
    const free = `free-${this.random.below(3)}`
    if (what < 3) await this.put(free, {}, undefined)
    else if (what < 4) await this.remove(free)
    else if (what < 5) await this.look(free)
    else if (what < 8) await this.put(`race-${this.round}-${this.random.below(40)}`, { ifNoneMatch: ["*"] }, "none")
    else if (this.random.below(3) > 0) await this.swap(`swap-${this.random.below(2)}`)
    else await this.putInParts(`parts-${this.random.below(3)}`)
  }

  /** An upload of one part; where its process ends before the completion, it is left unfinished. */
  private async putInParts(key: string): Promise<void> {
    const { multipart } = this.engine.services
    const target = { bucket: this.bucket, key: objectKeyOfText(key) }
    const name = this.storm.nextName()
    const bytes = bodyBytes(name, SIZES[this.random.below(SIZES.length)] ?? 100)
    const described = { headers: {}, userMetadata: [], tags: [], checksum: undefined }
    const completing = async () => {
      const { multipartId } = await multipart.create({ ...target, ...described })
      const upload = { ...target, multipartId, signal: noSignal }
      const { etag } = await multipart.putPart({ ...upload, partNumber: 1, body: sourceOf(bytes, 50_000) })
      const parts = [{ partNumber: 1, etag, checksum: undefined }]
      const plain = { conditions: {}, sizeBytes: undefined, checksum: undefined, checksumType: undefined }
      return multipart.complete({ ...upload, ...plain, parts })
    }
    const write = this.storm.observer.begin(key, name, `${hex(md5(md5(bytes)))}-1`)
    await this.tell(write, completing())
  }

  /** Reads, then replaces just what it read. */
  private async swap(key: string): Promise<void> {
    const etag = await this.look(key)
    if (etag === undefined) await this.put(key, { ifNoneMatch: ["*"] }, "none")
    else await this.put(key, { ifMatch: [etag] }, etag)
  }

  private async look(key: string): Promise<string | undefined> {
    try {
      return await this.storm.read(this.engine, this.bucket, key, "readsAreFresh")
    } catch (error) {
      if (!isFailure(error, "deviceFailed", "stopping")) throw error
      return undefined
    }
  }

  private async put(key: string, conditions: Conditions, replaces: string | undefined): Promise<void> {
    const name = this.storm.nextName()
    const size = SIZES[this.random.below(SIZES.length)] ?? 100
    const bytes = bodyBytes(name, size)
    const source = sourceOf(bytes, 50_000)
    const request = { ...putRequest(this.bucket, objectKeyOfText(key), source), conditions }
    const write = this.storm.observer.begin(key, name, hex(md5(bytes)), replaces)
    await this.tell(write, this.engine.services.objects.put(request))
  }

  private async remove(key: string): Promise<void> {
    const request = { bucket: this.bucket, key: objectKeyOfText(key), conditions: {} }
    const write = this.storm.observer.begin(key, undefined)
    await this.tell(write, this.engine.services.objects.remove(request))
  }

  private async tell(write: Write, call: Promise<{ readonly versionId: string | undefined }>): Promise<void> {
    try {
      const { versionId } = await call
      this.storm.observer.end(write, "done", versionId)
    } catch (error) {
      if (isFailure(error, "indeterminate")) return
      if (!isFailure(error, ...REFUSALS)) throw error
      const isRefused = isFailure(error, "preconditionFailed")
      this.storm.observer.end(write, isRefused ? "refused" : isFailure(error, "noSuchKey") ? "absent" : "failed")
      if (isRefused && write.replaces === "none") this.storm.observer.wasThere(write.key)
    }
  }
}
