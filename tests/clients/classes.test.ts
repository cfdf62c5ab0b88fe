/**
 * The AWS CLI, boto3, rclone, s3cmd and mc use storage classes on a real server, whose operator maps them with the CLI; and
 * conditional deletes and websites, of which no other test of clients tells.
 */
import { after, before, test } from "node:test"
import assert from "node:assert/strict"
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { awsEnvironment } from "../harness/aws-environment.js"
import { findProgram, run, runOk } from "../harness/commands.js"
import { CREDENTIALS, REGION, ROOT, ServerProcess } from "../harness/server.js"

let folder = ""
let server: ServerProcess

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "hayloft-classes-"))
  server = await ServerProcess.start({ folders: [1, 2, 3].map(number => join(folder, `d${number}`)) })
})

after(async () => {
  await server?.kill()
  await rm(folder, { recursive: true, force: true })
})

const env = () => awsEnvironment({ endpoint: server.endpoint, home: folder })

async function hayloft(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await server.hayloft(args)
  assert.equal(code, 0, stderr)
  return stdout
}

async function refusedBy(...args: string[]): Promise<string> {
  const { code, stderr } = await server.hayloft(args)
  assert.notEqual(code, 0, args.join(" "))
  return stderr
}

test("an operator maps classes, and a restart keeps them", { timeout: 180_000 }, async () => {
  assert.match(await hayloft("class", "list"), /that of the bucket, else ec:2\+1/)
  assert.match(await hayloft("class", "set", "STANDARD_IA", "replica:3", "--dry-run"), /stored as replica:3/)
  assert.doesNotMatch(await hayloft("class", "list"), /STANDARD_IA/, "a dry run changes nothing")
  await hayloft("class", "set", "STANDARD_IA", "replica:3", "--yes")
  await hayloft("class", "set", "GLACIER", "replica:2", "--yes")
  await hayloft("class", "set", "INTELLIGENT_TIERING", "replica:2", "--yes")
  assert.match(await refusedBy("class", "set", "STANDARD", "replica:3", "--yes"), /redundancy set/)
  assert.match(await refusedBy("class", "set", "GLACIER_IR", "ec:4+2", "--yes"), /needs 6 devices/)
  assert.match(await refusedBy("class", "set", "NOPE", "replica:3", "--yes"), /storageClass|NOPE/)
  await server.stop()
  await server.launch()
  const list = await hayloft("class", "list")
  assert.match(list, /STANDARD_IA +replica:3/)
  assert.match(list, /GLACIER +replica:2/)
  assert.match(list, /INTELLIGENT_TIERING +replica:2/)
})

