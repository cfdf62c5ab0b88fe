/** Buckets and users of the settings, as clients find them after a start, a second one, and one with other settings. */
import { after, before, test } from "node:test"
import assert from "node:assert/strict"
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { ServerProcess } from "../harness/server.js"

const ROOT = { MINIO_ROOT_USER: "minioadmin", MINIO_ROOT_PASSWORD: "minioadmin" }
const BUCKETS = "photos;site:download, inbox:upload shared:public closed:none"
const USERS =
  "app:secret-of-app:photos=readwrite+site=readonly reader:secret:of:reader:readonly lost:secret-of-lost:nothing"
const ADMIN = { accessKey: ROOT.MINIO_ROOT_USER, secretKey: ROOT.MINIO_ROOT_PASSWORD }

let folder = ""
let server: ServerProcess | undefined
const running = (): ServerProcess => {
  assert.ok(server !== undefined)
  return server
}

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "hayloft-minio-"))
  const env = { ...ROOT, MINIO_DEFAULT_BUCKETS: BUCKETS, HAYLOFT_USERS: USERS }
  server = await ServerProcess.start({ folders: [join(folder, "data")], env, isMinio: true })
})
after(async () => {
  await server?.kill()
  await rm(folder, { recursive: true, force: true })
})

/** Puts and gets an object, and lists: as nobody, or with a key. */
async function rights(bucket: string, secretKey?: string, accessKey = "app"): Promise<readonly number[]> {
  const client = running().client(secretKey === undefined ? ADMIN : { accessKey, secretKey })
  const call = { bucket, ...(secretKey === undefined ? { anonymous: true } : {}) }
  const put = await client.call("PUT", { ...call, key: "one", body: "text" })
  await running().client(ADMIN).call("PUT", { bucket, key: "two", body: "text" })
  const got = await client.call("GET", { ...call, key: "two" })
  return [put.status, got.status, (await client.call("GET", call)).status]
}

const linesOf = (event: string): readonly string[] =>
  running()
    .log.split("\n")
    .filter(line => line.includes(event))

test("the buckets are there, and everybody may do what their entries say", async () => {
  assert.deepEqual(await rights("photos"), [403, 403, 403])
  assert.deepEqual(await rights("closed"), [403, 403, 403])
  assert.deepEqual(await rights("site"), [403, 200, 200])
  assert.deepEqual(await rights("inbox"), [200, 403, 403])
  assert.deepEqual(await rights("shared"), [200, 200, 200])
})

test("the users have their keys and their policies", async () => {
  assert.deepEqual(await rights("photos", "secret-of-app"), [200, 200, 200])
  assert.deepEqual(await rights("site", "secret-of-app"), [403, 200, 200])
  assert.deepEqual(await rights("closed", "secret-of-app"), [403, 403, 403])
  assert.deepEqual(await rights("closed", "secret:of:reader", "reader"), [403, 200, 403])
})

test("an entry that cannot be made is named, and does not keep the store from starting", () => {
  const [line, ...more] = linesOf("provide_failed")
  assert.match(line ?? "", /error.*kind=user name=lost reason="?Policy nothing does not exist/)
  assert.deepEqual(more, [])
  assert.equal(linesOf("provided kind").length, 7)
})

test("a second start changes nothing", async () => {
  const { text: policy } = await running().client(ADMIN).call("GET", { bucket: "site", query: "policy" })
  assert.equal(await running().stop(), 0)
  const made = linesOf("provided kind").length
  await running().launch()
  assert.equal(linesOf("provided kind").length, made)
  assert.equal((await running().client(ADMIN).call("GET", { bucket: "site", query: "policy" })).text, policy)
  assert.deepEqual(await rights("photos", "secret-of-app"), [200, 200, 200])
})

test("another secret, another access and other grants are so after the next start; what is named no longer stays", async () => {
  const ours = { bucket: "photos", query: "policy" }
  const own = `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":"*","Action":"s3:DeleteObject","Resource":"arn:aws:s3:::photos/*"}]}`
  assert.equal(
    (
      await running()
        .client(ADMIN)
        .call("PUT", { ...ours, body: own })
    ).status,
    204,
  )
  assert.equal(await running().stop(), 0)
  await running().launch([], {
    MINIO_DEFAULT_BUCKETS: "photos,site:none,inbox:public",
    HAYLOFT_USERS: "app:another-secret:closed=readwrite",
  })
  assert.deepEqual(await rights("site"), [403, 403, 403])
  assert.deepEqual(await rights("inbox"), [200, 200, 200])
  assert.deepEqual(await rights("shared"), [200, 200, 200], "its entry is gone")
  assert.deepEqual(await rights("closed", "another-secret"), [200, 200, 200])
  assert.deepEqual(await rights("photos", "another-secret"), [403, 403, 403])
  assert.deepEqual(await rights("closed", "secret-of-app"), [403, 403, 403])
  assert.deepEqual(await rights("closed", "secret:of:reader", "reader"), [403, 200, 403])
  const policy = await running().client(ADMIN).call("GET", ours)
  assert.match(policy.text, /Deny/, "an entry without a word leaves the policy as it is")
})
