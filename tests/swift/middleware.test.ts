/** The parts of Swift that are its middleware, over the model: versions, quotas, temporary URLs, forms, archives, websites. */
import assert from "node:assert/strict"
import { spawnSync } from "node:child_process"
import { createHash, createHmac } from "node:crypto"
import { after, before, test } from "node:test"
import { gzipSync } from "node:zlib"
import type { RawResponse } from "../../conformance/raw-client.js"
import { OWNER, STRANGER } from "../s3/over-model.js"
import { filesOf, serveSwift, tarOf, type SwiftUser, type SwiftWorld } from "./world.js"

let world: SwiftWorld
let owner: SwiftUser
let stranger: SwiftUser
before(async () => {
  world = await serveSwift()
  owner = await world.signIn(OWNER)
  stranger = await world.signIn(STRANGER)
})
after(() => world.stop())

const md5 = (body: string): string => createHash("md5").update(body).digest("hex")
const { container, put } = filesOf(() => owner)
const status = async (answer: Promise<RawResponse>): Promise<number> => (await answer).status

test("versions: switched on, written, read, listed as current, and removed", async () => {
  const path = await container("versioned-container", { "X-Versions-Enabled": "true" })
  assert.equal((await owner.call("HEAD", path)).header("x-versions-enabled"), "True")
  const [first, second] = [await put(`${path}/o`, "one"), await put(`${path}/o`, "two")]
  const id = first.header("x-object-version-id") ?? ""
  assert.notEqual(id, second.header("x-object-version-id"))
  assert.equal((await owner.call("GET", `${path}/o`)).text, "two")
  assert.equal((await owner.call("GET", `${path}/o?version-id=${id}`)).text, "one")
  assert.equal(await status(owner.call("PUT", `${path}/o?version-id=${id}`, { body: "x" })), 400)
  assert.equal((await owner.call("GET", `${path}/o`)).text, "two")
  const deleted = await owner.call("DELETE", `${path}/o`)
  assert.equal(deleted.status, 204)
  const marker = deleted.header("x-object-version-id") ?? ""
  assert.notEqual(marker, "")
  for (const query of ["", `?version-id=${marker}`]) {
    const missing = await owner.call("HEAD", `${path}/o${query}`)
    assert.deepEqual([missing.status, missing.header("x-object-version-id")], [404, marker], query)
  }
  const versions = JSON.parse((await owner.call("GET", `${path}?versions&format=json`)).text) as Record<
    string,
    unknown
  >[]
  assert.deepEqual(
    versions.map(version => [version["bytes"], version["is_latest"]]),
    [
      [0, true],
      [3, false],
      [3, false],
    ],
  )
  assert.match(String(versions[0]?.["content_type"]), /^application\/x-deleted/)
  assert.equal(versions[2]?.["version_id"], id)
  const after = `marker=o&version_marker=${String(versions[1]?.["version_id"])}`
  assert.equal(
    (JSON.parse((await owner.call("GET", `${path}?versions&format=json&${after}`)).text) as unknown[]).length,
    1,
  )
  const lists = { "X-Container-Read": "*:*,.r:*", "X-Container-Write": "*:*" }
  assert.equal(await status(owner.call("POST", path, { headers: lists })), 204)
  const version = `${owner.account}${path}/o?version-id=${id}`
  assert.deepEqual(
    [await status(stranger.call("GET", version)), await status(stranger.call("DELETE", version))],
    [403, 403],
    "lists give no rights on versions",
  )
  assert.equal(await status(owner.call("DELETE", path)), 409, "versions are left")
  assert.equal(await status(owner.call("DELETE", `${path}/o?version-id=${id}`)), 204)
  assert.equal(await status(owner.call("GET", `${path}/o?version-id=${id}`)), 404)
  assert.equal(await status(owner.call("DELETE", `${path}/o?version-id=${id}`)), 404)
  assert.equal(await status(owner.call("DELETE", `${path}/o?version-id=${String(versions[0]?.["version_id"])}`)), 204)
  assert.equal((await owner.call("GET", `${path}/o`)).text, "two", "without its marker")
  assert.equal(await status(owner.call("POST", path, { headers: { "X-Versions-Enabled": "false" } })), 204)
  assert.equal((await owner.call("HEAD", path)).header("x-versions-enabled"), "False")
  const unversioned = [await put(`${path}/n`, "null"), await owner.call("GET", `${path}/n`)]
  unversioned.push(await owner.call("DELETE", `${path}/n`), await owner.call("GET", `${path}/n`))
  assert.deepEqual(
    unversioned.map(answer => [answer.status, answer.header("x-object-version-id")]),
    [201, 200, 204, 404].map(expected => [expected, undefined]),
    "what is written while versions are not kept has no id",
  )
})

