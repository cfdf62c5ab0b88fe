/**
 * Scrub jobs: walk through a device's metadata store and its log again and again, and report damage.
 *
 * A walk through the metadata store takes as many steps as it needs and begins again SCRUB_EVERY_MS after it began. A
 * walk through the log covers the part between its cut and its end, which a checkpoint soon reads anyway, so it is
 * repeated more often. The first walks wait: a start has other work, and has just read the log.
 */
import type { Failure } from "@hayloft/base/failures.js"
import type { LogSequence } from "@hayloft/base/ids.js"
import type { Job, StepOutcome } from "@hayloft/base/life/contract.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { RowScrubCursor, RowsScrubbed, LogScrubbed, RowFinding } from "./scrub.js"

export const SCRUB_EVERY_MS = {
  metadata: 7 * 24 * 3_600_000,
  log: 3_600_000,
} as const

/** From the opening of a device to its first walks. */
export const FIRST_SCRUB_MS = 10 * 60_000

/** Findings kept for display; all are reported when they are made. */
const FINDINGS_MAX = 100

export class MetadataScrub implements Job {
  readonly name: string
  private cursor: RowScrubCursor | undefined
  private isWalking = false
  private dueMs: number
  private rows = 0
  private walks = 0
  private found: RowFinding[] = []

  /** `step`: one step from the cursor on, run where it delays no request. */
  constructor(
    device: string,
    private readonly takeStep: (from: RowScrubCursor | undefined) => Promise<RowsScrubbed>,
    private readonly onFindings: (findings: readonly RowFinding[]) => void,
    private readonly clock: Clock,
    private readonly everyMs: number = SCRUB_EVERY_MS.metadata,
  ) {
    this.name = `scrub metadata ${device}`
    this.dueMs = clock.monotonicMs() + FIRST_SCRUB_MS
  }

  /** Findings of the walk under way, or of the last one. */
  get findings(): readonly RowFinding[] {
    return this.found
  }

  async step(): Promise<StepOutcome> {
    const nowMs = this.clock.monotonicMs()
    if (!this.isWalking) {
      if (nowMs < this.dueMs) return "idle"
      this.isWalking = true
      this.dueMs = nowMs + this.everyMs
      this.cursor = undefined
      this.rows = 0
      this.found = []
    }
    const { next, rows, findings } = await this.takeStep(this.cursor)
    this.rows += rows
    this.cursor = next
    this.isWalking = next !== undefined
    if (!this.isWalking) this.walks += 1
    this.found = [...this.found, ...findings].slice(0, FINDINGS_MAX)
    if (findings.length > 0) this.onFindings(findings)
    return "busy"
  }

  progress(): string {
    const at = this.isWalking ? `, at ${this.cursor?.family ?? "the beginning"}` : ""
    return `${this.walks} walks done; ${this.rows} rows${at}; ${this.found.length} damaged`
  }
}

/** The part of a log to be scrubbed: above `after`, which has been cut or may be soon. */
export interface LogExtent {
  readonly after: LogSequence
  readonly upTo: LogSequence
}

export class LogScrub implements Job {
  readonly name: string
  private at: LogSequence | undefined
  private upTo: LogSequence | undefined
  private dueMs: number
  private walks = 0
  private damage: Failure | undefined

  /** `extent`: the present part of the log. */
  constructor(
    device: string,
    private readonly extent: () => LogExtent,
    private readonly takeStep: (after: LogSequence, upTo: LogSequence) => Promise<LogScrubbed>,
    private readonly onDamage: (damage: Failure) => void,
    private readonly clock: Clock,
    private readonly everyMs: number = SCRUB_EVERY_MS.log,
  ) {
    this.name = `scrub log ${device}`
    this.dueMs = clock.monotonicMs() + FIRST_SCRUB_MS
  }

  async step(): Promise<StepOutcome> {
    const nowMs = this.clock.monotonicMs()
    if (this.at === undefined) {
      if (nowMs < this.dueMs) return "idle"
      this.dueMs = nowMs + this.everyMs
      this.upTo = this.extent().upTo
    }
    const { upTo } = this
    // Skips batches that were cut meanwhile.
    const after = this.later(this.at, this.extent().after)
    if (upTo === undefined || after >= upTo) return this.end(undefined)
    const { seen, damage } = await this.takeStep(after, upTo)
    if (damage === undefined) {
      this.at = seen
      return seen >= upTo ? this.end(undefined) : "busy"
    }
    // A segment that was cut while it was read looks damaged, and is not needed.
    if (this.extent().after > seen) {
      this.at = this.extent().after
      return "busy"
    }
    return this.end(damage)
  }

  private later(a: LogSequence | undefined, b: LogSequence): LogSequence {
    return a !== undefined && a > b ? a : b
  }

  private end(damage: Failure | undefined): StepOutcome {
    this.at = undefined
    this.walks += 1
    this.damage = damage
    if (damage !== undefined) this.onDamage(damage)
    return "busy"
  }

  progress(): string {
    return `${this.walks} walks done${this.damage === undefined ? "" : `; ${this.damage.message}`}`
  }
}
