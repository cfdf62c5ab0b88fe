/**
 * What a command may touch of the world: its arguments' environment, three streams, the clock, and the programs that it
 * starts.
 *
 * Handed in, so that tests run commands without a process. The process's own is in `src/main/main.ts`.
 */
import type { Clock } from "../seams/clock/contract.js"
import type { Environment, ServeConfig } from "../config/index.js"
import type { RescueRequest, RescueSummary } from "../rescue/index.js"

/** What runs a whole store in this process. */
interface Programs {
  /** Serves until the signal fires. Throws one clear line, with nothing touched, where it cannot start. */
  serve(config: ServeConfig, io: CliIo, signal: AbortSignal): Promise<void>
  /** Throws what speaks against folders or settings before anything is written; the signal's reason when it fires. */
  rescue(request: RescueRequest, io: CliIo, signal: AbortSignal): Promise<RescueSummary>
}

export interface CliIo {
  readonly programs: Programs
  readonly environment: Environment
  readonly workingFolder: string
  readonly clock: Clock
  /** Bytes or text to standard output; resolves when they were taken. */
  out(data: string | Uint8Array): Promise<void>
  /** Text to standard error, as it is. */
  error(text: string): void
  /** Standard input. */
  readonly input: AsyncIterable<Uint8Array>
  /** A person types there: they may be asked. */
  readonly inputIsTerminal: boolean
  /** A person watches standard error: progress may be drawn there. */
  readonly errorIsTerminal: boolean
}
