/**
 * Users' permissions by their policies, over HTTP: each action of each operation, conditions on the request and the
 * object, and that missing keys are indistinguishable from forbidden ones.
 */
import assert from "node:assert/strict"
import { before, test } from "node:test"
import { presign } from "@hayloft/access/index.js"
import { parseBucketName, parsePlainKey } from "@hayloft/base/ids.js"
import { handleModel, userKeyOf } from "./over-model.js"
import { allow, deny, documented, keyOf, People, policyOf, type Sent, type Statement } from "./people.js"

const IN_BUCKET = "arn:aws:s3:::bucket/*"
const BUCKET = "arn:aws:s3:::bucket"

const USERS: Readonly<Record<string, readonly Statement[]>> = {
  powerless: [],
  reader: [
    allow("s3:GetObject", "arn:aws:s3:::bucket/docs/*"),
    allow("s3:ListBucket", BUCKET, { StringLike: { "s3:prefix": "docs/*" } }),
  ],
  lister: [allow(["s3:GetObject", "s3:ListBucket"], ["arn:aws:s3:::bucket", IN_BUCKET])],
  denied: [allow("s3:*", "*"), deny("s3:GetObject", "arn:aws:s3:::bucket/docs/*")],
  writer: [allow("s3:PutObject", IN_BUCKET)],
  deleter: [allow("s3:DeleteObject", "arn:aws:s3:::bucket/docs/*")],
  copier: [allow(["s3:GetObject", "s3:PutObject"], IN_BUCKET)],
  listcopier: [allow(["s3:GetObject", "s3:PutObject", "s3:ListBucket"], [BUCKET, IN_BUCKET])],
  copies: [allow("s3:PutObject", IN_BUCKET, { StringLike: { "s3:x-amz-copy-source": "bucket/docs/*" } })],
  tagreader: [allow("s3:GetObject", IN_BUCKET, { StringEquals: { "s3:ExistingObjectTag/open": "yes" } })],
  retagger: [allow("s3:PutObjectTagging", IN_BUCKET, { StringEquals: { "s3:ExistingObjectTag/open": "yes" } })],
  tagger: [
    allow(["s3:PutObject", "s3:PutObjectTagging"], IN_BUCKET, { StringEquals: { "s3:RequestObjectTag/team": "a" } }),
  ],
  lan: [allow("s3:GetObject", IN_BUCKET, { IpAddress: { "aws:SourceIp": "10.0.0.0/8" } })],
  tls: [
    allow("s3:*", "*"),
    deny("s3:*", "*", { Bool: { "aws:SecureTransport": "false" } }),
    deny("s3:*", "*", { NumericLessThan: { "s3:TlsVersion": "1.3" } }),
  ],
  fresh: [allow("s3:*", "*"), deny("s3:*", "*", { NumericGreaterThan: { "s3:signatureAge": "60000" } })],
  versions: [allow("s3:GetObjectVersion", IN_BUCKET)],
  sourcetagger: [allow("s3:PutObjectTagging", IN_BUCKET, { StringLike: { "s3:x-amz-copy-source": "bucket/docs/*" } })],
  maker: [allow("s3:CreateBucket", "*")],
  listsetter: [allow(["s3:CreateBucket", "s3:PutBucketAcl"], "*")],
}

const keys = Object.entries(USERS).map(([name, statements]) =>
  userKeyOf(keyOf(name), name, statements.length === 0 ? [] : [policyOf(...statements)]),
)
const limited = userKeyOf(keyOf("limited"), "limited", [policyOf(allow("s3:*", "*"))], {
  session: policyOf(allow("s3:GetObject", IN_BUCKET)),
})
const { handler, services } = handleModel({ keys: [...keys, limited] })

const people = new People(handler)
const expect = people.expect.bind(people)

before(async () => {
  for (const name of ["bucket", "other"]) await expect(200, "owner", `PUT /${name}`)
  await expect(200, "owner", "PUT /bucket/docs/a", { body: "a" })
  await expect(200, "owner", "PUT /bucket/docs/tagged", { body: "t", headers: ["x-amz-tagging", "open=yes"] })
  await expect(200, "owner", "PUT /bucket/secret", { body: "s" })
  await expect(200, "owner", "PUT /other/docs/a", { body: "o" })
})

test("a user without policies may do nothing, and answers reveal nothing", async () => {
  for (const line of ["GET /", "PUT /new", "HEAD /bucket", "GET /bucket", "GET /bucket/docs/a", "GET /bucket/absent"]) {
    await expect(403, "powerless", line)
  }
  await expect(403, "powerless", "PUT /bucket/docs/a", { body: "x" })
  await expect(404, "powerless", "GET /nowhere")
})

