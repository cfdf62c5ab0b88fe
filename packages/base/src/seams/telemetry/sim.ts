/**
 * Telemetry for tests and simulation: nothing is written, everything can be queried.
 *
 * Limits    the newest `ENTRIES_MAX` log entries are kept.
 */
import type { Fields, Labels, Log, LogLevel, Telemetry } from "./contract.js"
import { MetricsInMemory } from "./metrics.js"

const ENTRIES_MAX = 10_000

interface LogEntry {
  readonly level: LogLevel
  readonly event: string
  readonly fields: Fields
}

export class SimTelemetry implements Telemetry {
  readonly metrics = new MetricsInMemory()
  readonly log: Log = {
    writes: () => true,
    debug: (event, fields) => this.#keep("debug", event, fields),
    info: (event, fields) => this.#keep("info", event, fields),
    warn: (event, fields) => this.#keep("warn", event, fields),
    error: (event, fields) => this.#keep("error", event, fields),
  }
  readonly #entries: LogEntry[] = []

  /** Log entries of this event, or all of them, oldest first. */
  entries(event?: string): readonly LogEntry[] {
    return event === undefined ? this.#entries : this.#entries.filter(entry => entry.event === event)
  }

  /** The value of a counter or gauge, or the count of a histogram; 0 if it has none. */
  metric(name: string, labels: Labels = {}): number {
    return this.metrics.value(name, labels) ?? 0
  }

  #keep(level: LogLevel, event: string, fields: Fields = {}): void {
    this.#entries.push({ level, event, fields })
    if (this.#entries.length > ENTRIES_MAX) this.#entries.shift()
  }
}
