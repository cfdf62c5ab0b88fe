/** docs/guide/tables.py, which reads tables without this program, agrees with it. */
import assert from "node:assert/strict"
import { execFileSync, spawnSync } from "node:child_process"
import { readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { test } from "node:test"
import { must } from "@hayloft/base/assert.js"
import { TEST_SEED } from "@hayloft/base/testing-seed.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { buildTable } from "@hayloft/engine/table-files/library.js"
import { findProgram } from "../harness/commands.js"
import { withFolder } from "../harness/folders.js"
import { ROOT } from "../harness/server.js"

const python = findProgram("python3")
const skip = python === undefined ? "python3 is not installed" : false
const PROGRAM = join(ROOT, "docs/guide/tables.py")
const ROWS = 6_000

test("the Python reader finds what the program has written, and refuses damage", { skip }, () =>
  withFolder(async folder => {
    const file = join(folder, "rows.table")
    const random = new SimRandom(TEST_SEED)
    const rows = Array.from({ length: ROWS }, (_, i) => {
      const value = Buffer.from(random.bytes(random.below(400))).toString("base64")
      return [`key ${(i * 7_919) % ROWS} ü`, i === 5 ? value.repeat(100) : value] as const
    })
    await buildTable(file, rows, { values: "text" })
    const run = (...args: readonly string[]) =>
      execFileSync(must(python, "it is installed"), [PROGRAM, file, ...args], { maxBuffer: 2 ** 28 }).toString("utf8")
    const sorted = rows.map(([key, value]) => `${key}\t${value}\n`).sort()
    assert.equal(run(), sorted.join(""))
    const some = rows.filter((_, i) => i % 601 === 0 || i === 5)
    assert.equal(run(...some.map(([key]) => key)), some.map(([, value]) => `${value}\n`).join(""))
    assert.equal(spawnSync(must(python, "it is installed"), [PROGRAM, file, "none"]).status, 1)
    const bytes = readFileSync(file)
    bytes[1_000] = (bytes[1_000] ?? 0) ^ 1
    writeFileSync(file, bytes)
    const { status, stderr } = spawnSync(must(python, "it is installed"), [PROGRAM, file])
    assert.equal(status, 1)
    assert.match(stderr.toString("utf8"), /is damaged/)
  }),
)
