/**
 * Purge of what undelete keeps, once its time has come. A job; each process walks for itself.
 *
 * Promises  Nothing goes before its time by both the store's clock and the wall clock, and what was undeleted meanwhile
 *           stays: the decision compares each row again. After the start of a store whose clock is far ahead, nothing
 *           goes for a while, so that a wrong wall clock can be corrected. It works on full disks, and frees nothing early by itself.
 * Limits    PURGE_LIMITS.
 */
import { sizeText } from "@hayloft/base/text/quantity-text.js"
import type { RowKey } from "@hayloft/base/ids.js"
import type { Job, StepOutcome } from "@hayloft/base/life/index.js"
import type { Metadata } from "@hayloft/engine/metadata/index.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { Log } from "@hayloft/base/seams/telemetry/contract.js"
import { type Core, dueTimeMs } from "@hayloft/objects/door/index.js"
import { ALL_OBJECT_ROWS } from "@hayloft/objects/door/rows.js"
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

export const PURGE_JOB = "purge-deleted"

export class PurgeDeletedJob implements Job {
  readonly name = PURGE_JOB
  private from: RowKey | undefined
  private nextPassAtMs = -Infinity
  /** The sums of this pass. */
  private kept = NONE
  private purged = NONE
  /** The sums of the last whole pass. */
  private lastKept = NONE

  constructor(private readonly seams: PurgeSeams) {}

  progress(): string {
    const { objects, bytes } = this.lastKept
    if (this.seams.storeClock.isDoubtful) return "waits, because the store's clock was set ahead at the start"
    return `${objects} deleted objects are kept; a purge would free ${sizeText(bytes)}`
  }

  async step(): Promise<StepOutcome> {
    const { clock, metadata, log } = this.seams
    if (this.from === undefined && clock.monotonicMs() < this.nextPassAtMs) return "idle"
    const nowMs = dueTimeMs(this.seams)
    if (nowMs === undefined) return "idle"
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
    return "idle"
  }
}
