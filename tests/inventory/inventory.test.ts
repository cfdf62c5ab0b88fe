/**
 * Inventories of a real server: the table agrees with listings, appears when it is whole, survives kills of the server, and is one
 * that `hayloft table` reads after the AWS CLI has fetched it.
 */
import assert from "node:assert/strict"
import { writeFile } from "node:fs/promises"
import { join } from "node:path"
import { test } from "node:test"
import { until } from "@hayloft/base/seams/clock/testing-until.js"
import { STARTED_JOB } from "@hayloft/features/operator/index.js"
import { must } from "@hayloft/base/assert.js"
import type { AdminClient } from "@hayloft/client/index.js"
import { openTable } from "@hayloft/engine/table-files/library.js"
import { adminOf, setSetting } from "../harness/admin-client.js"
import { awsEnvironment } from "../harness/aws-environment.js"
import { findProgram, run, runOk } from "../harness/commands.js"
import { dataFolders, forTestsOfFile } from "../harness/folders.js"
import { CREDENTIALS, HAYLOFT, ServerProcess } from "../harness/server.js"

/** More than one page of a listing. */
const OBJECTS = 1_050
/** A job waits for some seconds behind a first page of 1,000 rows. */
const SLOW = 125
const AT_ONCE = 16
const LOOK_MS = 250
const REPORTS = "reports"

let server: ServerProcess
let admin: AdminClient
let folder: string

interface Listed {
  readonly size: number
  readonly etag: string
}

async function made(bucket: string, count: number): Promise<void> {
  const client = server.client()
  assert.equal((await client.call("PUT", { bucket })).status, 200)
  const keys = Array.from({ length: count }, (_, i) => `p${i % 7}/${(i * 7919) % count} ü`)
  const put = async (lane: number): Promise<void> => {
    for (let i = lane; i < count; i += AT_ONCE) {
      const { status } = await client.call("PUT", { bucket, key: must(keys[i], "it is there"), body: `body ${i}` })
      assert.equal(status, 200)
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, (_, lane) => put(lane)))
}

forTestsOfFile(async of => {
  folder = of
  server = await ServerProcess.start({ folders: dataFolders(of, 1), args: ["--redundancy", "replica:1"] })
  admin = await adminOf(server)
  assert.equal((await server.client().call("PUT", { bucket: REPORTS })).status, 200)
  await made("many", OBJECTS)
  return async () => {
    admin.close()
    await server.kill()
  }
})

const textOf = (xml: string): string => xml.replaceAll("&quot;", '"').replaceAll("&amp;", "&")

/** All pages of ListObjectsV2. */
async function listed(bucket: string): Promise<Map<string, Listed>> {
  const found = new Map<string, Listed>()
  for (let token: string | undefined = ""; token !== undefined;) {
    const more = token === "" ? "" : `&continuation-token=${encodeURIComponent(token)}`
    const { text } = await server.client().call("GET", { bucket, query: `list-type=2${more}` })
    for (const [, key = "", etag = "", size = ""] of text.matchAll(
      /<Key>(.*?)<\/Key>.*?<ETag>(.*?)<\/ETag>.*?<Size>(\d+)<\/Size>/gs,
    ))
      found.set(textOf(key), { etag: textOf(etag).replaceAll('"', ""), size: Number(size) })
    token = /<NextContinuationToken>(.*?)<\/NextContinuationToken>/.exec(text)?.[1]
  }
  return found
}

async function fetched(key: string): Promise<string> {
  const file = join(folder, key)
  const { status, body } = await server.client().call("GET", { bucket: REPORTS, key })
  assert.equal(status, 200)
  await writeFile(file, body)
  return file
}

interface Row {
  readonly key: string
  readonly value: Readonly<Record<string, unknown>>
}

async function rowsOf(file: string): Promise<readonly Row[]> {
  const table = await openTable(file, { check: "whole" })
  try {
    return Array.from(table.scan(), ({ key, value }) => ({
      key: key.toString(),
      value: JSON.parse(value.toString()) as Row["value"],
    }))
  } finally {
    await table.close()
  }
}

type Options = Readonly<Record<string, unknown>>

const start = async (bucket: string, toKey: string, options: Options = {}, toBucket = REPORTS) =>
  STARTED_JOB.parse(await admin.post(`/v1/buckets/${bucket}/inventory`, { toBucket, toKey, ...options }))

