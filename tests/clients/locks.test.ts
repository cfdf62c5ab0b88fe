/** The AWS CLI and boto3 lock objects on a real server, and restic keeps a repository in a bucket with object lock. */
import { after, before, test } from "node:test"
import assert from "node:assert/strict"
import { mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { awsEnvironment } from "../harness/aws-environment.js"
import { findProgram, run, runOk } from "../harness/commands.js"
import { ROOT, ServerProcess } from "../harness/server.js"
import { treeOf, writeTree } from "./material.js"

let folder = ""
let server: ServerProcess

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "hayloft-locks-"))
  server = await ServerProcess.start({ folders: [join(folder, "data")] })
})

after(async () => {
  await server?.kill()
  await rm(folder, { recursive: true, force: true })
})

const env = () => awsEnvironment({ endpoint: server.endpoint, home: folder })
const aws = findProgram("aws")
const skip = aws === undefined ? "aws is not installed" : false
const s3api = (...args: string[]) => ["--endpoint-url", server.endpoint, "s3api", ...args]
const go = (...args: string[]) => runOk(aws ?? "", s3api(...args), { env: env() })
const refused = async (pattern: RegExp, ...args: string[]): Promise<void> => {
  const { code, stderr } = await run(aws ?? "", s3api(...args), { env: env() })
  assert.notEqual(code, 0, args.join(" "))
  assert.match(stderr, pattern)
}

test(
  "AWS CLI: what is locked is not deleted, by bypass neither in compliance mode",
  { skip, timeout: 300_000 },
  async () => {
    const place = ["--bucket", "cli-locked"]
    const body = join(folder, "body")
    await writeFile(body, "body")
    await go("create-bucket", ...place, "--object-lock-enabled-for-bucket")
    const lock = { ObjectLockEnabled: "Enabled", Rule: { DefaultRetention: { Mode: "COMPLIANCE", Years: 1 } } }
    await go("put-object-lock-configuration", ...place, "--object-lock-configuration", JSON.stringify(lock))
    const shown: unknown = JSON.parse(await go("get-object-lock-configuration", ...place))
    assert.deepEqual(shown, { ObjectLockConfiguration: lock })
    const put = await go("put-object", ...place, "--key", "k", "--body", body, "--checksum-algorithm", "CRC32")
    const versionId = /"VersionId": "(\w+)"/.exec(put)?.[1] ?? ""
    const version = [...place, "--key", "k", "--version-id", versionId]
    assert.match(await go("get-object-retention", ...version), /"COMPLIANCE"/)
    await refused(/AccessDenied/, "delete-object", ...version)
    await refused(/AccessDenied/, "delete-object", ...version, "--bypass-governance-retention")
    const sooner = "Mode=GOVERNANCE,RetainUntilDate=2040-01-01T00:00:00Z"
    await refused(/AccessDenied/, "put-object-retention", ...version, "--retention", sooner)
    await go("put-object-legal-hold", ...version, "--legal-hold", "Status=ON")
    assert.match(await go("head-object", ...version), /"ObjectLockLegalHoldStatus": "ON"/)
    await refused(
      /InvalidBucketState/,
      "put-bucket-versioning",
      ...place,
      "--versioning-configuration",
      "Status=Suspended",
    )
  },
)

const python = findProgram("python3")
test("boto3: every operation of object lock, and a retention that ends", { timeout: 180_000 }, async context => {
  const found = python === undefined ? undefined : await run(python, ["-c", "import boto3"])
  if (python === undefined || found?.code !== 0) return context.skip("boto3 is not installed")
  const output = await runOk(python, [`${ROOT}tests/clients/boto3_lock.py`], { env: env() })
  assert.match(output, /^all good$/m)
})

const restic = findProgram("restic")
const resticSkip = skip || (restic === undefined ? "restic is not installed" : false)
test(
  "restic: a snapshot outlives its removal from a bucket with object lock",
  { skip: resticSkip, timeout: 300_000 },
  async () => {
    const bucket = "restic-locked"
    const place = ["--bucket", bucket]
    await go("create-bucket", ...place, "--object-lock-enabled-for-bucket")
    const lock = { ObjectLockEnabled: "Enabled", Rule: { DefaultRetention: { Mode: "COMPLIANCE", Days: 1 } } }
    await go("put-object-lock-configuration", ...place, "--object-lock-configuration", JSON.stringify(lock))
    const keep = {
      ...env(),
      RESTIC_REPOSITORY: `s3:${server.endpoint}/${bucket}`,
      RESTIC_PASSWORD: "secret",
      RESTIC_CACHE_DIR: join(folder, "cache"),
    }
    const source = join(folder, "source")
    await writeTree(source, [5_000])
    await runOk(restic ?? "", ["init"], { env: keep })
    await runOk(restic ?? "", ["backup", source], { env: keep })
    await runOk(restic ?? "", ["forget", "latest", "--prune", "--keep-last", "1"], { env: keep })
    // An intruder with the keys deletes all that they see. Every version is still there.
    await runOk(
      aws ?? "",
      ["--endpoint-url", server.endpoint, "s3", "rm", "--recursive", "--quiet", `s3://${bucket}`],
      {
        env: env(),
      },
    )
    interface Listed {
      readonly DeleteMarkers?: readonly { readonly Key: string; readonly VersionId: string }[]
    }
    const listed = JSON.parse(await go("list-object-versions", ...place)) as Listed
    const markers = listed.DeleteMarkers ?? []
    assert.ok(markers.length > 0, "something was deleted")
    const objects = markers.map(({ Key, VersionId }) => ({ Key, VersionId }))
    await go("delete-objects", ...place, "--delete", JSON.stringify({ Objects: objects, Quiet: true }))
    await runOk(restic ?? "", ["restore", "latest", "--no-lock", "--target", join(folder, "back")], { env: keep })
    assert.deepEqual(await treeOf(join(folder, "back", source)), await treeOf(source))
  },
)
