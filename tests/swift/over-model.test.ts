/** Swift over the model: accounts, containers and objects as its clients see them, and as S3's clients see the same ones. */
import assert from "node:assert/strict"
import { createHash } from "node:crypto"
import { after, before, test } from "node:test"
import type { RawResponse } from "../../conformance/raw-client.js"
import { ownerAccount, OWNER, STRANGER, userKeyOf } from "../s3/over-model.js"
import { filesOf, serveSwift, type SwiftUser, type SwiftWorld } from "./world.js"

const READER = { id: "AKIAREADER", secret: "reader-secret" }

let world: SwiftWorld
let owner: SwiftUser
let stranger: SwiftUser
before(async () => {
  world = await serveSwift({ keys: [userKeyOf(READER, "ann", [])] })
  owner = await world.signIn(OWNER)
  stranger = await world.signIn(STRANGER)
})
after(() => world.stop())

const md5 = (body: string): string => createHash("md5").update(body).digest("hex")

const { container, put } = filesOf(() => owner)
const status = async (answer: Promise<RawResponse>): Promise<number> => (await answer).status

test("a user signs in by key and secret, gets the same token again, and a storage URL", async () => {
  const headers = { "X-Auth-User": `${ownerAccount.number}:${OWNER.id}`, "X-Auth-Key": OWNER.secret }
  const ask = () => world.ask("GET", "/auth/v1.0", headers)
  const secondsOf = (answer: RawResponse) => Number(answer.header("x-auth-token-expires"))
  let [first, second] = [await ask(), await ask()]
  // Each hour has its own token, and one began between the two.
  if (secondsOf(second) > secondsOf(first)) [first, second] = [await ask(), await ask()]
  assert.equal(first.status, 200)
  assert.match(first.header("x-auth-token") ?? "", /^AUTH_tk/)
  assert.equal(first.header("x-auth-token"), second.header("x-auth-token"))
  assert.equal(first.header("x-storage-token"), first.header("x-auth-token"))
  assert.match(
    first.header("x-storage-url") ?? "",
    new RegExp(`^http://127.0.0.1:\\d+/v1/AUTH_${ownerAccount.number}$`),
  )
  assert.ok(secondsOf(first) >= 86_400)
  const older = { "X-Storage-User": OWNER.id, "X-Storage-Pass": OWNER.secret }
  assert.equal(await status(world.ask("GET", `/auth/v1/${ownerAccount.number}/auth`, older)), 200)
})

test("a parameter that only S3 refuses is ignored", async () => {
  const path = `${await container("overrides")}/o`
  await put(path, "body")
  for (const method of ["GET", "HEAD"])
    assert.equal(await status(owner.call(method, `${path}?response-foo=x`)), 200, method)
})

test("a wrong secret, an unknown user, another account's name and a forged token are answered 401", async () => {
  const signIn = (user: string, key: string) =>
    status(world.ask("GET", "/auth/v1.0", { "X-Auth-User": user, "X-Auth-Key": key }))
  assert.equal(await signIn(OWNER.id, "wrong"), 401)
  assert.equal(await signIn("nobody-there", OWNER.secret), 401)
  assert.equal(await signIn(`other:${OWNER.id}`, OWNER.secret), 401)
  assert.equal(await signIn("", ""), 401)
  const answer = await world.ask("GET", "/auth/v1.0", { "X-Auth-User": OWNER.id, "X-Auth-Key": OWNER.secret })
  const token = answer.header("x-auth-token") ?? ""
  const forged = `${token.slice(0, -4)}${token.endsWith("AAAA") ? "BBBB" : "AAAA"}`
  for (const [sent, expected] of [
    [token, 204],
    [forged, 401],
    ["AUTH_tkx", 401],
    ["", 401],
  ] as const)
    assert.equal(await status(world.anonymous.call("HEAD", "", { headers: { "X-Auth-Token": sent } })), expected, sent)
})

test("every answer has an id of its transaction, and errors are pages with their status", async () => {
  for (const answer of [await owner.call("HEAD", ""), await owner.call("GET", "/no-such-container")]) {
    assert.match(answer.header("x-trans-id") ?? "", /^tx[0-9a-f]{16}$/)
    assert.equal(answer.header("x-openstack-request-id"), answer.header("x-trans-id"))
  }
  const missing = await owner.call("GET", "/no-such-container")
  assert.equal(missing.status, 404)
  assert.match(missing.text, /<h1>Not Found<\/h1>/)
  const unsigned = await world.anonymous.call("GET", "")
  assert.equal(unsigned.status, 401)
  assert.match(unsigned.header("www-authenticate") ?? "", /^Swift realm=/)
  const notAllowed = await owner.call("PATCH", "/some-container")
  assert.deepEqual([notAllowed.status, notAllowed.header("allow")], [405, "GET, HEAD, PUT, POST, DELETE"])
})

