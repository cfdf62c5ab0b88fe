/** An operator gets deleted objects of a real server back with the CLI; clients see what they had, and nothing of what is kept. */
import { after, before, test } from "node:test"
import assert from "node:assert/strict"
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { until } from "@hayloft/base/seams/clock/testing-until.js"
import { md5Base64 } from "../../conformance/checksums.js"
import { text, texts } from "../../conformance/xml.js"
import { awsEnvironment } from "../harness/aws-environment.js"
import { findProgram, runOk } from "../harness/commands.js"
import { ServerProcess } from "../harness/server.js"

const LOOK_MS = 100
/** Beyond what is stored with the row. */
const LARGE = Buffer.alloc(700_000, "large")

const LOCK =
  "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule><DefaultRetention>" +
  "<Mode>GOVERNANCE</Mode><Days>1</Days></DefaultRetention></Rule></ObjectLockConfiguration>"

let folder = ""
let server: ServerProcess

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "hayloft-undelete-"))
  // A day of lifecycle rules lasts a second, after seven of which uploads would be removed.
  const args = ["--lifecycle-day", "1", "--abandoned-upload-days", "0"]
  server = await ServerProcess.start({ folders: [join(folder, "d1")], args })
})

after(async () => {
  await server?.kill()
  await rm(folder, { recursive: true, force: true })
})

/** `hayloft bucket undelete VERB BUCKET …` */
class Kept {
  private constructor(readonly bucket: string) {}

  static async make(bucket: string): Promise<Kept> {
    const kept = new Kept(bucket)
    await kept.send("PUT")
    assert.match(await kept.done("enable"), /for 3 days from now on/)
    return kept
  }

  run(verb: string, ...rest: readonly string[]) {
    return server.hayloft(["bucket", "undelete", verb, this.bucket, ...rest])
  }

  async done(verb: string, ...rest: readonly string[]): Promise<string> {
    const { code, stdout, stderr } = await this.run(verb, ...rest)
    assert.equal(code, 0, `${verb} ${rest.join(" ")}: ${stderr}`)
    return stdout
  }

  async fails(code: number, pattern: RegExp, verb: string, ...rest: readonly string[]): Promise<void> {
    const result = await this.run(verb, ...rest)
    assert.equal(result.code, code, `${verb} ${rest.join(" ")}: ${result.stderr}`)
    assert.match(result.stderr, pattern)
  }

  /** `KEY REASON SIZE`, by key. */
  async listed(...rest: readonly string[]): Promise<readonly string[]> {
    const lines = (await this.done("list", "--json", ...rest)).split("\n").filter(line => line !== "")
    const found = lines.map(line => JSON.parse(line) as { key: string; reason: string; sizeBytes: number })
    return found.map(({ key, reason, sizeBytes }) => `${key} ${reason} ${sizeBytes}`).sort()
  }

  async send(method: string, key?: string, body?: string | Buffer, headers: Readonly<Record<string, string>> = {}) {
    const call = {
      bucket: this.bucket,
      ...(key !== undefined && { key }),
      ...(body !== undefined && { body }),
      headers,
    }
    const response = await server.client().call(method, call)
    assert.ok(response.status < 300, `${method} ${key}: ${response.status} ${response.text}`)
    return response
  }

  async setting(query: string, body: string): Promise<void> {
    const headers = { "Content-MD5": md5Base64(Buffer.from(body)) }
    const { status } = await server.client().call("PUT", { bucket: this.bucket, query, body, headers })
    assert.equal(status, 200, query)
  }

  async keys(): Promise<readonly string[]> {
    return texts((await server.client().call("GET", { bucket: this.bucket, query: "list-type=2" })).text, "Key")
  }
}

/** A moment after everything that was done, and before everything that follows. */
async function moment(): Promise<string> {
  const nowMs = Date.now() + 1
  await until("the moment is over", () => Date.now() > nowMs, 1)
  return new Date(nowMs).toISOString()
}

