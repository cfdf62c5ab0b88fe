import { test } from "node:test"
import assert from "node:assert/strict"
import { connect } from "node:tls"
import type { TLSSocket } from "node:tls"
import { isFailure } from "@hayloft/base/failures.js"
import { RealClock } from "@hayloft/base/seams/clock/real.js"
import { SimDisk } from "@hayloft/base/seams/disk/index.js"
import type { Disk } from "@hayloft/base/seams/disk/index.js"
import { RealRandom } from "@hayloft/base/seams/random/real.js"
import { SimTelemetry } from "@hayloft/base/seams/telemetry/sim.js"
import { Certificates } from "./certificates.js"
import type { Exchange } from "./contract.js"
import { HTTP_LIMITS } from "./limits.js"
import { HttpServer } from "./listener.js"
import { TEST_CERTIFICATES } from "./testing-certificates.js"
import { until } from "./testing-listener.js"

const clock = new RealClock()
const PATHS = { certificatePath: "/tls/cert.pem", keyPath: "/tls/key.pem" }

async function put(disk: Disk, path: string, text: string): Promise<void> {
  await disk.makeFolder("/tls")
  if (await disk.exists(path)) await disk.remove(path)
  const file = await disk.open(path, "create")
  await file.write([new TextEncoder().encode(text)], 0)
  await file.close()
}

async function serve(disk: Disk) {
  const telemetry = new SimTelemetry()
  const protocol = {
    handle: async (exchange: Exchange) => {
      let bytes = 0
      for await (const piece of exchange.body()) bytes += piece.length
      const read = exchange.method === "PUT" ? `${bytes} bytes by ` : ""
      await exchange.respond({ status: 200, headers: [], body: Buffer.from(`${read}${String(exchange.tlsVersion)}`) })
    },
    refuse: () => ({ status: 400, headers: [], body: new Uint8Array() }),
  }
  const settings = {
    name: "tls",
    host: "127.0.0.1",
    port: 0,
    serverHeader: "H",
    limits: { ...HTTP_LIMITS, sweepMs: 20 },
  }
  const seams = { clock, random: new RealRandom(), telemetry }
  const server = new HttpServer(seams, protocol, settings, new Certificates(disk, PATHS))
  const { port } = await server.listen()
  const stopping = new AbortController()
  const running = server.run(stopping.signal)
  return {
    port,
    telemetry,
    stop: async () => {
      stopping.abort()
      await running
    },
  }
}

/** Sends one request over TLS; returns the name in the certificate and the answer. */
async function ask(port: number, options: { minVersion?: "TLSv1.2"; maxVersion?: "TLSv1.1" | "TLSv1.2" } = {}) {
  const socket = await new Promise<TLSSocket>((resolve, reject) => {
    const opened = connect(
      { port, host: "127.0.0.1", rejectUnauthorized: false, ciphers: "ALL:@SECLEVEL=0", ...options },
      () => resolve(opened),
    )
    opened.on("error", reject)
  })
  let received = ""
  const commonName = socket.getPeerCertificate().subject.CN
  socket.on("data", (piece: Buffer) => (received += piece.toString("latin1")))
  socket.write("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
  await new Promise(resolve => socket.on("close", resolve))
  return { commonName, received }
}

test("a TLS connection carries large bodies and small requests in any order", async () => {
  const disk = new SimDisk().boot()
  await put(disk, PATHS.certificatePath, TEST_CERTIFICATES.first.cert)
  await put(disk, PATHS.keyPath, TEST_CERTIFICATES.first.key)
  const server = await serve(disk)
  const socket = connect({ port: server.port, host: "127.0.0.1", rejectUnauthorized: false })
  let received = ""
  socket.on("data", (piece: Buffer) => (received += piece.toString("latin1")))
  const sizes = [300_000, 5, 5, 100_000, 2_000_000, 0, 70_000]
  for (const [i, size] of sizes.entries()) {
    socket.write(`PUT /${i} HTTP/1.1\r\nHost: h\r\nContent-Length: ${size}\r\n\r\n${"x".repeat(size)}`)
    if (i % 2 === 0) await clock.sleep(5, new AbortController().signal)
  }
  const answers = () => [...received.matchAll(/\r\n\r\n(\d+) bytes by 1\.3/g)].map(([, bytes]) => Number(bytes))
  await until("every request is answered", () => answers().length >= sizes.length || socket.destroyed)
  assert.deepEqual(answers(), sizes)
  socket.destroy()
  await server.stop()
})

test("TLS 1.2 and later are accepted, older versions and plain text are not", async () => {
  const disk = new SimDisk().boot()
  await put(disk, PATHS.certificatePath, TEST_CERTIFICATES.first.cert)
  await put(disk, PATHS.keyPath, TEST_CERTIFICATES.first.key)
  const world = await serve(disk)
  try {
    const modern = await ask(world.port)
    assert.match(modern.received, /^HTTP\/1.1 200 .*1\.3$/s)
    assert.match((await ask(world.port, { maxVersion: "TLSv1.2" })).received, /^HTTP\/1.1 200 .*1\.2$/s)
    await assert.rejects(ask(world.port, { maxVersion: "TLSv1.1" }))
    await assert.rejects(fetch(`http://127.0.0.1:${world.port}/`))
  } finally {
    await world.stop()
  }
})

test("a changed certificate is loaded without a restart; an incomplete pair changes nothing", async () => {
  const disk = new SimDisk().boot()
  const { first, second } = TEST_CERTIFICATES
  await put(disk, PATHS.certificatePath, first.cert)
  await put(disk, PATHS.keyPath, first.key)
  const world = await serve(disk)
  const commonName = async () => (await ask(world.port)).commonName
  try {
    assert.equal(await commonName(), "first.localhost")
    await put(disk, PATHS.certificatePath, second.cert)
    await until("half a pair is met", () => world.telemetry.entries("certificate_load_failed").length > 0)
    assert.equal(await commonName(), "first.localhost")
    await put(disk, PATHS.keyPath, second.key)
    await until("the pair is taken up", () => world.telemetry.entries("certificate_loaded").length > 0)
    assert.equal(await commonName(), "second.localhost")
  } finally {
    await world.stop()
  }
})

test("a server without a usable certificate does not start", async () => {
  const disk = new SimDisk().boot()
  await put(disk, PATHS.certificatePath, TEST_CERTIFICATES.first.cert)
  await assert.rejects(serve(disk), error => isFailure(error, "deviceFailed"))
  await put(disk, PATHS.keyPath, "no key")
  await assert.rejects(serve(disk), error => isFailure(error, "invalidConfig"))
})
