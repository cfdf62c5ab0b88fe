/** Tests of what the memory of opened keys holds, and that nothing of it stays. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { SimClock } from "@hayloft/base/seams/clock/sim.js"
import { OpenedKeys } from "./opened-keys.js"

const KEEP_MS = 1_000

/** Keys that are opened, and the bytes that the memory was given. */
function memory(keysMax: number) {
  const clock = new SimClock()
  const opened = new OpenedKeys(clock, KEEP_MS, keysMax)
  let opens = 0
  const open = (id: string) =>
    opened.open(id, () => {
      opens += 1
      return Buffer.from(id)
    })
  return { clock, opened, open, opens: () => opens }
}

test("the oldest key gives way, and all end in time without being asked for", async () => {
  const { clock, opened, open, opens } = memory(2)
  for (const id of ["a", "b", "c"]) await open(id)
  assert.equal(opened.size, 2)
  await open("b")
  assert.equal(opens(), 3)
  await open("a")
  assert.equal(opens(), 4)
  await clock.advance(KEEP_MS)
  assert.deepEqual([opened.size, clock.sleepers], [0, 0])
})

test("bytes that are dropped become zeros, those of callers do not", async () => {
  const { clock, opened, open } = memory(10)
  const bytes = Buffer.from("secret")
  opened.keep("id", bytes)
  const copy = await open("id")
  await clock.advance(KEEP_MS - 1)
  assert.equal(bytes.toString(), "secret")
  await clock.advance(1)
  assert.ok(bytes.every(byte => byte === 0))
  assert.equal(Buffer.from(copy).toString(), "secret")
})

test("a failed open is tried again, and closing drops everything", async () => {
  const { clock, opened, open } = memory(10)
  await assert.rejects(async () => opened.open("a", () => Promise.reject(new Error("no"))), /no/)
  await open("a")
  opened.close()
  assert.deepEqual([opened.size, clock.sleepers], [0, 0])
})
