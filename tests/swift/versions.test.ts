/** Versions over the model: their listings backwards, page by page, and one that is made the current one again. */
import assert from "node:assert/strict"
import { createHash } from "node:crypto"
import { after, before, test } from "node:test"
import { OWNER } from "../s3/over-model.js"
import { serveSwift, type SwiftUser, type SwiftWorld } from "./world.js"

interface Version {
  readonly name?: string
  readonly subdir?: string
  readonly version_id?: string
}

let world: SwiftWorld
let owner: SwiftUser
before(async () => {
  world = await serveSwift()
  owner = await world.signIn(OWNER)
  assert.equal((await owner.call("PUT", "/reversed", { headers: { "X-Versions-Enabled": "true" } })).status, 201)
  for (const name of ["a", "b", "b", "c/1", "b", "c/2", "d", "c/1", "b"])
    assert.equal((await owner.call("PUT", `/reversed/${name}`, { body: name })).status, 201)
  assert.equal((await owner.call("DELETE", "/reversed/c/1")).status, 204)
})
after(() => world.stop())

async function versions(query: string): Promise<readonly Version[]> {
  const answer = await owner.call("GET", `/reversed?versions&format=json&${query}`)
  assert.equal(answer.status, 200, answer.text)
  return JSON.parse(answer.text) as readonly Version[]
}

const markerOf = ({ name, subdir, version_id: id }: Version): string =>
  `marker=${encodeURIComponent(subdir ?? name ?? "")}${id === undefined ? "" : `&version_marker=${id}`}`

async function paged(limit: number, query: string): Promise<readonly Version[]> {
  const all: Version[] = []
  for (let next = ""; ;) {
    const page = await versions(`reverse=true&limit=${limit}&${query}&${next}`)
    all.push(...page)
    const last = page.at(-1)
    if (last === undefined) return all
    assert.ok(all.length < 100, "a listing ends")
    next = markerOf(last)
  }
}

test("a listing in reverse is the listing backwards, whole and in pages of every size", async () => {
  const backwards = [...(await versions(""))].reverse()
  assert.equal(backwards.length, 10)
  assert.deepEqual(await versions("reverse=true"), backwards)
  for (const limit of [1, 2, 3, 7]) assert.deepEqual(await paged(limit, ""), backwards, `pages of ${limit}`)
  const folded = [...(await versions("delimiter=/"))].reverse()
  assert.deepEqual(
    folded.map(({ name, subdir }) => subdir ?? name),
    ["d", "c/", "b", "b", "b", "b", "a"],
  )
  for (const limit of [1, 3]) assert.deepEqual(await paged(limit, "delimiter=/"), folded)
})

test("bounds and prefixes hold in reverse: the marker is above, the end marker below", async () => {
  const names = async (query: string) => (await versions(`reverse=on&${query}`)).map(({ name }) => name)
  assert.deepEqual(await names("marker=c/2&end_marker=b"), ["c/1", "c/1", "c/1"])
  assert.deepEqual(await names("prefix=b&limit=2"), ["b", "b"])
  assert.deepEqual(await names("marker=a"), [])
})

test("a page goes on where it ended although the version there has been removed meanwhile", async () => {
  const all = await versions("reverse=true&prefix=b")
  const [oldest, second] = all
  assert.ok(oldest && second)
  const gone = await owner.call("DELETE", `/reversed/b?version-id=${second.version_id ?? ""}`)
  assert.equal(gone.status, 204)
  assert.deepEqual(await versions(`reverse=true&prefix=b&${markerOf(second)}`), all.slice(2))
  const removed = await owner.call("DELETE", `/reversed/b?version-id=${oldest.version_id ?? ""}`)
  assert.equal(removed.status, 204)
  assert.deepEqual(await versions(`reverse=true&prefix=b&${markerOf(oldest)}`), all.slice(2), "it was the oldest")
})

test("a version is the current one again by a PUT with its id, with its metadata", async () => {
  const path = "/restored-versions"
  const put = async (target: string, body: string, headers: Readonly<Record<string, string>> = {}) =>
    owner.call("PUT", target, { body, headers })
  assert.equal((await put(path, "", { "X-Versions-Enabled": "true" })).status, 201)
  const first = await put(`${path}/o`, "one", { "X-Object-Meta-N": "1", "Content-Type": "text/one" })
  const id = first.header("x-object-version-id") ?? ""
  await put(`${path}/o`, "two", { "X-Object-Meta-N": "2" })
  const restored = await owner.call("PUT", `${path}/o?version-id=${id}`, { body: "" })
  assert.deepEqual(
    [restored.status, restored.header("etag")],
    [201, createHash("md5").update("one").digest("hex")],
    restored.text,
  )
  assert.notEqual(restored.header("x-object-version-id"), id)
  const read = await owner.call("GET", `${path}/o`)
  assert.deepEqual([read.text, read.header("x-object-meta-n"), read.header("content-type")], ["one", "1", "text/one"])
  const again = read.header("x-object-version-id") ?? ""
  assert.equal((await put(`${path}/o?version-id=${again}`, "")).status, 201, "of the current one")
  assert.equal((await owner.call("DELETE", `${path}/o`)).status, 204)
  assert.equal((await put(`${path}/o?version-id=${id}`, "")).status, 201, "of a deleted object")
  assert.equal((await owner.call("GET", `${path}/o`)).text, "one")
  assert.equal((await put(`${path}/missing?version-id=${id}`, "")).status, 404)
})
