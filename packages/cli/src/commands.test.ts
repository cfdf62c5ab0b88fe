/**
 * The commands against a real store in a separate process: run in this process, apart from what is about pipes, signals and
 * variables.
 */
import { after, before, test } from "node:test"
import assert from "node:assert/strict"
import { spawn } from "node:child_process"
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { MIB } from "@hayloft/base/limits.js"
import { TEST_SEED } from "@hayloft/base/testing-seed.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { RealClock } from "@hayloft/base/seams/clock/real.js"
import { S3Client } from "@hayloft/client/index.js"
import { HAYLOFT_COMMAND, ROOT_KEY, StoreProcess } from "@hayloft/client/testing-store-process.js"
import { runHere } from "./testing-here.js"
import { plainEnvironment, runHayloft, runProcess, type Outcome, type RunOptions } from "./testing-process.js"

const clock = new RealClock()
/** Only a hang takes this long, even on a busy machine. */
const HANGS_MS = 5 * 60_000
let folder = ""
let data = ""
let store: StoreProcess | undefined

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "hayloft-cli-"))
  data = join(folder, "data")
  store = await StoreProcess.start({ dataFolders: [data] }, clock)
})

after(async () => {
  await store?.stop()
  await rm(folder, { recursive: true, force: true })
})

type Run = (args: readonly string[], options: RunOptions) => Promise<Outcome>

/** Runs a command that finds the store by its data folder. */
const hayloft = (args: readonly string[], options: RunOptions = {}, run: Run = runHere): Promise<Outcome> =>
  run(args, { workingFolder: folder, ...options, environment: { HAYLOFT_DATA: data, ...options.environment } })

async function succeeds(args: readonly string[], options: RunOptions = {}, run: Run = runHere): Promise<string> {
  const { code, out, error } = await hayloft(args, options, run)
  assert.equal(code, 0, `hayloft ${args.join(" ")}: ${error}`)
  return out.toString("utf8")
}

async function fails(code: number, pattern: RegExp, args: readonly string[], options: RunOptions = {}): Promise<void> {
  const outcome = await hayloft(args, options)
  assert.equal(outcome.code, code, `hayloft ${args.join(" ")}: ${outcome.error}`)
  assert.match(outcome.error, pattern)
}

test("Ctrl-C ends a copy that waits for standard input: exit code 130, nothing left at the store", async () => {
  const code = await new Promise<number | null>((resolve, reject) => {
    const environment = { ...plainEnvironment(), HAYLOFT_DATA: data }
    const options = { env: environment, timeout: HANGS_MS, killSignal: "SIGKILL" } as const
    const child = spawn(process.execPath, [HAYLOFT_COMMAND, "cp", "-", "s3://typed/never"], options)
    child.on("error", reject).on("close", resolve)
    // The bucket is created before anything is read.
    child.stderr.once("data", () => child.kill("SIGINT"))
  })
  assert.equal(code, 130)
  assert.equal(await succeeds(["ls", "-r", "s3://typed"]), "")
})

test("a file is uploaded and downloaded, and its bucket is created", async () => {
  await writeFile(join(folder, "note.txt"), "hello\n")
  assert.match(await succeeds(["cp", "note.txt", "s3://first/"]), /note\.txt -> s3:\/\/first\/note\.txt \(6 B\)/)
  assert.match(await succeeds(["ls"]), / first\n/)
  assert.match(await succeeds(["ls", "s3://first"]), / 6 note\.txt\n$/)
  assert.equal(await succeeds(["cp", "s3://first/note.txt", "-"]), "hello\n")
  await succeeds(["cp", "s3://first/note.txt", "copy/"])
  assert.equal(await readFile(join(folder, "copy", "note.txt"), "utf8"), "hello\n")
  await succeeds(["cp", "-", "s3://first/from stdin"], { input: Buffer.from("typed") })
  assert.equal(await succeeds(["cp", "s3://first/from stdin", "-"]), "typed")
  await succeeds(["cp", "s3://first/from stdin", "s3://second/copy"])
  assert.equal(await succeeds(["cp", "s3://second/copy", "-"]), "typed")
  await succeeds(["rm", "s3://first/note.txt"])
  await fails(3, /note\.txt/, ["cp", "s3://first/note.txt", "-"])
  await fails(3, /does not exist/, ["rm", "s3://first/note.txt"])
  await fails(3, /nothing in first begins with "zzz"/, ["ls", "s3://first/zzz"])
  await fails(3, /absent\.txt does not exist/, ["cp", "absent.txt", "s3://first/"])
  await fails(3, /absent\.txt does not exist/, ["cp", "absent.txt", "s3://never-made/"])
  assert.doesNotMatch(await succeeds(["ls", "s3://"]), /never-made/, "nothing is made for what is not there")
  assert.equal(await succeeds(["ls", "s3://"]), await succeeds(["ls"]))
  assert.deepEqual((await readdir(join(folder, "copy"))).sort(), ["note.txt"])
})

