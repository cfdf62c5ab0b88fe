/** Work that several callers need begins once; another one begins after it. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { SharedWork } from "./shared-work.js"

test("all who ask while a work is under way get its outcome; then the next one begins", async () => {
  const works = new SharedWork<string, number>()
  let begun = 0
  const work = async (): Promise<number> => (begun += 1)
  const both = [works.of("key", work), works.of("key", work)]
  assert.deepEqual([begun, works.size], [1, 1], "it begins at once")
  assert.deepEqual(await Promise.all([...both, works.of("other", work)]), [1, 1, 2])
  assert.equal(works.size, 0)
  assert.equal(await works.of("key", work), 3)
})

test("a work that rejects, or throws at once, rejects for all who wait, and is forgotten", async () => {
  const works = new SharedWork<string, string>()
  const failing = [
    async () => Promise.reject(new Error("failed")),
    () => {
      throw new Error("failed")
    },
  ]
  for (const work of failing) {
    const waiting = [works.of("key", work), works.of("key", async () => "not begun")]
    const ended = works.ended()
    for (const each of waiting) await assert.rejects(each, /failed/)
    await ended
    assert.equal(works.size, 0)
    assert.equal(await works.of("key", async () => "next"), "next")
  }
})

test("a work that asks for its own key does not begin twice", async () => {
  const works = new SharedWork<string, string>()
  const inner: Promise<string>[] = []
  let begun = 0
  const work = async (): Promise<string> => {
    begun += 1
    if (begun === 1) inner.push(works.of("key", work))
    return `work ${begun}`
  }
  const outer = works.of("key", work)
  assert.equal(works.size, 1)
  assert.deepEqual(await Promise.all([outer, ...inner]), ["work 1", "work 1"])
  assert.deepEqual([begun, works.size], [1, 0])
})
