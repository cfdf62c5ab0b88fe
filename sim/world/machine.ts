/**
 * A simulated machine: drives in bays (`/d1`, `/d2` …), virtual time, one seed, and processes that run on it one
 * after another.
 *
 * `crash` cuts the power (unsynced changes survive at random), `kill` ends only the process; the
 * next process starts with the remaining content. Calls of an ended process never settle; its abandoned work
 * ends with it. With `latency` every call to a drive takes a random virtual time, so that calls
 * overlap: then the test has to advance time (`run`, `pass`).
 */
import { setMaxListeners } from "node:events"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { Disk } from "@hayloft/base/seams/disk/contract.js"
import type { Bend, DeviceCondition, DiskCall, Intercept } from "@hayloft/base/seams/disk/index.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"
import type { Stores } from "@hayloft/base/seams/store/contract.js"
import { KIB } from "@hayloft/base/limits.js"
import { asPromise, type Soon } from "@hayloft/base/soon.js"
import { SimClock } from "@hayloft/base/seams/clock/sim.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { SimTelemetry } from "@hayloft/base/seams/telemetry/sim.js"
import { TABLE_LIMITS, TableStores } from "@hayloft/engine/table/index.js"
import { Bays, Drive } from "./drives.js"

export interface MachineOptions {
  readonly seed: number
  readonly devices: number
  /** The longest duration of a call to a drive, in milliseconds of virtual time; 0 if absent. */
  readonly latencyMsMax?: number
}

/** The machine for one of its processes. */
export interface ProcessRun {
  readonly number: number
  readonly clock: Clock
  readonly disk: Disk
  readonly stores: Stores
  readonly random: Random
  /** Fires when the process must end its background work, or was killed. */
  readonly signal: AbortSignal
  /** Fires when the process has ended. */
  readonly watch: AbortSignal
}

const never = <T>(): Promise<T> => new Promise<T>(() => undefined)
const noSignal = new AbortController().signal
setMaxListeners(0, noSignal)

/** The clock of a process: a sleep never ends if the process is killed during it. */
export const clockOf = (clock: Clock, isOver: () => boolean): Clock => ({
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
  readonly random: SimRandom
  readonly bays: Bays
  readonly telemetry = new SimTelemetry()
  private readonly delays: Random
  private fault: Intercept = () => undefined
  private incarnationCount = 0
  private runningProcess = new AbortController()
  /** Devices are watched until the process ends: a hanging device must not delay the stop. */
  private watch = new AbortController()
  /** All drives that were ever in a bay: a power cut also affects a drive that was just taken out. */
  private readonly drives: Drive[] = []

  /** `clock`: shared with other machines. */
  constructor(
    private readonly machine: MachineOptions,
    readonly clock: SimClock = new SimClock(),
  ) {
    this.random = new SimRandom(machine.seed)
    this.delays = this.random.fork("delays")
    this.bays = new Bays(this.newDrive("root"))
    for (let number = 1; number <= machine.devices; number += 1) this.bays.put(`/d${number}`, this.newDrive())
  }

  /** Creates an empty drive for any bay. */
  newDrive(name = `drive-${this.drives.length}`): Drive {
    const drive = new Drive(name, this.clock, this.random)
    this.know(drive)
    return drive
  }

  /** Returns an independent copy of a drive in its current state. */
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
    await this.waitLatency()
    return this.fault(call)
  }

  /** The number of process incarnations so far: 1 after the first start. */
  get incarnation(): number {
    return this.incarnationCount
  }

  /** All drives in bays stop now, as those behind one controller do, and recover slowly; nothing is lost. Returns a function that ends the stall. */
  stallDisks(stallMs: number, recoveryMs: number, bays = this.bays.all): () => void {
    const stalled = bays.filter(({ faulty }) => faulty.state === "well")
    const turn = (from: DeviceCondition, to: DeviceCondition): void => {
      for (const { faulty } of stalled) if (faulty.state === from) faulty.become(to)
    }
    turn("well", "hung")
    const cancels = [
      this.clock.alarm(stallMs, () => turn("hung", "slow")),
      this.clock.alarm(stallMs + recoveryMs, () => turn("slow", "well")),
    ]
    return () => {
      for (const cancel of cancels) cancel()
      turn("hung", "well")
      turn("slow", "well")
    }
  }

  /** Makes calls to all drives fail from now on; without an argument, calls succeed again. */
  failDisk(fault: Intercept = () => undefined): void {
    this.fault = fault
  }

  /** Waits for a moment of virtual time; never resolves if the waiting process ends during the wait. */
  protected async waitLatency(): Promise<void> {
    const { latencyMsMax = 0 } = this.machine
    if (latencyMsMax === 0) return
    const running = this.runningProcess
    await this.pause(this.delays.below(latencyMsMax + 1))
    if (running !== this.runningProcess) await never()
  }

  /** Waits for a value while virtual time advances. */
  run<T>(value: Soon<T>): Promise<T> {
    return this.clock.runUntil(asPromise(() => value))
  }

  /** Advances virtual time. */
  pass(durationMs: number): Promise<void> {
    return this.clock.advance(durationMs)
  }

  /** Waits for a whole number of virtual milliseconds. */
  pause(durationMs: number): Promise<void> {
    return this.clock.sleep(durationMs, noSignal)
  }

  /** Starts a new process. */
  protected begin(): ProcessRun {
    this.incarnationCount += 1
    this.runningProcess = new AbortController()
    this.watch = new AbortController()
    const { runningProcess: running, watch, incarnation: number } = this
    // All devices of a process wait on it, each call separately.
    setMaxListeners(0, watch.signal, running.signal)
    const isOver = (): boolean => this.runningProcess !== running
    return {
      number,
      clock: clockOf(this.clock, isOver),
      disk: this.bays.boot(isOver),
      stores: storesOf(this.random.fork(`tables ${number}`)),
      random: this.random.fork(`life ${number}`),
      signal: running.signal,
      watch: watch.signal,
    }
  }

  /** Ends the process cleanly: first its background work, then `stop`, then the watch over its devices. */
  protected async endWith(background: readonly Promise<unknown>[], stop: () => Promise<void>): Promise<void> {
    this.runningProcess.abort()
    await Promise.all(background)
    await stop()
    this.watch.abort()
  }

  /** Kills the process immediately; all written bytes are kept. */
  kill(): void {
    for (const drive of this.drives) drive.disk.kill()
    this.end()
  }

  /** Cuts the power: unsynced writes are kept, dropped or torn at random. */
  crash(): void {
    const random = this.random.fork(`crash ${this.incarnationCount}`)
    for (const drive of this.drives) drive.disk.crash(random)
    this.end()
  }

  protected end(): void {
    const running = this.runningProcess
    this.runningProcess = new AbortController()
    running.abort()
    this.watch.abort()
  }
}

/** Tables so small that few rows fill many of them, on several levels. */
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

/** Some processes have much memory; others have little and read rows from disk when they need them. */
const storesOf = (random: Random): Stores =>
  new TableStores({
    cacheBytesMax: (8 + random.below(64)) * KIB,
    syncBytesMax: random.below(2) === 0 ? 0 : Infinity,
    limits: SMALL_TABLES,
  })
