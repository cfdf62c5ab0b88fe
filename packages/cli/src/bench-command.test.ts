/**
 * `hayloft bench` against a temporary store: a table, JSON for comparison with another run, and nothing left behind.
 */
import { after, before, test } from "node:test"
import assert from "node:assert/strict"
import { spawn } from "node:child_process"
import { request as forward } from "node:http"
import { createServer } from "node:https"
import { mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { until } from "@hayloft/base/seams/clock/testing-until.js"
import { TEST_CERTIFICATES } from "@hayloft/protocols/http/testing-certificates.js"
import { RealClock } from "@hayloft/base/seams/clock/real.js"
import { S3Client } from "@hayloft/client/index.js"
import { HAYLOFT_COMMAND, StoreProcess } from "@hayloft/client/testing-store-process.js"
import { parseRows, textOfRows, type BenchRow } from "./bench-command.js"
import { runHere } from "./testing-here.js"
import { plainEnvironment, runHayloft, type Outcome } from "./testing-process.js"

const clock = new RealClock()
let folder = ""
let store: StoreProcess | undefined
let environment: Record<string, string> = {}

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "hayloft-bench-"))
  store = await StoreProcess.start({ dataFolders: [join(folder, "data")] }, clock)
  const { endpoint, accessKeyId, secretAccessKey } = await store.access()
  environment = {
    AWS_ENDPOINT_URL: endpoint,
    AWS_ACCESS_KEY_ID: accessKeyId,
    AWS_SECRET_ACCESS_KEY: secretAccessKey,
  }
})

after(async () => {
  await store?.stop()
  await rm(folder, { recursive: true, force: true })
})

const QUICK = ["bench", "--seconds", "0.2", "--sizes", "4KiB", "--concurrency", "4", "--keys", "20"]
const bench = (args: readonly string[]): Promise<Outcome> =>
  runHere([...QUICK, ...args], { workingFolder: folder, environment })

async function buckets(): Promise<number> {
  assert.ok(store)
  const client = new S3Client(await store.access(), clock, new AbortController().signal)
  try {
    return (await client.listBuckets()).length
  } finally {
    client.close()
  }
}

test("each operation has a line without errors; a second run is shown beside the first", async () => {
  const first = await bench(["--json"])
  assert.equal(first.code, 0, first.error)
  const path = join(folder, "first.json")
  await writeFile(path, first.out)
  const rows = parseRows(first.out.toString("utf8"), path)
  assert.deepEqual(
    rows.map(row => [row.operation, row.errors, row.operationsPerSecond > 0]),
    ["put", "get", "head", "list", "delete", "mixed"].map(operation => [operation, 0, true]),
  )
  const second = await bench(["--ops", "get", "--range", "1KiB", "--think", "1", "--beside", path])
  assert.equal(second.code, 0, second.error)
  assert.match(second.out.toString("utf8"), /^OPERATION .*BESIDE: OPS\/S +P99 +TIMES\nget +4\.0 KiB +4 /)
  assert.equal(await buckets(), 0)
})

test("the --endpoint flag selects the server; wrong keys and arguments are refused in one line", async () => {
  const endpoint = environment["AWS_ENDPOINT_URL"] ?? ""
  const elsewhere = {
    ...environment,
    AWS_ENDPOINT_URL: "http://127.0.0.1:1",
    AWS_ENDPOINT_URL_S3: "http://127.0.0.1:1",
  }
  const args = [...QUICK, "--ops", "head", "--endpoint", endpoint]
  const driven = await runHayloft(args, { environment: elsewhere })
  assert.equal(driven.code, 0, driven.error)
  const refused = await runHayloft([...args, "--access-key", "AKIANOBODYATALL"], { environment: elsewhere })
  assert.equal(refused.code, 4, refused.error)
  for (const bad of [
    ["--ops", "post"],
    ["--sizes", "big"],
    ["--mix", "get"],
    ["--seconds", "0"],
    ["--range", ""],
  ]) {
    const { code, error } = await bench(bad)
    assert.equal(code, 2, `${bad.join(" ")}: ${error}`)
  }
})

test("a server with TLS works as well", async () => {
  const { hostname, port } = new URL(environment["AWS_ENDPOINT_URL"] ?? "")
  const { cert, key } = TEST_CERTIFICATES.first
  const proxy = createServer({ cert, key }, (request, response) => {
    const { method, url, headers } = request
    const onward = forward({ hostname, port, method, path: url, headers }, answer => {
      response.writeHead(answer.statusCode ?? 500, answer.rawHeaders)
      answer.pipe(response)
    })
    request.pipe(onward)
  })
  await new Promise<void>(resolve => proxy.listen(0, "127.0.0.1", resolve))
  try {
    const address = proxy.address()
    assert.ok(typeof address === "object" && address !== null)
    const trusted = join(folder, "ca.pem")
    await writeFile(trusted, cert)
    const args = [...QUICK, "--ops", "put,get", "--endpoint", `https://127.0.0.1:${address.port}`, "--json"]
    const { code, out, error } = await runHayloft(args, {
      environment: { ...environment, NODE_EXTRA_CA_CERTS: trusted },
    })
    assert.equal(code, 0, error)
    assert.equal(error, "")
    const rows = parseRows(out.toString("utf8"), "its output")
    assert.deepEqual(
      rows.map(row => [row.operation, row.operationsPerSecond > 0]),
      [
        ["put", true],
        ["get", true],
      ],
    )
    const suspect = await runHayloft(args, { environment })
    assert.equal(suspect.code, 5, suspect.error)
  } finally {
    proxy.close()
  }
})

test("Ctrl-C removes the bucket too", async () => {
  const code = await new Promise<number | null>((resolve, reject) => {
    const args = [HAYLOFT_COMMAND, "bench", "--seconds", "60", "--sizes", "4KiB", "--keys", "20"]
    const options = { env: { ...plainEnvironment(), ...environment }, timeout: 60_000, killSignal: "SIGKILL" } as const
    const child = spawn(process.execPath, args, options)
    child.on("error", reject).on("close", resolve)
    const look = async (): Promise<void> => {
      await until("it has a bucket", async () => (await buckets()) > 0, 20)
      child.kill("SIGINT")
    }
    look().catch(reject)
  })
  assert.equal(code, 130)
  assert.equal(await buckets(), 0)
})

test("rows of another run are matched by their load", () => {
  const row = (operation: string, operationsPerSecond: number): BenchRow => ({
    operation,
    sizeBytes: 4096,
    connections: 1,
    operationsPerSecond,
    megabytesPerSecond: 1,
    p50Ms: 1,
    p95Ms: 2,
    p99Ms: 3,
    maxMs: 4,
    errors: 0,
  })
  const text = textOfRows([row("get", 300), row("put", 10)], [row("get", 100)])
  assert.match(text, /get .* 300 .* 100 +3 +3\.0\n/)
  assert.match(text, /put +4\.0 KiB +1 +10 .* 0 *\n$/)
  assert.throws(() => parseRows("{}", "x.json"), /x\.json/)
})
