/** SSE-KMS over HTTP: which key and which context a request leads to, and which keys its caller must be allowed to use. */
import assert from "node:assert/strict"
import { beforeEach, test } from "node:test"
import { fail } from "@hayloft/base/failures.js"
import type { KeyCaller, S3Keys } from "@hayloft/access/keys/index.js"
import { handleModel, userKeyOf } from "./over-model.js"
import { allow, documented, keyOf, People, policyOf, type Sent } from "./people.js"

const SSE = "x-amz-server-side-encryption"
const KEY_ID = `${SSE}-aws-kms-key-id`
const CONTEXT = `${SSE}-context`
const BUCKET_KEY = `${SSE}-bucket-key-enabled`
const KMS = [SSE, "aws:kms"]
const arnOf = (name: string): string => `arn:aws:kms:us-east-1:000000000000:key/${name}`

interface Use {
  readonly action: string
  readonly who: string
  readonly key: string
  readonly context: unknown
}

/** Notes each use; callers named `outsider` may use no key. */
class NotedKeys implements S3Keys {
  uses: Use[] = []

  forWriting(caller: KeyCaller, name: string | undefined, context: string, reads: boolean): string {
    if (name === "missing") throw fail("noSuchKmsKey", { message: "Invalid keyId 'missing'" })
    const key = arnOf(name ?? "of-the-account")
    this.note(caller, reads ? "write and read" : "write", key, context)
    return key
  }

  forReading(caller: KeyCaller, keyArn: string, context: string): undefined {
    this.note(caller, "read", keyArn, context)
  }

  private note({ principal, context: request }: KeyCaller, action: string, key: string, context: string): void {
    const who = principal.kind === "user" ? principal.userName : principal.kind
    const via = request.valuesOf({ name: "aws:securetransport", suffix: undefined })
    assert.equal(via, "false")
    this.uses.push({ action, who, key, context: JSON.parse(context) })
    if (who === "outsider") throw fail("accessDenied", { message: `may not ${action}` })
  }
}

const kms = new NotedKeys()
const outsider = userKeyOf(keyOf("outsider"), "outsider", [policyOf(allow("s3:*", "*"))])
let people: People
const expect = (...args: Parameters<People["expect"]>): Promise<Sent> => people.expect(...args)

beforeEach(async () => {
  people = new People(handleModel({ kms, keys: [outsider] }).handler)
  await expect(200, "owner", "PUT /bucket")
  kms.uses = []
})

const json = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString("base64")
const ofObject = (key: string) => ({ "aws:s3:arn": `arn:aws:s3:::bucket/${key}` })
const OF_BUCKET = { "aws:s3:arn": "arn:aws:s3:::bucket" }
const codeOf = ({ text }: Sent): string => /<Code>(.*)<\/Code>/.exec(text)?.[1] ?? ""
const messageOf = ({ text }: Sent): string => /<Message>(.*)<\/Message>/.exec(text)?.[1] ?? ""
const uploadIdOf = ({ text }: Sent): string => /<UploadId>(.*)<\/UploadId>/.exec(text)?.[1] ?? ""
const shownOf = ({ headers }: Sent) => [SSE, KEY_ID, BUCKET_KEY, CONTEXT].map(name => headers.get(name))
const configuration = (keyId: string, more = "") =>
  documented(
    `<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>aws:kms</SSEAlgorithm>${keyId}</ApplyServerSideEncryptionByDefault>${more}</Rule></ServerSideEncryptionConfiguration>`,
  )

test("a request uses the key that it names, or that of the account, with the object in the context", async () => {
  const plain = await expect(200, "owner", "PUT /bucket/a", { headers: KMS, body: "x" })
  assert.deepEqual(shownOf(plain), ["aws:kms", arnOf("of-the-account"), undefined, undefined])
  const headers = [...KMS, KEY_ID, "named", CONTEXT, json({ b: "2", a: "1" })]
  const named = await expect(200, "owner", "PUT /bucket/b%20c", { headers, body: "x" })
  assert.deepEqual(shownOf(named), ["aws:kms", arnOf("named"), undefined, json({ a: "1", b: "2" })])
  assert.deepEqual(kms.uses, [
    { action: "write", who: "root", key: arnOf("of-the-account"), context: ofObject("a") },
    { action: "write", who: "root", key: arnOf("named"), context: { a: "1", ...ofObject("b c"), b: "2" } },
  ])
})

