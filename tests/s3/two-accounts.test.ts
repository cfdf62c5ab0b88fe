/**
 * Two accounts, every operation × every resource: neither the answers to one account nor the work for them reveal
 * data of the other. Existing and missing resources have names of equal length, and must get equal answers.
 */
import assert from "node:assert/strict"
import { before, beforeEach, test } from "node:test"
import { sha256Hex, signRequest } from "@hayloft/access/index.js"
import { AdminApi } from "@hayloft/admin/index.js"
import { HEAD } from "@hayloft/admin/testing-api.js"
import { FakeStore, ROOT } from "@hayloft/admin/testing-store.js"
import { OPERATIONS as ADMIN_OPERATIONS } from "@hayloft/admin/operations.js"
import { Machine } from "@hayloft/node/testing-engine.js"
import { SimClock } from "@hayloft/base/seams/clock/sim.js"
import { OPERATIONS, type S3Operation } from "@hayloft/protocols/s3/operations.js"
import { handleModel, OWNER_ACCOUNT, ownerAccount, strangerAccount } from "./over-model.js"
import { allow, documented, keyOf, People, policyOf, to, type Sent, type With } from "./people.js"
import { Spy } from "./spy.js"

const STRANGER = { AWS: `arn:aws:iam::${strangerAccount.number}:root` }
const PART = "x".repeat(5 * 1024 * 1024)
const spy = new Spy()
// The real engine is used, because it distinguishes ids of uploads.
const machine = new Machine({ devices: 1 })
const { services } = await machine.open()
const { handler } = handleModel({ services: () => spy.over(services) })
const people = new People(handler)
const expect = people.expect.bind(people)

/**
 * Buckets: no policy; a policy that admits the stranger below `open/`; a policy with a condition on a tag; access
 * control lists.
 */
const BUCKETS = ["closed", "shared", "tagged", "listed"] as const
const POLICIES = {
  closed: undefined,
  listed: undefined,
  shared: policyOf(to(STRANGER, allow("s3:*", "arn:aws:s3:::shared/open/*"))),
  tagged: policyOf(
    to(STRANGER, allow("s3:*", "arn:aws:s3:::tagged/*", { StringEquals: { "s3:ExistingObjectTag/class": "public" } })),
  ),
}
/** All names and values of the owner that an answer could reveal. */
const OWNERS = [OWNER_ACCOUNT, ownerAccount.number, ownerAccount.email, "confidential", "whispered"]
const uploads = new Map<string, string>()

const uploadIn = ({ text }: Sent): string => /<UploadId>([^<]+)</.exec(text)?.[1] ?? assert.fail(text)

before(async () => {
  await expect(200, "stranger", "PUT /theirs")
  await expect(200, "stranger", "PUT /theirs/key", { body: "t" })
  for (const bucket of BUCKETS) {
    const headers = bucket === "listed" ? ["x-amz-object-ownership", "ObjectWriter"] : []
    await expect(200, "owner", `PUT /${bucket}`, { headers })
    for (const key of ["present/confidential", "open/present"]) {
      const headers = ["x-amz-tagging", "class=whispered", "x-amz-meta-note", "whispered"]
      await expect(200, "owner", `PUT /${bucket}/${key}`, { headers, body: "whispered" })
    }
    uploads.set(bucket, uploadIn(await expect(200, "owner", `POST /${bucket}/present/confidential?uploads`)))
    const policy = POLICIES[bucket]
    if (policy !== undefined) await expect(204, "owner", `PUT /${bucket}?policy`, { body: policy })
  }
})

beforeEach(() => void (spy.calls.length = 0))

const VALUES: Readonly<Record<string, string>> = { partNumber: "1", id: "a" }
const routed = OPERATIONS.filter(({ answer }) => answer.kind !== "alias" && answer.kind !== "preflight")

/** A request of an operation, with this upload or source if it needs one. */
function requestOf(operation: S3Operation, path: string, uploadId: string, source: string): readonly [string, With] {
  const { method, when, header } = operation
  const query = when.map(name =>
    name === "uploadId" ? `uploadId=${uploadId}` : name in VALUES ? `${name}=${VALUES[name] ?? ""}` : name,
  )
  const rawTarget = query.length === 0 ? path : `${path}?${query.join("&")}`
  const headers = header === undefined ? [] : [header, source]
  const body = method === "PUT" || method === "POST" ? { body: "<Document/>" } : {}
  return [`${method} ${rawTarget}`, { headers, ...body }]
}

