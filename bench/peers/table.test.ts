import assert from "node:assert/strict"
import { test } from "node:test"
import { median, tableOf } from "./table.js"

const MACHINE = {
  cpu: "x",
  cores: 2,
  node: "20.0.0",
  memoryGib: 4,
  fileSystem: "ext4 on /dev/vda",
  load: 0.1,
  commit: "abc",
  command: "npm run bench:peers",
  startedAt: "2026-11-24T10:00:00.000Z",
}
const STORE = { version: "1", durability: "synchronised", command: "serve" }
const round = (store: string, perSecond: number, errors = 0) => ({
  store,
  work: "put 4 KiB x16",
  perSecond,
  p99Ms: 12.34,
  errors,
})

test("medians of an odd and an even number", () => {
  assert.deepEqual([median([3, 1, 2]), median([4, 1, 2, 3])], [2, 2.5])
})

test("a table has a row for each work, a column for each store, and says what failed and how it was made", () => {
  const stores = [
    { name: "a", ...STORE },
    { name: "b", ...STORE, durability: "**not synchronised**" },
  ]
  const rounds = [round("a", 10.123), round("b", 2_000.4), round("a", 30), round("b", 1_000, 7)]
  const text = tableOf({ machine: MACHINE, load: "hayloft bench", stores, rounds })
  assert.match(text, /^\| work \| a \| b \|$/m)
  assert.match(text, /^\| put 4 KiB x16 \| 20\.1, 12\.3 ms \| 1500, 12\.3 ms \(7 failed\) \|$/m)
  assert.match(text, /^\| b \| 1 \| \*\*not synchronised\*\* \| `serve` \|$/m)
  assert.match(text, /the median of 2 rounds.*\n.*2026-11-24, commit abc/)
  assert.match(tableOf({ machine: MACHINE, load: "", stores, rounds: [round("a", 1)] }), /\| 1\.00, 12\.3 ms \| – \|/)
})
