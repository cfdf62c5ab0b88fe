/** Large objects of Swift over the model: their bytes, as both protocols read them, and what happens to their segments. */
import assert from "node:assert/strict"
import { createHash, createHmac } from "node:crypto"
import { after, before, test } from "node:test"
import type { RawResponse } from "../../conformance/raw-client.js"
import { OWNER, STRANGER } from "../s3/over-model.js"
import { filesOf, serveSwift, type SwiftHeaders, type SwiftUser, type SwiftWorld } from "./world.js"

let world: SwiftWorld
let owner: SwiftUser
let stranger: SwiftUser
before(async () => {
  world = await serveSwift()
  owner = await world.signIn(OWNER)
  stranger = await world.signIn(STRANGER)
  for (const name of ["large", "parts"]) await container(name)
})
after(() => world.stop())

const md5 = (body: string): string => createHash("md5").update(body).digest("hex")

const { container, put, get, read } = filesOf(() => owner)

const putManifest = (path: string, segments: unknown, headers: SwiftHeaders = {}): Promise<RawResponse> =>
  owner.call("PUT", `${path}?multipart-manifest=put`, { body: JSON.stringify(segments), headers })

function signedUrl(path: string, key: string): string {
  const expires = Math.floor(Date.now() / 1000) + 600
  const signed = createHmac("sha256", key).update(`GET\n${expires}\n${owner.account}${path}`).digest("hex")
  return `${owner.account}${path}?temp_url_sig=${signed}&temp_url_expires=${expires}`
}

/** A large object of these segments, in `parts`. */
async function makeLarge(name: string, bodies: readonly string[], headers: SwiftHeaders = {}): Promise<string> {
  for (const [at, body] of bodies.entries()) await put(`/parts/${name}/${at}`, body)
  const answer = await putManifest(
    `/large/${name}`,
    bodies.map((_, at) => ({ path: `/parts/${name}/${at}` })),
    headers,
  )
  assert.equal(answer.status, 201, answer.text)
  return `/large/${name}`
}

test("a static large object is its segments, one after another, whole and in ranges", async () => {
  const headers = { "Content-Type": "text/plain", "X-Object-Meta-Color": "red" }
  const path = await makeLarge("plain", ["hello ", "large ", "world"], headers)
  const etag = md5([md5("hello "), md5("large "), md5("world")].join(""))
  const whole = await get(path)
  assert.deepEqual(
    ["etag", "content-length", "content-type", "x-static-large-object", "x-object-meta-color"].map(name =>
      whole.header(name),
    ),
    [`"${etag}"`, "17", "text/plain", "True", "red"],
  )
  assert.equal(whole.text, "hello large world")
  const head = await owner.call("HEAD", path)
  assert.deepEqual([head.header("content-length"), head.header("etag")], ["17", `"${etag}"`])
  assert.deepEqual(await read(path, { Range: "bytes=4-8" }), [206, "o lar"])
  assert.deepEqual(await read(path, { Range: "bytes=-3" }), [206, "rld"])
  assert.equal((await get(path, { Range: "bytes=4-8" })).header("content-range"), "bytes 4-8/17")
  assert.equal((await get(path, { Range: "bytes=17-" })).status, 416)
  const several = await get(path, { Range: "bytes=0-0,7-9" })
  assert.equal(several.status, 206)
  assert.match(several.text, /bytes 0-0\/17\r\n\r\nh\r\n[^]*bytes 7-9\/17\r\n\r\narg\r\n/)
})

test("conditions know the ETag of a large object, as Swift and as S3 write it", async () => {
  const path = await makeLarge("conditions", ["a", "b"])
  const etag = md5(md5("a") + md5("b"))
  const statusOf = async (headers: SwiftHeaders) => (await get(path, headers)).status
  assert.equal(await statusOf({ "If-Match": `"${etag}"` }), 200)
  assert.equal(await statusOf({ "If-Match": etag }), 200)
  assert.equal(await statusOf({ "If-Match": `"${etag}-2"` }), 200)
  assert.equal(await statusOf({ "If-Match": md5("ab") }), 412)
  assert.equal(await statusOf({ "If-None-Match": `"${etag}"` }), 304)
  assert.deepEqual(await read(path, { Range: "bytes=1-", "If-Range": `"${etag}"` }), [206, "b"])
  assert.deepEqual(await read(path, { Range: "bytes=1-", "If-Range": md5("ab") }), [200, "ab"])
})

