/**
 * A short run of the bench with real processes: every row has its figure, and no file or process remains.
 * `TEST_BENCH=all npm test -- bench/quick` also runs the themes that take long: forms, several nodes, devices.
 */
import { test } from "node:test"
import assert from "node:assert/strict"
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import { z } from "zod"
import { runProcess } from "@hayloft/cli/testing-process.js"
import { noNode24 } from "../tests/harness/new-node.js"

/** Seen from dist/bench/. */
const MAIN = fileURLToPath(new URL("../../bench/start.cjs", import.meta.url))

const CHECKOUT = dirname(dirname(MAIN))
const ofLong = { skip: process.env["TEST_BENCH"] !== "all" && "runs with TEST_BENCH=all" }

const COSTS = z.object({
  now: z.array(
    z.object({
      form: z.string(),
      files: z.number(),
      functions: z.number(),
      calls: z.number(),
      beyondPlain: z.array(z.string()).optional(),
    }),
  ),
  functions: z.object({
    now: z.array(z.object({ file: z.string(), line: z.number(), name: z.string(), callsPerRequest: z.number() })),
  }),
})

const REPORT = z.object({
  machine: z.object({ cores: z.number(), cpu: z.string(), node: z.string(), command: z.string() }),
  rows: z.array(
    z.object({
      theme: z.string(),
      work: z.string(),
      verdict: z.enum(["met", "missed", "reported", "unmeasured", "failed"]),
      ratio: z.number().optional(),
      measured: z
        .object({ figure: z.number(), limit: z.number().optional(), also: z.record(z.string(), z.number()).optional() })
        .optional(),
      why: z.string().optional(),
    }),
  ),
})
type Rows = z.output<typeof REPORT>["rows"]

async function quick(scenarios: string, ...further: readonly string[]): Promise<Rows> {
  const folder = await mkdtemp(join(tmpdir(), "bench-test-"))
  try {
    const file = join(folder, "report.json")
    const work = await mkdtemp(join(folder, "work-"))
    const args = [MAIN, "--quick", "--scenario", scenarios, "--dir", work, ...further, file]
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

/** Asserts that figures exist, and that limits were measured if targets refer to them; speed is not asserted. */
function requireFigures(rows: Rows): void {
  for (const { work, verdict, measured, ratio, why } of rows) {
    assert.ok(verdict !== "failed", `${work}: ${why ?? ""}`)
    if (verdict === "unmeasured") continue
    assert.ok(measured !== undefined && Number.isFinite(measured.figure), work)
    if (measured.limit !== undefined) assert.ok(ratio !== undefined && ratio >= 0, `${work}: ${ratio ?? "no ratio"}`)
  }
}

const THEMES = [
  "large-coded",
  "large-single",
  "small",
  "listings",
  "batches",
  "appends",
  "moments",
  "queues",
  "locks",
  "transactions",
  "transforms",
  "remotes",
  "starts",
  "memory",
  "pressure",
  "dedup",
  "packing",
  "tables",
  "copies",
]

test("each row has a figure beside its limit", async () => {
  const rows = await quick(THEMES.join(","))
  requireFigures(rows)
  assert.deepEqual(new Set(rows.map(({ theme }) => theme)), new Set(THEMES))
  assert.deepEqual(
    rows.map(({ work }) => work).filter(work => /^(PUT|GET) (at 4|in|from)/.test(work)),
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

test("every form of request is answered, and each decorated form follows its plain form", ofLong, async () => {
  const rows = await quick("forms")
  requireFigures(rows)
  const ofPlain = rows.filter(({ measured }) => measured?.also?.["ofPlain"] !== undefined).map(({ work }) => work)
  assert.deepEqual(
    rows.map(({ work }) => work).filter(work => !ofPlain.includes(work)),
    [
      "GET 1 KiB",
      "HEAD 1 KiB",
      "LIST of 50 keys",
      "LIST of 100 keys",
      "DELETE",
      "PUT 1 KiB",
      "PUT 4 KiB",
      "PUT 32 KiB",
      "PUT 64 KiB",
    ],
  )
})

test("forms are measured beside another checkout", async () => {
  const rows = await quick("forms", "--rows", "HEAD", "--beside", CHECKOUT)
  requireFigures(rows)
  assert.deepEqual(
    rows.map(({ work, ratio }) => [work, ratio !== undefined]),
    [["HEAD 1 KiB", true]],
  )
})

test("a HEAD is measured beside MinIO's, or says that MinIO is missing", async () => {
  const rows = await quick("beside-minio", "--rows", "HEAD")
  requireFigures(rows)
  assert.deepEqual(
    rows.map(({ work, ratio, why }) => [work, ratio !== undefined || why?.includes("MinIO")]),
    [["HEAD 4 KiB", true]],
  )
})

test("the cost of a request lists its functions by file and line, and the files beyond its plain form", async () => {
  const tool = join(CHECKOUT, "tools/request-cost.mjs")
  const args = [tool, "--rows", "checksum-mode", "--show", "GET 1 KiB", "--json"]
  const { code, out, error } = await runProcess(process.execPath, args)
  assert.equal(code, 0, error)
  const { now: rows, functions } = COSTS.parse(JSON.parse(out.toString("utf8")))
  assert.deepEqual(
    rows.map(({ form, beyondPlain }) => [form, beyondPlain !== undefined]),
    [
      ["GET 1 KiB", false],
      ["GET 1 KiB with x-amz-checksum-mode", true],
    ],
  )
  for (const { form, files, functions, calls } of rows) {
    assert.ok(files > 10 && functions > files && calls >= functions, `${form}: ${files}, ${functions}, ${calls}`)
  }
  assert.ok(functions.now.length > 100)
  const { file, line, name } = functions.now.find(({ name }) => /^[a-z]{6,}$/i.test(name)) ?? assert.fail("a name")
  const text = await readFile(join(CHECKOUT, file), "utf8")
  assert.ok(text.split("\n")[line - 1]?.includes(name), `${file}:${line} is not ${name}`)
})

test("front threads are measured beside one thread, and more cores are computed", { skip: noNode24 }, async () => {
  // The rows about memory load their servers with all other forms.
  const rows = await quick("threads", "--rows", "HEAD|10 MiB|memory")
  requireFigures(rows)
  const works = ["HEAD 4 KiB", "PUT 10 MiB", "PUT 10 MiB in signed chunks", "GET 10 MiB"]
  assert.deepEqual(
    rows.map(({ work, ratio }) => [work, ratio !== undefined]),
    [
      ...works.map(work => [work, true]),
      ...works.map(work => [`COMPUTED, at most: ${work}`, false]),
      ["memory of each further front, idle", false],
      ["memory of each further front, after load", false],
    ],
  )
  assert.ok(rows.every(({ verdict }) => verdict !== "unmeasured"))
})

test("several nodes are measured beside one process, and commands beside plain batches", ofLong, async () => {
  const rows = await quick("commands,nodes", "--rows", "commands|HEAD|large")
  requireFigures(rows)
  const works = ["commands of 64 clients, against plain batches", "HEAD, 100 keys, 3 nodes"]
  assert.deepEqual(
    rows.map(({ work }) => work).filter(work => !work.includes("large")),
    works,
  )
})

test("a folder is lost, repaired and verified, and clients are served", ofLong, async () => {
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
