/** An operator limits a bucket of a real server with the CLI; the AWS CLI and boto3 are refused with code and message, at once. */
import { after, before, test } from "node:test"
import assert from "node:assert/strict"
import { mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { awsEnvironment } from "../harness/aws-environment.js"
import { findProgram, run, runOk } from "../harness/commands.js"
import { ROOT, ServerProcess } from "../harness/server.js"

let folder = ""
let server: ServerProcess

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "hayloft-quotas-"))
  server = await ServerProcess.start({ folders: [join(folder, "d1")] })
})

after(async () => {
  await server?.kill()
  await rm(folder, { recursive: true, force: true })
})

async function hayloft(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await server.hayloft(args)
  assert.equal(code, 0, stderr)
  return stdout
}

const aws = findProgram("aws")
const skip = aws === undefined ? "aws is not installed" : false
test(
  "a put and a part beyond a quota are refused; a restart keeps the quota and its count",
  { skip, timeout: 180_000 },
  async () => {
    const args = ["--endpoint-url", server.endpoint]
    const env = awsEnvironment({ endpoint: server.endpoint, home: folder })
    const go = (...rest: string[]) => runOk(aws ?? "", [...args, ...rest], { env })
    const refused = async (...rest: string[]): Promise<string> => {
      const { code, stderr } = await run(aws ?? "", [...args, ...rest], { env })
      assert.notEqual(code, 0, rest.join(" "))
      return stderr
    }
    const body = join(folder, "body")
    await writeFile(body, Buffer.alloc(700_000, 1))
    await go("s3", "mb", "s3://limited")
    await go("s3", "cp", body, "s3://limited/before")
    await hayloft("quota", "set", "limited", "--bytes", "1MiB", "--warn-bytes", "600KiB")
    const message = /QuotaExceeded.*The bucket limited would exceed its quota of 1\.0 MiB \(683\.6 KiB used\)/
    assert.match(await refused("s3", "cp", body, "s3://limited/after"), message)
    await go("s3", "cp", body, "s3://limited/before")
    const created = await go("s3api", "create-multipart-upload", "--bucket", "limited", "--key", "parts")
    const { UploadId: uploadId } = JSON.parse(created) as { UploadId: string }
    const part = [
      "--bucket",
      "limited",
      "--key",
      "parts",
      "--upload-id",
      uploadId,
      "--part-number",
      "1",
      "--body",
      body,
    ]
    assert.match(await refused("s3api", "upload-part", ...part), /QuotaExceeded/)
    await server.stop()
    await server.launch()
    args[1] = server.endpoint
    assert.match(await hayloft("quota", "show", "limited"), /683\.6 KiB of 1\.0 MiB[^]*67 %[^]*above it/)
    assert.match(await hayloft("quota", "check", "limited"), /they agree/)
    await go("s3", "rm", "s3://limited/before")
    await go("s3api", "upload-part", ...part)
    assert.match(await refused("s3", "cp", body, "s3://limited/after"), /QuotaExceeded/)
    await go("s3api", "abort-multipart-upload", ...part.slice(0, 6))
    await go("s3", "cp", body, "s3://limited/after")
    await hayloft("quota", "clear", "limited")
    await go("s3", "cp", body, "s3://limited/more")
  },
)

const python = findProgram("python3")
test("boto3: what a quota refuses is not repeated", { timeout: 180_000 }, async context => {
  const found = python === undefined ? undefined : await run(python, ["-c", "import boto3"])
  if (python === undefined || found?.code !== 0) return context.skip("boto3 is not installed")
  assert.equal((await server.client().call("PUT", { bucket: "boto3-quotas" })).status, 200)
  await hayloft("quota", "set", "boto3-quotas", "--bytes", "1MiB")
  const env = awsEnvironment({ endpoint: server.endpoint, home: folder })
  assert.match(await runOk(python, [`${ROOT}tests/clients/boto3_quotas.py`], { env }), /^all good$/m)
})
