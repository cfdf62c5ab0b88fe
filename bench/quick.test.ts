/** The whole bench, shortly, as a process: every scenario gives its figures, and nothing stays behind. */
import { test } from "node:test"
import assert from "node:assert/strict"
import { mkdtemp, readdir, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { runProcess } from "../src/main/cli/process-tools.js"

const MAIN = fileURLToPath(new URL("./main.js", import.meta.url))

test("a quick run gives every figure without an error, and cleans up", async () => {
  const folder = await mkdtemp(join(tmpdir(), "bench-test-"))
  try {
    const args = [MAIN, "--quick", "--json", "--sizes", "4KiB", "--dir", folder]
    const { code, out, error } = await runProcess(process.execPath, args)
    assert.equal(code, 0, error)
    const report: unknown = JSON.parse(out.toString("utf8"))
    assert.ok(typeof report === "object" && report !== null)
    assert.ok("workload" in report && Array.isArray(report.workload))
    assert.deepEqual(
      report.workload.map((row: { operation: string; result: { errors: number } }) => [
        row.operation,
        row.result.errors,
      ]),
      [
        ["put", 0],
        ["get", 0],
        ["list", 0],
        ["delete", 0],
        ["mixed", 0],
      ],
    )
    assert.ok(report.workload.every((row: { result: { count: number } }) => row.result.count > 0))
    const [put] = report.workload
    assert.ok(put.ofDisk > 0 && put.ofHash > 0 && put.ofHttp > 0)
    assert.ok(
      "multipart" in report && "listing" in report && Array.isArray(report.listing) && report.listing.length === 1,
    )
    assert.match(JSON.stringify(report.multipart), /"bytes":25165824,"uploadSeconds":\d/)
    assert.deepEqual(await readdir(folder), [])
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
})