test("one segment is read by its number", async () => {
  const path = await makeLarge("numbered", ["first", "2nd", "the third"])
  const shown = (answer: RawResponse) =>
    ["content-range", "content-length", "x-parts-count"].map(name => answer.header(name))
  for (const [number, body, range] of [
    ["1", "first", "bytes 0-4/17"],
    ["02", "2nd", "bytes 5-7/17"],
    ["3", "the third", "bytes 8-16/17"],
  ] as const) {
    const [whole, head] = [
      await get(`${path}?part-number=${number}`),
      await owner.call("HEAD", `${path}?part-number=${number}`),
    ]
    assert.deepEqual([whole.status, head.status, whole.text], [206, 206, body])
    assert.deepEqual([shown(whole), shown(head)], Array(2).fill([range, String(body.length), "3"]))
  }
  const statusOf = async (query: string, headers: SwiftHeaders = {}) => (await get(`${path}?${query}`, headers)).status
  for (const bad of ["0", "-1", "x", ""]) assert.equal(await statusOf(`part-number=${bad}`), 400, bad)
  assert.deepEqual([await statusOf("part-number=4"), await statusOf(`part-number=${"9".repeat(400)}`)], [416, 416])
  assert.equal(await statusOf("part-number=1", { Range: "bytes=0-1" }), 400)
  assert.equal(
    await statusOf("part-number=1", { "If-None-Match": md5([md5("first"), md5("2nd"), md5("the third")].join("")) }),
    304,
  )
  const refused = [
    await owner.call("COPY", `${path}?part-number=1`, { headers: { Destination: "large/of-number" } }),
    await owner.call("PUT", "/large/of-number?part-number=1", { headers: { "X-Copy-From": path } }),
  ]
  assert.deepEqual(
    refused.map(({ status }) => status),
    [501, 501],
    "a copy would have all bytes",
  )
  assert.equal((await get("/large/of-number")).status, 404)
  await put("/parts/plain-one", "plain")
  assert.deepEqual(await read("/parts/plain-one?part-number=7"), [200, "plain"], "of other objects it has no effect")
})

test("listings show the size of the bytes, and the container counts what it stores", async () => {
  await container("counted")
  await makeLarge("listed", ["x".repeat(5000), "y".repeat(5000)])
  const manifest = [{ path: "/parts/listed/0" }, { path: "/parts/listed/1" }]
  assert.equal((await putManifest("/counted/large", manifest)).status, 201)
  const [entry] = JSON.parse((await get("/counted?format=json")).text) as { bytes: number; name: string }[]
  assert.deepEqual([entry?.name, entry?.bytes], ["large", 10_000])
  const used = Number((await owner.call("HEAD", "/counted")).header("x-container-bytes-used"))
  assert.ok(used > 0 && used < 1000, String(used))
})

test("a segment may be a part of an object, bytes in the manifest, or another large object", async () => {
  const inner = await makeLarge("inner", ["0123456789", "abcdefghij"])
  const answer = await putManifest("/large/mixed", [
    { path: inner, range: "8-11" },
    { data: Buffer.from(" and ").toString("base64") },
    { path: "/parts/inner/1", range: "-2" },
    { path: "/parts/inner/0", size_bytes: 10, etag: md5("0123456789") },
  ])
  assert.equal(answer.status, 201, answer.text)
  assert.deepEqual(await read("/large/mixed"), [200, "89ab and ij0123456789"])
  assert.deepEqual(await read("/large/mixed", { Range: "bytes=1-6" }), [206, "9ab an"])
  const innerEtag = md5(md5("0123456789") + md5("abcdefghij"))
  const etags = [`${innerEtag}:8-11;`, md5(" and "), `${md5("abcdefghij")}:8-9;`, md5("0123456789")]
  assert.equal(answer.header("etag"), `"${md5(etags.join(""))}"`)
})

