/**
 * An operator maps storage classes and limits buckets of a real server with the command line, and clients use them and named
 * keys of the KMS API: the AWS CLI, boto3, rclone, s3cmd and mc. All of it outlives a restart. The AWS CLI and s3cmd make
 * websites too.
 */
import { test } from "node:test"
import assert from "node:assert/strict"
import { readFile, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { awsEnvironment } from "../harness/aws-environment.js"
import { findProgram, run, runOk } from "../harness/commands.js"
import { forTestsOfFile } from "../harness/folders.js"
import { CREDENTIALS, REGION, ServerProcess } from "../harness/server.js"
import { AwsCli, noAws } from "./aws-cli.js"
import { runBoto3 } from "./boto3.js"

let home = ""
let server: ServerProcess

forTestsOfFile(async folder => {
  home = folder
  server = await ServerProcess.start({ folders: [1, 2, 3].map(number => join(folder, `d${number}`)) })
  return () => server.kill()
})

const env = () => awsEnvironment({ endpoint: server.endpoint, home })
const aws = new AwsCli(() => ({ endpoint: server.endpoint, home }))
const kms = new AwsCli(() => ({ endpoint: server.adminEndpoint, home }))

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

const CLASSES = { STANDARD_IA: "replica:3", GLACIER: "replica:2", INTELLIGENT_TIERING: "replica:2" } as const
const LIMITED = "limited"
const BODY = Buffer.alloc(700_000, 1)

test("an operator maps classes and limits a bucket", { timeout: 180_000 }, async () => {
  assert.match(await hayloft("class", "set", "STANDARD_IA", "replica:3", "--dry-run"), /stored as replica:3/)
  assert.match(await hayloft("class", "list"), /that of the bucket, else ec:2\+1(?![^]*STANDARD_IA)/)
  for (const [name, redundancy] of Object.entries(CLASSES)) await hayloft("class", "set", name, redundancy, "--yes")
  assert.match(await refusedBy("class", "set", "STANDARD", "replica:3", "--yes"), /redundancy set/)
  assert.match(await refusedBy("class", "set", "GLACIER_IR", "ec:4+2", "--yes"), /needs 6 devices/)
  assert.match(await refusedBy("class", "set", "NOPE", "replica:3", "--yes"), /storageClass|NOPE/)
  const client = server.client()
  for (const bucket of [LIMITED, "boto3-quotas"]) await client.call("PUT", { bucket })
  await client.call("PUT", { bucket: LIMITED, key: "before", body: BODY })
  await hayloft("quota", "set", LIMITED, "--bytes", "1MiB", "--warn-bytes", "600KiB")
  await hayloft("quota", "set", "boto3-quotas", "--bytes", "1MiB")
})

const idIn = (output: string): string => /"KeyId": "([^"]+)"/.exec(output)?.[1] ?? assert.fail(output)

