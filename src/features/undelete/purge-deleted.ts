/**
 * Purge of what is kept of deletions: objects that undelete keeps, once their time has come, and once a day tombstones of
 * K2V items. A job; each process walks for itself.
 *
 * Promises  Nothing goes before its time by both the store's clock and the wall clock, and what was undeleted meanwhile
 *           stays: the decision compares each row again. After the start of a store whose clock is far ahead, nothing
 *           goes for a while, so that a wrong wall clock can be corrected. It works on full disks, and frees nothing early by itself.
 * Limits    PURGE_LIMITS.
 */
import { sizeText } from "../../base/quantity-text.js"
import type { RowKey } from "../../base/ids.js"
import type { Job, StepOutcome } from "../../life/index.js"
import type { Metadata } from "../../metadata/index.js"
import type { Clock } from "../../seams/clock/contract.js"
import type { Log } from "../../seams/telemetry/contract.js"
import { ALL_OBJECT_ROWS, TombstonePass, type Core } from "../../object/door/index.js"
import { purgeDeleted, PURGED_PER_COMMAND } from "./undelete-commands-core.js"
import { dueDeleted } from "./deleted-rows-core.js"

const PURGE_LIMITS = {
  /** A pass begins so long after the last one has ended. */
  restMs: 3_600_000,
  rowsPerStep: PURGED_PER_COMMAND,
} as const

interface PurgeSeams {
  readonly clock: Clock
  readonly storeClock: Pick<Core["storeClock"], "nowMs" | "isDoubtful">
  readonly metadata: Pick<Metadata, "ask" | "run">
  readonly log: Log
}

interface Sums {
  readonly objects: number
  readonly bytes: number
}

const NONE: Sums = { objects: 0, bytes: 0 }
const plus = (a: Sums, b: Sums): Sums => ({ objects: a.objects + b.objects, bytes: a.bytes + b.bytes })

export class PurgeDeletedJob implements Job {
  readonly name = "purge-deleted"
  private from: RowKey | undefined
  private nextPassAtMs = -Infinity
  private readonly tombstones: TombstonePass
  /** The sums of this pass. */
  private kept = NONE
  private purged = NONE
  /** The sums of the last whole pass. */
  private lastKept = NONE

  constructor(private readonly seams: PurgeSeams) {
    this.tombstones = new TombstonePass(seams)
  }

  progress(): string {
    const { objects, bytes } = this.lastKept
    if (this.seams.storeClock.isDoubtful) return "waits, because the store's clock was set ahead at the start"
    return `${objects} deleted objects are kept; a purge would free ${sizeText(bytes)}`
  }

  async step(): Promise<StepOutcome> {
    const { clock, storeClock, metadata, log } = this.seams
    const isResting = this.from === undefined && clock.monotonicMs() < this.nextPassAtMs
    if (isResting && !this.tombstones.isDue) return "idle"
    // Nothing brings back what goes too early.
    if (storeClock.isDoubtful) return "idle"
    const clockMs = storeClock.nowMs()
    // The store's clock is not known yet.
    if (clockMs === 0) return "idle"
    const nowMs = Math.min(clockMs, clock.wallMs())
    if (isResting) return (await this.tombstones.step(nowMs)) ? "busy" : "idle"
    const start = this.from ?? ALL_OBJECT_ROWS.start
    const { due, kept, next } = await metadata.ask(dueDeleted(start, nowMs, PURGE_LIMITS.rowsPerStep))
    this.kept = plus(this.kept, kept)
    for (const { bucketId, rows } of due) {
      this.purged = plus(this.purged, await metadata.run(purgeDeleted({ bucketId, rows, dueMs: nowMs })))
    }
    this.from = next
    if (next !== undefined) return "busy"
    if (this.purged.objects > 0) log.info("deleted_objects_purged", { ...this.purged })
    this.lastKept = this.kept
    this.kept = NONE
    this.purged = NONE
    this.nextPassAtMs = clock.monotonicMs() + PURGE_LIMITS.restMs
    return this.tombstones.isDue ? "busy" : "idle"
  }
}
