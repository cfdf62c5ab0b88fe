import assert from "node:assert/strict"
import { createHash } from "node:crypto"
import { test } from "node:test"
import { SimClock } from "../seams/clock/sim.js"
import { GatheredMd5 } from "./gathered-md5.js"

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex")
const md5 = (text: string): string => createHash("md5").update(text).digest("hex")

/** Digests as they come; one that comes within the turn is marked. */
function gatherer() {
  const clock = new SimClock()
  const md5s = new GatheredMd5(clock, 4_096)
  const came: string[] = []
  const underWay: (() => void)[] = []
  const ask = (text: string): void => {
    let isSync = true
    const put = (digest: Uint8Array): Promise<void> => {
      came.push(isSync ? `sync ${hex(digest)}` : hex(digest))
      return new Promise(resolve => underWay.push(resolve))
    }
    void md5s.during(Buffer.from(text), put)
    isSync = false
  }
  /** The put that was given its digest first has ended. */
  const end = async (): Promise<void> => {
    underWay.shift()?.()
    await new Promise(resolve => setImmediate(resolve))
  }
  /** All that came since it was called last. */
  const news = async (): Promise<string[]> => {
    await new Promise(resolve => setImmediate(resolve))
    return came.splice(0)
  }
  return { clock, ask, end, news }
}

test("a body that is alone is hashed within the turn; others wait until a put has ended", async () => {
  const { ask, end, news } = gatherer()
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

test("eight bodies wait for nobody, and none waits for a put that does not end", async () => {
  const { clock, ask, news } = gatherer()
  ask("first")
  const texts = Array.from({ length: 9 }, (_, i) => String(i).repeat(i))
  for (const text of texts) ask(text)
  assert.deepEqual(await news(), [`sync ${md5("first")}`, ...texts.slice(0, 8).map(md5)])
  await clock.advance(5)
  assert.deepEqual(await news(), texts.slice(8).map(md5))
})
