/**
 * Common clients on a bucket with deduplication: bytes uploaded twice are stored once, also in parts. A client that
 * is not installed is reported as skipped. `DEDUP_BYTES` is the size of the large file.
 */
import assert from "node:assert/strict"
import { createHash, randomBytes } from "node:crypto"
import { createReadStream } from "node:fs"
import { appendFile, readFile, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { test } from "node:test"
import { awsEnvironment } from "../harness/aws-environment.js"
import { findProgram, runOk } from "../harness/commands.js"
import { forTestsOfFile } from "../harness/folders.js"
import { CREDENTIALS, type ServerProcess } from "../harness/server.js"
import { BUCKET, liveBytes, shrinksTo, startDedup } from "./world.js"

const MIB = 1024 * 1024
const BYTES = Number(process.env["DEDUP_BYTES"] ?? 16 * MIB + 12_345)
const awsProgram = findProgram("aws")
const resticProgram = findProgram("restic")
const needs = (name: string, program: string | undefined): { readonly skip: string | false } => ({
  skip: program === undefined && `${name} is not installed`,
})

let server: ServerProcess
let folder: string

forTestsOfFile(async of => {
  folder = of
  server = await startDedup(of)
  return () => server.kill()
})

const aws = (...args: readonly string[]) =>
  runOk(awsProgram ?? "", ["--endpoint-url", server.endpoint, ...args], {
    env: awsEnvironment({ endpoint: server.endpoint, home: folder, credentials: CREDENTIALS }),
    timeoutMs: 600_000,
  })

async function largeFile(): Promise<string> {
  const file = join(folder, "large.bin")
  await writeFile(file, "")
  for (let left = BYTES; left > 0; left -= 16 * MIB) await appendFile(file, randomBytes(Math.min(left, 16 * MIB)))
  return file
}

async function sha256Of(file: string): Promise<string> {
  const hash = createHash("sha256")
  for await (const bytes of createReadStream(file)) hash.update(bytes as Buffer)
  return hash.digest("hex")
}

test(
  "AWS CLI: a file that is copied twice in parts is stored once; deleting one keeps the other",
  needs("AWS CLI", awsProgram),
  async () => {
    const before = await liveBytes(server)
    const file = await largeFile()
    await aws("s3", "cp", file, `s3://${BUCKET}/one`)
    await aws("s3", "cp", file, `s3://${BUCKET}/two`)
    const bytes = (await shrinksTo(server, before + 1.01 * BYTES)) - before
    assert.ok(bytes >= BYTES, `${bytes} of ${BYTES}`)
    const put = await aws("s3api", "put-object", "--bucket", BUCKET, "--key", "whole", "--body", file)
    const md5 = createHash("md5")
      .update(await readFile(file))
      .digest("hex")
    assert.ok(put.includes(md5), `${put} ${md5}`)
    await shrinksTo(server, before + 1.01 * BYTES)
    const etags = new Set<string | undefined>()
    for (const key of ["one", "two"])
      etags.add((await server.client().call("HEAD", { bucket: BUCKET, key })).header("etag"))
    assert.equal(etags.size, 1)
    await aws("s3", "rm", `s3://${BUCKET}/one`)
    await shrinksTo(server, before + 1.01 * BYTES)
    for (const key of ["two", "whole"]) {
      await aws("s3", "cp", `s3://${BUCKET}/${key}`, join(folder, "back"))
      assert.equal(await sha256Of(join(folder, "back")), await sha256Of(file), key)
      await server.client().call("DELETE", { bucket: BUCKET, key })
    }
    await shrinksTo(server, before + 0.01 * BYTES)
  },
)

test("restic: backs up and restores", needs("restic", resticProgram), async () => {
  const env = {
    ...awsEnvironment({ endpoint: server.endpoint, home: folder, credentials: CREDENTIALS }),
    RESTIC_PASSWORD: "secret",
    RESTIC_REPOSITORY: `s3:${server.endpoint}/${BUCKET}/restic`,
  }
  const restic = (...args: readonly string[]) => runOk(resticProgram ?? "", args, { env, timeoutMs: 300_000 })
  const file = join(folder, "document")
  await writeFile(file, randomBytes(3 * MIB))
  await restic("init")
  await restic("backup", file)
  await restic("restore", "latest", "--target", join(folder, "restored"))
  assert.ok((await readFile(join(folder, "restored", file))).equals(await readFile(file)))
})
