/**
 * Loaded into every Node process of a test run: V8 optimizes a function only after eight times as much of its bytecode has
 * run. Most of these processes live for seconds, and spent a sixth of their processor time in the optimizing compiler, on
 * code that was about to end. The program is the same, and long work is still optimized.
 *
 * The flag is set once the main script has started, because V8 refuses code caches that were made under other flags.
 */
"use strict"

const { setFlagsFromString } = require("node:v8")

/** Bytes; 132 KiB by default (Node 20). */
const INTERRUPT_BUDGET = 1_000_000

setImmediate(() => setFlagsFromString(`--interrupt-budget=${INTERRUPT_BUDGET}`)).unref()
