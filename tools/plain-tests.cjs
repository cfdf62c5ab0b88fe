/**
 * Loaded before a test file: prevents `node:test` from tracking which test created each promise. Tracking uses more
 * than half of the processor time in tests that simulate whole stores (an init and a destroy hook for each
 * promise).
 * The cost: an uncaught error fails its file instead of its test. If Node changes this internal part, tests still
 * run, but with the hooks and the time they use.
 */
"use strict"

const hooks = require("node:async_hooks")

const { createHook } = hooks
const idle = { enable: () => idle, disable: () => idle }

hooks.createHook = callbacks => (/instanceof Test\b/.test(String(callbacks.init)) ? idle : createHook(callbacks))
