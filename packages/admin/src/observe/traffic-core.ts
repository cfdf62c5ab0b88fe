/**
 * Traffic in windows of time: requests, errors, bytes and a histogram of durations, in rings of slots. Pure.
 *
 * Promises  Counting allocates nothing. Quantiles are exact to the width of their bin: a factor of `BIN_FACTOR`.
 * Limits    The memory of a series is fixed: about 150 bytes for each slot of its rings.
 */
import { TRAFFIC_BINS, type TrafficCounts } from "@hayloft/engine/format/nodes/live-report.js"
import type { FinishedRequest } from "@hayloft/protocols/http/index.js"

/** A finished request, as far as it is counted. */
export type Counted = Pick<
  FinishedRequest,
  "status" | "subject" | "receivedBytes" | "sentBytes" | "polledMs" | "notes"
> & {
  readonly timing: Pick<FinishedRequest["timing"], "totalMs">
}

/**
 * The same as plain data. Its status is 0 if it got no response, its duration has no time of polls, and its bucket and
 * account are those that may be named; an error has its code.
 */
export type CountedRequest = readonly [
  status: number,
  receivedBytes: number,
  sentBytes: number,
  durationMs: number,
  bucket: string | undefined,
  account: string | undefined,
  operation: string | undefined,
  code: string | undefined,
]

/** The name of an operation, or the code of an error, that the protocol has noted: of a fixed set. */
export const noted = (note: unknown): string | undefined => (typeof note === "string" ? note : undefined)

export const countedOf = ({
  status = 0,
  receivedBytes,
  sentBytes,
  polledMs,
  timing,
  subject,
  notes,
}: Counted): CountedRequest => [
  status,
  receivedBytes,
  sentBytes,
  timing.totalMs - polledMs,
  subject?.admittedTo,
  subject?.accountId,
  noted(notes["operation"]),
  noted(notes["failure"]),
]

/** The port whose requests are not traffic of clients, but for those of signed protocols. */
const ADMIN = "admin"

/** A request of the admin API has no subject. */
export const isTraffic = (server: string, { subject }: Pick<FinishedRequest, "subject">): boolean =>
  server !== ADMIN || subject !== undefined

/** The figures that were counted in a window, as they are shown. */
export interface TrafficFigures {
  readonly requests: number
  /** Answered with 4xx, or not at all because the client left. */
  readonly clientErrors: number
  /** Answered with 5xx. */
  readonly serverErrors: number
  readonly receivedBytes: number
  readonly sentBytes: number
  /** It is absent, like the others, without requests. */
  readonly p50Ms?: number
  readonly p90Ms?: number
  readonly p99Ms?: number
}

export interface RingShape {
  readonly slots: number
  readonly slotMs: number
}

const { count: BINS, firstEndMs: FIRST_BIN_MS, factor: BIN_FACTOR } = TRAFFIC_BINS
const [CLIENT_ERROR_STATUS, SERVER_ERROR_STATUS] = [400, 500]
/** The indices of the counts of a slot: these three, then the bins. */
const [REQUESTS, CLIENT_ERRORS, SERVER_ERRORS, FIRST_BIN] = [0, 1, 2, 3]
const STRIDE = FIRST_BIN + BINS
const LOG_FACTOR = Math.log(BIN_FACTOR)

/** The bin of a duration. */
export const binOf = (durationMs: number): number =>
  durationMs <= FIRST_BIN_MS
    ? 0
    : Math.min(BINS - 1, Math.ceil(Math.log(durationMs / FIRST_BIN_MS) / LOG_FACTOR - 1e-9))

const endOfBin = (bin: number): number => FIRST_BIN_MS * BIN_FACTOR ** bin

/** The duration below which this share of the counts is; a bin's durations are taken as evenly spread. */
function quantile(bins: readonly number[], total: number, share: number): number {
  let rest = total * share
  for (const [bin, count] of bins.entries()) {
    if (rest > count || count === 0) {
      rest -= count
      continue
    }
    const startMs = bin === 0 ? 0 : endOfBin(bin - 1)
    return startMs + (endOfBin(bin) - startMs) * (rest / count)
  }
  return endOfBin(bins.length - 1)
}

/** All of them together. */
export function sumOfTraffic(all: readonly TrafficCounts[]): TrafficCounts {
  const sum = (of: (counts: TrafficCounts) => number): number => all.reduce((total, counts) => total + of(counts), 0)
  const bins = Math.max(0, ...all.map(counts => counts.bins.length))
  return {
    requests: sum(({ requests }) => requests),
    clientErrors: sum(({ clientErrors }) => clientErrors),
    serverErrors: sum(({ serverErrors }) => serverErrors),
    sentBytes: sum(({ sentBytes }) => sentBytes),
    receivedBytes: sum(({ receivedBytes }) => receivedBytes),
    bins: Array.from({ length: bins }, (_, bin) => sum(counts => counts.bins[bin] ?? 0)),
  }
}

