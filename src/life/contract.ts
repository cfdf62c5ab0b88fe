/**
 * Living things: whatever runs in the background starts with a signal and ends when it fires.
 *
 * A `BackgroundService` owns a loop; a `Job` is one small step at a time, so that a runner can pace it, show
 * its progress and stop it between steps (after Garage's workers and Omicron's reconcilers).
 */
export interface BackgroundService {
  readonly name: string
  /** Resolves when stopped by the signal; rejecting asks the supervisor for a restart with back-off. */
  run(signal: AbortSignal): Promise<void>
}

export type StepOutcome = "busy" | "throttled" | "idle" | "done"

export interface JobStatus {
  readonly name: string
  readonly state: StepOutcome | "failed"
  readonly progress: string
  readonly lastError: string | undefined
  /** How long it rests after a step, as a multiple of how long the step took. */
  readonly throttle: number
}

export interface Job {
  readonly name: string
  /** One small unit of work; never interrupted in the middle. */
  step(signal: AbortSignal): Promise<StepOutcome>
  progress(): string
}
