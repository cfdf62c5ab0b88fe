/**
 * Metrics in memory. `metrics-text-core.ts` renders them.
 *
 * Two requests for one name return the same instrument, so that each device may request its own; a gauge
 * requested twice shows the rows of both.
 *
 * Limits    `SERIES_MAX` label combinations for each metric: further ones are counted under "other",
 *           so that no caller's input can grow the memory or the scrape without bound.
 */
import { assert } from "../../assert.js"
import type { Counter, Histogram, Labels, Merge, Metrics, Series } from "./contract.js"
import { escapeLabel, OTHER, renderMetrics, SERIES_MAX } from "./metrics-text-core.js"
import type { InstrumentSnapshot, MetricsSnapshot } from "./metrics-text-core.js"

const METRIC_NAME = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/
const LABEL_NAME = /^[a-zA-Z_][a-zA-Z0-9_]*$/

/** `a="1",b="2"`: the labels in one order, which is also the key of their series. */
function seriesKeyOf(labels: Labels): string {
  const names = Object.keys(labels)
  if (names.length === 0) return ""
  return names
    .sort()
    .map(name => `${name}="${escapeLabel(labels[name] ?? "")}"`)
    .join(",")
}

/** One value per label combination, up to a bound. */
class Values<Value> {
  readonly #values = new Map<string, Value>()
  /** Frozen labels, which callers reuse: looked up without composing the key. */
  readonly #known = new WeakMap<Labels, Value>()

  constructor(private readonly make: () => Value) {}

  of(labels: Labels): Value {
    const known = this.#known.get(labels)
    if (known !== undefined) return known
    const value = this.#find(labels)
    if (Object.isFrozen(labels)) this.#known.set(labels, value)
    return value
  }

  #find(labels: Labels): Value {
    const key = seriesKeyOf(labels)
    const known = this.#values.get(key)
    if (known !== undefined) return known
    for (const name of Object.keys(labels)) assert(LABEL_NAME.test(name), () => `not a label name: ${name}`)
    if (this.#values.size >= SERIES_MAX) return this.#overflow(labels)
    return this.#add(key)
  }

  get(labels: Labels): Value | undefined {
    return this.#values.get(seriesKeyOf(labels))
  }

  entries(): Iterable<readonly [string, Value]> {
    return this.#values
  }

  #overflow(labels: Labels): Value {
    const key = seriesKeyOf(Object.fromEntries(Object.keys(labels).map(name => [name, OTHER])))
    return this.#values.get(key) ?? this.#add(key)
  }

  #add(key: string): Value {
    const value = this.make()
    this.#values.set(key, value)
    return value
  }
}

type Snapshot = Omit<InstrumentSnapshot, "name" | "help">

interface Instrument {
  snapshot(): Snapshot
  /** A counter's sum, a gauge's reading, or the number of a histogram's observations. */
  value(labels: Labels): number | undefined
}

function snapshotOf<Value>(
  type: Snapshot["type"],
  merge: Merge,
  series: Iterable<readonly [string, Value]>,
  valueOf: (value: Value) => number,
): Snapshot {
  const all = Array.from(series)
  const values = Float64Array.from(all, ([, value]) => valueOf(value))
  return { type, merge, keys: all.map(([key]) => key), values }
}

class Sum implements Series {
  sum = 0

  add(by = 1): void {
    assert(by >= 0 && Number.isFinite(by), "a counter only grows")
    this.sum += by
  }
}

class CounterInstrument implements Instrument, Counter {
  readonly #series = new Values(() => new Sum())

  add(labels: Labels = {}, by = 1): void {
    this.#series.of(labels).add(by)
  }

  of(labels: Labels): Series {
    return this.#series.of(labels)
  }

  value(labels: Labels): number | undefined {
    return this.#series.get(labels)?.sum
  }

  snapshot(): Snapshot {
    return snapshotOf("counter", "sum", this.#series.entries(), ({ sum }) => sum)
  }
}

class HistogramInstrument implements Instrument, Histogram {
  readonly #series: Values<{ counts: number[]; sum: number; count: number }>

  constructor(private readonly bounds: readonly number[]) {
    assert(
      bounds.every((bound, i) => Number.isFinite(bound) && bound > (bounds[i - 1] ?? -Infinity)),
      "bucket bounds ascend",
    )
    this.#series = new Values(() => ({ counts: bounds.map(() => 0), sum: 0, count: 0 }))
  }

