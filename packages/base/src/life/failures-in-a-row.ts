/**
 * Failures in a row: the record of work that is repeated, of a job or of a loop.
 *
 * Promises  Each failure is logged as `job_failed`, with how many there were in a row, and shows in `hayloft_job_failing`
 *           until the work has succeeded. The rest before the next attempt doubles with each failure, up to a minute.
 */
import { AssertionError } from "../assert.js"
import { isFailure, type Failure, type Remedy } from "../failures.js"
import type { Telemetry } from "../seams/telemetry/contract.js"
import { doubledMs } from "./pace-core.js"

const REST_LIMITS = { firstMs: 1_000, mostMs: 60_000 } as const

/** From so many failures in a row on, health says that a job fails: fewer are often a device or a database that comes back. */
export const FAILURES_TO_REPORT = 3

/**
 * Thrown by the last step of a pass in which something failed while the pass went on with the rest. Only a pass that ends
 * without it ends the failures in a row: steps that succeed in between say nothing about it.
 */
export class PassFailed extends Error {
  /** `restMs`: how long a job that goes over the whole store rests before the next pass, instead of up to a minute. */
  constructor(
    message: string,
    readonly restMs?: number,
  ) {
    super(message)
  }
}

const WAITED_OUT: readonly Remedy[] = ["reread", "backOff", "addSpace"]

/** A failure that passes without the job's doing, and that health shows where it comes from: a device, a node, a database. */
export const isWaitedOut = (failure: Failure): boolean =>
  WAITED_OUT.includes(failure.remedy) || isFailure(failure, "notEnoughShards")

export class FailuresInARow {
  private inARow = 0
  private last: string | undefined
  private ownRestMs: number | undefined

  constructor(
    private readonly job: string,
    private readonly telemetry: Pick<Telemetry, "log" | "metrics">,
  ) {
    const isFailing = (): number => (this.inARow > 0 ? 1 : 0)
    const help = "1 while a job's latest attempt failed"
    telemetry.metrics.gauge("hayloft_job_failing", help, () => [[{ job }, isFailing()]], "largest")
  }

  get count(): number {
    return this.inARow
  }

  /** The latest error, also after the work has succeeded again. */
  get lastError(): string | undefined {
    return this.last
  }

  /** Rest before the next attempt; 0 if the latest one succeeded. */
  get restMs(): number {
    return this.inARow === 0 ? 0 : (this.ownRestMs ?? doubledMs(this.inARow, REST_LIMITS))
  }

  failed(error: unknown): void {
    this.inARow += 1
    this.last = String(error)
    this.ownRestMs = error instanceof PassFailed ? error.restMs : undefined
    const shown = error instanceof AssertionError ? (error.stack ?? error.message) : this.last
    this.telemetry.log.error("job_failed", { job: this.job, failures: this.inARow, error: shown })
  }

  succeeded(): void {
    this.inARow = 0
  }
}