test("quotas of a container hold for uploads and copies, and existing objects stay", async () => {
  const path = await container("quota-container", {
    "X-Container-Meta-Quota-Bytes": "10",
    "X-Container-Meta-Quota-Count": "2",
  })
  const upload = (name: string, body: string) => status(owner.call("PUT", `${path}/${name}`, { body }))
  assert.equal(await upload("a", "12345678901"), 413)
  assert.equal(await upload("a", "1234567890"), 201)
  assert.equal(await upload("b", "1"), 413)
  assert.equal(await status(owner.call("COPY", `${path}/a`, { headers: { Destination: "quota-container/b" } })), 413)
  assert.equal(await status(owner.call("POST", path, { headers: { "X-Container-Meta-Quota-Bytes": "1000" } })), 204)
  assert.deepEqual([await upload("b", "1"), await upload("c", "1")], [201, 413], "by the number of objects")
  assert.equal((await owner.call("GET", `${path}/a`)).text, "1234567890")
  assert.equal(await status(owner.call("POST", path, { headers: { "X-Container-Meta-Quota-Count": "many" } })), 400)
})

test("quotas of a container hold for versions that are the current ones again, and for those of another container", async () => {
  const quota = { "X-Container-Meta-Quota-Bytes": "10" }
  const path = await container("quota-versions", { ...quota, "X-Versions-Enabled": "true" })
  const first = await owner.call("PUT", `${path}/o`, { body: "123456" })
  await put(`${path}/o`, "1")
  const again = `${path}/o?version-id=${first.header("x-object-version-id")}`
  assert.equal(await status(owner.call("PUT", again, { body: "" })), 413)
  await owner.call("POST", path, { headers: { "X-Container-Meta-Quota-Bytes": "13" } })
  assert.equal(await status(owner.call("PUT", again, { body: "" })), 201)

  await container("quota-archive", quota)
  const kept = await container("quota-history", { "X-History-Location": "quota-archive" })
  const answers: (number | undefined)[] = []
  for (const body of ["123456", "123457", "123458"])
    answers.push(await status(owner.call("PUT", `${kept}/o`, { body })))
  assert.deepEqual(answers, [201, 201, 413], "the archive has no room for the second version")
  assert.equal((await owner.call("GET", `${kept}/o`)).text, "123457")
})

test("pages of origins that a container names may send requests and read answers", async () => {
  const path = await container("cors-container", {
    "X-Container-Meta-Access-Control-Allow-Origin": "https://a.example https://b.example",
    "X-Container-Meta-Access-Control-Max-Age": "60",
    "X-Container-Meta-Access-Control-Expose-Headers": "X-Own",
    "X-Container-Read": ".r:*",
  })
  await put(`${path}/o`, "x", { "X-Object-Meta-Color": "red" })
  const ask = (origin: string, method = "PUT") =>
    world.anonymous.call("OPTIONS", `${path}/o`, {
      headers: {
        Origin: origin,
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": "X-Auth-Token",
      },
    })
  const allowed = await ask("https://b.example")
  assert.deepEqual(
    ["allow-origin", "allow-headers", "max-age"].map(name => allowed.header(`access-control-${name}`)),
    ["https://b.example", "X-Auth-Token", "60"],
  )
  assert.match(allowed.header("access-control-allow-methods") ?? "", /PUT/)
  assert.deepEqual(
    [allowed.status, (await ask("https://c.example")).status, (await ask("https://a.example", "TRACE")).status],
    [200, 401, 401],
  )
  const read = await world.anonymous.call("GET", `${path}/o`, { headers: { Origin: "https://a.example" } })
  assert.equal(read.header("access-control-allow-origin"), "https://a.example")
  assert.match(read.header("access-control-expose-headers") ?? "", /etag.*x-object-meta-color.*x-own/)
  const other = await world.anonymous.call("GET", `${path}/o`, { headers: { Origin: "https://c.example" } })
  assert.deepEqual([other.status, other.header("access-control-allow-origin")], [200, undefined])
  const options = await world.anonymous.call("OPTIONS", path)
  assert.deepEqual([options.status, options.header("allow")], [200, "GET, HEAD, PUT, POST, DELETE, OPTIONS"])
})

