/** The signer against published vectors, and the checksums against their check values. */
import { test } from "node:test"
import assert from "node:assert/strict"
import { ALGORITHMS, checksum, multipartEtag } from "./checksums.js"
import { presign, signChunk, signRequest } from "./sign-v4.js"
import type { Header } from "./raw-client.js"

const CREDENTIALS = { accessKey: "AKIAIOSFODNN7EXAMPLE", secretKey: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY" }
const EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
const options = (payloadHash: string) => ({
  timeMs: Date.UTC(2013, 4, 24),
  region: "us-east-1",
  service: "s3",
  payloadHash,
  unsignedHeaders: [],
})
const host: Header = ["Host", "examplebucket.s3.amazonaws.com"]
const date: Header = ["x-amz-date", "20130524T000000Z"]

test("the signer gives the signatures of Amazon's examples", () => {
  const cases: readonly (readonly [target: string, headers: readonly Header[], signature: string])[] = [
    ["/test.txt", [["Range", "bytes=0-9"]], "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"],
    ["/?lifecycle", [], "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"],
    ["/?max-keys=2&prefix=J", [], "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"],
  ]
  for (const [target, more, expected] of cases) {
    const headers: Header[] = [host, date, ["x-amz-content-sha256", EMPTY], ...more]
    const { signature } = signRequest({ method: "GET", target, headers }, CREDENTIALS, options(EMPTY))
    assert.equal(signature, expected, target)
  }
})

test("the signer gives the signature of Amazon's PUT example, whose key holds a dollar sign", () => {
  const hash = "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072"
  const headers: Header[] = [
    host,
    date,
    ["x-amz-content-sha256", hash],
    ["Date", "Fri, 24 May 2013 00:00:00 GMT"],
    ["x-amz-storage-class", "REDUCED_REDUNDANCY"],
  ]
  const { signature } = signRequest({ method: "PUT", target: "/test$file.text", headers }, CREDENTIALS, options(hash))
  assert.equal(signature, "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd")
})

test("a presigned request has the signature of Amazon's example", () => {
  const target = presign({ method: "GET", target: "/test.txt", headers: [host] }, CREDENTIALS, {
    ...options("UNSIGNED-PAYLOAD"),
    expires: "86400",
  })
  assert.match(target, /X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404$/)
})

test("signed chunks have the signatures of Amazon's example", () => {
  const hash = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
  const headers: Header[] = [
    ["Host", "s3.amazonaws.com"],
    date,
    ["x-amz-content-sha256", hash],
    ["x-amz-storage-class", "REDUCED_REDUNDANCY"],
    ["Content-Encoding", "aws-chunked"],
    ["x-amz-decoded-content-length", "66560"],
    ["Content-Length", "66824"],
  ]
  const request = { method: "PUT", target: "/examplebucket/chunkObject.txt", headers }
  const seed = signRequest(request, CREDENTIALS, options(hash))
  assert.equal(seed.signature, "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9")
  const first = signChunk(seed, seed.signature, Buffer.alloc(65_536, "a"))
  assert.equal(first, "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648")
  const second = signChunk(seed, first, Buffer.alloc(1024, "a"))
  assert.equal(second, "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497")
  assert.equal(
    signChunk(seed, second, Buffer.alloc(0)),
    "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9",
  )
})

test("checksums of 123456789 are the published check values", () => {
  const digits = Buffer.from("123456789")
  assert.deepEqual(
    ALGORITHMS.map(algorithm => checksum(algorithm, digits).toString("hex")),
    [
      "cbf43926",
      "e3069283",
      "ae8b14860a799888",
      "f7c3bc1d808e04732adf679965ccc34ca7ae3441",
      "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225",
      "d9e6762dd1c8eaf6d61b3c6192fc408d4d6d5f1176d0c29169bc24e71c3f274ad27fcd5811b313d681f7e55ec02d73d499c95455b6b5bb503acf574fba8ffe85",
      "25f9e794323b453885f5181f1b624d0b",
      "8cb841db40e6ae83",
      "72dcb18b67a17dff",
      "33119477ede5dcd5e9716427681d5860",
    ],
  )
})

test("the ETag of a multipart object is the MD5 of the parts' MD5s, and counts them", () => {
  assert.equal(multipartEtag([Buffer.from("a"), Buffer.from("b")]), "96e024ba2074fe77e8e965ba43a704be-2")
})
