/** The AWS CLI and boto3 use storage classes on a real server, whose operator maps them with the CLI. */
import { after, before, test } from "node:test"
import assert from "node:assert/strict"
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { awsEnvironment } from "../harness/aws-environment.js"
import { findProgram, run, runOk } from "../harness/commands.js"
import { ROOT, ServerProcess } from "../harness/server.js"

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
test("boto3: puts, copies, uploads and refusals of classes", { timeout: 180_000 }, async context => {
  const found = python === undefined ? undefined : await run(python, ["-c", "import boto3"])
  if (python === undefined || found?.code !== 0) return context.skip("boto3 is not installed")
  const output = await runOk(python, [`${ROOT}tests/clients/boto3_classes.py`], { env: env() })
  assert.match(output, /^all good$/m)
})
