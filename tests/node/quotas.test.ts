/** Quotas as clients of a real server meet them: what is refused and how, what is not, and what makes room. */
import assert from "node:assert/strict"
import { z } from "zod"
import { ACCOUNT } from "@hayloft/admin/schemas.js"
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { after, before, test } from "node:test"
import { md5Base64 } from "../../conformance/checksums.js"
import type { Call } from "../../conformance/client.js"
import { formBody, post, signForm } from "../../conformance/forms.js"
import type { RawResponse } from "../../conformance/raw-client.js"
import { elements, text, texts } from "../../conformance/xml.js"
import { CREDENTIALS, ServerProcess } from "../harness/server.js"

const KIB = 1024
const MOST = Buffer.alloc(600 * KIB, "most")
const REST = Buffer.alloc(424 * KIB, "rest")

let folder = ""
let server: ServerProcess
before(async () => {
  folder = await mkdtemp(join(tmpdir(), "hayloft-quotas-"))
  server = await ServerProcess.start({ folders: [join(folder, "d1")] })
})
after(async () => {
  await server?.kill()
  await rm(folder, { recursive: true, force: true })
})

async function hayloft(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await server.hayloft(args)
  assert.equal(code, 0, stderr)
  return stdout
}

/** A bucket with a quota, and requests to it. */
class Limited {
  private constructor(readonly bucket: string) {}

  static async make(bucket: string, ...limits: readonly string[]): Promise<Limited> {
    const limited = new Limited(bucket)
    await limited.done("PUT", {})
    await hayloft("quota", "set", bucket, ...limits)
    return limited
  }

  send(method: string, call: Call): Promise<RawResponse> {
    return server.client().call(method, { bucket: this.bucket, ...call })
  }

  async done(method: string, call: Call): Promise<RawResponse> {
    const response = await this.send(method, call)
    assert.ok(response.status < 300, `${method} ${call.key}: ${response.status} ${response.text}`)
    return response
  }

  async refused(method: string, call: Call, message?: RegExp): Promise<RawResponse> {
    const response = await this.send(method, call)
    isRefusal(response, message)
    return response
  }

  /** Returns the id of the version that the request makes. */
  async version(method: "PUT" | "DELETE", call: Call): Promise<string> {
    const response = await this.done(method, call)
    return response.header("x-amz-version-id") ?? assert.fail("no version")
  }

  async keys(): Promise<readonly string[]> {
    return texts((await this.done("GET", { query: "list-type=2" })).text, "Key")
  }

  async createUpload(key: string): Promise<string> {
    const { text: xml } = await this.done("POST", { key, query: "uploads" })
    return text(xml, "UploadId") ?? assert.fail("no upload")
  }

  /** The request that completes an upload with its first part. */
  completionOf(key: string, uploadId: string, etag: string): Call {
    const part = `<Part><PartNumber>1</PartNumber><ETag>${etag}</ETag></Part>`
    const body = `<CompleteMultipartUpload>${part}</CompleteMultipartUpload>`
    return { key, query: `uploadId=${uploadId}`, body }
  }

  async agrees(): Promise<void> {
    assert.match(await hayloft("quota", "check", this.bucket), /they agree/)
  }
}

function isRefusal(response: RawResponse, message = /would exceed its quota/): void {
  assert.equal(`${response.status} ${text(response.text, "Code")}`, "403 QuotaExceeded", response.text)
  assert.match(text(response.text, "Message") ?? "", message)
}

const partOf = (uploadId: string, number: number): string => `partNumber=${number}&uploadId=${uploadId}`
const etagOf = (response: RawResponse): string => response.header("etag") ?? assert.fail("no ETag")

async function refusedSoFar(holder: "bucket" | "account"): Promise<number> {
  const line = (await server.metrics())
    .split("\n")
    .find(each => each.startsWith(`hayloft_quota_refused_total{holder="${holder}"}`))
  return Number(line?.split(" ")[1] ?? 0)
}

test("puts, copies and forms beyond a quota are refused and leave nothing; what fits exactly is stored", async () => {
  const limited = await Limited.make("objects", "--bytes", "1MiB")
  const before = await refusedSoFar("bucket")
  await limited.done("PUT", { key: "first", body: MOST })
  const refusal = await limited.refused("PUT", { key: "put", body: MOST })
  const message = "The bucket objects would exceed its quota of 1.0 MiB (600.0 KiB used)."
  assert.equal(text(refusal.text, "Message"), message)
  assert.equal(text(refusal.text, "Resource"), "/objects/put")
  assert.equal(text(refusal.text, "RequestId"), refusal.header("x-amz-request-id"))
  assert.match(refusal.header("content-type") ?? "", /^application\/xml/)
  assert.equal(refusal.header("retry-after"), undefined)
  await limited.refused("PUT", { key: "copy", headers: { "x-amz-copy-source": "/objects/first" } })
  const conditions = [["eq", "$key", "form"]]
  const fields = [["key", "form"] as const, ...signForm(CREDENTIALS, { bucket: "objects", conditions })]
  const { endpoint } = server
  isRefusal(await post({ endpoint, bucket: "objects", body: formBody(fields, { bytes: MOST }) }))
  assert.deepEqual(await limited.keys(), ["first"])
  assert.equal(await refusedSoFar("bucket"), before + 3)
  await limited.done("PUT", { key: "rest", body: REST })
  await limited.refused("PUT", { key: "byte", body: "1" })
  await limited.done("PUT", { key: "empty", body: "" })
  await limited.agrees()
})

