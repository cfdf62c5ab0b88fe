/**
 * Returning: checks at intervals whether an offline device is back. The device takes part again once it has been
 * opened and has passed a probe (a write, a sync, a read). It returns as a device that may lack shards, never as
 * a complete one. The interval grows for a device that keeps failing.
 */
import { asFailure } from "@hayloft/base/failures.js"
import type { DeviceId } from "@hayloft/base/ids.js"
import type { ControlDevice } from "@hayloft/engine/format/device/control-record.js"
import type { Job, StepOutcome } from "@hayloft/base/life/index.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { Log } from "@hayloft/base/seams/telemetry/contract.js"
import { plural } from "@hayloft/base/text/quantity-text.js"

const RETURN_LIMITS = { firstMs: 10_000, mostMs: 15 * 60_000 } as const

interface Wait {
  readonly untilMs: number
  readonly waitMs: number
  /** The reason why it could not return; it is a warning once. */
  readonly reason?: string | undefined
}

/** Takes a device back, or fills its emptied folder. Throws the reason if it cannot. */
export type TakeBack = (id: DeviceId, path: string) => Promise<"back" | "replaced">

export class Returning implements Job {
  readonly name = "returning"
  private readonly waits = new Map<DeviceId, Wait>()
  private waiting = 0

  constructor(
    private readonly devices: () => readonly ControlDevice[],
    private readonly takeBack: TakeBack,
    private readonly clock: Clock,
    private readonly log: Log,
  ) {}

  progress(): string {
    return this.waiting === 0 ? "no device is offline" : `${plural(this.waiting, "device")} offline`
  }

  async step(): Promise<StepOutcome> {
    const offline = this.devices().filter(device => device.state === "offline")
    this.waiting = offline.length
    for (const { id, pathHint } of offline) {
      const wait = this.waits.get(id)
      const nowMs = this.clock.monotonicMs()
      // The first check is some time after the failure.
      if (wait === undefined)
        this.waits.set(id, { untilMs: nowMs + RETURN_LIMITS.firstMs, waitMs: RETURN_LIMITS.firstMs })
      if (wait === undefined || nowMs < wait.untilMs) continue
      await this.ask(id, pathHint, wait)
    }
    return offline.length === 0 ? "idle" : "throttled"
  }

  private async ask(id: DeviceId, path: string, { waitMs, reason: before }: Wait): Promise<void> {
    let reason: string | undefined
    try {
      const outcome = await this.takeBack(id, path)
      if (outcome === "replaced") this.log.info("device_replaced_by_emptied_folder", { device: id, path })
    } catch (error) {
      reason = asFailure(error).message
      // It is a warning once, and again if something else is in the way.
      if (reason !== before) this.log.warn("device_cannot_return_yet", { device: id, reason })
    }
    // The interval also grows for a device that has returned: if it fails again, it is checked later than this time.
    const nextMs = Math.min(2 * waitMs, RETURN_LIMITS.mostMs)
    this.waits.set(id, { untilMs: this.clock.monotonicMs() + nextMs, waitMs: nextMs, reason })
  }
}
