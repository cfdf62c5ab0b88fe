/**
 * Collection of tombstones: once a day it removes K2V items that have had only tombstones for `tombstonesKeptMs`. A job;
 * each process walks for itself.
 *
 * Promises  What a client still knows is not removed unnoticed: see decision 77. What is written meanwhile stays, as the
 *           decision looks again. After the start of a store whose clock is far ahead, nothing goes for a while. It works
 *           on full disks.
 */
import { plural } from "@hayloft/base/text/quantity-text.js"
import { rowKeyOf, type RowKey } from "@hayloft/base/ids.js"
import type { Job, StepOutcome } from "@hayloft/base/life/index.js"
import type { Metadata } from "@hayloft/engine/metadata/index.js"
import { type Core, dueTimeMs } from "@hayloft/objects/door/index.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { Log } from "@hayloft/base/seams/telemetry/contract.js"
import { collectTombstones } from "./item-commands-core.js"
import { oldTombstones } from "./item-queries-core.js"
import { ITEM_LIMITS } from "./limits.js"

const START = rowKeyOf("\x00")

interface JobSeams {
  readonly clock: Pick<Clock, "monotonicMs" | "wallMs">
  readonly storeClock: Pick<Core["storeClock"], "nowMs" | "isDoubtful">
  readonly metadata: Pick<Metadata, "ask" | "run">
  readonly log: Log
}

export const TOMBSTONE_JOB = "collect-tombstones"

export class TombstoneJob implements Job {
  readonly name = TOMBSTONE_JOB
  private from: RowKey | undefined
  private nextAtMs = -Infinity
  private removed = 0
  /** The number of items that the last whole pass removed. */
  private lastRemoved = 0

  constructor(private readonly seams: JobSeams) {}

  progress(): string {
    if (this.seams.storeClock.isDoubtful) return "waits, because the store's clock was set ahead at the start"
    return `${plural(this.lastRemoved, "deleted K2V item")} removed by the last pass`
  }

  async step(): Promise<StepOutcome> {
    const { clock, metadata, log } = this.seams
    if (this.from === undefined && clock.monotonicMs() < this.nextAtMs) return "idle"
    const nowMs = dueTimeMs(this.seams)
    if (nowMs === undefined) return "idle"
    const atMs = nowMs - ITEM_LIMITS.tombstonesKeptMs
    const { found, next } = await metadata.ask(oldTombstones(this.from ?? START, atMs))
    for (const tombstones of found) this.removed += await metadata.run(collectTombstones(tombstones, atMs))
    this.from = next
    if (next !== undefined) return "busy"
    if (this.removed > 0) log.info("tombstones_collected", { items: this.removed })
    this.lastRemoved = this.removed
    this.removed = 0
    this.nextAtMs = clock.monotonicMs() + ITEM_LIMITS.tombstonesEveryMs
    return "idle"
  }
}
