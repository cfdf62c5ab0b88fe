/** Sources, links and segments of Swift that are replaced once the caller was allowed to read them, and before they are read. */
import assert from "node:assert/strict"
import { after, before, test } from "node:test"
import { RealClock } from "@hayloft/base/seams/clock/real.js"
import { RealRandom } from "@hayloft/base/seams/random/real.js"
import { createModel } from "../../sim/model/index.js"
import { onceDecided } from "../s3/once-decided.js"
import { OWNER, STRANGER, strangerAccount } from "../s3/over-model.js"
import { allow, policyOf, to, type Statement } from "../s3/people.js"
import { filesOf, serveSwift, type SwiftUser, type SwiftWorld } from "./world.js"

const model = createModel(new RealClock(), new RealRandom())
let world: SwiftWorld
let owner: SwiftUser
let stranger: SwiftUser
/** The stranger may read what is tagged as open, and everything in another container, where he may also write. */
before(async () => {
  world = await serveSwift({ services: () => model })
  owner = await world.signIn(OWNER)
  stranger = await world.signIn(STRANGER)
  for (const name of ["tagged", "shared"]) await container(name)
  assert.equal((await stranger.call("PUT", "/theirs")).status, 201)
  const open = { StringEquals: { "s3:ExistingObjectTag/open": "yes" } }
  const them = { AWS: `arn:aws:iam::${strangerAccount.number}:root` }
  await setPolicy(
    "tagged",
    to(them, allow("s3:GetObject", "arn:aws:s3:::tagged/*", open)),
    to(them, allow("s3:GetObjectTagging", "arn:aws:s3:::tagged/*")),
  )
  await setPolicy("shared", to(them, allow(["s3:GetObject", "s3:PutObject"], "arn:aws:s3:::shared/*")))
})
after(() => world.stop())

const { container, put } = filesOf(() => owner)

async function setPolicy(bucket: string, ...statements: readonly Statement[]): Promise<void> {
  const set = await world.s3.call("PUT", { bucket, query: "policy", body: policyOf(...statements) })
  assert.equal(set.status, 204, set.text)
}

async function putTagged(key: string, body: string, open: string, headers: Readonly<Record<string, string>> = {}) {
  const call = { bucket: "tagged", key, body, headers: { "x-amz-tagging": `open=${open}`, ...headers } }
  const answer = await world.s3.call("PUT", call)
  assert.equal(answer.status, 200, answer.text)
}

const copy = (key: string) => {
  const headers = { "X-Copy-From": `/tagged/${key}`, "X-Copy-From-Account": owner.account.slice("/v1/".length) }
  return stranger.call("PUT", "/theirs/copy", { headers })
}
const copied = () => stranger.call("GET", "/theirs/copy")

test("a copy has the bytes and the metadata of one version, which the caller may read", async () => {
  await putTagged("o", "first", "yes", { "x-amz-meta-of": "first" })
  // The first decision is about where the object points, which is then confirmed; the next one is about its bytes.
  const onceCopied = (change: () => Promise<unknown>) => onceDecided(model.objects, "o", change, 3)
  onceCopied(() => putTagged("o", "hidden", "no", { "x-amz-meta-of": "hidden" }))
  assert.equal((await copy("o")).status, 403)
  assert.equal((await copied()).status, 404)
  await putTagged("o", "first", "yes", { "x-amz-meta-of": "first" })
  onceCopied(() => putTagged("o", "newer", "yes", { "x-amz-meta-of": "newer" }))
  const answer = await copy("o")
  assert.deepEqual([answer.status, answer.header("x-object-meta-of")], [201, "newer"], answer.text)
  const read = await copied()
  assert.deepEqual([read.text, read.header("x-object-meta-of")], ["newer", "newer"])
})

test("a copy that everybody may make has the bytes and the metadata of one version as well", async () => {
  const putBoth = (text: string) => put("/shared/o", text, { "X-Object-Meta-Of": text })
  await putBoth("first")
  const { get } = model.objects
  const look = get.bind(model.objects)
  const changing: typeof look = async request => {
    const found = await look(request)
    // The metadata are read with the conditions of a copy.
    if (request.key === "o" && "checkOpened" in request) {
      Object.assign(model.objects, { get: look })
      await putBoth("newer")
    }
    return found
  }
  Object.assign(model.objects, { get: changing })
  const headers = { "X-Copy-From": "/shared/o", "X-Copy-From-Account": owner.account.slice("/v1/".length) }
  assert.equal((await stranger.call("PUT", "/theirs/both", { headers })).status, 201)
  const read = await stranger.call("GET", "/theirs/both")
  assert.deepEqual([read.text, read.header("x-object-meta-of")], ["newer", "newer"])
})

test("a copy does not follow a link that has replaced the source, and that the caller may not read", async () => {
  await putTagged("target", "target", "yes")
  await putTagged("link", "no link", "yes")
  onceDecided(model.objects, "link", () => put("/tagged/link", "", { "X-Symlink-Target": "tagged/target" }))
  assert.equal((await copy("link")).status, 403)
})

test("a manifest names no segment that has replaced the one that the caller may read", async () => {
  const path = `${owner.account}/shared/large`
  const body = JSON.stringify([{ path: "/tagged/segment" }])
  const putManifest = () => stranger.call("PUT", `${path}?multipart-manifest=put`, { body })
  await putTagged("segment", "first", "yes")
  onceDecided(model.objects, "segment", () => putTagged("segment", "hidden", "no"))
  const refused = await putManifest()
  assert.deepEqual([refused.status, /tagged\/segment, 403/.test(refused.text)], [400, true], refused.text)
  assert.equal((await owner.call("GET", path)).status, 404)
  await putTagged("segment", "first", "yes")
  onceDecided(model.objects, "segment", () => putTagged("segment", "newer", "yes"))
  assert.equal((await putManifest()).status, 201)
  assert.equal((await owner.call("GET", path)).text, "newer")
})

test("a segment that has replaced the one that the caller may read is not sent, though its bytes are the same", async () => {
  await putTagged("piece", "piece", "yes")
  const body = JSON.stringify([{ path: "/tagged/piece" }])
  assert.equal((await owner.call("PUT", "/shared/of-piece?multipart-manifest=put", { body })).status, 201)
  const read = () => stranger.call("GET", `${owner.account}/shared/of-piece`)
  assert.equal((await read()).text, "piece")
  onceDecided(model.objects, "piece", () => putTagged("piece", "piece", "no"))
  assert.equal((await read()).status, 403)
})
