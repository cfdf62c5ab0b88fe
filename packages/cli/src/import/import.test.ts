/** `hayloft import` from one real store into another. */
import assert from "node:assert/strict"
import { mkdtemp, rm } from "node:fs/promises"
import { createServer, request as requestOf } from "node:http"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { after, before, test } from "node:test"
import { MIB } from "@hayloft/base/limits.js"
import { S3Client, upload, type ListedVersion, type S3Access } from "@hayloft/client/index.js"
import { StoreProcess } from "@hayloft/client/testing-store-process.js"
import { RealClock } from "@hayloft/base/seams/clock/real.js"
import { runHere } from "../testing-here.js"
import { runHayloft, type Outcome } from "../testing-process.js"

const clock = new RealClock()
const ENABLED =
  '<VersioningConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Status>Enabled</Status></VersioningConfiguration>'
const CORS =
  "<CORSConfiguration><CORSRule><AllowedMethod>GET</AllowedMethod><AllowedOrigin>https://a.example</AllowedOrigin></CORSRule></CORSConfiguration>"

interface Side {
  readonly data: string
  readonly store: StoreProcess
  readonly access: S3Access
  readonly client: S3Client
}

let folder = ""
const sides: Side[] = []

async function open(name: string): Promise<Side> {
  const data = join(folder, name)
  const store = await StoreProcess.start({ dataFolders: [data] }, clock)
  const access = await store.access()
  return { data, store, access, client: new S3Client(access, clock, new AbortController().signal) }
}

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "hayloft-import-"))
  for (const name of ["old", "new"]) sides.push(await open(name))
})

after(async () => {
  for (const { client, store } of sides) {
    client.close()
    await store.stop()
  }
  await rm(folder, { recursive: true, force: true })
})

function both(): { old: S3Client; here: S3Client; from: Side; to: Side } {
  const [from, to] = sides
  assert.ok(from && to)
  return { old: from.client, here: to.client, from, to }
}

/** `runCommand`: as a process of its own, or in this one. */
function hayloft(
  args: readonly string[],
  environment: Readonly<Record<string, string>> = {},
  runCommand: typeof runHayloft = runHere,
): Promise<Outcome> {
  const { from, to } = both()
  const source = {
    SOURCE_ACCESS_KEY_ID: from.access.accessKeyId,
    SOURCE_SECRET_ACCESS_KEY: from.access.secretAccessKey,
  }
  const variables = { HAYLOFT_DATA: to.data, ...source, ...environment }
  return runCommand(["import", ...args, "--from", from.access.endpoint], {
    workingFolder: folder,
    environment: variables,
  })
}

async function imports(args: readonly string[], runCommand?: typeof runHayloft): Promise<string> {
  const { code, out, error } = await hayloft(args, {}, runCommand)
  assert.equal(code, 0, error)
  return out.toString("utf8")
}

async function collected<T>(items: AsyncIterable<T>): Promise<readonly T[]> {
  const all: T[] = []
  for await (const item of items) all.push(item)
  return all
}

const text = (body: string): Buffer => Buffer.from(body)

async function historyOf(client: S3Client, bucket: string): Promise<readonly string[]> {
  const shown: string[] = []
  for await (const { key, isMarker, sizeBytes, etag } of client.versions(bucket, ""))
    shown.push(`${key} ${isMarker ? "marker" : `${sizeBytes} ${etag}`}`)
  return shown
}

async function versionsOf(client: S3Client, bucket: string): Promise<readonly ListedVersion[]> {
  return collected(client.versions(bucket, ""))
}