test("a large file and a long stream of unknown length are downloaded byte for byte", async () => {
  const bytes = Buffer.from(new SimRandom(TEST_SEED).bytes(21 * MIB + 17))
  await writeFile(join(folder, "large.bin"), bytes)
  await succeeds(["cp", "large.bin", "s3://large/file"])
  await succeeds(["cp", "-", "s3://large/stream"], { input: bytes }, runHayloft)
  for (const key of ["file", "stream"]) {
    const { code, out } = await hayloft(["cp", `s3://large/${key}`, "-"], {}, key === "file" ? runHayloft : runHere)
    assert.ok(code === 0 && out.equals(bytes), key)
  }
  await succeeds(["cp", "s3://large/file", "back.bin"])
  assert.ok((await readFile(join(folder, "back.bin"))).equals(bytes))
})

test("folders: names of every kind are copied both ways; names outside the folder are not written", async () => {
  const files: Record<string, string> = { "a b.txt": "1", "é/ü + 100%.txt": "2", "deep/er/file": "", "~x": "4" }
  for (const [path, text] of Object.entries(files)) {
    await mkdir(join(folder, "tree", path, ".."), { recursive: true })
    await writeFile(join(folder, "tree", path), text)
  }
  assert.match(await succeeds(["cp", "-r", "tree", "s3://trees/oak"]), /4 copied/)
  assert.match(await succeeds(["ls", "-r", "s3://trees/oak/"]), /oak\/é\/ü \+ 100%\.txt/)
  assert.match(await succeeds(["ls", "s3://trees/oak/"]), /folder oak\/deep\//)
  await succeeds(["cp", "-r", "s3://trees/oak/", "grown"])
  for (const [path, text] of Object.entries(files))
    assert.equal(await readFile(join(folder, "grown", path), "utf8"), text)
  const client = new S3Client(await access(), clock, new AbortController().signal)
  await client.put({ bucket: "trees", key: "bad/../../escaped", body: Buffer.from("x") })
  client.close()
  await fails(1, /not copied, the key is not a safe file name/, ["cp", "-r", "s3://trees/bad/", "inside/here"])
  assert.deepEqual(
    (await readdir(folder)).filter(name => name === "escaped"),
    [],
  )
  assert.match(await succeeds(["rm", "-r", "s3://trees"]), /deleted 5 /)
  assert.equal(await succeeds(["ls", "-r", "s3://trees"]), "")
  await fails(2, /add -r/, ["rm", "s3://trees/oak/"])
  await fails(2, /add -r/, ["cp", "tree", "s3://trees/"])
})

test("--json prints one value per line", async () => {
  await succeeds(["cp", "-", "s3://json/k", "--json"], { input: Buffer.from("12345") })
  const [line = ""] = (await succeeds(["ls", "s3://json", "--json"])).split("\n")
  const entry: unknown = JSON.parse(line)
  assert.ok(typeof entry === "object" && entry !== null && "key" in entry && "sizeBytes" in entry)
  assert.deepEqual([entry.key, entry.sizeBytes], ["k", 5])
  const { code, error } = await hayloft(["cp", "s3://json/none", "-", "--json"])
  assert.equal(code, 3)
  assert.match(error, /^\{"error":\{"code":"notFound","message":/)
})

test("env gives any client access to the store, and a client by environment finds it without the folder", async () => {
  const lines = await succeeds(["env", "--admin"])
  const shell = await runProcess("sh", ["-c", 'eval "$LINES_OF_ENV"; env'], { environment: { LINES_OF_ENV: lines } })
  const environment = Object.fromEntries(
    shell.out
      .toString("utf8")
      .split("\n")
      .filter(line => /^(AWS|HAYLOFT)_/.test(line))
      .map(line => [line.slice(0, line.indexOf("=")), line.slice(line.indexOf("=") + 1)]),
  )
  assert.equal(environment["AWS_ACCESS_KEY_ID"], ROOT_KEY.accessKeyId)
  assert.equal(environment["AWS_SECRET_ACCESS_KEY"], ROOT_KEY.secretAccessKey)
  assert.equal(environment["AWS_REGION"], environment["AWS_DEFAULT_REGION"])
  const elsewhere = { workingFolder: "/", environment }
  assert.equal((await runHayloft(["cp", "-", "s3://by-env/k"], { ...elsewhere, input: Buffer.from("x") })).code, 0)
  assert.equal((await runHayloft(["status"], elsewhere)).code, 0)
  const wrongSecret = { ...environment, AWS_SECRET_ACCESS_KEY: "wrong", HAYLOFT_ADMIN_TOKEN: "wrong" }
  assert.equal((await runHere(["ls"], { ...elsewhere, environment: wrongSecret })).code, 4)
  assert.equal((await runHere(["status"], { ...elsewhere, environment: wrongSecret })).code, 4)
})

test("accounts and keys: a key reaches its own account's buckets, and none after its deletion", async () => {
  await succeeds(["cp", "-", "s3://of-root/k"], { input: Buffer.from("root's") })
  await succeeds(["account", "create", "--id", "team", "--email", "t@example.org", "The team"])
  assert.match(await succeeds(["account", "list"]), /team +\d{12} +The team +t@example\.org/)
  await fails(6, /exists/, ["account", "create", "--id", "team", "Again"])
  const drawn: unknown = JSON.parse(await succeeds(["key", "create", "--account", "team", "--json"]))
  assert.ok(typeof drawn === "object" && drawn !== null && "accessKeyId" in drawn && "secretAccessKey" in drawn)
  const { endpoint } = await access()
  const environment = {
    AWS_ENDPOINT_URL: endpoint,
    AWS_ACCESS_KEY_ID: String(drawn.accessKeyId),
    AWS_SECRET_ACCESS_KEY: String(drawn.secretAccessKey),
  }
  const asTeam = (args: readonly string[], input?: Uint8Array) =>
    runHere(args, { environment, ...(input ? { input } : {}) })
  assert.equal((await asTeam(["cp", "-", "s3://of-team/k"], Buffer.from("team's"))).code, 0)
  assert.equal((await asTeam(["ls"])).out.toString("utf8").includes("of-root"), false)
  assert.equal((await asTeam(["cp", "s3://of-root/k", "-"])).code, 4)
  assert.equal((await asTeam(["cp", "-", "s3://of-root/k"], Buffer.from("x"))).code, 4)
  const listed = await succeeds(["key", "list", "--account", "team"])
  assert.ok(listed.includes(String(drawn.accessKeyId)) && !listed.includes(String(drawn.secretAccessKey)))
  await succeeds(["key", "disable", String(drawn.accessKeyId)])
  assert.equal((await asTeam(["ls"])).code, 4)
  assert.match(await succeeds(["key", "list", "--account", "team"]), /disabled/)
  await succeeds(["key", "enable", String(drawn.accessKeyId)])
  assert.equal((await asTeam(["ls"])).code, 0)
  await succeeds(["key", "limit", String(drawn.accessKeyId), "--requests", "1", "--bytes", "1MiB"])
  assert.equal((await asTeam(["ls"])).code, 0)
  assert.match(await succeeds(["key", "limit", String(drawn.accessKeyId)]), /requests +1 a second[^]+1\.0 MiB a second/)
  await succeeds(["key", "limit", String(drawn.accessKeyId), "--none"])
  assert.match(await succeeds(["account", "limit", "team", "--requests", "9", "--burst", "10"]), /at once +10/)
  await succeeds(["account", "limit", "team", "--none"])
  await fails(3, /there is no account nobody/, ["account", "limit", "nobody"])
  await fails(2, /--burst needs --requests/, ["account", "limit", "team", "--burst", "3"])
  await succeeds(["key", "delete", String(drawn.accessKeyId)])
  assert.equal((await asTeam(["ls"])).code, 4)
  await succeeds(["key", "import", "--account", "team", "BROUGHTALONG"], { input: Buffer.from("their-own-secret\n") })
  const imported = { ...environment, AWS_ACCESS_KEY_ID: "BROUGHTALONG", AWS_SECRET_ACCESS_KEY: "their-own-secret" }
  assert.match((await runHere(["ls"], { environment: imported })).out.toString("utf8"), /of-team/)
  await fails(6, /exists/, ["key", "import", "BROUGHTALONG"], { input: Buffer.from("another-secret") })
  await fails(3, /^hayloft: the access key does not exist \(key NOSUCHKEY\)\n$/, ["key", "delete", "NOSUCHKEY"])
  await fails(2, /8 to 128 visible/, ["key", "import", "TOOSHORT"], { input: Buffer.from("short") })
  await fails(1, /root key|not valid/, ["key", "delete", ROOT_KEY.accessKeyId])
})

test("keys with an expiry, and with a policy, which must be valid", async () => {
  const policy = join(folder, "policy.json")
  await writeFile(
    policy,
    '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:Get*", "Resource": "*"}]}',
  )
  await succeeds(["key", "create", "--policy", policy, "--expires", "30d", "--description", "nightly"])
  assert.match(await succeeds(["key", "list"]), /until \d{4}-\d\d-\d\d .* nightly\n/)
  await writeFile(policy, '{"Version": "2012-10-17", "Statement": []}')
  await fails(1, /Statement/, ["key", "create", "--policy", policy])
  await fails(3, /cannot read/, ["key", "create", "--policy", join(folder, "none.json")])
  await fails(3, /user with name nobody/, ["key", "create", "--user", "nobody"])
  await fails(2, /duration/, ["key", "create", "--expires", "soon"])
})

test("buckets: created, counted, not deleted unless empty, deleted", async () => {
  assert.match(await succeeds(["bucket", "create", "counted"]), /created bucket counted/)
  await succeeds(["cp", "-", "s3://counted/a"], { input: Buffer.alloc(1000) })
  await succeeds(["cp", "-", "s3://counted/b"], { input: Buffer.alloc(10_000) })
  const stat: unknown = JSON.parse(await succeeds(["bucket", "stat", "counted", "--json"]))
  assert.ok(typeof stat === "object" && stat !== null && "usage" in stat)
  const kept = { objects: 0, bytes: 0 }
  assert.deepEqual(stat.usage, { objects: 2, versions: 2, bytes: 11_000, uploads: 0, kept })
  assert.match(await succeeds(["bucket", "list"]), /counted +2 +10\.7 KiB/)
  const lines = (await succeeds(["bucket", "list", "--json"])).trimEnd().split("\n")
  assert.ok(lines.some(line => line.startsWith('{"name":"counted",')) && lines.every(line => line.endsWith("}}")))
  await fails(6, /not empty/, ["bucket", "delete", "counted"])
  await succeeds(["rm", "-r", "s3://counted"])
  await succeeds(["bucket", "delete", "counted"])
  await fails(3, /does not exist/, ["bucket", "stat", "counted"])
  await fails(6, /yours|taken|exists/, ["bucket", "create", "first"])
  await fails(2, /^hayloft: The specified bucket is not valid: a name has .* only\. \(value No_Such\)\n$/, [
    "bucket",
    "create",
    "No_Such",
  ])
})

test("status and device list contain the folder", async () => {
  const status = await succeeds(["status"])
  assert.match(status, /health +ready/)
  assert.match(status, /redundancy +replica:1/)
  assert.ok((await succeeds(["device", "list"])).includes(data))
})

test("volume inspect decodes the files that the store wrote", async () => {
  const files = (await readdir(data, { recursive: true, withFileTypes: true })).filter(entry => entry.isFile())
  const inspected: string[] = []
  for (const name of ["superblock", "control", "base"]) {
    const { code, out, error } = await hayloft(["volume", "inspect", join(data, name)])
    assert.equal(code, 0, `${name}: ${error}`)
    if (name !== "base") assert.match(out.toString("utf8"), new RegExp(`${name} `))
  }
  for (const file of files) {
    const path = join(file.parentPath, file.name)
    if (!/\/(log|volumes|payloads)\//.test(path)) continue
    const { code, out, error } = await hayloft(["volume", "inspect", path])
    if (/begins like no file/.test(error)) continue
    assert.equal(code, 0, `${path}: ${error}`)
    inspected.push(out.toString("utf8"))
  }
  assert.ok(
    inspected.some(text => /batch /.test(text) && /entry /.test(text)),
    "a log segment",
  )
  assert.ok(
    inspected.some(text => /needle kind=shard/.test(text)),
    "a volume",
  )
})

async function access() {
  const s3 = await store?.access()
  assert.ok(s3 !== undefined)
  return s3
}

test("a setting of a bucket is JSON, as an argument or in a file", async () => {
  await succeeds(["mb", "s3://settings"])
  const statement = { Effect: "Deny", Principal: "*", Action: "s3:DeleteObject", Resource: "arn:aws:s3:::settings/*" }
  const policy = JSON.stringify({ Version: "2012-10-17", Statement: [statement] })
  await writeFile(join(folder, "policy.json"), policy)
  for (const given of [policy, "policy.json"]) {
    await succeeds(["bucket", "settings", "set", "settings", "policy", given])
    assert.deepEqual(
      JSON.parse(await succeeds(["bucket", "settings", "get", "settings", "policy"])),
      JSON.parse(policy),
    )
    await succeeds(["bucket", "settings", "delete", "settings", "policy"])
  }
  await fails(2, /not JSON/, ["bucket", "settings", "set", "settings", "policy", "{"])
})