test("the manifest is shown, and can be put again", async () => {
  const path = await makeLarge("shown", ["one", "two"])
  const shown = await get(`${path}?multipart-manifest=get`)
  assert.equal(shown.header("content-type"), "application/json; charset=utf-8")
  assert.equal(shown.header("x-static-large-object"), "True")
  const entries = JSON.parse(shown.text) as Readonly<Record<string, unknown>>[]
  assert.deepEqual(
    entries.map(({ name, bytes, hash }) => [name, bytes, hash]),
    [
      ["/parts/shown/0", 3, md5("one")],
      ["/parts/shown/1", 3, md5("two")],
    ],
  )
  const head = await owner.call("HEAD", `${path}?multipart-manifest=get`)
  assert.equal(head.header("content-length"), String(shown.text.length))
  const shownRaw = await get(`${path}?multipart-manifest=get&format=raw`)
  assert.equal(shownRaw.header("content-type"), "application/octet-stream", "the raw one has the type of the object")
  const raw = JSON.parse(shownRaw.text) as unknown
  assert.equal((await putManifest("/large/again", raw)).status, 201)
  assert.deepEqual(await read("/large/again"), [200, "onetwo"])
  await put("/large/no-manifest", "plain")
  assert.deepEqual(await read("/large/no-manifest?multipart-manifest=get"), [200, "plain"])
})

test("a manifest whose segments are not as it says is refused with all problems, and stores nothing", async () => {
  await put("/parts/problems/a", "abc")
  const manifest = [
    { path: "/parts/problems/missing" },
    { path: "/parts/problems/a", size_bytes: 5, etag: md5("other") },
    { path: "/parts/problems/a", range: "7-" },
  ]
  const answer = await putManifest("/large/problems", manifest)
  assert.equal(answer.status, 400)
  assert.equal(
    answer.text,
    "Errors:\n/parts/problems/missing, 404 Not Found\n/parts/problems/a, Size Mismatch\n/parts/problems/a, Etag Mismatch\n/parts/problems/a, Unsatisfiable Range\n",
  )
  const asJson = await putManifest("/large/problems", manifest, { Accept: "application/json" })
  assert.deepEqual((JSON.parse(asJson.text) as { Errors: unknown[] }).Errors[0], [
    "/parts/problems/missing",
    "404 Not Found",
  ])
  const good = [{ path: "/parts/problems/a" }]
  assert.equal((await putManifest("/large/problems", good, { ETag: md5("wrong") })).status, 422)
  assert.equal((await putManifest("/large/problems", [])).status, 400)
  assert.equal((await putManifest("/large/problems", { path: "x" })).status, 400)
  assert.equal((await get("/large/problems")).status, 404)
  assert.equal((await putManifest("/large/problems", good, { ETag: md5(md5("abc")) })).status, 201)
  assert.equal((await putManifest("/large/problems", good, { "If-None-Match": "*" })).status, 412)
})

test("a link or a dynamic large object cannot be a segment: the large object would lack its bytes", async () => {
  await put("/parts/target", "target")
  await put("/parts/link", "", { "X-Symlink-Target": "parts/target" })
  await put("/parts/dynamic", "x", { "X-Object-Manifest": "parts/target" })
  for (const name of ["link", "dynamic"]) {
    const answer = await putManifest("/large/of-pointers", [{ path: `/parts/${name}` }])
    assert.deepEqual([answer.status, answer.text.includes("cannot be segments")], [400, true], answer.text)
  }
  assert.equal((await get("/large/of-pointers")).status, 404)
})

test("with a heartbeat the status of a manifest is in the body", async () => {
  await put("/parts/beat", "abc")
  const ask = (path: string) =>
    owner.call("PUT", "/large/beat?multipart-manifest=put&heartbeat=on", {
      body: JSON.stringify([{ path }]),
      headers: { Accept: "application/json" },
    })
  const [stored, refused] = [await ask("/parts/beat"), await ask("/parts/missing")]
  assert.deepEqual([stored.status, refused.status], [202, 202])
  const { "Response Status": first, Etag: etag } = JSON.parse(stored.text) as Record<string, string>
  assert.deepEqual([first, etag], ["201 Created", `"${md5(md5("abc"))}"`])
  const report = JSON.parse(refused.text) as Record<string, unknown>
  assert.equal(report["Response Status"], "400 Bad Request")
  assert.deepEqual(report["Errors"], [["/parts/missing", "404 Not Found"]])
})