test("versions, delete markers, parts, metadata, tags and settings arrive, and a second run copies what is new", async () => {
  const { old, here } = both()
  await old.createBucket("photos")
  await old.putSetting("photos", "versioning", ENABLED)
  await old.putSetting("photos", "cors", CORS)
  const headers = [
    ["content-type", "text/x-one"],
    ["x-amz-meta-owner", "ann"],
    ["x-amz-tagging", "a=1&b=x%20y"],
  ] as const
  for (const body of ["one", "two", "three"]) await old.put({ bucket: "photos", key: "a", body: text(body), headers })
  await old.put({ bucket: "photos", key: "gone/ä?#%2F", body: text("gone") })
  await old.remove("photos", "gone/ä?#%2F")
  const large = Buffer.alloc(13 * MIB, "0123456789abcdef")
  async function* chunks() {
    yield large
  }
  await upload(old, {
    bucket: "photos",
    key: "large",
    sizeBytes: large.length,
    source: chunks(),
    partBytes: 5 * MIB,
    onProgress: () => undefined,
  })

  assert.match(await imports(["photos", "--dry-run"]), /would import 3 keys/)
  await assert.rejects(here.headBucket("photos"), "a dry run changes nothing")
  const printed = await imports(["photos"], runHayloft)
  assert.match(printed, /photos: cors is set/)
  assert.match(printed, /3 keys imported, 6 versions .*, 0 unchanged/)
  assert.deepEqual(await historyOf(here, "photos"), await historyOf(old, "photos"))
  assert.ok((await historyOf(here, "photos")).some(line => /^large 13631488 [0-9a-f]{32}-3$/.test(line)))
  const first = (await versionsOf(here, "photos")).findLast(({ key }) => key === "a")
  const { head, body } = await here.get("photos", "a", { versionId: first?.versionId })
  assert.equal(Buffer.concat(await collected(body)).toString(), "one")
  assert.equal(head.contentType, "text/x-one")
  assert.deepEqual(
    head.attributes.find(([name]) => name === "x-amz-meta-owner"),
    ["x-amz-meta-owner", "ann"],
  )
  assert.deepEqual(await here.getTags("photos", "a", first?.versionId), [
    ["a", "1"],
    ["b", "x y"],
  ])
  assert.match(await here.getSetting("photos", "cors"), /https:\/\/a\.example/)

  await old.put({ bucket: "photos", key: "a", body: text("four") })
  assert.match(await imports(["photos"]), /1 key imported, 1 version .*, 2 unchanged/)
  assert.deepEqual(await historyOf(here, "photos"), await historyOf(old, "photos"))
})

test("a key that has a history of its own here is named and stays, and the others are imported", async () => {
  const { old, here } = both()
  for (const client of [old, here]) {
    await client.createBucket("own")
    await client.putSetting("own", "versioning", ENABLED)
  }
  for (const key of ["same-size", "longer", "new"]) await old.put({ bucket: "own", key, body: text("source") })
  await here.put({ bucket: "own", key: "same-size", body: text("target") })
  await here.put({ bucket: "own", key: "longer", body: text("another length") })
  const { code, error, out } = await hayloft(["own"])
  assert.equal(code, 1, error)
  assert.match(
    error,
    /own\/same-size: not touched, since the target has a history of its own: version 1 has other bytes/,
  )
  assert.match(error, /own\/longer: not touched/)
  assert.match(out.toString(), /1 key imported/)
  assert.deepEqual(
    (await versionsOf(here, "own")).map(({ key }) => key),
    ["longer", "new", "same-size"],
  )
})

/** Runs with an endpoint that forwards to a store, and breaks off instead of the first answer to each write of a key. */
async function withLostAnswers<T>(store: string, work: (endpoint: string) => Promise<T>): Promise<T> {
  const seen = new Set<string>()
  const server = createServer((request, response) => {
    const { method = "", url = "", headers } = request
    const forwarded = requestOf(store + url, { method, headers }, answer => {
      const what = `${method} ${url}`
      const isLost =
        /^(PUT|POST|DELETE) \/[^/]+\/./.test(what) && answer.statusCode === (method === "DELETE" ? 204 : 200)
      if (isLost && !seen.has(what)) {
        seen.add(what)
        answer.resume().on("end", () => request.socket.destroy())
      } else {
        response.writeHead(answer.statusCode ?? 0, answer.rawHeaders)
        answer.pipe(response)
      }
    })
    request.pipe(forwarded)
  })
  await new Promise<void>(resolve => server.listen(0, "127.0.0.1", resolve))
  const address = server.address()
  try {
    return await work(`http://127.0.0.1:${typeof address === "object" && address !== null ? address.port : 0}`)
  } finally {
    server.closeAllConnections()
    await new Promise(resolve => server.close(resolve))
  }
}

