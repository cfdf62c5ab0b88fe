/**
 * Remote buckets of a real server, in front of another real server: reads that come from here after the first time, writes that the
 * other one has before the answer or soon after, listings of both, and what happens while the remote is away or does not tell the
 * truth.
 */
import assert from "node:assert/strict"
import { randomBytes } from "node:crypto"
import { test } from "node:test"
import { forTestsOfFile } from "../harness/folders.js"
import { until } from "@hayloft/base/seams/clock/testing-until.js"
import { md5Of, RemoteWorld, type Misbehaviour } from "./worlds.js"

const MIB = 1024 * 1024

let world: RemoteWorld

forTestsOfFile(async folder => {
  world = await RemoteWorld.start(folder)
  return () => world.stop()
})

const putFar = (key: string, body: string | Uint8Array, headers: Record<string, string> = {}) =>
  world.at("far", "PUT", { bucket: "data", key, body, headers })
const near = (method: string, bucket: string, key: string, headers: Record<string, string> = {}, status?: number) =>
  world.at("near", method, { bucket, key, headers }, status)
const getFar = (key: string, status?: number) => world.at("far", "GET", { bucket: "data", key }, status)

/** While `work` runs, the proxy misbehaves. */
async function during<T>(misbehave: Misbehaviour, work: () => Promise<T>): Promise<T> {
  world.proxy.misbehave = misbehave
  try {
    return await work()
  } finally {
    world.proxy.misbehave = () => undefined
  }
}

test("a cold object is fetched once, with its headers; a warm one without the remote", async () => {
  await world.remote("reads")
  await putFar("reads/a b+é.txt", "hello", {
    "content-type": "text/x-test",
    "x-amz-meta-who": "me",
    "cache-control": "max-age=9",
  })
  const far = await getFar("reads/a b+é.txt")
  world.proxy.taken()
  const cold = await near("GET", "reads", "reads/a b+é.txt")
  assert.equal(cold.body.toString(), "hello")
  assert.equal(cold.header("x-hayloft-remote"), "miss")
  assert.equal(world.proxy.taken().length, 1, "one request for a small object")
  for (const name of ["etag", "last-modified", "content-type", "x-amz-meta-who", "cache-control"])
    assert.equal(cold.header(name), far.header(name), name)
  assert.equal(cold.header("x-amz-version-id"), undefined)
  const warm = await near("GET", "reads", "reads/a b+é.txt")
  assert.equal(warm.header("x-hayloft-remote"), "hit")
  const head = await near("HEAD", "reads", "reads/a b+é.txt")
  assert.equal(head.header("content-length"), "5")
  await near("GET", "reads", "reads/a b+é.txt", { "if-none-match": cold.header("etag") ?? "" }, 304)
  await near("GET", "reads", "reads/a b+é.txt", { "if-match": '"other"' }, 412)
  assert.deepEqual(world.proxy.taken(), [])
  await near("GET", "reads", "reads/none", {}, 404)
})

test("ranges of a large object fetch the blocks that they need, and no more", async () => {
  await world.remote("ranges")
  const bytes = randomBytes(16 * MIB + 17)
  await putFar("large", bytes)
  world.proxy.taken()
  const tail = await near("GET", "ranges", "large", { range: "bytes=-10" }, 206)
  assert.deepEqual(tail.body, bytes.subarray(-10))
  assert.equal(tail.header("content-range"), `bytes ${bytes.length - 10}-${bytes.length - 1}/${bytes.length}`)
  assert.equal(world.proxy.taken().length, 2, "the headers, and the last block")
  const middle = await near("GET", "ranges", "large", { range: `bytes=${8 * MIB - 5}-${8 * MIB + 4}` }, 206)
  assert.deepEqual(middle.body, bytes.subarray(8 * MIB - 5, 8 * MIB + 5))
  await near("GET", "ranges", "large", { range: `bytes=${bytes.length}-` }, 416)
  const whole = await near("GET", "ranges", "large")
  assert.ok(whole.body.equals(bytes))
  world.proxy.taken()
  assert.ok((await near("GET", "ranges", "large")).body.equals(bytes))
  assert.deepEqual(world.proxy.taken(), [])
  await putFar("empty", "")
  assert.equal((await near("GET", "ranges", "empty")).body.length, 0)
  assert.equal((await near("GET", "ranges", "empty")).header("x-hayloft-remote"), "hit")
})