test("containers are created, changed and removed", async () => {
  const path = await container("first-container", { "X-Container-Meta-Color": "red", "X-Container-Meta-Size": "9" })
  assert.equal(await status(owner.call("PUT", path, { headers: { "X-Container-Meta-Size": "10" } })), 202)
  assert.equal(
    await status(
      owner.call("POST", path, {
        headers: { "X-Remove-Container-Meta-Color": "x", "X-Container-Meta-Shape-Of": "round" },
      }),
    ),
    204,
  )
  const head = await owner.call("HEAD", path)
  assert.equal(head.status, 204)
  assert.equal(head.header("x-container-meta-color"), undefined)
  assert.deepEqual([head.header("x-container-meta-size"), head.header("x-container-meta-shape-of")], ["10", "round"])
  assert.ok(head.headers.some(([name]) => name === "X-Container-Meta-Shape-Of"))
  assert.deepEqual([head.header("x-container-object-count"), head.header("x-container-bytes-used")], ["0", "0"])
  assert.match(head.header("x-timestamp") ?? "", /^\d+\.\d{5}$/)
  await put(`${path}/one`, "12345")
  const used = await owner.call("HEAD", path)
  assert.deepEqual([used.header("x-container-object-count"), used.header("x-container-bytes-used")], ["1", "5"])
  assert.equal(await status(owner.call("DELETE", path)), 409, "it is not empty")
  assert.equal(await status(owner.call("DELETE", `${path}/one`)), 204)
  assert.equal(await status(owner.call("DELETE", path)), 204)
  assert.equal(await status(owner.call("DELETE", path)), 404)
  assert.equal(await status(owner.call("POST", path)), 404)
})

test("metadata beyond its limits, and names that no bucket can have, are refused with the reason", async () => {
  const path = await container("metadata-limits")
  const post = (name: string, value: string) =>
    owner.call("POST", path, { headers: { [`X-Container-Meta-${name}`]: value } })
  assert.equal(await status(post("a".repeat(129), "1")), 400)
  assert.equal(await status(post("a", "1".repeat(257))), 400)
  const many = Object.fromEntries(Array.from({ length: 91 }, (_, i) => [`X-Container-Meta-N${i}`, "1"]))
  assert.equal(await status(owner.call("POST", path, { headers: many })), 400)
  const large = (count: number) =>
    Object.fromEntries(Array.from({ length: count }, (_, i) => [`X-Object-Meta-N${i}`, "v".repeat(250)]))
  await put(`${path}/o`, "x", large(8))
  assert.equal(await status(owner.call("PUT", `${path}/o`, { body: "x", headers: large(9) })), 400)
  assert.equal(await status(owner.call("POST", `${path}/o`, { headers: large(9) })), 400)
  for (const name of ["ab", "With%20Space", "a".repeat(300)]) {
    const answer = await owner.call("PUT", `/${name}`)
    assert.equal(answer.status, 400, name)
    assert.match(answer.text, /a name has|a name begins|characters/, name)
  }
  assert.equal(
    await status(owner.call("GET", "/With%20Space")),
    404,
    "a name that cannot be is that of a missing container",
  )
})

test("objects are stored with their headers and read back, whole and in parts", async () => {
  const path = await container("object-container")
  const body = "0123456789"
  const stored = await put(`${path}/a%20b/c%2Fd`, body, {
    "Content-Type": "text/x-test",
    "Content-Encoding": "identity",
    "Content-Disposition": "attachment",
    "X-Object-Meta-Color": "blue",
    ETag: md5(body),
  })
  assert.equal(stored.header("etag"), md5(body))
  assert.ok(stored.header("last-modified"))
  const read = await owner.call("GET", `${path}/a%20b/c/d`)
  assert.deepEqual([read.status, read.text, read.header("etag")], [200, body, md5(body)])
  assert.deepEqual([read.header("content-type"), read.header("content-encoding")], ["text/x-test", "identity"])
  assert.deepEqual([read.header("x-object-meta-color"), read.header("content-disposition")], ["blue", "attachment"])
  assert.match(read.header("x-timestamp") ?? "", /^\d+\.\d{5}$/)
  const head = await owner.call("HEAD", `${path}/a%20b/c/d`)
  assert.deepEqual([head.status, head.header("content-length"), head.text], [200, "10", ""])
  const part = await owner.call("GET", `${path}/a%20b/c/d`, { headers: { Range: "bytes=2-4" } })
  assert.deepEqual([part.status, part.text, part.header("content-range")], [206, "234", "bytes 2-4/10"])
  assert.equal(await status(owner.call("GET", `${path}/a%20b/c/d`, { headers: { Range: "bytes=10-" } })), 416)
})

