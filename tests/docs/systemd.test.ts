/** systemd itself reads the unit that docs/install.md shows. */
import assert from "node:assert/strict"
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { test } from "node:test"
import { findProgram, run } from "../harness/commands.js"
import { withFolder } from "../harness/folders.js"
import { installBlock } from "./install-blocks.js"

test("systemd accepts the unit", async t => {
  const analyze = findProgram("systemd-analyze")
  if (analyze === undefined) return t.skip("systemd-analyze is not installed")
  const unit = installBlock(/^\[Unit\]$/m)
  for (const line of ["User=", "ExecStart=", "Restart=", "TimeoutStopSec=", "WantedBy="])
    assert.ok(unit.includes(line), line)
  await withFolder(async folder => {
    const path = join(folder, "hayloft.service")
    // The program and the user need not exist on the machine that runs this test.
    writeFileSync(path, unit.replace(/^ExecStart=.*$/m, "ExecStart=/bin/true").replace(/^(User|Group)=.*\n/gm, ""))
    const { stderr } = await run(analyze, ["verify", path])
    assert.equal(stderr, "")
  })
})
