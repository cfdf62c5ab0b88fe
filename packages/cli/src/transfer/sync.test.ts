/** `sync`, `mv`, `cat`, `presign`, `mb` and `rb` against a real store in a separate process; most commands run in this one. */
import { after, before, test } from "node:test"
import assert from "node:assert/strict"
import { spawn } from "node:child_process"
import { mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, utimes, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { MIB } from "@hayloft/base/limits.js"
import { TEST_SEED } from "@hayloft/base/testing-seed.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { RealClock } from "@hayloft/base/seams/clock/real.js"
import { S3Client, serverCopy } from "@hayloft/client/index.js"
import { HAYLOFT_COMMAND, StoreProcess } from "@hayloft/client/testing-store-process.js"
import { runHere } from "../testing-here.js"
import { plainEnvironment, type Outcome, type RunOptions } from "../testing-process.js"

const clock = new RealClock()
const PAST = new Date("2020-01-02T03:04:05Z")
let folder = ""
let data = ""
let store: StoreProcess | undefined
let client: S3Client | undefined

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "hayloft-sync-"))
  data = join(folder, "data")
  store = await StoreProcess.start({ dataFolders: [data] }, clock)
  client = new S3Client(await store.access(), clock, new AbortController().signal)
})

after(async () => {
  client?.close()
  await store?.stop()
  await rm(folder, { recursive: true, force: true })
})

const s3 = (): S3Client => {
  assert.ok(client)
  return client
}

const hayloft = (args: readonly string[], options: RunOptions = {}): Promise<Outcome> =>
  runHere(args, { workingFolder: folder, ...options, environment: { HAYLOFT_DATA: data, ...options.environment } })

async function succeeds(args: readonly string[], options: RunOptions = {}): Promise<string> {
  const { code, out, error } = await hayloft(args, options)
  assert.equal(code, 0, `hayloft ${args.join(" ")}: ${error}`)
  return out.toString("utf8")
}

async function fails(code: number, pattern: RegExp, args: readonly string[]): Promise<Outcome> {
  const outcome = await hayloft(args)
  assert.equal(outcome.code, code, `hayloft ${args.join(" ")}: ${outcome.error}`)
  assert.match(outcome.error, pattern)
  return outcome
}

async function plant(root: string, files: Readonly<Record<string, string>>): Promise<void> {
  for (const [name, text] of Object.entries(files)) {
    const path = join(folder, root, name)
    await mkdir(dirname(path), { recursive: true })
    await writeFile(path, text)
    await utimes(path, PAST, PAST)
  }
}

async function put(bucket: string, objects: Readonly<Record<string, string>>): Promise<void> {
  for (const [key, text] of Object.entries(objects)) await s3().put({ bucket, key, body: Buffer.from(text) })
}

async function keysIn(bucket: string, prefix = ""): Promise<string[]> {
  const keys: string[] = []
  for await (const { key } of s3().keys(bucket, prefix)) keys.push(key)
  return keys
}

async function filesIn(root: string): Promise<string[]> {
  const entries = await readdir(join(folder, root), { recursive: true, withFileTypes: true })
  return entries
    .filter(entry => !entry.isDirectory())
    .map(entry => join(entry.parentPath, entry.name).slice(join(folder, root).length + 1))
    .sort()
}

test("buckets are made and removed; one that is not empty stays", async () => {
  assert.equal(await succeeds(["mb", "s3://made"]), "created s3://made\n")
  await put("made", { k: "x" })
  await fails(6, /not empty/, ["rb", "s3://made"])
  await s3().remove("made", "k")
  assert.equal(await succeeds(["rb", "s3://made"]), "removed s3://made\n")
  await fails(3, /made/, ["rb", "s3://made"])
  await fails(2, /name the bucket: s3:\/\/made/, ["mb", "s3://made/key"])
})

