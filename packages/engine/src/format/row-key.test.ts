/** Row keys sort as listings need, whatever bytes keys hold, and a prefix covers exactly its keys. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { fc } from "@hayloft/base/testing-properties.js"
import { must } from "@hayloft/base/assert.js"
import { isFailure } from "@hayloft/base/failures.js"
import { objectKeyOfText, parseBucketId, parseUploadId, parseVersionId } from "@hayloft/base/ids.js"
import {
  afterKeyPrefix,
  afterObjectKey,
  multipartRowKey,
  objectRowKey,
  parseObjectRowKey,
  partRowKey,
  prefixRange,
  suffixRange,
  uploadOfRowKey,
  uploadRowKey,
  versionRowKey,
} from "./row-key.js"
import {
  bytesOfVersionId,
  isMultipartId,
  multipartIdOf,
  multipartIdOfSuffix,
  partsOfVersionId,
  versionIdOf,
} from "./objects/version-id.js"

const characters = fc.constantFrom(
  "\0",
  "\x01",
  " ",
  "!",
  "/",
  "a",
  "b",
  "\x7f",
  "é",
  "\u{ffff}",
  "\u{10000}",
  "\u{10ffff}",
)
const keys = fc.oneof(
  fc.array(characters, { minLength: 1, maxLength: 5 }).map(list => objectKeyOfText(list.join(""))),
  fc.nat(255).map(length => objectKeyOfText("\u{10ffff}".repeat(length + 1))),
)
const buckets = fc.constantFrom(1, 2, 255, 256, 2 ** 40, Number.MAX_SAFE_INTEGER).map(parseBucketId)
const orders = fc.nat(Number.MAX_SAFE_INTEGER)

/** Order of tuples; newer orders first. */
function compare(a: readonly [number, string, number], b: readonly [number, string, number]): number {
  const [bucketA, keyA, orderA] = a
  const [bucketB, keyB, orderB] = b
  if (bucketA !== bucketB) return bucketA < bucketB ? -1 : 1
  if (keyA !== keyB) return Buffer.compare(Buffer.from(keyA, "latin1"), Buffer.from(keyB, "latin1"))
  return Math.sign(orderB - orderA)
}

const rows = fc.tuple(buckets, keys, orders)
const keyOf = ([bucketId, key, order]: readonly [
  ReturnType<typeof parseBucketId>,
  ReturnType<typeof objectKeyOfText>,
  number,
]) => versionRowKey(objectRowKey(bucketId, key), order)

test("rows sort by bucket, then key bytes, then newest first; a row comes before its versions", () => {
  fc.assert(
    fc.property(rows, rows, (a, b) => {
      const [keyA, keyB] = [keyOf(a), keyOf(b)]
      assert.equal(keyA < keyB ? -1 : keyA > keyB ? 1 : 0, compare(a, b))
      assert.ok(objectRowKey(a[0], a[1]) < keyA)
      assert.ok(/^[\0-\xff]*$/.test(keyA) && keyA.length <= 8 + 1025 + 18)
    }),
    { numRuns: 3000 },
  )
})

test("row keys parse back to their bucket, key and suffix", () => {
  const uploadId = parseUploadId("00000002000000070123456789abcdef")
  fc.assert(
    fc.property(rows, ([bucketId, key, order]) => {
      const row = objectRowKey(bucketId, key)
      assert.deepEqual(parseObjectRowKey(row), { bucketId, key, suffix: "" })
      assert.equal(parseObjectRowKey(versionRowKey(row, order)).suffix.length, 8)
      assert.equal(uploadOfRowKey(uploadRowKey(row, uploadId)), uploadId)
      const id = multipartIdOf(order, new Uint8Array(8).fill(255))
      assert.equal(multipartIdOfSuffix(parseObjectRowKey(multipartRowKey(row, id)).suffix), id)
      assert.equal(multipartIdOfSuffix(parseObjectRowKey(partRowKey(row, id, 10_000)).suffix), id)
    }),
  )
})

test("a prefix covers the keys that begin with it and no others, also one that no key can have", () => {
  const prefixes = fc.oneof(
    fc.constant(""),
    keys.map(String),
    keys.map(key => key.slice(0, Math.ceil(key.length / 2))),
    fc.array(fc.nat(255), { maxLength: 4 }).map(codes => String.fromCharCode(...codes)),
  )
  fc.assert(
    fc.property(buckets, prefixes, rows, (bucketId, prefix, [otherBucket, key, order]) => {
      const { start, end } = prefixRange(bucketId, prefix)
      const isCovered = bucketId === otherBucket && key.startsWith(prefix)
      for (const row of [objectRowKey(otherBucket, key), versionRowKey(objectRowKey(otherBucket, key), order)]) {
        assert.equal(row >= start && row < end, isCovered)
        if (isCovered) assert.ok(row < afterKeyPrefix(bucketId, prefix))
      }
    }),
    { numRuns: 3000 },
  )
})

test("the range after a key contains every later key, and none of the key's own rows", () => {
  fc.assert(
    fc.property(buckets, keys, keys, orders, (bucketId, key, other, order) => {
      const after = afterObjectKey(bucketId, key)
      const row = versionRowKey(objectRowKey(bucketId, other), order)
      assert.equal(row >= after, Buffer.compare(Buffer.from(other, "latin1"), Buffer.from(key, "latin1")) > 0)
      const { start, end } = suffixRange(objectRowKey(bucketId, key))
      assert.equal(row >= start && row < end, other === key)
    }),
    { numRuns: 3000 },
  )
})

test("version ids sort newest first, as their rows do, and parse back to their order", () => {
  const random = fc.uint8Array({ minLength: 8, maxLength: 8 })
  fc.assert(
    fc.property(orders, orders, random, random, (a, b, randomA, randomB) => {
      const [idA, idB] = [versionIdOf(a, randomA), versionIdOf(b, randomB)]
      if (a !== b) assert.equal(idA < idB, a > b)
      assert.deepEqual(partsOfVersionId(idA), { order: a, random: randomA })
      const [startA, startB] = [multipartIdOf(a, randomA), multipartIdOf(b, randomB)]
      if (a !== b) assert.equal(startA < startB, a < b)
      assert.equal(bytesOfVersionId(idA).length, 16)
    }),
  )
})

test("text that is not one of our ids is refused, and never mistaken for one", () => {
  const good = versionIdOf(5, new Uint8Array(8))
  for (const bad of [
    "",
    "0",
    good.slice(1),
    `${good}0`,
    good.toLowerCase(),
    `${good.slice(0, 25)}1`,
    "W".repeat(26),
    "é".repeat(26),
  ]) {
    assert.throws(
      () => bytesOfVersionId(bad),
      error => isFailure(error, "invalidArgument"),
      bad,
    )
    assert.equal(isMultipartId(bad), false)
  }
  // An order beyond the safe integers.
  assert.throws(
    () => partsOfVersionId(parseVersionId("0".repeat(26))),
    error => isFailure(error, "invalidArgument"),
  )
  assert.equal(must(good[0], "ids are not empty"), "V")
})
