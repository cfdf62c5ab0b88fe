/** Requests as the AWS SDK sends them, captured by a socket server and verified. */
import { after, before, test } from "node:test"
import assert from "node:assert/strict"
import { createServer, request as httpRequest } from "node:http"
import {
  GetObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
  UploadPartCommand,
} from "@aws-sdk/client-s3"
import { getSignedUrl } from "@aws-sdk/s3-request-presigner"
import { HeaderShapes } from "@hayloft/base/http/request-headers.js"
import { receivedRequest, SignatureVerifier } from "../sigv4.js"
import type { SignableRequest } from "../sigv4.js"

const SECRET = "a secret of forty characters, or nearly"
const KEY = "dir//../ä +%2F?#&=~'()*!/\u{1f600} "
const captured: SignableRequest[] = []
const server = createServer((request, response) => {
  captured.push({ method: request.method ?? "", rawTarget: request.url ?? "", rawHeaders: request.rawHeaders })
  request.resume().on("end", () => response.end())
})
let client: S3Client

before(async () => {
  await new Promise<void>(resolve => server.listen(0, "127.0.0.1", resolve))
  const address = server.address()
  assert.ok(typeof address === "object" && address !== null)
  client = new S3Client({
    endpoint: `http://127.0.0.1:${address.port}`,
    region: "us-east-1",
    forcePathStyle: true,
    credentials: { accessKeyId: "AKID", secretAccessKey: SECRET },
  })
})

after(() => {
  client.destroy()
  server.close()
})

/** Sends the target unchanged: `fetch` would resolve `..` first. */
const send = (method: string, url: string): Promise<void> =>
  new Promise((resolve, reject) => {
    const [origin = "", path = ""] = url.split(/(?<=[0-9])(\/.*)/s)
    const outgoing = httpRequest(origin, { method, path }, response => response.resume().on("end", resolve))
    outgoing.on("error", reject).end(method === "PUT" ? "x" : undefined)
  })

function verifyLast() {
  const request = captured.at(-1)
  assert.ok(request)
  const { method, rawTarget, rawHeaders } = request
  const received = receivedRequest({ method, rawTarget, headers: new HeaderShapes().ofFlat(rawHeaders) })
  const verifier = new SignatureVerifier()
  const claim = verifier.read(received, { service: "s3", region: undefined }, Date.now())
  assert.ok(claim.kind === "claim")
  assert.equal(claim.accessKeyId, "AKID")
  return verifier.verify(claim, SECRET)
}

test("requests that the SDK signs verify: keys, queries, metadata, checksums", async () => {
  await client.send(new PutObjectCommand({ Bucket: "b", Key: KEY, Body: "hello", Metadata: { note: "a   b" } }))
  assert.equal(verifyLast().form, "header")
  await client.send(
    new GetObjectCommand({ Bucket: "b", Key: KEY, ResponseContentDisposition: 'attachment; filename="x y"' }),
  )
  verifyLast()
  await client.send(new ListObjectsV2Command({ Bucket: "b", Prefix: KEY, Delimiter: "/", StartAfter: "é+ &" }))
  verifyLast()
})

test("URLs that the SDK presigns verify, uploads too", async () => {
  const target = { Bucket: "b", Key: KEY }
  const terms = { expiresIn: 60 }
  const urls: [string, string][] = [
    ["GET", await getSignedUrl(client, new GetObjectCommand({ ...target, ResponseContentType: "a/b" }), terms)],
    ["PUT", await getSignedUrl(client, new PutObjectCommand(target), terms)],
    ["PUT", await getSignedUrl(client, new UploadPartCommand({ ...target, UploadId: "u/1=", PartNumber: 3 }), terms)],
  ]
  for (const [method, url] of urls) {
    await send(method, url)
    assert.equal(verifyLast().form, "query")
  }
})
