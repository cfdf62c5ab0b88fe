/** Listings of remote buckets: pages, prefixes and order, over a remote with whatever pages, and with pending writes. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { runsOf } from "@hayloft/base/testing-seed.js"
import { fc } from "@hayloft/base/testing-properties.js"
import { objectKeyOfText } from "@hayloft/base/ids.js"
import { RemoteScene, shownEntry } from "./testing-remotes.js"

const BACK = { writes: "Back" } as const

test("a listing shows which objects are cached, if it is asked", async () => {
  const scene = await RemoteScene.open()
  for (const key of ["a", "b", "c/x"]) scene.far(key, key)
  await scene.read("b")
  assert.deepEqual(await scene.list({ withStatus: true, delimiter: "/" }), ["a remote", "b cached", "c/"])
  const cached = await scene.run(
    scene.remotes.listCached(scene.bucket, { bucket: scene.bucket, prefix: "", delimiter: "", after: "", max: 10 }),
  )
  assert.deepEqual(
    cached.entries.map(entry => entry.kind === "object" && entry.object.key),
    ["b"],
  )
  const behind = { bucket: scene.bucket, prefix: "", delimiter: "", after: "b", max: 10 }
  assert.deepEqual((await scene.run(scene.remotes.listCached(scene.bucket, behind))).entries, [])
})

test("one page of a listing takes one request, also if it is full", async () => {
  const scene = await RemoteScene.open(BACK)
  for (let i = 0; i < 30; i += 1) scene.far(`k${i}`, "")
  const page = await scene.run(scene.listing({ max: 10 }))
  assert.deepEqual(
    [page.entries.length, page.next, scene.origin.counts.list],
    [10, page.entries.length > 0 ? "k17" : "", 1],
  )
  assert.deepEqual((await scene.run(scene.listing({ max: 0 }))).entries, [])
})

test("keys are in the order of their bytes", async () => {
  const scene = await RemoteScene.open(BACK)
  const keys = ["a", "a-", "a/", "a0", "\u{10000}", "\uffee", "é"]
  for (const [i, key] of keys.entries()) {
    if (i % 2 === 0) scene.far(key, "")
    else await scene.write(key, "")
  }
  const sorted = [...keys].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
  assert.deepEqual(
    await scene.list(),
    sorted.map(key => objectKeyOfText(key)),
  )
  assert.deepEqual(
    await scene.list({ max: 2 }),
    sorted.map(key => objectKeyOfText(key)),
  )
})

test("a common prefix at the end of the remote's page, which its next page shows again, is shown once", async () => {
  const scene = await RemoteScene.open()
  for (const key of ["a/x", "b/x", "b/y", "c/x", "d"]) scene.far(key, "")
  for (scene.origin.pageMax of [1, 2, 3])
    assert.deepEqual(await scene.list({ delimiter: "/" }), ["a/", "b/", "c/", "d"], `pages of ${scene.origin.pageMax}`)
})

test("the same, where pending deletions make a page of the listing need several of the remote", async () => {
  const scene = await RemoteScene.open(BACK)
  for (const key of ["a1", "a2", "b/x", "c/x"]) scene.far(key, "")
  await scene.remove("a1")
  await scene.remove("a2")
  assert.deepEqual(await scene.list({ delimiter: "/", max: 2 }), ["b/", "c/"])
})

test("a listing during which pending writes are sent shows them, and no object whose deletion was pending", async () => {
  const scene = await RemoteScene.open(BACK)
  scene.far("b", "far")
  await scene.write("a", "new")
  await scene.remove("b")
  const gate = scene.origin.hold("list", "after")
  const listing = scene.listing()
  await scene.settle()
  assert.ok(gate.isReached)
  await scene.round()
  gate.open()
  const { entries } = await scene.run(listing)
  assert.deepEqual(
    entries.map(entry => shownEntry(entry, false)),
    ["a"],
  )
})

test("deletions of all that the remote's pages show do not end the listing", async () => {
  const scene = await RemoteScene.open(BACK)
  for (let i = 10; i < 60; i += 1) scene.far(`k${i}`, "")
  for (let i = 10; i < 55; i += 1) await scene.remove(`k${i}`)
  const page = await scene.run(scene.listing({ max: 3 }))
  assert.deepEqual([page.entries.length, page.next], [3, "k57"])
  assert.deepEqual(await scene.list({ max: 3 }), ["k55", "k56", "k57", "k58", "k59"])
})

test("a remote whose listing goes on without end is refused", async () => {
  const scene = await RemoteScene.open(BACK)
  const object = { kind: "object", key: objectKeyOfText("a"), etag: "", sizeBytes: 0, lastModifiedMs: 0 } as const
  let pages = 0
  for (const [entries, tokens] of [
    [[], 1],
    [[], 2],
    [[], Infinity],
    [[object], 2],
  ] as const) {
    pages = 0
    scene.origin.list = async () => {
      pages += 1
      assert.ok(pages < 1_000)
      return { entries, next: String(pages % tokens) }
    }
    await scene.refuses(scene.run(scene.listing()), "remoteRefused")
  }
})

/** Returns what a reader of the bucket finds: keys and common prefixes. */
function expected(keys: readonly string[], prefix: string, delimiter: string, after: string): readonly string[] {
  const found = new Set<string>()
  for (const key of [...keys].sort((a, b) => (a < b ? -1 : 1))) {
    if (!key.startsWith(prefix)) continue
    const at = delimiter === "" ? -1 : key.indexOf(delimiter, prefix.length)
    const place = at < 0 ? key : key.slice(0, at + delimiter.length)
    if (place > after && !(at >= 0 && after.startsWith(place))) found.add(place)
  }
  return [...found]
}

test("random listings are those of the keys that a reader would find", async () => {
  const key = fc.stringMatching(/^[ab/]{1,5}$/)
  const some = fc.array(key, { maxLength: 12 })
  const asked = fc.record({
    prefix: fc.constantFrom("", "a", "a/", "b/a", "/"),
    delimiter: fc.constantFrom("", "/", "/", "ab"),
    after: fc.oneof(fc.constant(""), key),
    max: fc.integer({ min: 1, max: 6 }),
  })
  const given = fc.record({
    far: some,
    written: some,
    removed: some,
    skips: fc.boolean(),
    pageMax: fc.constantFrom(1, 2, 3, 1_000, 1_000),
    asked: fc.array(asked, { minLength: 8, maxLength: 8 }),
  })
  await fc.assert(
    fc.asyncProperty(given, async ({ far, written, removed, skips, pageMax, asked: requests }) => {
      const scene = await RemoteScene.open(BACK)
      scene.origin.skipsPrefixOfAfter = skips
      scene.origin.pageMax = pageMax
      for (const each of far) scene.far(each, "")
      const keys = new Set(far)
      for (const each of written) {
        await scene.write(each, "")
        keys.add(each)
      }
      for (const each of removed) {
        await scene.remove(each)
        keys.delete(each)
      }
      for (const request of requests) {
        const { prefix, delimiter, after } = request
        assert.deepEqual(await scene.list(request), expected([...keys], prefix, delimiter, after))
      }
      await scene.round()
      assert.deepEqual([...scene.origin.objects.keys()].map(String).sort(), [...keys].sort())
    }),
    { numRuns: runsOf(20) },
  )
})
