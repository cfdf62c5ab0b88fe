/** Tests of what `bucket stat` says of the past: only what is known. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { growthRows } from "./bucket-text.js"

const DAY_MS = 86_400_000
const NOW_MS = 1_000 * DAY_MS
const usage = { objects: 9, versions: 9, bytes: 9_000, uploads: 0 }

const rows = (ageDays: number, ...held: readonly (readonly [daysAgo: number, bytes: number])[]) =>
  growthRows(
    { createdMs: NOW_MS - ageDays * DAY_MS },
    {
      nowMs: NOW_MS,
      usage,
      samples: held.map(([daysAgo, bytes]) => ({ atMs: NOW_MS - daysAgo * DAY_MS, objects: 1, bytes })),
    },
  )

test("a sample holds until the next one; times before the first sample, and before the bucket, are left out", () => {
  assert.deepEqual(rows(500, [40, 1_000], [3, 2_048]), [
    ["a day ago", "1 object, 2048 bytes (2.0 KiB)"],
    ["a week ago", "1 object, 1000 bytes (1000 B)"],
    ["30 days ago", "1 object, 1000 bytes (1000 B)"],
  ])
  assert.deepEqual(rows(2, [2, 5]), [["a day ago", "1 object, 5 bytes (5 B)"]])
  assert.deepEqual(rows(2), [])
})