test("a rule, or the reader, wants cached objects compared with the remote's", async () => {
  await world.remote("never")
  await world.remote("always", { freshness: "<Check>Always</Check>" })
  await world.remote("stale", { freshness: "<Check>Always</Check>", more: "<ServeStale>true</ServeStale>" })
  await putFar("news", "one")
  for (const bucket of ["never", "always", "stale"]) await near("GET", bucket, "news")
  assert.equal((await near("GET", "always", "news")).header("x-hayloft-remote"), "revalidated")
  await putFar("news", "two, longer")
  assert.equal((await near("GET", "never", "news")).body.toString(), "one")
  assert.equal((await near("GET", "always", "news")).body.toString(), "two, longer")
  assert.equal((await near("GET", "stale", "news")).body.toString(), "two, longer")
  const asked = await near("GET", "never", "news", { "cache-control": "no-cache" })
  assert.equal(asked.body.toString(), "two, longer")
  const port = await world.proxy.pause()
  try {
    assert.equal((await near("GET", "never", "news")).body.toString(), "two, longer")
    const stale = await near("GET", "stale", "news")
    assert.deepEqual([stale.body.toString(), stale.header("x-hayloft-remote")], ["two, longer", "stale"])
    const refused = await near("GET", "always", "news", {}, 503)
    assert.match(refused.body.toString(), /ServiceUnavailable/)
    await near("GET", "never", "other", {}, 503)
  } finally {
    await world.proxy.resume(port)
  }
  await world.at("far", "DELETE", { bucket: "data", key: "news" })
  await near("GET", "always", "news", {}, 404)
  assert.equal((await near("GET", "never", "news")).status, 200, "never means never")
})

test("bytes that are not those of the object are not cached, nor are they taken for it", async () => {
  await world.remote("lies")
  await world.remote("opaque", { more: "<OpaqueETags>true</OpaqueETags>" })
  const etag = '"00000000000000000000000000000000"'
  await putFar("etag", "some bytes")
  await during(
    () => ({ headers: { etag } }),
    async () => {
      const refused = await near("GET", "lies", "etag", {}, 502)
      assert.match(refused.body.toString(), /RemoteRefused.*OpaqueETags/s)
      const taken = await near("GET", "opaque", "etag")
      assert.deepEqual([taken.body.toString(), taken.header("etag")], ["some bytes", etag])
    },
  )
  await near("GET", "lies", "etag", { "cache-control": "no-cache" })
  const bytes = randomBytes(9 * MIB)
  await putFar("cut", bytes)
  await during(
    request => (request.method === "GET" ? { cutAfterBytes: 5000 } : undefined),
    () => near("GET", "lies", "cut", {}, 503),
  )
  assert.ok((await near("GET", "lies", "cut")).body.equals(bytes))
  await putFar("ignores", bytes)
  await during(
    request => {
      delete request.headers.range
      request.rawHeaders = request.rawHeaders.flatMap((text, i, all) =>
        i % 2 === 0 ? (text.toLowerCase() === "range" ? [] : [text, all[i + 1] ?? ""]) : [],
      )
      return undefined
    },
    async () => assert.match((await near("GET", "lies", "ignores", {}, 502)).body.toString(), /ranges|refuses/),
  )
})

test("a remote that does not answer holds up only what needs it, and many cold readers of an object ask once", async () => {
  await world.remote("slow", { prefix: "s/" })
  for (const key of ["warm", "cold"]) await putFar(`s/${key}`, key)
  await near("GET", "slow", "warm")
  world.proxy.taken()
  const held: (() => void)[] = []
  let open = false
  await during(
    (request, response) => {
      if (open) return undefined
      held.push(() => void world.proxy.pass(request, response))
      return "handled"
    },
    async () => {
      const cold = Array.from({ length: 20 }, () => near("GET", "slow", "cold"))
      const waiting = async (): Promise<number> =>
        Number(/^hayloft_http_in_flight\{server="s3"\} (\d+)/m.exec(await world.near.metrics())?.[1])
      await until("one is held, and all others wait for it", async () => held.length > 0 && (await waiting()) === 20)
      assert.equal((await near("GET", "slow", "warm")).body.toString(), "warm")
      open = true
      held.forEach(pass => pass())
      for (const { body } of await Promise.all(cold)) assert.equal(body.toString(), "cold")
      assert.equal(world.proxy.taken().length, 1)
    },
  )
})