const hmac = (message: string, key = "mykey", digest = "sha256"): string =>
  createHmac(digest, key).update(message).digest("hex")
const LATER = 4_000_000_000

/** The query of a temporary URL. */
const tempUrl = (method: string, path: string, { key = "mykey", expires = LATER, digest = "sha256" } = {}): string =>
  `temp_url_sig=${hmac(`${method}\n${expires}\n${owner.account}${path}`, key, digest)}&temp_url_expires=${expires}`

test("temporary URLs admit what was signed, and nothing else", async () => {
  const path = await container("temp-urls", { "X-Container-Meta-Temp-URL-Key": "mykey" })
  await put(`${path}/o`, "temporary", { "X-Object-Meta-Hidden": "1", "X-Object-Meta-Public-Shown": "2" })
  await put(`${path}/other`, "other")
  const ask = (method: string, target: string, query: string, body?: string) =>
    world.anonymous.call(method, `${target}?${query}`, body === undefined ? {} : { body })
  const read = await ask("GET", `${path}/o`, tempUrl("GET", `${path}/o`))
  assert.deepEqual([read.status, read.text], [200, "temporary"])
  assert.deepEqual([read.header("x-object-meta-hidden"), read.header("x-object-meta-public-shown")], [undefined, "2"])
  assert.match(read.header("content-disposition") ?? "", /^attachment; filename="o"/)
  assert.equal(await status(ask("HEAD", `${path}/o`, tempUrl("GET", `${path}/o`))), 200)
  const refused: readonly (readonly [method: string, target: string, query: string])[] = [
    ["GET", `${path}/other`, tempUrl("GET", `${path}/o`)],
    ["PUT", `${path}/o`, tempUrl("GET", `${path}/o`)],
    ["DELETE", `${path}/o`, tempUrl("PUT", `${path}/o`)],
    ["GET", `${path}/o`, tempUrl("GET", `${path}/o`, { expires: 1_000_000_000 })],
    ["GET", `${path}/o`, tempUrl("GET", `${path}/o`, { key: "other" })],
    ["GET", `${path}/o`, tempUrl("GET", `${path}/o`, { digest: "sha1" })],
    ["GET", path, tempUrl("GET", path)],
  ]
  for (const [method, target, query] of refused)
    assert.equal(await status(ask(method, target, query)), 401, `${method} ${target} ${query}`)
  assert.equal((await owner.call("GET", `${path}/o`)).text, "temporary")
  assert.equal(await status(ask("PUT", `${path}/new`, tempUrl("PUT", `${path}/new`), "written")), 201)
  assert.equal((await owner.call("GET", `${path}/new`)).text, "written")
  const stolen = { "X-Copy-From": "/temp-urls/other" }
  const copy = world.anonymous.call("PUT", `${path}/new?${tempUrl("PUT", `${path}/new`)}`, { headers: stolen })
  assert.equal(await status(copy), 401)
  assert.equal(await status(ask("GET", `${path}/o`, tempUrl("GET", `${path}/o`, { digest: "sha512" }))), 200)
  assert.equal(await status(ask("DELETE", `${path}/new`, tempUrl("DELETE", `${path}/new`))), 204)
})

