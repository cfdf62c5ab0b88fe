/**
 * Encryption over HTTP, as far as it concerns who may do what and what is kept secret; the conformance rows have the rest.
 */
import assert from "node:assert/strict"
import { createHash } from "node:crypto"
import { before, test } from "node:test"
import { ask } from "./ask.js"
import { handleModel, userKeyOf } from "./over-model.js"
import { allow, deny, documented, keyOf, People, policyOf, to, type Sent, type Statement } from "./people.js"

const SSE = "x-amz-server-side-encryption"
const SOURCE = "x-amz-copy-source-server-side-encryption"
const IN_BUCKET = "arn:aws:s3:::bucket/*"
const SECRET = createHash("sha256").update("secret").digest()

const clientKey = (prefix = SSE): string[] => [
  `${prefix}-customer-algorithm`,
  "AES256",
  `${prefix}-customer-key`,
  SECRET.toString("base64"),
  `${prefix}-customer-key-md5`,
  createHash("md5").update(SECRET).digest("base64"),
]
const S3 = [SSE, "AES256"]

const USERS: Readonly<Record<string, readonly Statement[]>> = {
  encrypts: [allow("s3:PutObject", IN_BUCKET, { StringEquals: { [`s3:${SSE}`]: "AES256" } })],
  ofclient: [
    allow("s3:*", IN_BUCKET),
    deny("s3:PutObject", IN_BUCKET, { Null: { [`s3:${SSE}-customer-algorithm`]: "true" } }),
  ],
  reader: [allow("s3:GetObject", IN_BUCKET)],
  getter: [allow("s3:GetEncryptionConfiguration", "*")],
  putter: [allow("s3:PutEncryptionConfiguration", "*")],
}

const keys = Object.entries(USERS).map(([name, statements]) => userKeyOf(keyOf(name), name, [policyOf(...statements)]))
const { handler } = handleModel({ keys })
const people = new People(handler)
const expect = people.expect.bind(people)
const TLS = { tlsVersion: "1.3" }

const configuration = (inside: string) =>
  documented(`<ServerSideEncryptionConfiguration><Rule>${inside}</Rule></ServerSideEncryptionConfiguration>`)
const applied = (algorithm: string) =>
  `<ApplyServerSideEncryptionByDefault><SSEAlgorithm>${algorithm}</SSEAlgorithm></ApplyServerSideEncryptionByDefault>`
const bucketKey = (isEnabled: boolean) => `<BucketKeyEnabled>${isEnabled}</BucketKeyEnabled>`
const messageOf = ({ text }: Sent): string => /<Message>(.*)<\/Message>/.exec(text)?.[1] ?? ""
const codeOf = ({ text }: Sent): string => /<Code>(.*)<\/Code>/.exec(text)?.[1] ?? ""
const uploadIdOf = ({ text }: Sent): string => /<UploadId>(.*)<\/UploadId>/.exec(text)?.[1] ?? ""

before(async () => {
  await expect(200, "owner", "PUT /bucket")
})

test("a client's key is refused without TLS, before its body is read", async () => {
  await expect(200, "owner", "PUT /bucket/client", { headers: clientKey(), body: "x", ...TLS })
  const never = new Promise<void>(() => undefined)
  const refused = await expect(400, "owner", "PUT /bucket/new", { headers: clientKey(), body: "x", bodyComes: never })
  assert.equal(codeOf(refused), "InvalidRequest")
  assert.match(messageOf(refused), /must be made over a secure connection/)
  await expect(400, "owner", "GET /bucket/client", { headers: clientKey() })
  await expect(400, "owner", "HEAD /bucket/client", { headers: clientKey() })
  const copying = { headers: ["x-amz-copy-source", "/bucket/client", ...clientKey(SOURCE)] }
  await expect(400, "owner", "PUT /bucket/copy", copying)
  // A header that is incomplete may hold the key too.
  await expect(400, "owner", "PUT /bucket/new", { headers: clientKey().slice(2, 4), body: "x" })
  await expect(200, "owner", "GET /bucket/client", { headers: clientKey(), ...TLS })
  await expect(200, "owner", "PUT /bucket/copy", { ...copying, ...TLS })
})

test("an operator may allow clients' keys without TLS", async () => {
  const { handler: allowing } = handleModel({ allowSseCWithoutTls: true })
  const others = new People(allowing)
  await others.expect(200, "owner", "PUT /bucket")
  await others.expect(200, "owner", "PUT /bucket/k", { headers: clientKey(), body: "x" })
  await others.expect(200, "owner", "GET /bucket/k", { headers: clientKey() })
})

