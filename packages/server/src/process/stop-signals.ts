/**
 * Stop signals: what SIGINT and SIGTERM mean to a process.
 *
 * The first one asks the command to end. A second one ends the process immediately; only a server that serves ends its
 * wait for clients instead, and still ends in order: the third one ends it immediately.
 */
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { StopRequests } from "./shutdown.js"

/** npm forwards a Ctrl-C that the terminal has already sent: only a later one counts as a further signal. */
const SAME_SIGNAL_MS = 1_000

export class StopSignals implements StopRequests {
  private readonly stopping = new AbortController()
  private readonly hurrying = new AbortController()
  private lastMs: number | undefined
  private serves = false

  /** `exit` ends the process. */
  constructor(
    private readonly clock: Clock,
    private readonly exit: () => void,
  ) {}

  get stop(): AbortSignal {
    return this.stopping.signal
  }

  get hurry(): AbortSignal {
    return this.hurrying.signal
  }

  /** The process has clients. */
  get isServing(): boolean {
    return this.serves
  }

  beginServing(): void {
    this.serves = true
  }

  /** A signal has arrived. */
  take(): void {
    const nowMs = this.clock.monotonicMs()
    if (this.lastMs === undefined) {
      this.lastMs = nowMs
      this.stopping.abort()
      return
    }
    if (nowMs - this.lastMs <= SAME_SIGNAL_MS) return
    this.lastMs = nowMs
    if (!this.isServing || this.hurrying.signal.aborted) this.exit()
    else this.hurrying.abort()
  }
}
