/** The whole bench, shortly, as processes: every row gives its figure, and nothing stays behind. */
import { test } from "node:test"
import assert from "node:assert/strict"
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { z } from "zod"
import { runProcess } from "../src/main/cli/process-tools.js"

/** Seen from dist/bench/. */
const MAIN = fileURLToPath(new URL("../../bench/start.cjs", import.meta.url))

const REPORT = z.object({
  machine: z.object({ cores: z.number(), cpu: z.string(), node: z.string(), command: z.string() }),
  rows: z.array(
    z.object({
      theme: z.string(),
      work: z.string(),
      verdict: z.enum(["met", "missed", "reported", "unmeasured", "failed"]),
      ratio: z.number().optional(),
      measured: z.object({ figure: z.number(), limit: z.number().optional() }).optional(),
      why: z.string().optional(),
    }),
  ),
})
type Rows = z.output<typeof REPORT>["rows"]

async function quick(scenarios: string): Promise<Rows> {
  const folder = await mkdtemp(join(tmpdir(), "bench-test-"))
  try {
    const file = join(folder, "report.json")
    const work = await mkdtemp(join(folder, "work-"))
    const args = [MAIN, "--quick", "--scenario", scenarios, "--dir", work, file]
    const { out, error } = await runProcess(process.execPath, args)
    const { rows, machine } = REPORT.parse(JSON.parse(await readFile(file, "utf8").catch(() => error)))
    assert.match(machine.command, /^npm run bench -- --quick/)
    for (const { work } of rows) assert.ok(out.toString("utf8").includes(work), `${work} is not in the table`)
    assert.deepEqual(await readdir(work), [])
    return rows
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** Speed is not asserted: only that there are figures, and that limits were measured where targets speak of them. */
function requireFigures(rows: Rows): void {
  for (const { work, verdict, measured, ratio, why } of rows) {
    assert.ok(verdict !== "failed", `${work}: ${why ?? ""}`)
    if (verdict === "unmeasured") continue
    assert.ok(measured !== undefined && Number.isFinite(measured.figure), work)
    if (measured.limit !== undefined) assert.ok(ratio !== undefined && ratio >= 0, `${work}: ${ratio ?? "no ratio"}`)
  }
}

test("large and small objects: each row has a figure beside its limit", async () => {
  const rows = await quick("large-coded,large-single,small")
  requireFigures(rows)
  assert.deepEqual(
    rows.map(({ work }) => work).filter(work => /^(PUT|GET) (at|in|from)/.test(work)),
    [
      "PUT at 4+3, 4 parts at once",
      "PUT at 4+3, 8 parts at once",
      "PUT at 4+3, 1 part at once",
      "PUT at 4+3, signed chunks, 4 parts",
      "PUT at 4+3, AWS SDK, 4 parts",
      "GET at 4+3",
      "GET at 4+3, three folders lost",
      "PUT in one folder, 4 parts at once",
      "GET from one folder",
    ],
  )
})

for (const themes of ["listings,batches", "starts,memory,pressure"]) {
  test(`${themes.replaceAll(",", ", ")}: each row has a figure`, async () => {
    const rows = await quick(themes)
    requireFigures(rows)
    assert.deepEqual([...new Set(rows.map(({ theme }) => theme))], themes.split(","))
  })
}

test("a folder is lost, repaired and verified, and clients are heard", async () => {
  const rows = await quick("devices")
  requireFigures(rows)
  assert.deepEqual(
    rows.map(({ work }) => work),
    [
      "repair, replica:2, against plain files",
      "p99 of 64 KiB during repair, replica:2",
      "scrub, replica:2, against plain files",
      "p99 of 64 KiB during scrub, replica:2",
    ],
  )
})
