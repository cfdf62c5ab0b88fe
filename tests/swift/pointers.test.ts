/** Objects of Swift that point to others, over the model: dynamic large objects and symbolic links. */
import assert from "node:assert/strict"
import { createHash } from "node:crypto"
import { after, before, test } from "node:test"
import { OWNER, STRANGER } from "../s3/over-model.js"
import { filesOf, serveSwift, type SwiftHeaders, type SwiftUser, type SwiftWorld } from "./world.js"

let world: SwiftWorld
let owner: SwiftUser
let stranger: SwiftUser
before(async () => {
  world = await serveSwift()
  owner = await world.signIn(OWNER)
  stranger = await world.signIn(STRANGER)
  for (const name of ["pointing", "pieces"]) await container(name)
})
after(() => world.stop())

const md5 = (body: string): string => createHash("md5").update(body).digest("hex")

const { container, put, get, read } = filesOf(() => owner)
const statusOf = async (method: string, path: string, headers: SwiftHeaders = {}): Promise<number> =>
  (await owner.call(method, path, { headers })).status

async function makeDynamic(name: string, bodies: readonly string[]): Promise<string> {
  for (const [at, body] of bodies.entries()) await put(`/pieces/${name}/${String(at).padStart(8, "0")}`, body)
  await put(`/pointing/${name}`, "", { "X-Object-Manifest": `pieces/${name}/`, "Content-Type": "text/plain" })
  return `/pointing/${name}`
}

test("a dynamic large object is what is below its prefix, in order, at the moment of the read", async () => {
  const path = await makeDynamic("dynamic", ["one ", "two ", "three"])
  const whole = await get(path)
  const etag = `"${md5([md5("one "), md5("two "), md5("three")].join(""))}"`
  assert.deepEqual(
    ["etag", "content-length", "content-type", "x-object-manifest", "x-static-large-object"].map(name =>
      whole.header(name),
    ),
    [etag, "13", "text/plain", "pieces/dynamic/", undefined],
  )
  assert.equal(whole.text, "one two three")
  const head = await owner.call("HEAD", path)
  assert.deepEqual([head.header("etag"), head.header("content-length")], [etag, "13"])
  assert.deepEqual(await read(path, { Range: "bytes=2-5" }), [206, "e tw"])
  assert.match((await get(path, { Range: "bytes=0-0,8-9" })).text, /\r\n\r\no\r\n[^]*\r\n\r\nth\r\n/)
  assert.equal(await statusOf("GET", path, { Range: "bytes=99-" }), 416)
  assert.equal(await statusOf("GET", path, { "If-None-Match": etag }), 304)
  assert.equal(await statusOf("GET", path, { "If-Match": md5("other") }), 412)
  await put("/pieces/dynamic/00000003", " four")
  assert.deepEqual(await read(path), [200, "one two three four"])
  assert.deepEqual(await read(`${path}?multipart-manifest=get`), [200, ""])
})

test("a dynamic large object without segments is empty, and deleting one leaves its segments", async () => {
  await put("/pointing/empty", "", { "X-Object-Manifest": "pieces/nothing-here" })
  assert.deepEqual(await read("/pointing/empty"), [200, ""])
  const path = await makeDynamic("deleted", ["stays"])
  assert.equal(await statusOf("DELETE", path), 204)
  assert.deepEqual(await read("/pieces/deleted/00000000"), [200, "stays"])
})

test("a POST states where a dynamic large object points, or that it does no longer", async () => {
  await put("/pieces/posted/0", "posted")
  await put("/pointing/posted", "")
  assert.equal(await statusOf("POST", "/pointing/posted", { "X-Object-Manifest": "pieces/posted/" }), 202)
  assert.deepEqual(await read("/pointing/posted"), [200, "posted"])
  assert.equal(await statusOf("POST", "/pointing/posted", { "X-Object-Meta-A": "b" }), 202)
  assert.deepEqual(await read("/pointing/posted"), [200, ""])
})

test("a manifest that names no prefix is refused", async () => {
  for (const value of ["pieces", "pieces/", "/pieces/a", "pieces/a?b"])
    assert.equal(await statusOf("PUT", "/pointing/bad", { "X-Object-Manifest": value }), 400, value)
  assert.equal(await statusOf("GET", "/pointing/bad"), 404)
})

