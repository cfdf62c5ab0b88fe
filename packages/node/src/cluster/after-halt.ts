/** After a halt: what a node that started while the store was halted does once it goes on. */
import type { BackgroundService } from "@hayloft/base/life/index.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { Log } from "@hayloft/base/seams/telemetry/contract.js"
import type { SharedMetadata } from "../metadata/database.js"

const WATCH_HALT_EVERY_MS = 1_000

interface Seams {
  readonly clock: Clock
  readonly log: Log
}

/** Does what a start of a halted store had to leave out, once the halt has ended. A failure is logged once. */
export const afterHalt = (
  metadata: Pick<SharedMetadata, "halt">,
  { clock, log }: Seams,
  begin: () => Promise<void>,
): BackgroundService => ({
  name: "start after a halt",
  run: async signal => {
    let hasBegun = false
    let failed: string | undefined
    while (!signal.aborted) {
      if (!hasBegun && metadata.halt === undefined) {
        try {
          await begin()
          hasBegun = true
        } catch (error) {
          const reason = String(error)
          if (reason !== failed) log.error("start_after_halt_failed", { reason })
          failed = reason
        }
      }
      await clock.sleep(WATCH_HALT_EVERY_MS, signal)
    }
  },
})
