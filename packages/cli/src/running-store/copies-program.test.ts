/** The commands of copies in another store, as an operator types them, against the admin API over a store in memory. */
import assert from "node:assert/strict"
import { beforeEach, test } from "node:test"
import { FakeStore, ROOT } from "@hayloft/admin/testing-store.js"
import { parseBucketName } from "@hayloft/base/ids.js"
import type { Bucket } from "@hayloft/objects/contract.js"
import { adminOver, operatorOf } from "../testing-admin.js"

let store = new FakeStore()
const unset: string[] = []
/** The setting is removed as any other: nothing else knows of it when the store runs without `--remotes`. */
const setSetting = async ({ name }: Bucket, setting: string) => void unset.push(`${setting} of ${name}`)
const operator = operatorOf(() => adminOver({ ...store.parts, buckets: { ...store.buckets, setSetting } }))
const copies = (...args: readonly string[]) => operator(["copies", ...args])

beforeEach(async () => {
  store = new FakeStore()
  await store.buckets.create({ name: parseBucketName("photos"), owner: ROOT, location: "", settings: new Map() })
})

test("set takes a store, a bucket there and what is copied; remove ends it", async () => {
  const options = ["--prefix", "p/", "--no-deletes", "--rate", "4096", "--send-back"]
  const set = await copies("set", "photos", "--to", "aws/elsewhere", ...options)
  assert.deepEqual(set, { code: 0, out: "changes of photos are copied to aws/elsewhere/p/\n", error: "" })
  const value = store.copies.values.get("photos")
  const { prefix, deletes, bytesPerSecond, sendBack } = value ?? {}
  assert.deepEqual([value?.store, value?.bucket, prefix, deletes], ["aws", "elsewhere", "p/", false])
  assert.deepEqual([bytesPerSecond, sendBack], [4096, true])
  const removed = await copies("remove", "photos")
  assert.deepEqual(removed, { code: 0, out: "photos is not copied any more\n", error: "" })
  assert.deepEqual(unset, ["copies of photos"])
})

test("a target that is no store and bucket, and an unknown store, are refused, and nothing is set", async () => {
  for (const to of ["aws", "/elsewhere", "aws/"]) {
    const { code, error } = await copies("set", "photos", "--to", to)
    assert.equal(code, 2)
    assert.match(error, /--to is the name of a store, a slash and a bucket there/)
  }
  assert.equal((await copies("set", "photos", "--to", "aws/b", "--rate", "fast")).code, 2)
  assert.match((await copies("set", "photos", "--to", "gcs/b")).error, /names no store gcs/)
  assert.equal(store.copies.values.size, 0)
})

test("status shows the lag and what was not copied, also as JSON", async () => {
  await copies("set", "photos", "--to", "aws/elsewhere")
  const { code, out } = await copies("status", "photos")
  assert.equal(code, 0)
  for (const line of [
    /^bucket +photos\n/,
    /\ntarget +aws\/elsewhere\/\n/,
    /\nstate +following since /,
    /\nlag +2 changes, 30 B, 2 s\n/,
    /\nerror +.*: away\n/,
    /\ndía +2 .* refused\n/,
    /\nsecret +1 .* never +SSE-C\n$/,
  ])
    assert.match(out, line)
  const json: unknown = JSON.parse((await copies("status", "photos", "--json")).out)
  assert.equal(Reflect.get(Object(json), "phase"), "following")
  assert.equal((await copies("status", "none")).code, 3)
})

test("pause, resume and fill are asked of the server; only --remove removes anything", async () => {
  await copies("set", "photos", "--to", "aws/elsewhere")
  assert.match((await copies("pause", "photos")).out, /\nstate +paused, following/)
  const waited = await copies("status", "photos", "--wait")
  assert.match(waited.error, /the copies of photos are paused: hayloft copies resume photos/)
  for (const args of [["resume"], ["fill"], ["fill", "--remove"]] as const) {
    const [word, ...options] = args
    assert.equal((await copies(word, "photos", ...options)).code, 0)
  }
  assert.deepEqual(store.copies.calls, ["pause photos", "resume photos", "fill photos", "fill and remove photos"])
})
