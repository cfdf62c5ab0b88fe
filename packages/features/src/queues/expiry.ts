/**
 * Expiry: removes messages whose time is over, and what is left of queues that were emptied or deleted. A job.
 *
 * Promises  A message is removed only after its time, by the store's clock and by the wall clock of a process, also if a
 *           consumer comes across it. The job works on full disks.
 * Limits    One pass over the order of all queues every `passEveryMs`, earlier if messages are over earlier.
 */
import { rowKeyOf, type RowKey } from "@hayloft/base/ids.js"
import type { Job, StepOutcome } from "@hayloft/base/life/index.js"
import type { Metadata } from "@hayloft/engine/metadata/index.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import { plural } from "@hayloft/base/text/quantity-text.js"
import { shownDueTimeMs, type Core } from "@hayloft/objects/door/index.js"
import { QUEUE_LIMITS } from "./limits.js"
import { removeEnded } from "./message-commands-core.js"
import { findEnded } from "./queue-queries-core.js"

const START = rowKeyOf("")

interface ExpirySeams {
  readonly clock: Clock
  readonly storeClock: Pick<Core["storeClock"], "shownMs" | "isDoubtful">
  readonly metadata: Pick<Metadata, "run" | "ask">
}

export class QueueExpiry implements Job {
  readonly name = "queue-expiry"
  private from: RowKey | undefined
  private nextPassAtMs = -Infinity
  private nextEndMs = Infinity
  private removed = 0

  constructor(private readonly seams: ExpirySeams) {}

  progress(): string {
    return `${plural(this.removed, "message")} removed`
  }

  async step(): Promise<StepOutcome> {
    const { clock, metadata } = this.seams
    if (this.from === undefined) {
      if (clock.monotonicMs() < this.nextPassAtMs) return "idle"
      this.nextEndMs = Infinity
    }
    const nowMs = shownDueTimeMs(this.seams)
    if (nowMs === undefined) return "idle"
    const { ended, next, nextMs } = await metadata.ask(findEnded(this.from ?? START, nowMs))
    for (const places of ended) this.removed += await metadata.run(removeEnded(places, nowMs))
    this.from = next
    this.nextEndMs = Math.min(this.nextEndMs, nextMs)
    if (next !== undefined) return "busy"
    const { passEveryMs, passAgainMs } = QUEUE_LIMITS
    const waitMs = Math.min(passEveryMs, Math.max(passAgainMs, this.nextEndMs - nowMs))
    this.nextPassAtMs = clock.monotonicMs() + waitMs
    return "idle"
  }
}
