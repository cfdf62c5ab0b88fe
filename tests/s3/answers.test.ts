/** Answers of the S3 layer itself: slow answers, times, pages for browsers, regions, presigned headers. */
import { after, before, test } from "node:test"
import assert from "node:assert/strict"
import { createHash } from "node:crypto"
import { get } from "node:http"
import {
  CreateBucketCommand,
  CreateMultipartUploadCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListBucketsCommand,
  PutObjectCommand,
  S3Client,
} from "@aws-sdk/client-s3"
import { Upload } from "@aws-sdk/lib-storage"
import { getSignedUrl } from "@aws-sdk/s3-request-presigner"
import { Readable } from "node:stream"
import { Client } from "../../conformance/client.js"
import { parseEndpoint } from "../../conformance/raw-client.js"
import { text } from "../../conformance/xml.js"
import { fail } from "@hayloft/base/failures.js"
import { until } from "@hayloft/protocols/http/testing-listener.js"
import type { S3Services } from "@hayloft/protocols/s3/index.js"
import { SLOW_AFTER_MS, SPACE_EVERY_MS } from "@hayloft/protocols/s3/slow-answer.js"
import { RealClock } from "@hayloft/base/seams/clock/real.js"
import { OWNER, OWNER_ACCOUNT, serveModel, STRANGER_ACCOUNT } from "./over-model.js"
import type { Served } from "./over-model.js"

const owner = { accessKey: OWNER.id, secretKey: OWNER.secret }
const worlds: Served[] = []
const clients: S3Client[] = []

async function world(
  variations: Parameters<typeof serveModel>[0] = {},
): Promise<{ served: Served; client: Client; s3: S3Client }> {
  const served = await serveModel(variations)
  worlds.push(served)
  const client = new Client(parseEndpoint(served.endpoint), owner, "us-east-1")
  const s3 = new S3Client({
    endpoint: served.endpoint,
    region: "us-east-1",
    forcePathStyle: true,
    credentials: { accessKeyId: OWNER.id, secretAccessKey: OWNER.secret },
  })
  clients.push(s3)
  await s3.send(new CreateBucketCommand({ Bucket: "bucket" }))
  return { served, client, s3 }
}

let plain: Awaited<ReturnType<typeof world>>
before(async () => {
  plain = await world()
})
after(async () => {
  for (const client of clients) client.destroy()
  for (const served of worlds) await served.stop()
})

/** A clock whose waits of seconds take milliseconds, so that tests of slow answers are fast. */
class HastyClock extends RealClock {
  private waits = 0
  private tellSpaceSent = (): void => undefined
  /** An answer waits for its second white space: its first one has been taken. */
  readonly spaceSent = new Promise<void>(resolve => (this.tellSpaceSent = resolve))

  override sleep(durationMs: number, signal: AbortSignal): Promise<void> {
    return super.sleep(durationMs / 1000, signal)
  }

  override alarm(durationMs: number, ring: () => void): () => void {
    // The first wait is for an answer that is not slow, the second one for the first white space.
    if (durationMs === SLOW_AFTER_MS || durationMs === SPACE_EVERY_MS) this.waits += 1
    if (this.waits === 3) this.tellSpaceSent()
    return super.alarm(durationMs / 1000, ring)
  }
}

/** Completes, or fails, once the answer has sent white space. */
const slowComplete =
  (outcome: "good" | "bad", { spaceSent }: HastyClock) =>
  (model: S3Services): S3Services => ({
    ...model,
    multipart: new Proxy(model.multipart, {
      get: (target, property) => {
        if (property !== "complete") {
          const value: unknown = Reflect.get(target, property, target)
          return typeof value === "function"
            ? (...args: unknown[]) => Reflect.apply(value, target, args) as unknown
            : value
        }
        return async (request: Parameters<typeof target.complete>[0]) => {
          await spaceSent
          if (outcome === "bad") throw fail("invalidPart")
          return target.complete(request)
        }
      },
    }),
  })

for (const [outcome, root] of [
  ["good", "CompleteMultipartUploadResult"],
  ["bad", "Error"],
] as const) {
  test(`a slow completion keeps the connection alive, and its document states the result (${outcome})`, async () => {
    const hasty = new HastyClock()
    const { client, s3 } = await world({ clock: hasty, services: slowComplete(outcome, hasty) })
    const { UploadId = "" } = await s3.send(new CreateMultipartUploadCommand({ Bucket: "bucket", Key: "k" }))
    const target = { bucket: "bucket", key: "k" }
    const part = await client.call("PUT", { ...target, query: `partNumber=1&uploadId=${UploadId}`, body: "part" })
    const etag = part.header("etag") ?? ""
    const body = `<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>${etag}</ETag></Part></CompleteMultipartUpload>`
    const response = await client.call("POST", { ...target, query: `uploadId=${UploadId}`, body })
    assert.equal(response.status, 200)
    assert.match(response.text, new RegExp(`^<\\?xml[^>]*\\?>\\s+ <${root}[ >]`), "declaration, white space, document")
    assert.equal(response.text.split("<?xml").length, 2, "one declaration")
    if (outcome === "bad") assert.equal(text(response.text, "Code"), "InvalidPart")
    assert.equal((await client.call("GET", target)).status, outcome === "good" ? 200 : 404)
  })
}

