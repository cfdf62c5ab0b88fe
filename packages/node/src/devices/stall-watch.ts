/** Logs when so many devices stop to answer together that requests wait for them, and when they answer again. */
import type { BackgroundService } from "@hayloft/base/life/index.js"
import { nextBeat } from "@hayloft/base/seams/clock/beats.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { Log } from "@hayloft/base/seams/telemetry/contract.js"

const CHECK_EVERY_MS = 500

export const stallWatch = (clock: Clock, log: Log, trouble: () => string | undefined): BackgroundService => ({
  name: "stalls",
  run: async signal => {
    let sinceMs: number | undefined
    while (!signal.aborted) {
      const reason = trouble()
      if (reason !== undefined && sinceMs === undefined) {
        sinceMs = clock.monotonicMs()
        log.error("devices_stalled", { reason })
      } else if (reason === undefined && sinceMs !== undefined) {
        log.info("devices_answer_again", { tookMs: Math.round(clock.monotonicMs() - sinceMs) })
        sinceMs = undefined
      }
      await nextBeat(clock, CHECK_EVERY_MS, signal)
    }
  },
})
