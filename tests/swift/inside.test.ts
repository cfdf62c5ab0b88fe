/**
 * Tests of requests that show the inside of the store: `/recon` and `/v1/endpoints`, over the model, and who may ask.
 */
import assert from "node:assert/strict"
import { after, before, test } from "node:test"
import { textOfObjectKey, parseAccessKeyId } from "@hayloft/base/ids.js"
import { fail } from "@hayloft/base/failures.js"
import { OWNER, ownerAccount, rootKeyOf, userKeyOf } from "../s3/over-model.js"
import { ROOT_ACCOUNT, serveSwift, type SwiftUser, type SwiftWorld } from "./world.js"

const ROOT = { id: "AKIAROOTROOTROOTROOT", secret: "root-secret" }
const READER = { id: "AKIAREADERREADERREAD", secret: "reader-secret" }
const ONLY_READER =
  '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"hayloft:SwiftResellerReader","Resource":"*"}]}'

const device = (id: string, path: string, totalBytes: number) => ({
  id,
  path,
  totalBytes,
  freeBytes: totalBytes / 4,
  node: `node-${id}`,
  state: totalBytes === 0 ? "missing" : "active",
  metadataReplica: id === "d2" ? "yes" : "no",
})
const DEVICES = [device("d1", "/srv/disk1", 1000), device("d2", "/srv/disk2", 2000), device("d3", "/mnt/other", 0)]

const slot = (...ids: readonly string[]) => ({
  copies: ids.map(id => ({ deviceId: id.replace("!", ""), isDamaged: id.endsWith("!") })),
})
const BLOCKS = [
  { partition: 7, slots: [slot("d1"), slot("d3!"), slot()] },
  { partition: 9, slots: [slot("d1"), slot("d2")] },
]

let world: SwiftWorld
let root: SwiftUser
let owner: SwiftUser
before(async () => {
  const keys = [
    rootKeyOf(parseAccessKeyId(ROOT.id), ROOT.secret, ROOT_ACCOUNT),
    userKeyOf(READER, "reader", [ONLY_READER], {}, ROOT_ACCOUNT),
  ]
  world = await serveSwift({ keys }, undefined, [], {
    inside: {
      devices: () => DEVICES,
      machine: {
        load: () => "0.50 1.25 2.00 3/456 7890\n",
        memory: () => "MemTotal:       16000 kB\nMemFree:         4000 kB\n",
      },
      shardPlaces: {
        locate: async ({ bucket, key }) => {
          if (textOfObjectKey(key) === "none") throw fail("noSuchKey")
          assert.equal(bucket.name, "located")
          return textOfObjectKey(key) === "small" ? { isInline: true, blocks: [] } : { isInline: false, blocks: BLOCKS }
        },
      },
    },
  })
  ;[root, owner] = [await world.signIn(ROOT), await world.signIn(OWNER)]
  assert.equal((await owner.call("PUT", "/located")).status, 201)
})
after(() => world.stop())

const ask = (user: SwiftUser, path: string, method = "GET") =>
  world.ask(method, path, user.token === undefined ? {} : { "X-Auth-Token": user.token })

async function told(path: string, user = root): Promise<unknown> {
  const answer = await ask(user, path)
  assert.equal(answer.status, 200, `${path}: ${answer.text}`)
  assert.equal(answer.header("content-type"), "application/json")
  return JSON.parse(answer.text) as unknown
}

const objectPath = (name: string) => `AUTH_${ownerAccount.number}/located/${name}`

test("recon tells of the version, the machine and the devices", async () => {
  assert.deepEqual(await told("/recon/version"), { version: "Hayloft/test" })
  assert.deepEqual(await told("/recon/load"), { "1m": 0.5, "5m": 1.25, "15m": 2, tasks: "3/456", processes: 7890 })
  assert.deepEqual(await told("/recon/mem"), { MemTotal: "16000 kB", MemFree: "4000 kB" })
  assert.deepEqual(await told("/recon/devices"), { "/srv": ["disk1", "disk2"], "/mnt": ["other"] })
  const [first, , third] = (await told("/recon/diskusage")) as readonly unknown[]
  const usage = { mounted: true, size: 1000, used: 750, avail: 250 }
  assert.deepEqual(first, { device: "d1", node: "node-d1", state: "active", ...usage })
  assert.deepEqual(third, {
    device: "d3",
    node: "node-d3",
    state: "missing",
    mounted: false,
    size: "",
    used: "",
    avail: "",
  })
  assert.deepEqual(await told("/recon/unmounted"), [
    { device: "d3", node: "node-d3", state: "missing", mounted: false },
  ])
  assert.equal(typeof (await told("/recon/time")), "number")
})

test("what Swift's daemons tell is refused by name, and what nobody tells is no path", async () => {
  for (const what of ["replication/object", "ringmd5", "async", "sockstat"]) {
    const answer = await ask(root, `/recon/${what}`)
    assert.equal(answer.status, 501, what)
    assert.ok(answer.text.includes(`/recon/${what} is not implemented`), answer.text)
  }
  for (const what of ["", "toString", "anything"]) assert.equal((await ask(root, `/recon/${what}`)).status, 412, what)
  assert.equal((await ask(root, "/recon/version", "PUT")).status, 405)
})

test("endpoints are the devices with whole shards, those with the most first, as a list or in a document", async () => {
  const path = objectPath("large%20%C3%A9")
  const urls = [`http://node-d1/d1/7/${path}`, `http://node-d2/d2/9/${path}`]
  for (const prefix of ["/v1/endpoints", "/endpoints", "/endpoints/v1", "/endpoints/v1.0"])
    assert.deepEqual(await told(`${prefix}/${path}`), urls, prefix)
  for (const prefix of ["/endpoints/v2", "/endpoints/v2.0"])
    assert.deepEqual(await told(`${prefix}/${path}`), { endpoints: urls, headers: {} }, prefix)
  const small = objectPath("small")
  assert.deepEqual(await told(`/v1/endpoints/${small}`), [`http://node-d2/d2/0/${small}`], "with its metadata")
})

test("endpoints of missing objects, containers and versions, and of what has none, are refused", async () => {
  const status = async (path: string): Promise<number> => (await ask(root, path)).status
  assert.equal(await status(`/v1/endpoints/${objectPath("none")}`), 404)
  assert.equal(await status(`/v1/endpoints/${objectPath("a").replace("located", "missing")}`), 404)
  assert.equal(await status(`/v1/endpoints/AUTH_${ROOT_ACCOUNT.number}/located/small`), 404, "of another account")
  assert.equal(await status(`/v1/endpoints/AUTH_${ownerAccount.number}/located`), 501)
  assert.equal(await status(`/endpoints/v3/${objectPath("a")}`), 400)
  assert.equal(await status("/endpoints/"), 412)
})

test("only resellers may ask", async () => {
  const reader = await world.signIn(READER)
  for (const path of ["/recon/version", `/v1/endpoints/${objectPath("small")}`]) {
    await told(path, reader)
    assert.equal((await ask(owner, path)).status, 403, path)
    assert.equal((await ask(world.anonymous, path)).status, 401, path)
  }
})