test("several ranges are sent as parts of one answer, and too many are refused", async () => {
  const path = await container("ranged-objects")
  await put(`${path}/o`, "0123456789", { "Content-Type": "a/b" })
  const read = (range: string, more: Readonly<Record<string, string>> = {}) =>
    owner.call("GET", `${path}/o`, { headers: { Range: `bytes=${range}`, ...more } })
  const several = await read("0-1,4-5, -2")
  const [, boundary = ""] = /^multipart\/byteranges;boundary=(\w+)$/.exec(several.header("content-type") ?? "") ?? []
  const part = (range: string, text: string) =>
    `--${boundary}\r\nContent-Type: a/b\r\nContent-Range: bytes ${range}/10\r\n\r\n${text}\r\n`
  assert.equal(several.text, `${part("0-1", "01")}${part("4-5", "45")}${part("8-9", "89")}--${boundary}--\r\n`)
  assert.deepEqual([several.status, several.header("content-length")], [206, String(several.text.length)])
  assert.equal((await read("0-1,20-30", { "If-Range": "other" })).text, "0123456789", "the object is another one")
  assert.match((await read("0-1,20-30", { "If-Range": md5("0123456789") })).text, /bytes 0-1\/10/)
  assert.equal((await read("20-30,40-50")).status, 416)
  assert.equal((await read(Array.from({ length: 51 }, () => "0-0").join())).status, 416, "more than 50")
  assert.equal((await read("0-2,2-4,4-6")).status, 206, "two overlaps")
  assert.equal((await read("0-2,2-4,4-6,6-8")).status, 416, "three")
  assert.equal((await read("9-9,8-8,7-7,6-6,5-5,4-4,3-3")).status, 206, "seven in another order")
  assert.equal((await read("1-1,0-0,2-2,3-3,4-4,5-5,6-6,7-7")).status, 416, "eight")
})

test("an upload with another MD5, without a length, or under a condition that fails leaves nothing", async () => {
  const path = await container("refused-uploads")
  const upload = (headers: Readonly<Record<string, string>>) =>
    status(owner.call("PUT", `${path}/o`, { body: "x", headers }))
  assert.equal(await upload({ ETag: md5("other") }), 422)
  assert.equal(await upload({ ETag: "no-md5" }), 422)
  assert.equal(await status(owner.call("GET", `${path}/o`)), 404)
  assert.equal(await status(owner.call("PUT", "/no-such-container/o", { body: "x" })), 404)
  assert.equal(await upload({ "If-None-Match": "*" }), 201)
  assert.equal(await upload({ "If-None-Match": "*" }), 412)
  assert.equal(await status(owner.call("PUT", `${path}/${"k".repeat(1025)}`, { body: "x" })), 400)
  assert.equal(await upload({ "X-Object-Meta-A": "v".repeat(257) }), 400)
  const chunked = await owner.call("PUT", `${path}/chunked`, {
    body: "3\r\nabc\r\n0\r\n\r\n",
    headers: { "Transfer-Encoding": "chunked" },
  })
  assert.equal(chunked.status, 201)
  assert.equal((await owner.call("GET", `${path}/chunked`)).text, "abc")
})

test("conditional reads, and the type that a name suggests", async () => {
  const path = await container("conditional-reads")
  await put(`${path}/page.html`, "<p>")
  const read = (headers: Readonly<Record<string, string>>) =>
    status(owner.call("GET", `${path}/page.html`, { headers }))
  assert.equal(await read({ "If-Match": md5("<p>") }), 200)
  assert.equal(await read({ "If-Match": md5("other") }), 412)
  assert.equal(await read({ "If-None-Match": md5("<p>") }), 304)
  assert.equal(await read({ "If-Modified-Since": "Fri, 01 Jan 2100 00:00:00 GMT" }), 200)
  assert.equal(await read({ "If-Unmodified-Since": "Fri, 01 Jan 1999 00:00:00 GMT" }), 412)
  assert.match((await owner.call("HEAD", `${path}/page.html`)).header("content-type") ?? "", /^text\/html/)
  await put(`${path}/no-extension`, "x")
  assert.equal((await owner.call("HEAD", `${path}/no-extension`)).header("content-type"), "application/octet-stream")
  await put(`${path}/x.html`, "x", { "Content-Type": "a/b", "X-Detect-Content-Type": "true" })
  assert.match((await owner.call("HEAD", `${path}/x.html`)).header("content-type") ?? "", /^text\/html/)
})

