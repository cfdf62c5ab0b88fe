/** The real web, against a server on loopback. */
import { after, before, test, type TestContext } from "node:test"
import assert from "node:assert/strict"
import { createServer, type Server } from "node:http"
import { isFailure } from "../../failures.js"
import { isPublicAddress } from "./real-addresses.js"
import { RealWeb } from "./real.js"

/** Longer than any answer of this machine takes. */
const LONG_MS = 120_000
const LIMITS = { bytesMax: 100, timeoutMs: LONG_MS }
let server: Server
let origin = ""

before(async () => {
  server = createServer((request, response) => {
    const { url, method } = request
    if (url === "/echo") {
      const { "x-kind": kind = "", host = "", "content-length": length = "" } = request.headers
      response.writeHead(207, { "x-kind": kind })
      response.write(`${method} ${String(kind)} ${host} ${length} `)
      return request.pipe(response)
    }
    if (url === "/dropped") return request.socket.destroy()
    if (url === "/good") return response.end("good")
    if (url === "/moved") return response.writeHead(302, { Location: "/good" }).end()
    if (url === "/large") return response.end("x".repeat(101))
    if (url !== "/slow") return response.writeHead(404).end("missing")
    return response.write("begins")
  })
  origin = await originOf(server)
})

/** Listens, and returns where. */
async function originOf(listening: Server): Promise<string> {
  await new Promise<void>(resolve => listening.listen(0, "127.0.0.1", resolve))
  const address = listening.address()
  return `http://127.0.0.1:${typeof address === "object" ? (address?.port ?? 0) : 0}`
}

/** A server of this test alone, which counts its connections: a request that another test has aborted may arrive late. */
async function countedServer(t: TestContext) {
  const counted = createServer((_request, response) => response.end("good"))
  const seen = { connections: 0 }
  counted.on("connection", () => (seen.connections += 1))
  t.after(() => {
    counted.closeAllConnections()
    counted.close()
  })
  return { url: await originOf(counted), seen }
}

after(() => {
  server.closeAllConnections()
  server.close()
})

test("a document that exists", async () => {
  assert.equal(Buffer.from(await new RealWeb(true).get(`${origin}/good`, LIMITS)).toString(), "good")
})

for (const [what, path] of [
  ["missing", "/missing"],
  ["moved", "/moved"],
  ["too large", "/large"],
  ["too slow", "/slow"],
] as const) {
  test(`one that is ${what} is unreachable`, async () => {
    const limits = path === "/slow" ? { ...LIMITS, timeoutMs: 500 } : LIMITS
    const work = new RealWeb(true).get(`${origin}${path}`, limits)
    await assert.rejects(work, error => isFailure(error, "providerUnreachable"))
  })
}

const posted = (path: string, signal = AbortSignal.timeout(LONG_MS), web = new RealWeb(true)) =>
  web
    .post(
      { url: `${origin}${path}`, headers: { "x-kind": "a" }, body: Buffer.from("sent"), authorities: undefined },
      100,
      signal,
    )
    .finally(() => web.close())

test("a post sends headers and a body, and returns any status", async () => {
  const { status, body } = await posted("/echo")
  assert.deepEqual([status, Buffer.from(body).toString()], [207, `POST a ${new URL(origin).host} 4 sent`])
  assert.equal((await posted("/moved")).status, 302)
  assert.equal((await posted("/missing")).status, 404)
})

test("posts one after another share a connection", async t => {
  const web = new RealWeb(true)
  const { url, seen } = await countedServer(t)
  const signal = AbortSignal.timeout(LONG_MS)
  for (let i = 0; i < 3; i += 1)
    await web.post({ url, headers: {}, body: Buffer.from(""), authorities: undefined }, 100, signal)
  web.close()
  assert.equal(seen.connections, 1)
})

for (const [what, path] of [
  ["too large", "/large"],
  ["dropped", "/dropped"],
] as const) {
  test(`a post whose answer is ${what} fails`, async () => {
    await assert.rejects(posted(path), error => isFailure(error, "providerUnreachable"))
  })
}

