/**
 * Loaded into a store's process by `npm run request-cost`: counts how often the serving thread called each function.
 * At SIGUSR2 it writes the calls since the last one to BENCH_PROBE_FILE, as
 * `[{ url, functions: [{ name, at, calls }] }]`, where `at` is the function's offset in its file.
 *
 * Omits scripts outside of a `src` folder, and functions without calls. CommonJS, because it must not touch
 * the thread pool before the server has sized it.
 */
"use strict"

const { renameSync, writeFileSync } = require("node:fs")
const { Session } = require("node:inspector")
const { isMainThread } = require("node:worker_threads")

const path = process.env.BENCH_PROBE_FILE

function reportOf(scripts) {
  return scripts
    .filter(({ url }) => url.includes("/dist/packages/"))
    .map(({ url, functions }) => ({
      url,
      functions: functions
        .map(({ functionName: name, ranges }) => ({ name, at: ranges[0].startOffset, calls: ranges[0].count }))
        .filter(({ calls }) => calls > 0),
    }))
}

if (isMainThread && path) {
  const session = new Session()
  session.connect()
  session.post("Profiler.enable")
  session.post("Profiler.startPreciseCoverage", { callCount: true, detailed: false })
  process.on("SIGUSR2", () => {
    // The callback runs synchronously, and the counters restart at zero.
    session.post("Profiler.takePreciseCoverage", (error, answer) => {
      const report = error ? { error: error.message } : reportOf(answer.result)
      writeFileSync(`${path}.new`, JSON.stringify(report))
      renameSync(`${path}.new`, path)
    })
  })
}
