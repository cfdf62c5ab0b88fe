/** The commands of transforms, as an operator types them: modules over a store in memory, rules over a recorded S3. */
import assert from "node:assert/strict"
import { mkdtemp, rm, writeFile } from "node:fs/promises"
import http from "node:http"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { after, before, beforeEach, test } from "node:test"
import { NEVER } from "@hayloft/base/never.js"
import { AdminApi } from "@hayloft/admin/index.js"
import { HEAD } from "@hayloft/admin/testing-api.js"
import { FakeStore, ROOT, TOKEN } from "@hayloft/admin/testing-store.js"
import { RealClock } from "@hayloft/base/seams/clock/real.js"
import { run } from "../program.js"
import { testIo } from "../testing-io.js"

const MODULE = Uint8Array.from([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, 255, 10])
const RULES = "<TransformConfiguration><Rule>é</Rule></TransformConfiguration>"
const CLOCK = new RealClock()

let folder = ""
let endpoint = ""
let api: AdminApi | undefined
/** Requests of S3, and the rules that the bucket has. */
let requests: string[] = []
let rules: string | undefined

const server = http.createServer((request, response) => {
  const work = request.url?.startsWith("/v1/") === true ? answerAdmin(request) : answerS3(request)
  void work.then(({ status, headers, body }) => response.writeHead(status, headers).end(body))
})

async function bytesOf(request: http.IncomingMessage): Promise<Buffer> {
  const chunks: Uint8Array[] = []
  for await (const chunk of request) if (chunk instanceof Uint8Array) chunks.push(chunk)
  return Buffer.concat(chunks)
}

async function answerAdmin(request: http.IncomingMessage) {
  const { method = "", url: rawTarget = "", headers } = request
  const bytes = await bytesOf(request)
  assert.ok(api)
  const header = (name: string) => (name === "authorization" ? headers.authorization : undefined)
  const type = headers["content-type"]
  if (method === "PUT") assert.equal(type, "application/wasm")
  const reply = await api.handle({ ...HEAD, method, rawTarget, header, body: async () => bytes })
  return { status: reply.status, headers: { ...reply.headers }, body: reply.body }
}

async function answerS3(request: http.IncomingMessage) {
  const { method = "", url = "", headers } = request
  const text = (await bytesOf(request)).toString("utf8")
  requests.push(`${method} ${url}`)
  assert.match(headers.authorization ?? "", /^AWS4-HMAC-SHA256 Credential=AKIA\//)
  if (method === "PUT") rules = text
  if (method === "DELETE") rules = undefined
  if (method !== "GET") return { status: method === "PUT" ? 200 : 204, headers: {}, body: "" }
  const missing = "<Error><Code>NoSuchTransformConfiguration</Code><Message>There are no rules.</Message></Error>"
  return { status: rules === undefined ? 404 : 200, headers: {}, body: rules ?? missing }
}

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "hayloft-transforms-"))
  await writeFile(join(folder, "upper.wasm"), MODULE)
  await writeFile(join(folder, "rules.xml"), RULES)
  await new Promise<void>(resolve => server.listen(0, "127.0.0.1", resolve))
  const address = server.address()
  assert.ok(typeof address === "object" && address !== null)
  endpoint = `http://127.0.0.1:${address.port}`
})
after(async () => {
  server.close()
  server.closeAllConnections()
  await rm(folder, { recursive: true, force: true })
})
beforeEach(() => {
  requests = []
  rules = undefined
  setApi({})
})

const setApi = (replaced: Partial<FakeStore["parts"]>): void => {
  const options = {
    version: "1.2.3",
    clock: CLOCK,
    hosts: [],
    onLoopback: true,
    rootAccount: ROOT,
    newBucketSettings: new Map(),
    metricsText: () => "",
  }
  api = new AdminApi({ ...new FakeStore().parts, ...replaced }, options)
}