const aws = findProgram("aws")
const skip = aws === undefined ? "aws is not installed" : false
test("AWS CLI: s3 cp with a class, and a copy that changes it", { skip, timeout: 180_000 }, async () => {
  const go = (...args: string[]) => runOk(aws ?? "", ["--endpoint-url", server.endpoint, ...args], { env: env() })
  const body = join(folder, "body")
  await writeFile(body, Buffer.alloc(200_000, "class"))
  await go("s3", "mb", "s3://cli-classes")
  await go("s3", "cp", body, "s3://cli-classes/k", "--storage-class", "STANDARD_IA")
  const head = () => go("s3api", "head-object", "--bucket", "cli-classes", "--key", "k")
  assert.match(await head(), /"StorageClass": "STANDARD_IA"/)
  await go("s3", "cp", "s3://cli-classes/k", "s3://cli-classes/k", "--storage-class", "GLACIER_IR")
  assert.match(await head(), /"StorageClass": "GLACIER_IR"/)
  await go("s3", "cp", "s3://cli-classes/k", "s3://cli-classes/cold", "--storage-class", "GLACIER")
  assert.match(await refusedBy("class", "clear", "GLACIER", "--yes"), /versions or uploads of class GLACIER/)
  const cold = ["--bucket", "cli-classes", "--key", "cold"]
  const back = join(folder, "back")
  await assert.rejects(go("s3api", "get-object", ...cold, back), /InvalidObjectState/)
  const request = ["--restore-request", "Days=1,GlacierJobParameters={Tier=Standard}"]
  await go("s3api", "restore-object", ...cold, ...request)
  assert.match(await go("s3api", "head-object", ...cold), /"Restore": "ongoing-request=\\"false\\", expiry-date=/)
  await go("s3api", "get-object", ...cold, back)
  assert.ok((await readFile(back)).equals(await readFile(body)))
})

const python = findProgram("python3")
test(
  "boto3: puts, copies, uploads and refusals of classes; deletes with conditions",
  { timeout: 180_000 },
  async context => {
    const found = python === undefined ? undefined : await run(python, ["-c", "import boto3"])
    if (python === undefined || found?.code !== 0) return context.skip("boto3 is not installed")
    const output = await runOk(python, [`${ROOT}tests/clients/boto3_classes.py`], { env: env() })
    assert.match(output, /^all good$/m)
  },
)

const rclone = findProgram("rclone")
const skipRclone = rclone === undefined ? "rclone is not installed" : false
test(
  "rclone: copies with a class, a changed class, and a restore",
  { skip: skipRclone, timeout: 180_000 },
  async () => {
    const settings = {
      ...{
        TYPE: "s3",
        PROVIDER: "Other",
        ENDPOINT: server.endpoint,
        REGION,
        FORCE_PATH_STYLE: "true",
        ACL: "bucket-owner-full-control",
      },
      ...{ ACCESS_KEY_ID: CREDENTIALS.accessKey, SECRET_ACCESS_KEY: CREDENTIALS.secretKey },
    }
    const variables = Object.entries(settings).map(([name, value]) => [`RCLONE_CONFIG_H_${name}`, value] as const)
    const config = join(folder, "rclone.conf")
    const rcloneEnv = {
      ...env(),
      ...Object.fromEntries(variables),
      RCLONE_CONFIG: config,
      AWS_CA_BUNDLE: undefined,
    }
    await writeFile(config, "")
    const go = (...args: string[]) => runOk(rclone ?? "", args, { env: rcloneEnv })
    const body = join(folder, "rclone-body")
    await writeFile(body, Buffer.alloc(200_000, "rclone"))
    await go("mkdir", "H:rclone-classes")
    await go("copyto", body, "H:rclone-classes/k", "--s3-storage-class", "STANDARD_IA")
    const tierOf = (key: string) => go("lsf", "--format", "pT", `H:rclone-classes/${key}`)
    assert.match(await tierOf("k"), /k;STANDARD_IA/)
    await go("settier", "GLACIER", "H:rclone-classes/k")
    assert.match(await tierOf("k"), /k;GLACIER/)
    const back = join(folder, "rclone-back")
    await assert.rejects(go("copyto", "H:rclone-classes/k", back, "--retries", "1"), /InvalidObjectState|GLACIER/)
    await go("backend", "restore", "H:rclone-classes", "-o", "priority=Standard", "-o", "lifetime=1")
    await go("copyto", "H:rclone-classes/k", back)
    assert.ok((await readFile(back)).equals(await readFile(body)))
  },
)

const s3cmd = findProgram("s3cmd")
const skipS3cmd = s3cmd === undefined ? "s3cmd is not installed" : false
test("s3cmd: a class, a restore, and a website", { skip: skipS3cmd, timeout: 180_000 }, async () => {
  const settings = join(folder, "s3cfg")
  const host = `127.0.0.1:${server.port}`
  const keys = [`access_key = ${CREDENTIALS.accessKey}`, `secret_key = ${CREDENTIALS.secretKey}`, "use_https = False"]
  const hosts = [`host_base = ${host}`, `host_bucket = ${host}/%(bucket)`]
  await writeFile(settings, `${["[default]", ...keys, ...hosts].join("\n")}\n`)
  const go = (...args: string[]) => runOk(s3cmd ?? "", ["-c", settings, "--no-progress", ...args], { env: env() })
  const [body, back] = [join(folder, "s3cmd-body"), join(folder, "s3cmd-back")]
  await writeFile(body, Buffer.alloc(200_000, "s3cmd"))
  await go("mb", "s3://s3cmd-classes")
  await go("put", "--storage-class=GLACIER", body, "s3://s3cmd-classes/k")
  assert.match(await go("info", "s3://s3cmd-classes/k"), /Storage: +GLACIER/)
  await assert.rejects(go("get", "s3://s3cmd-classes/k", back), /InvalidObjectState/)
  await go("restore", "--restore-days=1", "--restore-priority=standard", "s3://s3cmd-classes/k")
  await go("get", "--force", "s3://s3cmd-classes/k", back)
  assert.ok((await readFile(back)).equals(await readFile(body)))
  await go("ws-create", "--ws-index=index.html", "--ws-error=error.html", "s3://s3cmd-classes")
  const website = await go("ws-info", "s3://s3cmd-classes")
  assert.match(website, /Index document: +index\.html/)
  assert.match(website, /Error document: +error\.html/)
  await go("ws-delete", "s3://s3cmd-classes")
})

test("AWS CLI: s3 website", { skip, timeout: 180_000 }, async () => {
  const go = (...args: string[]) => runOk(aws ?? "", ["--endpoint-url", server.endpoint, ...args], { env: env() })
  await go("s3", "mb", "s3://cli-website")
  await go("s3", "website", "s3://cli-website", "--index-document", "index.html")
  assert.match(await go("s3api", "get-bucket-website", "--bucket", "cli-website"), /"Suffix": "index.html"/)
})

test("mc: a class, a restore, and what is read then", { timeout: 180_000 }, async context => {
  const mc = findProgram("mc")
  const version = mc === undefined ? undefined : await run(mc, ["--version"])
  if (mc === undefined || !version?.stdout.includes("MinIO")) return context.skip("MinIO's mc is not installed")
  const go = (...args: string[]) =>
    runOk(mc, ["--config-dir", join(folder, "mc"), "--no-color", ...args], { env: env() })
  const body = join(folder, "mc-body")
  await writeFile(body, "archived")
  await go("alias", "set", "h", server.endpoint, CREDENTIALS.accessKey, CREDENTIALS.secretKey)
  await go("mb", "h/mc-classes")
  await go("cp", "--storage-class", "GLACIER", body, "h/mc-classes/k")
  assert.match(await go("ls", "h/mc-classes/"), /GLACIER k/)
  await assert.rejects(go("cat", "h/mc-classes/k"), /storage class|archived|restore/i)
  await go("ilm", "restore", "--days", "1", "h/mc-classes/k")
  assert.equal(await go("cat", "h/mc-classes/k"), "archived")
})
