/**
 * Loaded into a store's process by the bench: measures the delay of its event loop, at a resolution of RESOLUTION_MS.
 * At SIGUSR2 it writes a report of the time since the last one to BENCH_PROBE_FILE.
 *
 * CommonJS, because it must not touch the thread pool before bin/hayloft has sized it.
 */
"use strict"

const { renameSync, writeFileSync } = require("node:fs")
const { monitorEventLoopDelay } = require("node:perf_hooks")
const { isMainThread } = require("node:worker_threads")

const RESOLUTION_MS = 5
const path = process.env.BENCH_PROBE_FILE

if (isMainThread && path) {
  const delays = monitorEventLoopDelay({ resolution: RESOLUTION_MS })
  delays.enable()
  process.on("SIGUSR2", () => {
    const late = nanoseconds => Math.max(0, nanoseconds / 1e6 - RESOLUTION_MS)
    const report =
      delays.count === 0 ? { p99Ms: 0, maxMs: 0 } : { p99Ms: late(delays.percentile(99)), maxMs: late(delays.max) }
    delays.reset()
    writeFileSync(`${path}.new`, JSON.stringify(report))
    renameSync(`${path}.new`, path)
  })
}