test("a bucket key has the bucket in its context, by the header or the setting", async () => {
  const headers = [...KMS, BUCKET_KEY, "true"]
  const asked = await expect(200, "owner", "PUT /bucket/a", { headers, body: "x" })
  assert.deepEqual(shownOf(asked), ["aws:kms", arnOf("of-the-account"), "true", undefined])
  const withKey = configuration(
    "<KMSMasterKeyID>of-the-bucket</KMSMasterKeyID>",
    "<BucketKeyEnabled>true</BucketKeyEnabled>",
  )
  await expect(200, "owner", "PUT /bucket?encryption", withKey)
  const byDefault = await expect(200, "owner", "PUT /bucket/b", { body: "x" })
  assert.deepEqual(shownOf(byDefault), ["aws:kms", arnOf("of-the-bucket"), "true", undefined])
  await expect(200, "owner", "PUT /bucket/c", { headers: [BUCKET_KEY, "false"], body: "x" })
  // The key of the setting is for requests that state nothing; whether there is a bucket key applies to all.
  await expect(200, "owner", "PUT /bucket/d", { headers: KMS, body: "x" })
  assert.deepEqual(
    kms.uses.map(({ key, context }) => [key, context]),
    [
      [arnOf("of-the-account"), OF_BUCKET],
      [arnOf("of-the-bucket"), OF_BUCKET],
      [arnOf("of-the-bucket"), ofObject("c")],
      [arnOf("of-the-account"), OF_BUCKET],
    ],
  )
})

test("reading needs the key, and HEAD, listings and deletes do not", async () => {
  await expect(200, "owner", "PUT /bucket/a", { headers: [...KMS, KEY_ID, "named"], body: "x" })
  kms.uses = []
  const head = await expect(200, "outsider", "HEAD /bucket/a")
  assert.deepEqual(shownOf(head), ["aws:kms", arnOf("named"), undefined, undefined])
  await expect(200, "outsider", "GET /bucket?list-type=2")
  await expect(200, "outsider", "GET /bucket/a?tagging")
  assert.deepEqual(kms.uses, [])
  assert.equal(messageOf(await expect(403, "outsider", "GET /bucket/a")), "may not read")
  const got = await expect(200, "owner", "GET /bucket/a")
  assert.deepEqual(shownOf(got), ["aws:kms", arnOf("named"), undefined, undefined])
  const uses = ["outsider", "root"].map(who => ({ action: "read", who, key: arnOf("named"), context: ofObject("a") }))
  assert.deepEqual(kms.uses, uses)
  await expect(204, "outsider", "DELETE /bucket/a")
})

test("a checksum needs the key, on HEAD and among attributes", async () => {
  const headers = [...KMS, KEY_ID, "named", "x-amz-checksum-crc32", "jNwWgw=="]
  await expect(200, "owner", "PUT /bucket/a", { headers, body: "x" })
  await expect(200, "owner", "PUT /bucket/b", { headers: [...KMS, KEY_ID, "named"], body: "x" })
  kms.uses = []
  const checksums = { headers: ["x-amz-checksum-mode", "ENABLED"] }
  await expect(403, "outsider", "HEAD /bucket/a", checksums)
  // It has the checksum that bytes without one get.
  await expect(403, "outsider", "HEAD /bucket/b", checksums)
  await expect(200, "outsider", "HEAD /bucket/a")
  const head = await expect(200, "owner", "HEAD /bucket/a", checksums)
  assert.notEqual(head.headers.get("x-amz-checksum-crc32"), undefined)
  const attributes = (names: string) => ({ headers: ["x-amz-object-attributes", names] })
  assert.equal(
    messageOf(await expect(403, "outsider", "GET /bucket/a?attributes", attributes("ETag,Checksum"))),
    "may not read",
  )
  await expect(403, "outsider", "GET /bucket/b?attributes", attributes("ETag,Checksum"))
  await expect(200, "outsider", "GET /bucket/a?attributes", attributes("ETag,ObjectSize,StorageClass"))
  await expect(200, "owner", "GET /bucket/a?attributes", attributes("Checksum"))
  assert.deepEqual(
    kms.uses.map(({ who, action }) => `${who}: ${action}`),
    ["outsider: read", "outsider: read", "root: read", "outsider: read", "outsider: read", "root: read"],
  )
})

test("writing needs the key, also that of the bucket's default", async () => {
  assert.equal(messageOf(await expect(403, "outsider", "PUT /bucket/a", { headers: KMS, body: "x" })), "may not write")
  await expect(200, "owner", "PUT /bucket?encryption", configuration(""))
  await expect(403, "outsider", "PUT /bucket/a", { body: "x" })
  await expect(200, "outsider", "PUT /bucket/a", { headers: [SSE, "AES256"], body: "x" })
  const missing = await expect(400, "owner", "PUT /bucket/a", { headers: [...KMS, KEY_ID, "missing"], body: "x" })
  assert.equal(codeOf(missing), "KMS.NotFoundException")
  assert.match(messageOf(missing), /^Invalid keyId/)
})

