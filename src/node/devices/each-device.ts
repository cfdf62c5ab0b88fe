/**
 * Each device: one job that takes a step on every open device at once, so that devices are tended side
 * by side and come and go without the runner's noticing. A device whose step fails does not hold up the
 * others; its failure is the job's once they have ended.
 */
import { DEVICES_MAX } from "../../base/limits.js"
import { mapBounded, type Job, type StepOutcome } from "../../life/index.js"
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

  /** As busy as the busiest device. */
  async step(signal: AbortSignal): Promise<StepOutcome> {
    const errors: unknown[] = []
    const outcomes = await mapBounded(this.devices(), DEVICES_MAX, async stack => {
      try {
        return await this.jobOf(stack).step(signal)
      } catch (error) {
        // One that was taken out in the middle of its step is nobody's concern any more.
        if (this.devices().includes(stack)) errors.push(error)
        return "idle"
      }
    })
    if (errors.length > 0) throw errors[0]
    return RANK.find(outcome => outcomes.includes(outcome)) ?? "idle"
  }
}
