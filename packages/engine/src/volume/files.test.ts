/** Volume files are never closed during a read. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { SimDisk } from "@hayloft/base/seams/disk/index.js"
import { isAbsent, VolumeFiles, volumePath } from "./files.js"

test("closing waits for running reads, and leaves nothing open", async () => {
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

test("a volume that is given up is closed when its last reader has ended, and counts as read until then", async () => {
  const world = new SimDisk()
  const disk = world.boot()
  await disk.makeFolder("/volumes")
  for (const volume of [1, 2]) {
    const made = await disk.open(volumePath("/volumes", volume), "create")
    await made.write([Buffer.from("bytes")], 0)
    await made.close()
  }
  const files = new VolumeFiles(disk, "/volumes", 4)
  const [buffer, later] = [Buffer.alloc(5), Buffer.alloc(5)]
  let letRead: () => void = () => undefined
  world.intercept(call => (call.kind === "read" ? new Promise<void>(resolve => (letRead = resolve)) : undefined))
  const reading = files.use(1, file => file.read(buffer, 0))
  await new Promise(setImmediate)
  assert.deepEqual([files.isRead(1), files.isRead(2)], [true, false])
  await files.giveUp(1)
  world.intercept(() => undefined)
  letRead()
  assert.equal(await reading, 5)
  assert.equal(files.isRead(1), false)
  let opened = 0
  world.intercept(call => void (opened += call.kind === "open" ? 1 : 0))
  const readable = files.readable(1)
  assert.equal(await readable.sizeBytes(), 5)
  assert.equal(opened, 1, "it was closed")
  await readable.read(later, 0)
  assert.equal(opened, 1, "it is kept open as before")
  await files.giveUp(1)
  await readable.read(later, 0)
  assert.equal(opened, 2)
  await disk.remove(volumePath("/volumes", 1))
  await files.giveUp(1)
  await assert.rejects(async () => readable.read(later, 0), isAbsent)
  await files.close()
})