test("a reader of a prefix reads and lists only there", async () => {
  await expect(200, "reader", "GET /bucket/docs/a")
  await expect(200, "reader", "HEAD /bucket/docs/a")
  await expect(200, "reader", "GET /bucket?list-type=2&prefix=docs/")
  for (const line of [
    "GET /bucket/secret",
    "GET /bucket/docsecret",
    "GET /other/docs/a",
    "GET /bucket",
    "GET /bucket?prefix=doc",
    "GET /bucket?versions&prefix=docs/",
    "HEAD /bucket",
    "GET /bucket/docs/a?tagging",
    "GET /bucket/docs/a?attributes",
    "GET /bucket/docs/a?acl",
    "GET /bucket?acl",
    "DELETE /bucket/docs/a",
    "GET /bucket/docs/a?versionId=null",
  ]) {
    await expect(403, "reader", line)
  }
})

test("a missing key looks forbidden to callers who may not list, whatever else they send", async () => {
  const absent = await expect(403, "reader", "GET /bucket/other/absent")
  const forbidden = await expect(403, "reader", "GET /bucket/secret")
  const plain = ({ text }: Sent) => text.replace(/<Key>.*?<\/Key>|<Resource>.*?<\/Resource>/g, "")
  assert.equal(plain(absent), plain(forbidden))
  await expect(403, "reader", "HEAD /bucket/other/absent")
  // The condition's prefix is the key itself, not the prefix of the request.
  await expect(403, "reader", "GET /bucket/other/absent?prefix=docs/")
  await expect(404, "lister", "GET /bucket/docs/absent")
  await expect(404, "lister", "HEAD /bucket/docs/absent")
  const copy = { headers: ["x-amz-copy-source", "/bucket/absent"] }
  await expect(403, "copier", "PUT /bucket/copy", copy)
})

test("a caller who may list with the key as prefix learns that the key does not exist", async () => {
  for (const line of ["GET /bucket/docs/absent", "HEAD /bucket/docs/absent"]) {
    const result = await expect(404, "reader", line)
    assert.ok(line.startsWith("HEAD") || result.text.includes("<Code>NoSuchKey</Code>"), result.text)
  }
  await expect(404, "reader", "GET /bucket/docs/absent?prefix=other/")
})

test("a deny wins over every allow", async () => {
  await expect(403, "denied", "GET /bucket/docs/a")
  await expect(200, "denied", "GET /bucket/secret")
  await expect(200, "denied", "PUT /bucket/docs/denied", { body: "x" })
  await expect(403, "denied", "PUT /bucket/copy", { headers: ["x-amz-copy-source", "/bucket/docs/a"] })
})

test("a list that grants nothing needs no permission of its own", async () => {
  for (const name of ["private", "bucket-owner-full-control", "bucket-owner-read"]) {
    await expect(200, "writer", "PUT /bucket/w", { body: "x", headers: ["x-amz-acl", name] })
    await expect(200, "maker", `PUT /made-${name}`, { headers: ["x-amz-acl", name] })
    await expect(204, "owner", `DELETE /made-${name}`)
  }
  const open = { headers: ["x-amz-acl", "public-read", "x-amz-object-ownership", "ObjectWriter"] }
  await expect(403, "maker", "PUT /made-open", open)
})

test("a write needs further permissions if it sets tags or a list, or is conditional", async () => {
  await expect(200, "writer", "PUT /bucket/w", { body: "x" })
  await expect(403, "writer", "PUT /bucket/w", { body: "x", headers: ["x-amz-tagging", "a=b"] })
  await expect(403, "writer", "PUT /bucket/w", { body: "x", headers: ["x-amz-acl", "public-read"] })
  await expect(403, "writer", "PUT /bucket/w", { body: "x", headers: ["if-match", "*"] })
  await expect(403, "writer", "POST /bucket/w?uploads", { headers: ["x-amz-tagging", "a=b"] })
  await expect(403, "writer", "GET /bucket/w")
  const created = await expect(200, "writer", "POST /bucket/w?uploads")
  const uploadId = /<UploadId>(.*)<\/UploadId>/.exec(created.text)?.[1] ?? ""
  await expect(200, "writer", `PUT /bucket/w?partNumber=1&uploadId=${uploadId}`, { body: "part" })
  await expect(403, "writer", `GET /bucket/w?uploadId=${uploadId}`)
  await expect(403, "writer", `DELETE /bucket/w?uploadId=${uploadId}`)
  await expect(403, "writer", `PUT /bucket/w?partNumber=2&uploadId=${uploadId}`, {
    headers: ["x-amz-copy-source", "/bucket/docs/a"],
  })
})

