/**
 * Telemetry: log lines and metrics, passed in like every other seam.
 *
 * A log line is an event name with fields; no field ever holds a secret. Metrics have a closed shape
 * (counter, gauge, histogram) and bounded label values.
 */
import type { Tracer } from "../../trace.js"

export type LogLevel = "debug" | "info" | "warn" | "error"
export type Fields = Readonly<Record<string, string | number | boolean | undefined>>

export interface Log {
  /** Returns true if lines of this level are written, for callers whose fields are costly to compute. */
  writes(level: LogLevel): boolean
  debug(event: string, fields?: Fields): void
  info(event: string, fields?: Fields): void
  warn(event: string, fields?: Fields): void
  error(event: string, fields?: Fields): void
}

/** Frozen labels are looked up faster, which pays off if every request uses the same ones. */
export type Labels = Readonly<Record<string, string>>

export interface Counter {
  add(labels?: Labels, by?: number): void
  /** One of its series, for callers that add to it too often to look it up each time. */
  of(labels: Labels): Series
}

export interface Series {
  add(by?: number): void
}

export interface Histogram {
  observe(value: number, labels?: Labels): void
}

/**
 * How the rows that several threads of one process have for the same labels become one: they add up, those of the first
 * thread that has the row count alone (facts of the store, or of the process, which each of them would repeat), or the
 * largest counts.
 */
export type Merge = "sum" | "first" | "largest"

type Read = () => Iterable<readonly [Labels, number]>

export interface Metrics {
  counter(name: string, help: string): Counter
  histogram(name: string, help: string, buckets: readonly number[]): Histogram
  /** A sum since the start that its owner keeps; read when scraped. Without `merge` those of several threads add up. */
  total(name: string, help: string, read: Read, merge?: "sum" | "first"): void
  /** Read when scraped. Without `merge` those of several threads add up. */
  gauge(name: string, help: string, read: Read, merge?: Merge): void
  /** Quantiles, each under its label `quantile`; read when scraped. The largest of several threads counts. */
  summary(name: string, help: string, read: Read): void
}

/**
 * The same metrics for what is known of a whole store, or process: each thread that registers it would show the same
 * gauges and totals, so that those of the first one count alone.
 */
export const sharedMetrics = (metrics: Metrics): Metrics => ({
  counter: (name, help) => metrics.counter(name, help),
  histogram: (name, help, buckets) => metrics.histogram(name, help, buckets),
  total: (name, help, read) => metrics.total(name, help, read, "first"),
  gauge: (name, help, read) => metrics.gauge(name, help, read, "first"),
  summary: (name, help, read) => metrics.summary(name, help, read),
})

export interface Telemetry {
  readonly log: Log
  readonly metrics: Metrics
  /** The tracer is undefined if nothing is traced. */
  readonly tracer?: Tracer | undefined
}
