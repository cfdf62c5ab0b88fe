/** The bytes of a table of users. */
import assert from "node:assert/strict"
import { readFileSync } from "node:fs"
import { mkdtemp, readFile, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { test } from "node:test"
import { hexOf } from "@hayloft/base/bytes.js"
import { buildOf, type Pair } from "./testing-tables.js"

test("a table of users v1 is unchanged, byte for byte", async t => {
  const folder = await mkdtemp(join(tmpdir(), "hayloft-tables-"))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const path = join(folder, "golden.table")
  const rows: readonly Pair[] = [
    [Buffer.from("key"), Buffer.from("value")],
    [Buffer.from([0, 255]), Buffer.alloc(0)],
  ]
  await buildOf(path, rows, { values: "bytes", notes: { made: "for a test" } })
  const golden = readFileSync(
    new URL("../../../../../packages/engine/src/format/golden/user-table-v1.hex", import.meta.url),
    "utf8",
  ).trim()
  const bytes = await readFile(path)
  // The parity of few bytes is mostly zeros.
  assert.equal(
    hexOf(bytes).replaceAll(/(?:00){64,}/g, zeros => `[${zeros.length / 2} zeros]`),
    golden,
  )
})