test("a copy needs read access to its source; tags are copied only by those who may read them", async () => {
  const copy = (source: string, ...further: string[]) => ({ headers: ["x-amz-copy-source", source, ...further] })
  await expect(200, "copier", "PUT /bucket/copy", copy("/bucket/docs/a"))
  await expect(403, "copier", "PUT /bucket/copy", copy("/other/docs/a"))
  await expect(403, "copier", "PUT /bucket/copy", copy("/bucket/docs/tagged"))
  await expect(403, "copier", "PUT /bucket/copy", copy("/bucket/docs/a?versionId=null"))
  await expect(200, "copier", "PUT /bucket/copy", copy("/bucket/docs/tagged", "x-amz-tagging-directive", "REPLACE"))
  await expect(200, "owner", "PUT /bucket/copy", copy("/bucket/docs/tagged"))
  const { text } = await expect(200, "owner", "GET /bucket/copy?tagging")
  assert.match(text, /<Key>open<\/Key>/)
  // Its tags are asked for first, and it is named all the same.
  const missing = await expect(404, "listcopier", "PUT /bucket/copy", copy("/bucket/absent"))
  assert.match(missing.text, /<Key>absent<\/Key>/)
})

test("a request that is not a copy is not evaluated as one, even if it names a copy source", async () => {
  const source = ["x-amz-copy-source", "bucket/docs/a"]
  const tagging = ["x-amz-tagging", "a=b"]
  const retagging = documented("<Tagging><TagSet/></Tagging>")
  const withSource = { ...retagging, headers: [...retagging.headers, ...source] }
  // A PUT with a source gets as far as the policies, other requests do not.
  await expect(403, "sourcetagger", "PUT /bucket/docs/a?tagging", withSource)
  await expect(200, "owner", "PUT /bucket/docs/a?tagging", withSource)
  for (const name of ["writer", "tagger", "copies"])
    await expect(400, name, "POST /bucket/c?uploads", { headers: [...tagging, ...source] })
  await expect(403, "copies", "PUT /bucket/c", { body: "x" })
  for (const name of ["writer", "copies"]) {
    const { id, secret } = keyOf(name)
    const rawTarget = "/bucket/hoisted?x-amz-tagging=a%3Db&X-Amz-Copy-Source=bucket%2Fdocs%2Fa"
    const request = { method: "PUT", rawTarget, rawHeaders: ["host", "localhost"] }
    const terms = { accessKeyId: id, secret, region: "us-east-1", service: "s3" }
    const sent = { ...request, rawTarget: presign(request, 600, terms, Date.now()), body: Buffer.from("x") }
    const rawHeaders = [...request.rawHeaders, "content-length", "1"]
    const { status, text } = await people.tell({ ...sent, rawHeaders })
    assert.equal(status, 400, text)
    assert.match(text, /x-amz-copy-source must be sent as a header/)
  }
  await expect(404, "owner", "GET /bucket/hoisted")
})

test("a header to bypass retention requires no permission where nothing is locked", async () => {
  const headers = ["x-amz-bypass-governance-retention", "true"]
  await expect(204, "deleter", "DELETE /bucket/docs/absent", { headers })
  await expect(403, "deleter", "DELETE /bucket/secret", { headers })
  const document = documented("<Delete><Object><Key>docs/absent</Key></Object></Delete>")
  const { text } = await expect(200, "deleter", "POST /bucket?delete", {
    ...document,
    headers: [...document.headers, ...headers],
  })
  assert.doesNotMatch(text, /<Error>/)
})

test("in a batch delete, keys that may not be deleted stay, and each is reported", async () => {
  await expect(200, "owner", "PUT /bucket/docs/gone", { body: "x" })
  const body = ["docs/gone", "secret"].map(key => `<Object><Key>${key}</Key></Object>`).join("")
  const document = `<Delete>${body}<Object><Key>docs/a</Key><VersionId>null</VersionId></Object></Delete>`
  const { text } = await expect(200, "deleter", "POST /bucket?delete", documented(document))
  assert.match(text, /<Deleted><Key>docs\/gone<\/Key><\/Deleted>/)
  assert.match(text, /<Error><Key>secret<\/Key><Code>AccessDenied<\/Code>/)
  assert.match(text, /<Error><Key>docs\/a<\/Key><VersionId>null<\/VersionId><Code>AccessDenied<\/Code>/)
  await expect(200, "owner", "GET /bucket/secret")
  await expect(404, "owner", "GET /bucket/docs/gone")
})

test("a version is readable with the permission for versions, and a missing version is not revealed", async () => {
  await expect(200, "versions", "GET /bucket/docs/a?versionId=null")
  await expect(403, "versions", "GET /bucket/docs/a")
})

