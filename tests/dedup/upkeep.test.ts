/** Figures and jobs of deduplication on a real server, by the command line, across a restart and from before the setting. */
import assert from "node:assert/strict"
import { randomBytes } from "node:crypto"
import { test } from "node:test"
import { DEDUP } from "../../src/admin/dedup-schemas.js"
import { STARTED_JOB } from "../../src/admin/job-schemas.js"
import { withFolder } from "../harness/folders.js"
import type { ServerProcess } from "../harness/server.js"
import { BUCKET, setDedup, startDedup } from "./world.js"

const MIB = 2 ** 20
const LONG = { timeout: 300_000 }

const put = async (server: ServerProcess, bucket: string, key: string, body: Uint8Array): Promise<void> => {
  assert.equal((await server.client().call("PUT", { bucket, key, body })).status, 200)
}

const figures = async (server: ServerProcess, bucket: string) =>
  DEDUP.parse(await server.report(`/v1/buckets/${bucket}/dedup`))

/** The job of a command, which waits until it has ended. */
async function ended(server: ServerProcess, ...args: readonly string[]) {
  const { code, stdout, stderr } = await server.hayloft(["dedup", ...args, "--json"])
  return { code, stderr, job: STARTED_JOB.parse(JSON.parse(stdout)) }
}

test("figures, verify, rebuild and compact of a real store", LONG, async () => {
  await withFolder(async folder => {
    const server = await startDedup(folder)
    try {
      const bytes = randomBytes(20 * MIB)
      for (const key of ["a", "b"]) await put(server, BUCKET, key, bytes)
      await put(server, BUCKET, "c", Buffer.concat([bytes.subarray(0, 8 * MIB), randomBytes(MIB)]))
      const { state, versions, logicalBytes, ownBytes, referencedBytes } = await figures(server, BUCKET)
      assert.deepEqual([state, versions, logicalBytes], ["on", 3, 49 * MIB])
      assert.deepEqual([ownBytes, referencedBytes], [21 * MIB, 28 * MIB])
      const verified = await ended(server, "verify", BUCKET, "--read")
      assert.equal(verified.code, 0, verified.stderr)
      assert.match(verified.job.result ?? "", /: all agree$/)
      await server.stop()
      await server.launch()
      const again = await ended(server, "verify", BUCKET)
      assert.deepEqual([again.code, again.job.counts?.failed], [0, 0])
      assert.equal((await ended(server, "compact", BUCKET)).job.counts?.repaired, undefined)
    } finally {
      await server.kill()
    }
  })
})

test("objects from before the setting are found after a rebuild", LONG, async () => {
  await withFolder(async folder => {
    const server = await startDedup(folder)
    try {
      const bucket = "before"
      assert.equal((await server.client().call("PUT", { bucket })).status, 200)
      const bytes = randomBytes(12 * MIB)
      await put(server, bucket, "old", bytes)
      const before = await server.client().call("HEAD", { bucket, key: "old" })
      assert.equal((await setDedup(server, folder, bucket)).code, 0)
      const { job, code } = await ended(server, "rebuild", bucket)
      assert.deepEqual([code, job.counts?.repaired], [0, 1])
      await put(server, bucket, "new", bytes)
      const { referencedBytes, ownBytes } = await figures(server, bucket)
      assert.deepEqual([referencedBytes, ownBytes], [bytes.length, bytes.length])
      const shown = await server.client().call("GET", { bucket, key: "old" })
      assert.ok(shown.body.equals(bytes))
      for (const name of ["etag", "last-modified"]) assert.equal(shown.header(name), before.header(name))
    } finally {
      await server.kill()
    }
  })
})
