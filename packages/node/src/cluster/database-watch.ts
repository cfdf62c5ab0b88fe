/**
 * Database watch: reads at intervals what the database says about itself, and compares the clocks. Status shows the last
 * reading of any node.
 *
 * Promises  Nothing waits for it. A reading that fails keeps the one before until that is too old to be shown.
 * Limits    One reading every `READ_EVERY_MS`. Facts of the whole database are read by the steward alone, and by a node
 *           that has them from no other; each node compares its own clock.
 */
import type { DatabaseHealth, ReportedDatabase } from "@hayloft/engine/format/nodes/database-health.js"
import type { BackgroundService } from "@hayloft/base/life/index.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { Log } from "@hayloft/base/seams/telemetry/contract.js"
import type { SharedMetadata } from "../metadata/database.js"
import { withGoneStandbys } from "../status/database-core.js"

const READ_EVERY_MS = 30_000
/** Older readings are not shown. */
const SHOWN_MS_MAX = 150_000

interface WatchSeams {
  readonly clock: Clock
  readonly log: Log
  /** The name of this node. */
  readonly name: string
  readonly metadata: Pick<SharedMetadata, "responseTimes" | "compareClocks" | "databaseHealth">
}

interface Reading<T> {
  readonly atMs: number
  readonly value: T
}

export class DatabaseWatch implements BackgroundService {
  readonly name = "database watch"
  private clock: Reading<NonNullable<ReportedDatabase["clock"]>> | undefined
  private health: Reading<DatabaseHealth> | undefined

  /** `readsFacts`: whether this node reads the facts of the whole database now. */
  constructor(
    private readonly seams: WatchSeams,
    private readonly readsFacts: () => boolean,
  ) {}

  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.read().catch((error: unknown) => {
        this.seams.log.debug("database_health_unknown", { error: String(error) })
      })
      await this.seams.clock.sleep(READ_EVERY_MS, signal)
    }
  }

  private async read(): Promise<void> {
    const { clock, metadata } = this.seams
    const value = await metadata.compareClocks()
    this.clock = { atMs: clock.monotonicMs(), value }
    if (!this.readsFacts()) return
    const health = await metadata.databaseHealth()
    const atMs = clock.monotonicMs()
    const seconds = this.health === undefined ? 0 : (atMs - this.health.atMs) / 1000
    this.health = { atMs, value: withGoneStandbys(this.health?.value, health, seconds) }
  }

  /** The name of this node. */
  get node(): string {
    return this.seams.name
  }

  /** The latest readings of the database, without those that are too old. */
  get view(): ReportedDatabase {
    const health = this.shown(this.health)
    return {
      ...this.seams.metadata.responseTimes,
      clock: this.shown(this.clock)?.value,
      health: health?.value,
      healthSecondsAgo: health === undefined ? 0 : (this.seams.clock.monotonicMs() - health.atMs) / 1000,
    }
  }

  private shown<T>(reading: Reading<T> | undefined): Reading<T> | undefined {
    return reading && this.seams.clock.monotonicMs() - reading.atMs <= SHOWN_MS_MAX ? reading : undefined
  }
}
