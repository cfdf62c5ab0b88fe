/**
 * Loaded into every Node process of a test run: V8 optimizes a function only after eight times as much of its bytecode has
 * run. Most of these processes live for seconds, and spent a sixth of their processor time in the optimizing compiler, on
 * code that was about to end. The program is the same, and long work is still optimized.
 *
 * V8 refuses code caches that were made under other flags: without those of test runs (code-caches.mjs), the flags are set
 * once the main script has started.
 */
"use strict"

const { setFlagsFromString } = require("node:v8")

/** The memory of new objects grows in few steps. */
const GROWTH = "--semi-space-growth-factor=8"
/** By the first version of Node that has them. Bytes (132 KiB by default), and calls (400 and 3,000). */
const FLAGS = [
  [24, [GROWTH, "--invocation-count-for-maglev=3200", "--invocation-count-for-turbofan=24000"]],
  [21, [GROWTH]],
  [20, [GROWTH, "--interrupt-budget=1000000"]],
]

const major = Number(process.versions.node.split(".")[0])
const [, flags] = FLAGS.find(([first]) => major >= first) ?? [0, []]
const setFlags = () => {
  for (const flag of flags) setFlagsFromString(flag)
}

if (process.env.TEST_CODE_CACHES === "1") setFlags()
else setImmediate(setFlags).unref()