test("a body that does not fit is refused before it is sent", async () => {
  const limited = await Limited.make("early", "--bytes", "1MiB")
  const call = { key: "k", headers: { Expect: "100-continue" }, awaitContinue: true }
  assert.equal((await limited.done("PUT", { ...call, body: MOST })).continued, true)
  const refusal = await limited.refused("PUT", { ...call, key: "other", body: MOST })
  assert.notEqual(refusal.continued, true)
  const replaced = await limited.done("PUT", { ...call, body: MOST })
  assert.equal(replaced.continued, true, "an overwrite counts the difference")
  const uploadId = await limited.createUpload("parts")
  const part = { ...call, key: "parts", query: partOf(uploadId, 1), body: MOST }
  assert.notEqual((await limited.refused("PUT", part)).continued, true)
})

test("parts count when they arrive; a completion needs no room, but counts as an object; unused parts make room", async () => {
  const limited = await Limited.make("uploads", "--bytes", "1MiB", "--objects", "1")
  const uploadId = await limited.createUpload("k")
  const first = etagOf(await limited.done("PUT", { key: "k", query: partOf(uploadId, 1), body: REST }))
  await limited.done("PUT", { key: "k", query: partOf(uploadId, 2), body: REST })
  await limited.refused("PUT", { key: "k", query: partOf(uploadId, 3), body: REST })
  await limited.done("PUT", { key: "k", query: partOf(uploadId, 2), body: MOST })
  await limited.refused("PUT", { key: "other", body: "1" }, /of 1\.0 MiB \(1\.0 MiB used\)/)
  const other = await limited.createUpload("other")
  await limited.done("PUT", { key: "other", query: partOf(other, 1), body: "" })
  await limited.done("POST", limited.completionOf("k", uploadId, first))
  await limited.done("PUT", { key: "k", body: MOST })
  const copied = { "x-amz-copy-source": "/uploads/k" }
  await limited.refused("PUT", { key: "other", query: partOf(other, 1), headers: copied })
  const last = etagOf(await limited.done("PUT", { key: "other", query: partOf(other, 1), body: REST }))
  await limited.refused("POST", limited.completionOf("other", other, last), /of 1 objects? \(1 used\)/)
  assert.deepEqual(await limited.keys(), ["k"])
  await limited.agrees()
  await limited.done("DELETE", { key: "k" })
  await limited.done("POST", limited.completionOf("other", other, last))
  assert.deepEqual(await limited.keys(), ["other"])
  await limited.agrees()
})

test("noncurrent versions count until they are removed; delete markers count, and are never refused", async () => {
  const limited = await Limited.make("versions", "--bytes", "1MiB", "--objects", "2")
  const body = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
  await limited.done("PUT", { query: "versioning", body })
  const first = await limited.version("PUT", { key: "k", body: MOST })
  await limited.refused("PUT", { key: "k", body: MOST })
  await limited.version("PUT", { key: "k", body: REST })
  await limited.refused("PUT", { key: "k", body: "" }, /of 2 objects \(2 used\)/)
  const marker = await limited.version("DELETE", { key: "k" })
  const several = "<Delete><Object><Key>a</Key></Object><Object><Key>b</Key></Object></Delete>"
  const { text: deleted } = await limited.done("POST", {
    query: "delete",
    body: several,
    headers: { "Content-MD5": md5Base64(Buffer.from(several)) },
  })
  assert.equal(elements(deleted, "Deleted").length, 2, deleted)
  assert.equal(elements(deleted, "Error").length, 0, deleted)
  assert.match(await hayloft("quota", "show", "versions"), /5 of 2/)
  for (const versionId of [first, marker]) await limited.done("DELETE", { key: "k", query: `versionId=${versionId}` })
  await limited.refused("PUT", { key: "k", body: MOST }, /of 2 objects \(3 used\)/)
  await limited.agrees()
})

test("what a refusal by the quota of an account tells does not say what the account uses", async () => {
  const { accounts } = (await server.report("/v1/accounts")) as {
    accounts: readonly { id: string; displayName: string }[]
  }
  const { id } = accounts.find(({ displayName }) => displayName === "root") ?? assert.fail("no account")
  const limited = await Limited.make("owned", "--bytes", "1MiB")
  const before = await refusedSoFar("account")
  await hayloft("quota", "set", id, "--account", "--bytes", "1KiB")
  // The answer has the members of its schema, and none of the record's others.
  const shown = await server.report(`/v1/accounts/${id}`)
  assert.equal(z.strictObject(ACCOUNT.shape).safeParse(shown).error?.message, undefined)
  await limited.refused(
    "PUT",
    { key: "k", body: "1" },
    /^The account of the bucket owned would exceed its quota of 1\.0 KiB\.$/,
  )
  assert.equal(await refusedSoFar("account"), before + 1)
  await hayloft("quota", "clear", id, "--account")
  assert.match(await hayloft("quota", "show", id, "--account"), /has no quota/)
  await assert.rejects(hayloft("quota", "show", "f".repeat(64), "--account"), /the account does not exist/)
  await limited.done("PUT", { key: "k", body: "1" })
})