test("a POST replaces the metadata of an object and keeps its bytes", async () => {
  const path = await container("posted-objects")
  await put(`${path}/o`, "bytes", { "X-Object-Meta-Old": "1", "Content-Type": "a/b" })
  assert.equal(await status(owner.call("POST", `${path}/o`, { headers: { "X-Object-Meta-New": "2" } })), 202)
  const first = await owner.call("GET", `${path}/o`)
  assert.deepEqual([first.text, first.header("etag"), first.header("content-type")], ["bytes", md5("bytes"), "a/b"])
  assert.deepEqual([first.header("x-object-meta-old"), first.header("x-object-meta-new")], [undefined, "2"])
  assert.equal(await status(owner.call("POST", `${path}/o`, { headers: { "Content-Type": "c/d" } })), 202)
  const second = await owner.call("HEAD", `${path}/o`)
  assert.deepEqual([second.header("content-type"), second.header("x-object-meta-new")], ["c/d", undefined])
  assert.equal(await status(owner.call("POST", `${path}/missing`)), 404)
})

test("copies keep metadata unless the client wants none, in both notations", async () => {
  const path = await container("copied-objects")
  await container("copy-target")
  await put(`${path}/a`, "copied", { "X-Object-Meta-Kept": "1", "X-Object-Meta-Changed": "1", "Content-Type": "a/b" })
  const copied = await owner.call("COPY", `${path}/a`, {
    headers: { Destination: "copy-target/b%20c", "X-Object-Meta-Changed": "2" },
  })
  assert.deepEqual([copied.status, copied.header("x-copied-from")], [201, "copied-objects/a"])
  assert.match(copied.header("x-copied-from-account") ?? "", /^AUTH_/)
  assert.ok(copied.header("x-copied-from-last-modified"))
  const target = await owner.call("GET", "/copy-target/b%20c")
  assert.deepEqual(
    [target.text, target.header("content-type"), target.header("etag")],
    ["copied", "a/b", md5("copied")],
  )
  assert.deepEqual([target.header("x-object-meta-kept"), target.header("x-object-meta-changed")], ["1", "2"])
  const fresh = { "X-Copy-From": "/copied-objects/a", "X-Fresh-Metadata": "true", "X-Object-Meta-Only": "3" }
  assert.equal(await status(owner.call("PUT", "/copy-target/fresh", { headers: fresh })), 201)
  const head = await owner.call("HEAD", "/copy-target/fresh")
  assert.deepEqual([head.header("x-object-meta-kept"), head.header("x-object-meta-only")], [undefined, "3"])
  const copyIf = (headers: Readonly<Record<string, string>>) =>
    status(owner.call("COPY", `${path}/a`, { headers: { Destination: "copy-target/if", ...headers } }))
  assert.equal(await copyIf({ "If-Match": md5("other") }), 412, "conditions are about the source")
  assert.equal(await copyIf({ "If-None-Match": md5("copied") }), 304)
  assert.equal(await status(owner.call("HEAD", "/copy-target/if")), 404)
  assert.equal(await copyIf({ Range: "bytes=0-1" }), 201)
  assert.equal((await owner.call("GET", "/copy-target/if")).text, "co")
  assert.equal(await copyIf({ Range: "bytes=0-1,3-4" }), 501, "one range at most")
  assert.equal(await copyIf({ "If-Match": md5("copied") }), 201)
  assert.equal(await copyIf({ "If-None-Match": "*" }), 412, "the new object exists")
  assert.equal(await status(owner.call("COPY", `${path}/a`)), 412, "no destination")
  assert.equal(await status(owner.call("COPY", `${path}/missing`, { headers: { Destination: "copy-target/x" } })), 404)
  assert.equal(await status(owner.call("COPY", `${path}/a`, { headers: { Destination: "no-such-container/x" } })), 404)
  assert.equal(
    await status(owner.call("PUT", "/copy-target/x", { body: "x", headers: { "X-Copy-From": "/copied-objects/a" } })),
    400,
  )
})

test("objects are removed, and a missing one is reported", async () => {
  const path = await container("removed-objects")
  await put(`${path}/o`)
  assert.equal(await status(owner.call("DELETE", `${path}/o`)), 204)
  assert.equal(await status(owner.call("DELETE", `${path}/o`)), 404)
  assert.equal(await status(owner.call("DELETE", "/no-such-container/o")), 404)
})

const NAMES = ["a", "b/1", "b/2", "c", "d/x/1", "é"]

test("HEAD of an account and of a container has the type of their listing", async () => {
  const path = await container("typed-container")
  for (const target of ["", path]) {
    for (const [query, type] of [
      ["", "text/plain"],
      ["?format=json", "application/json"],
      ["?format=xml", "application/xml"],
    ])
      assert.equal((await owner.call("HEAD", target + query)).header("content-type"), `${type}; charset=utf-8`)
  }
})

