/**
 * Common command-line clients, each against a real server: curl, AWS CLI, rclone, s3cmd, restic, boto3. A client
 * that is not installed is reported as skipped.
 */
import { after, before, test } from "node:test"
import assert from "node:assert/strict"
import { mkdir, mkdtemp, readFile, rm, utimes, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { findProgram, run, runOk } from "../harness/commands.js"
import { CREDENTIALS, REGION, ROOT, ServerProcess } from "../harness/server.js"
import { KIB, MIB, bytesFor, treeOf, writeTree } from "./material.js"

let folder = ""
let server: ServerProcess

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "hayloft-tools-"))
  server = await ServerProcess.start({ folders: [join(folder, "data")] })
})

after(async () => {
  await server?.kill()
  await rm(folder, { recursive: true, force: true })
})

const TREE_SIZES = [0, 1, 4 * KIB, 4 * KIB + 1, 4 * MIB + 1, 8 * MIB, 17 * MIB]

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
  for (const size of [0, 1, 5000, 9 * MIB]) {
    const path = join(home, `${size}`)
    await writeFile(path, bytesFor(path, size))
    await go("-T", path, `${url}/${size}`)
    await go("-o", `${path}.back`, `${url}/${size}`)
    assert.ok((await readFile(`${path}.back`)).equals(await readFile(path)), `${size} bytes`)
  }
  assert.equal((await go("-r", "0-0", `${url}/1`)).length, 1)
  assert.match(await go(`${url}?list-type=2`), /<Key>9437184<\/Key>/)
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
  const go = (...args: string[]) =>
    runOk(aws.path, ["--endpoint-url", server.endpoint, ...args], { env: env(), timeoutMs: 200_000 })
  await go("s3", "mb", "s3://aws-cli")
  await go("s3", "cp", "--quiet", "--recursive", source, "s3://aws-cli/tree")
  await go("s3", "cp", "--quiet", "--recursive", "s3://aws-cli/tree", back)
  assert.deepEqual(await treeOf(back), await treeOf(source))
  await rm(join(source, "plain.txt"))
  await writeFile(join(source, "new file"), "new")
  // S3 returns times in whole seconds: a file written in the same second as its upload looks newer than the object.
  const before = Date.now() / 1000 - 10
  await utimes(join(source, "new file"), before, before)
  await go("s3", "sync", "--quiet", "--delete", source, "s3://aws-cli/tree")
  assert.equal(
    (await go("s3", "sync", "--delete", source, "s3://aws-cli/tree")).trim(),
    "",
    "the second sync copies nothing",
  )
  await go("s3", "sync", "--quiet", "--delete", "s3://aws-cli/tree", back)
  assert.deepEqual(await treeOf(back), await treeOf(source))
  await go("s3", "mv", "--quiet", "s3://aws-cli/tree/new file", "s3://aws-cli/moved+é")
  assert.match(await go("s3", "ls", "s3://aws-cli/"), /moved\+é/)
  const url = (await go("s3", "presign", "s3://aws-cli/moved+é")).trim()
  assert.equal(await (await fetch(url)).text(), "new")
  await go("s3", "rm", "--quiet", "--recursive", "s3://aws-cli")
  await go("s3", "rb", "s3://aws-cli")
})

const rclone = tool("rclone")
test(
  "rclone: sync twice (the second copies nothing), check, purge",
  { skip: rclone.skip, timeout: 120_000 },
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
      RCLONE_S3_UPLOAD_CUTOFF: "8M",
      RCLONE_S3_CHUNK_SIZE: "5M",
    }
    const go = (...args: string[]) => run(rclone.path, args, { env: { ...env(), ...remote } })
    const ok = async (...args: string[]) => {
      const result = await go(...args)
      assert.equal(result.code, 0, `rclone ${args.join(" ")}: ${result.stderr}`)
      return result
    }
    await ok("mkdir", "store:rclone-bucket")
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
for (const [version, isOlder] of [
  ["version 4", "False"],
  ["version 2", "True"],
] as const) {
  const name = `s3cmd, signature ${version}: mb, put, get, sync, ls, del, rb`
  test(name, { skip: s3cmd.skip, timeout: 120_000 }, async () => {
    const home = await own(`s3cmd ${version}`)
    const [source, back, settings] = [join(home, "source"), join(home, "back"), join(home, "s3cfg")]
    await writeTree(source, TREE_SIZES)
    await mkdir(back)
    const host = `127.0.0.1:${server.port}`
    const lines = [
      "[default]",
      `access_key = ${CREDENTIALS.accessKey}`,
      `secret_key = ${CREDENTIALS.secretKey}`,
      `host_base = ${host}`,
      `host_bucket = ${host}/%(bucket)`,
      "use_https = False",
      `signature_v2 = ${isOlder}`,
      "multipart_chunk_size_mb = 5",
    ]
    await writeFile(settings, `${lines.join("\n")}\n`)
    const go = (...args: string[]) => runOk(s3cmd.path, ["-c", settings, "--no-progress", ...args], { env: env() })
    await go("mb", "s3://s3cmd-bucket")
    await go("sync", `${source}/`, "s3://s3cmd-bucket/tree/")
    assert.doesNotMatch(await go("sync", `${source}/`, "s3://s3cmd-bucket/tree/"), /^upload:/m)
    await go("sync", "s3://s3cmd-bucket/tree/", `${back}/`)
    assert.deepEqual(await treeOf(back), await treeOf(source))
    assert.match(await go("ls", "s3://s3cmd-bucket/tree/"), /with space and {2}two/)
    await go("cp", "s3://s3cmd-bucket/tree/plain.txt", "s3://s3cmd-bucket/copied +é")
    assert.match(await go("info", "s3://s3cmd-bucket/copied +é"), /File size: *100/)
    await go("del", "--recursive", "--force", "s3://s3cmd-bucket")
    await go("rb", "s3://s3cmd-bucket")
  })
}

const restic = tool("restic")
test("restic: init, backup, restore, check, forget and prune", { skip: restic.skip, timeout: 180_000 }, async () => {
  const home = await own("restic")
  const source = join(home, "source")
  await writeTree(source, TREE_SIZES)
  const settings = { RESTIC_PASSWORD: "secret", RESTIC_CACHE_DIR: join(home, "cache") }
  const repository = `s3:${server.endpoint}/restic-bucket/repository`
  const go = (...args: string[]) =>
    runOk(restic.path, ["-r", repository, ...args], { env: { ...env(), ...settings }, cwd: home })
  await go("init")
  await go("backup", "source")
  await writeFile(join(source, "later"), bytesFor("later", 3 * MIB))
  await go("backup", "source")
  await go("restore", "latest", "--target", join(home, "back"))
  assert.deepEqual(await treeOf(join(home, "back", "source")), await treeOf(source))
  assert.match(await go("check", "--read-data"), /no errors were found/)
  await go("forget", "--keep-last", "1", "--prune")
  assert.match(await go("check"), /no errors were found/)
})

const python = findProgram("python3")
test(
  "boto3: objects, transfers, pages, versions, presigned URLs, forms, errors",
  { timeout: 180_000 },
  async context => {
    const found = python === undefined ? undefined : await run(python, ["-c", "import boto3"])
    if (python === undefined || found?.code !== 0) return context.skip("boto3 is not installed")
    const home = await own("boto3")
    const output = await runOk(python, [`${ROOT}tests/clients/boto3_client.py`, home], { env: env() })
    assert.match(output, /^all good$/m)
  },
)
