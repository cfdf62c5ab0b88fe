/**
 * The job runner: runs jobs side by side, each at its own pace, and shows how they fare.
 *
 * Promises  A step is never interrupted; resting is, by the signal and by `wake`. `run` ends after
 *           the signal, once the steps under way have ended. A job that fails is tried again with
 *           a back-off and shows as `failed`; it never takes the others down.
 * Refuses   Two jobs of one name, and more than `CHORES_MAX`.
 */
import { AssertionError, assert } from "../base/assert.js"
import { fail } from "../base/failures.js"
import type { Clock } from "../seams/clock/contract.js"
import type { Telemetry } from "../seams/telemetry/contract.js"
import type { Job, JobStatus, BackgroundService } from "./contract.js"
import { mapBounded } from "./map-bounded.js"
import type { Pace } from "./pace-core.js"
import { nextPace, PACE_AT_START, THROTTLE_MAX } from "./pace-core.js"

export const THROTTLE_DEFAULT = 2
export const JOBS_MAX = 1_000
/** How often a paused job looks whether it still is; waking it looks at once. */
const PAUSED_LOOK_MS = 1_000

/** One job and how it is getting on. */
class PacedJob {
  #pace: Pace = PACE_AT_START
  #lastError: string | undefined
  #resting: AbortController | undefined
  #woken = false
  throttle = THROTTLE_DEFAULT

  constructor(
    readonly job: Job,
    private readonly clock: Clock,
    private readonly telemetry: Telemetry,
    private readonly isPaused: () => boolean,
  ) {}

  get status(): JobStatus {
    return {
      name: this.job.name,
      state: this.#pace.state,
      progress: `${this.isPaused() ? "paused; " : ""}${this.job.progress()}`,
      lastError: this.#lastError,
      throttle: this.throttle,
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
        this.#pace = nextPace(this.#pace, state, this.clock.monotonicMs() - startedMs, this.throttle)
        if (!signal.aborted) await this.#rest(this.#pace.restMs)
      }
    } finally {
      signal.removeEventListener("abort", endRest)
    }
  }

  async #step(signal: AbortSignal): Promise<Pace["state"]> {
    try {
      return await this.job.step(signal)
    } catch (error) {
      if (signal.aborted) return "idle"
      this.#lastError = String(error)
      const shown = error instanceof AssertionError ? (error.stack ?? error.message) : String(error)
      this.telemetry.log.error("choreFailed", { job: this.job.name, error: shown })
      return "failed"
    }
  }

  /** Even without rest the event loop gets a turn, so that a busy job starves nobody. */
  async #rest(restMs: number): Promise<void> {
    this.#resting = new AbortController()
    await this.clock.sleep(this.#woken ? 0 : restMs, this.#resting.signal)
    this.#resting = undefined
  }
}

export class JobRunner implements BackgroundService {
  readonly #jobs: ReadonlyMap<string, PacedJob>

  /** `isPaused`: of a job, by its name; it takes no step while it is. */
  constructor(
    readonly name: string,
    jobs: readonly Job[],
    clock: Clock,
    telemetry: Telemetry,
    isPaused: (jobName: string) => boolean = () => false,
  ) {
    this.#jobs = new Map(jobs.map(job => [job.name, new PacedJob(job, clock, telemetry, () => isPaused(job.name))]))
    assert(this.#jobs.size === jobs.length, "two jobs have one name")
    assert(jobs.length <= JOBS_MAX, "more jobs than can run side by side")
    telemetry.metrics.gauge("hayloft_job_failing", "1 while a job's latest step failed", () =>
      this.status().map(({ name, state }) => [{ job: name }, state === "failed" ? 1 : 0] as const),
    )
  }

  async run(signal: AbortSignal): Promise<void> {
    await mapBounded(this.#jobs.values(), JOBS_MAX, paced => paced.run(signal))
  }

  /** How every job fares, in the order they were given. */
  status(): JobStatus[] {
    return Array.from(this.#jobs.values(), paced => paced.status)
  }

  /** There may be something to do: rests no longer. Throws `invalidArgument` for an unknown name. */
  wake(jobName: string): void {
    this.#paced(jobName).wake()
  }

  /**
   * How long a job rests, as a multiple of how long its step took: 0 is full speed.
   * Throws `invalidArgument` for an unknown name or a value outside 0 … `TRANQUILITY_MAX`.
   */
  setThrottle(jobName: string, throttle: number): void {
    if (!(throttle >= 0 && throttle <= THROTTLE_MAX)) {
      throw fail("invalidArgument", { message: `throttle is a number from 0 to ${THROTTLE_MAX}`, throttle })
    }
    this.#paced(jobName).throttle = throttle
  }

  #paced(jobName: string): PacedJob {
    const paced = this.#jobs.get(jobName)
    if (paced === undefined) throw fail("invalidArgument", { message: "no such job", job: jobName })
    return paced
  }
}
