/**
 * The store's clock of a simulated cluster, as its row and all processes show it, compared with the true time. Its row
 * never goes back. While a process that knows the time goes on, the latest that any process shows is not faster than
 * the fastest monotonic clock, however wall clocks jump.
 */
import { decodeStoreClock } from "@hayloft/engine/format/records.js"
import { check } from "../world/checks.js"
import type { Cluster } from "./cluster.js"
import { CLOCK_RATE_MAX, type ServingNode } from "./cluster-node.js"

/**
 * The first process that serves may have taken over the time of one that does not serve yet, and lags behind it. Wall
 * clocks differ by minutes.
 */
const LAG_MS_MAX = 5_000

/** A process that knows the time; another incarnation of it counts as another process. */
const nameOf = ({ node, engine }: ServingNode): string => `${node.name} ${engine.metadata.incarnations.own}`

interface Bound {
  readonly storeMs: number
  readonly atMs: number
}

export class StoreClockWatch {
  private rowMs = 0
  private bound: Bound | undefined
  private running: ReadonlySet<string> = new Set()
  private finding: string | undefined

  /** The rows are those of an earlier moment. */
  rolledBack(): void {
    this.rowMs = 0
  }

  note(cluster: Cluster): void {
    const row = cluster.database.copy().rows.find(({ family }) => family === "clock")
    const rowMs = row?.value === undefined ? 0 : decodeStoreClock(row.value)
    if (rowMs < this.rowMs) this.finding ??= `the row goes back by ${this.rowMs - rowMs} ms`
    this.rowMs = rowMs
    const knowing = cluster.serving.filter(({ engine }) => engine.services.storeClock.behindMs !== undefined)
    const names = new Set(knowing.map(nameOf))
    const latestMs = Math.max(rowMs, ...knowing.map(({ engine }) => engine.services.storeClock.nowMs()))
    // After a full stop the clock follows a wall clock.
    if (![...names].some(name => this.running.has(name))) this.bound = undefined
    this.running = names
    const atMs = cluster.clock.monotonicMs()
    if (names.size > 0) this.compare(latestMs, atMs)
  }

  private compare(latestMs: number, atMs: number): void {
    this.bound ??= { storeMs: latestMs, atMs }
    const { bound } = this
    const aheadMs = latestMs - bound.storeMs - (atMs - bound.atMs) * CLOCK_RATE_MAX
    if (aheadMs <= LAG_MS_MAX) return
    this.finding ??= `it is ${Math.round(aheadMs)} ms ahead of time after ${Math.round(atMs - bound.atMs)} ms`
  }

  check(): void {
    check("storeClockIsSteady", this.finding === undefined, () => this.finding ?? "")
  }
}
