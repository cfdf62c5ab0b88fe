/**
 * Telemetry: log lines and metrics, handed in like every other seam.
 *
 * A log line is an event name with fields; no field ever holds a secret. Metrics have a closed shape
 * (counter, gauge, histogram) and bounded label values.
 */
export type LogLevel = "debug" | "info" | "warn" | "error"
export type Fields = Readonly<Record<string, string | number | boolean | undefined>>

export interface Log {
  /** Whether such a line is written at all, for whoever would have to work for its fields. */
  writes(level: LogLevel): boolean
  debug(event: string, fields?: Fields): void
  info(event: string, fields?: Fields): void
  warn(event: string, fields?: Fields): void
  error(event: string, fields?: Fields): void
}

/** Frozen ones are found faster: worth it where the same are used for every request. */
export type Labels = Readonly<Record<string, string>>

export interface Counter {
  add(labels?: Labels, by?: number): void
  /** One of its series, for whoever adds to it so often that finding it would cost. */
  of(labels: Labels): Series
}

export interface Series {
  add(by?: number): void
}

export interface Histogram {
  observe(value: number, labels?: Labels): void
}

export interface Metrics {
  counter(name: string, help: string): Counter
  histogram(name: string, help: string, buckets: readonly number[]): Histogram
  /** Read when scraped. */
  gauge(name: string, help: string, read: () => Iterable<readonly [Labels, number]>): void
}

export interface Telemetry {
  readonly log: Log
  readonly metrics: Metrics
}
