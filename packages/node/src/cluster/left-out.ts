/**
 * Left-out folders: new data folders whose disk failed while their node started. Each is added as by `hayloft device add`
 * once its disk works, tried at intervals that grow. Devices that the record names already return by themselves.
 */
import { asFailure } from "@hayloft/base/failures.js"
import type { Job, StepOutcome } from "@hayloft/base/life/index.js"
import { plural } from "@hayloft/base/quantity-text.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { Log } from "@hayloft/base/seams/telemetry/contract.js"

const LEFT_OUT_LIMITS = { firstMs: 10_000, mostMs: 15 * 60_000 } as const

interface LeftOutSeams {
  readonly clock: Clock
  readonly log: Log
  /** Returns true if a device of this node has the folder. */
  readonly isDevice: (path: string) => boolean
  /** Makes the folder a device of the store. */
  readonly add: (path: string) => Promise<unknown>
}

export class LeftOut implements Job {
  readonly name = "left-out-folders"
  private waitMs: number = LEFT_OUT_LIMITS.firstMs
  private untilMs: number
  /** The last reason of each folder; it is a warning once. */
  private readonly reasons = new Map<string, string>()

  constructor(
    private folders: readonly string[],
    private readonly seams: LeftOutSeams,
  ) {
    this.untilMs = seams.clock.monotonicMs() + this.waitMs
  }

  progress(): string {
    return this.folders.length === 0
      ? "no new folder is left out"
      : `${plural(this.folders.length, "new folder")} left out`
  }

  async step(): Promise<StepOutcome> {
    const { clock, isDevice } = this.seams
    this.folders = this.folders.filter(path => !isDevice(path))
    if (this.folders.length === 0) return "idle"
    if (clock.monotonicMs() < this.untilMs) return "throttled"
    for (const path of this.folders) await this.try(path)
    this.waitMs = Math.min(2 * this.waitMs, LEFT_OUT_LIMITS.mostMs)
    this.untilMs = clock.monotonicMs() + this.waitMs
    return "busy"
  }

  private async try(path: string): Promise<void> {
    const { log, add } = this.seams
    try {
      await add(path)
      log.info("left_out_folder_added", { path })
    } catch (error) {
      const reason = asFailure(error).message
      if (reason !== this.reasons.get(path)) log.warn("folder_still_left_out", { path, reason })
      this.reasons.set(path, reason)
    }
  }
}
