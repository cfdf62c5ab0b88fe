/**
 * Inventories of a real server: the table agrees with listings, appears when it is whole, survives kills of the server, and is one
 * that `hayloft table` reads after the AWS CLI has fetched it.
 */
import assert from "node:assert/strict"
import { writeFile } from "node:fs/promises"
import { join } from "node:path"
import { test } from "node:test"
import { setTimeout as later } from "node:timers/promises"
import { must } from "../../src/base/assert.js"
import { awsEnvironment } from "../harness/aws-environment.js"
import { findProgram, run, runOk } from "../harness/commands.js"
import { dataFolders, forTestsOfFile } from "../harness/folders.js"
import { CREDENTIALS, HAYLOFT, ServerProcess } from "../harness/server.js"

const OBJECTS = 3_000
const AT_ONCE = 16
const POLL_MS = 50
const POLLS_MAX = 2_400
const REPORTS = "reports"

let server: ServerProcess
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
  assert.equal((await server.client().call("PUT", { bucket: REPORTS })).status, 200)
  await made("many", OBJECTS)
  return () => server.stop()
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
  const text = await runOk(process.execPath, [HAYLOFT, "table", "scan", file, "--json"])
  return text
    .trim()
    .split("\n")
    .filter(line => line !== "")
    .map(line => JSON.parse(line) as Row)
}

const start = (bucket: string, key: string, ...args: readonly string[]) =>
  server.hayloft(["inventory", "start", bucket, "--into", `${REPORTS}/${key}`, "--json", ...args])

const shown = async (id: string) =>
  JSON.parse((await server.hayloft(["jobs", "show", id, "--json"])).stdout) as {
    readonly state: string
    readonly counts: { readonly matched: number }
    readonly result?: string
  }

async function until(id: string, isIt: (job: Awaited<ReturnType<typeof shown>>) => boolean) {
  for (let polls = 0; polls < POLLS_MAX; polls += 1) {
    const job = await shown(id)
    if (isIt(job)) return job
    await later(POLL_MS)
  }
  throw new Error(`job ${id} did not get there:\n${JSON.stringify(await shown(id))}`)
}

const isThere = async (key: string): Promise<boolean> =>
  (await server.client().call("HEAD", { bucket: REPORTS, key })).status === 200

test("the inventory of a bucket has what its listing has", async () => {
  const { code, stderr } = await start("many", "many.table")
  assert.equal(code, 0, stderr)
  const rows = await rowsOf(await fetched("many.table"))
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
})

test("an inventory of versions has them all, also null versions and delete markers", async () => {
  const bucket = "versions"
  const client = server.client()
  await client.call("PUT", { bucket })
  for (const key of ["a", "b"]) await client.call("PUT", { bucket, key, body: "null" })
  const state = (status: string) =>
    client.call("PUT", {
      ...{ bucket, query: "versioning" },
      body: `<VersioningConfiguration><Status>${status}</Status></VersioningConfiguration>`,
    })
  assert.equal((await state("Enabled")).status, 200)
  for (const key of ["a", "b", "c"]) for (const body of ["1", "22"]) await client.call("PUT", { bucket, key, body })
  await client.call("DELETE", { bucket, key: "b" })
  // The null version of "a" becomes the latest one, before others.
  assert.equal((await state("Suspended")).status, 200)
  await client.call("PUT", { bucket, key: "a", body: "null again" })
  const { code, stderr } = await start(bucket, "versions.table", "--versions")
  assert.equal(code, 0, stderr)
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
  const moment = await start(bucket, "no.table", "--versions", "--at", "1s")
  assert.notEqual(moment.code, 0)
})

test("in a bucket with a history the inventory is of one moment", async () => {
  const bucket = "moments"
  const client = server.client()
  await client.call("PUT", { bucket })
  await client.call("PUT", {
    ...{ bucket, query: "versioning" },
    body: "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>",
  })
  const file = join(folder, "history.json")
  await writeFile(file, "{}")
  const set = await server.hayloft(["bucket", "settings", "set", bucket, "history", file])
  assert.equal(set.code, 0, set.stderr)
  for (const key of ["stays", "goes"]) await client.call("PUT", { bucket, key, body: "then" })
  const { now } = (await server.report(`/v1/buckets/${bucket}/history`)) as { readonly now: string }
  await client.call("DELETE", { bucket, key: "goes" })
  await client.call("PUT", { bucket, key: "comes", body: "later" })
  const keysAt = async (key: string, ...args: readonly string[]): Promise<readonly string[]> => {
    const { code, stderr } = await start(bucket, key, ...args)
    assert.equal(code, 0, stderr)
    return (await rowsOf(await fetched(key))).map(row => row.key)
  }
  assert.deepEqual(await keysAt("then.table", "--at", now), ["goes", "stays"])
  assert.deepEqual(await keysAt("now.table"), ["comes", "stays"])
  const stat = await runOk(process.execPath, [HAYLOFT, "table", "stat", join(folder, "then.table"), "--json"])
  const { notes } = JSON.parse(stat) as { readonly notes: Readonly<Record<string, string>> }
  assert.equal(notes["moment"], now)
  assert.equal(notes["inventory of"], bucket)
})

test("a cancelled inventory leaves no object and no upload", async () => {
  const started = await start("many", "cancelled.table", "--rate", "20", "--no-wait")
  const { id } = JSON.parse(started.stdout) as { readonly id: string }
  await until(id, ({ counts }) => counts.matched > 0)
  assert.equal((await server.hayloft(["jobs", "cancel", id])).code, 0)
  const { state } = await until(id, job => job.state === "cancelled" || job.state === "done")
  assert.equal(state, "cancelled")
  assert.equal(await isThere("cancelled.table"), false)
  const { text } = await server.client().call("GET", { bucket: REPORTS, query: "uploads" })
  assert.doesNotMatch(text, /cancelled\.table/)
})

test("a server that is killed makes the inventory from its beginning, and the object appears whole", async () => {
  const started = await start("many", "killed.table", "--rate", "300", "--no-wait")
  const { id } = JSON.parse(started.stdout) as { readonly id: string }
  for (let kills = 0; kills < 2; kills += 1) {
    await until(id, ({ counts }) => counts.matched > 0)
    await server.kill()
    await server.launch()
    assert.equal(await isThere("killed.table"), false)
  }
  const { state, result } = await until(id, job => job.state === "done" || job.state === "failed")
  assert.equal(state, "done", result)
  const rows = await rowsOf(await fetched("killed.table"))
  assert.deepEqual(new Set(rows.map(({ key }) => key)), new Set((await listed("many")).keys()))
  const { text } = await server.client().call("GET", { bucket: REPORTS, query: "uploads" })
  assert.doesNotMatch(text, /killed\.table/)
})

test("what cannot be made is refused at the start", async () => {
  for (const [bucket, into, reason] of [
    ["none", `${REPORTS}/x`, /bucket/],
    ["many", "none/x", /bucket/],
  ] as const) {
    const { code, stderr } = await server.hayloft(["inventory", "start", bucket, "--into", into])
    assert.notEqual(code, 0)
    assert.match(stderr, reason)
  }
  const { code, stderr } = await start("many", "x.table", "--at", "1h")
  assert.notEqual(code, 0)
  assert.match(stderr, /history|moment/)
})
