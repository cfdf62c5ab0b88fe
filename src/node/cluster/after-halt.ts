/** After a halt: what a node that started while the store was halted does once it goes on. */
import type { BackgroundService } from "../../life/index.js"
import type { Clock } from "../../seams/clock/contract.js"
import type { SharedMetadata } from "../metadata/database.js"

const WATCH_HALT_EVERY_MS = 1_000

/** Does what a start of a halted store had to leave out, once the halt has ended. */
export const afterHalt = (metadata: SharedMetadata, clock: Clock, begin: () => Promise<void>): BackgroundService => ({
  name: "start after a halt",
  run: async signal => {
    let hasBegun = false
    while (!signal.aborted) {
      if (!hasBegun && metadata.halt === undefined) {
        hasBegun = await begin().then(
          () => true,
          () => false,
        )
      }
      await clock.sleep(WATCH_HALT_EVERY_MS, signal)
    }
  },
})
