/**
 * Container sync between two real servers, in both directions: what is written, changed or removed in one container is the same
 * in the other soon, with the same timestamp, also after a crash and while the other server is away.
 */
import assert from "node:assert/strict"
import { createHmac } from "node:crypto"
import { mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { after, before, test } from "node:test"
import type { RawResponse } from "../../conformance/raw-client.js"
import { freePort } from "../harness/free-port.js"
import { CREDENTIALS, ServerProcess } from "../harness/server.js"
import { until } from "@hayloft/base/seams/clock/testing-until.js"
import { SwiftUser } from "./world.js"

const REALM_KEY = "key of the realm"
const KEY = "key of the containers"
/** Several pages of changes. */
const WRITTEN = 140
/** Between looks for what arrives, of which each costs a server time. */
const ARRIVAL_LOOK_MS = 250

interface Cluster {
  readonly server: ServerProcess
  readonly user: SwiftUser
  readonly port: number
}

let folder = ""
let one: Cluster
let two: Cluster
const stop: (() => Promise<void>)[] = []

async function start(name: string, port: number, realms: string): Promise<Cluster> {
  const args = ["--swift-listen", `127.0.0.1:${port}`, "--swift-sync-realms", realms]
  // The jobs that synchronize rest less than in a store of users.
  const env = { HAYLOFT_TEST_HASTE: "8" }
  const server = await ServerProcess.start({ folders: [join(folder, name)], args, env })
  stop.push(() => server.kill())
  const headers = { "X-Auth-User": CREDENTIALS.accessKey, "X-Auth-Key": CREDENTIALS.secretKey }
  const signedIn = await fetch(`http://127.0.0.1:${port}/auth/v1.0`, { headers })
  const url = new URL(signedIn.headers.get("x-storage-url") ?? "")
  return { server, user: new SwiftUser(port, signedIn.headers.get("x-auth-token") ?? "", url.pathname), port }
}

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "hayloft-container-sync-"))
  const ports = [await freePort(), await freePort()] as const
  const realms = join(folder, "realms.conf")
  const clusters = ports.map((port, index) => `cluster_${["one", "two"][index]} = http://127.0.0.1:${port}/v1/`)
  await writeFile(
    realms,
    ["[DEFAULT]", "mtime_check_interval = 300", "[there]", `key = ${REALM_KEY}`, ...clusters].join("\n"),
  )
  one = await start("one", ports[0], realms)
  two = await start("two", ports[1], realms)
})
after(async () => {
  for (const end of stop) await end()
  await rm(folder, { recursive: true, force: true })
})

const accountOf = ({ user }: Cluster): string => user.account.slice("/v1/".length)

/** A container in each, each synchronized with the other. */
async function synchronized(name: string): Promise<void> {
  for (const [cluster, other, of] of [
    [one, two, "TWO"],
    [two, one, "one"],
  ] as const) {
    const headers = {
      "X-Container-Sync-To": `//There/${of}/${accountOf(other)}/${name}-${of.toLowerCase()}`,
      "X-Container-Sync-Key": KEY,
    }
    const own = of === "TWO" ? "one" : "two"
    const made = await cluster.user.call("PUT", `/${name}-${own}`, { headers })
    assert.ok(made.status === 201 || made.status === 202, made.text)
  }
}

const arrives = (what: string, isThere: () => Promise<boolean>): Promise<void> =>
  until(`${what} arrives`, isThere, ARRIVAL_LOOK_MS)

/** Waits until an object is the same in the other cluster. */
async function arrived(there: Cluster, path: string, original: RawResponse): Promise<RawResponse> {
  let found: RawResponse | undefined
  const isThere = async (): Promise<boolean> => {
    found = await there.user.call("GET", path)
    return found.status === 200 && found.header("x-timestamp") === original.header("x-timestamp")
  }
  await arrives(path, isThere)
  assert.ok(found)
  return found
}

const signed = (method: string, path: string, timestamp: string, key = KEY) => {
  const signature = createHmac("sha1", REALM_KEY)
    .update([method, path, timestamp, "nonce", key].join("\n"))
    .digest("hex")
  return { "X-Timestamp": timestamp, "X-Container-Sync-Auth": `THERE nonce ${signature}` }
}

