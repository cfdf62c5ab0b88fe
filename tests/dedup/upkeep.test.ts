/** Figures and jobs of deduplication on a real server, by the command line, across a restart and from before the setting. */
import assert from "node:assert/strict"
import { randomBytes } from "node:crypto"
import { test } from "node:test"
import { DEDUP } from "@hayloft/features/dedup/schemas.js"
import { STARTED_JOB } from "@hayloft/features/operator/index.js"
import { forTestsOfFile } from "../harness/folders.js"
import type { ServerProcess } from "../harness/server.js"
import { BUCKET, setDedup, startDedup } from "./world.js"

const MIB = 2 ** 20
const LONG = { timeout: 300_000 }

let folder: string
let server: ServerProcess

forTestsOfFile(async own => {
  folder = own
  server = await startDedup(own)
  return () => server.kill()
})

const put = async (bucket: string, key: string, body: Uint8Array): Promise<void> => {
  assert.equal((await server.client().call("PUT", { bucket, key, body })).status, 200)
}

const figures = async (bucket: string) => DEDUP.parse(await server.report(`/v1/buckets/${bucket}/dedup`))

/** The job of a command, which waits until it has ended. */
async function ended(...args: readonly string[]) {
  const { code, stdout, stderr } = await server.hayloft(["dedup", ...args, "--json"])
  return { code, stderr, job: STARTED_JOB.parse(JSON.parse(stdout)) }
}

test("figures, verify, rebuild and compact of a real store", LONG, async () => {
  const bytes = randomBytes(5 * MIB)
  for (const key of ["a", "b"]) await put(BUCKET, key, bytes)
  await put(BUCKET, "c", Buffer.concat([bytes.subarray(0, 4 * MIB), randomBytes(MIB)]))
  const { state, versions, logicalBytes, ownBytes, referencedBytes } = await figures(BUCKET)
  assert.deepEqual([state, versions, logicalBytes], ["on", 3, 15 * MIB])
  assert.deepEqual([ownBytes, referencedBytes], [6 * MIB, 9 * MIB])
  const verified = await ended("verify", BUCKET, "--read")
  assert.equal(verified.code, 0, verified.stderr)
  assert.match(verified.job.result ?? "", /: all agree$/)
  await server.stop()
  await server.launch()
  const again = await ended("verify", BUCKET)
  assert.deepEqual([again.code, again.job.counts?.failed], [0, 0])
  assert.equal((await ended("compact", BUCKET)).job.counts?.repaired, undefined)
})

test("objects from before the setting are found after a rebuild", LONG, async () => {
  const bucket = "before"
  assert.equal((await server.client().call("PUT", { bucket })).status, 200)
  const bytes = randomBytes(3 * MIB)
  await put(bucket, "old", bytes)
  const before = await server.client().call("HEAD", { bucket, key: "old" })
  assert.equal((await setDedup(server, folder, bucket)).code, 0)
  const { job, code } = await ended("rebuild", bucket)
  assert.deepEqual([code, job.counts?.repaired], [0, 1])
  await put(bucket, "new", bytes)
  const { referencedBytes, ownBytes } = await figures(bucket)
  assert.deepEqual([referencedBytes, ownBytes], [bytes.length, bytes.length])
  const shown = await server.client().call("GET", { bucket, key: "old" })
  assert.ok(shown.body.equals(bytes))
  for (const name of ["etag", "last-modified"]) assert.equal(shown.header(name), before.header(name))
})
