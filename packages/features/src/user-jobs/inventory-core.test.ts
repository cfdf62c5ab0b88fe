import assert from "node:assert/strict"
import { test } from "node:test"
import { objectKeyOfText, parseVersionId } from "@hayloft/base/ids.js"
import { TEST_SEED } from "@hayloft/base/testing-seed.js"
import { NULL_VERSION } from "@hayloft/engine/format/objects/version-id.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { InventoryRows } from "./inventory-core.js"

type Entry = Parameters<InventoryRows["next"]>[0][number]

const marker = (key: string, versionId: string): Entry => ({
  kind: "marker",
  versionId: versionId === NULL_VERSION ? NULL_VERSION : parseVersionId(versionId),
  isLatest: false,
  key: objectKeyOfText(key),
  lastModifiedMs: 0,
})

test("rows of versions are in the order of their keys, wherever null versions are and pages end", () => {
  const random = new SimRandom(TEST_SEED).fork("inventory")
  const names = ["a", "a\x00", "a\x00\x00b", "a\x00\xff", "a\x01", "ab", "b", "ü"]
  const keys = names.map(name => objectKeyOfText(name)).sort()
  for (let round = 0; round < 200; round += 1) {
    const entries: Entry[] = []
    for (const key of keys) {
      const ids = Array.from({ length: random.below(4) }, (_, i) => `${i}${"0".repeat(25)}`)
      if (random.below(2) === 0) ids.splice(random.below(ids.length + 1), 0, NULL_VERSION)
      for (const id of ids) entries.push(marker(Buffer.from(key, "latin1").toString("utf8"), id))
    }
    const rows = new InventoryRows()
    const found: Buffer[] = []
    for (let from = 0; from < entries.length;) {
      const to = from + 1 + random.below(5)
      found.push(...rows.next(entries.slice(from, to)).map(({ key }) => key))
      from = to
    }
    found.push(...rows.rest().map(({ key }) => key))
    assert.equal(found.length, entries.length)
    for (let i = 1; i < found.length; i += 1)
      assert.ok(Buffer.compare(found[i - 1] ?? Buffer.alloc(0), found[i] ?? Buffer.alloc(0)) < 0, `row ${i}`)
  }
})