test("cat writes an object, a range, or a version, and ends without an error when the reader has enough", async () => {
  await s3().createBucket("cats")
  const bytes = Buffer.from(new SimRandom(TEST_SEED).bytes(20 * MIB))
  await s3().put({ bucket: "cats", key: "large", body: bytes })
  const whole = await hayloft(["cat", "s3://cats/large"])
  assert.ok(whole.code === 0 && whole.out.equals(bytes), whole.error)
  for (const [range, expected] of [
    ["5-9", bytes.subarray(5, 10)],
    [`${bytes.length - 3}-`, bytes.subarray(-3)],
    ["-4", bytes.subarray(-4)],
  ] as const) {
    const { code, out, error } = await hayloft(["cat", "s3://cats/large", "--range", range])
    assert.ok(code === 0 && out.equals(expected), `${range}: ${error}`)
  }
  await fails(2, /FIRST-LAST/, ["cat", "s3://cats/large", "--range", "9"])
  await fails(1, /range/i, ["cat", "s3://cats/large", "--range", `${bytes.length}-`])
  await fails(3, /none/, ["cat", "s3://cats/none"])
  await fails(2, /[Vv]ersion id/, ["cat", "s3://cats/large", "--version-id", "none"])
  const { code, error } = await runHead(["cat", "s3://cats/large"])
  assert.deepEqual([code, error], [0, ""])
})

/** Runs a command whose output is closed after the first bytes. */
function runHead(args: readonly string[]): Promise<{ code: number | null; error: string }> {
  return new Promise((resolve, reject) => {
    const env = { ...plainEnvironment(), HAYLOFT_DATA: data }
    const child = spawn(process.execPath, [HAYLOFT_COMMAND, ...args], { env, timeout: 60_000 })
    let error = ""
    child.stderr.on("data", (chunk: Buffer) => (error += chunk.toString("utf8")))
    child.stdout.once("data", () => child.stdout.destroy())
    child.on("error", reject).on("close", code => resolve({ code, error }))
  })
}

test("a presigned URL reads or writes one object without a key; longer than 7 days is refused", async () => {
  await s3().createBucket("signed")
  const key = "a b/é+%.txt"
  const target = `s3://signed/${key}`
  const url = (await succeeds(["presign", target, "--method", "PUT", "--expires", "10m"])).trimEnd()
  assert.equal((await fetch(url, { method: "PUT", body: "by URL" })).status, 200)
  assert.equal(await succeeds(["cat", target]), "by URL")
  const read = (await succeeds(["presign", target])).trimEnd()
  assert.match(read, /X-Amz-Expires=3600&/)
  assert.equal(await (await fetch(read)).text(), "by URL")
  assert.equal((await fetch(read, { method: "PUT", body: "x" })).status, 403)
  assert.equal((await fetch(read.replace("by", "x").replace(".txt", ".tx"))).status, 403)
  const value: unknown = JSON.parse(await succeeds(["presign", target, "--expires", "7d", "--json"]))
  assert.ok(typeof value === "object" && value !== null && "url" in value && "expires" in value && "method" in value)
  assert.equal(value.method, "GET")
  await fails(2, /8d is too long; a presigned URL is valid for 7 days/, ["presign", target, "--expires", "8d"])
  await fails(2, /allowed choices|Allowed choices/, ["presign", target, "--method", "DELETE"])
})

test("transaction: a document's operations are done together, or refused with the number of one", async () => {
  for (const bucket of ["from", "onto"]) await s3().createBucket(bucket)
  await put("from", { a: "1", b: "2" })
  const move = { rename: { bucket: "from", key: "a", toBucket: "onto", toKey: "a" } }
  const removal = { delete: { bucket: "from", key: "b", ifMatch: "*" } }
  await plant("documents", {
    "good.json": JSON.stringify({ token: "t", operations: [move, removal] }),
    "bad.json": JSON.stringify({ operations: [move, { check: { bucket: "from", key: "b", ifNoneMatch: "*" } }] }),
    "empty.json": "{}",
  })
  await fails(6, /operation 2: .*PreconditionFailed/, ["transaction", "documents/bad.json"])
  await fails(2, /has no operations; docs\/guide\/transactions.md/, ["transaction", "documents/empty.json"])
  assert.deepEqual([await keysIn("from"), await keysIn("onto")], [["a", "b"], []])
  assert.match(await succeeds(["transaction", "documents/good.json"]), /^1 +rename +[0-9a-f]{32}\n2 +delete/m)
  assert.deepEqual([await keysIn("from"), await keysIn("onto")], [[], ["a"]])
  const again: unknown = JSON.parse(await succeeds(["transaction", "documents/good.json", "--json"]))
  assert.ok(typeof again === "object" && again !== null && "token" in again && "results" in again)
  assert.deepEqual([again.token, Array.isArray(again.results) && again.results.length], ["t", 2])
})

