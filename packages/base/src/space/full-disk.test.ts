/** Work on a disk that may be full. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { fail, isFailure, type FailureKind } from "../failures.js"
import { SPACE_RETRIES_MAX } from "./full-disk-core.js"
import { retryWithSpace, unlessFull, unlessShort } from "./full-disk.js"

const failing = (kind: FailureKind) => () => Promise.reject(fail(kind, { device: "a" }))
const isOf = (kind: FailureKind) => (error: unknown) => isFailure(error, kind)

test("a lack of space has a result of its own, and every other failure is thrown", async () => {
  assert.equal(
    await unlessFull(
      async () => 1,
      () => 2,
    ),
    1,
  )
  assert.equal(await unlessFull(failing("deviceFull"), ({ details }) => details["device"]), "a")
  await assert.rejects(
    unlessFull(failing("deviceFailed"), () => 2),
    isOf("deviceFailed"),
  )
  await assert.rejects(
    unlessFull(failing("tooManyInFlight"), () => 2),
    isOf("tooManyInFlight"),
  )
})

test("a failure in what follows a lack of space is thrown", async () => {
  await assert.rejects(unlessFull(failing("deviceFull"), failing("deviceFailed")), isOf("deviceFailed"))
})

test("a lack of file handles counts as a lack of space where both only postpone the work", async () => {
  const later = () => "later"
  assert.equal(await unlessShort(async () => "done", later), "done")
  assert.equal(await unlessShort(failing("deviceFull"), later), "later")
  assert.equal(await unlessShort(failing("tooManyInFlight"), later), "later")
  await assert.rejects(unlessShort(failing("deviceFailed"), later), isOf("deviceFailed"))
})

/** Fails until it has been called more than `fails` times. */
function fillingUp(fails: number) {
  let runs = 0
  return async () => {
    runs += 1
    if (runs <= fails) throw fail("deviceFull")
    return runs
  }
}

test("work without space is repeated while space is made, and so many times at most", async () => {
  const made = async () => true
  assert.equal(await retryWithSpace(fillingUp(3), made), 4)
  assert.equal(await retryWithSpace(fillingUp(SPACE_RETRIES_MAX), made), SPACE_RETRIES_MAX + 1)
  await assert.rejects(retryWithSpace(fillingUp(SPACE_RETRIES_MAX + 1), made), isOf("deviceFull"))
  await assert.rejects(retryWithSpace(fillingUp(2), made, 1), isOf("deviceFull"))
})

test("work without space ends once no more can be made, and makes none after another failure", async () => {
  let left = 2
  const make = async () => (left -= 1) >= 0
  await assert.rejects(retryWithSpace(fillingUp(3), make, Infinity), isOf("deviceFull"))
  await assert.rejects(
    retryWithSpace(failing("deviceFailed"), () => assert.fail("it is not full")),
    isOf("deviceFailed"),
  )
})