export function figuresOf({ bins, ...counts }: TrafficCounts): TrafficFigures {
  if (counts.requests === 0) return counts
  const at = (share: number): number => rounded(quantile(bins, counts.requests, share))
  return { ...counts, p50Ms: at(0.5), p90Ms: at(0.9), p99Ms: at(0.99) }
}

const rounded = (durationMs: number): number => Number(durationMs.toPrecision(3))

/** Slots of equal length, of which the latest are kept. */
export class Ring {
  /** Which slot of time each one holds; -1: none. */
  private readonly numbers: Float64Array
  private readonly counts: Uint32Array
  /** Received and sent, of each slot. */
  private readonly bytes: Float64Array

  constructor(private readonly shape: RingShape) {
    this.numbers = new Float64Array(shape.slots).fill(-1)
    this.counts = new Uint32Array(shape.slots * STRIDE)
    this.bytes = new Float64Array(shape.slots * 2)
  }

  add(nowMs: number, status: number, bin: number, receivedBytes: number, sentBytes: number): void {
    const number = Math.floor(nowMs / this.shape.slotMs)
    const slot = number % this.shape.slots
    if (this.numbers[slot] !== number) this.begin(slot, number)
    const { counts, bytes } = this
    const at = slot * STRIDE
    counts[at + REQUESTS] = (counts[at + REQUESTS] ?? 0) + 1
    if (status < CLIENT_ERROR_STATUS ? status === 0 : status < SERVER_ERROR_STATUS) {
      counts[at + CLIENT_ERRORS] = (counts[at + CLIENT_ERRORS] ?? 0) + 1
    } else if (status >= SERVER_ERROR_STATUS) counts[at + SERVER_ERRORS] = (counts[at + SERVER_ERRORS] ?? 0) + 1
    counts[at + FIRST_BIN + bin] = (counts[at + FIRST_BIN + bin] ?? 0) + 1
    bytes[slot * 2] = (bytes[slot * 2] ?? 0) + receivedBytes
    bytes[slot * 2 + 1] = (bytes[slot * 2 + 1] ?? 0) + sentBytes
  }

  /** All slots that are still in the window. */
  sum(nowMs: number): TrafficCounts {
    const latest = Math.floor(nowMs / this.shape.slotMs)
    return this.countsOf([...this.numbers.keys()].filter(slot => this.isOf(slot, latest)))
  }

  /** Each slot of the window, the oldest first, with when it began. */
  slots(nowMs: number): readonly (TrafficCounts & { readonly sinceMs: number })[] {
    const { slots, slotMs } = this.shape
    const latest = Math.floor(nowMs / slotMs)
    return Array.from({ length: slots }, (_, i) => {
      const number = latest - slots + 1 + i
      const slot = ((number % slots) + slots) % slots
      return { sinceMs: number * slotMs, ...this.countsOf(this.numbers[slot] === number ? [slot] : []) }
    })
  }

  /** Adds what another ring of the same shape still holds. */
  absorb(other: Ring, nowMs: number): void {
    const latest = Math.floor(nowMs / this.shape.slotMs)
    for (const [slot, number] of other.numbers.entries()) {
      if (!other.isOf(slot, latest)) continue
      if (this.numbers[slot] !== number) this.begin(slot, number)
      for (let at = slot * STRIDE; at < (slot + 1) * STRIDE; at += 1)
        this.counts[at] = (this.counts[at] ?? 0) + (other.counts[at] ?? 0)
      for (const at of [slot * 2, slot * 2 + 1]) this.bytes[at] = (this.bytes[at] ?? 0) + (other.bytes[at] ?? 0)
    }
  }

  private isOf(slot: number, latest: number): boolean {
    const number = this.numbers[slot] ?? -1
    return number >= 0 && number > latest - this.shape.slots && number <= latest
  }

  private begin(slot: number, number: number): void {
    this.numbers[slot] = number
    this.counts.fill(0, slot * STRIDE, (slot + 1) * STRIDE)
    this.bytes.fill(0, slot * 2, slot * 2 + 2)
  }

  private countsOf(slots: readonly number[]): TrafficCounts {
    const count = (which: number): number =>
      slots.reduce((sum, slot) => sum + (this.counts[slot * STRIDE + which] ?? 0), 0)
    const bytes = (which: number): number => slots.reduce((sum, slot) => sum + (this.bytes[slot * 2 + which] ?? 0), 0)
    const bins = Array.from({ length: BINS }, (_, bin) => count(FIRST_BIN + bin))
    return {
      requests: count(REQUESTS),
      clientErrors: count(CLIENT_ERRORS),
      serverErrors: count(SERVER_ERRORS),
      receivedBytes: bytes(0),
      sentBytes: bytes(1),
      bins: bins.slice(0, bins.findLastIndex(n => n > 0) + 1),
    }
  }
}