async function jobUntil(id: string, isIt: (job: Awaited<ReturnType<typeof start>>) => boolean) {
  const jobOf = async () => STARTED_JOB.parse(await server.report(`/v1/jobs/${id}`))
  let job = await jobOf()
  const isSeen = async (): Promise<boolean> => isIt((job = await jobOf()))
  await until(() => `the job is as awaited: ${JSON.stringify(job)}`, isSeen, LOOK_MS)
  return job
}

const untilEnded = (id: string) => jobUntil(id, ({ endedMs }) => endedMs !== undefined)

/** The job that the command line starts and, by default, waits for. */
async function commanded(bucket: string, key: string, ...args: readonly string[]) {
  const command = ["inventory", "start", bucket, "--into", `${REPORTS}/${key}`, "--json", ...args]
  const { code, stdout, stderr } = await server.hayloft(command)
  assert.equal(code, 0, stderr)
  return STARTED_JOB.parse(JSON.parse(stdout))
}

/** The rows of an inventory that is made now. */
async function inventoryOf(bucket: string, key: string, options: Options = {}): Promise<readonly Row[]> {
  const { state, result } = await untilEnded((await start(bucket, key, options)).id)
  assert.equal(state, "done", result)
  return rowsOf(await fetched(key))
}

const hasCounted = ({ counts }: { readonly counts?: { readonly matched: number } | undefined }): boolean =>
  (counts?.matched ?? 0) > 0

const isThere = async (key: string): Promise<boolean> =>
  (await server.client().call("HEAD", { bucket: REPORTS, key })).status === 200

test("the inventory of a bucket has what its listing has", async () => {
  const rows = await inventoryOf("many", "many.table")
  const expected = await listed("many")
  assert.equal(expected.size, OBJECTS)
  assert.deepEqual(new Map(rows.map(({ key, value }) => [key, { etag: value["etag"], size: value["size"] }])), expected)
  assert.ok(
    rows.every(({ value }) => value["storageClass"] === "STANDARD" && typeof value["lastModified"] === "string"),
  )
})

const skip = findProgram("aws") === undefined && "aws is not installed"
test("the AWS CLI fetches an inventory, and table get and verify read it", { skip }, async () => {
  const file = join(folder, "fetched.table")
  await runOk("aws", ["--endpoint-url", server.endpoint, "s3", "cp", `s3://${REPORTS}/many.table`, file], {
    env: awsEnvironment({ endpoint: server.endpoint, home: folder, credentials: CREDENTIALS }),
  })
  await runOk(process.execPath, [HAYLOFT, "table", "verify", file])
  const found = JSON.parse(await runOk(process.execPath, [HAYLOFT, "table", "get", file, "p0/0 ü"])) as { size: number }
  assert.equal(found.size, "body 0".length)
  const missing = await run(process.execPath, [HAYLOFT, "table", "get", file, "p9/none"])
  assert.equal(missing.code, 1)
  const scan = await runOk(process.execPath, [HAYLOFT, "table", "scan", file, "--json"])
  assert.equal(scan.trim().split("\n").length, OBJECTS)
})

test("an inventory of versions has them all, also null versions and delete markers", async () => {
  const bucket = "versions"
  const client = server.client()
  await client.call("PUT", { bucket })
  for (const key of ["a", "b"]) await client.call("PUT", { bucket, key, body: "null" })
  const state = (status: string) =>
    client.call("PUT", {
      bucket,
      query: "versioning",
      body: `<VersioningConfiguration><Status>${status}</Status></VersioningConfiguration>`,
    })
  assert.equal((await state("Enabled")).status, 200)
  for (const key of ["a", "b", "c"]) for (const body of ["1", "22"]) await client.call("PUT", { bucket, key, body })
  await client.call("DELETE", { bucket, key: "b" })
  // The null version of "a" becomes the latest one, before others.
  assert.equal((await state("Suspended")).status, 200)
  await client.call("PUT", { bucket, key: "a", body: "null again" })
  await commanded(bucket, "versions.table", "--versions")
  const rows = await rowsOf(await fetched("versions.table"))
  const { text } = await client.call("GET", { bucket, query: "versions" })
  const ids = [...text.matchAll(/<VersionId>(.*?)<\/VersionId>/g)].map(([, id]) => id)
  assert.equal(ids.length, 9)
  assert.deepEqual(rows.map(({ value }) => value["versionId"]).sort(), [...ids].sort())
  assert.equal(rows.filter(({ value }) => value["deleteMarker"] === true).length, 1)
  const latest = rows.filter(({ value }) => value["isLatest"] === true)
  assert.deepEqual(
    latest.map(({ value }) => [value["key"], value["versionId"] === "null"]),
    [
      ["a", true],
      ["b", false],
      ["c", false],
    ],
  )
  const at = new Date().toISOString()
  await assert.rejects(start(bucket, "no.table", { versions: true, at }), /an inventory of versions has no moment/)
})

