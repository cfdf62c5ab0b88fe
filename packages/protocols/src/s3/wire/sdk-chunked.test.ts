/** Decodes a chunked body as the AWS SDK sends it. */
import { test } from "node:test"
import assert from "node:assert/strict"
import { createServer } from "node:http"
import { Readable } from "node:stream"
import { PutObjectCommand, S3Client } from "@aws-sdk/client-s3"
import { concatBytes } from "@hayloft/base/bytes.js"
import { HeaderShapes } from "@hayloft/base/http/request-headers.js"
import { receivedRequest, SignatureVerifier } from "@hayloft/access/index.js"
import { decodeChunkedBody, parseTrailerNames } from "./aws-chunked.js"

const SECRET = "a secret of forty characters, or nearly"

test("a stream uploaded by the SDK is verified, decoded, and its trailer read", async () => {
  const content = Buffer.from("hay ".repeat(50_000))
  const decoded: Uint8Array[] = []
  let trailers: ReadonlyMap<string, string> = new Map()
  let problem: unknown
  const server = createServer((request, response) => {
    const take = async () => {
      const headers = new HeaderShapes().ofFlat(request.rawHeaders)
      const received = receivedRequest({ method: "PUT", rawTarget: request.url ?? "", headers })
      const verifier = new SignatureVerifier()
      const claim = verifier.read(received, { service: "s3", region: undefined }, Date.now())
      assert.ok(claim.kind === "claim")
      const { payload } = verifier.verify(claim, SECRET)
      assert.deepEqual(payload, { kind: "chunked", signed: false, trailer: true })
      const shape = {
        signatures: undefined,
        trailerNames: parseTrailerNames(String(request.headers["x-amz-trailer"])),
        decodedBytes: Number(request.headers["x-amz-decoded-content-length"]),
      }
      for await (const piece of decodeChunkedBody(request, shape, read => (trailers = read))) decoded.push(piece)
    }
    take()
      .catch((error: unknown) => (problem = error))
      .finally(() => response.end())
  })
  await new Promise<void>(resolve => server.listen(0, "127.0.0.1", resolve))
  const address = server.address()
  assert.ok(typeof address === "object" && address !== null)
  const client = new S3Client({
    endpoint: `http://127.0.0.1:${address.port}`,
    region: "us-east-1",
    forcePathStyle: true,
    credentials: { accessKeyId: "AKID", secretAccessKey: SECRET },
  })
  try {
    const Body = Readable.from([content.subarray(0, 100_000), content.subarray(100_000)])
    await client.send(new PutObjectCommand({ Bucket: "b", Key: "k", Body, ContentLength: content.length }))
  } finally {
    client.destroy()
    server.close()
  }
  assert.equal(problem, undefined)
  assert.deepEqual(Buffer.from(concatBytes(decoded)), content)
  assert.deepEqual([...trailers.keys()], ["x-amz-checksum-crc32"])
})