async function hayloft(line: string, input?: Uint8Array) {
  async function* typed(): AsyncGenerator<Uint8Array> {
    if (input !== undefined) yield input
  }
  const { io, written } = testIo({
    environment: {
      HAYLOFT_ADMIN_ENDPOINT: endpoint,
      HAYLOFT_ADMIN_TOKEN: TOKEN,
      AWS_ENDPOINT_URL: endpoint,
      AWS_ACCESS_KEY_ID: "AKIA",
      AWS_SECRET_ACCESS_KEY: "secret",
    },
    workingFolder: folder,
    clock: CLOCK,
    input: typed(),
  })
  return { code: await run(line.split(" "), io, NEVER), ...written }
}

test("a module is uploaded from a file or standard input, listed and removed", async () => {
  const put = await hayloft("transform put upper upper.wasm --content-type text/plain")
  assert.deepEqual([put.code, put.error], [0, ""])
  assert.match(put.out, /^upper is a step of transforms: 10 B, [0-9a-f]{64}\n$/)
  assert.equal((await hayloft("transform put piped -", MODULE)).code, 0)
  const { out } = await hayloft("transform list")
  assert.match(out, /^STEP +KIND +SIZE/)
  assert.match(out, /\nsvgmin +built in +4\n/)
  assert.match(out, /\nimage +not available here\n/)
  assert.match(out, /\nupper +module of \S+ \S+ +10 B +text\/plain +[0-9a-f]{12}\n/)
  assert.match(out, /\npiped +module of \S+ \S+ +10 B +as its input +[0-9a-f]{12}\n/)
  assert.match(out, /\n1 of 2 processes at work, 4 requests waiting\n3 results kept: 2\.\d+ KiB of 1\.\d+ MiB\n$/)
  assert.deepEqual(await hayloft("transform remove upper"), { code: 0, out: "removed the module upper\n", error: "" })
  const gone = await hayloft("transform remove upper")
  assert.deepEqual([gone.code, gone.out], [3, ""])
  assert.match(gone.error, /There is no transform "upper"/)
  const listed: unknown = JSON.parse((await hayloft("transform list --json")).out)
  assert.match(JSON.stringify(listed), /"threads":2.*"modules":\[\{"name":"piped"/)
})

test("what cannot be a module is refused, and the exit code says why", async () => {
  const wrong = await hayloft("transform put upper rules.xml")
  assert.deepEqual([wrong.code, wrong.out], [2, ""])
  assert.match(wrong.error, /not a WebAssembly module/)
  assert.equal((await hayloft("transform put gzip upper.wasm")).code, 2)
  assert.match((await hayloft("transform put upper none.wasm")).error, /cannot read none\.wasm/)
  setApi({ core: {} })
  const off = await hayloft("transform list")
  assert.equal(off.code, 1)
  assert.match(off.error, /transforms are switched off: start the store with --transforms/)
})

test("the rules of a bucket are set, shown and cleared by signed requests of S3", async () => {
  const missing = await hayloft("transform rules show photos")
  assert.deepEqual([missing.code, missing.out], [3, ""])
  assert.match(missing.error, /There are no rules \(NoSuchTransformConfiguration\)/)
  const set = await hayloft("transform rules set photos rules.xml")
  assert.deepEqual(set, { code: 0, out: "set the transforms of photos\n", error: "" })
  assert.equal(rules, RULES)
  assert.equal((await hayloft("transform rules show photos")).out, `${RULES}\n`)
  const shown: unknown = JSON.parse((await hayloft("transform rules show photos --json")).out)
  assert.deepEqual(shown, { bucket: "photos", document: RULES })
  assert.equal((await hayloft("transform rules set photos -", Buffer.from("<a/>"))).code, 0)
  assert.equal(rules, "<a/>")
  const cleared = await hayloft("transform rules clear photos")
  assert.deepEqual(cleared, { code: 0, out: "removed the transforms of photos\n", error: "" })
  assert.equal(rules, undefined)
  assert.deepEqual(new Set(requests), new Set(["GET", "PUT", "DELETE"].map(method => `${method} /photos?transforms=`)))
})
