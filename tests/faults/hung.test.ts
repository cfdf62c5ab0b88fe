/**
 * A disk on which every call hangs, also for metadata and locks: the others continue to serve, and the process can end.
 */
import assert from "node:assert/strict"
import { test } from "node:test"
import { setTimeout as later } from "node:timers/promises"
import { bodyBytes } from "../../sim/world/bodies.js"
import { dataFolders, withFolder } from "../harness/folders.js"
import { ServerProcess } from "../harness/server.js"
import { missingForShim, Shim, type ShimCall } from "./shim.js"

const missing = await missingForShim()
const skip = missing === undefined ? false : `needs LD_PRELOAD and cc: ${missing}`

const ALL_CALLS: readonly ShimCall[] = ["open", "read", "write", "fsync", "fdatasync", "rename", "unlink", "ftruncate"]
/** Far longer than the test, and longer than any request waits. */
const HANG_MS = 120_000
/** A device has 4.5 s; the rest allows for a busy machine, and is far below the time for which calls hang. */
const STALL_MS_MAX = 30_000
/** The shortest time for which clients work, and the longest until the store has to give up the lock of the disk. */
const WORK_MS = 9_000
const GIVEN_UP_MS = 90_000
const BETWEEN_MS = 1_000
const BEFORE = bodyBytes("before", 300_000)

interface Hung {
  readonly parts: readonly string[]
  readonly isGivenUp: boolean
}

/** Which files hang. If the metadata store hangs too, the lock is given up only after it answers. */
const WHAT: Readonly<Record<string, Hung>> = {
  "every file": { parts: [""], isGivenUp: false },
  "every file except the metadata store": {
    parts: ["log/", "volumes/", "payloads/", "superblock", "control"],
    isGivenUp: true,
  },
}

/** Clients work while these files hang, and the process ends; the next one has what was written before. */
async function hang(server: ServerProcess, shim: Shim, disk: string, { parts, isGivenUp }: Hung): Promise<void> {
  const client = server.client()
  const hung = { nth: 1, forEver: true, how: { delayMs: HANG_MS } } as const
  const files = parts.map(part => ({ ...hung, prefix: `${disk}/${part}`, calls: ALL_CALLS }))
  // The paths of the lock contain the number of their folder's handle.
  shim.set([...files, { ...hung, prefix: "*/owner.sock", calls: ["unlink"] }])
  const isReached = (): boolean => !isGivenUp || shim.hits().some(({ rule }) => rule === files.length)
  const startMs = performance.now()
  const isOver = (): boolean => performance.now() - startMs > (isReached() ? WORK_MS : GIVEN_UP_MS)
  let [worstMs, acknowledged] = [0, 0]
  for (let i = 0; !isOver(); i += 1) {
    const beganMs = performance.now()
    const written = bodyBytes(`w${i}`, 1_000 + (i % 2) * 200_000)
    const write = await client.call("PUT", { bucket: "hung", key: `k${i % 5}`, body: written })
    const read = await client.call("GET", { bucket: "hung", key: "before" })
    worstMs = Math.max(worstMs, performance.now() - beganMs)
    if (write.status < 300) acknowledged += 1
    assert.ok(write.status < 300 || write.status >= 500, `a write was answered with ${write.status}`)
    assert.equal(read.status, 200)
    await later(BETWEEN_MS)
  }
  assert.ok(isReached(), "the lock of the disk was not given up")
  assert.ok(worstMs < STALL_MS_MAX, `a request took ${Math.round(worstMs)} ms`)
  assert.ok(acknowledged > 0, "no write was acknowledged without the disk")
  // The process is killed: it cannot end by itself while its own calls hang.
  assert.equal(await server.stop(), null)
  shim.set([])
  await server.launch()
  assert.deepEqual((await server.client().call("GET", { bucket: "hung", key: "before" })).body, BEFORE)
}

test("a disk hangs: no client is stalled for long, and the process can end", { skip }, t =>
  withFolder(async folder => {
    const shim = await Shim.build(folder)
    shim.set([])
    const disks = dataFolders(folder, 4)
    const server = await ServerProcess.start({ folders: disks, env: shim.env })
    try {
      const client = server.client()
      assert.equal((await client.call("PUT", { bucket: "hung" })).status, 200)
      assert.equal((await client.call("PUT", { bucket: "hung", key: "before", body: BEFORE })).status, 200)
      for (const [at, [what, hung]] of Object.entries(WHAT).entries()) {
        // A disk of its own: that of the case before may still be brought up to date.
        await t.test(`${what} and its lock hang`, () => hang(server, shim, disks[at] ?? "none", hung))
      }
    } catch (error) {
      throw new Error(`${String(error)}; log of the server:\n${server.log}`, { cause: error })
    } finally {
      await server.kill()
    }
  }),
)
