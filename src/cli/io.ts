/**
 * The environment of a command: variables, three streams, the clock, and the programs that it starts.
 *
 * Passed in, so that tests run commands without a process. `src/main/main.ts` provides the process's own.
 */
import type { Clock } from "../seams/clock/contract.js"
import type { Environment, ServeConfig } from "../config/index.js"
import type { RescueRequest, RescueSummary } from "../rescue/index.js"

/** Programs that run a whole store in this process. */
interface Programs {
  /**
   * Serves until the signal fires. If it cannot start, throws a failure with a one-line message and changes nothing.
   */
  serve(config: ServeConfig, io: CliIo, signal: AbortSignal): Promise<void>
  /** Throws errors of folders and settings before anything is written; the signal's reason when it fires. */
  rescue(request: RescueRequest, io: CliIo, signal: AbortSignal): Promise<RescueSummary>
}

export interface CliIo {
  readonly programs: Programs
  readonly environment: Environment
  readonly workingFolder: string
  readonly hostName: string
  readonly clock: Clock
  /** Writes bytes or text to standard output; resolves when they were accepted. */
  out(data: string | Uint8Array): Promise<void>
  /** Writes text to standard error, unchanged. */
  error(text: string): void
  /** Standard input. */
  readonly input: AsyncIterable<Uint8Array>
  /** Standard input is a terminal: commands may ask questions. */
  readonly inputIsTerminal: boolean
  /** Standard error is a terminal: commands may draw progress. */
  readonly errorIsTerminal: boolean
}
