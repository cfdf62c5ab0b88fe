import assert from "node:assert/strict"
import { createHash } from "node:crypto"
import { test } from "node:test"
import { SimClock } from "../seams/clock/sim.js"
import { GatheredMd5 } from "./gathered-md5.js"

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex")
const md5 = (text: string): string => createHash("md5").update(text).digest("hex")

/** Digests as they come; a body that is answered at once is marked. */
function gatherer() {
  const clock = new SimClock()
  const md5s = new GatheredMd5(clock, 4_096)
  const came: string[] = []
  const ask = (text: string): void => {
    const digest = md5s.of(Buffer.from(text))
    if (digest instanceof Promise) void digest.then(found => came.push(hex(found)))
    else came.push(`at once ${hex(digest)}`)
  }
  /** All that came since it was called last. */
  const news = async (): Promise<string[]> => {
    await new Promise(resolve => setImmediate(resolve))
    return came.splice(0)
  }
  return { clock, md5s, ask, news }
}

test("a body that is alone is hashed at once; others wait until a put has ended", async () => {
  const { md5s, ask, news } = gatherer()
  ask("a")
  assert.deepEqual(await news(), [`at once ${md5("a")}`])
  ask("b")
  ask("c")
  assert.deepEqual(await news(), [])
  md5s.ended()
  assert.deepEqual(await news(), [md5("b"), md5("c")])
  ask("d")
  assert.deepEqual(await news(), [])
  md5s.ended()
  assert.deepEqual(await news(), [md5("d")])
  md5s.ended()
  md5s.ended()
  ask("e")
  assert.deepEqual(await news(), [`at once ${md5("e")}`])
})

test("eight bodies wait for nobody, and none waits for a put that does not end", async () => {
  const { clock, ask, news } = gatherer()
  ask("first")
  const texts = Array.from({ length: 9 }, (_, i) => String(i).repeat(i))
  for (const text of texts) ask(text)
  assert.deepEqual(await news(), [`at once ${md5("first")}`, ...texts.slice(0, 8).map(md5)])
  await clock.advance(5)
  assert.deepEqual(await news(), texts.slice(8).map(md5))
})
