/**
 * Disk drama: clients of a store whose disks a nemesis damages, over several process incarnations.
 *
 * Within the budget the store has to continue: it opens after every end, reads succeed, no
 * acknowledged write is lost; and once all disks are healthy or replaced, it becomes complete again by itself, its
 * counters, listings and needles agree, and it survives the loss of any disks that its redundancy covers. Without a
 * budget only safety counts: a refusal, a failure or a store that does not open is fine, a wrong result is not.
 */
import { isFailure } from "@hayloft/base/failures.js"
import type { FailureKind } from "@hayloft/base/failures.js"
import { objectKeyOfText, parseAccountId, parseBucketName } from "@hayloft/base/ids.js"
import { tolerance } from "@hayloft/base/policy.js"
import { FIRST_SCRUB_MS } from "@hayloft/engine/device/checkpoint/scrub-jobs.js"
import type { Engine } from "@hayloft/node/engine.js"
import type { Bucket } from "@hayloft/objects/index.js"
import { NotSettledError } from "@hayloft/base/seams/clock/sim.js"
import { within } from "@hayloft/base/seams/clock/within.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"
import { audit } from "./audit.js"
import { find, nameOfBody, type Server } from "./bodies.js"
import { check, CheckFailed, type CheckName } from "./checks.js"
import { Client, type ClientHost } from "./clients.js"
import { Nemesis } from "./nemesis.js"
import { setEnds } from "./ends.js"
import { Observer } from "./observer.js"
import { StoreMachine, type ServedStore } from "./store-machine.js"
import { leftOver, missingToBeWhole } from "./wholeness.js"

export interface DiskDramaOptions {
  readonly seed: number
  readonly devices: number
  readonly rounds: number
  readonly clients: number
  /** The longest run of a process, in milliseconds of virtual time. */
  readonly lifeMsMax: number
  readonly hasBudget: boolean
  /** Most objects end some time after the drama. */
  readonly ends?: boolean
}

const DEVICES = [1, 2, 3, 4, 7]
/** The default length of a drama. */
export const DRAMA = { rounds: 3, clients: 3, lifeMsMax: 15_000 } as const

/** The options that a seed implies. Every fourth seed exceeds what the store promises to survive; in every third objects end. */
export const dramaOf = (seed: number): Pick<DiskDramaOptions, "seed" | "devices" | "hasBudget" | "ends"> => ({
  seed,
  devices: DEVICES[seed % DEVICES.length] ?? 1,
  hasBudget: seed % 4 !== 0,
  ends: seed % 3 === 1,
})

const BUCKET = parseBucketName("drama")
const OWNER = parseAccountId("root")
const ACT_MS = { min: 200, max: 2_500 } as const
const POLL_MS = 5_000
/** The time in which a store with healthy disks must become complete. */
const WHOLE_MS_MAX = 60 * 60_000
/** Metadata stores and logs are verified so long after each start, and it takes a while. */
const SCRUB_MS = FIRST_SCRUB_MS + 60_000
const SETTLE_MS = 60_000
const MASKS_MAX = 1
/** A store that stops lets requests end for so long, as `--stop-timeout` has it. */
const DRAIN_MS = 30_000
/** Long, because each call to a slow disk takes a second. */
const START_MS_MAX = 60 * 60_000

/** A failure without a named check. */
class DramaBroken extends Error {
  override readonly name = "DramaBroken"
}

export class DiskDrama implements ClientHost {
  readonly machine: StoreMachine
  readonly observer = new Observer()
  readonly nemesis: Nemesis
  readonly pauseMsMax = 1_200
  readonly refusals: readonly FailureKind[] = [
    "preconditionFailed",
    "noSuchKey",
    "deviceFailed",
    "deviceFull",
    "notEnoughShards",
    "stopping",
    "tooManyInFlight",
    "uploadAborted",
    "noSuchUpload",
    "conflict",
  ]
  private readonly random: Random
  private drawn = 0
  private liveEngine: Engine | undefined
  private readonly errors: unknown[] = []

  constructor(private readonly options: DiskDramaOptions) {
    const { seed, devices, hasBudget } = options
    this.machine = new StoreMachine({ seed, devices, latencyMsMax: 3 })
    this.random = this.machine.random.fork("drama")
    this.nemesis = new Nemesis(this.machine, this.random.fork("nemesis"), hasBudget)
  }

  /** The summary of a successful run. */
  get summary(): string {
    const { machine, nemesis, observer, options } = this
    const faults = `${nemesis.story.length} disk events${options.hasBudget ? "" : ", without a budget"}`
    const minutes = Math.round(machine.clock.monotonicMs() / 60_000)
    return `${observer.count} operations, ${machine.incarnation} processes, ${minutes} minutes, ${faults}`
  }

