/** The commands of remote buckets, as an operator types them, against the admin API over a store in memory. */
import assert from "node:assert/strict"
import { beforeEach, test } from "node:test"
import { FakeDocuments } from "@hayloft/admin/buckets/testing-documents.js"
import { FakeRemotes, REMOTE_SETTING } from "@hayloft/admin/testing-remotes.js"
import { FakeStore, ROOT } from "@hayloft/admin/testing-store.js"
import { fail } from "@hayloft/base/failures.js"
import { objectKeyOfText, parseBucketName } from "@hayloft/base/ids.js"
import { REMOTE_ADMIN } from "@hayloft/features/remote-buckets/index.js"
import { adminOver, operatorOf } from "../testing-admin.js"

const SMALLEST = ["remote", "set", "remote-1", "--store", "aws", "--bucket", "data"]

/** The documents of a store that knows the remote store `aws`. */
class RemoteDocuments extends FakeDocuments {
  override readonly names = ["remote"]

  override canRemove(): boolean {
    return true
  }

  override async put(bucket: unknown, name: string, value: Readonly<Record<string, unknown>>): Promise<void> {
    if (value["Store"] !== "aws") throw fail("invalidRequest", { message: "there is no such remote store" })
    await super.put(bucket, name, value)
  }
}

let store = new FakeStore()
let documents = new RemoteDocuments()
let replaced: Partial<FakeStore["parts"]> = {}

const operator = operatorOf(() => adminOver({ ...store.parts, bucketDocuments: documents, ...replaced }))
const hayloft = (...args: readonly string[]) => operator(args)

beforeEach(() => {
  store = new FakeStore()
  documents = new RemoteDocuments()
  replaced = {}
})

const makeBucket = async () => {
  const name = parseBucketName("remote-1")
  return store.buckets.create({ name, owner: ROOT, location: "", settings: new Map() })
}
const done = (out: string) => ({ code: 0, out, error: "" })

