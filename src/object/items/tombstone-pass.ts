/**
 * Tombstone pass: once a day it removes K2V items that have had only tombstones for `tombstonesKeptMs`.
 *
 * Promises  What a client still knows is not removed unnoticed: see decision 77. What is written meanwhile stays, as the
 *           decision looks again. It works on full disks.
 */
import { rowKeyOf, type RowKey } from "../../base/ids.js"
import type { Metadata } from "../../metadata/index.js"
import type { Clock } from "../../seams/clock/contract.js"
import type { Log } from "../../seams/telemetry/contract.js"
import { collectTombstones } from "./item-commands-core.js"
import { oldTombstones } from "./item-queries-core.js"
import { ITEM_LIMITS } from "./limits.js"

const START = rowKeyOf("\x00")

interface PassSeams {
  readonly clock: Pick<Clock, "monotonicMs">
  readonly metadata: Pick<Metadata, "ask" | "run">
  readonly log: Log
}

export class TombstonePass {
  private from: RowKey | undefined
  private nextAtMs = -Infinity
  private removed = 0

  constructor(private readonly seams: PassSeams) {}

  get isDue(): boolean {
    return this.from !== undefined || this.seams.clock.monotonicMs() >= this.nextAtMs
  }

  /** Goes over some rows; returns whether the pass goes on. `nowMs`: by the store's clock. */
  async step(nowMs: number): Promise<boolean> {
    const { clock, metadata, log } = this.seams
    const atMs = nowMs - ITEM_LIMITS.tombstonesKeptMs
    const { found, next } = await metadata.ask(oldTombstones(this.from ?? START, atMs))
    for (const tombstones of found) this.removed += await metadata.run(collectTombstones(tombstones, atMs))
    this.from = next
    if (next !== undefined) return true
    if (this.removed > 0) log.info("tombstones_collected", { items: this.removed })
    this.removed = 0
    this.nextAtMs = clock.monotonicMs() + ITEM_LIMITS.tombstonesEveryMs
    return false
  }
}