test("what is deleted and overwritten comes back as it was, also after a restart", { timeout: 180_000 }, async () => {
  const kept = await Kept.make("photos")
  const put = await kept.send("PUT", "a/1", "first", { "x-amz-meta-who": "ann", "x-amz-tagging": "k=v" })
  const atFirst = await moment()
  await kept.send("PUT", "a/1", "second")
  await kept.send("PUT", "a/large", LARGE)
  await kept.send("DELETE", "a/large")
  await kept.send("PUT", "b", "other")
  await kept.send("DELETE", "b")
  await kept.send("DELETE", "never")
  assert.deepEqual(await kept.keys(), ["a/1"], "clients see nothing of it")
  const all = ["a/1 overwritten 5", "a/large deleted 700000", "b deleted 5"]
  assert.deepEqual(await kept.listed(), all)
  await server.stop()
  await server.launch()
  assert.deepEqual(await kept.listed(), all)
  assert.deepEqual(await kept.listed("--prefix", "a/"), all.slice(0, 2))
  assert.deepEqual(await kept.listed("--since", await moment()), [])
  const stat = await server.hayloft(["bucket", "stat", "photos"])
  assert.match(stat.stdout, /undelete +3 days; keeps 3 deleted objects, 683\.6 KiB\n/)
  assert.match(stat.stdout, /\nbytes +6 /, "what is kept is in no other count")

  assert.match(await kept.done("restore", "a/large"), /^restored photos\/a\/large\n$/)
  assert.deepEqual((await kept.send("GET", "a/large")).body, LARGE)
  await kept.fails(3, /nothing is kept of photos\/a\/large/, "restore", "a/large")
  await kept.fails(6, /photos\/a\/1 exists; add --over/, "restore", "a/1")
  assert.equal((await kept.send("GET", "a/1")).text, "second", "a refusal changes nothing")
  await kept.fails(3, /nothing is kept of photos\/b of that time/, "restore", "b", "--at", atFirst)
  await kept.done("restore", "a/1", "--over", "--at", atFirst)
  const restored = await kept.send("GET", "a/1")
  assert.equal(restored.text, "first")
  const facts = (["etag", "x-amz-meta-who", "x-amz-tagging-count"] as const).map(name => restored.header(name))
  assert.deepEqual(facts, [put.header("etag"), "ann", "1"])
  assert.deepEqual(await kept.listed("--prefix", "a/"), ["a/1 overwritten 6"], "what was replaced is kept in turn")

  await kept.done("restore", "a/1", "--over")
  assert.equal((await kept.send("GET", "a/1")).text, "second")
  await kept.fails(3, /nothing is kept of photos\/a\/1 of that time/, "restore", "a/1", "--over", "--at", atFirst)
})

test(
  "purge and DeleteBucket: what is kept is removed only by name, and holds the bucket",
  { timeout: 300_000 },
  async () => {
    const kept = await Kept.make("doomed")
    for (const key of ["a/1", "a/2", "b"]) {
      await kept.send("PUT", key, "x")
      await kept.send("DELETE", key)
    }
    const refused = await server.client().call("DELETE", { bucket: "doomed" })
    assert.deepEqual([refused.status, text(refused.text, "Code")], [409, "BucketNotEmpty"])
    assert.match(text(refused.text, "Message") ?? "", /hayloft bucket undelete purge/)
    const deleted = await server.hayloft(["bucket", "delete", "doomed"])
    assert.deepEqual([deleted.code, /hayloft bucket undelete purge/.test(deleted.stderr)], [6, true], deleted.stderr)
    await kept.done("purge", "a/1", "--yes")
    assert.deepEqual(await kept.listed(), ["a/2 deleted 1", "b deleted 1"])
    await kept.done("purge", "--prefix", "a/", "--yes")
    assert.deepEqual(await kept.listed(), ["b deleted 1"])
    await kept.fails(2, /--confirm doomed/, "purge", "--yes")
    assert.match(await kept.done("disable"), /1 object, 1 B: until their time/)
    await kept.send("PUT", "c", "x")
    await kept.send("DELETE", "c")
    assert.deepEqual(await kept.listed(), ["b deleted 1"], "nothing more is kept")
    await kept.done("purge", "--yes", "--confirm", "doomed")
    await kept.send("DELETE")
  },
)

