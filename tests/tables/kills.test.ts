/**
 * `hayloft table build` that is killed: FILE is absent, or the old one, or the whole new one. A soak does it more often.
 */
import assert from "node:assert/strict"
import { spawn } from "node:child_process"
import { writeFile } from "node:fs/promises"
import { join } from "node:path"
import { test } from "node:test"
import { setTimeout as later } from "node:timers/promises"
import { runsOf, TEST_SEED } from "@hayloft/base/testing-seed.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { openTable } from "@hayloft/engine/table-files/library.js"
import { bindChild, runOk } from "../harness/commands.js"
import { withFolder } from "../harness/folders.js"
import { HAYLOFT } from "../harness/server.js"

const KILLS = runsOf(2)
const ROWS = 20_000
const LATEST_MS = 1_000

const linesOf = (version: number): string =>
  Array.from({ length: ROWS }, (_, i) => `key ${(i * 7_919) % ROWS}\tversion ${version} ${"v".repeat(40)}\n`).join("")

async function versionOf(file: string): Promise<string | undefined> {
  const table = await openTable(file, { check: "whole" }).catch((error: unknown) => {
    if (error instanceof Error && /does not exist/.test(error.message)) return undefined
    throw error
  })
  if (table === undefined) return undefined
  assert.equal(table.stat().keys, ROWS)
  const versions = new Set(Array.from(table.scan(), ({ value }) => /version \d+/.exec(value.toString())?.[0]))
  await table.close()
  assert.equal(versions.size, 1)
  return [...versions][0]
}

test("a build that is killed leaves no file, the old file or the new one", () =>
  withFolder(async folder => {
    const random = new SimRandom(TEST_SEED).fork("kills")
    const file = join(folder, "rows.table")
    let seen: string | undefined
    for (let version = 1; version <= KILLS; version += 1) {
      const input = join(folder, "rows.tsv")
      await writeFile(input, linesOf(version))
      const child = spawn(process.execPath, [HAYLOFT, "table", "build", file, "--from", input, "--force"], {
        stdio: "ignore",
      })
      bindChild(child)
      const ended = new Promise(resolve => void child.once("exit", resolve))
      await Promise.race([ended, later(random.below(LATEST_MS))])
      child.kill("SIGKILL")
      await ended
      const found = await versionOf(file)
      assert.ok(found === seen || found === `version ${version}`, `${found} after ${seen} and version ${version}`)
      seen = found
    }
    await runOk(process.execPath, [HAYLOFT, "table", "build", file, "--from", join(folder, "rows.tsv"), "--force"])
    assert.equal(await versionOf(file), `version ${KILLS}`)
  }))
