import { test } from "node:test"
import assert from "node:assert/strict"
import { KIB } from "../limits.js"
import { setImmediate as nextTurn } from "node:timers/promises"
import { freePiece } from "./free-memory.js"

test("a piece with its own buffer is freed, one that shares a buffer is not", async () => {
  const own = Buffer.allocUnsafeSlow(64 * KIB)
  const whole = Buffer.allocUnsafeSlow(64 * KIB).fill(7)
  const part = whole.subarray(0, 32 * KIB)
  const small = Buffer.alloc(100, 7)
  for (const piece of [own, part, small]) freePiece(piece)
  assert.deepEqual([own.length, part.length, whole.length, small.length], [0, 32 * KIB, 64 * KIB, 100])
  assert.ok(whole.every(byte => byte === 7))
})

test("thousands of pieces leave no memory behind", async () => {
  // A port closes in a later turn than requested; until then it keeps the messages that it receives.
  for (let turn = 0; turn < 20; turn += 1) await nextTurn()
  const before = process.memoryUsage().arrayBuffers
  for (let n = 0; n < 4096; n += 1) freePiece(Buffer.allocUnsafeSlow(64 * KIB))
  assert.ok(process.memoryUsage().arrayBuffers - before < 8 * KIB * KIB)
})
