/** `mc`, MinIO's client, if it is on the machine (another `mc` is a file manager): locks, and what protects them. */
import { test } from "node:test"
import assert from "node:assert/strict"
import { mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { findProgram, run, runOk } from "../harness/commands.js"
import { CREDENTIALS, ServerProcess } from "../harness/server.js"

const mc = findProgram("mc")

test("mc: buckets with object lock, retention and legal hold", { timeout: 180_000 }, async context => {
  const version = mc === undefined ? undefined : await run(mc, ["--version"])
  if (mc === undefined || !/MinIO/.test(version?.stdout ?? "")) return context.skip("MinIO's mc is not installed")
  const folder = await mkdtemp(join(tmpdir(), "hayloft-mc-"))
  const server = await ServerProcess.start({ folders: [join(folder, "data")] })
  const ask = (...args: string[]) => run(mc, ["--config-dir", join(folder, "config"), "--no-color", ...args])
  const go = (...args: string[]) => runOk(mc, ["--config-dir", join(folder, "config"), "--no-color", ...args])
  const refused = async (pattern: RegExp, ...args: string[]): Promise<void> => {
    const { code, stdout, stderr } = await ask(...args)
    assert.notEqual(code, 0, args.join(" "))
    assert.match(stdout + stderr, pattern)
  }
  const file = join(folder, "file")
  try {
    await writeFile(file, "body")
    await go("alias", "set", "h", server.endpoint, CREDENTIALS.accessKey, CREDENTIALS.secretKey)
    await go("mb", "--with-lock", "h/locked")
    await go("retention", "set", "--default", "GOVERNANCE", "1d", "h/locked")
    assert.match(await go("retention", "info", "--default", "h/locked"), /GOVERNANCE.*1DAYS/)
    await go("cp", file, "h/locked/a")
    assert.match(await go("retention", "info", "h/locked/a"), /GOVERNANCE, expiring in 23 hours/)
    await go("legalhold", "set", "h/locked/a")
    assert.match(await go("legalhold", "info", "h/locked/a"), /ON/)
    await refused(/protected by object lock/, "rm", "--versions", "--force", "--bypass", "h/locked/a")
    await go("legalhold", "clear", "h/locked/a")
    await refused(/protected by object lock/, "retention", "set", "compliance", "2d", "h/locked/a")
    await refused(/protected by object lock/, "rm", "--versions", "--force", "h/locked/a")
    await go("rm", "--versions", "--force", "--bypass", "h/locked/a")
    await go("cp", "--retention-mode", "compliance", "--retention-duration", "3d", file, "h/locked/b")
    assert.match(await go("retention", "info", "h/locked/b"), /COMPLIANCE, expiring in 2 days/)
    await refused(/versioning state cannot be changed/, "version", "suspend", "h/locked")
    await refused(/protected by object lock/, "rb", "--force", "h/locked")
    assert.match(await go("ls", "--versions", "h/locked"), /PUT b/)
  } finally {
    await server.kill()
    await rm(folder, { recursive: true, force: true })
  }
})
