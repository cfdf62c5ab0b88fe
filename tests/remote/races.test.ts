/**
 * Races and strange remotes: writes that come between the steps of a change of the setting, remotes that take a write and change it, or
 * do not say what they have, and conditions that they ignore. Nothing that was acknowledged is lost.
 */
import assert from "node:assert/strict"
import { randomBytes } from "node:crypto"
import type http from "node:http"
import { test } from "node:test"
import { forTestsOfFile } from "../harness/folders.js"
import { until } from "@hayloft/base/seams/clock/testing-until.js"
import { RemoteWorld, type Misbehaviour } from "./worlds.js"

const MIB = 1024 * 1024

let world: RemoteWorld

forTestsOfFile(async folder => {
  world = await RemoteWorld.start(folder)
  return () => world.stop()
})

const near = (method: string, bucket: string, key: string, more: object = {}, status?: number) =>
  world.at("near", method, { bucket, key, ...more }, status)
const far = (method: string, key: string, more: object = {}, status?: number) =>
  world.at("far", method, { bucket: "data", key, ...more }, status)

async function during<T>(misbehave: Misbehaviour, work: () => Promise<T>): Promise<T> {
  world.proxy.misbehave = misbehave
  try {
    return await work()
  } finally {
    world.proxy.misbehave = () => undefined
  }
}

/** Holds the first request that fits until `pass`. */
class Held {
  private requests: (() => void)[] = []
  private isOpen = false

  constructor(private readonly fits: (request: http.IncomingMessage) => boolean) {}

  readonly misbehave: Misbehaviour = (request, response) => {
    if (this.isOpen || !this.fits(request)) return undefined
    this.requests.push(() => world.proxy.pass(request, response))
    return "handled"
  }

  get isReached(): boolean {
    return this.requests.length > 0
  }

  pass(): void {
    this.isOpen = true
    this.requests.forEach(pass => pass())
  }
}

test("a write that comes while a bucket becomes remote is not lost", async () => {
  await world.at("near", "PUT", { bucket: "becoming" })
  const held = new Held(request => request.url?.includes("list-type=2") === true)
  await during(held.misbehave, async () => {
    const setting = world.setRemote("becoming", { prefix: "becoming/" }, 409)
    await until("it is held", () => held.isReached)
    await near("PUT", "becoming", "k", { body: "written meanwhile" })
    held.pass()
    await setting
  })
  assert.equal((await near("GET", "becoming", "k")).body.toString(), "written meanwhile")
  await until("it is there", async () => (await world.near.usage("becoming")).versions === 0)
  await world.setRemote("becoming", { prefix: "becoming/" })
  assert.equal((await near("GET", "becoming", "k")).body.toString(), "written meanwhile")
  assert.equal((await far("GET", "becoming/k")).body.toString(), "written meanwhile")
})

test("a bucket that takes no writes any more sends what is pending in its order", async () => {
  await world.remote("order", { writes: "Back", prefix: "order/" })
  const held = new Held(request => request.method === "PUT")
  await during(held.misbehave, async () => {
    await near("PUT", "order", "k", { body: "first" })
    await until("it is held", () => held.isReached)
    await near("PUT", "order", "k", { body: "second" })
    await world.setRemote("order", { writes: "None", prefix: "order/" })
    held.pass()
  })
  await until("they are there", async () => (await world.near.usage("order")).versions === 0)
  assert.equal((await far("GET", "order/k")).body.toString(), "second")
  await near("PUT", "order", "k", { body: "third" }, 405)
})

test("a 200 that does not say what the remote has leaves the write pending, or fails it", async () => {
  await world.remote("page-back", { writes: "Back", prefix: "pb/" })
  await world.remote("page-through", { prefix: "pt/" })
  const page: Misbehaviour = (request, response) => {
    if (request.method !== "PUT") return undefined
    request
      .resume()
      .on("end", () => response.writeHead(200, { "content-type": "text/html" }).end("<html>maintenance</html>"))
    return "handled"
  }
  await during(page, async () => {
    await near("PUT", "page-back", "k", { body: "kept" })
    await near("PUT", "page-through", "k", { body: "refused" }, 503)
    await until(
      "two are sent",
      () => world.proxy.requests.filter(request => request.startsWith("PUT /data/pb")).length > 1,
    )
    assert.equal((await near("GET", "page-back", "k")).body.toString(), "kept")
  })
  await until("they are there", async () => (await world.near.usage("page-back")).versions === 0)
  assert.equal((await far("GET", "pb/k")).body.toString(), "kept")
})

