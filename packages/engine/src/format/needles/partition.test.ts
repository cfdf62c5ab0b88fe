import assert from "node:assert/strict"
import { test } from "node:test"
import { parseUploadId } from "@hayloft/base/ids.js"
import { partitionOf } from "./partition.js"

test("partitions are unchanged since the first needle was written", () => {
  const vectors: readonly (readonly [upload: string, part: number, block: number, partition: number])[] = [
    ["00000000000000000000000000000000", 0, 0, 27002],
    ["00000000000000000000000000000000", 0, 1, 18928],
    ["00000000000000000000000000000000", 1, 0, 1008],
    ["ffffffffffffffffffffffffffffffff", 10_000, 4_294_967_295, 29494],
    ["00112233445566778899aabbccddeeff", 7, 1234, 64850],
  ]
  const found = vectors.map(([upload, part, block]) => partitionOf(parseUploadId(upload), part, block))
  assert.deepEqual(
    found,
    vectors.map(vector => vector[3]),
  )
})

test("the blocks of one upload spread evenly over the partitions", () => {
  const upload = parseUploadId("0123456789abcdef0123456789abcdef")
  const counts = new Array<number>(64).fill(0)
  for (let block = 0; block < 64_000; block += 1) {
    const slice = partitionOf(upload, 0, block) >> 10
    counts[slice] = (counts[slice] ?? 0) + 1
  }
  // A thousand each is expected, with a deviation of 32.
  assert.ok(
    counts.every(count => count > 850 && count < 1150),
    counts.join(" "),
  )
})