test("neither notes for the log nor errors contain a client's key", async () => {
  const texts = [SECRET.toString("base64"), SECRET.toString("hex"), encodeURIComponent(SECRET.toString("base64"))]
  const lines = ["PUT /bucket/new", "GET /bucket/none", "GET /bucket/client", "POST /bucket/new?uploads"]
  for (const line of lines) {
    for (const headers of [
      clientKey(),
      clientKey().slice(2),
      clientKey().toSpliced(5, 1, "AAAA"),
      [...clientKey(), ...S3],
    ]) {
      for (const more of [{}, TLS]) {
        const [method = "", rawTarget = ""] = line.split(" ")
        const rawHeaders = ["host", "localhost", ...headers]
        const { answer, notes } = await ask(handler, { method, rawTarget, rawHeaders, ...more })
        const body = answer?.body instanceof Uint8Array ? Buffer.from(answer.body).toString() : ""
        const shown = JSON.stringify(notes) + body + (await people.send("owner", line, { headers, ...more })).text
        for (const text of texts) assert.ok(!shown.includes(text), `${line}: ${shown}`)
      }
    }
  }
})

test("policies require encryption, of parts through their upload", async () => {
  const put = (name: string, key: string, headers: readonly string[]) =>
    people.send(name, `PUT /bucket/${key}`, { headers, body: "x", ...TLS })
  assert.equal((await put("encrypts", "a", S3)).status, 200)
  assert.equal((await put("encrypts", "a", [])).status, 403)
  assert.equal((await put("encrypts", "a", clientKey())).status, 403)
  assert.equal((await put("ofclient", "b", clientKey())).status, 200)
  assert.equal((await put("ofclient", "b", S3)).status, 403)

  const encrypted = uploadIdOf(await expect(200, "encrypts", "POST /bucket/c?uploads", { headers: S3 }))
  const part = await expect(200, "encrypts", `PUT /bucket/c?partNumber=1&uploadId=${encrypted}`, { body: "x" })
  const etag = part.headers.get("ETag") ?? ""
  const body = `<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>${etag}</ETag></Part></CompleteMultipartUpload>`
  const plain = uploadIdOf(await expect(200, "owner", "POST /bucket/c?uploads"))
  await expect(403, "encrypts", `PUT /bucket/c?partNumber=1&uploadId=${plain}`, { body: "x" })
  await expect(403, "encrypts", "POST /bucket/c?uploads")
  await expect(403, "encrypts", `POST /bucket/c?uploadId=${plain}`, { body })
  await expect(200, "encrypts", `POST /bucket/c?uploadId=${encrypted}`, { body })
})

test("a completion whose answer was lost is repeated, with the encryption that the client states", async () => {
  const id = uploadIdOf(await expect(200, "owner", "POST /bucket/r?uploads", { headers: S3 }))
  const part = await expect(200, "owner", `PUT /bucket/r?partNumber=1&uploadId=${id}`, { body: "x" })
  const etag = part.headers.get("ETag") ?? ""
  const body = `<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>${etag}</ETag></Part></CompleteMultipartUpload>`
  await expect(400, "owner", `POST /bucket/r?uploadId=${id}`, { headers: [SSE, "aws:kms"], body })
  for (let attempt = 0; attempt < 2; attempt += 1) {
    const done = await expect(200, "owner", `POST /bucket/r?uploadId=${id}`, { headers: S3, body })
    assert.equal(done.headers.get(SSE), "AES256")
  }
})

test("the default of a bucket satisfies no policy that requires encryption of requests", async () => {
  await expect(200, "owner", "PUT /bucket?encryption", configuration(applied("AES256")))
  await expect(403, "encrypts", "PUT /bucket/d", { body: "x" })
  const stored = await expect(200, "owner", "PUT /bucket/d", { body: "x" })
  assert.equal(stored.headers.get(SSE), "AES256")
  await expect(204, "owner", "DELETE /bucket?encryption")
})

test("the setting of a bucket needs its own permissions", async () => {
  const document = configuration(applied("AES256"))
  await expect(403, "getter", "PUT /bucket?encryption", document)
  await expect(200, "putter", "PUT /bucket?encryption", document)
  await expect(403, "putter", "GET /bucket?encryption")
  await expect(200, "getter", "GET /bucket?encryption")
  await expect(403, "getter", "DELETE /bucket?encryption")
  await expect(204, "putter", "DELETE /bucket?encryption")
  await expect(404, "getter", "GET /bucket?encryption")
})

