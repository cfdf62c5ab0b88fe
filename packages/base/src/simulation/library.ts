/**
 * The interface that the npm package offers to programs as `hayloft/simulation`; declarations/simulation.d.ts describes it
 * for their compilers, docs/guide/simulation.md for people.
 *
 * Promises  The same seed and scenario make the same run. No real time passes but that of the computation.
 * Refuses   A scenario that waits for something that cannot happen, or for too long, ends with the code `stuck`.
 */
import { LibraryError } from "../library-error.js"
import { NotSettledError, SimClock } from "../seams/clock/sim.js"
import { SimNetwork } from "../seams/net/sim.js"
import type { Random } from "../seams/random/contract.js"
import { SimRandom } from "../seams/random/sim.js"
import { Machine, noSignal, type MachineOptions, type Surroundings } from "./machine.js"
import { CHANCE_MAX, checkDelay, checkNumber, checkWhole, ProgramRandom, SPAN_MS_MAX, type Delay } from "./numbers.js"

interface SimulationOptions {
  /** Simulated time after which the scenario must have ended. */
  readonly limitMs?: number | undefined
  /** The delay of the network. */
  readonly delayMs?: Delay | undefined
  /** One in so many deliveries of the network resets its connection; 0: none. */
  readonly lossOneIn?: number | undefined
}

interface FailedRun {
  readonly seed: number
  readonly error: unknown
  readonly notes: readonly string[]
}

type Scenario<T> = (world: World) => Promise<T>

const LIMIT_MS = 24 * 3_600_000

/** Everything of one run. */
class World {
  readonly random: Random
  readonly notes: string[] = []
  readonly failure: Promise<never>
  private readonly around: Surroundings
  private readonly machines = new Map<string, Machine>()
  private readonly network: SimNetwork

  constructor(
    readonly seed: number,
    private readonly clock: SimClock,
    { delayMs, lossOneIn = 0 }: SimulationOptions,
  ) {
    const root = new SimRandom(seed)
    this.random = new ProgramRandom(root.fork("scenario"))
    this.network = new SimNetwork(clock, root.fork("network"), { lossOneIn, ...(delayMs && { delayMs }) })
    const { promise, reject } = refusable()
    this.failure = promise
    this.around = {
      clock,
      random: root.fork("machines"),
      network: this.network,
      failed: reject,
      note: text => this.note(text),
    }
  }

  /** The machine of this name, which is made when it is first named. */
  machine(name: string, options: MachineOptions = {}): Machine {
    const machine = this.machines.get(name) ?? new Machine(name, this.around, options)
    this.machines.set(name, machine)
    return machine
  }

  nowMs(): number {
    return this.clock.monotonicMs()
  }

  async sleep(durationMs: number): Promise<void> {
    checkNumber("durationMs of sleep", durationMs)
    return this.clock.sleep(durationMs, noSignal)
  }

  /** Moves the wall clock of all machines. */
  jumpWall(byMs: number): void {
    checkNumber("byMs of jumpWall", byMs, -SPAN_MS_MAX, SPAN_MS_MAX)
    this.clock.jumpWall(byMs)
  }

  /** Holds what is sent between the two groups, until `heal`. */
  partition(some: readonly string[], others: readonly string[]): void {
    this.network.partition(some, others)
  }

  heal(): void {
    this.network.healAll()
  }

  resetConnections(): void {
    this.network.dropAll()
  }

  note(text: string): void {
    this.notes.push(`${this.nowMs().toFixed(3)} ms ${text}`)
  }

  end(): void {
    for (const machine of this.machines.values()) machine.kill()
  }
}

function refusable(): { readonly promise: Promise<never>; readonly reject: (error: unknown) => void } {
  let reject: (error: unknown) => void = () => undefined
  const promise = new Promise<never>((_, no) => void (reject = no))
  promise.catch(() => undefined)
  return { promise, reject: error => reject(error) }
}

async function run<T>(clock: SimClock, world: World, scenario: Scenario<T>, limitMs: number): Promise<T> {
  try {
    return await clock.runUntil(Promise.race([scenario(world), world.failure]), limitMs)
  } catch (error) {
    if (!(error instanceof NotSettledError)) throw error
    throw new LibraryError("stuck", error.message)
  } finally {
    world.end()
  }
}

function checkOptions({ limitMs = LIMIT_MS, delayMs, lossOneIn = 0 }: SimulationOptions): void {
  checkNumber("limitMs", limitMs, 0, SPAN_MS_MAX)
  if (delayMs !== undefined) checkDelay("delayMs", delayMs)
  checkWhole("lossOneIn", lossOneIn, 0, CHANCE_MAX)
}

/** Runs a scenario in a world of its own; returns or throws what the scenario does. */
export async function simulate<T>(seed: number, scenario: Scenario<T>, options: SimulationOptions = {}): Promise<T> {
  checkWhole("seed", seed, Number.MIN_SAFE_INTEGER)
  checkOptions(options)
  const clock = new SimClock()
  return run(clock, new World(seed, clock, options), scenario, options.limitMs ?? LIMIT_MS)
}

/** Runs the scenario with seed after seed, and returns the first run that fails; undefined if none does. */
export async function findFailure(
  seeds: { readonly from?: number | undefined; readonly count: number },
  scenario: Scenario<unknown>,
  options: SimulationOptions = {},
): Promise<FailedRun | undefined> {
  const { from = 1, count } = seeds
  checkWhole("from", from, Number.MIN_SAFE_INTEGER)
  checkWhole("count", count, 1)
  checkWhole("the last seed", from - 1 + count, Number.MIN_SAFE_INTEGER)
  // Here, so that no seed seems to fail by them.
  checkOptions(options)
  for (let seed = from; seed < from + count; seed += 1) {
    let notes: readonly string[] = []
    const noted: Scenario<unknown> = world => {
      notes = world.notes
      return scenario(world)
    }
    try {
      await simulate(seed, noted, options)
    } catch (error) {
      return { seed, error, notes }
    }
  }
  return undefined
}