test("a version whose answer is lost is not written twice", async () => {
  const { old, here, from, to } = both()
  await old.createBucket("unsure")
  await old.putSetting("unsure", "versioning", ENABLED)
  for (const key of ["a", "b"]) {
    for (const body of ["one", "two", "two"]) await old.put({ bucket: "unsure", key, body: text(body) })
    await old.remove("unsure", key)
    await old.remove("unsure", key)
    await old.put({ bucket: "unsure", key, body: text("last") })
  }
  async function* chunks() {
    yield Buffer.alloc(6 * MIB, "large")
  }
  const [bucket, key, sizeBytes] = ["unsure", "large", 6 * MIB]
  await upload(old, { bucket, key, sizeBytes, source: chunks(), partBytes: 5 * MIB, onProgress: () => undefined })
  const { code, error } = await withLostAnswers(to.access.endpoint, endpoint =>
    hayloft(["unsure"], {
      AWS_ENDPOINT_URL: endpoint,
      AWS_ACCESS_KEY_ID: to.access.accessKeyId,
      AWS_SECRET_ACCESS_KEY: to.access.secretAccessKey,
      AWS_REGION: from.access.region,
    }),
  )
  assert.equal(code, 0, error)
  assert.deepEqual(await historyOf(here, "unsure"), await historyOf(old, "unsure"))
})

test("without versions the latest objects are copied, into another name, and again only if they are newer", async () => {
  const { old, here } = both()
  await old.createBucket("plain")
  for (const key of ["a", "b/c"]) await old.put({ bucket: "plain", key, body: text(key) })
  assert.match(await imports(["plain", "--into", "renamed", "--prefix", "b/"]), /1 key imported/)
  assert.match(await imports(["plain", "--into", "renamed"]), /1 key imported, 1 version .*, 1 unchanged/)
  const keys = await collected(here.keys("renamed", ""))
  assert.deepEqual(
    keys.map(({ key }) => key),
    ["a", "b/c"],
  )
})

test("object lock, with its retention, is taken over", async () => {
  const { old, here } = both()
  await old.createBucket("locked", { hasLock: true })
  const until = new Date(clock.wallMs() + 86_400_000).toISOString()
  const headers = [
    ["x-amz-object-lock-mode", "GOVERNANCE"],
    ["x-amz-object-lock-retain-until-date", until],
    ["x-amz-object-lock-legal-hold", "ON"],
  ] as const
  await old.put({ bucket: "locked", key: "a", body: text("a"), headers })
  await imports(["locked"])
  const { locks } = await here.head("locked", "a")
  assert.deepEqual(Object.fromEntries(locks)["x-amz-object-lock-mode"], "GOVERNANCE")
  assert.deepEqual(Object.fromEntries(locks)["x-amz-object-lock-legal-hold"], "ON")
  const [version] = await versionsOf(here, "locked")
  assert.ok(version)
  for (const option of ["--latest-only", "--no-settings"]) {
    const into = `without${option.slice(1)}`
    await imports(["locked", "--into", into, option])
    const kept = Object.fromEntries((await here.head(into, "a")).locks)
    assert.equal(kept["x-amz-object-lock-retain-until-date"], until, option)
    assert.equal(kept["x-amz-object-lock-legal-hold"], "ON", option)
    assert.match(await imports(["locked", "--into", into, option]), /1 unchanged/)
  }
  // A bucket that is there and has no lock cannot keep it.
  await here.createBucket("open")
  const { code, error } = await hayloft(["locked", "--into", "open", "--latest-only"])
  assert.notEqual(code, 0)
  assert.match(error.toString(), /s3:\/\/locked\/a: .*ObjectLockConfiguration/)
})

test("all buckets are imported if none is named, and mistakes are told", async () => {
  const { old, here } = both()
  await old.createBucket("another")
  const { code, out } = await hayloft(["--latest-only", "--prefix", "none/", "--no-settings"])
  assert.equal(code, 0)
  assert.match(out.toString(), /0 keys imported/)
  await here.headBucket("another")
  for (const [args, environment, expected] of [
    [["nowhere"], {}, /nowhere/],
    [["a", "b", "--into", "c"], {}, /--into gives one bucket another name/],
    [["a"], { SOURCE_ACCESS_KEY_ID: "" }, /set SOURCE_ACCESS_KEY_ID and SOURCE_SECRET_ACCESS_KEY/],
    [["photos"], { SOURCE_SECRET_ACCESS_KEY: "wrong-secret" }, /^hayloft: s3:\/\/photos\/: access denied/m],
  ] as const) {
    const outcome = await hayloft(args, environment)
    assert.notEqual(outcome.code, 0)
    assert.match(outcome.error, expected)
  }
})
