/**
 * Background services and jobs: everything that runs in the background starts with a signal and ends when it fires.
 *
 * A `BackgroundService` owns a loop; a `Job` takes one small step at a time, so that a runner can pace it, show its
 * progress and stop it between steps (after Garage's workers and Omicron's reconcilers).
 */
export interface BackgroundService {
  readonly name: string
  /** Resolves when the signal stops it. The supervisor restarts a rejected run with back-off. */
  run(signal: AbortSignal): Promise<void>
}

export type StepOutcome = "busy" | "throttled" | "idle" | "done"

export interface JobStatus {
  readonly name: string
  readonly state: StepOutcome | "failed"
  /** It takes no steps. */
  readonly isPaused: boolean
  readonly progress: string
  /** Failed steps, or passes, since the latest that succeeded. */
  readonly failuresInARow: number
  readonly lastError: string | undefined
  /** Rest after a step, as a multiple of the step's duration. */
  readonly throttle: number
}

export interface Job {
  readonly name: string
  /** Does one small unit of work; the runner never interrupts it. */
  step(signal: AbortSignal): Promise<StepOutcome>
  /** How soon an idle job has work that it knows of. It rests no longer. */
  dueInMs?(): number
  /** Gives up unfinished work that would hold up another process, which does the job from now on. */
  release?(): Promise<void>
  progress(): string
}
