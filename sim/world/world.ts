/**
 * A simulated machine: an engine over drives in bays (`/d1`, `/d2` …), virtual time and one seed.
 *
 * `crash` cuts the power (what was not synced is left to chance), `kill` ends the process alone; the
 * next `start` opens what is left. Calls of a life that is over never settle; abandoned work dies with
 * it. With `latency` every call to the disk takes a random while of virtual time, so that things
 * overlap: then time has to be driven (`run`, `pass`).
 */
import { DEFAULT_BLOCK_BYTES, settingsFor } from "./settings.js"
import { CheckpointExecutor } from "../../src/main/engine/checkpoint-job.js"
import { openEngine, type Engine, type Seams } from "../../src/main/engine/engine.js"
import { firstRecordOf } from "../../src/main/engine/testing.js"
import type { ControlRecord } from "../../src/format/control-record.js"
import { CALL_LIMITS, queuedDisk } from "../../src/device/index.js"
import { makeCodec } from "../../src/erasure/index.js"
import { KIB, MIB } from "../../src/base/limits.js"
import type { Random } from "../../src/seams/random/contract.js"
import { SimClock } from "../../src/seams/clock/sim.js"
import { InlineCompute } from "../../src/seams/compute/index.js"
import type { Bend, DiskCall, Intercept } from "../../src/seams/disk/index.js"
import { SimRandom } from "../../src/seams/random/sim.js"
import { SimTelemetry } from "../../src/seams/telemetry/sim.js"
import { Bays, Drive } from "./drives.js"

export interface WorldOptions {
  readonly seed: number
  readonly devices: number
  readonly blockBytes?: number
  /** The longest that a call to the disk takes, in milliseconds of virtual time; 0 or absent: no time. */
  readonly latencyMsMax?: number
}

const never = <T>(): Promise<T> => new Promise<T>(() => undefined)

export class World {
  readonly clock = new SimClock()
  readonly random: SimRandom
  readonly bays = new Bays()
  readonly telemetry = new SimTelemetry()
  private readonly delays: Random
  private fault: Intercept = () => undefined
  /** The control record that has taken effect. */
  private record: ControlRecord
  private lives = 0
  private life = new AbortController()
  /** Devices are watched to the end of a life: one that hangs must not hold up the stop. */
  private watch = new AbortController()
  private running: Promise<unknown>[] = []
  /** All that ever were in a bay: a power cut hits also what was just taken out. */
  private readonly drives: Drive[] = []

  constructor(private readonly options: WorldOptions) {
    this.random = new SimRandom(options.seed)
    this.record = firstRecordOf(options.devices, options.blockBytes ?? DEFAULT_BLOCK_BYTES)
    this.delays = this.random.fork("delays")
    for (let number = 1; number <= options.devices; number += 1) this.bays.put(`/d${number}`, this.newDrive())
  }

  /** A new, empty drive for some bay. */
  newDrive(): Drive {
    const drive = new Drive(`drive-${this.drives.length + 1}`, this.clock, this.random)
    this.drives.push(drive)
    drive.meet(call => (call.kind === "readNow" ? this.fault(call) : this.delayed(call)))
    return drive
  }

  private async delayed(call: DiskCall): Promise<Bend | void> {
    await this.takeTime()
    return this.fault(call)
  }

  /** Which life of the process this is: 1 after the first start. */
  get incarnation(): number {
    return this.lives
  }

  /** Lets calls to the disk fail, from now on; none without an argument. */
  failDisk(fault: Intercept = () => undefined): void {
    this.fault = fault
  }

  /** A moment of virtual time; for ever where the life that waits ends meanwhile. */
  private async takeTime(): Promise<void> {
    const { latencyMsMax = 0 } = this.options
    if (latencyMsMax === 0) return
    const life = this.life
    await this.pause(this.delays.below(latencyMsMax + 1))
    if (life !== this.life) await never()
  }

  /** Waits for something while virtual time goes on. */
  run<T>(promise: Promise<T>): Promise<T> {
    return this.clock.runUntil(promise)
  }

  /** Lets virtual time pass. */
  pass(durationMs: number): Promise<void> {
    return this.clock.advance(durationMs)
  }

  /** Waits for a whole number of milliseconds of virtual time. */
  pause(durationMs: number): Promise<void> {
    return this.clock.sleep(durationMs, new AbortController().signal)
  }

  /** Opens the store as a new process; its background work runs until `kill`, `crash` or `stop`. */
  async start(): Promise<Engine> {
    this.lives += 1
    this.life = new AbortController()
    this.watch = new AbortController()
    const life = this.life
    const isOver = (): boolean => this.life !== life
    const [disk, stores] = [this.bays.boot(isOver), this.bays.stores(isOver)]
    const seams: Seams = {
      clock: this.clock,
      random: this.random.fork(`life ${this.lives}`),
      diskOf: () => disk,
      stores,
      compute: new InlineCompute(makeCodec, { slabBytes: 512 * KIB, poolBytes: 8 * MIB }),
      telemetry: this.telemetry,
      checkpoints: new CheckpointExecutor(
        () => queuedDisk(disk, this.clock, CALL_LIMITS, this.watch.signal, () => undefined),
        stores,
      ),
    }
    const engine = await openEngine(seams, settingsFor(this.record, this.lives))
    engine.keeper.onChange(record => void (this.record = record))
    this.record = engine.keeper.record
    this.running = engine.livings.map(living => living.run(this.life.signal).catch(() => undefined))
    return engine
  }

  /** Ends in order. */
  async stop(engine: Engine): Promise<void> {
    this.life.abort()
    await Promise.all(this.running)
    await engine.stop()
    this.watch.abort()
  }

  /** The process dies at once; what was written stays. */
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

  private end(): void {
    const life = this.life
    this.life = new AbortController()
    life.abort()
    this.watch.abort()
  }
}
