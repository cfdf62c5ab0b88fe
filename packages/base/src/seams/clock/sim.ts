/**
 * The simulated clock: time advances only when a test moves it, from one sleeper to
 * the next.
 *
 * Promises  Sleepers wake in the order of their deadlines, then of their calls; between two of them
 *           everything that can run without time passing has run. The same program and the same
 *           calls always produce the same order.
 * Refuses   Two concurrent drivers; waiting for a promise that nothing can settle (a deadlock is an error
 *           that names the promise, not a test that hangs). The error of a run that does not end says how many sleep,
 *           and from which calls if stacks are kept, which takes a fifth more time.
 * Limits    `QUIET_TURNS_MAX` turns of the event loop for work outside this clock (files, threads).
 */
import { assert, AssertionError } from "../../assert.js"
import type { Clock } from "./contract.js"

/** 2026-01-01T00:00:00Z: any fixed day would do. */
const WALL_START_MS = Date.UTC(2026, 0, 1)
const QUIET_TURNS_MAX = 10_000
const RUN_MS_MAX = 366 * 24 * 3_600_000
/** The places in the error of a run that does not end, and the calls of each. */
const PLACES_SHOWN = 20
const CALLS_SHOWN = 12

/** Calls that all sleepers share. */
const OF_CLOCKS = /\/seams\/clock\/sim\.|\/process-clock\.|new Promise \(|\(node:/

/** The error of a run whose promise does not settle, in time or at all. */
export class NotSettledError extends AssertionError {}

interface Sleeper {
  readonly wakeAtMs: number
  readonly wake: () => void
  /** The place where it began to sleep; undefined if stacks are not kept. */
  readonly began: Error | undefined
}

/** Lets every promise that can settle do so. */
const turn = (): Promise<void> => new Promise(resolve => void setImmediate(resolve))

let areStacksKept = false

/** From now on, each sleeper of this process remembers where it began to sleep. */
export function keepStacks(): void {
  areStacksKept = true
}

function stackHere(): Error | undefined {
  if (!areStacksKept) return undefined
  const { stackTraceLimit } = Error
  Error.stackTraceLimit = CALLS_SHOWN
  const here = new Error("asleep")
  Error.stackTraceLimit = stackTraceLimit
  return here
}

export class SimClock implements Clock {
  #nowMs = 0
  readonly #startMs: number
  #wallOffsetMs: number
  #sleepers: Sleeper[] = []
  #driven = false
  /** Calls that wait for the end of their turn. */
  #endsOfTurn = 0

  constructor(wallStartMs: number = WALL_START_MS) {
    this.#startMs = wallStartMs
    this.#wallOffsetMs = wallStartMs
  }

  wallMs(): number {
    return this.#wallOffsetMs + this.#nowMs
  }

  monotonicMs(): number {
    return this.#nowMs
  }

  /** The time by which jobs remove what has come due: the store's clock, which does not follow jumps, or the wall clock. */
  readonly dueTimeMs = (): number => Math.min(this.#startMs + this.#nowMs, this.wallMs())

  /** The number of pending sleeps; 0 once everything has ended. */
  get sleepers(): number {
    return this.#sleepers.length
  }

  /** The places where sleepers began to sleep, with their number and when the next one wakes; the next first. */
  sleepersText(): string {
    const places = new Map<string, { count: number; wakeAtMs: number }>()
    for (const { began, wakeAtMs } of this.#sleepers) {
      const calls = (began?.stack ?? "").split("\n").slice(1)
      const place = calls.filter(call => !OF_CLOCKS.test(call)).join("\n")
      const known = places.get(place)
      if (known === undefined) places.set(place, { count: 1, wakeAtMs })
      else known.count += 1
    }
    const shown = [...places].slice(0, PLACES_SHOWN)
    const others = places.size - shown.length
    return shown
      .map(
        ([place, { count, wakeAtMs }]) => `${count} until ${Math.round(wakeAtMs - this.#nowMs)} ms from now:\n${place}`,
      )
      .concat(others > 0 ? [`and at ${others} other places`] : [])
      .join("\n")
  }

  /** Moves the wall clock alone, either way, as an operator or NTP would. */
  jumpWall(byMs: number): void {
    this.#wallOffsetMs += byMs
  }

  sleep(durationMs: number, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return Promise.resolve()
    return new Promise(resolve => {
      const wake = (): void => {
        cancel()
        signal.removeEventListener("abort", wake)
        resolve()
      }
      const cancel = this.alarm(durationMs, wake)
      signal.addEventListener("abort", wake)
    })
  }

  alarm(durationMs: number, ring: () => void): () => void {
    const cancel = (): void => {
      const at = this.#sleepers.indexOf(sleeper)
      if (at >= 0) this.#sleepers.splice(at, 1)
    }
    const wake = (): void => {
      cancel()
      ring()
    }
    const sleeper: Sleeper = { wakeAtMs: this.#nowMs + Math.max(0, durationMs), wake, began: stackHere() }
    const at = this.#sleepers.findIndex(other => other.wakeAtMs > sleeper.wakeAtMs)
    this.#sleepers.splice(at === -1 ? this.#sleepers.length : at, 0, sleeper)
    return cancel
  }

  atEndOfTurn(call: () => void): void {
    this.#endsOfTurn += 1
    setImmediate(() => {
      this.#endsOfTurn -= 1
      call()
    })
  }

  /** Advances by `durationMs` and wakes every sleeper that is due, including those that start to sleep meanwhile. */
  async advance(durationMs: number): Promise<void> {
    await this.#drive(async () => {
      const endMs = this.#nowMs + durationMs
      await this.#settle()
      while (this.#wakeNext(endMs)) await this.#settle()
      this.#nowMs = endMs
    })
  }

  /**
   * Lets time pass until the promise settles, and returns its value or throws its error. Throws a
   * `NotSettledError` if that would take longer than `limitMs`, or if no sleeper remains that could
   * settle it.
   */
  async runUntil<T>(promise: Promise<T>, limitMs: number = RUN_MS_MAX): Promise<T> {
    let settled = false
    const settle = (): void => void (settled = true)
    promise.then(settle, settle)
    await this.#drive(async () => {
      const endMs = this.#nowMs + limitMs
      for (let quietTurns = 0; ; quietTurns += 1) {
        await this.#settle()
        if (settled) return
        if (this.#wakeNext(endMs)) quietTurns = 0
        if (this.#sleepers.length > 0 && quietTurns > 0) {
          const sleepers = `what sleeps:\n${this.sleepersText()}`
          throw new NotSettledError(`not settled within ${limitMs} ms of simulated time; ${sleepers}`)
        }
        if (quietTurns >= QUIET_TURNS_MAX)
          throw new NotSettledError("deadlock: the promise is not settled and nothing sleeps")
      }
    })
    return promise
  }

  /** Lets everything run that needs no time to pass. */
  async #settle(): Promise<void> {
    do await turn()
    while (this.#endsOfTurn > 0)
  }

  #wakeNext(endMs: number): boolean {
    const next = this.#sleepers[0]
    if (next === undefined || next.wakeAtMs > endMs) return false
    this.#nowMs = Math.max(this.#nowMs, next.wakeAtMs)
    next.wake()
    return true
  }

  async #drive(run: () => Promise<void>): Promise<void> {
    assert(!this.#driven, "a simulated clock has one driver at a time")
    this.#driven = true
    try {
      await run()
    } finally {
      this.#driven = false
    }
  }
}
