/** A server with a bucket that is deduplicated, and the bytes that its devices store. */
import assert from "node:assert/strict"
import { writeFile } from "node:fs/promises"
import { join } from "node:path"
import { setTimeout as later } from "node:timers/promises"
import { z } from "zod"
import { dataFolders } from "../harness/folders.js"
import { ServerProcess } from "../harness/server.js"

export const BUCKET = "dedup"

/** Long, because machines are busy. */
const ARRIVAL_MS = 120_000
const POLL_MS = 200

const DEVICES = z.object({
  devices: z.array(z.object({ volumeBytes: z.number().optional(), deadBytes: z.number().optional() })),
})

export async function startDedup(folder: string, args: readonly string[] = []): Promise<ServerProcess> {
  const folders = dataFolders(folder, 1)
  const server = await ServerProcess.start({ folders, args: ["--redundancy", "replica:1", ...args] })
  await allowDedup(server, folder, BUCKET)
  return server
}

/** Makes a bucket that is deduplicated. */
export async function allowDedup(server: ServerProcess, folder: string, bucket: string): Promise<void> {
  assert.equal((await server.client().call("PUT", { bucket })).status, 200)
  const { code, stderr } = await setDedup(server, folder, bucket)
  assert.equal(code, 0, stderr)
}

export async function setDedup(server: ServerProcess, folder: string, bucket: string) {
  const file = join(folder, "dedup.json")
  await writeFile(file, "{}")
  return server.hayloft(["bucket", "settings", "set", bucket, "dedup", file])
}

/** Bytes of needles on devices, but for those that are deleted. */
export async function liveBytes(server: ServerProcess): Promise<number> {
  const { devices } = DEVICES.parse(await server.report("/v1/devices"))
  return devices.reduce((sum, { volumeBytes = 0, deadBytes = 0 }) => sum + volumeBytes - deadBytes, 0)
}

/** Resolves once the devices store at most this many bytes; fails with the number that they store in the end. */
export async function shrinksTo(server: ServerProcess, bytesMax: number): Promise<number> {
  const endMs = Date.now() + ARRIVAL_MS
  for (;;) {
    const bytes = await liveBytes(server)
    if (bytes <= bytesMax) return bytes
    assert.ok(Date.now() < endMs, `${bytes} bytes are stored, not at most ${bytesMax}`)
    await later(POLL_MS)
  }
}