test("a completion that fails early returns the error's status", async () => {
  const body =
    "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>x</ETag></Part></CompleteMultipartUpload>"
  const response = await plain.client.call("POST", { bucket: "bucket", key: "k", query: "uploadId=none", body })
  assert.equal(response.status, 404)
  assert.equal(text(response.text, "Code"), "NoSuchUpload")
})

test("answers carry times, ids and the server's name", async () => {
  const response = await plain.client.call("PUT", { bucket: "bucket", key: "timed", body: "body" })
  assert.match(response.header("server-timing") ?? "", /auth;dur=[\d.]+.*data;dur=[\d.]+.*meta;dur=[\d.]+.*total;dur=/)
  assert.match(response.header("x-amz-request-id") ?? "", /^[0-9A-F]{16}$/)
  assert.ok((response.header("x-amz-id-2") ?? "").length > 20)
  assert.equal(response.header("server"), "Hayloft")
})

test("each request is logged with its operation and its code", async () => {
  await plain.client.call("GET", { bucket: "bucket", key: "not there" })
  // A request is logged once its answer has left.
  const last = () => plain.served.telemetry.entries("request").at(-1)
  await until("it is in the log", () => last()?.fields["operation"] === "GetObject")
  const line = last()
  assert.equal(line?.fields["failure"], "NoSuchKey")
  assert.equal(line?.fields["accessKeyId"], OWNER.id)
  assert.ok(!JSON.stringify(plain.served.telemetry.entries()).includes(OWNER.secret))
})

test("a browser is redirected to a page, a program gets AccessDenied", async () => {
  const page = await fetch(plain.served.endpoint, { headers: { Accept: "text/html,application/xhtml+xml" } })
  assert.match(page.headers.get("content-type") ?? "", /^text\/html/)
  assert.match(await page.text(), /http:\/\/127\.0\.0\.1:9001/)
  const refusal = await fetch(plain.served.endpoint)
  assert.equal(refusal.status, 403)
  assert.match(await refusal.text(), /<Code>AccessDenied<\/Code>/)
})

test("on loopback the page for browsers answers only to loopback names and the store's own names", async () => {
  const { hostname, port } = new URL(plain.served.endpoint)
  const pageFor = (host: string) =>
    new Promise<boolean>((resolve, reject) => {
      const headers = { Host: host, Accept: "text/html" }
      get({ hostname, port, headers, agent: false }, answer => {
        answer.resume()
        answer.on("end", () => resolve((answer.headers["content-type"] ?? "").startsWith("text/html")))
      }).on("error", reject)
    })
  for (const host of [`127.0.0.1:${port}`, `localhost:${port}`, "[::1]:9000"])
    assert.equal(await pageFor(host), true, host)
  // Otherwise a web page whose name resolves to 127.0.0.1 could read it.
  for (const host of ["evil.example", `evil.example:${port}`, "127.0.0.1.evil.example"]) {
    assert.equal(await pageFor(host), false, host)
  }
})

test("preflights are answered without a signature", async () => {
  const options = { bucket: "bucket", key: "k", anonymous: true }
  const without = await plain.client.call("OPTIONS", options)
  assert.equal(without.status, 400)
  assert.equal(text(without.text, "Code"), "BadRequest")
  const headers = { Origin: "https://example.com", "Access-Control-Request-Method": "PUT" }
  const refused = await plain.client.call("OPTIONS", { ...options, headers })
  assert.equal(refused.status, 403)
  assert.equal(text(refused.text, "Code"), "AccessForbidden")
})

test("a request with the wrong expected bucket owner is refused", async () => {
  const put = (id: string, call = {}) =>
    plain.client.call("PUT", {
      bucket: "bucket",
      key: "owned",
      headers: { "x-amz-expected-bucket-owner": id, ...call },
    })
  assert.equal((await put(OWNER_ACCOUNT)).status, 200)
  assert.equal((await put(STRANGER_ACCOUNT)).status, 403)
  const copy = { "x-amz-copy-source": "bucket/owned", "x-amz-source-expected-bucket-owner": STRANGER_ACCOUNT }
  assert.equal((await put(OWNER_ACCOUNT, copy)).status, 403)
})