interface Seen {
  readonly status: number
  readonly text: string
  readonly headers: readonly (readonly [string, string])[]
  readonly request: readonly string[]
}

/** The stranger's answer and the calls to the services, without the names in the request. */
async function seen(said: readonly string[], [line, given]: readonly [string, With]): Promise<Seen> {
  spy.calls.length = 0
  const { status, text, headers } = await people.send("stranger", line, given)
  const without = (answered: string): string => said.reduce((left, name) => left.replaceAll(name, "…"), answered)
  return {
    status,
    text: without(text),
    headers: [...headers].map(([name, value]) => [name, without(value)]),
    request: [...spy.calls],
  }
}

function tellsNothing({ text, headers }: Pick<Seen, "text" | "headers">, what: string): void {
  const all = `${text}\n${JSON.stringify(headers)}`
  for (const secret of OWNERS) assert.ok(!all.includes(secret), `${what}: ${secret} in ${all}`)
}

test("every operation on the other account's data is refused with a message that reveals nothing about it", async () => {
  for (const bucket of BUCKETS) {
    const upload = uploads.get(bucket) ?? ""
    for (const operation of routed.filter(({ resource }) => resource !== "service")) {
      if (operation.name === "CreateBucket") continue
      const key = "present/confidential"
      const path = operation.resource === "bucket" ? `/${bucket}` : `/${bucket}/${key}`
      const result = await seen([key], requestOf(operation, path, upload, `/${bucket}/${key}`))
      const what = `${operation.name} on ${bucket}`
      assert.ok([400, 403, 412, 501].includes(result.status), `${what}: ${result.status}`)
      tellsNothing(result, what)
    }
  }
})

test("existing and missing keys are refused alike, after the same work", async () => {
  let tagsRead = 0
  for (const bucket of BUCKETS) {
    for (const operation of routed.filter(
      ({ resource, answer }) => resource === "object" && answer.kind !== "refused",
    )) {
      const upload = uploads.get(bucket) ?? ""
      const ask = (key: string) =>
        seen([key], requestOf(operation, `/${bucket}/${key}`, upload, `/${bucket}/present/confidential`))
      const there = await ask("present/confidential")
      assert.equal(there.status, 403, `${operation.name} on ${bucket}: ${there.text}`)
      tagsRead += there.request.filter(name => name === "objects.getTags").length
      assert.deepEqual(await ask("missing/confidential"), there, `${operation.name} on ${bucket}`)
    }
  }
  assert.ok(tagsRead > 10, "tags are read for a policy's condition, whether or not the key exists")
})

test("if a policy permits reads, a missing key gets the same refusal as a forbidden one", async () => {
  const get = (key: string) => seen([key], [`GET /shared/${key}`, {}])
  const [absent, forbidden] = [await get("open/missing"), await get("present/confidential")]
  assert.deepEqual([absent.status, absent.text], [403, forbidden.text])
  assert.deepEqual(absent.headers, forbidden.headers)
})

test("another account's upload gets the same answers as an id that was never issued, in either account's bucket", async () => {
  const ofUploads = routed.filter(({ when }) => when.includes("uploadId"))
  assert.ok(ofUploads.length >= 5, "every operation on an upload")
  for (const bucket of BUCKETS) {
    const upload = uploads.get(bucket) ?? ""
    // Equally long and well formed.
    const none = [...upload].reverse().join("")
    for (const operation of ofUploads) {
      for (const path of [
        "/theirs/key",
        "/theirs/present/confidential",
        `/${bucket}/present/confidential`,
        `/${bucket}/open/x`,
      ]) {
        const source = "/theirs/key"
        const ask = (id: string) => seen([id], requestOf(operation, path, id, source))
        const [real, made] = [await ask(upload), await ask(none)]
        const what = `${operation.name} on ${path}`
        assert.ok([400, 403, 404].includes(real.status), `${what}: ${real.status} ${real.text}`)
        assert.deepEqual(real, made, what)
      }
    }
    const lines = [upload, none].map(id => `GET /theirs?uploads&key-marker=a&upload-id-marker=${id}`)
    const [real, made] = [await seen([upload], [lines[0] ?? "", {}]), await seen([none], [lines[1] ?? "", {}])]
    assert.deepEqual(real, made, "a marker")
    await expect(200, "owner", `GET /${bucket}/present/confidential?uploadId=${upload}`)
  }
})

