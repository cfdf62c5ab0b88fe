/**
 * Replica comparison: a job that compares all rows of all replicas at intervals and has the metadata store of a
 * wrong replica rebuilt. If two well-formed replicas differ without a majority, the job cannot decide which is
 * right: it logs the difference and changes nothing.
 */
import { fail } from "@hayloft/base/failures.js"
import type { Job, StepOutcome } from "@hayloft/base/life/index.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { Log } from "@hayloft/base/seams/telemetry/contract.js"
import type { ReplicaComparison, Primary } from "@hayloft/engine/tablet/index.js"
import type { StoreControl } from "../control/store-control.js"

const COMPARE_EVERY_MS = 7 * 24 * 3_600_000
/** Ranges compared in one step, before other jobs run. */
const RANGES_PER_STEP = 4

export class ReplicaComparing implements Job {
  readonly name = "compare replicas"
  private comparison: ReplicaComparison | undefined
  private beganMs: number | undefined
  private last = "nothing compared yet"

  constructor(
    private readonly tablet: Primary,
    private readonly control: StoreControl,
    private readonly clock: Clock,
    private readonly log: Log,
  ) {}

  progress(): string {
    return this.comparison?.progress ?? this.last
  }

  step(): Promise<StepOutcome> {
    const nowMs = this.clock.monotonicMs()
    const isDue = this.beganMs === undefined || nowMs - this.beganMs >= COMPARE_EVERY_MS
    if (this.comparison === undefined) {
      if (!isDue || this.tablet.replicas.length < 2) return Promise.resolve("idle")
      this.beganMs = nowMs
      this.comparison = this.tablet.compareReplicas()
    }
    for (let range = 0; range < RANGES_PER_STEP; range += 1) {
      if (!this.comparison.step()) {
        this.end(this.comparison)
        break
      }
    }
    return Promise.resolve("busy")
  }

  private end(comparison: ReplicaComparison): void {
    this.comparison = undefined
    const { rowsCompared, undecided, differences } = comparison
    this.last = `${rowsCompared} rows compared, ${differences.length === 0 ? "all equal" : `${differences.length} differ`}`
    for (const [id, rows] of comparison.wrong) {
      this.control.damaged(id, fail("corruptRow", { message: `${rows} rows differ from those of other replicas` }))
    }
    if (undecided > 0) this.log.error("metadata_replicas_differ_undecided", { rows: undecided })
  }
}