test("a key of a container signs for that container, one of an account for all", async () => {
  await container("temp-keys-a", { "X-Container-Meta-Temp-URL-Key-2": "mykey" })
  await container("temp-keys-b")
  for (const path of ["/temp-keys-a/o", "/temp-keys-b/o"]) await put(path, path)
  const read = (path: string, key: string) =>
    status(world.anonymous.call("GET", `${path}?${tempUrl("GET", path, { key })}`))
  assert.deepEqual([await read("/temp-keys-a/o", "mykey"), await read("/temp-keys-b/o", "mykey")], [200, 401])
  const set = await owner.call("POST", "", { headers: { "X-Account-Meta-Temp-URL-Key": "ofaccount" } })
  assert.equal(set.status, 204)
  assert.deepEqual([await read("/temp-keys-a/o", "ofaccount"), await read("/temp-keys-b/o", "ofaccount")], [200, 200])
  assert.equal((await owner.call("HEAD", "")).header("x-account-meta-temp-url-key"), "ofaccount")
  const removed = await owner.call("POST", "", { headers: { "X-Remove-Account-Meta-Temp-URL-Key": "x" } })
  assert.equal(removed.status, 204)
  assert.equal(await read("/temp-keys-b/o", "ofaccount"), 401)
})

type Files = readonly (readonly [name: string, body: string])[]

/** A form for a path, with files, and what it signs. */
function formOf(path: string, files: Files, { max = "100", count = "2", redirect = "" } = {}) {
  const signature = hmac(`${owner.account}${path}\n${redirect}\n${max}\n${count}\n${LATER}`)
  const fields = { redirect, max_file_size: max, max_file_count: count, expires: String(LATER), signature }
  const part = (about: string, content: string) =>
    `--b\r\nContent-Disposition: form-data; ${about}\r\n\r\n${content}\r\n`
  const parts = [
    ...Object.entries(fields).map(([name, value]) => part(`name="${name}"`, value)),
    ...files.map(([name, body], i) => part(`name="f${i}"; filename="${name}"`, body)),
  ]
  return { headers: { "Content-Type": "multipart/form-data; boundary=b" }, body: `${parts.join("")}--b--\r\n` }
}

test("browsers post files by a signed form, within its limits", async () => {
  const path = await container("posted-forms", { "X-Container-Meta-Temp-URL-Key": "mykey" })
  const at = `${path}/in/`
  const post = (form: ReturnType<typeof formOf>) => world.anonymous.call("POST", at, form)
  const pair: Files = [
    ["a.txt", "first"],
    ["b.txt", "second"],
  ]
  const both = await post(formOf(at, pair))
  assert.deepEqual([both.status, both.text], [201, "201 Created"])
  assert.equal((await owner.call("GET", `${at}a.txt`)).text, "first")
  assert.equal((await owner.call("GET", `${at}b.txt`)).text, "second")
  const large = await post(formOf(at, [["large", "x".repeat(101)]]))
  assert.deepEqual([large.status, await status(owner.call("GET", `${at}large`))], [413, 404])
  assert.equal((await post(formOf(at, [...pair, ["3", ""]]))).status, 400, "more files than the form allows")
  assert.equal(await status(owner.call("GET", `${at}3`)), 404)
  const redirected = await post(formOf(at, [["c", "x"]], { redirect: "https://example.com/done" }))
  const location = "https://example.com/done?status=201&message="
  assert.deepEqual([redirected.status, redirected.header("location")], [303, location])
  assert.equal((await post(formOf(`${path}/other/`, [["d", "x"]]))).status, 401, "signed for another path")
  const changed = formOf(at, [["d", "x"]])
  const more = { ...changed, body: changed.body.replace(/\r\n2\r\n/, "\r\n9\r\n") }
  assert.equal((await post(more)).status, 401, "a field was changed")
  assert.equal(await status(owner.call("GET", `${at}d`)), 404)
})