test("AWS CLI: keys, classes and quotas are the same after a restart", { skip: noAws, timeout: 300_000 }, async () => {
  const key = idIn(await kms.ok(["kms", "create-key", "--description", "photos"]))
  // Releases 1 and 2 of the CLI read a file of bytes the same way, and both print base64.
  const [plain, cipher] = [join(home, "plain"), join(home, "cipher")]
  await writeFile(plain, "attack at dawn")
  const encrypt = ["encrypt", "--key-id", key, "--plaintext", `fileb://${plain}`]
  const sealed = await kms.ok(["kms", ...encrypt, "--query", "CiphertextBlob", "--output", "text"])
  const body = join(home, "body")
  await writeFile(body, BODY)
  const put = ["s3api", "put-object", "--bucket", "sealed", "--key", "k", "--body", body]
  await server.client().call("PUT", { bucket: "sealed" })
  const named = ["--server-side-encryption", "aws:kms", "--ssekms-key-id", key, "--bucket-key-enabled"]
  assert.match(await aws.ok([...put, ...named]), new RegExp(`"SSEKMSKeyId": "arn:aws:kms:.*${key}"`))
  await aws.ok(["s3", "cp", "s3://sealed/k", "s3://sealed/cold", "--storage-class", "GLACIER"])

  await server.kill()
  await server.launch()
  await writeFile(cipher, Buffer.from(sealed.trim(), "base64"))
  const opened = await kms.ok(["kms", "decrypt", "--ciphertext-blob", `fileb://${cipher}`])
  assert.match(opened, new RegExp(`"Plaintext": "${Buffer.from("attack at dawn").toString("base64")}"`))
  const list = await hayloft("class", "list")
  for (const [name, redundancy] of Object.entries(CLASSES)) assert.match(list, new RegExp(`${name} +${redundancy}`))
  assert.match(await hayloft("quota", "show", LIMITED), /683\.6 KiB of 1\.0 MiB[^]*67 %[^]*above it/)
  assert.match(await hayloft("quota", "check", LIMITED), /they agree/)

  const message = /QuotaExceeded.*The bucket limited would exceed its quota of 1\.0 MiB \(683\.6 KiB used\)/
  await aws.refused(message, ["s3", "cp", body, `s3://${LIMITED}/after`])
  await hayloft("quota", "clear", LIMITED)
  const more = await server.client().call("PUT", { bucket: LIMITED, key: "more", body: BODY })
  assert.equal(more.status, 200)

  const back = join(home, "back")
  const get = (name: string) => ["s3api", "get-object", "--bucket", "sealed", "--key", name, back]
  await aws.refused(/InvalidObjectState/, get("cold"))
  const request = ["--restore-request", "Days=1,GlacierJobParameters={Tier=Standard}"]
  await aws.ok(["s3api", "restore-object", "--bucket", "sealed", "--key", "cold", ...request])
  await aws.ok(get("cold"))
  assert.ok((await readFile(back)).equals(BODY))
  await kms.ok(["kms", "disable-key", "--key-id", key])
  await aws.refused(/KMS\.DisabledException/, get("k"))
})

test("boto3: keys of KMS, storage classes and quotas", { timeout: 300_000 }, context =>
  runBoto3(context, ["kms", "classes", "quotas"], { ...env(), AWS_ENDPOINT_URL_KMS: server.adminEndpoint }),
)

const rclone = findProgram("rclone")
const skipRclone = rclone === undefined ? "rclone is not installed" : false
test(
  "rclone: copies with a class, a changed class, and a restore",
  { skip: skipRclone, timeout: 180_000 },
  async () => {
    const settings = {
      TYPE: "s3",
      PROVIDER: "Other",
      ENDPOINT: server.endpoint,
      REGION,
      FORCE_PATH_STYLE: "true",
      ACL: "bucket-owner-full-control",
      ACCESS_KEY_ID: CREDENTIALS.accessKey,
      SECRET_ACCESS_KEY: CREDENTIALS.secretKey,
    }
    const variables = Object.entries(settings).map(([name, value]) => [`RCLONE_CONFIG_H_${name}`, value] as const)
    const config = join(home, "rclone.conf")
    const rcloneEnv = {
      ...env(),
      ...Object.fromEntries(variables),
      RCLONE_CONFIG: config,
      AWS_CA_BUNDLE: undefined,
    }
    await writeFile(config, "")
    const go = (...args: string[]) => runOk(rclone ?? "", args, { env: rcloneEnv })
    const body = join(home, "rclone-body")
    await writeFile(body, Buffer.alloc(200_000, "rclone"))
    await server.client().call("PUT", { bucket: "rclone-classes" })
    await go("copyto", body, "H:rclone-classes/k", "--s3-storage-class", "STANDARD_IA")
    const tierOf = (key: string) => go("lsf", "--format", "pT", `H:rclone-classes/${key}`)
    assert.match(await tierOf("k"), /k;STANDARD_IA/)
    await go("settier", "GLACIER", "H:rclone-classes/k")
    const back = join(home, "rclone-back")
    await assert.rejects(go("copyto", "H:rclone-classes/k", back, "--retries", "1"), /InvalidObjectState|GLACIER/)
    await go("backend", "restore", "H:rclone-classes", "-o", "priority=Standard", "-o", "lifetime=1")
    await go("copyto", "H:rclone-classes/k", back)
    assert.ok((await readFile(back)).equals(await readFile(body)))
  },
)

