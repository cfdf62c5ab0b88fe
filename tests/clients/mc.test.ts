/**
 * `mc`, MinIO's client, if it is on the machine (another `mc` is a file manager): object lock, lifecycle rules and
 * encryption.
 */
import { test, type TestContext } from "node:test"
import assert from "node:assert/strict"
import { mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { findProgram, run } from "../harness/commands.js"
import { CREDENTIALS, ServerProcess } from "../harness/server.js"

const mc = findProgram("mc")

/** Runs it with a server under the alias `h`. */
async function withServer(
  context: TestContext,
  use: (file: string, ask: (...args: string[]) => ReturnType<typeof run>) => Promise<void>,
): Promise<void> {
  const version = mc === undefined ? undefined : await run(mc, ["--version"])
  if (mc === undefined || !/MinIO/.test(version?.stdout ?? "")) return context.skip("MinIO's mc is not installed")
  const folder = await mkdtemp(join(tmpdir(), "hayloft-mc-"))
  const server = await ServerProcess.start({ folders: [join(folder, "data")] })
  const file = join(folder, "file")
  const ask = (...args: string[]) => run(mc, ["--config-dir", join(folder, "config"), "--no-color", ...args])
  try {
    await writeFile(file, "body")
    await ask("alias", "set", "h", server.endpoint, CREDENTIALS.accessKey, CREDENTIALS.secretKey)
    await use(file, ask)
  } finally {
    await server.kill()
    await rm(folder, { recursive: true, force: true })
  }
}

const checks = (ask: (...args: string[]) => ReturnType<typeof run>) => ({
  async go(...args: string[]): Promise<string> {
    const { code, stdout, stderr } = await ask(...args)
    assert.equal(code, 0, `${args.join(" ")}: ${stderr}`)
    return stdout
  },
  async refused(pattern: RegExp, ...args: string[]): Promise<void> {
    const { code, stdout, stderr } = await ask(...args)
    assert.notEqual(code, 0, args.join(" "))
    assert.match(stdout + stderr, pattern)
  },
})

test("mc: the default encryption of a bucket, and of one object", { timeout: 180_000 }, context =>
  withServer(context, async (file, ask) => {
    const { go, refused } = checks(ask)
    await go("mb", "h/encrypted")
    await refused(/server side encryption configuration was not found/, "encrypt", "info", "h/encrypted")
    await go("cp", "--enc-s3", "h/encrypted", file, "h/encrypted/asked")
    assert.match(await go("stat", "h/encrypted/asked"), /Encryption: SSE-S3/)
    await go("encrypt", "set", "sse-s3", "h/encrypted")
    assert.match(await go("encrypt", "info", "h/encrypted"), /'sse-s3' is enabled/)
    await go("cp", file, "h/encrypted/default")
    assert.match(await go("stat", "h/encrypted/default"), /Encryption: SSE-S3/)
    assert.equal(await go("cat", "h/encrypted/default"), "body")
    await go("encrypt", "set", "sse-kms", "alias/aws/s3", "h/encrypted")
    assert.match(await go("encrypt", "info", "h/encrypted"), /'sse-kms' is enabled/)
    await go("cp", file, "h/encrypted/kms")
    assert.match(await go("stat", "h/encrypted/kms"), /Encryption: SSE-KMS/)
    await go("encrypt", "set", "sse-kms", "alias/none", "h/encrypted")
    await refused(/alias\/none.* does not exist/, "cp", file, "h/encrypted/other")
    await go("encrypt", "clear", "h/encrypted")
    await go("cp", file, "h/encrypted/none")
    assert.doesNotMatch(await go("stat", "h/encrypted/none"), /Encryption/)
  }),
)

test("mc: buckets with object lock, retention and legal hold", { timeout: 180_000 }, context =>
  withServer(context, async (file, ask) => {
    const { go, refused } = checks(ask)
    await go("mb", "--with-lock", "h/locked")
    await go("retention", "set", "--default", "GOVERNANCE", "1d", "h/locked")
    assert.match(await go("retention", "info", "--default", "h/locked"), /GOVERNANCE.*1DAYS/)
    await go("cp", file, "h/locked/a")
    assert.match(await go("retention", "info", "h/locked/a"), /GOVERNANCE, expiring in 23 hours/)
    await go("legalhold", "set", "h/locked/a")
    assert.match(await go("legalhold", "info", "h/locked/a"), /ON/)
    await refused(/protected by object lock/, "rm", "--versions", "--force", "--bypass", "h/locked/a")
    await go("legalhold", "clear", "h/locked/a")
    await refused(/protected by object lock/, "retention", "set", "compliance", "2d", "h/locked/a")
    await refused(/protected by object lock/, "rm", "--versions", "--force", "h/locked/a")
    await go("rm", "--versions", "--force", "--bypass", "h/locked/a")
    await go("cp", "--retention-mode", "compliance", "--retention-duration", "3d", file, "h/locked/b")
    assert.match(await go("retention", "info", "h/locked/b"), /COMPLIANCE, expiring in 2 days/)
    await refused(/versioning state cannot be changed/, "version", "suspend", "h/locked")
    await refused(/protected by object lock/, "rb", "--force", "h/locked")
    assert.match(await go("ls", "--versions", "h/locked"), /PUT b/)
  }),
)

test("mc: lifecycle rules, and when objects end", { timeout: 180_000 }, context =>
  withServer(context, async (file, ask) => {
    const { go, refused } = checks(ask)
    await go("mb", "h/aging")
    await go("ilm", "rule", "add", "--expire-days", "2", "--prefix", "logs/", "--tags", "a=b", "h/aging")
    await go("ilm", "rule", "add", "--noncurrent-expire-days", "1", "--noncurrent-expire-newer", "3", "h/aging")
    await go("ilm", "rule", "add", "--expire-delete-marker", "h/aging")
    assert.match(await go("ilm", "rule", "ls", "h/aging"), /logs\//)
    assert.match(await go("ilm", "rule", "export", "h/aging"), /"NewerNoncurrentVersions":3/)
    await refused(/transition|not implemented/i, "ilm", "rule", "add", "--transition-days", "2", ...TO_COLD)
    await go("cp", "--tags", "a=b", file, "h/aging/logs/a")
    assert.match(await go("stat", "h/aging/logs/a"), /lifecycle-rule-id/)
    await go("ilm", "rule", "rm", "--all", "--force", "h/aging")
    assert.doesNotMatch(await go("stat", "h/aging/logs/a"), /lifecycle-rule-id/)
  }),
)

const TO_COLD = ["--transition-tier", "STANDARD_IA", "h/aging"]
