/** The filters that the server brings, before Swift and S3 over one model: what a client sees of each. */
import assert from "node:assert/strict"
import { after, before, test } from "node:test"
import { isFailure } from "@hayloft/base/failures.js"
import { builtInFilter } from "@hayloft/protocols/filters/index.js"
import { ownerAccount, OWNER } from "../s3/over-model.js"
import { serveSwift, type SwiftHeaders, type SwiftUser, type SwiftWorld } from "./world.js"

interface Place {
  readonly world: SwiftWorld
  readonly owner: SwiftUser
}

async function serve(...filters: readonly string[]): Promise<Place> {
  const world = await serveSwift({}, undefined, filters.map(builtInFilter))
  return { world, owner: await world.signIn(OWNER) }
}

let named: Place
before(async () => {
  named = await serve("name-check", "crossdomain=*.example.com www.example.org", "domain-remap=Storage.example.com")
})
after(() => named.world.stop())

test("read-only: clients of both protocols sign in and read; what writes is answered 405", async () => {
  const { world, owner } = await serve("read-only")
  try {
    assert.equal((await owner.call("GET", "")).status, 204)
    for (const [method, path] of [
      ["PUT", "/some-container"],
      ["POST", ""],
      ["DELETE", "/some-container/object"],
      ["COPY", "/some-container/object"],
      ["PUT", ""],
    ] as const) {
      const answer = await owner.call(method, path)
      assert.deepEqual([answer.status, answer.header("allow")], [405, "GET, HEAD, OPTIONS"], `${method} ${path}`)
      assert.match(answer.text, /writes are disabled/)
      assert.match(answer.header("x-trans-id") ?? "", /^tx/)
    }
    const answer = await world.s3.call("PUT", { bucket: "some-bucket" })
    assert.equal(answer.status, 405)
    assert.match(answer.text, /<Code>MethodNotAllowed<\/Code><Message>writes are disabled/)
    assert.equal((await world.s3.call("GET", {})).status, 200)
  } finally {
    await world.stop()
  }
})

test("name-check: names with quotes, angle brackets and dot segments, and long paths, are answered 400", async () => {
  const { owner } = named
  assert.equal((await owner.call("PUT", "/checked-names")).status, 201)
  const status = async (method: string, path: string, headers: SwiftHeaders = {}): Promise<number> =>
    (await owner.call(method, `/checked-names/${path}`, { headers })).status
  for (const path of ["a%22b", "a'b", "a%3Cb", "a%3e", "%60", "./a", "a/../b", "a/%2E%2E", "a/.", "x".repeat(250)])
    assert.equal(await status("PUT", path), 400, path)
  for (const path of [".a", "a..b", "..a/b", "a/.../b", "x".repeat(200)])
    assert.equal(await status("PUT", path), 201, path)
  assert.equal(await status("COPY", ".a", { Destination: "checked-names/b%3Cc" }), 400)
  assert.equal(await status("COPY", ".a", { Destination: "checked-names/b" }), 201)
  assert.equal((await named.world.s3.call("PUT", { bucket: "checked-names", key: "a'b" })).status, 400)
})

test("crossdomain: the policy names the domains, without a token, and only Swift's port has it", async () => {
  const answer = await named.world.ask("GET", "/crossdomain.xml")
  assert.deepEqual([answer.status, answer.header("content-type")], [200, "application/xml"])
  assert.match(answer.text, /^<\?xml .*<cross-domain-policy>\n<allow-access-from domain="\*\.example\.com" \/>\n/s)
  assert.match(answer.text, /<allow-access-from domain="www\.example\.org" \/>\n<\/cross-domain-policy>$/)
  assert.doesNotMatch((await named.world.s3.send("GET", "/crossdomain.xml")).text, /allow-access-from/)
})

