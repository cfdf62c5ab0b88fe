/**
 * Retention of a store of several processes: released bytes may be deleted once the epochs since then are as long as the
 * retention. Nothing of it is in memory only: a process that starts goes on from the rows.
 *
 * Promises  Bytes are kept for the retention at least, by the monotonic clocks of its stewards. Without
 *           epochs that are old enough nothing is deleted.
 */
import { epochOfAge } from "@hayloft/engine/coordination/index.js"
import { RETENTION_LIMITS, type DuePositions, type ByteRetention } from "@hayloft/objects/index.js"
import type { Metadata } from "@hayloft/engine/metadata/index.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import { dueBefore, epochsKept } from "./epochs-core.js"

export interface RetentionSettings {
  readonly retentionMs: number
  readonly epochMs: number
}

/** Parts of an epoch after which its row is read again. */
const READS_PER_EPOCH = 10

export class EpochRetention implements ByteRetention {
  private due: DuePositions = dueBefore(undefined)
  private readMs = -Infinity
  private readIn = 0

  constructor(
    private readonly clock: Pick<Clock, "monotonicMs">,
    private readonly metadata: Pick<Metadata, "ask" | "incarnations">,
    private readonly settings: RetentionSettings = RETENTION_LIMITS,
  ) {}

  async now(): Promise<DuePositions> {
    const nowMs = this.clock.monotonicMs()
    const { reconciliations = 0 } = this.metadata.incarnations
    const isOfNow = reconciliations === this.readIn
    if (isOfNow && nowMs - this.readMs < this.settings.epochMs / READS_PER_EPOCH) return this.due
    this.readIn = reconciliations
    this.due = dueBefore(await this.metadata.ask(epochOfAge(epochsKept(this.settings))))
    this.readMs = nowMs
    return this.due
  }
}
