/**
 * Clients store and read encrypted objects on a real server with TLS: AWS CLI, boto3, rclone and s3cmd. MinIO's client is
 * in `mc.test.ts`.
 */
import { after, before, test } from "node:test"
import assert from "node:assert/strict"
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { awsEnvironment } from "../harness/aws-environment.js"
import { findProgram, run, runOk } from "../harness/commands.js"
import { CREDENTIALS, ROOT, selfSigned, ServerProcess } from "../harness/server.js"
import { bytesFor } from "./material.js"

const KEY = "an encryption key of 32 letters."
const NEW_KEY = "another encryption key, as long."
/** Clients that are told so send a part of 5 MiB, and a second that is shorter. */
const BODY = bytesFor("encrypted", 5_500_001)
const AWS_PARTS = "[default]\ns3 =\n  multipart_threshold = 5MB\n  multipart_chunksize = 5MB\n"

const openssl = findProgram("openssl")
const aws = findProgram("aws")
const skipOf = (name: string, path: string | undefined): string | false =>
  path === undefined || openssl === undefined ? `${name} or openssl is not installed` : false

let folder = ""
let server: ServerProcess | undefined
let certificate = ""

before(async () => {
  if (openssl === undefined) return
  folder = await mkdtemp(join(tmpdir(), "hayloft-encryption-"))
  const tls = await selfSigned(openssl, folder)
  certificate = tls.ca
  const ca = await readFile(tls.ca, "utf8")
  server = await ServerProcess.start({ folders: [join(folder, "data")], tls: { ...tls, ca } })
  await Promise.all([
    writeFile(join(folder, "body"), BODY),
    writeFile(join(folder, "aws config"), AWS_PARTS),
    writeFile(join(folder, "key"), KEY),
    writeFile(join(folder, "new key"), NEW_KEY),
  ])
})

after(async () => {
  await server?.kill()
  if (folder !== "") await rm(folder, { recursive: true, force: true })
})

const endpoint = (): string => server?.endpoint ?? ""
/** rclone takes its certificate by an option, and refuses the variable. */
const env = () => ({ ...awsEnvironment({ endpoint: endpoint(), home: folder }), AWS_CA_BUNDLE: undefined })
const awsEnv = () => ({
  ...env(),
  AWS_CA_BUNDLE: certificate,
  SSL_CERT_FILE: certificate,
  AWS_CONFIG_FILE: join(folder, "aws config"),
})
const awsArguments = (args: readonly string[]) => ["--endpoint-url", endpoint(), ...args]
const go = (...args: string[]) => runOk(aws ?? "", awsArguments(args), { env: awsEnv(), timeoutMs: 120_000 })
const path = (name: string): string => join(folder, name)

async function expectBody(name: string): Promise<void> {
  assert.ok((await readFile(path(name))).equals(BODY), name)
}

test(
  "AWS CLI: keys of the store and of the client, defaults, copies",
  { skip: skipOf("aws", aws), timeout: 300_000 },
  async () => {
    await server?.client().call("PUT", { bucket: "cli" })
    const encryptionOf = async (key: string) =>
      (await server?.client().call("HEAD", { bucket: "cli", key }))?.header("x-amz-server-side-encryption")
    const stored = ["s3", "cp", "--only-show-errors"]
    await go(...stored, path("body"), "s3://cli/s3", "--sse", "AES256")
    assert.equal(await encryptionOf("s3"), "AES256")
    await go(...stored, "s3://cli/s3", path("of s3"))
    await expectBody("of s3")

    const ofClient = (name: string) => ["--sse-c", "AES256", "--sse-c-key", `fileb://${path(name)}`]
    await go(...stored, path("body"), "s3://cli/client", ...ofClient("key"))
    await go(...stored, "s3://cli/client", path("of client"), ...ofClient("key"))
    await expectBody("of client")
    const refused = await run(aws ?? "", awsArguments([...stored, "s3://cli/client", path("never")]), { env: awsEnv() })
    assert.notEqual(refused.code, 0)
    assert.match(refused.stderr, /400/)

    const source = ["--sse-c-copy-source", "AES256", "--sse-c-copy-source-key", `fileb://${path("key")}`]
    await go(...stored, "s3://cli/client", "s3://cli/renewed", ...source, ...ofClient("new key"))
    await go(...stored, "s3://cli/renewed", path("renewed"), ...ofClient("new key"))
    await expectBody("renewed")

    const rule = { ApplyServerSideEncryptionByDefault: { SSEAlgorithm: "AES256" }, BucketKeyEnabled: false }
    const configuration = { Rules: [rule] }
    const setting = ["--server-side-encryption-configuration", JSON.stringify(configuration)]
    await go("s3api", "put-bucket-encryption", "--bucket", "cli", ...setting)
    const shown: unknown = JSON.parse(await go("s3api", "get-bucket-encryption", "--bucket", "cli"))
    assert.deepEqual(shown, { ServerSideEncryptionConfiguration: configuration })
    await go(...stored, path("key"), "s3://cli/default")
    assert.equal(await encryptionOf("default"), "AES256")
    await go("s3api", "delete-bucket-encryption", "--bucket", "cli")
  },
)