  async run(): Promise<void> {
    try {
      await this.play()
    } catch (error) {
      const story = this.nemesis.story.slice(-40).join("\n  ")
      if (error instanceof CheckFailed) throw new CheckFailed(error.check, `${error.found}\n  ${story}`)
      throw new DramaBroken(`${error instanceof Error ? error.stack : String(error)}\n  ${story}`, { cause: error })
    }
  }

  private async play(): Promise<void> {
    const { machine, options } = this
    let store = await this.start()
    if (store === undefined) throw new CheckFailed("opens", "a new store does not open")
    const { engine } = store
    const bucket = await machine.run(engine.services.buckets.create({ name: BUCKET, owner: OWNER, location: "" }))
    if (options.ends === true) await machine.run(setEnds(engine, bucket))
    for (let round = 0; round < options.rounds; round += 1) {
      await this.live(store, round)
      this.nemesis.between()
      store = await this.start()
      // Without a budget there may be nothing left to open.
      if (store === undefined) return
      await this.readAll(store.engine)
    }
    await this.end()
  }

  private async end(): Promise<void> {
    const { machine, observer, options } = this
    machine.kill()
    this.liveEngine = undefined
    observer.endLife()
    this.nemesis.healAll()
    const healed = await this.start()
    if (healed === undefined) return
    if (options.hasBudget) {
      await this.becomeWhole(healed)
      await this.scrub(healed)
      await this.becomeWhole(healed)
    }
    await this.readAll(healed.engine)
    observer.checkWinners()
    observer.checkLinearizable("never")
    if (!options.hasBudget) return
    await audit(machine, healed.engine, BUCKET, () => this.settle(healed))
    await machine.run(machine.stop(healed))
    this.throwErrors()
    await this.readMasked(healed)
  }

  /** @returns undefined if the store does not open and that is allowed. */
  private async start(): Promise<ServedStore | undefined> {
    const { machine } = this
    try {
      const store = await machine.clock.runUntil(machine.start(), START_MS_MAX)
      this.liveEngine = store.engine
      this.nemesis.see(store.engine.recordManager.record)
      return store
    } catch (error) {
      // A store waits for disks that hang all together, also as it starts.
      const waits = error instanceof NotSettledError && machine.bays.all.some(({ faulty }) => faulty.state === "hung")
      if (!this.options.hasBudget && (isFailure(error) || waits)) return undefined
      throw new CheckFailed("opens", error instanceof Error ? (error.stack ?? error.message) : String(error))
    }
  }

  private async live(store: ServedStore, round: number): Promise<void> {
    const { machine, random, options } = this
    const { engine } = store
    const bucket = await this.openBucket(engine)
    if (bucket === undefined) return machine.kill()
    const clients = Array.from({ length: options.clients }, (_, number) => {
      const client = new Client(this, engine, bucket, random.fork(`client ${number}`), `${round}`)
      return client.work().catch((error: unknown) => void this.errors.push(error))
    })
    const untilMs = machine.clock.monotonicMs() + 1_000 + random.below(options.lifeMsMax)
    while (machine.clock.monotonicMs() < untilMs && this.errors.length === 0) {
      await machine.pass(ACT_MS.min + random.below(ACT_MS.max - ACT_MS.min))
      if (missingToBeWhole(engine) === undefined) this.nemesis.foundWhole()
      else this.nemesis.foundLacking()
      // An operator's command may run long; the next event does not wait for it.
      void this.nemesis.act(store).catch((error: unknown) => void this.errors.push(error))
    }
    this.nemesis.see(engine.recordManager.record)
    const ending = random.below(5)
    this.liveEngine = undefined
    if (ending < 2) machine.crash()
    else if (ending < 4) machine.kill()
    else await machine.run(this.stop(store, Promise.all(clients)))
    this.observer.endLife()
    this.throwErrors()
  }

  /** Requests that wait for a stalled disk end with the store, as after a SIGTERM. */
  private async stop(store: ServedStore, clients: Promise<unknown>): Promise<void> {
    const { machine } = this
    await within(machine.clock, DRAIN_MS, clients)
    await machine.stop(store)
    await clients
  }

  private throwErrors(): void {
    const all = [...this.errors, ...this.machine.mistakes]
    if (all.length > 0) throw all[0]
  }

  private async openBucket(engine: Engine): Promise<Bucket | undefined> {
    try {
      return await this.machine.run(engine.services.buckets.open(BUCKET))
    } catch (error) {
      if (!this.options.hasBudget && isFailure(error) && !isFailure(error, "noSuchBucket")) return undefined
      throw new CheckFailed("acknowledgedStays", String(error))
    }
  }

