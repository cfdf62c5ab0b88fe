import { test } from "node:test"
import assert from "node:assert/strict"
import { fc } from "@hayloft/base/testing-properties.js"
import { compareNames } from "./local-tree.js"
import { matches, takesPart, verdictOf, type NameRule, type SyncEntry, type SyncPair } from "./sync-core.js"
import { pairsOf } from "./sync-pairs.js"

const entry = (sizeBytes: number, modifiedMs: number): SyncEntry => ({ name: "n", sizeBytes, modifiedMs })

test("copied: what is missing, of another size, or newer; the rest is left alone", () => {
  assert.equal(verdictOf({ source: entry(1, 5) }, false), "missing")
  assert.equal(verdictOf({ target: entry(1, 5) }, false), "extra")
  assert.equal(verdictOf({ source: entry(1, 5), target: entry(2, 9) }, false), "size")
  assert.equal(verdictOf({ source: entry(1, 6), target: entry(1, 5) }, false), "newer")
  assert.equal(verdictOf({ source: entry(1, 5), target: entry(1, 5) }, false), "same")
  assert.equal(verdictOf({ source: entry(1, 4), target: entry(1, 5) }, false), "same")
  assert.equal(verdictOf({ source: entry(1, 6), target: entry(1, 5) }, true), "same")
  assert.equal(verdictOf({ source: entry(3, 4), target: entry(1, 5) }, true), "size")
})

test("the last rule that matches decides; names that match none depend on the first", () => {
  const rules = (...texts: readonly string[]): NameRule[] =>
    texts.map(text => ({ isIncluded: text.startsWith("+"), glob: text.slice(1) }))
  const chosen = (names: readonly string[], ...texts: readonly string[]) =>
    names.filter(name => takesPart(rules(...texts), name))
  const names = ["a.jpg", "a.log", "deep/b.jpg", "deep/b.log"]
  assert.deepEqual(chosen(names), names)
  assert.deepEqual(chosen(names, "-*.log"), ["a.jpg", "deep/b.jpg"])
  assert.deepEqual(chosen(names, "-*", "+*.jpg"), ["a.jpg", "deep/b.jpg"])
  assert.deepEqual(chosen(names, "+*.jpg"), ["a.jpg", "deep/b.jpg"])
  assert.deepEqual(chosen(names, "+*.jpg", "-deep/*"), ["a.jpg"])
  assert.deepEqual(chosen(names, "-deep/*", "+deep/b.jpg"), ["a.jpg", "a.log", "deep/b.jpg"])
})

test("globs: * is any text, ? one character, the rest is literal", () => {
  const expected = (glob: string): RegExp =>
    new RegExp(
      `^${glob
        .replace(/[.+^$()[\]{}|\\]/g, "\\$&")
        .replaceAll("*", "[^]*")
        .replaceAll("?", "[^]")}$`,
      "u",
    )
  const texts = fc.string({ unit: fc.constantFrom("a", "b", "/", ".", "é", "😀"), maxLength: 8 })
  const globs = fc.string({ unit: fc.constantFrom("a", "b", "/", ".", "*", "?", "😀"), maxLength: 8 })
  fc.assert(
    fc.property(globs, texts, (glob, text) => assert.equal(matches(glob, text), expected(glob).test(text))),
    { numRuns: 3000 },
  )
  assert.equal(matches(`${"*a".repeat(200)}b`, "a".repeat(5000)), false)
})

async function* listed(names: readonly string[], read?: { count: number }): AsyncGenerator<SyncEntry> {
  for (const name of names) {
    if (read) read.count += 1
    yield { name, sizeBytes: 0, modifiedMs: 0 }
  }
}

async function merged(sources: readonly string[], targets: readonly string[]): Promise<SyncPair[]> {
  const pairs: SyncPair[] = []
  for await (const pair of pairsOf(listed(sources), listed(targets))) pairs.push(pair)
  return pairs
}

test("two listings are merged in the order of UTF-8: each name once, with both of its entries", async () => {
  // In UTF-16 a surrogate pair sorts before U+FF5E, in UTF-8 after it.
  const name = fc.string({ unit: fc.constantFrom("a", "b", "/", "-", "~", "\uff5e", "😀"), minLength: 1, maxLength: 3 })
  const names = fc.uniqueArray(name, { maxLength: 12 }).map(all => all.sort(compareNames))
  await fc.assert(
    fc.asyncProperty(names, names, async (sources, targets) => {
      const all = [...new Set([...sources, ...targets])].sort(compareNames)
      const shown = (await merged(sources, targets)).map(({ source, target }) => [source?.name, target?.name])
      const wanted = all.map(one => [sources.find(s => s === one), targets.find(t => t === one)])
      assert.deepEqual(shown, wanted)
    }),
  )
})

test("a listing that is not in order ends the command: names would seem to be missing", async () => {
  await assert.rejects(merged(["a", "c", "b"], ["a"]), /the source is not listed in the order of names: "b" after "c"/)
  await assert.rejects(merged(["a"], ["b", "b"]), /the target is not listed in the order of names/)
  await assert.rejects(merged(["😀", "\uff5e"], []), /not listed in the order/)
})

test("listings are read as they are needed: one entry ahead", async () => {
  const read = { count: 0 }
  const many = Array.from({ length: 1000 }, (_, i) => String(i).padStart(4, "0"))
  let pairs = 0
  for await (const _ of pairsOf(listed(many, read), listed([]))) {
    pairs += 1
    assert.ok(read.count <= pairs + 1, `${read.count} were read for ${pairs}`)
    if (pairs === 100) break
  }
  assert.ok(read.count <= 101)
})