test("a remote that has other bytes than were sent does not end a write", async () => {
  await world.remote("bytes", { prefix: "bytes/" })
  const begun = await near("POST", "bytes", "k", { query: "uploads" })
  const id = /<UploadId>([^<]+)</.exec(begun.body.toString())?.[1] ?? ""
  const part = await near("PUT", "bytes", "k", { query: `partNumber=1&uploadId=${id}`, body: randomBytes(MIB) })
  const body = `<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>${part.header("etag") ?? ""}</ETag></Part></CompleteMultipartUpload>`
  const damage: Misbehaviour = request => {
    if (request.method === "PUT") request.once("data", (bytes: Buffer) => (bytes[0] = ~(bytes[0] ?? 0) & 0xff))
    return undefined
  }
  const refused = await during(damage, () => near("POST", "bytes", "k", { query: `uploadId=${id}`, body }, 502))
  assert.match(refused.body.toString(), /OpaqueETags/)
})

test("conditions that the remote ignores are checked before", async () => {
  await world.remote("ignores", { prefix: "ignores/" })
  const first = await near("PUT", "ignores", "k", { body: "first" })
  await far("PUT", "ignores/k", { body: "of another writer" })
  const ignore: Misbehaviour = request => {
    request.rawHeaders = request.rawHeaders.flatMap((text, i, all) =>
      i % 2 === 1 || /^if-/i.test(text) ? [] : [text, all[i + 1] ?? ""],
    )
    return undefined
  }
  await during(ignore, async () => {
    const headers = { "if-match": first.header("etag") ?? "" }
    await near("DELETE", "ignores", "k", { headers }, 412)
    await near("PUT", "ignores", "k", { headers, body: "x" }, 412)
  })
  assert.equal((await far("GET", "ignores/k")).body.toString(), "of another writer")
  await near("DELETE", "ignores", "k", { headers: { "if-match": "*" } }, 204)
  await far("GET", "ignores/k", {}, 404)
})

test("what a reader gets during a write is not cached, also if the process is killed", async () => {
  await world.remote("killed", { prefix: "killed/" })
  await far("PUT", "killed/k", { body: "old" })
  const held = new Held(request => request.method === "PUT")
  await during(held.misbehave, async () => {
    const writing = near("PUT", "killed", "k", { body: "new" }).catch(() => undefined)
    await until("it is held", () => held.isReached)
    assert.equal((await near("GET", "killed", "k")).body.toString(), "old")
    held.pass()
    await until("it is there", async () => (await far("GET", "killed/k")).body.toString() === "new")
    await world.near.kill()
    await writing
  })
  await world.near.launch()
  assert.equal((await near("GET", "killed", "k")).body.toString(), "new")
})

test("names that are no keys here, versions and tags of copies", async () => {
  await far("PUT", "sets/", { body: "" })
  await far("PUT", "sets/a", { body: "a" })
  await world.remote("sets", { prefix: "sets/" })
  const { body } = await world.at("near", "GET", { bucket: "sets", query: "list-type=2" })
  assert.deepEqual(
    [...body.toString().matchAll(/<Key>([^<]*)</g)].map(([, key]) => key),
    ["a"],
  )
  await world.at("near", "PUT", { bucket: "plain" })
  const ofVersion = { headers: { "x-amz-copy-source": "/sets/a?versionId=null" } }
  await near("PUT", "plain", "copy", ofVersion, 501)
  await near("PUT", "plain", "tagged", { body: "x", headers: { "x-amz-tagging": "a=b" } })
  const tagged = { "x-amz-copy-source": "/plain/tagged" }
  await near("PUT", "sets", "copy", { headers: tagged }, 501)
  await near("PUT", "sets", "copy", { headers: { ...tagged, "x-amz-tagging-directive": "REPLACE" } })
  assert.equal((await far("GET", "sets/copy")).body.toString(), "x")
})