test("conditions match the tags that an object has, and those that a request sets", async () => {
  await expect(200, "tagreader", "GET /bucket/docs/tagged")
  await expect(403, "tagreader", "GET /bucket/docs/a")
  await expect(403, "tagreader", "GET /bucket/absent")
  const tags = (team: string) => ["x-amz-tagging", `team=${team}`]
  await expect(200, "tagger", "PUT /bucket/t", { body: "x", headers: tags("a") })
  await expect(403, "tagger", "PUT /bucket/t", { body: "x", headers: tags("b") })
  await expect(403, "tagger", "PUT /bucket/t", { body: "x" })
  const retag = (team: string) =>
    documented(`<Tagging><TagSet><Tag><Key>team</Key><Value>${team}</Value></Tag></TagSet></Tagging>`)
  await expect(200, "tagger", "PUT /bucket/t?tagging", retag("a"))
  await expect(403, "tagger", "PUT /bucket/t?tagging", retag("b"))
})

test("an object that is written while a document is in flight is checked itself", async () => {
  const tagged = (value: string) => ({ body: "x", headers: ["x-amz-tagging", `open=${value}`] })
  const open = documented("<Tagging><TagSet><Tag><Key>open</Key><Value>yes</Value></Tag></TagSet></Tagging>")
  await expect(200, "owner", "PUT /bucket/slow", tagged("yes"))
  await expect(200, "retagger", "PUT /bucket/slow?tagging", open)
  let bodyMayCome = (): void => undefined
  const bodyComes = new Promise<void>(resolve => (bodyMayCome = resolve))
  const slow = people.send("retagger", "PUT /bucket/slow?tagging", { ...open, bodyComes })
  await new Promise(setImmediate)
  await expect(200, "owner", "PUT /bucket/slow", tagged("no"))
  bodyMayCome()
  assert.equal((await slow).status, 403)
  assert.match((await expect(200, "owner", "GET /bucket/slow?tagging")).text, /<Value>no<\/Value>/)
})

test("conditions match the address and the protocol of a request", async () => {
  await expect(200, "lan", "GET /bucket/secret", { from: "10.1.2.3" })
  await expect(200, "lan", "GET /bucket/secret", { from: "::ffff:10.1.2.3" })
  await expect(403, "lan", "GET /bucket/secret", { from: "192.0.2.1" })
  // Forwarding headers do not change the address.
  await expect(403, "lan", "GET /bucket/secret", { from: "192.0.2.1", headers: ["x-forwarded-for", "10.1.2.3"] })
  await expect(403, "tls", "GET /bucket/secret")
  await expect(403, "tls", "GET /bucket/secret", { tlsVersion: "1.2" })
  await expect(200, "tls", "GET /bucket/secret", { tlsVersion: "1.3" })
})

test("a presigned URL ages from its signature, whatever its expiry", async () => {
  const { id, secret } = keyOf("fresh")
  const request = { method: "GET", rawTarget: "/bucket/secret", rawHeaders: ["host", "localhost"] }
  for (const [agoMs, status] of [
    [1_000, 200],
    [120_000, 403],
  ] as const) {
    const terms = { accessKeyId: id, secret, region: "us-east-1", service: "s3" }
    const rawTarget = presign(request, 600, terms, Date.now() - agoMs)
    assert.equal((await people.tell({ ...request, rawTarget })).status, status)
  }
})

test("a session policy limits its user", async () => {
  await expect(200, "limited", "GET /bucket/secret")
  await expect(403, "limited", "PUT /bucket/l", { body: "x" })
  await expect(403, "limited", "GET /")
})

test("no refused request had any effect", async () => {
  const page = await services.buckets.list({ owner: (await firstBucket()).owner, max: 10 })
  assert.deepEqual(
    page.buckets.map(({ name }) => name),
    ["bucket", "other"],
  )
  const key = parsePlainKey("l")
  assert.ok(key)
  await assert.rejects(async () => services.objects.get({ bucket: await firstBucket(), key, conditions: {} }))
})

const firstBucket = async () => services.buckets.open(parseBucketName("bucket"))

test("a repeated creation replaces a bucket's list only for callers who may set it", async () => {
  await expect(200, "owner", "PUT /listed", { headers: ["x-amz-object-ownership", "ObjectWriter"] })
  await expect(200, "maker", "PUT /listed")
  await expect(204, "owner", "DELETE /listed?publicAccessBlock")
  await expect(200, "owner", "PUT /listed?acl", { headers: ["x-amz-acl", "authenticated-read"] })
  const isListed = async () => (await expect(200, "owner", "GET /listed?acl")).text.includes("AuthenticatedUsers")
  await expect(403, "maker", "PUT /listed")
  const denial = { Effect: "Deny", Principal: "*", Action: "s3:PutBucketAcl", Resource: "arn:aws:s3:::listed" }
  const body = JSON.stringify({ Version: "2012-10-17", Statement: [denial] })
  await expect(204, "owner", "PUT /listed?policy", { body })
  for (const who of ["listsetter", "owner"]) await expect(403, who, "PUT /listed")
  assert.equal(await isListed(), true)
  await expect(204, "owner", "DELETE /listed?policy")
  await expect(200, "listsetter", "PUT /listed")
  assert.equal(await isListed(), false)
})
