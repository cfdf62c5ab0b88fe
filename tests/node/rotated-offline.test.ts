/** Commands on the files of a store whose master key was rotated, with both key files: either may be the right one. */
import assert from "node:assert/strict"
import { randomBytes } from "node:crypto"
import { rm, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { test } from "node:test"
import { CreateBucketCommand, GetObjectCommand, PutObjectCommand, type S3Client } from "@aws-sdk/client-s3"
import { run } from "../harness/commands.js"
import { quietParent, withFolder } from "../harness/folders.js"
import { withClient } from "../harness/sdk-client.js"
import { HAYLOFT, ServerProcess } from "../harness/server.js"

const Bucket = "bucket"
const BODY = randomBytes(300_000)

const put = (client: S3Client, Key: string) => client.send(new PutObjectCommand({ Bucket, Key, Body: BODY }))

async function check(client: S3Client, keys: readonly string[]): Promise<void> {
  for (const Key of keys) {
    const { Body } = await client.send(new GetObjectCommand({ Bucket, Key }))
    assert.deepEqual(Buffer.from((await Body?.transformToByteArray()) ?? []), BODY, Key)
  }
}

test("after a rotation commands on the files, and a rescue, take the key from either file", () =>
  withFolder(async folder => {
    const at = (name: string): string => join(folder, name)
    for (const name of ["old.key", "new.key", "other.key"]) await writeFile(at(name), randomBytes(32).toString("hex"))
    const [current, next, other] = [
      ["--master-key-file", at("old.key")],
      ["--next-master-key-file", at("new.key")],
      ["--next-master-key-file", at("other.key")],
    ] as const
    const both = [...current, ...next]
    const hayloft = (...args: readonly string[]) => run(process.execPath, [HAYLOFT, ...args])
    const data = at("data")
    const args = ["--encrypt-at-rest"]
    const env = { HAYLOFT_MASTER_KEY_FILE: at("old.key"), HAYLOFT_NEXT_MASTER_KEY_FILE: at("new.key") }
    const server = await ServerProcess.start({ folders: [data], args, env })
    await withClient(server, async client => {
      await client.send(new CreateBucketCommand({ Bucket }))
      await put(client, "before")
      const rotated = await hayloft("master-key", "rotate", "--data", data, ...both)
      assert.match(rotated.stdout, /^master key 2; key 1 needed until [^\n]*\n$/, rotated.stderr)
      await put(client, "after")
      await server.backUp()
    })
    await server.stop()
    for (const keys of [both, next.map(text => text.replace("--next-", "--"))]) {
      const checked = await hayloft("volume", "fsck", data, ...keys)
      assert.equal(checked.code, 0, checked.stderr)
    }
    for (const keys of [current, [...current, ...other]]) {
      const refused = await hayloft("volume", "fsck", data, ...keys)
      assert.notEqual(refused.code, 0)
      assert.match(refused.stderr, /under master key 2, and the file holds another one, perhaps master key 1/)
    }
    for (const name of ["base", "log"]) await rm(join(data, name), { recursive: true })
    const rescue = (to: string, keys: readonly string[]) => hayloft("rescue", "--from", data, "--to", at(to), ...keys)
    assert.match((await rescue("refused", current)).stderr, /under master key 2/)
    const rescued = await rescue("rescued", both)
    assert.equal(rescued.code, 0, rescued.stderr)
    assert.match(rescued.stdout, /^ *unknown +objects of 4 KiB and less, tags, settings and deletions since 20/m)
    // The new store has the new key.
    const keyed = ["--encrypt-at-rest", "--master-key-file", at("new.key")]
    const opened = await ServerProcess.start({ folders: [at("rescued")], args: keyed })
    await withClient(opened, client => check(client, ["before", "after"]))
    await opened.stop()
  }, quietParent()))