test("a post ends when its signal fires, before and within the answer", async () => {
  const stop = new AbortController()
  const work = posted("/slow", stop.signal)
  setImmediate(() => stop.abort())
  await assert.rejects(work, error => isFailure(error, "providerUnreachable"))
  await assert.rejects(posted("/slow", AbortSignal.timeout(100)), error => isFailure(error, "providerUnreachable"))
  await assert.rejects(posted("/good", AbortSignal.abort()), error => isFailure(error, "providerUnreachable"))
})

test("a post reaches no local server unless that is allowed", async () => {
  const work = posted("/good", undefined, new RealWeb(false))
  await assert.rejects(work, error => isFailure(error, "providerUnreachable"))
})

test("no server listens", async () => {
  const work = new RealWeb(true).get("http://127.0.0.1:1/", LIMITS)
  await assert.rejects(work, error => isFailure(error, "providerUnreachable"))
})

for (const address of ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "0x7f.1", "2130706433"]) {
  test(`no server on this machine is requested, by any name: ${address}`, async t => {
    const { url, seen } = await countedServer(t)
    for (const scheme of ["https", "http"]) {
      const work = new RealWeb(false).get(`${scheme}://${address}:${new URL(url).port}/good`, LIMITS)
      await assert.rejects(work, error => isFailure(error, "providerUnreachable"))
    }
    assert.equal(seen.connections, 0)
  })
}

test("allowed addresses", () => {
  const web = new RealWeb(false)
  for (const url of ["https://id.example.com/realm", "https://8.8.8.8", "https://[2606:4700::1111]:8443"])
    assert.ok(web.allows(url), url)
  for (const url of ["http://id.example.com", "https://10.1.2.3", "https://[fd00:ec2::254]", "ftp://id.example.com"])
    assert.ok(!web.allows(url), url)
  assert.ok(new RealWeb(true).allows("http://10.1.2.3"))
  assert.ok(!new RealWeb(true).allows("ftp://10.1.2.3"))
})

test("addresses of the public internet", () => {
  for (const address of ["1.1.1.1", "172.15.255.255", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "2a00::1"])
    assert.ok(isPublicAddress(address), address)
  const local = `0.0.0.0 10.0.0.1 100.64.0.1 100.100.100.200 127.1.2.3 169.254.169.254 172.16.0.1 172.31.255.255 192.0.0.192 192.168.1.1 198.18.0.1
    224.0.0.1 255.255.255.255 168.63.129.16 :: ::1 ::ffff:10.0.0.1 ::ffff:8.8.8.8 64:ff9b::a00:1 fe80::1 fd00::1 fd00:ec2::254 ff02::1
    2001::1 2001:db8::1 2002:a00:1::1`
  for (const address of local.split(/\s+/)) assert.ok(!isPublicAddress(address), address)
})

const sent = (path: string, body: AsyncIterable<Uint8Array>, headers = {}) =>
  new RealWeb(true).send({ method: "PUT", url: `${origin}${path}`, headers, body }, 1_000, AbortSignal.timeout(LONG_MS))

test("a body is sent piece by piece, and the path is sent as it is", async () => {
  async function* pieces() {
    for (const text of ["one ", "two"]) yield Buffer.from(text)
  }
  const { status, body, headers } = await sent("/echo", pieces(), { "x-kind": "a", "content-length": "7" })
  assert.deepEqual([status, headers.get("x-kind")], [207, "a"])
  assert.match(Buffer.from(body).toString(), /^PUT a .* 7 one two$/)
  const odd = await sent("/echo/../good", pieces(), { "content-length": "7" })
  assert.equal(odd.status, 404, "/good is another path")
})

test("what is refused by its headers is not sent", async () => {
  let asked = 0
  async function* pieces() {
    for (asked = 0; asked < 1_000; asked += 1) yield new Uint8Array(1_000_000)
  }
  server.once("checkContinue", (_request, response) => void response.writeHead(413).end("too large"))
  const { status, body } = await sent("/good", pieces(), { "content-length": "1000000000" })
  assert.deepEqual([status, Buffer.from(body).toString(), asked], [413, "too large", 0])
})