test("a segment that was replaced or removed ends what contains it, and nothing else", async () => {
  const path = await makeLarge("changed", ["first", "second", "third"])
  await put("/parts/changed/1", "SECOND")
  assert.deepEqual(await read(path, { Range: "bytes=0-4" }), [206, "first"])
  assert.deepEqual(await read(path, { Range: "bytes=-5" }), [206, "third"])
  assert.equal((await get(path, { Range: "bytes=5-8" })).status, 409)
  await assert.rejects(get(path), "the body ends before the length that was promised")
  await put("/parts/changed/1", "second")
  assert.deepEqual(await read(path), [200, "firstsecondthird"])
  assert.equal((await owner.call("DELETE", "/parts/changed/0")).status, 204)
  assert.equal((await get(path)).status, 409)
})

test("who reads a large object needs the right to read its segments", async () => {
  await container("open-large", { "X-Container-Read": ".r:*" })
  await put("/parts/secret", "secret")
  assert.equal((await putManifest("/open-large/o", [{ path: "/parts/secret" }])).status, 201)
  const asStranger = () => stranger.call("GET", `${owner.account}/open-large/o`)
  assert.deepEqual(
    [(await world.anonymous.call("GET", "/open-large/o")).status, (await asStranger()).status],
    [401, 403],
  )
  assert.equal((await world.anonymous.call("HEAD", "/open-large/o")).status, 200)
  await container("open-parts", { "X-Container-Read": ".r:*" })
  await put("/open-parts/o", "public")
  assert.equal((await putManifest("/open-large/o", [{ path: "/open-parts/o" }])).status, 201)
  assert.deepEqual(
    [(await world.anonymous.call("GET", "/open-large/o")).text, (await asStranger()).text],
    ["public", "public"],
  )
})

test("nobody can put a manifest of segments that they cannot read", async () => {
  await put("/parts/private", "private")
  const theirs = await stranger.call("PUT", "/of-stranger")
  assert.equal(theirs.status, 201)
  const answer = await stranger.call("PUT", "/of-stranger/o?multipart-manifest=put", {
    body: JSON.stringify([{ path: "/parts/private" }]),
  })
  assert.deepEqual([answer.status, /parts\/private, 40[34]/.test(answer.text)], [400, true], answer.text)
})

test("a temporary URL of the account's key reads segments in another container, one of the container's key does not", async () => {
  const path = await makeLarge("by-url", ["tempo", "rary"])
  const url = (key: string) => signedUrl(path, key)
  await owner.call("POST", "", { headers: { "X-Account-Meta-Temp-URL-Key": "of-account" } })
  await owner.call("POST", "/large", { headers: { "X-Container-Meta-Temp-URL-Key": "of-container" } })
  assert.equal((await world.anonymous.call("GET", url("of-account"))).text, "temporary")
  assert.equal((await world.anonymous.call("GET", url("of-container"))).status, 401)
})

test("a temporary URL reads dynamic large objects alike, and lists nothing", async () => {
  for (const name of ["dynamic-url", "dynamic-parts"]) {
    await container(name)
    await put(`/${name}/part-1`, "tempo")
    await put(`/${name}/part-2`, "rary")
    await put(`/dynamic-url/of-${name}`, "", { "X-Object-Manifest": `${name}/part-` })
  }
  await owner.call("POST", "", { headers: { "X-Account-Meta-Temp-URL-Key": "of-account" } })
  await owner.call("POST", "/dynamic-url", { headers: { "X-Container-Meta-Temp-URL-Key": "of-container" } })
  const read = async (path: string, key: string) => {
    const { status, text } = await world.anonymous.call("GET", signedUrl(path, key))
    return status === 200 ? text : status
  }
  const [inside, outside] = ["/dynamic-url/of-dynamic-url", "/dynamic-url/of-dynamic-parts"]
  assert.deepEqual([await read(inside, "of-account"), await read(outside, "of-account")], ["temporary", "temporary"])
  assert.deepEqual([await read(inside, "of-container"), await read(outside, "of-container")], ["temporary", 401])
  assert.equal(await read("/dynamic-url", "of-account"), 401)
})