test("containers are listed as text, JSON and XML", async () => {
  const path = await container("listed-objects")
  assert.deepEqual(
    [await status(owner.call("GET", path)), await status(owner.call("GET", `${path}?format=json`))],
    [204, 200],
  )
  for (const name of NAMES)
    await put(`${path}/${name.split("/").map(encodeURIComponent).join("/")}`, name, { "Content-Type": "a/b" })
  const text = await owner.call("GET", path)
  assert.deepEqual([text.status, text.text], [200, NAMES.map(name => `${name}\n`).join("")])
  const { headers } = { headers: { Accept: "application/json" } }
  const json = await owner.call("GET", path, { headers })
  const [first] = JSON.parse(json.text) as Record<string, unknown>[]
  assert.deepEqual(
    { ...first, last_modified: "" },
    { name: "a", hash: md5("a"), bytes: 1, content_type: "a/b", last_modified: "" },
  )
  assert.match(String(first?.["last_modified"]), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}$/)
  const xml = await owner.call("GET", `${path}?format=xml&limit=1`)
  assert.match(xml.text, /^<\?xml[^>]+>\n<container name="listed-objects"><object><name>a<\/name><hash>/)
  assert.equal(await status(owner.call("GET", path, { headers: { Accept: "image/png" } })), 400)
  const lines = async (query: string) => (await owner.call("GET", `${path}?${query}`)).text.split("\n").slice(0, -1)
  assert.deepEqual(await lines("prefix=b/"), ["b/1", "b/2"])
  assert.deepEqual(await lines("delimiter=/"), ["a", "b/", "c", "d/", "é"])
  assert.deepEqual(await lines("delimiter=/&prefix=d/"), ["d/x/"])
  assert.deepEqual(await lines("marker=b/1&end_marker=d"), ["b/2", "c"])
  assert.deepEqual(await lines("limit=2"), ["a", "b/1"])
  assert.deepEqual(await lines("path=b"), ["b/1", "b/2"])
  await put(`${path}/with%20a%20space`)
  assert.deepEqual(await lines("prefix=with+a%20"), ["with a space"])
  await owner.call("DELETE", `${path}/with%20a%20space`)
  assert.deepEqual(await lines("path="), ["a", "c", "é"])
  for (const marker of ["d/", "d/x/"]) await put(`${path}/${marker}`)
  assert.deepEqual([await lines("path="), await lines("path=d")], [["a", "c", "d/", "é"], ["d/x/"]], "markers")
  for (const marker of ["d/", "d/x/"]) await owner.call("DELETE", `${path}/${marker}`)
  assert.equal(await status(owner.call("GET", `${path}?versions&format=xml`)), 400)
  assert.ok(Array.isArray(JSON.parse((await owner.call("GET", `${path}?versions`)).text)))
  assert.equal((await owner.call("GET", `${path}?prefix=none`)).header("content-type"), "text/plain; charset=utf-8")
  assert.deepEqual(JSON.parse((await owner.call("GET", `${path}?format=json&delimiter=/&prefix=d`)).text), [
    { subdir: "d/" },
  ])
  assert.equal(await status(owner.call("GET", `${path}?limit=10001`)), 412)
  assert.deepEqual(await lines("reverse=on&limit=2"), ["é", "d/x/1"])
  assert.deepEqual(await lines("reverse=on&marker=d&end_marker=b/1"), ["c", "b/2"])
  assert.deepEqual(await lines("reverse=true&delimiter=/"), ["é", "d/", "c", "b/", "a"])
  // A pseudo-directory is shown if it has an object between the markers.
  assert.deepEqual(await lines("marker=b/1&delimiter=/"), ["b/", "c", "d/", "é"])
  assert.deepEqual(await lines("end_marker=d/x/1&delimiter=/"), ["a", "b/", "c"])
  assert.deepEqual(await lines("end_marker=d/x/2&delimiter=/"), ["a", "b/", "c", "d/"])
  assert.deepEqual(await lines("marker=b/1&end_marker=b/2&delimiter=/"), [])
  assert.deepEqual(await lines("reverse=true&marker=d/x/1&delimiter=/"), ["c", "b/", "a"])
})

