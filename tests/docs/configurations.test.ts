/** The configurations that docs/install.md shows for other programs are tried with these programs. */
import assert from "node:assert/strict"
import { readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { test } from "node:test"
import { findProgram, run } from "../harness/commands.js"
import { withFolder } from "../harness/folders.js"
import { ROOT } from "../harness/server.js"

const INSTALL = readFileSync(join(ROOT, "docs", "install.md"), "utf8")

/** The only fenced block of the document that the pattern finds. */
function blockOf(pattern: RegExp): string {
  const found = [...INSTALL.matchAll(/^```\w*\n([\s\S]*?)^```$/gm)].map(([, text = ""]) => text)
  const [block, ...others] = found.filter(text => pattern.test(text))
  assert.ok(block !== undefined && others.length === 0, `one block of docs/install.md has ${pattern}`)
  return block
}

test("systemd accepts the unit", async t => {
  const analyze = findProgram("systemd-analyze")
  if (analyze === undefined) return t.skip("systemd-analyze is not installed")
  const unit = blockOf(/^\[Unit\]$/m)
  for (const line of ["User=", "ExecStart=", "Restart=", "TimeoutStopSec=", "WantedBy="])
    assert.ok(unit.includes(line), line)
  await withFolder(async folder => {
    const path = join(folder, "hayloft.service")
    // Neither the program nor the user need exist where this is checked.
    writeFileSync(path, unit.replace(/^ExecStart=.*$/m, "ExecStart=/bin/true").replace(/^(User|Group)=.*\n/gm, ""))
    const { stderr } = await run(analyze, ["verify", path])
    assert.equal(stderr, "")
  })
})
