/**
 * A simulated machine: a disk, a place in the network, and the program that runs on it until it is ended.
 *
 * Promises  Once a program is ended, nothing that it waits for settles, and nothing that it does has an effect.
 */
import { LibraryError } from "../library-error.js"
import { limited } from "../life/index.js"
import type { Clock } from "../seams/clock/contract.js"
import { byChance, fails, inTurn, SimDisk, type Intercept } from "../seams/disk/index.js"
import type { Connection } from "../seams/net/contract.js"
import type { SimNetwork } from "../seams/net/sim.js"
import type { Random } from "../seams/random/contract.js"
import { MessageConnection } from "./connection.js"
import { ProgramDisk, withCode } from "./disk.js"
import { CHANCE_MAX, checkDelay, checkNumber, checkWhole, ProgramRandom, type Delay } from "./numbers.js"

export interface Surroundings {
  readonly clock: Clock
  readonly random: Random
  readonly network: SimNetwork
  /** Takes the error of a program that failed. */
  failed(error: unknown): void
  note(text: string): void
}

export interface MachineOptions {
  readonly diskBytes?: number | undefined
  readonly diskDelayMs?: Delay | undefined
}

interface DiskFaults {
  /** One call in so many fails; 0: none. */
  readonly oneIn: number
  readonly kind?: "read" | "write" | "sync" | undefined
  /** EIO if absent. */
  readonly code?: string | undefined
}

type Program<T> = (process: Process) => Promise<T>

const DISK_DELAY_MS: Delay = { least: 0.05, most: 2 }
const CONNECT_MS_MAX = 5_000

export const noSignal = new AbortController().signal
const never = <T>(): Promise<T> => new Promise<T>(() => undefined)

/** One simulated process: its disk, clock, network and random numbers. */
class Process {
  readonly disk: ProgramDisk
  readonly random: Random
  private readonly life = new AbortController()

  constructor(
    readonly machine: string,
    private readonly around: Surroundings,
    disk: SimDisk,
  ) {
    this.disk = new ProgramDisk(disk.boot())
    this.random = new ProgramRandom(around.random.fork("process"))
  }

  /** Fires when the program is ended. */
  get signal(): AbortSignal {
    return this.life.signal
  }

  nowMs(): number {
    return this.around.clock.monotonicMs()
  }

  wallMs(): number {
    return this.around.clock.wallMs()
  }

  async sleep(durationMs: number): Promise<void> {
    checkNumber("durationMs of sleep", durationMs)
    return this.whileAlive(this.around.clock.sleep(durationMs, this.signal))
  }

  note(text: string): void {
    if (!this.signal.aborted) this.around.note(`${this.machine}: ${text}`)
  }

  /**
   * Calls `accept` for each connection that is made to the port. An error that it throws is that of the simulation.
   * Throws EADDRINUSE if the program listens there already.
   */
  async listen(port: number, accept: (connection: MessageConnection) => void | Promise<void>): Promise<void> {
    if (this.signal.aborted) return never()
    const net = this.around.network.host(this.machine)
    const accepted = (connection: Connection): void => {
      // The program was ended while the connection was on its way.
      if (this.signal.aborted) return connection.reset()
      const messages = new MessageConnection(connection)
      this.watch((async () => accept(messages))())
    }
    await this.whileAlive(withCode(net.listen({ host: this.machine, port }, accepted)))
  }

  /** Throws ECONNREFUSED if nothing listens there, ETIMEDOUT if nothing comes back in time. */
  async connect(machine: string, port: number, timeoutMs: number = CONNECT_MS_MAX): Promise<MessageConnection> {
    checkNumber("timeoutMs of connect", timeoutMs)
    const { clock, network } = this.around
    const late = (): Error => new LibraryError("ETIMEDOUT", `${machine}:${port} does not respond`)
    const connecting = limited({ clock, durationMs: timeoutMs, late }, [this.signal], signal =>
      network.host(this.machine).connect({ host: machine, port }, signal),
    )
    return this.whileAlive(withCode(connecting.then(connection => new MessageConnection(connection))))
  }

  /** Fails the simulation with the error of the work, while the program runs. */
  watch(work: Promise<unknown>): void {
    work.catch((error: unknown) => {
      if (!this.signal.aborted) this.around.failed(error)
    })
  }

  end(): void {
    this.life.abort()
  }

  /** The outcome, unless the program was ended meanwhile. */
  private whileAlive<T>(work: Promise<T>): Promise<T> {
    const alive = <V>(then: () => V): V | Promise<never> => (this.signal.aborted ? never<never>() : then())
    return work.then(
      value => alive(() => value),
      (error: unknown) => alive(() => Promise.reject(error instanceof Error ? error : new Error(String(error)))),
    )
  }
}

export class Machine {
  private readonly disk: SimDisk
  private readonly slow: Intercept
  private readonly random: Random
  private process: Process | undefined

  constructor(
    readonly name: string,
    private readonly around: Surroundings,
    { diskBytes, diskDelayMs = DISK_DELAY_MS }: MachineOptions,
  ) {
    if (diskBytes !== undefined) checkWhole("diskBytes", diskBytes)
    checkDelay("diskDelayMs", diskDelayMs)
    this.random = around.random.fork(`machine ${name}`)
    this.disk = new SimDisk(undefined, diskBytes === undefined ? {} : { capacityBytes: diskBytes })
    const delays = this.random.fork("delays")
    const { least, most } = diskDelayMs
    this.slow = () => around.clock.sleep(least + ((most - least) * delays.below(1_000)) / 1_000, noSignal)
    this.disk.intercept(this.slow)
  }

  get isRunning(): boolean {
    return this.process !== undefined
  }

  /**
   * Starts a program, and returns what it returns. It stays until it is ended, so that it can serve; an error that it
   * throws is that of the simulation. Rejects with `isRunning` while another runs.
   */
  async start<T>(program: Program<T>): Promise<T> {
    if (this.process !== undefined) throw new LibraryError("isRunning", `a program runs on ${this.name}: kill it first`)
    const process = new Process(this.name, this.around, this.disk)
    this.process = process
    return new Promise(resolve => {
      const run = async (): Promise<void> => {
        const value = await program(process)
        if (this.process === process) resolve(value)
      }
      process.watch(run())
    })
  }

  /** Ends the program; the machine goes on, so what it has written stays. */
  kill(): void {
    this.process?.end()
    this.process = undefined
    this.disk.kill()
    this.around.network.crash(this.name)
  }

  /** Ends the program and cuts the power: what is not synced stays, is lost, or is torn, at random. */
  cutPower(): void {
    this.kill()
    this.disk.crash(this.random)
  }

  /** From now on, calls of the disk fail at random. */
  failDisk({ oneIn, kind, code = "EIO" }: DiskFaults): void {
    checkWhole("oneIn of failDisk", oneIn, 0, CHANCE_MAX)
    if (oneIn === 0) return this.disk.intercept(this.slow)
    const faults = byChance(this.random.fork("faults"), [
      { oneIn, effect: fails(code), ...(kind === undefined ? {} : { kind }) },
    ])
    this.disk.intercept(inTurn(this.slow, faults))
  }
}
