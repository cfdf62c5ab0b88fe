/** `hayloft health`: the exit code that containers ask for, wherever the store listens and whatever its folders are. */
import assert from "node:assert/strict"
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { after, before, test } from "node:test"
import { healthCommand } from "./health-command.js"
import { testIo } from "../testing-io.js"

let work = ""
let endpoint = ""
let status = 200
const asked: string[] = []
const server = createServer((request, response) => {
  asked.push(request.url ?? "")
  response.writeHead(status).end(`{"status":"x"}`)
})

before(async () => {
  work = await mkdtemp(join(tmpdir(), "hayloft-health-"))
  await new Promise<void>(done => server.listen(0, "127.0.0.1", done))
  endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
})
after(async () => {
  server.close()
  await rm(work, { recursive: true })
})

/** Makes a data folder in which a store that listens at the address has run. */
async function storeAt(name: string, adminEndpoint = endpoint): Promise<string> {
  const folder = join(work, name)
  await mkdir(folder)
  const runtime = { endpoint: "http://127.0.0.1:9", adminEndpoint, region: "us-east-1", pid: 1 }
  await writeFile(join(folder, "runtime"), JSON.stringify(runtime))
  return folder
}

interface Asking {
  readonly data?: string
  readonly environment?: Readonly<Record<string, string>>
  /** The words of the first process. */
  readonly first?: readonly string[]
}

/** Runs the command; returns what it prints, or the message of its failure. */
async function health({ data, environment = {}, first = [] }: Asking): Promise<string> {
  const { io, written } = testIo({ environment, workingFolder: work })
  const file = join(work, "cmdline")
  await writeFile(file, first.map(word => `${word}\0`).join(""))
  const options = data === undefined ? {} : { data: [data] }
  try {
    await healthCommand(io, options, new AbortController().signal, [file, join(work, "missing")])
    return written.out
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}

test("the store in the data folder is asked at the address where it listens", async () => {
  const data = await storeAt("plain")
  assert.equal(await health({ data }), `${endpoint}: ready\n`)
  assert.equal(await health({ environment: { HAYLOFT_DATA: data } }), `${endpoint}: ready\n`)
  assert.deepEqual(asked, ["/health/ready", "/health/ready"])
  status = 503
  assert.match(await health({ data }), /it is not ready: hayloft status says why/)
  status = 200
})

test("a store in folders that only the first process names is found, also through a shell and with ranges", async () => {
  await storeAt("disk2")
  const ready = `${endpoint}: ready\n`
  const range = join(work, "disk{1...3}")
  const environment = { HAYLOFT_DATA: join(work, "of-the-image") }
  assert.equal(await health({ environment, first: ["minio", "server", range, "--console-address", ":9090"] }), ready)
  assert.equal(await health({ environment, first: ["sh", "-c", `mkdir -p x && minio server ${range}`] }), ready)
  assert.equal(await health({ environment, first: [`MINIO_VOLUMES=${range}`, `A={`] }), ready)
  assert.equal(await health({ environment, first: ["hayloft", "serve", `--data=${join(work, "disk2")}`] }), ready)
})

test("a store that does not run, or is not there, is a failure that names the address", async () => {
  const data = await storeAt("stopped", "http://127.0.0.1:9")
  assert.match(await health({ data }), /127\.0\.0\.1:9\b/)
  // A folder that was named is the only one.
  assert.match(await health({ data: join(work, "nowhere"), first: [join(work, "plain")] }), /127\.0\.0\.1:9001/)
  assert.match(
    await health({ environment: { HAYLOFT_DATA: data, HAYLOFT_ADMIN_LISTEN: "0.0.0.0:19" } }),
    /127\.0\.0\.1:9\b/,
  )
})