test("an account lists its containers, and sums up what they hold", async () => {
  const user = await world.signIn(STRANGER)
  assert.equal(await status(user.call("GET", "")), 204)
  for (const name of ["account-a", "account-b", "other-c"])
    assert.equal(await status(user.call("PUT", `/${name}`)), 201)
  await user.call("PUT", "/account-a/o", { body: "123" })
  assert.equal((await user.call("GET", "")).text, "account-a\naccount-b\nother-c\n")
  const [first] = JSON.parse((await user.call("GET", "?format=json")).text) as Record<string, unknown>[]
  const shown = { name: "account-a", count: 1, bytes: 3, last_modified: "", storage_policy: "STANDARD" }
  assert.deepEqual({ ...first, last_modified: "" }, shown)
  assert.equal(
    (await user.call("GET", "?format=other&limit=1", { headers: { Accept: "text/xml" } })).text,
    "account-a\n",
  )
  const lines = async (query: string) => (await user.call("GET", `?${query}`)).text.split("\n").slice(0, -1)
  assert.deepEqual(await lines("prefix=account"), ["account-a", "account-b"])
  assert.deepEqual(await lines("delimiter=-"), ["account-", "other-"])
  assert.deepEqual(await lines("marker=account-a&limit=1"), ["account-b"])
  assert.deepEqual(await lines("end_marker=account-b"), ["account-a"])
  assert.deepEqual(await lines("reverse=on"), ["other-c", "account-b", "account-a"])
  const head = await user.call("HEAD", "")
  const counts = ["container-count", "object-count", "bytes-used"].map(name => head.header(`x-account-${name}`))
  assert.deepEqual([head.status, ...counts], [204, "3", "1", "3"])
  assert.equal(await status(user.call("PUT", "/cold-d", { headers: { "X-Storage-Policy": "STANDARD_IA" } })), 201)
  await user.call("PUT", "/cold-d/o", { body: "12345" })
  const both = await user.call("HEAD", "")
  const ofPolicy = (name: string) => both.header(`x-account-storage-policy-${name}`)
  assert.deepEqual(
    [ofPolicy("standard-container-count"), ofPolicy("standard-bytes-used"), ofPolicy("standard_ia-bytes-used")],
    ["3", "3", "5"],
  )
  assert.equal(await status(owner.call("GET", user.account)), 403, "of another account")
})

test("an account's root user sets its metadata, item by item", async () => {
  const post = (headers: Readonly<Record<string, string>>, user = owner) => status(user.call("POST", "", { headers }))
  assert.equal(await post({ "X-Account-Meta-Color": "red", "X-Account-Meta-Size": "9" }), 204)
  assert.equal(await post({ "X-Account-Meta-Size": "10" }), 204)
  assert.equal(await post({ "X-Remove-Account-Meta-Color": "x" }), 204)
  const head = await owner.call("HEAD", "")
  assert.deepEqual([head.header("x-account-meta-color"), head.header("x-account-meta-size")], [undefined, "10"])
  assert.equal(await post({ "X-Account-Meta-Size": "" }), 204)
  assert.equal((await owner.call("HEAD", "")).header("x-account-meta-size"), undefined)
  assert.equal(await post({ "X-Account-Meta-A": "1" }, await world.signIn(READER)), 403, "a user")
})

test("a container is only in the account that its path names", async () => {
  await container("one-accounts-only")
  await put("/one-accounts-only/o", "x")
  assert.equal(await status(stranger.call("GET", "/one-accounts-only")), 404)
  assert.equal(await status(stranger.call("GET", "/one-accounts-only/o")), 404)
  const taken = await stranger.call("PUT", "/one-accounts-only")
  assert.equal(taken.status, 409)
  assert.match(taken.text, /taken by a container of another account/)
  const path = `${owner.account}/one-accounts-only/o`
  assert.equal(await status(stranger.call("GET", path)), 403)
})

test("access lists let others read, list and write, and nothing beyond", async () => {
  const path = await container("shared-container")
  await put(`${path}/o`, "shared")
  const at = (suffix: string) => `${owner.account}${path}${suffix}`
  const set = (headers: Readonly<Record<string, string>>) => status(owner.call("POST", path, { headers }))
  const strangerNumber = stranger.account.slice("/v1/AUTH_".length)
  assert.equal(await set({ "X-Container-Read": strangerNumber }), 204)
  assert.equal((await stranger.call("GET", at("/o"))).text, "shared")
  assert.equal(await status(stranger.call("GET", at(""))), 200)
  assert.equal(await status(stranger.call("PUT", at("/p"), { body: "x" })), 403)
  assert.equal(await status(stranger.call("POST", at(""), { headers: { "X-Container-Read": ".r:*" } })), 403)
  assert.equal((await stranger.call("HEAD", at(""))).header("x-container-read"), undefined, "only owners see lists")
  assert.equal(await set({ "X-Container-Write": `${strangerNumber}:${STRANGER.id}`, "X-Container-Read": "" }), 204)
  assert.equal(await status(stranger.call("PUT", at("/p"), { body: "x" })), 201)
  assert.equal(await status(stranger.call("DELETE", at("/p"))), 204)
  assert.equal(await status(stranger.call("GET", at("/o"))), 403)
  assert.equal(await set({ "X-Remove-Container-Write": "x" }), 204)
  assert.equal(await status(stranger.call("PUT", at("/p"), { body: "x" })), 403)
  const reader = await world.signIn(READER)
  assert.equal(await status(reader.call("GET", `${path}/o`)), 403, "a user without policies")
  assert.equal(await set({ "X-Container-Read": `${ownerAccount.number}:ann` }), 204)
  assert.equal(await status(reader.call("GET", `${path}/o`)), 200)
})