test("a configured region is the only accepted one", async () => {
  const { client } = await world({ region: "us-east-1" })
  const other = await client.call("GET", { sign: { region: "eu-west-1" } })
  assert.equal(other.status, 400)
  assert.equal(text(other.text, "Code"), "AuthorizationHeaderMalformed")
  assert.equal(text(other.text, "Region"), "us-east-1")
  const location =
    "<CreateBucketConfiguration><LocationConstraint>eu-west-1</LocationConstraint></CreateBucketConfiguration>"
  const bucket = await client.call("PUT", { bucket: "elsewhere", body: location })
  assert.equal(text(bucket.text, "Code"), "IllegalLocationConstraintException")
})

test("outside us-east-1 a repeated creation is refused", async () => {
  const served = await serveModel({ region: "eu-west-1" })
  worlds.push(served)
  const client = new Client(parseEndpoint(served.endpoint), owner, "eu-west-1")
  assert.equal((await client.call("PUT", { bucket: "twice" })).status, 200)
  const again = await client.call("PUT", { bucket: "twice" })
  assert.equal(again.status, 409)
  assert.equal(text(again.text, "Code"), "BucketAlreadyOwnedByYou")
  assert.equal((await client.call("HEAD", { bucket: "twice" })).header("x-amz-bucket-region"), "eu-west-1")
})

test("buckets are listed page by page", async () => {
  const { s3 } = await world()
  const names = ["a", "b", "c", "d", "e"].map(letter => `page-${letter}`)
  for (const Bucket of names) await s3.send(new CreateBucketCommand({ Bucket }))
  const found: string[] = []
  let ContinuationToken: string | undefined
  do {
    const page: import("@aws-sdk/client-s3").ListBucketsCommandOutput = await s3.send(
      new ListBucketsCommand({ MaxBuckets: 2, Prefix: "page-", ContinuationToken }),
    )
    found.push(...(page.Buckets ?? []).map(({ Name = "" }) => Name))
    ContinuationToken = page.ContinuationToken
  } while (ContinuationToken !== undefined)
  assert.deepEqual(found, names)
})

test("a presigned PUT carries its metadata in the query, and its checksum of an empty body is ignored", async () => {
  const put = new PutObjectCommand({ Bucket: "bucket", Key: "signed", Metadata: { note: "from afar" }, Tagging: "a=b" })
  const url = await getSignedUrl(plain.s3, put)
  assert.match(url, /x-amz-checksum-crc32=AAAAAA/, "the SDK no longer sends this checksum")
  assert.equal((await fetch(url, { method: "PUT", body: "presigned body" })).status, 200)
  const head = await plain.s3.send(new HeadObjectCommand({ Bucket: "bucket", Key: "signed" }))
  assert.deepEqual(head.Metadata, { note: "from afar" })
  assert.equal(head.ContentLength, 14)
  const acl = await getSignedUrl(
    plain.s3,
    new PutObjectCommand({ Bucket: "bucket", Key: "signed", ACL: "public-read" }),
  )
  const refused = await fetch(acl, { method: "PUT", body: "x" })
  assert.equal(refused.status, 400)
  assert.match(await refused.text(), /AccessControlListNotSupported/)
})

test("the SDK's streams, trailers and multipart uploads arrive whole", async () => {
  const body = Buffer.alloc(11 * 1024 * 1024)
  for (let at = 0; at < body.length; at += 4) body.writeUInt32LE(at, at)
  const pieces = Array.from({ length: 11 }, (_, i) => body.subarray(i << 20, (i + 1) << 20))
  const upload = new Upload({ client: plain.s3, params: { Bucket: "bucket", Key: "big", Body: Readable.from(pieces) } })
  const done = await upload.done()
  assert.match(done.ETag ?? "", /^"[0-9a-f]{32}-3"$/)
  const stream = new PutObjectCommand({
    Bucket: "bucket",
    Key: "stream",
    Body: Readable.from(pieces),
    ContentLength: body.length,
    ChecksumAlgorithm: "CRC32C",
  })
  assert.ok((await plain.s3.send(stream)).ChecksumCRC32C)
  for (const Key of ["big", "stream"]) {
    const got = await plain.s3.send(new GetObjectCommand({ Bucket: "bucket", Key }))
    const hash = createHash("sha256").update((await got.Body?.transformToByteArray()) ?? "")
    assert.equal(hash.digest("hex"), createHash("sha256").update(body).digest("hex"), Key)
  }
})
