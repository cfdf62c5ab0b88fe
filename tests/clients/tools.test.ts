/**
 * Common command-line clients, each against a real server: curl, AWS CLI, rclone, s3cmd, restic (in a bucket with object
 * lock), boto3. A client that is not installed is reported as skipped.
 */
import { test } from "node:test"
import assert from "node:assert/strict"
import { mkdir, readFile, rm, utimes, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { md5Base64 } from "../../conformance/checksums.js"
import { elements, text } from "../../conformance/xml.js"
import { findProgram, run, runOk } from "../harness/commands.js"
import { forTestsOfFile } from "../harness/folders.js"
import { CREDENTIALS, REGION, ServerProcess } from "../harness/server.js"
import { runBoto3 } from "./boto3.js"
import { KIB, MIB, bytesFor, treeOf, writeTree } from "./material.js"

let folder = ""
let server: ServerProcess

forTestsOfFile(async own => {
  folder = own
  server = await ServerProcess.start({ folders: [join(folder, "data")] })
  return () => server.kill()
})

/** The sizes are around the limits of rows and blocks, and around the size of parts that the clients are told. */
const LARGE_BYTES = 5 * MIB + 1
const TREE_SIZES = [0, 1, 4 * KIB, 4 * KIB + 1, LARGE_BYTES]
const AWS_PARTS = "[default]\ns3 =\n  multipart_threshold = 5MB\n  multipart_chunksize = 5MB\n"

/** A folder of this test. */
async function own(name: string): Promise<string> {
  const path = join(folder, name)
  await mkdir(path, { recursive: true })
  return path
}

/** Variables of the machine that would change the client's settings, emptied. */
const inherited = Object.fromEntries(
  Object.keys(process.env)
    .filter(name => /^(AWS|RCLONE|RESTIC)_/.test(name))
    .map(name => [name, undefined]),
)

/** The variables from which most clients take the store's address. */
const env = () => ({
  ...inherited,
  AWS_ACCESS_KEY_ID: CREDENTIALS.accessKey,
  AWS_SECRET_ACCESS_KEY: CREDENTIALS.secretKey,
  AWS_REGION: REGION,
  AWS_DEFAULT_REGION: REGION,
  AWS_ENDPOINT_URL: server.endpoint,
  AWS_CONFIG_FILE: "/dev/null",
  AWS_SHARED_CREDENTIALS_FILE: "/dev/null",
  AWS_EC2_METADATA_DISABLED: "true",
  AWS_PAGER: "",
  HOME: folder,
  LC_ALL: "C.UTF-8",
})

const tool = (name: string) => {
  const path = findProgram(name)
  return { path: path ?? name, skip: path === undefined ? `${name} is not installed` : false } as const
}

const curl = tool("curl")
const aws = tool("aws")

test("curl --aws-sigv4: put, get, range, list, delete", { skip: curl.skip }, async () => {
  const home = await own("curl")
  const sign = ["--aws-sigv4", `aws:amz:${REGION}:s3`, "--user", `${CREDENTIALS.accessKey}:${CREDENTIALS.secretKey}`]
  const unsigned = ["-H", "x-amz-content-sha256: UNSIGNED-PAYLOAD"]
  const go = (...args: string[]) =>
    runOk(curl.path, ["-sS", "--fail-with-body", ...sign, ...unsigned, ...args], { env: env() })
  const url = `${server.endpoint}/curl-bucket`
  await go("-X", "PUT", url)
  for (const size of [0, 1, LARGE_BYTES]) {
    const path = join(home, `${size}`)
    await writeFile(path, bytesFor(path, size))
    await go("-T", path, `${url}/${size}`)
    await go("-o", `${path}.back`, `${url}/${size}`)
    assert.ok((await readFile(`${path}.back`)).equals(await readFile(path)), `${size} bytes`)
  }
  assert.equal((await go("-r", "0-0", `${url}/1`)).length, 1)
  assert.match(await go(`${url}?list-type=2`), /<Key>5242881<\/Key>/)
  await go("-X", "DELETE", `${url}/1`)
  const gone = await run(
    curl.path,
    ["-sS", "-o", "/dev/null", "-w", "%{http_code}", ...sign, ...unsigned, `${url}/1`],
    {
      env: env(),
    },
  )
  assert.equal(gone.stdout, "404")
})

test("AWS CLI: mb, cp, sync --delete, mv, ls, presign, rm, rb", { skip: aws.skip, timeout: 240_000 }, async () => {
  const home = await own("aws")
  const [source, back] = [join(home, "source"), join(home, "back")]
  await writeTree(source, TREE_SIZES)
  const config = join(home, "config")
  await writeFile(config, AWS_PARTS)
  const awsEnv = { ...env(), AWS_CONFIG_FILE: config }
  const go = (...args: string[]) =>
    runOk(aws.path, ["--endpoint-url", server.endpoint, ...args], { env: awsEnv, timeoutMs: 200_000 })
  await go("s3", "mb", "s3://aws-cli")
  await go("s3", "cp", "--quiet", "--recursive", source, "s3://aws-cli/tree")
  await rm(join(source, "plain.txt"))
  await writeFile(join(source, "new file"), "new")
  // S3 returns times in whole seconds: a file written in the same second as its upload looks newer than the object.
  const before = Date.now() / 1000 - 10
  for (const name of Object.keys(await treeOf(source))) await utimes(join(source, name), before, before)
  await go("s3", "sync", "--quiet", "--delete", source, "s3://aws-cli/tree")
  assert.equal(
    (await go("s3", "sync", "--delete", source, "s3://aws-cli/tree")).trim(),
    "",
    "the second sync copies nothing",
  )
  await go("s3", "sync", "--quiet", "--delete", "s3://aws-cli/tree", back)
  assert.deepEqual(await treeOf(back), await treeOf(source))
  await go("s3", "mv", "--quiet", "s3://aws-cli/tree/new file", "s3://aws-cli/moved+é")
  assert.match(await go("s3", "ls", "s3://aws-cli/"), / moved\+é$/m)
  const url = (await go("s3", "presign", "s3://aws-cli/moved+é")).trim()
  assert.equal(await (await fetch(url)).text(), "new")
  await go("s3", "rb", "--force", "s3://aws-cli")
})

const rclone = tool("rclone")
test(
  "rclone: sync twice (the second copies nothing), check, purge",
  { skip: rclone.skip, timeout: 300_000 },
  async () => {
    const home = await own("rclone")
    const [source, back] = [join(home, "source"), join(home, "back")]
    await writeTree(source, TREE_SIZES)
    const remote = {
      RCLONE_CONFIG: "/dev/null",
      RCLONE_CONFIG_STORE_TYPE: "s3",
      RCLONE_CONFIG_STORE_PROVIDER: "Other",
      // Before 1.61, rclone sends `private` unless configured otherwise, which buckets refuse as Amazon's do.
      RCLONE_CONFIG_STORE_ACL: "bucket-owner-full-control",
      RCLONE_CONFIG_STORE_ENDPOINT: server.endpoint,
      RCLONE_CONFIG_STORE_REGION: REGION,
      RCLONE_CONFIG_STORE_ACCESS_KEY_ID: CREDENTIALS.accessKey,
      RCLONE_CONFIG_STORE_SECRET_ACCESS_KEY: CREDENTIALS.secretKey,
      // By default rclone treats both Unicode forms of é as the same name.
      RCLONE_NO_UNICODE_NORMALIZATION: "true",
      RCLONE_S3_UPLOAD_CUTOFF: "5M",
      RCLONE_S3_CHUNK_SIZE: "5M",
    }
    const go = (...args: string[]) => run(rclone.path, args, { env: { ...env(), ...remote } })
    const ok = async (...args: string[]) => {
      const result = await go(...args)
      assert.equal(result.code, 0, `rclone ${args.join(" ")}: ${result.stderr}`)
      return result
    }
    await ok("sync", source, "store:rclone-bucket/tree")
    const second = await ok("sync", "-v", "--stats-one-line", source, "store:rclone-bucket/tree")
    assert.match(second.stderr, /There was nothing to transfer/)
    assert.match((await ok("check", "--download", source, "store:rclone-bucket/tree")).stderr, /0 differences found/)
    await ok("sync", "store:rclone-bucket/tree", back)
    assert.deepEqual(await treeOf(back), await treeOf(source))
    await rm(join(source, "plain.txt"))
    await ok("sync", source, "store:rclone-bucket/tree")
    const listed = await ok("lsf", "-R", "--files-only", "store:rclone-bucket/tree")
    assert.ok(!listed.stdout.includes("plain.txt"))
    await ok("purge", "store:rclone-bucket")
    assert.notEqual((await go("lsf", "store:rclone-bucket")).code, 0)
  },
)

const s3cmd = tool("s3cmd")

/** Runs s3cmd with a configuration of its own in a folder. */
async function s3cmdIn(home: string, isOlder: boolean): Promise<(...args: string[]) => Promise<string>> {
  const settings = join(home, "s3cfg")
  const host = `127.0.0.1:${server.port}`
  const lines = [
    "[default]",
    `access_key = ${CREDENTIALS.accessKey}`,
    `secret_key = ${CREDENTIALS.secretKey}`,
    `host_base = ${host}`,
    `host_bucket = ${host}/%(bucket)`,
    "use_https = False",
    `signature_v2 = ${isOlder ? "True" : "False"}`,
    "multipart_chunk_size_mb = 5",
  ]
  await writeFile(settings, `${lines.join("\n")}\n`)
  return (...args) => runOk(s3cmd.path, ["-c", settings, "--no-progress", ...args], { env: env() })
}

const s3cmdOptions = { skip: s3cmd.skip, timeout: 300_000 }
test("s3cmd, signature version 4: mb, put, get, sync, ls, del, rb", s3cmdOptions, async () => {
  const home = await own("s3cmd")
  const [source, back] = [join(home, "source"), join(home, "back")]
  await writeTree(source, TREE_SIZES)
  await mkdir(back)
  const go = await s3cmdIn(home, false)
  await go("mb", "s3://s3cmd-bucket")
  await go("sync", `${source}/`, "s3://s3cmd-bucket/tree/")
  assert.doesNotMatch(await go("sync", `${source}/`, "s3://s3cmd-bucket/tree/"), /^upload:/m)
  await go("sync", "s3://s3cmd-bucket/tree/", `${back}/`)
  assert.deepEqual(await treeOf(back), await treeOf(source))
  assert.match(await go("ls", "s3://s3cmd-bucket/tree/"), /with space and {2}two/)
  await go("cp", "s3://s3cmd-bucket/tree/plain.txt", "s3://s3cmd-bucket/copied +é")
  assert.match(await go("info", "s3://s3cmd-bucket/copied +é"), /File size: *100/)
  await go("rb", "--recursive", "--force", "s3://s3cmd-bucket")
})

test("s3cmd, signature version 2: a tree there and back, in parts", s3cmdOptions, async () => {
  const home = await own("s3cmd older")
  const [source, back] = [join(home, "source"), join(home, "back")]
  await writeTree(source, [0, LARGE_BYTES])
  await mkdir(back)
  const go = await s3cmdIn(home, true)
  await server.client().call("PUT", { bucket: "s3cmd-older" })
  await go("sync", `${source}/`, "s3://s3cmd-older/tree/")
  await go("sync", "s3://s3cmd-older/tree/", `${back}/`)
  assert.deepEqual(await treeOf(back), await treeOf(source))
  await go("rb", "--recursive", "--force", "s3://s3cmd-older")
})

const restic = tool("restic")
const LOCK =
  "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule><DefaultRetention>" +
  "<Mode>COMPLIANCE</Mode><Days>1</Days></DefaultRetention></Rule></ObjectLockConfiguration>"

/** An intruder who has the keys deletes all that a listing shows, and then what these deletes left. */
async function deleteAll(bucket: string): Promise<void> {
  const client = server.client()
  const deleteEach = async (query: string, element: string): Promise<number> => {
    const { text: listed } = await client.call("GET", { bucket, query })
    const found = elements(listed, element).map(entry => {
      const version = text(entry, "VersionId")
      const versionId = version === undefined ? "" : `<VersionId>${version}</VersionId>`
      return `<Object><Key>${text(entry, "Key") ?? ""}</Key>${versionId}</Object>`
    })
    if (found.length === 0) return 0
    const body = `<Delete><Quiet>true</Quiet>${found.join("")}</Delete>`
    const headers = { "Content-MD5": md5Base64(Buffer.from(body)) }
    const { status, text: answer } = await client.call("POST", { bucket, query: "delete", body, headers })
    assert.deepEqual([status, elements(answer, "Error")], [200, []])
    return found.length
  }
  const deleted = await deleteEach("list-type=2", "Contents")
  assert.ok(deleted > 0, "something was deleted")
  assert.equal(await deleteEach("list-type=2", "Contents"), 0)
  assert.ok((await deleteEach("versions", "DeleteMarker")) >= deleted)
}

test(
  "restic: init, backup, check, restore, forget and prune; a snapshot outlives its removal from a bucket with object lock",
  { skip: restic.skip, timeout: 180_000 },
  async () => {
    const home = await own("restic")
    const source = join(home, "source")
    const bucket = "restic-bucket"
    const locked = { "x-amz-bucket-object-lock-enabled": "true" }
    assert.equal((await server.client().call("PUT", { bucket, headers: locked })).status, 200)
    const headers = { "Content-MD5": md5Base64(Buffer.from(LOCK)) }
    const put = await server.client().call("PUT", { bucket, query: "object-lock", body: LOCK, headers })
    assert.equal(put.status, 200)
    await writeTree(source, TREE_SIZES)
    const settings = { RESTIC_PASSWORD: "secret", RESTIC_CACHE_DIR: join(home, "cache") }
    const repository = `s3:${server.endpoint}/${bucket}/repository`
    const go = (...args: string[]) =>
      runOk(restic.path, ["-r", repository, ...args], { env: { ...env(), ...settings }, cwd: home })
    await go("init")
    await go("backup", "source")
    await writeFile(join(source, "later"), bytesFor("later", MIB))
    await go("backup", "source")
    await go("forget", "--keep-last", "1", "--prune")
    assert.match(await go("check", "--read-data"), /no errors were found/)
    await deleteAll(bucket)
    await go("restore", "latest", "--no-lock", "--target", join(home, "back"))
    assert.deepEqual(await treeOf(join(home, "back", "source")), await treeOf(source))
  },
)

test("boto3: objects, transfers, versions, presigned URLs, forms, errors", { timeout: 180_000 }, async context =>
  runBoto3(context, ["client"], { ...env(), BOTO3_FOLDER: await own("boto3") }),
)