test("write-through: the remote has it before the answer, and what it refuses leaves nothing", async () => {
  await world.remote("through", { prefix: "t/" })
  const put = await world.at("near", "PUT", {
    bucket: "through",
    key: "k",
    body: "new",
    headers: { "x-amz-meta-a": "b" },
  })
  const far = await getFar("t/k")
  assert.deepEqual([far.body.toString(), far.header("x-amz-meta-a")], ["new", "b"])
  assert.equal(put.header("etag"), far.header("etag"))
  assert.equal(put.header("x-amz-version-id"), undefined)
  world.proxy.taken()
  assert.equal((await near("GET", "through", "k")).header("x-hayloft-remote"), "hit")
  assert.deepEqual(world.proxy.taken(), [])
  await world.at("near", "PUT", { bucket: "through", key: "k", body: "x", headers: { "if-none-match": "*" } }, 412)
  await world.at("near", "PUT", { bucket: "through", key: "k", body: "x", headers: { "if-match": '"no"' } }, 412)
  await world.at("near", "PUT", {
    bucket: "through",
    key: "k",
    body: "newer",
    headers: { "if-match": put.header("etag") ?? "" },
  })
  assert.equal((await getFar("t/k")).body.toString(), "newer")
  const port = await world.proxy.pause()
  try {
    await world.at("near", "PUT", { bucket: "through", key: "k", body: "lost" }, 503)
    await world.at("near", "DELETE", { bucket: "through", key: "k" }, 503)
  } finally {
    await world.proxy.resume(port)
  }
  assert.equal((await near("GET", "through", "k")).body.toString(), "newer")
  assert.deepEqual((await world.near.usage("through")).versions, 0, "nothing is left of it here")
  await near("DELETE", "through", "k", {}, 204)
  await getFar("t/k", 404)
  await near("GET", "through", "k", {}, 404)
})

test("write-back: reads and listings have it at once, the remote soon, also after a kill while the remote is away", async () => {
  await world.remote("back", { writes: "Back", prefix: "b/" })
  for (const key of ["d/1", "d/2", "old"]) await putFar(`b/${key}`, `far ${key}`)
  await near("GET", "back", "old")
  const port = await world.proxy.pause()
  try {
    await world.at("near", "PUT", { bucket: "back", key: "old", body: "overwritten" })
    await world.at("near", "PUT", { bucket: "back", key: "new", body: "first" })
    await world.at("near", "PUT", { bucket: "back", key: "new", body: "second" })
    await near("DELETE", "back", "d/1", {}, 204)
    await near("GET", "back", "d/1", {}, 404)
    const read = await near("GET", "back", "new")
    assert.deepEqual([read.body.toString(), read.header("x-hayloft-remote")], ["second", "pending"])
    assert.equal((await near("GET", "back", "old")).body.toString(), "overwritten")
    await world.at("near", "PUT", { bucket: "back", key: "c", body: "x", headers: { "if-none-match": "*" } }, 501)
    await world.near.kill()
    await world.near.launch()
    assert.equal((await near("GET", "back", "new")).body.toString(), "second")
  } finally {
    await world.proxy.resume(port)
  }
  await until("all are there", async () => (await world.near.usage("back")).versions === 0)
  assert.equal((await getFar("b/new")).body.toString(), "second")
  assert.equal((await getFar("b/old")).body.toString(), "overwritten")
  await getFar("b/d/1", 404)
  assert.equal((await near("GET", "back", "new")).body.toString(), "second")
})

const listing = async (bucket: string, query: string, headers: Record<string, string> = {}) => {
  const { body } = await world.at("near", "GET", { bucket, query: `list-type=2${query}`, headers })
  const keys = [...body.toString().matchAll(/<(Key|Prefix)>([^<]+)<\/\1>/g)].map(([, , text]) => text)
  const marks = [...body.toString().matchAll(/<RemoteStatus>([^<]+)</g)].map(([, text]) => text)
  return { keys, marks, text: body.toString() }
}

test("a listing has the remote's objects and pending writes, marked if asked, page by page", async () => {
  await world.remote("lists", { writes: "Back", prefix: "l/" })
  for (const key of ["a", "b/1", "b/2", "c", "e"]) await putFar(`l/${key}`, "far")
  await near("GET", "lists", "a")
  const port = await world.proxy.pause()
  await world.at("near", "PUT", { bucket: "lists", key: "d", body: "here" })
  for (const key of ["b/1", "b/2", "c"]) await near("DELETE", "lists", key, {}, 204)
  await world.at("near", "PUT", { bucket: "lists", key: "f/x", body: "here" })
  // Only these requests pass: nothing is sent meanwhile.
  world.proxy.misbehave = (request, response) => {
    if (request.method === "GET") return undefined
    response.writeHead(503).end()
    return "handled"
  }
  await world.proxy.resume(port)
  try {
    const marked = await listing("lists", "", { "x-amz-optional-object-attributes": "RemoteStatus" })
    assert.deepEqual(marked.keys, ["a", "d", "e", "f/x"])
    assert.deepEqual(marked.marks, ["cached", "pending", "remote", "pending"])
    assert.deepEqual((await listing("lists", "&delimiter=/")).keys, ["a", "d", "e", "f/"])
    const paged: string[] = []
    for (let token = ""; ;) {
      const page = await listing(
        "lists",
        `&max-keys=1${token === "" ? "" : `&continuation-token=${encodeURIComponent(token)}`}`,
      )
      paged.push(...page.keys.map(String))
      token = /<NextContinuationToken>([^<]+)</.exec(page.text)?.[1] ?? ""
      if (token === "") break
    }
    assert.deepEqual(paged, ["a", "d", "e", "f/x"])
  } finally {
    world.proxy.misbehave = () => undefined
  }
})