test("a stack of versions: what is overwritten is kept, and deletions bring it back", async () => {
  await container("stack-archive")
  const path = await container("stack-container", { "X-Versions-Location": "stack-archive" })
  assert.equal((await owner.call("HEAD", path)).header("x-versions-location"), "stack-archive")
  for (const body of ["one", "two", "three"]) await put(`${path}/o`, body, { "X-Object-Meta-Of": body })
  const archived = (await owner.call("GET", "/stack-archive")).text.split("\n").slice(0, -1)
  assert.equal(archived.length, 2)
  assert.ok(
    archived.every(name => /^001o\/\d{10}\.\d{5}$/.test(name)),
    archived.join(),
  )
  assert.equal(await status(owner.call("DELETE", `${path}/o`)), 204)
  const second = await owner.call("GET", `${path}/o`)
  assert.deepEqual([second.text, second.header("x-object-meta-of")], ["two", "two"])
  assert.equal(await status(owner.call("DELETE", `${path}/o?version-id=null`)), 204, "the id of what has no versions")
  assert.equal((await owner.call("GET", `${path}/o`)).text, "one")
  assert.equal(await status(owner.call("GET", "/stack-archive")), 204, "the archive is empty")
  assert.deepEqual(
    [await status(owner.call("DELETE", `${path}/o`)), await status(owner.call("DELETE", `${path}/o`))],
    [204, 404],
  )
  await put(`${path}/o`, "four")
  await put(`${path}/other`, "other")
  const copyOver = { Destination: "stack-container/o", "If-Match": md5("other") }
  assert.equal(await status(owner.call("COPY", `${path}/other`, { headers: copyOver })), 201)
  assert.equal((await owner.call("GET", "/stack-archive")).text.split("\n").length, 2, "a copy keeps what it replaces")
  assert.equal(await status(owner.call("POST", path, { headers: { "X-Versions-Location": "no-such-archive" } })), 204)
  assert.equal(await status(owner.call("PUT", `${path}/o`, { body: "x" })), 412, "nothing keeps versions")
  assert.equal(await status(owner.call("POST", path, { headers: { "X-Remove-Versions-Location": "x" } })), 204)
  assert.equal(await status(owner.call("PUT", `${path}/o`, { body: "x" })), 201)
})

test("a history of versions: a deletion is one more version", async () => {
  await container("history-archive")
  const path = await container("history-container", { "X-History-Location": "history-archive" })
  await put(`${path}/o`, "one")
  await put(`${path}/o`, "two")
  assert.equal(await status(owner.call("DELETE", `${path}/o?version-id=null`)), 204)
  assert.deepEqual(
    [await status(owner.call("GET", `${path}/o`)), await status(owner.call("DELETE", `${path}/o`))],
    [404, 404],
  )
  const listed = JSON.parse((await owner.call("GET", "/history-archive?format=json")).text) as Record<string, unknown>[]
  assert.deepEqual(
    listed.map(version => [version["bytes"], version["content_type"]]),
    [
      [3, "application/octet-stream"],
      [3, "application/octet-stream"],
      [0, "application/x-deleted;swift_versions_deleted=1"],
    ],
  )
  const enabled = await owner.call("POST", path, { headers: { "X-Versions-Enabled": "true" } })
  assert.equal(enabled.status, 400, "it has a history")
  for (const name of ["a%0D%0AX-Evil:%201", "a%00b", "%E2%82%AC", "a/b", "%20"])
    assert.equal(await status(owner.call("POST", path, { headers: { "X-Versions-Location": name } })), 400, name)
  const both = { "X-History-Location": "a-b-c", "X-Versions-Location": "d-e-f" }
  assert.equal(await status(owner.call("POST", path, { headers: both })), 400)
  assert.equal(
    await status(
      owner.call("POST", path, { headers: { "X-History-Location": "a-b-c", "X-Versions-Enabled": "true" } }),
    ),
    400,
  )
})

test("a history that becomes a stack: a deletion brings back what was deleted before, step by step", async () => {
  await container("changed-archive")
  const path = await container("changed-mode", { "X-History-Location": "changed-archive" })
  await put(`${path}/o`, "one")
  assert.equal(await status(owner.call("DELETE", `${path}/o`)), 204)
  await put(`${path}/o`, "two")
  const stack = { "X-Versions-Location": "changed-archive" }
  assert.equal(await status(owner.call("POST", path, { headers: stack })), 204)
  const remove = () => status(owner.call("DELETE", `${path}/o`))
  assert.deepEqual([await remove(), await status(owner.call("GET", `${path}/o`))], [204, 404], "as it was before")
  assert.deepEqual([await remove(), (await owner.call("GET", `${path}/o`)).text], [204, "one"])
  assert.deepEqual([await remove(), await remove()], [204, 404])
})

