/** The formats of K2V: golden bytes both ways, hostile bytes, the published token, and the order of row keys. */
import assert from "node:assert/strict"
import { readFileSync } from "node:fs"
import { test } from "node:test"
import { isFailure } from "@hayloft/base/failures.js"
import { parseItemKey, parseBucketId, type ItemKey } from "@hayloft/base/ids.js"
import { fc } from "@hayloft/base/testing-properties.js"
import { decodeMarker, encodeMarker, type K2vMarker } from "./k2v-marker.js"
import {
  changeRowKey,
  decodeK2vChange,
  decodeK2vItem,
  decodeK2vPartition,
  decodeK2vValue,
  encodeK2vChange,
  encodeK2vItem,
  encodeK2vPartition,
  encodeK2vValue,
  itemRowKey,
  partitionKeyOf,
  sortKeyOf,
  timeOfChange,
  valueRowKey,
  type K2vItem,
} from "./k2v-rows.js"
import { decodeToken, encodeToken } from "./k2v-token.js"
import { objectRowKey } from "../row-key.js"
import { filled, sample, testGoldens } from "../testing-golden.js"

const ITEM: K2vItem = [
  {
    node: "000000000000002a",
    discard: 3,
    values: [
      { time: 4, value: { kind: "tombstone" } },
      { time: 5, value: { kind: "inline", bytes: filled(3, 7) } },
    ],
  },
  {
    node: "efc0c1c47f9de433",
    discard: 0,
    values: [{ time: 1_800_000_000_000, value: { kind: "row", lengthBytes: 2_000, sha256: filled(32, 1) } }],
  },
]
const PARTITION = { entries: 3, conflicts: 1, values: 4, bytes: 5_000, changedAt: 1_800_000_000_000, collectedTo: 0 }
const COLLECTED = { ...PARTITION, collectedTo: 1_700_000_000_000 }
const MARKER: K2vMarker = {
  bucketId: parseBucketId(7),
  partition: parseItemKey("é"),
  prefix: parseItemKey("a"),
  start: undefined,
  end: parseItemKey("b"),
  time: 1_800_000_000_000,
  from: parseItemKey("aa"),
}

testGoldens(
  [
    sample("item", ITEM, encodeK2vItem, decodeK2vItem),
    sample("value", filled(5, 1), encodeK2vValue, decodeK2vValue),
    sample("partition", PARTITION, encodeK2vPartition, decodeK2vPartition),
    sample("collected", COLLECTED, encodeK2vPartition, decodeK2vPartition),
    sample("change", parseItemKey("é"), encodeK2vChange, decodeK2vChange),
    sample(
      "marker",
      MARKER,
      marker => Buffer.from(encodeMarker(marker)),
      bytes => decodeMarker(Buffer.from(bytes).toString()),
    ),
  ],
  readFileSync("packages/engine/src/format/golden/k2v-v1.txt", "utf8"),
)

const PUBLISHED = "78DBxA1xFZwAAAAAAAAABAAAAAAAAAAqAAAAAHLs8c8AAAAAAAAATO_AwcR_neQzAAAAAAAAAAI"

test("the token is the published one, both ways", () => {
  const context = new Map([
    ["000000000000000" + "4", 42],
    [(1928131023).toString(16).padStart(16, "0"), 76],
    ["efc0c1c47f9de433", 2],
  ])
  assert.equal(encodeToken(context), PUBLISHED)
  assert.deepEqual(decodeToken(PUBLISHED), context)
  assert.deepEqual(decodeToken(encodeToken(new Map())), new Map())
})

test("a token that was changed, cut, extended or reordered is refused", () => {
  const bytes = Buffer.from(PUBLISHED, "base64url")
  const pair = (at: number) => bytes.subarray(8 + 16 * at, 24 + 16 * at)
  const texts = [
    "",
    "A",
    PUBLISHED.slice(0, -1),
    `${PUBLISHED}A`,
    `${PUBLISHED}==`,
    PUBLISHED.replace("_", "/"),
    Buffer.concat([bytes.subarray(0, 8), pair(1), pair(0), pair(2)]).toString("base64url"),
    Buffer.concat([bytes.subarray(0, 8), pair(0), pair(0), pair(0)]).toString("base64url"),
  ]
  for (let bit = 0; bit < 8 * bytes.length; bit += 1) {
    const flipped = Uint8Array.from(bytes)
    flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7))
    texts.push(Buffer.from(flipped).toString("base64url"))
  }
  for (const text of texts) {
    assert.throws(
      () => decodeToken(text),
      error => isFailure(error, "invalidArgument"),
      text,
    )
  }
})

test("row keys sort as the keys do, and give them back", () => {
  const bucket = parseBucketId(9)
  const key = fc.string({ unit: "grapheme", maxLength: 6 }).map(text => parseItemKey(text))
  const name = key.filter(text => text !== "")
  const order = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)
  fc.assert(
    fc.property(fc.tuple(name, key), fc.tuple(name, key), ([pk, sk], [other, sort]) => {
      const rowOf = (partition: ItemKey, sortKey: ItemKey) => itemRowKey(objectRowKey(bucket, partition), sortKey)
      const row = rowOf(pk, sk)
      assert.equal(Math.sign(order(row, rowOf(other, sort))), order(pk, other) || order(sk, sort))
      assert.equal(partitionKeyOf(row), pk)
      assert.equal(sortKeyOf(row), sk)
      const value = valueRowKey(row, "ffffffffffffffff", Number.MAX_SAFE_INTEGER)
      assert.ok(value.startsWith(row))
      // No row of another item is among the values of this one.
      if (sk !== sort || pk !== other) assert.ok(!rowOf(other, sort).startsWith(row))
    }),
  )
  const change = changeRowKey(objectRowKey(bucket, parseItemKey("p")), 1_800_000_000_000)
  assert.equal(timeOfChange(change), 1_800_000_000_000)
})
