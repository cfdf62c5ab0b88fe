/**
 * Common clients on remote buckets, each against a real server before another one: what they copy and list is in the other store, and
 * what is there they read. A client that is not installed is reported as skipped.
 */
import assert from "node:assert/strict"
import { mkdir, readFile, writeFile } from "node:fs/promises"
import { randomBytes } from "node:crypto"
import { join } from "node:path"
import { test } from "node:test"
import { awsEnvironment } from "../harness/aws-environment.js"
import { findProgram, run, runOk } from "../harness/commands.js"
import { forTestsOfFile } from "../harness/folders.js"
import { CREDENTIALS, REGION } from "../harness/server.js"
import { RemoteWorld } from "./worlds.js"

/** The large file is longer than a block of the cache, and the AWS CLI sends it in parts. */
const LARGE_BYTES = 8 * 1024 * 1024 + 17

const tool = (name: string) => {
  const path = findProgram(name)
  return { path: path ?? name, skip: path === undefined ? `${name} is not installed` : false } as const
}
const [awsCli, rclone, s3cmdTool] = [tool("aws"), tool("rclone"), tool("s3cmd")]

/** Variables of the machine that would change a client's settings, emptied. */
const inherited = Object.fromEntries(
  Object.keys(process.env)
    .filter(name => /^(AWS|RCLONE)_/.test(name))
    .map(name => [name, undefined]),
)

let world: RemoteWorld

forTestsOfFile(async folder => {
  world = await RemoteWorld.start(folder)
  return () => world.stop()
})

const files = new Map<string, Buffer>([
  ["one.txt", Buffer.from("one")],
  ["empty", Buffer.alloc(0)],
  ["sub/large.bin", randomBytes(LARGE_BYTES)],
  ["sub/ä ö.txt", Buffer.from("umlauts")],
])

async function tree(name: string): Promise<string> {
  const path = join(world.folder, name)
  await mkdir(join(path, "sub"), { recursive: true })
  for (const [file, bytes] of files) await writeFile(join(path, file), bytes)
  return path
}

async function sameTree(path: string): Promise<void> {
  for (const [file, bytes] of files) assert.ok((await readFile(join(path, file))).equals(bytes), file)
}

async function sameAtFar(prefix: string): Promise<void> {
  for (const [file, bytes] of files) {
    const found = await world.at("far", "GET", { bucket: "data", key: `${prefix}${file}` })
    assert.ok(found.body.equals(bytes), file)
  }
}

test("AWS CLI: sync there and back, ls, rm", { skip: awsCli.skip }, async () => {
  await world.remote("awscli", { prefix: "aws/" })
  const env = awsEnvironment({ endpoint: world.near.endpoint, home: world.folder, credentials: CREDENTIALS })
  const aws = (...args: readonly string[]) =>
    runOk(awsCli.path, ["--endpoint-url", world.near.endpoint, "s3", ...args], { env })
  await aws("sync", await tree("aws-from"), "s3://awscli/")
  await sameAtFar("aws/")
  await aws("sync", "s3://awscli/", join(world.folder, "aws-to"))
  await sameTree(join(world.folder, "aws-to"))
  assert.match(await aws("ls", "--recursive", "s3://awscli/"), /8388625 sub\/large\.bin/)
  assert.doesNotMatch(await aws("sync", join(world.folder, "aws-to"), "s3://awscli/"), /upload/)
  await aws("rm", "--recursive", "s3://awscli/sub/")
  await world.at("far", "GET", { bucket: "data", key: "aws/sub/large.bin" }, 404)
})

test("rclone: copy and check with checksums, also where writes go back later", { skip: rclone.skip }, async () => {
  await world.remote("rclone", { prefix: "rclone/", writes: "Back" })
  const env = {
    ...inherited,
    RCLONE_CONFIG_H_TYPE: "s3",
    RCLONE_CONFIG_H_PROVIDER: "Other",
    RCLONE_CONFIG_H_REGION: REGION,
    RCLONE_CONFIG_H_ACL: "bucket-owner-full-control",
    RCLONE_CONFIG_H_ENDPOINT: world.near.endpoint,
    RCLONE_CONFIG_H_ACCESS_KEY_ID: CREDENTIALS.accessKey,
    RCLONE_CONFIG_H_SECRET_ACCESS_KEY: CREDENTIALS.secretKey,
  }
  const from = await tree("rclone-from")
  await runOk(rclone.path, ["copy", from, "h:rclone", "--s3-no-check-bucket"], { env })
  await runOk(rclone.path, ["check", from, "h:rclone"], { env })
  await runOk(rclone.path, ["copy", "h:rclone", join(world.folder, "rclone-to")], { env })
  await sameTree(join(world.folder, "rclone-to"))
})