  private async readAll(engine: Engine): Promise<void> {
    const bucket = await this.openBucket(engine)
    if (bucket === undefined) return
    for (const key of this.observer.keys()) {
      await this.machine.run(this.read(engine, bucket, key, "acknowledgedStays"))
    }
    this.throwErrors()
  }

  /** Waits until the store has repaired itself after the operator has replaced the lost disks. */
  private async becomeWhole(store: ServedStore): Promise<void> {
    const { machine } = this
    const { engine } = store
    const untilMs = machine.clock.monotonicMs() + WHOLE_MS_MAX
    for (let missing = missingToBeWhole(engine); missing !== undefined; missing = missingToBeWhole(engine)) {
      check("redundancyIsRestored", machine.clock.monotonicMs() < untilMs, () => `${missing}`)
      await machine.run(this.nemesis.replaceLost(store))
      await machine.pass(POLL_MS)
      this.throwErrors()
    }
  }

  /** Lets the store verify everything on its disks. */
  private async scrub({ engine, operations }: ServedStore): Promise<void> {
    const { machine } = this
    const { clock } = machine
    const [beganMs, untilMs] = [clock.wallMs(), clock.monotonicMs() + WHOLE_MS_MAX]
    const isDue = (): boolean =>
      engine.devices.some(({ tending: { scrub } }) => scrub.view.isRunning || scrub.view.passStartedMs < beganMs)
    await machine.pass(SCRUB_MS)
    while (isDue()) {
      check("rotIsFound", clock.monotonicMs() < untilMs, () => "a requested scrub does not end")
      await machine.run(operations.startScrub(undefined))
      await machine.pass(POLL_MS)
      this.throwErrors()
    }
    this.nemesis.foundVerified()
  }

  /** Waits until all jobs that free bytes have had time to run. */
  private async settle({ engine }: ServedStore): Promise<void> {
    const { machine } = this
    const untilMs = machine.clock.monotonicMs() + WHOLE_MS_MAX
    for (let left = leftOver(engine); left !== undefined; left = leftOver(engine)) {
      check("spaceIsFreed", machine.clock.monotonicMs() < untilMs, () => `${left}`)
      // Like an operator who knows that the store crashed often.
      if (engine.services.orphans.report().isStopped) engine.services.orphans.resume()
      await machine.pass(SETTLE_MS)
    }
    this.throwErrors()
  }

  /** Reads everything with each set of disks missing that the redundancy covers, if the store opens without them. */
  private async readMasked({ engine }: ServedStore): Promise<void> {
    const { machine, random } = this
    const { devices, policy } = engine.recordManager.record
    const canMiss = Math.min(tolerance(policy), Math.ceil(devices.length / 2) - 1)
    if (canMiss < 1) return
    const whole = devices.map(({ pathHint }) => [pathHint, machine.bays.take(pathHint)] as const)
    for (let mask = 0; mask < MASKS_MAX; mask += 1) {
      const left = [...whole]
      for (let gone = 0; gone < canMiss; gone += 1) left.splice(random.below(left.length), 1)
      for (const [bay, drive] of left) machine.bays.put(bay, machine.imageOf(drive))
      const store = await this.start()
      if (store !== undefined) await this.readAll(store.engine)
      machine.kill()
      for (const [bay] of left) machine.bays.take(bay)
    }
  }

  pause(durationMs: number): Promise<void> {
    return this.machine.pause(durationMs)
  }

  isLive(engine: Server): boolean {
    return this.liveEngine === engine && this.errors.length === 0
  }

  /** Beyond the budget the store may report data as damaged or missing. */
  isDoubt(error: unknown): boolean {
    return !this.options.hasBudget && isFailure(error) && error.kind !== "internal"
  }

  nextName(): string {
    this.drawn += 1
    return `w${this.drawn}`
  }

  /** Reads a key and compares the result with the clients' responses. */
  async read(engine: Server, bucket: Bucket, key: string, fresh: CheckName): Promise<string | undefined> {
    const startTick = this.observer.now()
    const got = await find(engine, bucket, objectKeyOfText(key)).catch((error: unknown) => {
      if (!isFailure(error)) throw error
      const isFine = !this.options.hasBudget || error.kind === "stopping"
      check("readsContinue", isFine, () => `${key} cannot be read: ${error.kind}: ${error.message}`)
      return "failed" as const
    })
    if (got === "failed") return undefined
    const seen = got && { name: nameOfBody(got.bytes), etag: got.info.etag, versionId: undefined }
    this.observer.read(key, seen, startTick, this.observer.now(), fresh)
    return got?.info.etag
  }
}
