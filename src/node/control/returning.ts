/**
 * Returning: looks now and then whether a device that is out is back, and lets it take part again once it
 * has been opened and has done what it was told (a write, a sync, a read). It comes back as one that may
 * lack things, never as whole. One that keeps failing is asked later and later.
 */
import { asFailure } from "../../base/failures.js"
import type { DeviceId } from "../../base/ids.js"
import type { ControlRecord } from "../../format/control-record.js"
import type { Job, StepOutcome } from "../../life/index.js"
import type { Clock } from "../../seams/clock/contract.js"
import type { Log } from "../../seams/telemetry/contract.js"

const RETURN_LIMITS = { firstMs: 10_000, mostMs: 15 * 60_000 } as const

interface Wait {
  readonly untilMs: number
  readonly waitMs: number
}

/** Takes a device back, or fills its emptied folder. Throws why it cannot. */
export type TakeBack = (id: DeviceId, path: string) => Promise<"back" | "replaced">

export class Returning implements Job {
  readonly name = "returning"
  private readonly waits = new Map<DeviceId, Wait>()
  private waiting = 0

  constructor(
    private readonly record: () => ControlRecord,
    private readonly takeBack: TakeBack,
    private readonly clock: Clock,
    private readonly log: Log,
  ) {}

  progress(): string {
    return this.waiting === 0 ? "no device is out" : `${this.waiting} devices are out`
  }

  async step(): Promise<StepOutcome> {
    const offline = this.record().devices.filter(device => device.state === "offline")
    this.waiting = offline.length
    for (const { id, pathHint } of offline) {
      const wait = this.waits.get(id)
      const nowMs = this.clock.monotonicMs()
      // The first look comes a while after the failure, not at once.
      if (wait === undefined)
        this.waits.set(id, { untilMs: nowMs + RETURN_LIMITS.firstMs, waitMs: RETURN_LIMITS.firstMs })
      if (wait === undefined || nowMs < wait.untilMs) continue
      await this.ask(id, pathHint, wait)
    }
    return offline.length === 0 ? "idle" : "throttled"
  }

  private async ask(id: DeviceId, path: string, { waitMs }: Wait): Promise<void> {
    try {
      const outcome = await this.takeBack(id, path)
      if (outcome === "replaced") this.log.info("an emptied folder takes the place of its device", { device: id, path })
    } catch (error) {
      this.log.warn("a device that is out cannot take part yet", { device: id, reason: asFailure(error).message })
    }
    // Also for one that is back: should it fail again, it is asked later than this time.
    const nextMs = Math.min(2 * waitMs, RETURN_LIMITS.mostMs)
    this.waits.set(id, { untilMs: this.clock.monotonicMs() + nextMs, waitMs: nextMs })
  }
}