test("what was there, is written, is changed and is removed is the same in the other container", async () => {
  await one.user.call("PUT", "/photos-one")
  await one.user.call("PUT", "/photos-one/before", { body: "was there" })
  await synchronized("photos")
  const expires = String(Math.floor(Date.now() / 1000) + 3600)
  const headers = {
    "Content-Type": "text/x-poem",
    "X-Object-Meta-Colour": "r\u00c3\u00b6d",
    "X-Delete-At": expires,
    "Content-Encoding": "identity",
    "Content-Disposition": "inline",
  }
  const names = ["poem", "a/../b", "%C3%BCber%20%25%3F%23", "//x//", "."]
  for (const name of names) {
    assert.equal((await one.user.call("PUT", `/photos-one/${name}`, { headers, body: `of ${name}` })).status, 201)
  }
  for (const name of names) {
    const original = await one.user.call("GET", `/photos-one/${name}`)
    const copy = await arrived(two, `/photos-two/${name}`, original)
    assert.equal(copy.text, `of ${name}`)
    for (const header of [
      "etag",
      "content-type",
      "x-object-meta-colour",
      "x-delete-at",
      "content-disposition",
      "last-modified",
    ])
      assert.equal(copy.header(header), original.header(header), header)
  }
  const before = await one.user.call("GET", "/photos-one/before")
  assert.equal((await arrived(two, "/photos-two/before", before)).text, "was there")
  assert.equal(
    (await one.user.call("POST", "/photos-one/poem", { headers: { "X-Object-Meta-Colour": "blue" } })).status,
    202,
  )
  const changed = await one.user.call("GET", "/photos-one/poem")
  assert.equal((await arrived(two, "/photos-two/poem", changed)).header("x-object-meta-colour"), "blue")
  // And back: the later change wins, wherever it was made.
  assert.equal((await two.user.call("PUT", "/photos-two/poem", { body: "by two" })).status, 201)
  assert.equal((await arrived(one, "/photos-one/poem", await two.user.call("GET", "/photos-two/poem"))).text, "by two")
  assert.equal((await two.user.call("DELETE", "/photos-two/a/../b")).status, 204)
  const isGone = async (): Promise<boolean> => (await one.user.call("GET", "/photos-one/a/../b")).status === 404
  await arrives("the removal", isGone)
  assert.equal((await two.user.call("GET", "/photos-two/a/../b")).status, 404)
})

test("large objects and links arrive as what they are", async () => {
  await synchronized("large")
  const segments = ["a", "b"].map(letter => ({ name: `part-${letter}`, body: letter.repeat(1000) }))
  for (const { name, body } of segments) await one.user.call("PUT", `/large-one/${name}`, { body })
  for (const [there, container] of [
    [one, "large-one"],
    [two, "large-two"],
  ] as const) {
    const path = `/${container}/part-b`
    await arrived(there, path, await one.user.call("GET", "/large-one/part-b"))
  }
  await one.user.call("PUT", "/large-one/dynamic", { headers: { "X-Object-Manifest": "large-one/part-" } })
  await one.user.call("PUT", "/large-one/link", { headers: { "X-Symlink-Target": "large-one/part-a" } })
  await arrives("the link", async () => {
    const found = await two.user.call("HEAD", "/large-two/link?symlink=get")
    return (
      found.header("x-symlink-target") === "large-one/part-a" &&
      found.header("x-symlink-target-account") === accountOf(two)
    )
  })
  await arrives("the dynamic large object", async () => {
    const found = await two.user.call("HEAD", "/large-two/dynamic?multipart-manifest=get")
    return found.header("x-object-manifest") === "large-one/part-"
  })
})