test("mv: up, down, within a bucket with its metadata, and between buckets", async () => {
  await plant("moving", { "one.txt": "1" })
  await succeeds(["mv", "moving/one.txt", "s3://moved/in/"])
  assert.deepEqual([await filesIn("moving"), await keysIn("moved")], [[], ["in/one.txt"]])
  const before = await s3().head("moved", "in/one.txt")
  await succeeds(["mv", "s3://moved/in/one.txt", "s3://moved/renamed"])
  const renamed = await s3().head("moved", "renamed")
  assert.deepEqual([renamed.etag, renamed.contentType], [before.etag, "text/plain; charset=utf-8"])
  assert.ok(before.hasRename)
  await succeeds(["mv", "s3://moved/renamed", "s3://moved-away/there"])
  assert.deepEqual([await keysIn("moved"), await keysIn("moved-away")], [[], ["there"]])
  assert.equal((await s3().head("moved-away", "there")).contentType, "text/plain; charset=utf-8")
  await succeeds(["mv", "s3://moved-away/there", "moving/back.txt"])
  assert.deepEqual([await keysIn("moved-away"), await readFile(join(folder, "moving/back.txt"), "utf8")], [[], "1"])
  await fails(3, /there/, ["mv", "s3://moved-away/there", "moving/again.txt"])
})

test("mv -r: folders and prefixes; a key that is no path keeps its object", async () => {
  await plant("tree", { a: "1", "deep/b": "2" })
  assert.match(await succeeds(["mv", "-r", "tree", "s3://moved-trees/t"]), /2 moved/)
  assert.deepEqual([await filesIn("tree"), await keysIn("moved-trees")], [[], ["t/a", "t/deep/b"]])
  await succeeds(["mv", "-r", "s3://moved-trees/t/", "s3://moved-trees/"])
  assert.deepEqual(await keysIn("moved-trees"), ["a", "deep/b"])
  await put("moved-trees", { "../up": "x" })
  await fails(1, /1 of 3 were not moved/, ["mv", "-r", "s3://moved-trees", "inside/here"])
  assert.deepEqual([await keysIn("moved-trees"), await filesIn("inside")], [["../up"], ["here/a", "here/deep/b"]])
})

test("sync up: copies what differs and nothing else, again and again", async () => {
  await plant("up", { "a.txt": "1", "deep/b.txt": "22", "c.log": "3" })
  assert.match(
    await succeeds(["sync", "up", "s3://synced/p", "--dry-run"]),
    /would copy .*a\.txt .*: missing\n[^]*would copy 3 /,
  )
  await fails(3, /synced/, ["ls", "s3://synced"])
  assert.match(await succeeds(["sync", "up", "s3://synced/p"]), /3 copied \(4 B\), 0 unchanged\n$/)
  assert.deepEqual(await keysIn("synced"), ["p/a.txt", "p/c.log", "p/deep/b.txt"])
  assert.match(await succeeds(["sync", "up", "s3://synced/p"]), /^0 copied \(0 B\), 3 unchanged\n$/)
  // The size is the same: only the time tells.
  await writeFile(join(folder, "up/a.txt"), "7")
  const future = new Date(clock.wallMs() + 60_000)
  await utimes(join(folder, "up/a.txt"), future, future)
  await writeFile(join(folder, "up/deep/b.txt"), "222")
  await utimes(join(folder, "up/deep/b.txt"), PAST, PAST)
  assert.match(
    await succeeds(["sync", "up", "s3://synced/p", "--dry-run", "--size-only"]),
    /^would copy \S*deep\/b\.txt .*: size\nwould copy 1 /,
  )
  const lines = (await succeeds(["sync", "up", "s3://synced/p"])).split("\n")
  assert.equal(lines.at(-2), "2 copied (4 B), 1 unchanged")
  // Files are copied at the same time, so either may be first.
  const copied = lines.slice(0, -2).map(line => /(\S+) -> /.exec(line)?.[1])
  assert.deepEqual(copied.sort(), [join(folder, "up/a.txt"), join(folder, "up/deep/b.txt")])
  assert.equal(await succeeds(["cat", "s3://synced/p/a.txt"]), "7")
})

