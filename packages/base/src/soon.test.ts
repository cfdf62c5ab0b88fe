import assert from "node:assert/strict"
import { test } from "node:test"
import { after, forEachSoon, lastly, recover, type Soon } from "./soon.js"

const later = <T>(value: T): Promise<T> => new Promise(resolve => setImmediate(() => resolve(value)))

test("an available value is passed on within the turn, a promised one when it resolves", async () => {
  assert.equal(
    after(1, value => value + 1),
    2,
  )
  const promised = after(later(1), value => value + 1)
  assert.ok(promised instanceof Promise)
  assert.equal(await promised, 2)
})

test("recover handles exceptions and rejections", async () => {
  const fails = (): never => {
    throw new Error("a")
  }
  assert.equal(
    recover<string>(fails, error => String(error)),
    "Error: a",
  )
  assert.equal(
    await recover<string>(
      () => Promise.reject(new Error("b")),
      error => String(error),
    ),
    "Error: b",
  )
  assert.equal(
    recover(
      () => 1,
      () => 2,
    ),
    1,
  )
})

test("lastly cleans up once, however the work ends", async () => {
  let count = 0
  const cleanUp = (): void => void (count += 1)
  assert.equal(
    lastly(() => 1, cleanUp),
    1,
  )
  assert.equal(count, 1)
  assert.throws(() =>
    lastly(() => {
      throw new Error("a")
    }, cleanUp),
  )
  assert.equal(count, 2)
  const promised = lastly(() => later(1), cleanUp)
  assert.equal(count, 2)
  assert.equal(await promised, 1)
  assert.equal(count, 3)
  await assert.rejects(async () => lastly(() => Promise.reject(new Error("b")), cleanUp))
  assert.equal(count, 4)
})

test("forEachSoon keeps the order, whether it waits or not, and stops at the first failure", async () => {
  const seen: number[] = []
  const note = (n: number): Soon<void> => {
    if (n === 4) throw new Error("four")
    if (n % 2 === 0) return later(undefined).then(() => void seen.push(n))
    return void seen.push(n)
  }
  await forEachSoon([1, 2, 3], note)
  assert.deepEqual(seen, [1, 2, 3])
  assert.equal(forEachSoon([5, 7], note), undefined)
  await assert.rejects(async () => forEachSoon([2, 4, 6], note), /four/)
  assert.deepEqual(seen, [1, 2, 3, 5, 7, 2])
})
