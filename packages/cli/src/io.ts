/**
 * The environment of a command: variables, three streams, the clock, and the programs that it starts.
 *
 * Passed in, so that tests run commands without a process. `packages/server/src/main.ts` provides the process's own.
 */
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { Environment, MachineSize, ServeConfig } from "@hayloft/node/config/index.js"
import type { RescueRequest, RescueSummary } from "@hayloft/node/rescue/index.js"

/** Programs that run a whole store. */
interface Programs {
  /**
   * Serves in this process until the signal fires. If it cannot start, throws a failure with a one-line message and changes nothing.
   */
  serve(config: ServeConfig, io: CliIo, signal: AbortSignal): Promise<void>
  /**
   * Starts `hayloft serve --config FILE` in the background, with its output to this open file and without the
   * variables of this process that are settings. It outlives this process; resolves if it ends earlier.
   */
  launch(configFile: string, log: number): Promise<void>
  /**
   * Runs a program with the streams of this process and more variables; resolves with its exit code. When the signal fires
   * the program is asked to end, and killed if it has not after `killAfterMs`; so are the programs that it has started,
   * unless standard input is a terminal. It does not outlive this process. Throws if it cannot be started.
   */
  run(program: readonly string[], variables: Environment, signal: AbortSignal, killAfterMs: number): Promise<number>
  /** Throws errors of folders and settings before anything is written; the signal's reason when it fires. */
  rescue(request: RescueRequest, io: CliIo, signal: AbortSignal): Promise<RescueSummary>
}

/** A terminal for commands that fill the screen. */
export interface Terminal {
  size(): { readonly columns: number; readonly rows: number }
  /** Takes the whole screen, and keys as they are typed, until the returned function is called or the process ends. */
  open(onKey: (key: string) => void): () => void
}

export interface CliIo {
  readonly programs: Programs
  readonly environment: Environment
  readonly workingFolder: string
  readonly hostName: string
  /** It decides how many threads serve; undefined: one, whatever the machine is. */
  readonly machine?: MachineSize
  readonly clock: Clock
  /** Writes bytes or text to standard output; resolves when they were accepted. */
  out(data: string | Uint8Array): Promise<void>
  /** Writes text to standard error, unchanged. */
  error(text: string): void
  /** Standard input. */
  readonly input: AsyncIterable<Uint8Array>
  /** Standard input is a terminal: commands may ask questions. */
  readonly inputIsTerminal: boolean
  /** Standard output is a terminal: commands may colour lines. */
  readonly outIsTerminal: boolean
  /** It is undefined unless both standard input and output are terminals. */
  readonly terminal?: Terminal | undefined
  /** Standard error is a terminal: commands may draw progress. */
  readonly errorIsTerminal: boolean
}
