/**
 * Loaded before a test file: keeps `node:test` from following every promise to the test that made it. Following costs
 * more than half of the processor where a test simulates whole stores (an init and a destroy hook for each promise).
 * What is lost is a name: an error that nobody catches fails the file that it comes from, not the test.
 *
 * Tests go on to run where Node changes this part of itself: only the hooks are then back, and the time they take.
 */
"use strict"

const hooks = require("node:async_hooks")

const { createHook } = hooks
const idle = { enable: () => idle, disable: () => idle }

hooks.createHook = callbacks => (/instanceof Test\b/.test(String(callbacks.init)) ? idle : createHook(callbacks))