  observe(value: number, labels: Labels = {}): void {
    assert(Number.isFinite(value), "a histogram takes finite numbers")
    const series = this.#series.of(labels)
    const bucket = this.bounds.findIndex(bound => value <= bound)
    if (bucket !== -1) series.counts[bucket] = (series.counts[bucket] ?? 0) + 1
    series.sum += value
    series.count += 1
  }

  value(labels: Labels): number | undefined {
    return this.#series.get(labels)?.count
  }

  snapshot(): Snapshot {
    const series = Array.from(this.#series.entries())
    const values = series.flatMap(([, { counts, sum, count }]) => counts.concat(sum, count))
    return {
      type: "histogram",
      merge: "sum",
      bounds: this.bounds,
      keys: series.map(([key]) => key),
      values: Float64Array.from(values),
    }
  }
}

type Read = () => Iterable<readonly [Labels, number]>

/** Rows of others, read when scraped. */
abstract class ReadInstrument implements Instrument {
  protected abstract readonly type: "gauge" | "counter" | "summary"
  readonly #reads: Read[] = []

  constructor(private readonly merge: Merge) {}

  join(read: Read): void {
    this.#reads.push(read)
  }

  value(labels: Labels): number | undefined {
    return this.#rows().get(seriesKeyOf(labels))
  }

  snapshot(): Snapshot {
    return snapshotOf(this.type, this.merge, this.#rows(), value => value)
  }

  /** The latest reader of a row wins, and rows past the bound are left out, since a sum of gauges is meaningless. */
  #rows(): Map<string, number> {
    const rows = new Map<string, number>()
    for (const read of this.#reads) {
      for (const [labels, value] of read()) {
        if (rows.size < SERIES_MAX) rows.set(seriesKeyOf(labels), value)
      }
    }
    return rows
  }
}

class GaugeInstrument extends ReadInstrument {
  protected readonly type = "gauge"
}

class SummaryInstrument extends ReadInstrument {
  protected readonly type = "summary"
}

class TotalInstrument extends ReadInstrument {
  protected readonly type = "counter"
}

export class MetricsInMemory implements Metrics {
  readonly #instruments = new Map<string, { help: string; instrument: Instrument }>()

  counter(name: string, help: string): Counter {
    return this.#instrument(name, help, CounterInstrument, () => new CounterInstrument())
  }

  histogram(name: string, help: string, buckets: readonly number[]): Histogram {
    return this.#instrument(name, help, HistogramInstrument, () => new HistogramInstrument(buckets))
  }

  total(name: string, help: string, read: Read, merge: Merge = "sum"): void {
    this.#instrument(name, help, TotalInstrument, () => new TotalInstrument(merge)).join(read)
  }

  gauge(name: string, help: string, read: Read, merge: Merge = "sum"): void {
    this.#instrument(name, help, GaugeInstrument, () => new GaugeInstrument(merge)).join(read)
  }

  summary(name: string, help: string, read: Read): void {
    this.#instrument(name, help, SummaryInstrument, () => new SummaryInstrument("largest")).join(read)
  }

  /** The present value of a metric; undefined if it has none under these labels. */
  value(name: string, labels: Labels = {}): number | undefined {
    return this.#instruments.get(name)?.instrument.value(labels)
  }

  /** Everything as plain data, for another thread. */
  snapshot(): MetricsSnapshot {
    return Array.from(this.#instruments, ([name, { help, instrument }]) => ({ name, help, ...instrument.snapshot() }))
  }

  /** Everything as Prometheus text, by name. */
  render(): string {
    return renderMetrics([this.snapshot()])
  }

  #instrument<Kind extends Instrument>(
    name: string,
    help: string,
    kind: abstract new (...args: never[]) => Kind,
    make: () => Kind,
  ): Kind {
    assert(METRIC_NAME.test(name), () => `not a metric name: ${name}`)
    const known = this.#instruments.get(name)?.instrument
    if (known !== undefined) {
      assert(known instanceof kind, () => `metric ${name} is two kinds of thing`)
      return known
    }
    const instrument = make()
    this.#instruments.set(name, { help, instrument })
    return instrument
  }
}