test("S3 reads a large object as one of parts", async () => {
  await makeLarge("for-s3", ["part one,", "part two"])
  const at = { bucket: "large", key: "for-s3" }
  const etag = `"${md5(md5("part one,") + md5("part two"))}-2"`
  const read = await world.s3.call("GET", at)
  assert.deepEqual([read.status, read.text, read.header("etag")], [200, "part one,part two", etag])
  const ranged = await world.s3.call("GET", { ...at, headers: { range: "bytes=5-10" } })
  assert.deepEqual([ranged.status, ranged.text], [206, "one,pa"])
  const second = await world.s3.call("GET", { ...at, query: "partNumber=2" })
  assert.deepEqual([second.status, second.text, second.header("x-amz-mp-parts-count")], [206, "part two", "2"])
  const head = await world.s3.call("HEAD", { ...at, query: "partNumber=1" })
  assert.deepEqual([head.header("content-length"), head.header("content-range")], ["9", "bytes 0-8/17"])
  assert.equal((await world.s3.call("GET", { ...at, query: "partNumber=3" })).status, 416)
  const listed = await world.s3.call("GET", { bucket: "large", query: "list-type=2&prefix=for-s3" })
  assert.match(listed.text, new RegExp(`<ETag>${etag.replaceAll('"', "&quot;")}</ETag><Size>17</Size>|<Size>17</Size>`))
  assert.equal((await world.s3.call("GET", { ...at, headers: { "if-none-match": etag } })).status, 304)
})

test("copies have the bytes of a large object, through Swift and through S3; the manifest is copied if it is asked for", async () => {
  const path = await makeLarge("to-copy", ["copy ", "me"], { "X-Object-Meta-A": "1" })
  const copied = await owner.call("COPY", path, { headers: { Destination: "large/copied" } })
  assert.deepEqual([copied.status, copied.header("etag")], [201, md5("copy me")])
  const list = await owner.call("COPY", `${path}?multipart-manifest=get`, {
    headers: { Destination: "large/still-large" },
  })
  assert.deepEqual([list.status, list.header("etag")], [201, `"${md5(md5("copy ") + md5("me"))}"`])
  const byS3 = await world.s3.call("PUT", {
    bucket: "large",
    key: "by-s3",
    headers: { "x-amz-copy-source": "/large/to-copy" },
  })
  assert.equal(byS3.status, 200, byS3.text)
  const { text } = await world.s3.call("POST", { bucket: "large", key: "by-part", query: "uploads" })
  const id = /<UploadId>([^<]+)</.exec(text)?.[1] ?? ""
  const part = await world.s3.call("PUT", {
    bucket: "large",
    key: "by-part",
    query: `partNumber=1&uploadId=${id}`,
    headers: { "x-amz-copy-source": "/large/to-copy", "x-amz-copy-source-range": "bytes=3-5" },
  })
  assert.match(part.text, new RegExp(md5("y m")))
  assert.equal((await owner.call("DELETE", "/parts/to-copy/0")).status, 204)
  const seen = await Promise.all(
    ["copied", "still-large", "by-s3"].map(async name => owner.call("GET", `/large/${name}`)),
  )
  assert.deepEqual(
    seen.map(({ status, text: body }) => [status, status === 200 ? body : ""]),
    [
      [200, "copy me"],
      [409, ""],
      [200, "copy me"],
    ],
  )
  assert.equal(seen[0]?.header("x-object-meta-a"), "1")
  assert.equal(seen[0]?.header("x-static-large-object"), undefined)
})

test("a POST changes the metadata of a large object, and leaves its segments", async () => {
  const path = await makeLarge("posted", ["po", "st"])
  assert.equal((await owner.call("POST", path, { headers: { "X-Object-Meta-New": "yes" } })).status, 202)
  const read = await get(path)
  assert.deepEqual(
    [read.text, read.header("x-object-meta-new"), read.header("x-static-large-object")],
    ["post", "yes", "True"],
  )
})

