/**
 * All disks of a store stop at once, and go on: nothing that was acknowledged is lost, requests are answered in time, and
 * the store serves again without a restart.
 */
import assert from "node:assert/strict"
import { execFile } from "node:child_process"
import { mkdirSync } from "node:fs"
import { join } from "node:path"
import { test } from "node:test"
import { setTimeout as later } from "node:timers/promises"
import { promisify } from "node:util"
import { bodyBytes } from "../../sim/world/bodies.js"
import type { Client } from "../../conformance/client.js"
import { dataFolders, withFolder } from "../harness/folders.js"
import { ServerProcess } from "../harness/server.js"
import { missingForShim, Shim } from "./shim.js"

const run = promisify(execFile)
const missing = await missingForShim()
const skipShim = missing === undefined ? false : `needs LD_PRELOAD and cc: ${missing}`

/** Sizes of bodies that go with their row, and of those in shards. */
const SIZES = [500, 200_000]
const BACK_MS_MAX = 60_000

class Writer {
  private readonly acknowledged: string[] = []

  constructor(
    private readonly client: Client,
    private readonly bucket: string,
  ) {}

  /** Returns the status of each answer. */
  async write(name: string): Promise<readonly number[]> {
    const writes = SIZES.map(async size => {
      const key = `${name}-${size}`
      const { status, headers } = await this.client.call("PUT", {
        bucket: this.bucket,
        key,
        body: bodyBytes(key, size),
      })
      if (status < 300) this.acknowledged.push(key)
      else assert.deepEqual([status, headers.some(([name]) => name.toLowerCase() === "retry-after")], [503, true], key)
      return status
    })
    return Promise.all(writes)
  }

  /** Writes until all writes of a round succeed. */
  async untilBack(): Promise<void> {
    const untilMs = performance.now() + BACK_MS_MAX
    for (let round = 0; ; round += 1) {
      if ((await this.write(`back-${round}`)).every(status => status < 300)) return
      assert.ok(performance.now() < untilMs, "the store did not come back")
      await later(500)
    }
  }

  async checkAll(): Promise<void> {
    for (const key of this.acknowledged) {
      const size = Number(key.slice(key.lastIndexOf("-") + 1))
      const { status, body } = await this.client.call("GET", { bucket: this.bucket, key })
      assert.equal(status, 200, key)
      assert.deepEqual(body, bodyBytes(key, size), key)
    }
  }
}

async function within(
  folders: readonly string[],
  env: Record<string, string>,
  work: (server: ServerProcess) => Promise<void>,
) {
  const server = await ServerProcess.start({ folders, env })
  try {
    await work(server)
  } catch (error) {
    throw new Error(`${String(error)}; log of the server:\n${server.log}`, { cause: error })
  } finally {
    await server.kill()
  }
}

test("all disks refuse writes for a while: the store opens itself again", { skip: skipShim }, () =>
  withFolder(async folder => {
    const shim = await Shim.build(folder)
    shim.set([])
    await within(dataFolders(folder, 3), shim.env, async server => {
      const client = server.client()
      await client.call("PUT", { bucket: "stalls" })
      const writer = new Writer(client, "stalls")
      await writer.write("before")
      for (let round = 0; round < 2; round += 1) {
        const calls = ["write", "fsync", "fdatasync"] as const
        shim.set([{ prefix: `${folder}/`, calls, nth: 1, forEver: true, how: { errno: "EIO" } }])
        assert.ok((await writer.write(`failing-${round}`)).includes(503))
        shim.set([])
        await writer.untilBack()
        await writer.checkAll()
      }
      assert.match(server.log, /store_opened_again/)
      assert.equal(await server.stop(), 0)
      await server.launch()
      await new Writer(server.client(), "stalls").untilBack()
      await writer.checkAll()
    })
  }),
)

/** Returns why no file system can be frozen here; undefined: it can. */
async function missingForFreeze(): Promise<string | undefined> {
  if (process.platform !== "linux" || process.getuid?.() !== 0) return "needs root on Linux"
  for (const tool of ["mkfs.ext4", "fsfreeze", "losetup"]) {
    const isThere = await run("which", [tool]).then(
      () => true,
      () => false,
    )
    if (!isThere) return `needs ${tool}`
  }
  return run("losetup", ["-f"]).then(
    () => undefined,
    () => "needs loop devices",
  )
}

const cannotFreeze = await missingForFreeze()

/** A file system of its own, which can be frozen. */
async function withFileSystem(work: (mount: string) => Promise<void>): Promise<void> {
  await withFolder(async folder => {
    const [image, mount] = [join(folder, "image"), join(folder, "mount")]
    mkdirSync(mount)
    await run("truncate", ["-s", "2G", image])
    await run("mkfs.ext4", ["-qF", image])
    await run("mount", ["-o", "loop", image, mount])
    try {
      await work(mount)
    } finally {
      await run("fsfreeze", ["-u", mount]).catch(() => undefined)
      await run("umount", [mount])
    }
  })
}

test(
  "a file system with all folders is frozen, while the store runs and at its start",
  { skip: cannotFreeze ?? false },
  () =>
    withFileSystem(async mount => {
      await within(dataFolders(mount, 3), {}, async server => {
        const client = server.client()
        await client.call("PUT", { bucket: "stalls" })
        const writer = new Writer(client, "stalls")
        await writer.write("before")
        await run("fsfreeze", ["-f", mount])
        const beganMs = performance.now()
        const during = await writer.write("during")
        const tookMs = performance.now() - beganMs
        assert.deepEqual(during, [503, 503])
        assert.ok(tookMs < 30_000, `answered after ${tookMs} ms`)
        assert.equal((await server.admin("GET", "/health/ready")).status, 503)
        assert.equal((await server.admin("GET", "/health/live")).status, 200, "a restart would not help")
        await run("fsfreeze", ["-u", mount])
        await writer.untilBack()
        assert.doesNotMatch(server.log, /device_taken_offline|device_does_not_respond/)
        await writer.checkAll()
        await server.kill()
        await run("fsfreeze", ["-f", mount])
        const thawed = later(8_000).then(() => run("fsfreeze", ["-u", mount]))
        await server.launch()
        await thawed
        assert.equal((await server.admin("GET", "/health/ready")).status, 200)
        await new Writer(server.client(), "stalls").untilBack()
        await writer.checkAll()
        assert.doesNotMatch(server.log, /device_taken_offline|device_cannot_be_opened/)
      })
    }),
)