const python = findProgram("python3")
test(
  "boto3: settings, objects, uploads, copies and presigned URLs",
  { skip: skipOf("python3", python), timeout: 300_000 },
  async context => {
    const found = await run(python ?? "", ["-c", "import boto3"])
    if (found.code !== 0) return context.skip("boto3 is not installed")
    const output = await runOk(python ?? "", [`${ROOT}tests/clients/boto3_encryption.py`], {
      env: awsEnv(),
      timeoutMs: 200_000,
    })
    assert.match(output, /^all good$/m)
  },
)

const rclone = findProgram("rclone")
test("rclone: all kinds of keys, in parts", { skip: skipOf("rclone", rclone), timeout: 180_000 }, async () => {
  const remote = {
    RCLONE_CONFIG: "/dev/null",
    RCLONE_CONFIG_STORE_TYPE: "s3",
    RCLONE_CONFIG_STORE_PROVIDER: "Other",
    RCLONE_CONFIG_STORE_ENV_AUTH: "true",
    RCLONE_CONFIG_STORE_ENDPOINT: endpoint(),
    RCLONE_CONFIG_STORE_ACL: "bucket-owner-full-control",
    RCLONE_CA_CERT: certificate,
  }
  const inParts = ["--s3-chunk-size", "5M", "--s3-upload-cutoff", "5M"]
  const ok = (...args: string[]) => runOk(rclone ?? "", args, { env: { ...env(), ...remote }, timeoutMs: 200_000 })
  await server?.client().call("PUT", { bucket: "rclone" })
  await ok("copyto", path("body"), "store:rclone/s3", "--s3-server-side-encryption", "AES256", ...inParts)
  await ok("copyto", "store:rclone/s3", path("rclone s3"))
  await expectBody("rclone s3")
  // The account's own key. rclone must not compare the ETag with an MD5.
  await ok("copyto", path("body"), "store:rclone/kms", "--s3-server-side-encryption", "aws:kms", ...inParts)
  await ok("copyto", path("key"), "store:rclone/kms small", "--s3-server-side-encryption", "aws:kms")
  await ok("copyto", "store:rclone/kms", path("rclone kms"))
  await expectBody("rclone kms")
  const key = ["--s3-sse-customer-algorithm", "AES256", "--s3-sse-customer-key", KEY]
  await ok("copyto", path("body"), "store:rclone/client", ...key, ...inParts)
  await ok("copyto", "store:rclone/client", path("rclone client"), ...key)
  await expectBody("rclone client")
  // Without the key rclone sees no such object, and ends without an error.
  const { stdout } = await run(rclone ?? "", ["cat", "store:rclone/client"], { env: { ...env(), ...remote } })
  assert.equal(stdout, "")
})

const s3cmd = findProgram("s3cmd")
test(
  "s3cmd: keys of the store and named keys, in parts",
  { skip: skipOf("s3cmd", s3cmd), timeout: 180_000 },
  async () => {
    const host = `127.0.0.1:${server?.port ?? 0}`
    const lines = [
      "[default]",
      `access_key = ${CREDENTIALS.accessKey}`,
      `secret_key = ${CREDENTIALS.secretKey}`,
      `host_base = ${host}`,
      `host_bucket = ${host}/%(bucket)`,
      `ca_certs_file = ${certificate}`,
      "use_https = True",
      "multipart_chunk_size_mb = 5",
    ]
    await writeFile(path("s3cfg"), `${lines.join("\n")}\n`)
    const ok = (...args: string[]) =>
      runOk(s3cmd ?? "", ["-c", path("s3cfg"), "--no-progress", ...args], { env: env() })
    await server?.client().call("PUT", { bucket: "s3cmd" })
    await ok("put", "--server-side-encryption", path("body"), "s3://s3cmd/s3")
    await ok("get", "s3://s3cmd/s3", path("s3cmd s3"))
    await expectBody("s3cmd s3")
    assert.match(await ok("info", "s3://s3cmd/s3"), /SSE: *AES256/)
    // Makes the account's own key.
    await server
      ?.client()
      .call("PUT", { bucket: "s3cmd", key: "first", headers: { "x-amz-server-side-encryption": "aws:kms" } })
    const named = ["--server-side-encryption", "--server-side-encryption-kms-id", "alias/aws/s3"]
    await ok("put", ...named, path("body"), "s3://s3cmd/kms")
    await ok("put", ...named, path("key"), "s3://s3cmd/small")
    await ok("get", "s3://s3cmd/kms", path("s3cmd kms"))
    await expectBody("s3cmd kms")
    assert.match(await ok("info", "s3://s3cmd/small"), /SSE: *aws:kms/)
  },
)
