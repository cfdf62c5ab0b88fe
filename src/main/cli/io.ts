/**
 * What a command may touch of the world: its arguments' environment, three streams, the clock.
 *
 * Handed in, so that tests run commands without a process. The process's own is in `main.ts`.
 */
import type { Clock } from "../../seams/clock/contract.js"
import type { Environment } from "../config-core.js"

export interface CliIo {
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