test("in a bucket with a history the inventory is of one moment", async () => {
  const bucket = "moments"
  const client = server.client()
  await client.call("PUT", { bucket })
  await client.call("PUT", {
    bucket,
    query: "versioning",
    body: "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>",
  })
  await setSetting(server, bucket, "history")
  for (const key of ["stays", "goes"]) await client.call("PUT", { bucket, key, body: "then" })
  const { now } = (await server.report(`/v1/buckets/${bucket}/history`)) as { readonly now: string }
  await client.call("DELETE", { bucket, key: "goes" })
  await client.call("PUT", { bucket, key: "comes", body: "later" })
  const keys = (rows: readonly Row[]) => rows.map(row => row.key)
  await commanded(bucket, "then.table", "--at", now)
  assert.deepEqual(keys(await rowsOf(await fetched("then.table"))), ["goes", "stays"])
  assert.deepEqual(keys(await inventoryOf(bucket, "now.table")), ["comes", "stays"])
  const table = await openTable(join(folder, "then.table"))
  const { notes } = table.stat()
  await table.close()
  assert.equal(notes["moment"], now)
  assert.equal(notes["inventory of"], bucket)
})

test("a cancelled inventory leaves no object and no upload", async () => {
  const { id } = await start("many", "cancelled.table", { itemsPerSecond: SLOW })
  await jobUntil(id, hasCounted)
  await admin.post(`/v1/jobs/${id}/cancel`, {})
  assert.equal((await untilEnded(id)).state, "cancelled")
  assert.equal(await isThere("cancelled.table"), false)
  const { text } = await server.client().call("GET", { bucket: REPORTS, query: "uploads" })
  assert.doesNotMatch(text, /cancelled\.table/)
})

test("an inventory whose bucket is gone leaves no object and no upload either", async () => {
  const [bucket, key] = ["removed", "removed.table"]
  await made(bucket, SLOW)
  const { id } = await start(bucket, key, { itemsPerSecond: 1 })
  await jobUntil(id, hasCounted)
  for (const each of (await listed(bucket)).keys()) await server.client().call("DELETE", { bucket, key: each })
  assert.equal((await server.client().call("DELETE", { bucket })).status, 204)
  await admin.post(`/v1/jobs/${id}/cancel`, {})
  const { state, result } = await untilEnded(id)
  assert.equal(state, "cancelled", result)
  const { text } = await server.client().call("GET", { bucket: REPORTS, query: "uploads" })
  assert.doesNotMatch(text, /removed\.table/)
})

// A second kill could come when the next process has begun an upload that the job's row does not name yet: it would stay.
test("a server that is killed makes the inventory from its beginning, and the object appears whole", async () => {
  const { id } = await commanded("many", "killed.table", "--rate", String(SLOW), "--no-wait")
  await jobUntil(id, hasCounted)
  await server.kill()
  await server.launch()
  assert.equal(await isThere("killed.table"), false)
  const { state, result } = await untilEnded(id)
  assert.equal(state, "done", result)
  const rows = await rowsOf(await fetched("killed.table"))
  assert.deepEqual(new Set(rows.map(({ key }) => key)), new Set((await listed("many")).keys()))
  const { text } = await server.client().call("GET", { bucket: REPORTS, query: "uploads" })
  assert.doesNotMatch(text, /killed\.table/)
})

test("what cannot be made is refused at the start", async () => {
  await assert.rejects(start("none", "x"), /bucket/)
  await assert.rejects(start("many", "x", {}, "none"), /bucket/)
  await assert.rejects(start("many", "x.table", { at: new Date().toISOString() }), /history|moment/)
})