test("an archive is extracted into objects, and containers are made for it", async () => {
  const files = [
    ["bulk-made/a.txt", "first"],
    ["bulk-made/dir/b", "x".repeat(3000)],
    ["bulk-other/c", ""],
    ["no-container", "ignored"],
    ["B A D/d", "a name that no container has"],
  ] as const
  const headers = { Accept: "application/json" }
  const plain = await owner.call("PUT", "?extract-archive=tar", { body: tarOf(files), headers })
  const report = JSON.parse(plain.text) as Record<string, unknown>
  assert.deepEqual(
    [plain.status, report["Number Files Created"], report["Response Status"]],
    [200, 3, "400 Bad Request"],
  )
  assert.deepEqual(report["Errors"], [["B%20A%20D/d", "400 Bad Request"]])
  assert.equal((await owner.call("GET", "/bulk-made/dir/b")).text, "x".repeat(3000))
  assert.equal((await owner.call("GET", "/bulk-made/a.txt")).header("content-type"), "text/plain; charset=utf-8")
  assert.equal((await owner.call("HEAD", "/bulk-other/c")).header("content-length"), "0")
  const zipped = gzipSync(tarOf([["deep/e", "zipped"]]))
  const into = await owner.call("PUT", "/bulk-made/below?extract-archive=tar.gz", { body: zipped })
  assert.match(into.text, /^Number Files Created: 1$/m)
  assert.equal((await owner.call("GET", "/bulk-made/below/deep/e")).text, "zipped")
  const bzipped = spawnSync("bzip2", ["-c"], { input: tarOf([["b", "by bzip2"]]) })
  const inBz2 = await owner.call("PUT", "/bulk-made?extract-archive=tar.bz2", { body: bzipped.stdout ?? "", headers })
  if (bzipped.error === undefined) assert.equal((await owner.call("GET", "/bulk-made/b")).text, "by bzip2", inBz2.text)
  else assert.match(inBz2.text, /501 Not Implemented.*install the package bzip2/)
  const cut = tarOf([
    ["f", "whole"],
    ["g", "y".repeat(5000)],
  ]).subarray(0, 3000)
  const broken = await owner.call("PUT", "/bulk-made?extract-archive=tar", { body: cut, headers })
  assert.match(broken.text, /"Response Status":"400 Bad Request"/)
  assert.deepEqual(
    [await status(owner.call("GET", "/bulk-made/f")), await status(owner.call("GET", "/bulk-made/g"))],
    [200, 404],
  )
  assert.equal(await status(owner.call("PUT", "?extract-archive=rar", { body: "" })), 400)
})

test("an archive that unpacks to much more than its files is read no further, and one of many bytes of a file is", async () => {
  const zeros = Buffer.alloc(80 * 1024 * 1024)
  const headers = { Accept: "application/json" }
  const extract = async (archive: Buffer) => {
    const { text } = await owner.call("PUT", "/bulk-zeros?extract-archive=tar.gz", { body: gzipSync(archive), headers })
    const { "Number Files Created": created, "Response Body": why = "" } = JSON.parse(text) as Record<string, unknown>
    return [created, String(why)]
  }
  const files = tarOf([["a", "first"]])
  assert.deepEqual(await extract(Buffer.concat([files, zeros])), [
    1,
    "Invalid Tar File: it unpacks to too much that is no file",
  ])
  assert.deepEqual(await extract(tarOf([["b", zeros.toString("latin1")]])), [1, ""])
})

