/**
 * Other ways to a remote bucket: its website, forms and transforms read and write the remote; Swift is refused by name; and without
 * `--remotes` everything is, while nothing is lost. Another account's bucket may not use a store that the operator has not opened to it.
 */
import assert from "node:assert/strict"
import { test } from "node:test"
import { until } from "@hayloft/base/seams/clock/testing-until.js"
import { exchange } from "../../conformance/raw-client.js"
import { createOtherAccount } from "../harness/accounts.js"
import { forTestsOfFile } from "../harness/folders.js"
import { freePort } from "../harness/free-port.js"
import { CREDENTIALS } from "../harness/server.js"
import { md5Of, remoteDocument, RemoteWorld } from "./worlds.js"

const PUBLIC = JSON.stringify({
  Version: "2012-10-17",
  Statement: [{ Effect: "Allow", Principal: "*", Action: "s3:GetObject", Resource: "arn:aws:s3:::site/*" }],
})
const WEBSITE =
  "<WebsiteConfiguration><IndexDocument><Suffix>index.html</Suffix></IndexDocument></WebsiteConfiguration>"
const SVG = `<svg xmlns="http://www.w3.org/2000/svg">   <rect width="8.000" height="8.000"/>   </svg>`

let world: RemoteWorld
let ports: { readonly website: number; readonly swift: number }

forTestsOfFile(async folder => {
  ports = { website: await freePort(), swift: await freePort() }
  const website = [
    "--website-listen",
    `127.0.0.1:${ports.website}`,
    "--website-domain",
    "web.test",
    "--allow-public-buckets",
  ]
  const swift = ["--swift-listen", `127.0.0.1:${ports.swift}`]
  world = await RemoteWorld.start(folder, [...website, ...swift, "--transforms", "--audit-bucket", "audit"])
  return () => world.stop()
})

const far = (key: string, body: string, headers: Record<string, string> = {}) =>
  world.at("far", "PUT", { bucket: "data", key, body, headers })

test("a website shows pages of the remote, and of its index", async () => {
  await world.remote("site", { prefix: "site/" })
  await far("site/docs/index.html", "<h1>docs</h1>", { "content-type": "text/html" })
  await world.at("near", "PUT", { bucket: "site", query: "website", body: WEBSITE, headers: md5Of(WEBSITE) })
  await world.at("near", "PUT", { bucket: "site", query: "policy", body: PUBLIC, headers: md5Of(PUBLIC) })
  for (const target of ["/docs/", "/docs/index.html"]) {
    const headers = [["Host", "site.web.test"]] as const
    const answer = await exchange(
      { host: "127.0.0.1", port: ports.website },
      { method: "GET", target, headers: [...headers] },
    )
    assert.deepEqual([answer.status, answer.text], [200, "<h1>docs</h1>"])
  }
})

test("an object of a remote bucket is transformed like any other", async () => {
  await world.remote("art", { prefix: "art/" })
  await far("art/a.svg", SVG, { "content-type": "image/svg+xml" })
  const made = await world.at("near", "GET", { bucket: "art", key: "a.svg", query: "x-transform=svgmin" })
  assert.equal(made.header("x-hayloft-transform"), "applied")
  assert.ok(made.body.length < SVG.length)
})

test("Swift's API refuses a remote bucket by name", async () => {
  await world.remote("swift", { prefix: "swift/" })
  await far("swift/k", "bytes")
  const user = { "X-Auth-User": CREDENTIALS.accessKey, "X-Auth-Key": CREDENTIALS.secretKey }
  const signedIn = await fetch(`http://127.0.0.1:${ports.swift}/auth/v1.0`, { headers: user })
  const url = signedIn.headers.get("x-storage-url") ?? ""
  const headers = { "X-Auth-Token": signedIn.headers.get("x-auth-token") ?? "" }
  for (const [method, path, body] of [
    ["GET", "swift", undefined],
    ["PUT", "swift/new", "x"],
    ["DELETE", "swift/k", undefined],
  ] as const) {
    const { status } = await fetch(`${url}/${path}`, { method, headers, ...(body !== undefined && { body }) })
    assert.equal(status, 501, `${method} ${path}`)
  }
  await world.at("near", "PUT", { bucket: "manifests" })
  const manifest = JSON.stringify([{ path: "swift/k" }])
  const segmented = await fetch(`${url}/manifests/large?multipart-manifest=put`, {
    method: "PUT",
    headers,
    body: manifest,
  })
  assert.deepEqual([segmented.status, /swift\/k, 501/.test(await segmented.text())], [400, true])
  assert.equal((await world.at("far", "GET", { bucket: "data", key: "swift/k" })).body.toString(), "bytes")
})

test("the bucket of the audit log cannot become remote", async () => {
  await world.at("near", "PUT", { bucket: "audit" })
  const refused = await world.setRemote("audit", {}, 400)
  assert.match(refused.body.toString(), /audit log/)
})

test("the bucket of another account may not use the store", async () => {
  const credentials = await createOtherAccount(world.near)
  const other = world.near.client(credentials)
  assert.equal((await other.call("PUT", { bucket: "foreign" })).status, 200)
  const body = remoteDocument()
  const refused = await other.call("PUT", { bucket: "foreign", query: "remote", body, headers: md5Of(body) })
  assert.equal(refused.status, 403)
  assert.match(refused.body.toString(), /does not let this account/)
})

test("without --remotes a remote bucket refuses all, and has what was pending when it is back", async () => {
  await world.remote("off", { writes: "Back", prefix: "off/" })
  const port = await world.proxy.pause()
  await world.at("near", "PUT", { bucket: "off", key: "k", body: "pending" })
  await world.near.stop()
  await world.near.launch([])
  for (const [method, call] of [
    ["GET", { key: "k" }],
    ["PUT", { key: "k", body: "x" }],
    ["DELETE", { key: "k" }],
    ["GET", { query: "list-type=2" }],
  ] as const)
    await world.at("near", method, { bucket: "off", ...call }, 501)
  await world.at("near", "DELETE", { bucket: "off" }, 409)
  await world.near.stop()
  await world.near.launch()
  assert.equal((await world.at("near", "GET", { bucket: "off", key: "k" })).body.toString(), "pending")
  await world.proxy.resume(port)
  await until("the pending write is written back", async () => (await world.near.usage("off")).versions <= 0)
  assert.equal((await world.at("far", "GET", { bucket: "data", key: "off/k" })).body.toString(), "pending")
})
