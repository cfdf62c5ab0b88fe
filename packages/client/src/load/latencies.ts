/** Latencies of one run and their summary. Pure. */
export interface Summary {
  readonly count: number
  readonly errors: number
  readonly seconds: number
  readonly operationsPerSecond: number
  readonly megabytesPerSecond: number
  readonly p50Ms: number
  readonly p95Ms: number
  readonly p99Ms: number
  readonly maxMs: number
}

const round = (value: number): number => (value >= 100 ? Math.round(value) : Number(value.toPrecision(3)))

/** The smallest value that is at least as large as this share of all values; 0 for none. */
function percentile(sorted: ArrayLike<number>, share: number): number {
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? 0
}

export class Latencies {
  readonly #valuesMs: number[] = []
  #bytes = 0
  #errors = 0

  record(durationMs: number, bytes: number): void {
    this.#valuesMs.push(durationMs)
    this.#bytes += bytes
  }

  fail(): void {
    this.#errors += 1
  }

  summary(seconds: number): Summary {
    const sorted = Float64Array.from(this.#valuesMs).sort()
    return {
      count: sorted.length,
      errors: this.#errors,
      seconds: round(seconds),
      operationsPerSecond: round(sorted.length / seconds),
      megabytesPerSecond: round(this.#bytes / 1e6 / seconds),
      p50Ms: round(percentile(sorted, 0.5)),
      p95Ms: round(percentile(sorted, 0.95)),
      p99Ms: round(percentile(sorted, 0.99)),
      maxMs: round(sorted.at(-1) ?? 0),
    }
  }
}