test("a copy of a dynamic large object has its bytes, or points as well if the manifest is asked for", async () => {
  const path = await makeDynamic("copied", ["all ", "bytes"])
  const copied = await owner.call("COPY", path, { headers: { Destination: "pointing/bytes" } })
  assert.deepEqual([copied.status, copied.header("etag")], [201, md5("all bytes")], copied.text)
  const pointing = `${path}?multipart-manifest=get`
  const headers = { Destination: "pointing/pointer", "X-Fresh-Metadata": "true" }
  assert.equal(await statusOf("COPY", pointing, headers), 201)
  await put("/pieces/copied/00000000", "new ")
  assert.deepEqual(
    [await read("/pointing/bytes"), await read("/pointing/pointer")],
    [
      [200, "all bytes"],
      [200, "new bytes"],
    ],
  )
  assert.equal((await owner.call("HEAD", "/pointing/bytes")).header("x-object-manifest"), undefined)
})

test("who reads a dynamic large object needs the rights to list and read its segments", async () => {
  await container("open-pointing", { "X-Container-Read": ".r:*" })
  await container("half-open", { "X-Container-Read": ".r:*" })
  await put("/half-open/a", "a")
  await put("/open-pointing/o", "", { "X-Object-Manifest": "half-open/a" })
  assert.equal((await world.anonymous.call("GET", "/open-pointing/o")).status, 401)
  assert.equal(await statusOf("POST", "/half-open", { "X-Container-Read": ".r:*,.rlistings" }), 204)
  assert.equal((await world.anonymous.call("GET", "/open-pointing/o")).text, "a")
})

test("a symbolic link is read as its target, and says where that is", async () => {
  await put("/pieces/target", "the target", { "X-Object-Meta-Of": "target" })
  await put("/pointing/link", "", { "X-Symlink-Target": "pieces/target", "X-Object-Meta-Of": "link" })
  const answer = await get("/pointing/link")
  assert.deepEqual(
    ["content-location", "x-object-meta-of", "etag", "x-symlink-target"].map(name => answer.header(name)),
    [`${owner.account}/pieces/target`, "target", md5("the target"), undefined],
  )
  assert.equal(answer.text, "the target")
  assert.deepEqual(await read("/pointing/link", { Range: "bytes=4-" }), [206, "target"])
  assert.equal(await statusOf("GET", "/pointing/link", { "If-None-Match": md5("the target") }), 304)
  const link = await owner.call("HEAD", "/pointing/link?symlink=get")
  assert.deepEqual(
    ["content-length", "content-type", "x-object-meta-of", "x-symlink-target", "x-symlink-target-account"].map(name =>
      link.header(name),
    ),
    ["0", "application/symlink", "link", "pieces/target", owner.account.slice("/v1/".length)],
  )
  const [entry] = JSON.parse((await get("/pointing?format=json&prefix=link")).text) as Record<string, unknown>[]
  assert.deepEqual([entry?.["bytes"], entry?.["symlink_path"]], [0, `${owner.account}/pieces/target`])
  await put("/pieces/target", "another")
  assert.deepEqual(await read("/pointing/link"), [200, "another"])
  assert.equal(await statusOf("DELETE", "/pointing/link"), 204)
  assert.deepEqual([await statusOf("GET", "/pointing/link"), await statusOf("GET", "/pieces/target")], [404, 200])
})

test("the account of a link is shown as a header can carry it", async () => {
  for (const account of ["AUTH_a%0D%0AX-Evil:%201", "AUTH_%00", "AUTH_%E2%82%AC"]) {
    await put("/pointing/elsewhere", "", { "X-Symlink-Target": "pieces/o", "X-Symlink-Target-Account": account })
    const shown = await owner.call("HEAD", "/pointing/elsewhere?symlink=get")
    assert.deepEqual([shown.status, shown.header("x-evil")], [200, undefined])
    assert.equal(shown.header("x-symlink-target-account"), account.replace(": 1", "%3A%201").replace(":%20", "%3A%20"))
    assert.equal(await statusOf("GET", "/pointing/elsewhere"), 403)
  }
})