test("a static large object arrives once its segments have", async () => {
  await synchronized("static")
  // The name of the container of the segments is the same in both.
  const name = "segments-both"
  for (const [cluster, other, of] of [
    [one, two, "two"],
    [two, one, "one"],
  ] as const) {
    const headers = { "X-Container-Sync-To": `//there/${of}/${accountOf(other)}/${name}`, "X-Container-Sync-Key": KEY }
    assert.equal((await cluster.user.call("PUT", `/${name}`, { headers })).status, 201)
  }
  await one.user.call("PUT", `/${name}/a`, { body: "a".repeat(2000) })
  const manifest = JSON.stringify([
    { path: `/${name}/a`, range: "0-999" },
    { data: Buffer.from("tail").toString("base64") },
  ])
  const made = await one.user.call("PUT", "/static-one/all?multipart-manifest=put", { body: manifest })
  assert.equal(made.status, 201, made.text)
  const original = await one.user.call("GET", "/static-one/all")
  assert.equal(original.text, `${"a".repeat(1000)}tail`)
  const copy = await arrived(two, "/static-two/all", original)
  assert.equal(copy.text, original.text)
  assert.equal(copy.header("x-static-large-object"), "True")
  assert.equal(copy.header("etag"), original.header("etag"))
})

test("what is written while the other server is away, or before a crash, arrives later", async () => {
  await synchronized("away")
  await two.server.kill()
  for (let number = 0; number < WRITTEN; number += 1) {
    await one.user.call("PUT", `/away-one/${String(number).padStart(3, "0")}`, { body: `number ${number}` })
  }
  await one.user.call("DELETE", "/away-one/007")
  await one.server.kill()
  await two.server.launch()
  await one.server.launch()
  const expected = Array.from({ length: WRITTEN }, (_, number) => String(number).padStart(3, "0")).filter(
    name => name !== "007",
  )
  await arrives("each object", async () => {
    const { text } = await two.user.call("GET", "/away-two")
    return text.trim() === expected.join("\n")
  })
  const last = expected.at(-1)
  const original = await one.user.call("GET", `/away-one/${last}`)
  assert.equal((await arrived(two, `/away-two/${last}`, original)).text, `number ${Number(last)}`)
})

test("requests of others are refused, and what is older changes nothing, also after a removal", async () => {
  await synchronized("order")
  const path = `${two.user.account}/order-two/k`
  const nobody = new SwiftUser(two.port, undefined, two.user.account)
  const put = (timestamp: string, body: string, key = KEY) =>
    nobody.call("PUT", path, { headers: signed("PUT", path, timestamp, key), body })
  const remove = (timestamp: string) => nobody.call("DELETE", path, { headers: signed("DELETE", path, timestamp) })
  assert.equal((await put("1700000000.00001", "x", "another key")).status, 401)
  assert.equal((await nobody.call("PUT", path, { body: "x" })).status, 401)
  assert.equal(
    (await nobody.call("GET", `${two.user.account}/order-two`, { headers: signed("GET", path, "1") })).status,
    401,
  )
  assert.equal((await put("soon", "x")).status, 400)
  assert.equal((await put("1700000000.00002", "other")).status, 201)
  assert.equal((await put("1700000000.00001", "first")).status, 202)
  // At the same time: the larger MD5 stays, in every cluster.
  assert.equal((await put("1700000000.00002", "second")).status, 201)
  assert.equal((await put("1700000000.00002", "other")).status, 202)
  assert.equal((await remove("1700000000.00002")).status, 409)
  const kept = await two.user.call("GET", "/order-two/k")
  assert.deepEqual([kept.text, kept.header("x-timestamp")], ["second", "1700000000.00002"])
  // Within the same millisecond.
  assert.equal((await put("1700000000.00003", "third")).status, 201)
  assert.equal((await two.user.call("GET", "/order-two/k")).text, "third")
  assert.equal((await remove("1700000000.00004")).status, 204)
  assert.equal((await put("1700000000.00003", "late")).status, 202)
  assert.equal((await two.user.call("GET", "/order-two/k")).status, 404)
  assert.equal((await put("1700000000.00005", "fifth")).status, 201)
  // A removal that comes before what it removes.
  const [early, late] = ["1700000001.00000", "1700000000.50000"]
  const other = `${two.user.account}/order-two/other`
  assert.equal((await nobody.call("DELETE", other, { headers: signed("DELETE", other, early) })).status, 204)
  assert.equal((await nobody.call("PUT", other, { headers: signed("PUT", other, late), body: "x" })).status, 202)
  assert.equal((await two.user.call("GET", "/order-two/other")).status, 404)
  // Clients do not set times.
  await two.user.call("PUT", "/order-two/own", { headers: { "X-Timestamp": "1.00000" }, body: "x" })
  assert.notEqual((await two.user.call("HEAD", "/order-two/own")).header("x-timestamp"), "1.00000")
})

