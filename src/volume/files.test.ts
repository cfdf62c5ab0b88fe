/** Volume files are closed under nobody's hands. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { SimDisk } from "../seams/disk/index.js"
import { VolumeFiles, volumePath } from "./files.js"

test("closing waits for who still reads, and leaves nothing open", async () => {
  const world = new SimDisk()
  const disk = world.boot()
  await disk.makeFolder("/volumes")
  const made = await disk.open(volumePath("/volumes", 1), "create")
  await made.write([Buffer.from("bytes")], 0)
  await made.close()
  let letRead: () => void = () => undefined
  world.intercept(call => (call.kind === "read" ? new Promise<void>(resolve => (letRead = resolve)) : undefined))
  const files = new VolumeFiles(disk, "/volumes", 4)
  const buffer = Buffer.alloc(5)
  const reading = files.use(1, file => file.read(buffer, 0))
  await new Promise(setImmediate)
  let closed = false
  const closing = files.close().then(() => (closed = true))
  await new Promise(setImmediate)
  assert.equal(closed, false)
  letRead()
  assert.equal(await reading, 5)
  await closing
  assert.equal(buffer.toString(), "bytes")
})
