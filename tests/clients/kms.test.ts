/** The AWS CLI and boto3 use the named keys of a real server, on its admin port. */
import { after, before, test } from "node:test"
import assert from "node:assert/strict"
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { awsEnvironment } from "../harness/aws-environment.js"
import { findProgram, run, runOk } from "../harness/commands.js"
import { CREDENTIALS, ROOT, ServerProcess } from "../harness/server.js"

let folder = ""
let server: ServerProcess

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "hayloft-kms-"))
  server = await ServerProcess.start({ folders: [join(folder, "one"), join(folder, "two")] })
})

after(async () => {
  await server?.kill()
  await rm(folder, { recursive: true, force: true })
})

const env = () => awsEnvironment({ endpoint: server.adminEndpoint, home: folder, credentials: CREDENTIALS })
const aws = findProgram("aws")
const skip = aws === undefined ? "aws is not installed" : false

/** The answer of `aws kms …`. */
async function kms(...args: readonly string[]): Promise<Readonly<Record<string, unknown>>> {
  const prefix = ["--endpoint-url", server.adminEndpoint, "--output", "json", "kms"]
  const stdout = await runOk(aws ?? "", [...prefix, ...args], { env: env() })
  return (stdout === "" ? {} : JSON.parse(stdout)) as Readonly<Record<string, unknown>>
}

async function refused(code: RegExp, ...args: readonly string[]): Promise<void> {
  const result = await run(aws ?? "", ["--endpoint-url", server.adminEndpoint, "kms", ...args], { env: env() })
  assert.notEqual(result.code, 0, `aws kms ${args.join(" ")}`)
  assert.match(result.stderr, code)
}

const keyIn = ({ KeyMetadata }: Readonly<Record<string, unknown>>): string =>
  (KeyMetadata as { readonly KeyId: string }).KeyId

test("AWS CLI: a key seals and opens, also after a restart of the server", { skip, timeout: 300_000 }, async () => {
  const key = keyIn(await kms("create-key", "--description", "photos"))
  await kms("create-alias", "--alias-name", "alias/photos", "--target-key-id", key)
  const plaintext = Buffer.from("attack at dawn").toString("base64")
  const sealed = await kms(
    ...["encrypt", "--key-id", "alias/photos", "--encryption-context", "purpose=test"],
    ...["--cli-binary-format", "base64", "--plaintext", plaintext],
  )
  const open = (blob: unknown, purpose: string): readonly string[] => [
    ...["decrypt", "--cli-binary-format", "base64", "--ciphertext-blob", String(blob)],
    ...["--encryption-context", `purpose=${purpose}`],
  ]
  await kms("enable-key-rotation", "--key-id", key)
  assert.equal((await kms("get-key-rotation-status", "--key-id", key))["KeyRotationEnabled"], true)
  const data = await kms("generate-data-key", "--key-id", key, "--key-spec", "AES_256")
  assert.equal(Buffer.from(String(data["Plaintext"]), "base64").length, 32)
  await server.kill()
  await server.launch()
  assert.equal((await kms(...open(sealed["CiphertextBlob"], "test")))["Plaintext"], plaintext)
  await refused(/InvalidCiphertextException/, ...open(sealed["CiphertextBlob"], "other"))
  await kms("disable-key", "--key-id", key)
  await refused(/DisabledException/, ...open(sealed["CiphertextBlob"], "test"))
  const { Keys } = await kms("list-keys")
  assert.deepEqual(
    (Keys as { readonly KeyId: string }[]).map(({ KeyId }) => KeyId),
    [key],
  )
  await kms("schedule-key-deletion", "--key-id", key, "--pending-window-in-days", "7")
  await refused(/KMSInvalidStateException/, ...open(sealed["CiphertextBlob"], "test"))
})

test(
  "AWS CLI: objects are encrypted with named keys, while these are enabled",
  { skip, timeout: 300_000 },
  async () => {
    const s3Env = awsEnvironment({ endpoint: server.endpoint, home: folder, credentials: CREDENTIALS })
    const s3 = (...args: readonly string[]) =>
      run(aws ?? "", ["--endpoint-url", server.endpoint, "--output", "json", "s3api", ...args], { env: s3Env })
    const ok = async (...args: readonly string[]): Promise<string> => {
      const { code, stdout, stderr } = await s3(...args)
      assert.equal(code, 0, `${args.join(" ")}: ${stderr}`)
      return stdout
    }
    const [body, copy] = [join(folder, "body"), join(folder, "copy")]
    await writeFile(body, "attack at dawn")
    const key = keyIn(await kms("create-key"))
    await ok("create-bucket", "--bucket", "sealed")
    const put = (name: string, ...more: readonly string[]): readonly string[] => [
      ...["put-object", "--bucket", "sealed", "--key", name, "--body", body],
      ...["--server-side-encryption", "aws:kms", ...more],
    ]
    const get = (name: string): readonly string[] => ["get-object", "--bucket", "sealed", "--key", name, copy]
    assert.match(await ok(...put("own", "--ssekms-key-id", key)), new RegExp(`"SSEKMSKeyId": "arn:aws:kms:.*${key}"`))
    await ok(...put("shared", "--ssekms-key-id", key, "--bucket-key-enabled"))
    await ok(...put("default"))
    await server.kill()
    await server.launch()
    for (const name of ["own", "shared", "default"]) {
      await ok(...get(name))
      assert.equal(await readFile(copy, "utf8"), "attack at dawn", name)
    }
    const { Aliases } = await kms("list-aliases")
    assert.ok((Aliases as { readonly AliasName: string }[]).some(({ AliasName }) => AliasName === "alias/aws/s3"))
    await kms("disable-key", "--key-id", key)
    for (const name of ["own", "shared"]) {
      assert.match((await s3(...get(name))).stderr, /KMS\.DisabledException/, name)
      await ok("head-object", "--bucket", "sealed", "--key", name)
    }
    await ok(...get("default"))
    const none = "00000000-0000-4000-8000-000000000000"
    assert.match((await s3(...put("other", "--ssekms-key-id", none))).stderr, /KMS\.NotFoundException/)
    await kms("enable-key", "--key-id", key)
    await ok(...get("own"))
  },
)

const python = findProgram("python3")

test("boto3: keys, aliases, policies, messages and data keys", { timeout: 300_000 }, async context => {
  const hasBoto = python !== undefined && (await run(python, ["-c", "import boto3"], { env: env() })).code === 0
  if (python === undefined || !hasBoto) {
    context.skip("boto3 is not installed")
    return
  }
  const stdout = await runOk(python, [join(ROOT, "tests/clients/boto3_kms.py")], { env: env() })
  assert.match(stdout, /all good/)
})
