/**
 * Starts the bench with a large thread pool, so that the plain writes of the baseline run on all files
 * concurrently.
 *
 * CommonJS, because the pool's size must be set before the first `import()`.
 */
"use strict"

const THREADS = 16

process.env.UV_THREADPOOL_SIZE ||= String(THREADS)
import("../dist/bench/main.js").catch(error => {
  process.stderr.write(`bench: ${error && error.stack ? error.stack : error}\n`)
  process.exit(1)
})