test("domain-remap: the host names the account and the container; redirects stay below the host", async () => {
  const { owner, world } = named
  const account = `AUTH-${ownerAccount.number}`
  const headers = { "X-Container-Read": ".r:*,.rlistings", "X-Container-Meta-Web-Index": "index.html" }
  assert.equal((await owner.call("PUT", "/site.of-a-user", { headers })).status, 201)
  for (const name of ["index.html", "sub/index.html", "a%20b"])
    assert.equal((await owner.call("PUT", `/site.of-a-user/${name}`, { body: `page ${name}` })).status, 201)
  const at = async (host: string, path: string) => world.ask("GET", path, { Host: host })
  const site = `site.of-a-user.${account.toLowerCase()}.storage.EXAMPLE.com:8080`
  assert.equal((await at(site, "/")).text, "page index.html")
  assert.equal((await at(site, "/a%20b?ignored=1")).text, "page a%20b")
  assert.equal((await at(`${account}.storage.example.com`, "/site.of-a-user/index.html")).text, "page index.html")
  const redirect = await at(site, "/sub")
  assert.deepEqual([redirect.status, redirect.header("location")], [301, "/sub/"])
  assert.equal((await at(site, "/sub/")).text, "page sub/index.html")
  const token = { "X-Auth-Token": owner.token ?? "" }
  const listed = await world.ask("GET", "/", { ...token, Host: `${account}.storage.example.com` })
  assert.match(listed.text, /^site\.of-a-user$/m)
  for (const host of ["storage.example.com", "site.of-a-user.other.storage.example.com", "a.notstorage.example.com"])
    assert.equal((await at(host, "/index.html")).status, 412, `${host} is left alone`)
})

test("a filter that is unknown, or whose value it does not take, is refused with what it takes", () => {
  const refused = (text: string, pattern: RegExp) =>
    assert.throws(
      () => builtInFilter(text),
      (error: unknown) => isFailure(error, "invalidConfig") && pattern.test(error.message),
      text,
    )
  refused("readonly", /one of read-only, name-check, crossdomain, domain-remap/)
  refused("read-only=yes", /is not read-only/)
  for (const text of ["crossdomain", "crossdomain=", 'crossdomain=a"b', "domain-remap= "]) refused(text, /DOMAIN/)
  for (const text of ["name-check=", "name-check=0", "name-check=9000", "name-check=x"]) refused(text, /1 to 8192/)
})

test("gatekeeper: internal headers of Swift are neither stored nor answered, and no clock of a client is believed", async () => {
  const { owner } = named
  const internal = (kind: string): SwiftHeaders => ({
    [`X-${kind}-Sysmeta-Color`]: "red",
    [`X-${kind}-Transient-Sysmeta-Color`]: "red",
    "X-Backend-Storage-Policy-Index": "1",
    "X-Timestamp": "2000000000.00000",
  })
  assert.equal((await owner.call("PUT", "/gatekeeper", { headers: internal("Container") })).status, 201)
  assert.equal((await owner.call("PUT", "/gatekeeper/o", { headers: internal("Object"), body: "1" })).status, 201)
  assert.equal((await owner.call("POST", "", { headers: internal("Account") })).status, 204)
  for (const path of ["", "/gatekeeper", "/gatekeeper/o"]) {
    const { headers } = await owner.call("HEAD", path)
    const text = headers.flat().join("\n").toLowerCase()
    assert.doesNotMatch(text, /sysmeta|backend|red$|x-timestamp\n2000000000/m, path)
  }
})

test("catch_errors: what breaks inside is answered 500 with the transaction's id and without its text", async () => {
  const broken = { name: "broken", handle: () => Promise.reject(new Error("the text of a bug")) }
  const world = await serveSwift({}, undefined, [
    { ...broken, handle: (exchange, next) => (exchange.rawTarget === "/broken" ? broken.handle() : next(exchange)) },
  ])
  try {
    const answer = await world.ask("GET", "/broken")
    assert.equal(answer.status, 500)
    assert.match(answer.header("x-trans-id") ?? "", /^tx[0-9a-f]{16}$/)
    assert.doesNotMatch(answer.text, /text of a bug/)
    const [logged] = world.telemetry.entries("request_failed")
    assert.match(String(logged?.fields["stack"]), /the text of a bug/)
    assert.equal(`tx${String(logged?.fields["requestId"]).toLowerCase()}`, answer.header("x-trans-id"))
  } finally {
    await world.stop()
  }
})