test("sync --delete removes what the source does not have, but not what is excluded, and not on a dry run", async () => {
  await plant("kept", { a: "1", b: "2" })
  await s3().createBucket("pruned")
  await put("pruned", { "x/old": "o", "x/skip.log": "s", other: "not below x" })
  const shown = await succeeds(["sync", "kept", "s3://pruned/x", "--delete", "--dry-run", "--exclude", "*.log"])
  assert.match(shown, /would delete s3:\/\/pruned\/x\/old\nwould copy 2 \(2 B\), delete 1, 0 unchanged\n$/)
  assert.deepEqual(await keysIn("pruned"), ["other", "x/old", "x/skip.log"])
  assert.match(await succeeds(["sync", "kept", "s3://pruned/x"]), /2 copied \(2 B\), 0 unchanged\n$/)
  assert.deepEqual(await keysIn("pruned", "x/old"), ["x/old"])
  const done = await succeeds(["sync", "kept", "s3://pruned/x", "--delete", "--exclude", "*.log"])
  assert.match(done, /deleted s3:\/\/pruned\/x\/old\n0 copied \(0 B\), 1 deleted, 2 unchanged\n$/)
  assert.deepEqual(await keysIn("pruned"), ["other", "x/a", "x/b", "x/skip.log"])
})

test("sync --delete removes nothing if a copy failed, or if the source is empty", async () => {
  await plant("partial", { good: "1" })
  await symlink("nowhere", join(folder, "partial", "broken"))
  await s3().createBucket("careful")
  await put("careful", { old: "o" })
  await fails(1, /broken does not exist[^]*nothing was removed[^]*1 of 2 were not copied/, [
    "sync",
    "partial",
    "s3://careful",
    "--delete",
  ])
  assert.deepEqual(await keysIn("careful"), ["good", "old"])
  await mkdir(join(folder, "emptied"))
  await fails(3, /would remove everything/, ["sync", "emptied", "s3://careful", "--delete"])
  await fails(3, /absent does not exist/, ["sync", "absent", "s3://careful", "--delete"])
  await fails(3, /NoSuchBucket|does not exist/, ["sync", "s3://absent-bucket", "emptied", "--delete"])
  assert.deepEqual(await keysIn("careful"), ["good", "old"])
})

test("sync down: files get the times of their objects; another run copies nothing; extra files go with their folders", async () => {
  await s3().createBucket("down")
  await put("down", { "a-b": "1", "a/x": "2", "é/ü": "3", "marker/": "" })
  const { out, error } = await hayloft(["sync", "s3://down", "down"])
  assert.match(out.toString("utf8"), /3 copied \(3 B\), 0 unchanged\n$/)
  assert.match(error, /^hayloft: s3:\/\/down\/marker\/: left out, an empty object that marks a folder\n$/)
  for await (const { key, lastModifiedMs: timeMs } of s3().keys("down", "")) {
    if (key !== "marker/") assert.equal(Math.round((await stat(join(folder, "down", key))).mtimeMs), timeMs)
  }
  await plant("down", { "old/er/file": "x", "a/y": "y" })
  assert.match(await succeeds(["sync", "s3://down", "down"]), /^0 copied \(0 B\), 3 unchanged\n$/)
  // Stores keep whole seconds: an object that is written twice in one has the same time.
  const { lastModifiedMs } = await s3().head("down", "a/x")
  do await put("down", { "a/x": "9" })
  while ((await s3().head("down", "a/x")).lastModifiedMs === lastModifiedMs)
  assert.match(await succeeds(["sync", "s3://down", "down", "--delete"]), /1 copied \(1 B\), 2 deleted, 2 unchanged\n$/)
  assert.deepEqual(await filesIn("down"), ["a-b", "a/x", "é/ü"])
  assert.deepEqual((await readdir(join(folder, "down"))).sort(), ["a", "a-b", "é"])
  assert.equal(await readFile(join(folder, "down/a/x"), "utf8"), "9")
})

