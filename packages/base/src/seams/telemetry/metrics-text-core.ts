/**
 * Metrics as plain data, which goes from one thread to another, and as Prometheus text (exposition format 0.0.4): that of
 * one thread, or of several as if one had counted everything. Pure.
 *
 * Promises  The text of one snapshot shows it as it is. Of several, counters, and histograms, add up by series; gauges and
 *           totals do what their `merge` says; of each quantile of a summary the largest counts, since quantiles cannot be
 *           added: the one of all threads together is not above it.
 * Limits    `SERIES_MAX` series of each metric, also of all snapshots together: of what adds up since the start, the
 *           further ones are added to "other"; rows of gauges and summaries are left out.
 */
import { assert } from "../../assert.js"
import type { Merge } from "./contract.js"

export const SERIES_MAX = 1_000
export const OTHER = "other"

export interface InstrumentSnapshot {
  readonly name: string
  readonly help: string
  readonly type: "counter" | "gauge" | "histogram" | "summary"
  readonly merge: Merge
  /** The upper bounds of the buckets of a histogram, ascending. */
  readonly bounds?: readonly number[] | undefined
  /** The labels of each series, as they are shown: `a="1",b="2"`. */
  readonly keys: readonly string[]
  /** The value of each series; of a histogram the counts of its buckets, then the sum, then the count of observations. */
  readonly values: Float64Array
}

/** All metrics of a thread: plain data that may be sent to another one. Those of two registries are joined as lists. */
export type MetricsSnapshot = readonly InstrumentSnapshot[]

const escapeHelp = (text: string): string => text.replaceAll("\\", "\\\\").replaceAll("\n", "\\n")

export const escapeLabel = (text: string): string => escapeHelp(text).replaceAll('"', '\\"')

function numberText(value: number): string {
  if (Number.isFinite(value)) return String(value)
  return Number.isNaN(value) ? "NaN" : value > 0 ? "+Inf" : "-Inf"
}

const sample = (name: string, key: string, value: number): string =>
  `${name}${key === "" ? "" : `{${key}}`} ${numberText(value)}\n`

const withLabel = (key: string, label: string): string => (key === "" ? label : `${key},${label}`)

/** The same labels, each with the value "other". */
const otherKeyOf = (key: string): string => key.replaceAll(/="(?:[^"\\]|\\.)*"/g, `="${OTHER}"`)

const COMBINE: Readonly<Record<Merge, (a: number, b: number) => number>> = {
  sum: (a, b) => a + b,
  first: a => a,
  largest: Math.max,
}

/** One metric of all threads. */
class MergedInstrument {
  private readonly series = new Map<string, number[]>()

  constructor(private readonly first: InstrumentSnapshot) {}

  add({ name, type, bounds = [], keys, values }: InstrumentSnapshot): void {
    const { first } = this
    assert(type === first.type && String(bounds) === String(first.bounds ?? []), () => `metric ${name} is two things`)
    const width = type === "histogram" ? bounds.length + 2 : 1
    for (const [i, key] of keys.entries()) this.addSeries(key, values.subarray(i * width, (i + 1) * width))
  }

  snapshot(): InstrumentSnapshot {
    return {
      ...this.first,
      keys: Array.from(this.series.keys()),
      values: Float64Array.from(Array.from(this.series.values()).flat()),
    }
  }

  text(): string {
    const { name, help, type } = this.first
    let text = `# HELP ${name} ${escapeHelp(help)}\n# TYPE ${name} ${type}\n`
    for (const [key, values] of this.series) {
      text += type === "histogram" ? this.histogramText(key, values) : sample(name, key, values[0] ?? NaN)
    }
    return text
  }

  private addSeries(key: string, values: Float64Array): void {
    const known = this.series.get(key)
    if (known !== undefined || this.series.size < SERIES_MAX) return this.combine(key, known, values)
    const { type, merge } = this.first
    if (merge !== "sum" || type === "gauge") return
    const other = otherKeyOf(key)
    this.combine(other, this.series.get(other), values)
  }

  private combine(key: string, known: number[] | undefined, values: Float64Array): void {
    const of = COMBINE[this.first.merge]
    this.series.set(key, known === undefined ? Array.from(values) : known.map((value, i) => of(value, values[i] ?? 0)))
  }

  private histogramText(key: string, values: readonly number[]): string {
    const { name, bounds = [] } = this.first
    const [sum = 0, count = 0] = values.slice(bounds.length)
    let text = ""
    let below = 0
    for (const [i, bound] of bounds.entries()) {
      below += values[i] ?? 0
      text += sample(`${name}_bucket`, withLabel(key, `le="${numberText(bound)}"`), below)
    }
    text += sample(`${name}_bucket`, withLabel(key, 'le="+Inf"'), count)
    return text + sample(`${name}_sum`, key, sum) + sample(`${name}_count`, key, count)
  }
}

function merged(snapshots: readonly MetricsSnapshot[]): readonly MergedInstrument[] {
  const all = new Map<string, MergedInstrument>()
  for (const instrument of snapshots.flat()) {
    const known = all.get(instrument.name) ?? new MergedInstrument(instrument)
    all.set(instrument.name, known)
    known.add(instrument)
  }
  return Array.from(all)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([, instrument]) => instrument)
}

/** Everything as Prometheus text, by name: of several threads as if one had counted it. The first one's help is shown. */
export const renderMetrics = (snapshots: readonly MetricsSnapshot[]): string =>
  merged(snapshots)
    .map(instrument => instrument.text())
    .join("")

/**
 * The metrics of threads that end and are started again.
 *
 * Promises  What an ended thread has counted stays counted, so that no sum falls, provided that its last snapshot is not
 *           older than the last one that was rendered; its gauges, summaries, and what `merge` takes from one thread, vanish.
 */
export class MergedMetrics {
  private ended: MetricsSnapshot = []

  /** A thread has ended; this is its last snapshot. */
  retire(snapshot: MetricsSnapshot): void {
    const lasting = snapshot.filter(({ type, merge }) => type !== "gauge" && merge === "sum")
    this.ended = merged([this.ended, lasting]).map(instrument => instrument.snapshot())
  }

  /** `own`: those of the thread whose rows count alone where only the first ones count. */
  merge(own: MetricsSnapshot, live: readonly MetricsSnapshot[]): MetricsSnapshot {
    return merged([own, this.ended, ...live]).map(instrument => instrument.snapshot())
  }
}