test("stores are listed with their last errors, then buckets, then the cache", async () => {
  store.remotes.remote = [{ bucket: await makeBucket(), setting: REMOTE_SETTING }]
  const { code, out, error } = await hayloft("remote", "stores")
  assert.deepEqual([code, error], [0, ""])
  assert.match(out, /^STORE +ENDPOINT +ACCOUNTS +REQUESTS +FAILURES +LAST ERROR\n/)
  assert.match(out, /\naws +https:\/\/s3\.example +root, team +12 +2 +1970-01-01 \S+: the remote does not respond\n/)
  assert.match(out, /\nother +http:\/\/10\.0\.0\.1:9000 +root +0 +0\n/)
  assert.match(out, /\nBUCKET +STORE +OBJECTS IN +WRITES +FRESHNESS +PENDING\n/)
  assert.match(out, /\nremote-1 +aws +data\/logs\/ +back +60 s +2\n/)
  assert.match(out, /\ncache: 2\.0 KiB of 8\.0 KiB; 75 % of 3\.9 KiB read came from it, 512 B evicted\n$/)
  const json: unknown = JSON.parse((await hayloft("remote", "stores", "--json")).out)
  assert.match(JSON.stringify(json), /^\{"stores":\[\{"name":"aws",.*"cache":\{.*"buckets":\[\{"bucket":"remote-1"/)
})

test("the hit rate of an unused cache is not shown", async () => {
  class Fresh extends FakeRemotes {
    override readonly shownCache = { sizeBytes: 0, sizeBytesMax: 8_192, hitBytes: 0, missBytes: 0, evictedBytes: 0 }
  }
  REMOTE_ADMIN.set(store.core, new Fresh())
  assert.match((await hayloft("remote", "stores")).out, /\ncache: 0 B of 8\.0 KiB; nothing read yet\n$/)
})

test("the setting has what the options say, and defaults of what they do not", async () => {
  await makeBucket()
  const set = await hayloft(...SMALLEST)
  assert.deepEqual(set, done("the objects of remote-1 are in data/ of aws\n"))
  const smallest = { Store: "aws", Bucket: "data", Writes: "Through", Freshness: { Check: "Never" } }
  assert.deepEqual(documents.values.get("remote"), { ...smallest, ServeStale: false, OpaqueETags: false })
  const all = ["--prefix", "logs/", "--writes", "back", "--freshness", "60", "--serve-stale", "--opaque-etags"]
  assert.deepEqual(await hayloft(...SMALLEST, ...all), done("the objects of remote-1 are in data/logs/ of aws\n"))
  assert.deepEqual(documents.values.get("remote"), {
    Store: "aws",
    Bucket: "data",
    Prefix: "logs/",
    Writes: "Back",
    ServeStale: true,
    OpaqueETags: true,
    Freshness: { Check: "Age", MaxAgeSeconds: 60 },
  })
  assert.equal((await hayloft(...SMALLEST, "--freshness", "always", "--writes", "none")).code, 0)
  const { Freshness, Writes } = documents.values.get("remote") ?? {}
  assert.deepEqual([Freshness, Writes], [{ Check: "Always" }, "None"])
})

test("options that make no sense are refused before anything is sent", async () => {
  for (const [args, message] of [
    [["--writes", "sometimes"], /--writes is through, back or none, not "sometimes"/],
    [["--freshness", "1.5"], /--freshness is never, always, or a number of seconds/],
    [["--freshness", "Never"], /--freshness is never, always, or a number of seconds/],
  ] as const) {
    const refused = await hayloft(...SMALLEST, ...args, "--create")
    assert.equal(refused.code, 2)
    assert.match(refused.error, message)
  }
  assert.match((await hayloft("remote", "set", "remote-1", "--store", "aws")).error, /required option '--bucket/)
  assert.deepEqual([documents.values.size, store.touched], [0, []])
})

test("a bucket is made first if that is asked, and removed again if it cannot become remote", async () => {
  const exists = async (): Promise<boolean> => (await hayloft("bucket", "stat", "remote-1")).code === 0
  assert.equal((await hayloft(...SMALLEST)).code, 3)
  const refused = await hayloft(...SMALLEST, "--store", "gcs", "--create")
  assert.equal(refused.code, 1)
  assert.match(refused.error, /there is no such remote store/)
  assert.equal(await exists(), false)
  assert.equal((await hayloft(...SMALLEST, "--create")).code, 0)
  assert.equal(await exists(), true)
  // A bucket that was there before is not removed.
  assert.notEqual((await hayloft(...SMALLEST, "--create")).code, 0)
  assert.notEqual((await hayloft(...SMALLEST, "--store", "gcs")).code, 0)
  assert.equal(await exists(), true)
})

test("a bucket that was made, and cannot be removed again, is named", async () => {
  replaced = { buckets: { ...store.buckets, remove: async () => assert.fail("the metadata is away") } }
  const refused = await hayloft(...SMALLEST, "--store", "gcs", "--create")
  assert.equal(refused.code, 1)
  assert.match(
    refused.error,
    /there is no such remote store; the bucket remote-1 was created, and could not be removed/,
  )
})

test("a remote bucket is shown with its pending writes, and becomes an ordinary one", async () => {
  await makeBucket()
  const before = await hayloft("remote", "show", "remote-1")
  assert.deepEqual([before.code, before.out], [3, ""])
  assert.match(before.error, /remote-1 is not a remote bucket/)
  await hayloft(...SMALLEST, "--freshness", "60")
  const { out } = await hayloft("remote", "show", "remote-1")
  assert.match(out, /^remote +remote-1\nStore +aws\nBucket +data\nWrites +Through\nFreshness +\{"Check":"Age",/)
  assert.match(out, /\npending writes +2\n$/)
  const json: unknown = JSON.parse((await hayloft("remote", "show", "remote-1", "--json")).out)
  assert.match(JSON.stringify(json), /^\{"bucket":"remote-1","value":\{"Store":"aws",.*,"pending":2,"hasMore":false\}$/)
  assert.deepEqual(await hayloft("remote", "unset", "remote-1"), done("remote-1 is not remote any more\n"))
  assert.equal((await hayloft("remote", "show", "remote-1")).code, 3)
})

test("pending writes are listed with their errors, and a list that is cut off says so", async () => {
  await makeBucket()
  await hayloft(...SMALLEST)
  const { out } = await hayloft("remote", "pending", "remote-1")
  assert.match(out, /^WRITE +SIZE +SINCE +KEY +LAST ERROR\nput +2\.0 KiB +1970\S+ \S+ +día\.txt +the remote does/)
  assert.match(out, /\ndelete +1970\S+ \S+ +gone\.txt\n$/)
  const lines = (await hayloft("remote", "pending", "remote-1", "--json")).out.split("\n")
  assert.deepEqual([lines.length, lines[2]], [3, ""])
  store.remotes.writes = []
  assert.equal((await hayloft("remote", "pending", "remote-1")).out, "no write is pending\n")
  const key = objectKeyOfText("a\u001bb")
  const one = { key, kind: "put", sizeBytes: 1, sinceMs: 1, lastError: undefined } as const
  store.remotes.writes = Array.from({ length: 1_001 }, () => one)
  const long = (await hayloft("remote", "pending", "remote-1")).out
  assert.match(long, /a\\x1bb\nthese are the first 1,000; others follow\n$/)
  assert.match((await hayloft("remote", "show", "remote-1")).out, /\npending writes +more than 1,000\n$/)
})

test("pending writes that are held go on", async () => {
  await makeBucket()
  await hayloft(...SMALLEST)
  const { code, out } = await hayloft("remote", "resume", "remote-1")
  assert.deepEqual([code, store.remotes.resumed], [0, ["remote-1"]])
  assert.match(out, /\ndelete +1970\S+ \S+ +gone\.txt\n$/)
})

test("a store without remote buckets says how to switch them on", async () => {
  replaced = { core: {} }
  const off = await hayloft("remote", "stores")
  assert.equal(off.code, 1)
  assert.match(off.error, /remote buckets are switched off: start the store with --remotes/)
})

test("objects are brought into the cache, and dropped from it, by jobs", async () => {
  await makeBucket()
  for (const [word, kind] of [
    ["prefetch", "prefetch-objects"],
    ["evict", "evict-objects"],
  ] as const) {
    const started = await hayloft("jobs", "start", word, "remote-1", "--prefix", "a/", "--yes", "--json")
    assert.deepEqual([started.code, started.error], [0, ""])
    assert.match(started.out, new RegExp(`"kind":"${kind}".*"target":"remote-1/a/"`))
  }
})