test("referrers are let in by the later item, and list only with .rlistings", async () => {
  const path = await container("public-container")
  await put(`${path}/o`, "public")
  const from = (referer?: string) =>
    status(world.anonymous.call("GET", `${path}/o`, referer === undefined ? {} : { headers: { Referer: referer } }))
  const set = async (list: string) => {
    const answer = await owner.call("POST", path, { headers: { "X-Container-Read": list } })
    assert.equal(answer.status, 204, answer.text)
  }
  assert.equal(await from(), 401)
  await set(".r:*")
  assert.deepEqual([await from(), await status(world.anonymous.call("GET", path))], [200, 401])
  await set(".r:*,.rlistings")
  assert.equal(await status(world.anonymous.call("GET", path)), 200)
  await set(".r:*.example.com, .r:-bad.example.com")
  assert.equal((await owner.call("HEAD", path)).header("x-container-read"), ".r:.example.com,.r:-bad.example.com")
  assert.deepEqual(
    [
      await from("http://www.example.com/x"),
      await from("http://bad.example.com/"),
      await from("http://example.org/"),
      await from(),
    ],
    [200, 401, 401, 401],
  )
  await set("*:*")
  assert.deepEqual([await from(), await status(stranger.call("GET", `${owner.account}${path}/o`))], [401, 200])
  const block =
    "<PublicAccessBlockConfiguration><IgnorePublicAcls>true</IgnorePublicAcls></PublicAccessBlockConfiguration>"
  const at = { bucket: "public-container", query: "publicAccessBlock" }
  assert.equal((await world.s3.call("PUT", { ...at, body: block })).status, 200)
  assert.equal(await status(stranger.call("GET", `${owner.account}${path}/o`)), 403, "public lists are ignored")
  await set(".r:*")
  assert.equal(await from(), 401)
  assert.equal((await world.s3.call("DELETE", at)).status, 204)
  assert.equal(await from(), 200)
  for (const list of [".r:", ".unknown", ".r:-"])
    assert.equal(await status(owner.call("POST", path, { headers: { "X-Container-Read": list } })), 400, list)
  assert.equal(await status(owner.call("POST", path, { headers: { "X-Container-Write": ".r:*" } })), 400)
})

test("a policy of S3 that denies wins over an access list", async () => {
  const path = await container("denied-by-policy")
  await put(`${path}/o`, "x")
  assert.equal(await status(owner.call("POST", path, { headers: { "X-Container-Read": ".r:*" } })), 204)
  const policy = JSON.stringify({
    Version: "2012-10-17",
    Statement: [
      { Effect: "Deny", Principal: "*", Action: "s3:GetObject", Resource: "arn:aws:s3:::denied-by-policy/*" },
    ],
  })
  assert.equal(await status(world.anonymous.call("GET", `${path}/o`)), 200)
  const set = await world.s3.call("PUT", { bucket: "denied-by-policy", query: "policy", body: policy })
  assert.equal(set.status, 204, set.text)
  assert.equal(await status(world.anonymous.call("GET", `${path}/o`)), 401)
})

test("one store: what Swift writes S3 reads, and the reverse", async () => {
  await container("one-store")
  await put("/one-store/from-swift", "written by swift", { "X-Object-Meta-Color": "red", "Content-Type": "a/b" })
  const read = await world.s3.call("GET", { bucket: "one-store", key: "from-swift" })
  assert.deepEqual([read.text, read.header("etag")], ["written by swift", `"${md5("written by swift")}"`])
  assert.deepEqual([read.header("x-amz-meta-color"), read.header("content-type")], ["red", "a/b"])
  const headers = { "x-amz-meta-shape": "round", "content-type": "c/d" }
  await world.s3.call("PUT", { bucket: "one-store", key: "from-s3", body: "written by s3", headers })
  const swift = await owner.call("GET", "/one-store/from-s3")
  assert.deepEqual([swift.text, swift.header("etag")], ["written by s3", md5("written by s3")])
  assert.deepEqual([swift.header("x-object-meta-shape"), swift.header("content-type")], ["round", "c/d"])
  await world.s3.call("PUT", { bucket: "made-by-s3" })
  assert.match((await owner.call("GET", "")).text, /^made-by-s3$/m)
})