test("sync down: keys that are no paths are named, and nothing is written outside of the folder", async () => {
  await s3().createBucket("hostile")
  await mkdir(join(folder, "nest/target"), { recursive: true })
  await mkdir(join(folder, "nest/outside"))
  await symlink("../outside", join(folder, "nest/target/link"))
  await plant("nest/target", { file: "f", "kept/x": "extra" })
  const bad = [
    "../up",
    "/absolute",
    "a//b",
    "a/../../up",
    "link/through",
    "file/below",
    "kept",
    "slash/",
    "back\\slash",
  ]
  for (const key of bad) await put("hostile", { [key]: "x" })
  await put("hostile", { good: "g", file: "f" })
  for (const dryRun of [["--dry-run"], []]) {
    const { error } = await fails(1, /were not copied/, ["sync", "s3://hostile", "nest/target", "--delete", ...dryRun])
    for (const key of dryRun.length > 0 ? ["../up", "/absolute", "slash/"] : bad)
      assert.ok(error.includes(key), `${key} is named in ${error}`)
  }
  assert.deepEqual(await filesIn("nest"), ["target/file", "target/good", "target/kept/x", "target/link"])
  await rm(join(folder, "nest/target/link"))
  await rm(join(folder, "nest/target/kept"), { recursive: true })
})

test("sync between buckets copies in the store with attributes; prefixes within one another are refused", async () => {
  await plant("site", { "index.html": "<p>" })
  await succeeds(["sync", "site", "s3://site-a"])
  assert.match(await succeeds(["sync", "s3://site-a", "s3://site-b/copy", "--json"]), /"files":1,[^\n]*\n$/)
  assert.equal((await s3().head("site-b", "copy/index.html")).contentType, "text/html; charset=utf-8")
  assert.match(await succeeds(["sync", "s3://site-a", "s3://site-b/copy"]), /^0 copied/)
  await fails(2, / overlap: /, ["sync", "s3://site-b/copy", "s3://site-b", "--delete"])
  await fails(2, / overlap: /, ["sync", "s3://site-b", "s3://site-b/copy/x"])
  await fails(2, /one side must be/, ["sync", "site", "elsewhere"])
  assert.deepEqual(await keysIn("site-b"), ["copy/index.html"])
})

test("a copy in parts has the bytes, attributes and tags; of an object that changed, there is none", async () => {
  await s3().createBucket("parts")
  const bytes = Buffer.from(new SimRandom(TEST_SEED).bytes(11 * MIB))
  const [from, to] = [
    { bucket: "parts", key: "from é" },
    { bucket: "parts", key: "to" },
  ]
  const headers = [
    ["content-type", "text/x-parts"],
    ["x-amz-meta-owner", "me"],
    ["x-amz-tagging", "a=b%20c"],
  ] as const
  const made = { ...from, uploadId: await s3().createMultipart(from, headers) }
  const etag = await s3().putPart({ ...made, partNumber: 1, body: bytes })
  await s3().complete({ ...made, etags: [etag] })
  const head = await s3().head("parts", from.key)
  let copiedBytes = 0
  await serverCopy(s3(), { from, head, to, onProgress: count => (copiedBytes += count) }, 5 * MIB)
  const got = await hayloft(["cat", "s3://parts/to"])
  assert.ok(got.out.equals(bytes))
  const copy = await s3().head("parts", "to")
  assert.deepEqual([copy.contentType, /-3$/.test(copy.etag), copiedBytes], ["text/x-parts", true, bytes.length])
  assert.deepEqual(new Map(copy.attributes).get("x-amz-meta-owner"), "me")
  assert.deepEqual(await s3().getTags("parts", "to"), [["a", "b c"]])
  await succeeds(["cp", "s3://parts/to", "s3://parts/typed", "--content-type", "text/x-other"])
  const typed = await s3().head("parts", "typed")
  assert.deepEqual([typed.contentType, new Map(typed.attributes).get("x-amz-meta-owner")], ["text/x-other", "me"])
  assert.deepEqual(await s3().getTags("parts", "typed"), [["a", "b c"]])
  await s3().remove("parts", "typed")
  await put("parts", { [from.key]: "changed" })
  const again = { from, head, to: { bucket: "parts", key: "none" }, onProgress: () => undefined }
  await assert.rejects(serverCopy(s3(), again, 5 * MIB), { status: 412 })
  await assert.rejects(serverCopy(s3(), again), { status: 412 })
  assert.deepEqual(await keysIn("parts"), [from.key, "to"])
})