test("multipart uploads keep their parts, and copies in and out read and write the remote", async () => {
  await world.remote("parts", { prefix: "p/" })
  const parts = [randomBytes(5 * MIB), randomBytes(100)]
  const begun = await world.at("near", "POST", { bucket: "parts", key: "big", query: "uploads" })
  const id = /<UploadId>([^<]+)</.exec(begun.body.toString())?.[1] ?? ""
  let document = ""
  for (const [i, body] of parts.entries()) {
    const query = `partNumber=${i + 1}&uploadId=${id}`
    const { header } = await world.at("near", "PUT", { bucket: "parts", key: "big", query, body })
    document += `<Part><PartNumber>${i + 1}</PartNumber><ETag>${header("etag") ?? ""}</ETag></Part>`
  }
  const body = `<CompleteMultipartUpload>${document}</CompleteMultipartUpload>`
  const done = await world.at("near", "POST", { bucket: "parts", key: "big", query: `uploadId=${id}`, body })
  const far = await getFar("p/big")
  assert.ok(far.body.equals(Buffer.concat(parts)))
  const etag = /<ETag>([^<]+)</.exec(done.body.toString())?.[1]?.replaceAll("&quot;", '"')
  assert.equal(far.header("etag"), etag)
  assert.match(etag ?? "", /-2"$/)
  await world.at("near", "PUT", { bucket: "kept" })
  await world.at("near", "PUT", { bucket: "kept", key: "out", headers: { "x-amz-copy-source": "/parts/big" } })
  assert.ok((await near("GET", "kept", "out")).body.equals(Buffer.concat(parts)))
  await world.at("near", "PUT", { bucket: "parts", key: "in", headers: { "x-amz-copy-source": "/kept/out" } })
  assert.ok((await getFar("p/in")).body.equals(Buffer.concat(parts)))
})

test("what a remote bucket does not have is refused by name, and a bucket with something in it stays what it is", async () => {
  await world.remote("refuses")
  const refused: readonly [string, Record<string, unknown>, RegExp][] = [
    ["GET", { key: "k", query: "versionId=null" }, /versions/],
    ["GET", { query: "versions" }, /ListObjectVersions/],
    ["PUT", { key: "k", body: "x", headers: { "x-amz-tagging": "a=b" } }, /x-amz-tagging/],
    ["PUT", { key: "k", body: "x", headers: { "x-amz-server-side-encryption": "AES256" } }, /server-side-encryption/],
    ["GET", { key: "k", query: "tagging" }, /GetObjectTagging/],
    ["PUT", { query: "versioning", body: "<VersioningConfiguration/>" }, /PutBucketVersioning/],
    ["PUT", { key: "k", query: "renameObject", headers: { "x-amz-rename-source": "a" } }, /RenameObject/],
  ]
  for (const [method, call, reason] of refused) {
    const answer = await world.at("near", method, { bucket: "refuses", ...call }, 501)
    assert.match(answer.body.toString(), reason)
  }
  await world.at("near", "PUT", { bucket: "full" })
  await world.at("near", "PUT", { bucket: "full", key: "k", body: "x" })
  await world.setRemote("full", {}, 409)
  const body = "<RemoteConfiguration><Store>unknown</Store><Bucket>b</Bucket></RemoteConfiguration>"
  await world.at("near", "PUT", { bucket: "refuses", query: "remote", body, headers: md5Of(body) }, 400)
  const shown = await world.at("near", "GET", { bucket: "refuses", query: "remote" })
  assert.match(shown.body.toString(), /<Store>far<\/Store><Bucket>data<\/Bucket>/)
  assert.doesNotMatch(shown.body.toString(), /secret/i)
  await world.at("near", "DELETE", { bucket: "refuses", query: "remote" }, 204)
})