const s3cmd = findProgram("s3cmd")
const skipS3cmd = s3cmd === undefined ? "s3cmd is not installed" : false
test("s3cmd: a class, a restore, and a website", { skip: skipS3cmd, timeout: 180_000 }, async () => {
  const settings = join(home, "s3cfg")
  const host = `127.0.0.1:${server.port}`
  const keys = [`access_key = ${CREDENTIALS.accessKey}`, `secret_key = ${CREDENTIALS.secretKey}`, "use_https = False"]
  const hosts = [`host_base = ${host}`, `host_bucket = ${host}/%(bucket)`]
  await writeFile(settings, `${["[default]", ...keys, ...hosts].join("\n")}\n`)
  const go = (...args: string[]) => runOk(s3cmd ?? "", ["-c", settings, "--no-progress", ...args], { env: env() })
  const [body, back] = [join(home, "s3cmd-body"), join(home, "s3cmd-back")]
  await writeFile(body, Buffer.alloc(200_000, "s3cmd"))
  await server.client().call("PUT", { bucket: "s3cmd-classes" })
  await go("put", "--storage-class=GLACIER", body, "s3://s3cmd-classes/k")
  await assert.rejects(go("get", "s3://s3cmd-classes/k", back), /InvalidObjectState/)
  await go("restore", "--restore-days=1", "--restore-priority=standard", "s3://s3cmd-classes/k")
  await go("get", "--force", "s3://s3cmd-classes/k", back)
  assert.ok((await readFile(back)).equals(await readFile(body)))
  assert.match(await go("info", "s3://s3cmd-classes/k"), /Storage: +GLACIER/)
  await go("ws-create", "--ws-index=index.html", "--ws-error=error.html", "s3://s3cmd-classes")
  const website = await go("ws-info", "s3://s3cmd-classes")
  assert.match(website, /Index document: +index\.html/)
  assert.match(website, /Error document: +error\.html/)
  await go("ws-delete", "s3://s3cmd-classes")
})

test("AWS CLI: s3 website", { skip: noAws, timeout: 180_000 }, async () => {
  await server.client().call("PUT", { bucket: "cli-website" })
  await aws.ok(["s3", "website", "s3://cli-website", "--index-document", "index.html"])
  const { status, text } = await server.client().call("GET", { bucket: "cli-website", query: "website" })
  assert.deepEqual([status, /<Suffix>index\.html<\/Suffix>/.test(text)], [200, true])
})

test("mc: a class, a restore, and what is read then", { timeout: 180_000 }, async context => {
  const mc = findProgram("mc")
  const version = mc === undefined ? undefined : await run(mc, ["--version"])
  if (mc === undefined || !version?.stdout.includes("MinIO")) return context.skip("MinIO's mc is not installed")
  const go = (...args: string[]) => runOk(mc, ["--config-dir", join(home, "mc"), "--no-color", ...args], { env: env() })
  const body = join(home, "mc-body")
  await writeFile(body, "archived")
  await go("alias", "set", "h", server.endpoint, CREDENTIALS.accessKey, CREDENTIALS.secretKey)
  await go("mb", "h/mc-classes")
  await go("cp", "--storage-class", "GLACIER", body, "h/mc-classes/k")
  assert.match(await go("ls", "h/mc-classes/"), /GLACIER k/)
  await assert.rejects(go("cat", "h/mc-classes/k"), /storage class|archived|restore/i)
  await go("ilm", "restore", "--days", "1", "h/mc-classes/k")
  assert.equal(await go("cat", "h/mc-classes/k"), "archived")
})
