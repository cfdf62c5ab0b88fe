/**
 * The chore runner: runs chores side by side, each at its own pace, and shows how they fare.
 *
 * Promises  A step is never interrupted; resting is, by the signal and by `wake`. `run` ends after
 *           the signal, once the steps under way have ended. A chore that fails is tried again with
 *           a back-off and shows as `failed`; it never takes the others down.
 * Refuses   Two chores of one name, and more than `CHORES_MAX`.
 */
import { AssertionError, assert } from "../base/assert.js"
import { fail } from "../base/failures.js"
import type { Clock } from "../seams/clock/contract.js"
import type { Telemetry } from "../seams/telemetry/contract.js"
import type { Chore, ChoreStatus, Living } from "./contract.js"
import { mapBounded } from "./map-bounded.js"
import type { Pace } from "./pace-core.js"
import { nextPace, PACE_AT_START, TRANQUILITY_MAX } from "./pace-core.js"

export const TRANQUILITY_DEFAULT = 2
export const CHORES_MAX = 1_000
/** How often a paused chore looks whether it still is; waking it looks at once. */
const PAUSED_LOOK_MS = 1_000

/** One chore and how it is getting on. */
class PacedChore {
  #pace: Pace = PACE_AT_START
  #lastError: string | undefined
  #resting: AbortController | undefined
  #woken = false
  tranquility = TRANQUILITY_DEFAULT

  constructor(
    readonly chore: Chore,
    private readonly clock: Clock,
    private readonly telemetry: Telemetry,
    private readonly isPaused: () => boolean,
  ) {}

  get status(): ChoreStatus {
    return {
      name: this.chore.name,
      state: this.#pace.state,
      progress: `${this.isPaused() ? "paused; " : ""}${this.chore.progress()}`,
      lastError: this.#lastError,
      tranquility: this.tranquility,
    }
  }

  /** Ends a rest, or skips the next one if a step is under way: it may have looked too early. */
  wake(): void {
    this.#woken = true
    this.#resting?.abort()
  }

  async run(signal: AbortSignal): Promise<void> {
    const endRest = (): void => this.#resting?.abort()
    signal.addEventListener("abort", endRest)
    try {
      while (!signal.aborted && this.#pace.state !== "done") {
        this.#woken = false
        if (this.isPaused()) {
          await this.#rest(PAUSED_LOOK_MS)
          continue
        }
        const startedMs = this.clock.monotonicMs()
        const state = await this.#step(signal)
        this.#pace = nextPace(this.#pace, state, this.clock.monotonicMs() - startedMs, this.tranquility)
        if (!signal.aborted) await this.#rest(this.#pace.restMs)
      }
    } finally {
      signal.removeEventListener("abort", endRest)
    }
  }

  async #step(signal: AbortSignal): Promise<Pace["state"]> {
    try {
      return await this.chore.step(signal)
    } catch (error) {
      if (signal.aborted) return "idle"
      this.#lastError = String(error)
      const shown = error instanceof AssertionError ? (error.stack ?? error.message) : String(error)
      this.telemetry.log.error("choreFailed", { chore: this.chore.name, error: shown })
      return "failed"
    }
  }

  /** Even without rest the event loop gets a turn, so that a busy chore starves nobody. */
  async #rest(restMs: number): Promise<void> {
    this.#resting = new AbortController()
    await this.clock.sleep(this.#woken ? 0 : restMs, this.#resting.signal)
    this.#resting = undefined
  }
}

export class ChoreRunner implements Living {
  readonly #chores: ReadonlyMap<string, PacedChore>

  /** `isPaused`: of a chore, by its name; it takes no step while it is. */
  constructor(
    readonly name: string,
    chores: readonly Chore[],
    clock: Clock,
    telemetry: Telemetry,
    isPaused: (choreName: string) => boolean = () => false,
  ) {
    this.#chores = new Map(
      chores.map(chore => [chore.name, new PacedChore(chore, clock, telemetry, () => isPaused(chore.name))]),
    )
    assert(this.#chores.size === chores.length, "two chores have one name")
    assert(chores.length <= CHORES_MAX, "more chores than can run side by side")
    telemetry.metrics.gauge("hayloft_chore_failing", "1 while a chore's latest step failed", () =>
      this.status().map(({ name, state }) => [{ chore: name }, state === "failed" ? 1 : 0] as const),
    )
  }

  async run(signal: AbortSignal): Promise<void> {
    await mapBounded(this.#chores.values(), CHORES_MAX, paced => paced.run(signal))
  }

  /** How every chore fares, in the order they were given. */
  status(): ChoreStatus[] {
    return Array.from(this.#chores.values(), paced => paced.status)
  }

  /** There may be something to do: rests no longer. Throws `invalidArgument` for an unknown name. */
  wake(choreName: string): void {
    this.#paced(choreName).wake()
  }

  /**
   * How long a chore rests, as a multiple of how long its step took: 0 is full speed.
   * Throws `invalidArgument` for an unknown name or a value outside 0 … `TRANQUILITY_MAX`.
   */
  setTranquility(choreName: string, tranquility: number): void {
    if (!(tranquility >= 0 && tranquility <= TRANQUILITY_MAX)) {
      throw fail("invalidArgument", { message: `tranquility is a number from 0 to ${TRANQUILITY_MAX}`, tranquility })
    }
    this.#paced(choreName).tranquility = tranquility
  }

  #paced(choreName: string): PacedChore {
    const paced = this.#chores.get(choreName)
    if (paced === undefined) throw fail("invalidArgument", { message: "no such chore", chore: choreName })
    return paced
  }
}