test("many objects, and then containers, are deleted by one request, which reports each failure", async () => {
  await container("bulk-deleted")
  await container("bulk-kept")
  for (const name of ["a", "b%20c"]) await put(`/bulk-deleted/${name}`)
  await put("/bulk-kept/o")
  const body = "/bulk-deleted\n/bulk-deleted/a\n/bulk-deleted/b%20c\n/bulk-deleted/missing\n/bulk-kept\n"
  const headers = { "Content-Type": "text/plain", Accept: "application/json" }
  const answer = await owner.call("POST", "?bulk-delete", { body, headers })
  const report = JSON.parse(answer.text) as Record<string, unknown>
  assert.deepEqual([answer.status, report["Number Deleted"], report["Number Not Found"]], [200, 3, 1])
  assert.deepEqual(report["Errors"], [["/bulk-kept", "409 Conflict"]])
  assert.equal(await status(owner.call("HEAD", "/bulk-deleted")), 404)
  assert.equal(await status(owner.call("HEAD", "/bulk-kept/o")), 200)
  assert.equal(await status(stranger.call("POST", `${owner.account}?bulk-delete`, { body: "/bulk-kept/o" })), 403)
})

test("a container is a website for browsers: index, folders, listings, error pages", async () => {
  const path = await container("web-container", {
    "X-Container-Read": ".r:*,.rlistings",
    "X-Container-Meta-Web-Index": "index.html",
    "X-Container-Meta-Web-Error": "error.html",
    "X-Container-Meta-Web-Listings": "true",
  })
  for (const name of ["index.html", "dir/index.html", "photos/a%20%3C.jpg", "404error.html"])
    await put(`${path}/${name}`, `<p>${name}`)
  const read = (target: string) => world.anonymous.call("GET", `${path}${target}`)
  const index = await read("/")
  assert.deepEqual([index.status, index.text], [200, "<p>index.html"])
  const [root, folder] = [await read(""), await read("/dir")]
  assert.deepEqual([root.status, folder.status], [301, 301])
  assert.match(folder.header("location") ?? "", /\/web-container\/dir\/$/)
  assert.equal((await read("/dir/")).text, "<p>dir/index.html")
  const listing = await read("/photos/")
  assert.equal(listing.status, 200)
  assert.match(listing.text, /<title>Listing of [^<]*\/web-container\/photos\/<\/title>/)
  assert.match(listing.text, /a &lt;\.jpg/, "names are escaped")
  const missing = await read("/nothing")
  assert.deepEqual([missing.status, missing.text], [404, "<p>404error.html"])
  assert.match((await owner.call("GET", path)).text, /^404error\.html$/m, "who has signed in sees the container")
  const asWeb = await owner.call("GET", `${path}/`, { headers: { "X-Web-Mode": "true" } })
  assert.equal(asWeb.text, "<p>index.html")
  const hidden = { "X-Container-Read": "", "X-Container-Meta-Web-Error": "" }
  assert.equal((await owner.call("POST", path, { headers: hidden })).status, 204)
  assert.deepEqual([(await read("/")).status, (await read("/photos/")).status], [401, 401])
})

test("the storage policy of a container is the class of its objects, and stays", async () => {
  const path = await container("policy-container", { "X-Storage-Policy": "standard_ia" })
  assert.equal((await owner.call("HEAD", path)).header("x-storage-policy"), "STANDARD_IA")
  await put(`${path}/o`, "x")
  const plain = await container("plain-policy")
  await put(`${plain}/o`, "x")
  const copied = await owner.call("COPY", `${plain}/o`, {
    headers: { Destination: "policy-container/copy" },
  })
  assert.equal(copied.status, 201)
  for (const key of ["o", "copy"]) {
    const head = await world.s3.call("HEAD", { bucket: "policy-container", key })
    assert.equal(head.header("x-amz-storage-class"), "STANDARD_IA", key)
  }
  const again = (policy: string) => status(owner.call("PUT", path, { headers: { "X-Storage-Policy": policy } }))
  assert.deepEqual(
    [await again("STANDARD_IA"), await again("STANDARD"), await again("gold"), await again("GLACIER")],
    [202, 409, 400, 400],
  )
  assert.equal(await status(owner.call("POST", path, { headers: { "X-Container-Meta-A": "1" } })), 204)
  assert.equal((await owner.call("HEAD", path)).header("x-storage-policy"), "STANDARD_IA")
})
