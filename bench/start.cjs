/**
 * Starts the bench with room in the thread pool, so that the plain writes that stores are held against run on
 * all files at once.
 *
 * CommonJS, because the pool's size counts only if it is set before the first `import()`.
 */
"use strict"

const THREADS = 16

process.env.UV_THREADPOOL_SIZE ||= String(THREADS)
import("../dist/bench/main.js").catch(error => {
  process.stderr.write(`bench: ${error && error.stack ? error.stack : error}\n`)
  process.exit(1)
})
