import assert from "node:assert/strict"
import { createHash } from "node:crypto"
import { test } from "node:test"
import { SimClock } from "@hayloft/base/seams/clock/sim.js"
import { SmallBodyMd5 } from "./small-body-md5.js"

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex")
const md5 = (text: string): string => createHash("md5").update(text).digest("hex")

/** Records digests in order; a synchronous one is marked. */
function open() {
  const clock = new SimClock()
  const md5s = new SmallBodyMd5(clock, 4_096)
  const came: string[] = []
  const underWay: (() => void)[] = []
  const ask = (text: string, encoding: BufferEncoding = "utf8"): void => {
    let isSync = true
    const put = (digest: Uint8Array): Promise<void> => {
      came.push(isSync ? `sync ${hex(digest)}` : hex(digest))
      return new Promise(resolve => underWay.push(resolve))
    }
    void md5s.during(Buffer.from(text, encoding), put)
    isSync = false
  }
  /** Ends the PUT that got its digest first. */
  const end = async (): Promise<void> => {
    underWay.shift()?.()
    await new Promise(resolve => setImmediate(resolve))
  }
  /** The digests since the last call. */
  const news = async (): Promise<string[]> => {
    await new Promise(resolve => setImmediate(resolve))
    return came.splice(0)
  }
  return { clock, ask, end, news }
}

test("a body that is alone is hashed synchronously; others wait until a PUT has ended", async () => {
  const { ask, end, news } = open()
  ask("a")
  assert.deepEqual(await news(), [`sync ${md5("a")}`])
  ask("b")
  ask("c")
  assert.deepEqual(await news(), [])
  await end()
  assert.deepEqual(await news(), [md5("b"), md5("c")])
  ask("d")
  assert.deepEqual(await news(), [])
  await end()
  assert.deepEqual(await news(), [md5("d")])
  await end()
  await end()
  ask("e")
  assert.deepEqual(await news(), [`sync ${md5("e")}`])
})

test("eight bodies are hashed without waiting, fewer wait 5 ms at most for a PUT that does not end", async () => {
  const { clock, ask, news } = open()
  ask("first")
  const texts = Array.from({ length: 9 }, (_, i) => String(i).repeat(i))
  for (const text of texts) ask(text)
  assert.deepEqual(await news(), [`sync ${md5("first")}`, ...texts.slice(0, 8).map(md5)])
  await clock.advance(5)
  assert.deepEqual(await news(), texts.slice(8).map(md5))
})

test("bodies of all lengths have the same digests in a batch as alone", async () => {
  const lengths = [0, 1, 55, 56, 63, 64, 119, 120, 128, 300, 4_095, 4_096]
  for (let first = 0; first < lengths.length; first += 1) {
    const texts = Array.from({ length: 8 }, (_, i) => "\xff".repeat(lengths[(first + i * i) % lengths.length] ?? 0))
    const { ask, news } = open()
    for (const text of ["alone", ...texts]) ask(text, "latin1")
    const expected = texts.map(text => createHash("md5").update(text, "latin1").digest("hex"))
    assert.deepEqual((await news()).slice(1).sort(), expected.sort())
  }
})
