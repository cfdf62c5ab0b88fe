/**
 * Each device: one job that takes a step on every open device concurrently, so that devices can be added and removed
 * without a change to the runner. A device whose step fails does not delay the others; the job fails with its error
 * after all steps have ended.
 */
import { DEVICES_MAX } from "@hayloft/base/limits.js"
import { mapBounded, type Job, type StepOutcome } from "@hayloft/base/life/index.js"
import type { DeviceStack } from "./device-stack.js"

const RANK: readonly StepOutcome[] = ["busy", "throttled", "idle", "done"]

export class EachDevice implements Job {
  constructor(
    readonly name: string,
    private readonly devices: () => readonly DeviceStack[],
    private readonly jobOf: (stack: DeviceStack) => Job,
  ) {}

  progress(): string {
    const byText = new Map<string, number>()
    for (const stack of this.devices()) {
      const text = this.jobOf(stack).progress()
      byText.set(text, (byText.get(text) ?? 0) + 1)
    }
    return [...byText].map(([text, count]) => (count === 1 ? text : `${count} times: ${text}`)).join("; ")
  }

  /** Returns the outcome of the busiest device. */
  async step(signal: AbortSignal): Promise<StepOutcome> {
    const errors: unknown[] = []
    const outcomes = await mapBounded(this.devices(), DEVICES_MAX, async stack => {
      try {
        return await this.jobOf(stack).step(signal)
      } catch (error) {
        // Ignore the failure of a device that was taken offline during its step.
        if (this.devices().includes(stack)) errors.push(error)
        return "idle"
      }
    })
    if (errors.length > 0) throw errors[0]
    return RANK.find(outcome => outcomes.includes(outcome)) ?? "idle"
  }
}
