/** The whole bench, shortly, as processes: every scenario gives its figures, and nothing stays behind. */
import { test } from "node:test"
import assert from "node:assert/strict"
import { mkdtemp, readdir, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { z } from "zod"
import { runProcess } from "../src/main/cli/process-tools.js"

const MAIN = fileURLToPath(new URL("./main.js", import.meta.url))

const REPORT = z.object({
  workload: z.array(
    z.object({
      operation: z.string(),
      result: z.object({ count: z.number(), errors: z.number() }),
      ofDisk: z.number().optional(),
      ofHash: z.number().optional(),
      ofHttp: z.number().optional(),
    }),
  ),
  multipart: z.object({ bytes: z.number(), uploadSeconds: z.number() }),
  listing: z.array(z.object({ keys: z.number() })),
  judging: z.array(z.object({ what: z.string(), milliseconds: z.number() })),
})

test("a quick run gives every figure without an error, and cleans up", async () => {
  const folder = await mkdtemp(join(tmpdir(), "bench-test-"))
  try {
    const scenarios = "workload,multipart,listing,memory,judging"
    const args = [MAIN, "--quick", "--json", "--scenario", scenarios, "--sizes", "4KiB", "--dir", folder]
    const { code, out, error } = await runProcess(process.execPath, args)
    assert.equal(code, 0, error)
    const { workload, multipart, listing, judging } = REPORT.parse(JSON.parse(out.toString("utf8")))
    assert.deepEqual(
      workload.map(row => [row.operation, row.result.errors, row.result.count > 0]),
      ["put", "get", "list", "delete", "mixed"].map(operation => [operation, 0, true]),
    )
    const [put] = workload
    for (const share of [put?.ofDisk, put?.ofHash, put?.ofHttp]) assert.ok(share !== undefined && share > 0)
    assert.equal(multipart.bytes, 24 * 1024 * 1024)
    assert.equal(listing[0]?.keys, 1000)
    assert.deepEqual(
      judging.map(({ milliseconds }) => milliseconds > 0),
      [true, true, true],
    )
    assert.deepEqual(await readdir(folder), [])
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
})

const DEVICES = z.object({
  devices: z.array(
    z.object({
      speeds: z.array(z.object({ what: z.string(), bytes: z.number(), share: z.number() })),
      latencies: z.array(
        z.object({ during: z.string(), load: z.object({ errors: z.number() }), p99Times: z.number() }),
      ),
    }),
  ),
})

test("a quick run loses a folder, repairs and verifies, and says how clients fared", async () => {
  const folder = await mkdtemp(join(tmpdir(), "bench-test-"))
  try {
    const args = [MAIN, "--quick", "--json", "--scenario", "devices", "--dir", folder]
    const { code, out, error } = await runProcess(process.execPath, args)
    assert.equal(code, 0, error)
    const [store] = DEVICES.parse(JSON.parse(out.toString("utf8"))).devices
    assert.deepEqual(
      store?.speeds.map(({ what, bytes, share }) => [what, bytes > 24 * 1024 * 1024, share > 0]),
      [
        ["repair", true, true],
        ["scrub", true, true],
      ],
    )
    assert.deepEqual(
      store.latencies.map(({ during, load }) => [during, load.errors]),
      [
        ["repair", 0],
        ["scrub", 0],
      ],
    )
    assert.deepEqual(await readdir(folder), [])
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
})