test("a multipart object of S3 is a large object of Swift: its ETag is no MD5, and clients delete it as one", async () => {
  await container("of-parts")
  const at = { bucket: "of-parts", key: "large" }
  const created = await world.s3.call("POST", { ...at, query: "uploads" })
  const [, id = ""] = /<UploadId>([^<]+)</.exec(created.text) ?? []
  const part = await world.s3.call("PUT", { ...at, query: `partNumber=1&uploadId=${id}`, body: "the only part" })
  const parts = `<Part><PartNumber>1</PartNumber><ETag>${part.header("etag") ?? ""}</ETag></Part>`
  const body = `<CompleteMultipartUpload>${parts}</CompleteMultipartUpload>`
  assert.equal((await world.s3.call("POST", { ...at, query: `uploadId=${id}`, body })).status, 200)
  const read = await owner.call("GET", "/of-parts/large")
  assert.deepEqual([read.text, read.header("x-static-large-object")], ["the only part", "True"])
  assert.match(read.header("etag") ?? "", /-1$/)
  assert.equal(await status(owner.call("GET", "/of-parts/large?multipart-manifest=get")), 501)
  await put("/of-parts/small", "x")
  assert.equal((await owner.call("GET", "/of-parts/small")).header("x-static-large-object"), undefined)
  const headers = { Accept: "application/json" }
  const remove = async (name: string) =>
    JSON.parse((await owner.call("DELETE", `/of-parts/${name}?multipart-manifest=delete`, { headers })).text) as Record<
      string,
      unknown
    >
  assert.equal((await remove("large"))["Number Deleted"], 1)
  assert.deepEqual((await remove("small"))["Errors"], [["/of-parts/small", "400 Bad Request"]])
  assert.equal((await remove("large"))["Number Not Found"], 1)
  assert.deepEqual(
    [await status(owner.call("GET", "/of-parts/large")), await status(owner.call("GET", "/of-parts/small"))],
    [404, 200],
  )
})

test("what is not built is refused by name", async () => {
  const path = await container("refused-features")
  const refused = async (answer: Promise<RawResponse>, what: RegExp) => {
    const { status: found, text } = await answer
    assert.deepEqual([found, what.test(text)], [501, true], text)
  }
  await refused(owner.call("GET", "/v1/SERVICE_x/c/o", { headers: { "X-Service-Token": "t" } }), /X-Service-Token/)
  const quota = { "X-Account-Quota-Bytes-Policy-STANDARD": "1" }
  await refused(owner.call("POST", "", { headers: quota }), /x-account-quota-bytes-policy-standard/)
  assert.equal(await status(owner.call("GET", `${path}/o`)), 404, "nothing was stored")
  await put(`${path}/kept`, "kept")
  await refused(owner.call("DELETE", `${path}/kept`, { headers: { "X-If-Delete-At": "1" } }), /X-If-Delete-At/)
  assert.equal((await owner.call("GET", `${path}/kept`)).text, "kept")
})

test("without realms no container is synchronized, and no other cluster gets in", async () => {
  const path = await container("sync-without-realms")
  const keyed = { "X-Container-Sync-To": "//r/c/a/c", "X-Container-Sync-Key": "key" }
  const to = await owner.call("POST", path, { headers: keyed })
  assert.deepEqual([to.status, /in no realm/.test(to.text)], [400, true])
  assert.equal((await owner.call("POST", path, { headers: { "X-Container-Sync-Key": "key" } })).status, 400)
  assert.equal((await owner.call("HEAD", path)).header("x-container-sync-key"), undefined)
  const signed = { "X-Container-Sync-Auth": `r n ${"0".repeat(40)}`, "X-Timestamp": "1700000000.00000" }
  assert.equal(await status(owner.call("PUT", `${path}/o`, { headers: signed })), 401)
  assert.equal(await status(owner.call("GET", `${path}/o`)), 404, "nothing was stored")
})

test("capabilities and health need no token", async () => {
  const info = JSON.parse((await world.ask("GET", "/info")).text) as { swift: Record<string, unknown> }
  assert.deepEqual([info.swift["container_listing_limit"], info.swift["max_meta_count"]], [10_000, 90])
  for (const name of [
    "tempurl",
    "formpost",
    "bulk_delete",
    "bulk_upload",
    "versioned_writes",
    "staticweb",
    "slo",
    "dlo",
    "symlink",
  ])
    assert.ok(name in info, name)
  const health = await world.ask("GET", "/healthcheck")
  assert.deepEqual([health.status, health.text], [200, "OK"])
  assert.equal(await status(world.ask("GET", "/v2/x")), 412)
  assert.equal(await status(world.ask("GET", "/v1/")), 412)
  for (const path of ["/v1//c/o", `${owner.account}//o`, "/v1///o"])
    assert.equal(await status(owner.call("GET", path)), 404, path)
  assert.equal(await status(owner.call("GET", "/container/nul%00")), 412)
})