test("a static link holds its target to its ETag", async () => {
  await put("/pieces/pinned", "pinned", { "Content-Type": "text/pinned" })
  const headers = (etag: string) => ({ "X-Symlink-Target": "pieces/pinned", "X-Symlink-Target-Etag": etag })
  assert.equal(await statusOf("PUT", "/pointing/static", headers(md5("other"))), 409)
  const missing = { "X-Symlink-Target": "pieces/missing", "X-Symlink-Target-Etag": md5("x") }
  assert.equal(await statusOf("PUT", "/pointing/static", missing), 409)
  await put("/pointing/static", "", headers(md5("pinned")))
  assert.deepEqual(await read("/pointing/static"), [200, "pinned"])
  const shown = await owner.call("HEAD", "/pointing/static?symlink=get")
  assert.deepEqual(
    [shown.header("x-symlink-target-etag"), shown.header("x-symlink-target-bytes")],
    [md5("pinned"), "6"],
  )
  assert.equal(shown.header("content-type"), "text/pinned", "it has the type of its target unless it states one")
  await put("/pointing/static", "", { ...headers(md5("pinned")), "Content-Type": "text/own" })
  assert.equal((await owner.call("HEAD", "/pointing/static?symlink=get")).header("content-type"), "text/own")
  await put("/pieces/pinned", "changed")
  assert.equal(await statusOf("GET", "/pointing/static"), 409)
  assert.equal(await statusOf("COPY", "/pointing/static", { Destination: "pointing/copy-of-static" }), 409)
})

test("links are followed twice, and no further; one cannot point to itself, and has no body", async () => {
  await put("/pieces/end", "end")
  await put("/pointing/l1", "", { "X-Symlink-Target": "pieces/end" })
  await put("/pointing/l2", "", { "X-Symlink-Target": "pointing/l1" })
  await put("/pointing/l3", "", { "X-Symlink-Target": "pointing/l2" })
  assert.equal((await get("/pointing/l2")).header("content-location"), `${owner.account}/pieces/end`)
  assert.deepEqual([await statusOf("GET", "/pointing/l2"), await statusOf("GET", "/pointing/l3")], [200, 409])
  assert.equal(await statusOf("PUT", "/pointing/self", { "X-Symlink-Target": "pointing/self" }), 400)
  const withBody = await owner.call("PUT", "/pointing/body", {
    body: "x",
    headers: { "X-Symlink-Target": "pieces/end" },
  })
  assert.equal(withBody.status, 400)
  assert.equal(await statusOf("PUT", "/pointing/body", { "X-Symlink-Target": "pieces" }), 412)
  const large = { "X-Symlink-Target": "pieces/end", "X-Object-Manifest": "pieces/e" }
  assert.equal(await statusOf("PUT", "/pointing/body", large), 400)
  assert.equal(await statusOf("GET", "/pointing/body"), 404)
})

test("a POST changes a link, and says where its target is; a copy is of the target, or of the link", async () => {
  await put("/pieces/posted-target", "target")
  await put("/pointing/posted-link", "", { "X-Symlink-Target": "pieces/posted-target" })
  const posted = await owner.call("POST", "/pointing/posted-link", { headers: { "X-Object-Meta-A": "1" } })
  assert.deepEqual([posted.status, posted.header("location")], [307, `${owner.account}/pieces/posted-target`])
  assert.equal((await owner.call("HEAD", "/pointing/posted-link?symlink=get")).header("x-object-meta-a"), "1")
  assert.equal(await statusOf("COPY", "/pointing/posted-link", { Destination: "pointing/of-target" }), 201)
  assert.equal(await statusOf("COPY", "/pointing/posted-link?symlink=get", { Destination: "pointing/of-link" }), 201)
  await put("/pieces/posted-target", "later")
  assert.deepEqual(
    [await read("/pointing/of-target"), await read("/pointing/of-link")],
    [
      [200, "target"],
      [200, "later"],
    ],
  )
})

test("a link into another account needs the rights there", async () => {
  assert.equal((await stranger.call("PUT", "/theirs")).status, 201)
  assert.equal((await stranger.call("PUT", "/theirs/o", { body: "theirs" })).status, 201)
  const account = stranger.account.slice("/v1/".length)
  await put("/pointing/abroad", "", { "X-Symlink-Target": "theirs/o", "X-Symlink-Target-Account": account })
  assert.equal(await statusOf("GET", "/pointing/abroad"), 403)
  const shared = { headers: { "X-Container-Read": owner.account.slice("/v1/AUTH_".length) } }
  assert.equal((await stranger.call("POST", "/theirs", shared)).status, 204)
  assert.deepEqual(await read("/pointing/abroad"), [200, "theirs"])
})