test("only what the setter of the key may read is sent", async () => {
  const policy = join(folder, "setter.json")
  const statement = [
    { Effect: "Allow", Action: "s3:*", Resource: "*" },
    { Effect: "Deny", Action: "s3:GetObject", Resource: "arn:aws:s3:::hidden-one/secret" },
  ]
  await writeFile(policy, JSON.stringify({ Version: "2012-10-17", Statement: statement }))
  const { stdout } = await one.server.hayloft(["key", "create", "--policy", policy, "--json"])
  const { accessKeyId, secretAccessKey } = JSON.parse(stdout) as { accessKeyId: string; secretAccessKey: string }
  const token = await fetch(`http://127.0.0.1:${one.port}/auth/v1.0`, {
    headers: { "X-Auth-User": accessKeyId, "X-Auth-Key": secretAccessKey },
  })
  const setter = new SwiftUser(one.port, token.headers.get("x-auth-token") ?? "", one.user.account)
  for (const [cluster, container] of [
    [one, "hidden-one"],
    [two, "hidden-two"],
  ] as const)
    assert.equal((await cluster.user.call("PUT", `/${container}`)).status, 201)
  for (const name of ["a", "secret", "z"])
    assert.equal((await one.user.call("PUT", `/hidden-one/${name}`, { body: name })).status, 201)
  const headers = {
    "X-Container-Sync-To": `//There/TWO/${accountOf(two)}/hidden-two`,
    "X-Container-Sync-Key": KEY,
  }
  await two.user.call("POST", "/hidden-two", { headers: { "X-Container-Sync-Key": KEY } })
  assert.equal((await setter.call("POST", "/hidden-one", { headers })).status, 204)
  for (const name of ["a", "z"])
    await arrived(two, `/hidden-two/${name}`, await one.user.call("GET", `/hidden-one/${name}`))
  await arrives("what the job shows", async () => {
    const { stdout: jobs } = await one.server.hayloft(["jobs", "list"])
    return /, 1 changes wait/.test(jobs)
  })
  assert.equal((await two.user.call("HEAD", "/hidden-two/secret")).status, 404)
  // Set again by one who may read everything.
  assert.equal((await one.user.call("POST", "/hidden-one", { headers })).status, 204)
  await arrived(two, "/hidden-two/secret", await one.user.call("GET", "/hidden-one/secret"))
})

test("settings are checked, shown to owners, and removed", async () => {
  const set = (headers: Record<string, string>) => one.user.call("POST", "/photos-one", { headers })
  for (const [to, answer] of [
    ["https://elsewhere/v1/a/c", /format/],
    ["//there/three/a/c", /No cluster endpoint/],
    ["//elsewhere/one/a/c", /No realm key/],
  ] as const) {
    const refused = await set({ "X-Container-Sync-To": to })
    assert.equal(refused.status, 400)
    assert.match(refused.text, answer)
  }
  assert.equal((await set({ "X-Versions-Enabled": "true" })).status, 400)
  const shown = await one.user.call("HEAD", "/photos-one")
  assert.deepEqual(
    [shown.header("x-container-sync-key"), shown.header("x-container-sync-to")?.slice(0, 11)],
    [KEY, "//There/TWO"],
  )
  await set({ "X-Container-Read": ".r:*,.rlistings" })
  const nobody = new SwiftUser(one.port, undefined, one.user.account)
  assert.equal((await nobody.call("HEAD", "/photos-one")).header("x-container-sync-key"), undefined)
  const info = JSON.parse((await nobody.call("GET", "/info")).text) as { container_sync: { realms: unknown } }
  assert.deepEqual(info.container_sync.realms, { THERE: { clusters: { ONE: {}, TWO: {} } } })
  assert.equal((await set({ "X-Remove-Container-Sync-To": "x", "X-Container-Sync-Key": "" })).status, 204)
  assert.equal((await one.user.call("HEAD", "/photos-one")).header("x-container-sync-to"), undefined)
})
