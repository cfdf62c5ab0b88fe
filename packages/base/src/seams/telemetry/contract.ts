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

export interface Metrics {
  counter(name: string, help: string): Counter
  histogram(name: string, help: string, buckets: readonly number[]): Histogram
  /** A sum since the start that its owner keeps; read when scraped. */
  total(name: string, help: string, read: () => Iterable<readonly [Labels, number]>): void
  /** Read when scraped. */
  gauge(name: string, help: string, read: () => Iterable<readonly [Labels, number]>): void
  /** Quantiles, each under its label `quantile`; read when scraped. */
  summary(name: string, help: string, read: () => Iterable<readonly [Labels, number]>): void
}

export interface Telemetry {
  readonly log: Log
  readonly metrics: Metrics
  /** The tracer is undefined if nothing is traced. */
  readonly tracer?: Tracer | undefined
}
