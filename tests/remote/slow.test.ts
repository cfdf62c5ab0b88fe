/** A remote that sends slowly, beside one that does not: what its readers hold, and for how long. */
import assert from "node:assert/strict"
import http from "node:http"
import type { AddressInfo } from "node:net"
import { test } from "node:test"
import { presign } from "@hayloft/access/sigv4.js"
import { forTestsOfFile } from "../harness/folders.js"
import { CREDENTIALS, REGION } from "../harness/server.js"
import { RemoteWorld } from "./worlds.js"

const SIZE_BYTES = 8 * 1024 * 1024
const PIECE_BYTES = 4 * 1024
const READERS = 24
const PLACES = 4

/** A store whose objects come at 40 KiB a second: fast enough to be waited for, for more than three minutes. */
class SlowStore {
  under = 0
  private waiting: (() => void)[] = []
  private readonly server = http.createServer((request, response) => this.answer(request, response))

  async listen(): Promise<string> {
    await new Promise<void>(resolve => this.server.listen(0, "127.0.0.1", resolve))
    const { port } = this.server.address() as AddressInfo
    return `http://127.0.0.1:${port}`
  }

  /** Resolves once so many objects are being sent. */
  async until(under: number): Promise<void> {
    while (this.under !== under) await new Promise<void>(resolve => this.waiting.push(resolve))
  }

  close(): void {
    this.server.closeAllConnections()
    this.server.close()
  }

  private answer(request: http.IncomingMessage, response: http.ServerResponse): void {
    if (request.url?.includes("list-type") === true) {
      response.end("<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>")
      return
    }
    this.count(1)
    const last = SIZE_BYTES - 1
    response.writeHead(206, {
      etag: '"e"',
      "last-modified": "Tue, 01 Jan 2030 00:00:00 GMT",
      "content-length": SIZE_BYTES,
      "content-range": `bytes 0-${last}/${SIZE_BYTES}`,
    })
    const sending = setInterval(() => response.write(Buffer.alloc(PIECE_BYTES)), 100)
    response.on("close", () => {
      clearInterval(sending)
      this.count(-1)
    })
  }

  private count(by: number): void {
    this.under += by
    for (const resolve of this.waiting.splice(0)) resolve()
  }
}

const slow = new SlowStore()
let world: RemoteWorld

forTestsOfFile(async folder => {
  world = await RemoteWorld.start(folder, [], { slow: await slow.listen() })
  return async () => {
    await world.stop()
    slow.close()
  }
})

/** A reader that leaves when `leave` is called. */
function reader(key: string): { readonly leave: () => void } {
  const { host, origin } = new URL(world.near.endpoint)
  const signable = { method: "GET", rawTarget: `/slowly/${key}`, rawHeaders: ["host", host] }
  const { accessKey: accessKeyId, secretKey: secret } = CREDENTIALS
  const target = presign(signable, 600, { accessKeyId, secret, region: REGION, service: "s3" }, Date.now())
  const request = http.get(`${origin}${target}`)
  request.on("error", () => undefined)
  return { leave: () => request.destroy() }
}

test("readers of a slow remote leave places to others, and end its fetches when they leave", async () => {
  await world.remote("quick")
  await world.remote("slowly", { store: "slow" })
  const readers = Array.from({ length: READERS }, (_, i) => reader(`k${i}`))
  await slow.until(PLACES)
  for (let i = 0; i < 20; i += 1) {
    await world.at("far", "PUT", { bucket: "data", key: `k${i}`, body: `content ${i}` })
    const { body } = await world.at("near", "GET", { bucket: "quick", key: `k${i}` })
    assert.equal(body.toString(), `content ${i}`)
  }
  assert.equal(slow.under, PLACES)
  for (const { leave } of readers) leave()
  await slow.until(0)
})
