/**
 * The job runner: runs jobs concurrently, each at its own pace, and reports their status.
 *
 * Promises  A step is never interrupted; a rest ends early at the signal or at `wake`. `run` ends after the
 *           signal, once the running steps have ended. A failing job is retried with back-off and shows as
 *           `failed` until it has succeeded; it never affects the others.
 * Refuses   Two jobs with one name, and more than `JOBS_MAX`.
 */
import { assert } from "../assert.js"
import { fail } from "../failures.js"
import type { Clock } from "../seams/clock/contract.js"
import type { Telemetry } from "../seams/telemetry/contract.js"
import type { Job, JobStatus, BackgroundService, StepOutcome } from "./contract.js"
import { FAILURES_TO_REPORT, FailuresInARow, PassFailed } from "./failures-in-a-row.js"
import { mapBounded } from "./map-bounded.js"
import type { JobPace } from "./pace-core.js"
import { nextPace, PACE_AT_START, THROTTLE_MAX } from "./pace-core.js"
import { Rest } from "./rest.js"

export const THROTTLE_DEFAULT = 2
export const JOBS_MAX = 1_000
/** How often a paused job checks whether it is still paused; waking it checks immediately. */
const PAUSED_CHECK_MS = 1_000

/** One job and its status. */
class PacedJob {
  #pace: JobPace = PACE_AT_START
  readonly #failures: FailuresInARow
  /** The latest failure was that of a pass: steps of the next pass do not end it. */
  #hasPassFailed = false
  readonly #rest: Rest
  throttle = THROTTLE_DEFAULT

  constructor(
    readonly job: Job,
    private readonly clock: Clock,
    telemetry: Telemetry,
    private readonly isPaused: () => boolean,
  ) {
    this.#failures = new FailuresInARow(job.name, telemetry)
    this.#rest = new Rest(clock)
  }

  get status(): JobStatus {
    return {
      name: this.job.name,
      state: this.#failures.count > 0 ? "failed" : this.#pace.state,
      failuresInARow: this.#failures.count,
      isPaused: this.isPaused(),
      progress: `${this.isPaused() ? "paused; " : ""}${this.job.progress()}`,
      lastError: this.#failures.lastError,
      throttle: this.throttle,
    }
  }

  get failure(): Pick<JobStatus, "name" | "failuresInARow"> {
    return { name: this.job.name, failuresInARow: this.#failures.count }
  }

  /** Ends a rest, or skips the next one if a step is running: the step may have checked too early. */
  wake(): void {
    this.#rest.wake()
  }

  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted && this.#pace.state !== "done") {
      this.#rest.forget()
      if (this.isPaused()) {
        await this.#rest.until(PAUSED_CHECK_MS, signal)
        continue
      }
      const startedMs = this.clock.monotonicMs()
      const outcome = await this.#step(signal)
      if (outcome !== undefined)
        this.#pace = nextPace(this.#pace, outcome, this.clock.monotonicMs() - startedMs, this.throttle)
      // Even without a rest the event loop has its turn, so that a busy job does not starve others.
      await this.#rest.until(this.#restMsAfter(outcome), signal)
    }
  }

  #restMsAfter(outcome: StepOutcome | undefined): number {
    if (outcome === undefined) return this.#failures.restMs
    const dueInMs = outcome === "idle" ? (this.job.dueInMs?.() ?? Infinity) : Infinity
    return Math.min(this.#pace.restMs, dueInMs)
  }

  /** Returns undefined if the step failed. */
  async #step(signal: AbortSignal): Promise<StepOutcome | undefined> {
    try {
      const outcome = await this.job.step(signal)
      if (!this.#hasPassFailed || outcome === "idle" || outcome === "done") this.#failures.succeeded()
      return outcome
    } catch (error) {
      if (signal.aborted) return "idle"
      this.#failures.failed(error)
      this.#hasPassFailed = error instanceof PassFailed
      return undefined
    }
  }
}

export class JobRunner implements BackgroundService {
  readonly #jobs: ReadonlyMap<string, PacedJob>

  /** `isPaused`: whether the job of this name is paused; a paused job takes no steps. */
  constructor(
    readonly name: string,
    jobs: readonly Job[],
    clock: Clock,
    telemetry: Telemetry,
    isPaused: (jobName: string) => boolean = () => false,
  ) {
    this.#jobs = new Map(jobs.map(job => [job.name, new PacedJob(job, clock, telemetry, () => isPaused(job.name))]))
    assert(this.#jobs.size === jobs.length, "job names are unique")
    assert(jobs.length <= JOBS_MAX, "more jobs than can run side by side")
  }

  async run(signal: AbortSignal): Promise<void> {
    await mapBounded(this.#jobs.values(), JOBS_MAX, paced => paced.run(signal))
  }

  /** Returns the status of every job, in the given order. */
  status(): JobStatus[] {
    return Array.from(this.#jobs.values(), paced => paced.status)
  }

  /** Returns the jobs that have failed several times in a row, without the progress that a status shows. */
  failing(): readonly Pick<JobStatus, "name" | "failuresInARow">[] {
    return Array.from(this.#jobs.values(), paced => paced.failure).filter(
      ({ failuresInARow }) => failuresInARow >= FAILURES_TO_REPORT,
    )
  }

  has(jobName: string): boolean {
    return this.#jobs.has(jobName)
  }

  /** Ends the job's rest because there may be work. Throws `invalidArgument` for an unknown name. */
  wake(jobName: string): void {
    this.#paced(jobName).wake()
  }

  /**
   * Sets the rest of a job as a multiple of its step's duration: 0 is full speed. Throws `invalidArgument` for an
   * unknown name or a value outside 0 … `THROTTLE_MAX`.
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
