/** Every test that a document cites exists under the cited title. */
import assert from "node:assert/strict"
import { existsSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { test } from "node:test"
import { ROOT } from "../harness/server.js"

const DOCUMENTS = ["docs/design/consistency.md", "docs/design/failure-scenarios.md"]

/** A citation of the documents: `path` "title", "another title". */
const CITATION = /`([\w./-]+\.ts)`((?:,? "[^"]+")+)/g

for (const path of DOCUMENTS) {
  test(`${path} cites existing tests`, () => {
    const text = readFileSync(join(ROOT, path), "utf8")
    const cited = [...text.matchAll(CITATION)].flatMap(([, file = "", words = ""]) =>
      [...words.matchAll(/"([^"]+)"/g)].map(([, title = ""]) => ({ file, title })),
    )
    assert.ok(cited.length > 5, "the document cites too few tests")
    for (const { file, title } of cited) {
      assert.ok(existsSync(join(ROOT, file)), `${file} does not exist`)
      assert.ok(readFileSync(join(ROOT, file), "utf8").includes(title), `${file} has no test "${title}"`)
    }
  })
}

test("every promise of the tables cites a test", () => {
  const text = readFileSync(join(ROOT, "docs/design/consistency.md"), "utf8")
  const tables = [...text.matchAll(/\| promise \| test \|\n\|[ |-]+\n((?:\|.*\n)+)/g)]
  assert.ok(tables.length > 5)
  for (const [, rows = ""] of tables) {
    for (const row of rows.trimEnd().split("\n")) assert.match(row, /`[\w./-]+\.ts` "/, row)
  }
})
