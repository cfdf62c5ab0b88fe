/** Copies between two real servers: what is copied, a network that is cut, stores that copy to each other, and what is refused. */
import assert from "node:assert/strict"
import { createHash } from "node:crypto"
import { test } from "node:test"
import { setTimeout as later } from "node:timers/promises"
import { until } from "@hayloft/base/seams/clock/testing-until.js"
import { forTestsOfFile } from "../harness/folders.js"
import { CopiesWorld } from "./world.js"

const MIB = 1024 * 1024
const POLL_MS = 100

let world: CopiesWorld

forTestsOfFile(async folder => {
  world = await CopiesWorld.start(folder)
  return () => world.stop()
})

/** Makes a bucket in each store. */
async function withBuckets(near: string, far: string): Promise<void> {
  await world.at("near", "PUT", { bucket: near })
  await world.at("far", "PUT", { bucket: far })
}

async function putInParts(bucket: string, key: string, parts: readonly Buffer[]): Promise<void> {
  const target = { bucket, key }
  const made = await world.at("near", "POST", { ...target, query: "uploads" })
  const [, id = ""] = /<UploadId>([^<]*)</.exec(made.body.toString()) ?? []
  const etags: string[] = []
  for (const [i, body] of parts.entries()) {
    const put = await world.at("near", "PUT", { ...target, query: `partNumber=${i + 1}&uploadId=${id}`, body })
    etags.push(put.header("etag") ?? "")
  }
  const listed = etags.map((etag, i) => `<Part><PartNumber>${i + 1}</PartNumber><ETag>${etag}</ETag></Part>`)
  const body = `<CompleteMultipartUpload>${listed.join("")}</CompleteMultipartUpload>`
  await world.at("near", "POST", { ...target, query: `uploadId=${id}`, body })
}

test("after the network was cut, the lag in bytes falls back to 0, and the second store has what the first one has", async () => {
  await withBuckets("photos", "data")
  await world.at("near", "PUT", { bucket: "photos", key: "before/ä b", body: "before" })
  await world.run("near", "copies", "set", "photos", "--to", "far/data")
  const headers = {
    "content-type": "text/x",
    "x-amz-meta-who": "me",
    "x-amz-tagging": "a=b%20c",
    "cache-control": "no-cache",
  }
  await world.at("near", "PUT", { bucket: "photos", key: "described", body: "x", headers })
  await putInParts("photos", "parts", [Buffer.alloc(5 * MIB, 1), Buffer.alloc(1000, 2)])
  await world.at("near", "PUT", { bucket: "photos", key: "large", body: Buffer.alloc(4 * MIB + 10, 3) })
  await world.run("near", "copies", "status", "photos", "--wait")
  await world.assertCopied("photos", "data")
  const copy = await world.at("far", "HEAD", { bucket: "data", key: "described" })
  const shown = ["content-type", "x-amz-meta-who", "cache-control", "x-amz-tagging-count"].map(name =>
    copy.header(name),
  )
  assert.deepEqual(shown, ["text/x", "me", "no-cache", "1"])
  assert.match(copy.header("x-amz-meta-hayloft-copy") ?? "", /^[0-9a-f]{16}$/)

  const port = await world.proxy.pause()
  await world.at("near", "PUT", { bucket: "photos", key: "during", body: Buffer.alloc(100_000, 4) })
  await world.at("near", "PUT", { bucket: "photos", key: "described", body: "changed" })
  await world.at("near", "DELETE", { bucket: "photos", key: "large" })
  const lag = async (unit: "bytes" | "objects") => world.gauge(`hayloft_copies_lag_${unit}`, "photos")
  await until("the copy is three changes behind", async () => (await lag("objects")) >= 3, POLL_MS)
  assert.equal(await world.gauge("hayloft_copies_lag_bytes", "photos"), 100_007)
  assert.match(await world.run("near", "copies", "status", "photos"), /following.*\n.*\n.*lag +3 changes/)
  await world.proxy.resume(port)
  world.proxy.taken()
  await world.copied("near", "photos")
  await world.assertCopied("photos", "data")
  await until("no bytes are left to copy", async () => (await lag("bytes")) <= 0, POLL_MS)
  const taken = world.proxy.taken().filter(request => !request.includes("list-type"))
  assert.deepEqual(taken.sort(), ["DELETE /data/large", "PUT /data/described", "PUT /data/during"], "no full scan")
})

test("two stores that copy to each other send a change once, and keep what each of them gets", async () => {
  await withBuckets("mine", "yours")
  await world.run("near", "copies", "set", "mine", "--to", "far/yours")
  await world.run("far", "copies", "set", "yours", "--to", "near/mine")
  await world.at("near", "PUT", { bucket: "mine", key: "a", body: "from near" })
  await world.at("far", "PUT", { bucket: "yours", key: "b", body: "from far" })
  await putInParts("mine", "parts", [Buffer.alloc(5 * MIB, 1), Buffer.alloc(10, 2)])
  await world.copied("near", "mine")
  await world.copied("far", "yours")
  await world.at("near", "DELETE", { bucket: "mine", key: "b" })
  await world.copied("near", "mine")
  await world.copied("far", "yours")
  await world.assertCopied("mine", "yours")
  assert.equal((await world.list("near", "mine")).length, 2)
  world.proxy.taken()
  await later(2_500)
  assert.deepEqual(world.proxy.taken(), [], "nothing goes back and forth")
})

test("objects with a key of their client are shown as not copied; what cannot be copied to is refused by name", async () => {
  await withBuckets("secrets", "others")
  await world.run("near", "copies", "set", "secrets", "--to", "far/others", "--prefix", "p/")
  const key = Buffer.alloc(32, 7)
  const headers = {
    "x-amz-server-side-encryption-customer-algorithm": "AES256",
    "x-amz-server-side-encryption-customer-key": key.toString("base64"),
    "x-amz-server-side-encryption-customer-key-md5": createHash("md5").update(key).digest("base64"),
  }
  await world.at("near", "PUT", { bucket: "secrets", key: "sealed", body: "x", headers })
  await world.at("near", "PUT", { bucket: "secrets", key: "open", body: "x" })
  const [parked] = await world.copied("near", "secrets")
  assert.deepEqual([parked?.key, parked?.nextMs], ["sealed", undefined])
  assert.match(parked?.reason ?? "", /SSE-C/)
  assert.match(await world.run("near", "copies", "status", "secrets"), /sealed .*never.*SSE-C/)
  assert.deepEqual(
    (await world.list("far", "others")).map(each => each.split(" ")[0]),
    ["p/open"],
  )
  const refused = await world.near.hayloft(["copies", "set", "secrets", "--to", "nowhere/others"])
  assert.match(refused.stderr, /names no store nowhere/)
  const missing = await world.near.hayloft(["copies", "set", "secrets", "--to", "far/missing"])
  assert.match(missing.stderr, /has no bucket missing/)
  assert.notEqual(missing.code, 0)
  const copyHeader = { "x-hayloft-copy": "true" }
  const wrong = await world.clientOf("near").call("GET", { bucket: "secrets", key: "open", headers: copyHeader })
  assert.equal(wrong.status, 501)
  await world.run("near", "copies", "remove", "secrets")
  const gone = await world.near.hayloft(["copies", "status", "secrets"])
  assert.match(gone.stderr, /is not copied/)
})