test("s3cmd: put, get, del", { skip: s3cmdTool.skip }, async () => {
  await world.remote("s3cmd", { prefix: "s3cmd/" })
  const host = world.near.endpoint.replace("http://", "")
  const options = ["--no-ssl", `--host=${host}`, `--host-bucket=${host}`, `--region=${REGION}`]
  const keys = [`--access_key=${CREDENTIALS.accessKey}`, `--secret_key=${CREDENTIALS.secretKey}`]
  const s3cmd = (...args: readonly string[]) =>
    runOk(s3cmdTool.path, ["--config=/dev/null", ...options, ...keys, ...args], {})
  await s3cmd("put", "--recursive", `${await tree("s3cmd-from")}/`, "s3://s3cmd/")
  await sameAtFar("s3cmd/")
  await mkdir(join(world.folder, "s3cmd-to"))
  await s3cmd("get", "--recursive", "s3://s3cmd/", `${join(world.folder, "s3cmd-to")}/`, "--force")
  await s3cmd("del", "s3://s3cmd/one.txt")
  await world.at("far", "GET", { bucket: "data", key: "s3cmd/one.txt" }, 404)
})

const PARQUET = `
import os, pyarrow as pa, pyarrow.parquet as pq, pyarrow.fs as fs, pyarrow.dataset as ds
def at(endpoint): return fs.S3FileSystem(access_key=os.environ["AK"], secret_key=os.environ["SK"], endpoint_override=endpoint, scheme="http", region="us-east-1")
far, near = at(os.environ["FAR"]), at(os.environ["NEAR"])
for year in (2024, 2025):
    table = pa.table({"i": list(range(100000)), "y": [year] * 100000})
    pq.write_table(table, f"data/arrow/year={year}/part.parquet", filesystem=far, row_group_size=10000)
for _ in range(2):
    found = ds.dataset("arrow", filesystem=near, partitioning="hive").to_table(columns=["i"], filter=ds.field("i") < 1000)
    assert found.num_rows == 2000, found.num_rows
pq.write_table(pa.table({"a": list(range(1000000))}), "arrow/written.parquet", filesystem=near)
assert pq.read_table("data/arrow/written.parquet", filesystem=far).num_rows == 1000000
print("done")
`
const python = process.env["PYTHON_WITH_PYARROW"] ?? "python3"
const hasPyarrow = (await run(python, ["-c", "import pyarrow"])).code === 0

test(
  "pyarrow: a dataset of Parquet files is read by ranges, the second time without the remote's bytes",
  { skip: !hasPyarrow && "pyarrow is not installed" },
  async () => {
    await world.remote("arrow", { prefix: "arrow/" })
    const [FAR, NEAR] = [world.far, world.near].map(({ endpoint }) => endpoint.replace("http://", ""))
    const env = { FAR, NEAR, AK: CREDENTIALS.accessKey, SK: CREDENTIALS.secretKey }
    world.proxy.taken()
    assert.match(await runOk(python, ["-c", PARQUET], { env }), /done/)
    const gets = world.proxy.taken().filter(request => request.startsWith("GET /data/arrow"))
    assert.equal(gets.length, 2, "each file was fetched once")
  },
)

test("hayloft: cp, ls, cat and sync of its own command line", async () => {
  await world.remote("own", { prefix: "own/" })
  const hayloft = async (...args: readonly string[]): Promise<string> => {
    const { code, stdout, stderr } = await world.near.hayloft(args)
    assert.equal(code, 0, stderr)
    return stdout
  }
  const from = await tree("own-from")
  await hayloft("sync", from, "s3://own/")
  await sameAtFar("own/")
  assert.match(await hayloft("ls", "s3://own/sub/"), /large\.bin/)
  assert.equal(await hayloft("cat", "s3://own/one.txt"), "one")
  await hayloft("sync", "s3://own/", join(world.folder, "own-to"))
  await sameTree(join(world.folder, "own-to"))
})