test("a bucket with versions is refused by name; versioning later ends it, and what is kept comes back", async () => {
  const versions = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
  const kept = await Kept.make("later")
  await kept.send("PUT", "k", "first")
  await kept.send("DELETE", "k")
  await kept.send("PUT", "m", "kept")
  await kept.send("DELETE", "m")
  await kept.setting("versioning", versions)
  const enabling = await kept.run("enable")
  assert.deepEqual([enabling.code, /versioning/.test(enabling.stderr)], [2, true], enabling.stderr)
  await kept.send("PUT", "l", "x")
  await kept.send("DELETE", "l")
  assert.deepEqual(await kept.listed(), ["k deleted 5", "m deleted 4"], "versions are kept as versions")
  await kept.done("restore", "k")
  assert.equal((await kept.send("GET", "k")).text, "first")
  await kept.setting("object-lock", LOCK)
  await kept.done("restore", "m")
  const { header } = await kept.send("GET", "m")
  assert.equal(header("x-amz-object-lock-mode"), "GOVERNANCE", "as what is put from then on")
  const locked = await server.client().call("PUT", {
    bucket: "locked",
    headers: { "x-amz-bucket-object-lock-enabled": "true" },
  })
  assert.equal(locked.status, 200)
  assert.equal((await server.hayloft(["bucket", "undelete", "enable", "locked"])).code, 2)
  assert.equal((await server.hayloft(["bucket", "undelete", "enable", "nowhere"])).code, 3)
})

test("what a lifecycle rule expires is kept as well", { timeout: 300_000 }, async () => {
  const kept = await Kept.make("expiring")
  await kept.send("PUT", "logs/1", "x")
  await kept.send("PUT", "other", "x")
  const expiration =
    "<Filter><Prefix>logs/</Prefix></Filter><Status>Enabled</Status><Expiration><Days>1</Days></Expiration>"
  await kept.setting("lifecycle", `<LifecycleConfiguration><Rule>${expiration}</Rule></LifecycleConfiguration>`)
  await until("the object has expired", async () => (await kept.keys()).length <= 1, LOOK_MS)
  assert.deepEqual(await kept.listed(), ["logs/1 expired 1"])
})

const aws = findProgram("aws")
const skip = aws === undefined ? "aws is not installed" : false
test("a folder that the AWS CLI deleted comes back byte for byte", { skip, timeout: 300_000 }, async () => {
  const kept = await Kept.make("backup")
  const env = awsEnvironment({ endpoint: server.endpoint, home: folder })
  const go = (...rest: string[]) => runOk(aws ?? "", ["--endpoint-url", server.endpoint, ...rest], { env })
  const [source, target] = [join(folder, "source"), join(folder, "target")]
  await mkdir(join(source, "deep"), { recursive: true })
  const parts = Buffer.alloc(8 * 1024 * 1024 + 1, "in parts")
  await writeFile(join(source, "small"), "small")
  await writeFile(join(source, "deep", "große datei.bin"), parts)
  await go("s3", "cp", "--recursive", source, "s3://backup/folder/")
  const etagOf = async () => (await kept.send("HEAD", "folder/deep/große datei.bin")).header("etag")
  const etag = await etagOf()
  await go("s3", "rm", "--recursive", "s3://backup/folder/")
  const { text: versions } = await server.client().call("GET", { bucket: "backup", query: "versions" })
  assert.deepEqual(texts(versions, "Key"), [])
  await kept.send("PUT", "folder/small", "small")
  const out = await kept.done("restore", "--prefix", "folder/")
  assert.match(out, /^restored 1 of backup\/folder\/\*; 1 exists and stays as it is/)
  assert.equal(await etagOf(), etag)
  assert.match(etag ?? "", /-2"$/)
  await go("s3", "sync", "s3://backup/folder/", target)
  assert.deepEqual(await readFile(join(target, "deep", "große datei.bin")), parts)
})