test("guessing an upload id does not allow putting a part, completing or aborting", async () => {
  const upload = uploads.get("shared") ?? ""
  const line = `/shared/present/confidential?uploadId=${upload}`
  await expect(403, "stranger", `PUT ${line}&partNumber=1`, { body: PART })
  await expect(403, "stranger", `DELETE ${line}`)
  const part = {
    body: "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>x</ETag></Part></CompleteMultipartUpload>",
  }
  await expect(403, "stranger", `POST ${line}`, part)
  const { text } = await expect(200, "owner", `GET ${line}`)
  assert.ok(!text.includes("<Part>"), "a part was stored")
})

test("copies: answers do not reveal whether an unreadable source exists", async () => {
  for (const bucket of BUCKETS) {
    const copyTo = async (target: string, key: string): Promise<Seen> =>
      seen([key], [`PUT ${target}`, { headers: ["x-amz-copy-source", `/${bucket}/${key}`] }])
    const upload = uploadIn(await expect(200, "stranger", "POST /theirs/big?uploads"))
    for (const target of ["/theirs/copy", `/theirs/big?partNumber=1&uploadId=${upload}`]) {
      const there = await copyTo(target, "present/confidential")
      assert.equal(there.status, 403, there.text)
      tellsNothing(there, target)
      assert.deepEqual(await copyTo(target, "missing/confidential"), there, `${target} from ${bucket}`)
    }
  }
  await expect(404, "stranger", "GET /theirs/copy")
})

test("lists contain none of the other account's buckets, keys and uploads", async () => {
  const { text } = await expect(200, "stranger", "GET /")
  assert.match(text, /<Name>theirs</)
  for (const bucket of BUCKETS) assert.ok(!text.includes(`<Name>${bucket}<`), text)
  assert.doesNotMatch((await expect(200, "stranger", "GET /?prefix=shared")).text, /<Name>/)
  for (const query of [
    "",
    "?list-type=2",
    "?versions",
    "?uploads",
    "?prefix=open/",
    "?list-type=2&start-after=present",
  ]) {
    for (const bucket of BUCKETS) await expect(403, "stranger", `GET /${bucket}${query}`)
  }
  const keys =
    "<Delete><Object><Key>present/confidential</Key></Object><Object><Key>missing/confidential</Key></Object></Delete>"
  const each = await people.send("stranger", "POST /shared?delete", documented(keys))
  assert.equal(each.text.match(/<Code>AccessDenied</g)?.length, 2, each.text)
  await expect(200, "owner", "GET /shared/present/confidential")
})

test("metrics are for the operator: no S3 request returns them, and no S3 key is accepted on the admin port", async () => {
  for (const path of ["/metrics", "/metrics/shared", "/v1/buckets", "/v1/status"]) {
    const { text } = await people.expect(path.startsWith("/v1") ? 400 : 404, "stranger", `GET ${path}`)
    assert.match(text, /<Code>(?:NoSuchBucket|InvalidBucketName)</)
  }
  for (const bucket of BUCKETS) {
    for (const query of ["metrics", "metrics&id=a"]) {
      const { status, text } = await people.send("stranger", `GET /${bucket}?${query}`)
      assert.ok([403, 501].includes(status), text)
    }
  }
  const store = new FakeStore()
  const options = {
    version: "1.2.3",
    clock: new SimClock(),
    hosts: [],
    onLoopback: false,
    rootAccount: ROOT,
    newBucketSettings: new Map(),
  }
  const metrics = { ...options, metricsText: () => assert.fail("metrics were shown") }
  const api = new AdminApi(store.parts, metrics)
  const { id: accessKeyId, secret } = keyOf("stranger")
  const paths = ADMIN_OPERATIONS.map(({ method, path }) => [method, path.replace(/\{\w+\}/g, "shared")] as const)
  for (const [method, rawTarget] of [["GET", "/metrics"] as const, ...paths]) {
    for (const service of ["s3", "iam"]) {
      const terms = { accessKeyId, secret, region: "us-east-1", service }
      const unsigned = { method, rawTarget, rawHeaders: ["host", "localhost"] }
      const { rawHeaders } = signRequest(unsigned, sha256Hex(new Uint8Array()), terms, Date.now())
      const header = (name: string) => rawHeaders[rawHeaders.findIndex(one => one.toLowerCase() === name) + 1]
      const { status } = await api.handle({ ...HEAD, method, rawTarget, header, body: async () => new Uint8Array() })
      assert.equal(status, 401, `${method} ${rawTarget}`)
    }
  }
  assert.deepEqual(store.touched, [])
})
