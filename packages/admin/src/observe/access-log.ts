/**
 * Access log: a line for each request that is done, in a file or on standard error.
 *
 * Promises  A request never waits for its line. Lines are in the order of the ends of requests, those of other threads in
 *           the order in which their batches arrive. A sink that fails gets the
 *           same lines again; those that arrive while the queue is full are dropped, counted and warned of. The last lines
 *           are written when the service ends.
 * Refuses   To sync: lines of the last `gatherMs` may be lost if the process is killed, and more by a power cut.
 * Limits    `ACCESS_LOG_LIMITS`.
 */
import { MIB } from "@hayloft/base/limits.js"
import type { FinishedRequest, RequestWatch } from "@hayloft/protocols/http/index.js"
import type { BackgroundService } from "@hayloft/base/life/index.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { Counter, Telemetry } from "@hayloft/base/seams/telemetry/contract.js"
import { accessLineOf, type AccessLogFormat } from "./access-log-core.js"
import type { RequestBatch } from "./request-batch.js"

export const ACCESS_LOG_LIMITS = {
  queuedCharactersMax: 8 * MIB,
  /** How long lines wait for others. */
  gatherMs: 500,
  retryMs: 5_000,
  /** Attempts to write the last lines. */
  lastAttempts: 2,
} as const

/** Appends whole lines. */
type WriteLines = (lines: Uint8Array) => Promise<void>

export class AccessLog implements RequestWatch, BackgroundService {
  readonly name = "access-log"
  private lines: string[] = []
  private characters = 0
  private dropped = 0
  private isFailing = false
  private wake: () => void = () => undefined
  private readonly count: Readonly<Record<"written" | "dropped", Counter>>

  constructor(
    private readonly clock: Clock,
    private readonly telemetry: Telemetry,
    private readonly settings: {
      readonly format: AccessLogFormat
      /** Returns undefined on one machine. */
      readonly node: () => string | undefined
      /** For messages. */
      readonly place: string
      readonly write: WriteLines
    },
  ) {
    const { metrics } = telemetry
    this.count = {
      written: metrics.counter("hayloft_access_log_lines_total", "Lines written to the access log"),
      dropped: metrics.counter(
        "hayloft_access_log_dropped_total",
        "Lines that the access log lacks since they could not be written in time",
      ),
    }
  }

  finished(server: string, request: FinishedRequest): void {
    const { format, node } = this.settings
    const line = accessLineOf(format, { server, node: node(), atMs: this.clock.wallMs(), request })
    if (line !== undefined) this.add(line)
  }

  /** Lines of requests that another thread has finished. */
  replay({ lines, linesDropped }: Pick<RequestBatch, "lines" | "linesDropped">): void {
    for (const line of lines) this.add(line)
    if (linesDropped > 0) this.drop(linesDropped)
  }

  private drop(lines: number): void {
    this.dropped += lines
    this.count.dropped.add(undefined, lines)
  }

  private add(line: string): void {
    if (this.characters + line.length > ACCESS_LOG_LIMITS.queuedCharactersMax) return this.drop(1)
    this.lines.push(line)
    this.characters += line.length
    if (this.lines.length === 1) this.wake()
  }

  async run(signal: AbortSignal): Promise<void> {
    const onStop = (): void => this.wake()
    signal.addEventListener("abort", onStop)
    try {
      while (!signal.aborted) {
        if (this.lines.length === 0) await new Promise<void>(resolve => (this.wake = resolve))
        await this.clock.sleep(ACCESS_LOG_LIMITS.gatherMs, signal)
        if (!(await this.flush())) await this.clock.sleep(ACCESS_LOG_LIMITS.retryMs, signal)
      }
      for (let attempt = 0; attempt < ACCESS_LOG_LIMITS.lastAttempts && this.lines.length > 0; attempt += 1) {
        await this.flush()
      }
    } finally {
      signal.removeEventListener("abort", onStop)
    }
  }

  /** Writes the lines of the queue. @returns whether that worked. */
  private async flush(): Promise<boolean> {
    const { lines } = this
    if (lines.length === 0) return true
    this.lines = []
    const { place, write } = this.settings
    const { log } = this.telemetry
    const text = lines.join("")
    try {
      await write(Buffer.from(text))
    } catch (error) {
      if (!this.isFailing) log.warn("access_log_failed", { place, reason: String(error) })
      this.isFailing = true
      this.lines = [...lines, ...this.lines]
      return false
    }
    this.characters -= text.length
    this.isFailing = false
    this.count.written.add(undefined, lines.length)
    if (this.dropped > 0) log.warn("access_log_lines_dropped", { place, lines: this.dropped })
    this.dropped = 0
    return true
  }
}