test("proxy_logging: each request has a line and a metric with its operation, and no secret", async () => {
  const { owner, world } = named
  const answer = await owner.call("GET", "/no-container-of-this-name")
  const id = (answer.header("x-trans-id") ?? "").slice(2)
  const line = () =>
    world.telemetry.entries("request").find(({ fields }) => String(fields["requestId"]).toLowerCase() === id)
  const { server, operation, bucket, status, failure } = line()?.fields ?? {}
  assert.deepEqual(
    { server, operation, bucket, status, failure },
    {
      server: "swift",
      operation: "Swift GET container",
      bucket: "no-container-of-this-name",
      status: 404,
      failure: "noSuchBucket",
    },
  )
  assert.ok(!JSON.stringify(world.telemetry.entries("request")).includes(owner.token ?? ""))
  const labels = { server: "swift", operation: "Swift GET container", status: "404" }
  assert.equal(world.telemetry.metric("hayloft_http_requests_total", labels), 1)
})

test("listing_formats: a listing is text, JSON or XML, by the query before Accept, and others are refused", async () => {
  const { owner } = named
  assert.equal((await owner.call("PUT", "/listing-formats")).status, 201)
  assert.equal((await owner.call("GET", "/listing-formats")).status, 204, "an empty text")
  assert.equal((await owner.call("PUT", "/listing-formats/a", { body: "1" })).status, 201)
  const typeOf = async (query: string, accept: string): Promise<string | undefined> =>
    (await owner.call("GET", `/listing-formats${query}`, { headers: { Accept: accept } })).header("content-type")
  assert.equal(await typeOf("", "*/*"), "text/plain; charset=utf-8")
  assert.equal(await typeOf("", "application/json;q=0.5, text/xml"), "application/xml; charset=utf-8")
  assert.equal(await typeOf("?format=json", "text/xml"), "application/json; charset=utf-8")
  assert.equal((await owner.call("GET", "/listing-formats", { headers: { Accept: "image/png" } })).status, 400)
})

test("etag_quoter: ETags are in quotes where the container wants it, or its account and the container does not say", async () => {
  const { owner } = named
  const [path, md5] = ["/etag-quoter", "c4ca4238a0b923820dcc509a6f75849b"]
  const choose = async (place: string, headers: SwiftHeaders) =>
    assert.ok((await owner.call("POST", place, { headers })).status === 204)
  const etags = async (): Promise<readonly (string | undefined)[]> => {
    const put = await owner.call("PUT", `${path}/o`, { body: "1" })
    const [get, head] = [await owner.call("GET", `${path}/o`), await owner.call("HEAD", `${path}/o`)]
    const same = await owner.call("GET", `${path}/o`, { headers: { "If-None-Match": `"${md5}"` } })
    const copy = await owner.call("COPY", `${path}/o`, { headers: { Destination: "etag-quoter/copy" } })
    assert.deepEqual([put.status, get.status, head.status, same.status, copy.status], [201, 200, 200, 304, 201])
    return [...new Set([put, get, head, same, copy].map(answer => answer.header("etag")))]
  }
  assert.equal((await owner.call("PUT", path)).status, 201)
  const [plain, quoted] = [[md5], [`"${md5}"`]]
  assert.deepEqual(await etags(), plain)
  await choose(path, { "X-Container-Rfc-Compliant-Etags": "true" })
  assert.equal((await owner.call("HEAD", path)).header("x-container-rfc-compliant-etags"), "True")
  assert.deepEqual(await etags(), quoted)
  assert.match((await owner.call("GET", `${path}?format=json`)).text, new RegExp(`"hash":"${md5}"`))
  await choose(path, { "X-Container-Rfc-Compliant-Etags": "" })
  await choose("", { "X-Account-Rfc-Compliant-Etags": "yes" })
  const heads = [await owner.call("HEAD", path), await owner.call("HEAD", "")]
  assert.equal(heads[0]?.header("x-container-rfc-compliant-etags"), undefined)
  assert.equal(heads[1]?.header("x-account-rfc-compliant-etags"), "True")
  assert.deepEqual(await etags(), quoted)
  await choose(path, { "X-Container-Rfc-Compliant-Etags": "false", "X-Container-Meta-Color": "red" })
  assert.deepEqual(await etags(), plain)
  await choose(path, { "X-Remove-Container-Rfc-Compliant-Etags": "x" })
  assert.deepEqual(await etags(), quoted)
  await choose("", { "X-Remove-Account-Rfc-Compliant-Etags": "x" })
  assert.deepEqual(await etags(), plain)
  assert.equal((await owner.call("HEAD", path)).header("x-container-meta-color"), "red")
})