test("a bucket that blocks SSE-C names the caller, and what to do", async () => {
  const blocked = "<BlockedEncryptionTypes><EncryptionType>SSE-C</EncryptionType></BlockedEncryptionTypes>"
  await expect(200, "owner", "PUT /bucket?encryption", configuration(blocked))
  const refused = await expect(403, "ofclient", "PUT /bucket/e", { headers: clientKey(), body: "x", ...TLS })
  assert.equal(codeOf(refused), "AccessDenied")
  assert.match(messageOf(refused), /user\/ofclient is not authorized .* has blocked upload requests that specify/)
  await expect(204, "owner", "DELETE /bucket?encryption")
})

test("a rule that only blocks SSE-C leaves the default encryption as it is", async () => {
  const blocked = "<BlockedEncryptionTypes><EncryptionType>SSE-C</EncryptionType></BlockedEncryptionTypes>"
  await expect(200, "owner", "PUT /bucket?encryption", configuration(applied("AES256")))
  await expect(200, "owner", "PUT /bucket?encryption", configuration(blocked))
  const { text } = await expect(200, "owner", "GET /bucket?encryption")
  assert.ok(text.includes(applied("AES256")) && text.includes(blocked), text)
  assert.equal((await expect(200, "owner", "PUT /bucket/k", { body: "x" })).headers.get(SSE), "AES256")
  await expect(200, "owner", "PUT /bucket?encryption", configuration(applied("aws:kms") + bucketKey(true)))
  await expect(200, "owner", "PUT /bucket?encryption", configuration(blocked))
  const ofKms = (await expect(200, "owner", "GET /bucket?encryption")).text
  assert.ok(ofKms.includes(applied("aws:kms") + bucketKey(true) + blocked), ofKms)
  await expect(200, "owner", "PUT /bucket?encryption", configuration(applied("aws:kms")))
  const renewed = (await expect(200, "owner", "GET /bucket?encryption")).text
  assert.ok(renewed.includes(applied("aws:kms") + bucketKey(false) + blocked), renewed)
  await expect(204, "owner", "DELETE /bucket?encryption")
})

test("objects of SSE-C are shared by policies, tagged and decided about without their key", async () => {
  const policy = JSON.stringify({
    Version: "2012-10-17",
    Statement: [to("*", allow("s3:GetObject", IN_BUCKET, { StringEquals: { "s3:ExistingObjectTag/a": "1" } }))],
  })
  await expect(200, "owner", "PUT /bucket/tagged", {
    headers: [...clientKey(), "x-amz-tagging", "a=1"],
    body: "x",
    ...TLS,
  })
  await expect(204, "owner", "DELETE /bucket?publicAccessBlock")
  await expect(204, "owner", "PUT /bucket?policy", documented(policy))
  await expect(200, "nobody", "GET /bucket/tagged", { headers: clientKey(), ...TLS })
  await expect(400, "nobody", "GET /bucket/tagged")
  await expect(403, "nobody", "GET /bucket/client", { headers: clientKey(), ...TLS })
  await expect(200, "owner", "GET /bucket/tagged?acl")
  await expect(204, "owner", "DELETE /bucket?policy")
})

test("a caller who may not read learns nothing from an encrypted object", async () => {
  for (const headers of [[], clientKey()]) {
    const refused = await expect(403, "encrypts", "GET /bucket/client", { headers, ...TLS })
    assert.equal(messageOf(refused), "Access Denied")
  }
})

test("new buckets begin with SSE-S3 if the operator wants it, and return to it", async () => {
  const newBuckets = { allowPublicBuckets: false, allowAcls: false, encryptNewBuckets: true }
  const others = new People(handleModel({ newBuckets }).handler)
  await others.expect(200, "owner", "PUT /bucket")
  const shows = async (algorithm: string) => {
    const { text } = await others.expect(200, "owner", "GET /bucket?encryption")
    assert.ok(text.includes(`<SSEAlgorithm>${algorithm}</SSEAlgorithm>`), text)
  }
  await shows("AES256")
  assert.equal((await others.expect(200, "owner", "PUT /bucket/k", { body: "x" })).headers.get(SSE), "AES256")
  const blocked = "<BlockedEncryptionTypes><EncryptionType>SSE-C</EncryptionType></BlockedEncryptionTypes>"
  await others.expect(200, "owner", "PUT /bucket?encryption", configuration(blocked))
  await others.expect(204, "owner", "DELETE /bucket?encryption")
  await shows("AES256")
  await others.expect(200, "owner", "PUT /bucket/c", { headers: clientKey(), body: "x", ...TLS })
})
