/**
 * A simulated machine: drives in bays (`/d1`, `/d2` …), virtual time, one seed, and processes that live
 * on it one after another.
 *
 * `crash` cuts the power (unsynced changes survive at random), `kill` ends only the process; the
 * next process starts with the remaining content. Calls of an ended process never settle; its abandoned work
 * ends with it. With `latency` every call to a drive takes a random virtual time, so that calls
 * overlap: then time has to be driven (`run`, `pass`).
 */
import { setMaxListeners } from "node:events"
import type { Clock } from "../../src/seams/clock/contract.js"
import type { Disk } from "../../src/seams/disk/contract.js"
import type { Bend, DiskCall, Intercept } from "../../src/seams/disk/index.js"
import type { Random } from "../../src/seams/random/contract.js"
import type { Stores } from "../../src/seams/store/contract.js"
import { KIB } from "../../src/base/limits.js"
import { asPromise, type Soon } from "../../src/base/soon.js"
import { SimClock } from "../../src/seams/clock/sim.js"
import { SimRandom } from "../../src/seams/random/sim.js"
import { SimTelemetry } from "../../src/seams/telemetry/sim.js"
import { TABLE_LIMITS, TableStores } from "../../src/table/index.js"
import { Bays, Drive } from "./drives.js"

export interface MachineOptions {
  readonly seed: number
  readonly devices: number
  /** The longest that a call to a drive takes, in milliseconds of virtual time; 0 or absent: no time. */
  readonly latencyMsMax?: number
}

/** The machine as one of its processes sees it. */
export interface ProcessRun {
  readonly number: number
  readonly clock: Clock
  readonly disk: Disk
  readonly stores: Stores
  readonly random: Random
  /** Fires when the process is to end its background work, or has died. */
  readonly signal: AbortSignal
  /** Fires when it has ended. */
  readonly watch: AbortSignal
}

const never = <T>(): Promise<T> => new Promise<T>(() => undefined)
const noSignal = new AbortController().signal
setMaxListeners(0, noSignal)

/** The clock as a process sees it: a sleep never ends if the process dies during it. */
const clockOf = (clock: Clock, isOver: () => boolean): Clock => ({
  wallMs: () => clock.wallMs(),
  monotonicMs: () => clock.monotonicMs(),
  alarm: (durationMs, ring) =>
    clock.alarm(durationMs, () => {
      if (!isOver()) ring()
    }),
  sleep: async (durationMs, signal) => {
    await clock.sleep(durationMs, signal)
    if (isOver()) await never()
  },
  atEndOfTurn: call =>
    clock.atEndOfTurn(() => {
      if (!isOver()) call()
    }),
})

export class SimMachine {
  readonly clock = new SimClock()
  readonly random: SimRandom
  readonly bays: Bays
  readonly telemetry = new SimTelemetry()
  private readonly delays: Random
  private fault: Intercept = () => undefined
  private lives = 0
  private life = new AbortController()
  /** Devices are watched until the process ends: one that hangs must not delay the stop. */
  private watch = new AbortController()
  /** All drives that were ever in a bay: a power cut also hits a drive that was just taken out. */
  private readonly drives: Drive[] = []

  constructor(private readonly machine: MachineOptions) {
    this.random = new SimRandom(machine.seed)
    this.delays = this.random.fork("delays")
    this.bays = new Bays(this.newDrive("root"))
    for (let number = 1; number <= machine.devices; number += 1) this.bays.put(`/d${number}`, this.newDrive())
  }

  /** A new, empty drive for some bay. */
  newDrive(name = `drive-${this.drives.length}`): Drive {
    const drive = new Drive(name, this.clock, this.random)
    this.know(drive)
    return drive
  }

  /** An independent copy of a drive in its present state. */
  imageOf(drive: Drive): Drive {
    const image = drive.image(`${drive.name} image ${this.drives.length}`, this.clock, this.random)
    this.know(image)
    return image
  }

  private know(drive: Drive): void {
    this.drives.push(drive)
    drive.meet(call => (call.kind === "readSync" ? this.fault(call) : this.delayed(call)))
  }

  private async delayed(call: DiskCall): Promise<Bend | void> {
    await this.takeTime()
    return this.fault(call)
  }

  /** The number of the process: 1 after the first start. */
  get incarnation(): number {
    return this.lives
  }

  /** Makes calls to all drives fail from now on; without an argument they succeed again. */
  failDisk(fault: Intercept = () => undefined): void {
    this.fault = fault
  }

  /** Waits a moment of virtual time; never resolves if the waiting process ends meanwhile. */
  private async takeTime(): Promise<void> {
    const { latencyMsMax = 0 } = this.machine
    if (latencyMsMax === 0) return
    const life = this.life
    await this.pause(this.delays.below(latencyMsMax + 1))
    if (life !== this.life) await never()
  }

  /** Waits for something while virtual time goes on. */
  run<T>(value: Soon<T>): Promise<T> {
    return this.clock.runUntil(asPromise(() => value))
  }

  /** Lets virtual time pass. */
  pass(durationMs: number): Promise<void> {
    return this.clock.advance(durationMs)
  }

  /** Waits for a whole number of milliseconds of virtual time. */
  pause(durationMs: number): Promise<void> {
    return this.clock.sleep(durationMs, noSignal)
  }

  /** A new process begins. */
  protected begin(): ProcessRun {
    this.lives += 1
    this.life = new AbortController()
    this.watch = new AbortController()
    const { life, watch, lives: number } = this
    // All devices of a process wait on it, each call for itself.
    setMaxListeners(0, watch.signal)
    const isOver = (): boolean => this.life !== life
    return {
      number,
      clock: clockOf(this.clock, isOver),
      disk: this.bays.boot(isOver),
      stores: storesOf(this.random.fork(`tables ${number}`)),
      random: this.random.fork(`life ${number}`),
      signal: life.signal,
      watch: watch.signal,
    }
  }

  /** The process ends in order: its background work first, then `stop`, then the watch over its devices. */
  protected async endWith(background: readonly Promise<unknown>[], stop: () => Promise<void>): Promise<void> {
    this.life.abort()
    await Promise.all(background)
    await stop()
    this.watch.abort()
  }

  /** Kills the process immediately; written bytes stay. */
  kill(): void {
    for (const drive of this.drives) drive.disk.kill()
    this.end()
  }

  /** The power goes: unsynced writes are kept, dropped or torn by chance. */
  crash(): void {
    const random = this.random.fork(`crash ${this.lives}`)
    for (const drive of this.drives) drive.disk.crash(random)
    this.end()
  }

  protected end(): void {
    const life = this.life
    this.life = new AbortController()
    life.abort()
    this.watch.abort()
  }
}

/** Tables so small that few rows make many of them, on several levels. */
const SMALL_TABLES = {
  ...TABLE_LIMITS,
  blockBytes: 512,
  partitionBytes: 4 * KIB,
  tableBytes: 16 * KIB,
  firstLevelBytesMax: 64 * KIB,
  levelRatio: 3,
  stepBytesMax: 64 * KIB,
  stepFilesMax: 6,
}

/** Some processes have much memory; others have little and read rows when they need them. */
const storesOf = (random: Random): Stores =>
  new TableStores({
    cacheBytesMax: (8 + random.below(64)) * KIB,
    syncBytesMax: random.below(2) === 0 ? 0 : Infinity,
    limits: SMALL_TABLES,
  })