test("uploads need the key for each request, to write and to read", async () => {
  const created = await expect(200, "owner", "POST /bucket/a?uploads", { headers: KMS })
  const id = uploadIdOf(created)
  assert.deepEqual(kms.uses[0]?.action, "write and read")
  const part = await expect(200, "owner", `PUT /bucket/a?partNumber=1&uploadId=${id}`, { body: "x" })
  assert.deepEqual(shownOf(part).slice(0, 2), ["aws:kms", arnOf("of-the-account")])
  await expect(403, "outsider", `PUT /bucket/a?partNumber=1&uploadId=${id}`, { body: "x" })
  const copying = { headers: ["x-amz-copy-source", "/bucket/b"] }
  await expect(200, "owner", "PUT /bucket/b", { body: "x" })
  await expect(403, "outsider", `PUT /bucket/a?partNumber=1&uploadId=${id}`, copying)
  await expect(200, "owner", `PUT /bucket/a?partNumber=2&uploadId=${id}`, copying)
  assert.equal(messageOf(await expect(403, "outsider", `GET /bucket/a?uploadId=${id}`)), "may not read")
  await expect(200, "owner", `GET /bucket/a?uploadId=${id}`)
  const etag = part.headers.get("ETag") ?? ""
  const body = `<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>${etag}</ETag></Part></CompleteMultipartUpload>`
  await expect(403, "outsider", `POST /bucket/a?uploadId=${id}`, { body })
  const done = await expect(200, "owner", `POST /bucket/a?uploadId=${id}`, { body })
  assert.deepEqual(shownOf(done).slice(0, 2), ["aws:kms", arnOf("of-the-account")])
})

test("copies need the key of their source and that of their target", async () => {
  await expect(200, "owner", "PUT /bucket/kms", { headers: KMS, body: "x" })
  await expect(200, "owner", "PUT /bucket/plain", { body: "x" })
  const from = (source: string, ...headers: string[]) => ({
    headers: ["x-amz-copy-source", `/bucket/${source}`, ...headers],
  })
  await expect(403, "outsider", "PUT /bucket/copy", from("kms"))
  await expect(403, "outsider", "PUT /bucket/copy", from("plain", ...KMS))
  await expect(200, "outsider", "PUT /bucket/copy", from("plain"))
  kms.uses = []
  const headers = [...KMS, KEY_ID, "other", CONTEXT, json({ a: "1" })]
  const copied = await expect(200, "owner", "PUT /bucket/copy", from("kms", ...headers))
  assert.deepEqual(shownOf(copied), ["aws:kms", arnOf("other"), undefined, json({ a: "1" })])
  assert.deepEqual(kms.uses, [
    { action: "write", who: "root", key: arnOf("other"), context: { a: "1", ...ofObject("copy") } },
    { action: "read", who: "root", key: arnOf("of-the-account"), context: ofObject("kms") },
  ])
  // The context of the source is never that of a copy.
  const again = await expect(200, "owner", "PUT /bucket/again", from("copy", ...KMS))
  assert.deepEqual(shownOf(again), ["aws:kms", arnOf("of-the-account"), undefined, undefined])
})

test("requests without a signature of version 4 use no key", async () => {
  await expect(200, "owner", "PUT /bucket/a", { headers: KMS, body: "x" })
  await expect(204, "owner", "DELETE /bucket?publicAccessBlock")
  const statement = { ...allow(["s3:GetObject", "s3:PutObject"], "arn:aws:s3:::bucket/*"), Principal: "*" }
  await expect(204, "owner", "PUT /bucket?policy", documented(policyOf(statement)))
  kms.uses = []
  for (const [line, sent] of [
    ["GET /bucket/a", {}],
    ["PUT /bucket/b", { headers: KMS, body: "x" }],
  ] as const) {
    const refused = await expect(400, "nobody", line, sent)
    assert.equal(codeOf(refused), "InvalidArgument")
    assert.match(messageOf(refused), /require AWS Signature Version 4/)
  }
  assert.deepEqual(kms.uses, [])
})

test("a store without named keys says so", async () => {
  const without = new People(handleModel().handler)
  await without.expect(200, "owner", "PUT /bucket")
  await without.expect(501, "owner", "PUT /bucket/a", { headers: KMS, body: "x" })
  await without.expect(404, "owner", "HEAD /bucket/a")
})
