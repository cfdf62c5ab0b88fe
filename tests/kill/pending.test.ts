/**
 * Kill -9 around the commit of an upload. Before it: bytes are on the devices, and no object has them; `hayloft pending list` names
 * them. After it: the object is there. When the bytes go is tested in virtual time (packages/upkeep/src).
 */
import assert from "node:assert/strict"
import { readdir, stat } from "node:fs/promises"
import { request } from "node:http"
import { join } from "node:path"
import { test } from "node:test"
import { setTimeout as later } from "node:timers/promises"
import { CreateBucketCommand, PutObjectCommand } from "@aws-sdk/client-s3"
import { getSignedUrl } from "@aws-sdk/s3-request-presigner"
import { STORE_SCHEMAS } from "@hayloft/admin/index.js"
import { MIB } from "@hayloft/base/limits.js"
import { dataFolders, withFolder } from "../harness/folders.js"
import { withClient } from "../harness/sdk-client.js"
import { ServerProcess } from "../harness/server.js"

const PENDING = STORE_SCHEMAS.PENDING_UPLOADS
const POLL_MS = 50
const UNTIL_MS_MAX = 120_000
const [BUCKET, KEY] = ["pending", "half/é"]
/** Three of four blocks of 16 MiB arrive. */
const [SENT_BYTES, WHOLE_BYTES] = [48 * MIB, 64 * MIB]

async function until<T>(what: string, look: () => Promise<T | undefined>): Promise<T> {
  for (const endMs = performance.now() + UNTIL_MS_MAX; performance.now() < endMs; await later(POLL_MS)) {
    const found = await look()
    if (found !== undefined) return found
  }
  throw new Error(`it never was so: ${what}`)
}

async function bytesIn(folders: readonly string[]): Promise<number> {
  let bytes = 0
  for (const folder of folders) {
    const names = await readdir(join(folder, "volumes"))
    for (const name of names) bytes += (await stat(join(folder, "volumes", name))).blocks * 512
  }
  return bytes
}

const pendingOf = async (server: ServerProcess): Promise<string | undefined> => {
  const { code, stdout, stderr } = await server.hayloft(["pending", "list", "--json"])
  assert.equal(code, 0, stderr)
  return stdout.includes("removableMs") ? stdout : undefined
}

test("an upload killed before its commit is pending, and no object; one that was answered is there", () =>
  withFolder(async folder => {
    const folders = dataFolders(folder, 3)
    const server = await ServerProcess.start({ folders })
    try {
      await withClient(server, async sdk => {
        await sdk.send(new CreateBucketCommand({ Bucket: BUCKET }))
        assert.equal((await server.hayloft(["pending", "list", "--json"])).stdout, "")
        const url = await getSignedUrl(sdk, new PutObjectCommand({ Bucket: BUCKET, Key: KEY }))
        const sending = request(url, { method: "PUT", headers: { "content-length": WHOLE_BYTES } })
        const cut = new Promise(resolve => sending.on("error", resolve))
        sending.write(Buffer.alloc(SENT_BYTES, 7))
        await until("two blocks are written", async () => (await bytesIn(folders)) > 32 * MIB || undefined)
        await server.kill()
        await cut
      })
      await server.launch()
      const client = server.client()
      assert.equal((await client.call("GET", { bucket: BUCKET, key: KEY })).status, 404)
      assert.doesNotMatch((await client.call("GET", { bucket: BUCKET, query: "list-type=2" })).text, /<Key>/)

      const { uploads } = PENDING.parse({
        uploads: [JSON.parse(await until("it is pending", () => pendingOf(server)))],
        more: 0,
      })
      const { bucket, key, blocks = 0, bytes = 0 } = uploads[0] ?? {}
      assert.deepEqual([bucket, key], [BUCKET, KEY])
      assert.ok(blocks >= 1 && bytes <= SENT_BYTES, `${blocks} blocks, ${bytes} bytes`)
      const { stdout } = await server.hayloft(["pending", "list"])
      assert.match(stdout, /UPLOAD +OBJECT +BLOCKS +SIZE +REMOVED\n[0-9a-f]{32} +pending\/half\/é +\d+ .* in \d/)

      assert.equal((await client.call("PUT", { bucket: BUCKET, key: KEY, body: "whole" })).status, 200)
      await server.kill()
      await server.launch()
      assert.equal((await client.call("GET", { bucket: BUCKET, key: KEY })).text, "whole")
    } finally {
      await server.kill()
    }
  }))