test("a large object is deleted alone, or with its segments and theirs", async () => {
  const inner = await makeLarge("deleted-inner", ["a", "b"])
  await makeLarge("deleted", ["c"])
  assert.equal((await putManifest("/large/deleted", [{ path: inner }, { path: "/parts/deleted/0" }])).status, 201)
  const left = async () =>
    Promise.all(
      ["/large/deleted", inner, "/parts/deleted/0", "/parts/deleted-inner/0"].map(
        async path => (await owner.call("HEAD", path)).status,
      ),
    )
  assert.equal((await owner.call("DELETE", "/large/deleted")).status, 204)
  assert.deepEqual(await left(), [404, 200, 200, 200])
  await putManifest("/large/deleted", [{ path: inner }, { path: "/parts/deleted/0" }])
  const json = { headers: { Accept: "application/json" } }
  const answer = await owner.call("DELETE", "/large/deleted?multipart-manifest=delete", json)
  const report = JSON.parse(answer.text) as Record<string, unknown>
  assert.deepEqual([answer.status, report["Number Deleted"], report["Number Not Found"]], [200, 5, 0], answer.text)
  assert.deepEqual(await left(), [404, 404, 404, 404])
  await makeLarge("deleted", ["d"])
  assert.equal((await owner.call("DELETE", "/large/deleted?multipart-manifest=delete&async=yes")).status, 204)
  assert.deepEqual(await left(), [404, 404, 404, 404])
  await put("/large/no-large", "x")
  const other = await owner.call("DELETE", "/large/no-large?multipart-manifest=delete", json)
  assert.deepEqual((JSON.parse(other.text) as Record<string, unknown>)["Errors"], [
    ["/large/no-large", "400 Bad Request"],
  ])
  assert.equal((await get("/large/no-large")).status, 200)
})

test("a large object whose lists repeat others is deleted with its segments, each opened once", async () => {
  let path = await makeLarge("repeated", ["ab"])
  for (let level = 2; level <= 7; level += 1) {
    const next = `/large/repeated-${level}`
    const answer = await putManifest(next, Array(50).fill({ path, range: "0-0" }))
    assert.equal(answer.status, 201, answer.text)
    path = next
  }
  const json = { headers: { Accept: "application/json" } }
  const { text } = await owner.call("DELETE", `${path}?multipart-manifest=delete`, json)
  const report = JSON.parse(text) as Record<string, unknown>
  assert.deepEqual([report["Number Deleted"], report["Number Not Found"], report["Errors"]], [8, 0, []], text)
})

test("nothing is deleted if the segments of an inner large object cannot be read", async () => {
  const inner = await makeLarge("inner-of-others", ["a"])
  const list = stranger.account.slice("/v1/AUTH_".length)
  const lists = { "X-Container-Read": list, "X-Container-Write": list }
  await container("shared-large", lists)
  assert.equal((await putManifest("/shared-large/outer", [{ path: inner }])).status, 201)
  const path = `${owner.account}/shared-large/outer?multipart-manifest=delete`
  assert.equal((await stranger.call("DELETE", path)).status, 403)
  for (const left of ["/shared-large/outer", inner, "/parts/inner-of-others/0"])
    assert.equal((await get(left)).status, 200, left)
})

test("versions and archives keep manifests", async () => {
  await container("old-large")
  await container("versioned-large", { "X-Versions-Location": "old-large" })
  await put("/parts/version", "of a version")
  assert.equal((await putManifest("/versioned-large/o", [{ path: "/parts/version" }])).status, 201)
  await put("/versioned-large/o", "later")
  assert.equal((await owner.call("DELETE", "/versioned-large/o")).status, 204)
  const back = await get("/versioned-large/o")
  assert.deepEqual([back.text, back.header("x-static-large-object")], ["of a version", "True"])
})

test("large objects are nested ten deep at most, and their bytes are 5 TiB at most", async () => {
  let path = await makeLarge("level-1", ["a"])
  for (let level = 2; level <= 10; level += 1) {
    const next = `/large/level-${level}`
    assert.equal((await putManifest(next, [{ path }])).status, 201, next)
    path = next
  }
  assert.deepEqual(await read(path), [200, "a"])
  const deeper = await putManifest("/large/level-11", [{ path }])
  assert.deepEqual([deeper.status, /nested more than 10 deep/.test(deeper.text)], [400, true])
  assert.equal((await get("/large/level-11")).status, 404)
  // Each level is as often in the next one as a manifest may have segments.
  let wide = await makeLarge("wide-1", ["x".repeat(1000)])
  const answers: number[] = []
  for (let level = 2; level <= 6; level += 1) {
    const answer = await putManifest(
      `/large/wide-${level}`,
      Array.from({ length: 1000 }, () => ({ path: wide })),
    )
    answers.push(answer.status)
    if (answer.status === 201) wide = `/large/wide-${level}`
  }
  assert.deepEqual(answers, [201, 201, 201, 413, 413])
  assert.match((await get("/large?format=json&prefix=wide-4")).text, /"bytes": ?1000000000000\b/)
})
