/** The tests that every disk must pass. `folder` exists and is empty; `done` removes it. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { isFailure } from "../../failures.js"
import { MIB } from "../../limits.js"
import { wasmMemory } from "../../simd/wasm.js"
import { DISK_PAGE_BYTES, type Disk } from "./contract.js"

interface DiskUnderTest {
  readonly disk: Disk
  readonly folder: string
  done(): Promise<void>
}

const text = (value: string): Uint8Array => new TextEncoder().encode(value)
const failsWith = (code: string) => (error: unknown) =>
  isFailure(error, "deviceFailed") && error.details["code"] === code

export function diskSuite(kind: string, make: () => Promise<DiskUnderTest>): void {
  const check = (what: string, run: (disk: Disk, folder: string) => Promise<void>): void => {
    test(`${kind}: ${what}`, async () => {
      const { disk, folder, done } = await make()
      try {
        await run(disk, folder)
      } finally {
        await done()
      }
    })
  }

  contentChecks(check)
  nameChecks(check)
}

type Check = (what: string, run: (disk: Disk, folder: string) => Promise<void>) => void

function contentChecks(check: Check): void {
  check("what is written is read, in pieces and across them", async (disk, folder) => {
    const file = await disk.open(`${folder}/a`, "create")
    await file.write([text("hello "), new Uint8Array(0), text("wor"), text("ld")], 3)
    const buffer = new Uint8Array(20)
    assert.equal(await file.read(buffer, 0), 14)
    assert.deepEqual(buffer.subarray(0, 14), text("\0\0\0hello world"))
    assert.equal(await file.read(buffer.subarray(0, 5), 9), 5)
    assert.deepEqual(buffer.subarray(0, 5), text("world"))
    assert.equal(file.read(buffer.subarray(0, 4), 12, "resident"), 2)
    assert.equal(await file.read(buffer, 14), 0)
    assert.equal(await file.read(buffer, 1000), 0)
    await file.close()
  })

  check(
    "a read from the device gives the same bytes, whatever its shape, and after the name is gone",
    async (disk, folder) => {
      const bytes = Uint8Array.from({ length: 3 * DISK_PAGE_BYTES + 100 }, (_, i) => i % 251)
      const file = await disk.open(`${folder}/direct`, "create", { durable: true })
      await file.write([bytes], 0)
      await disk.remove(`${folder}/direct`)
      const memory = new Uint8Array(wasmMemory(4 * DISK_PAGE_BYTES).buffer)
      for (const [at, lengthBytes] of [
        [0, DISK_PAGE_BYTES],
        [DISK_PAGE_BYTES, 2 * DISK_PAGE_BYTES],
        [2 * DISK_PAGE_BYTES, 2 * DISK_PAGE_BYTES],
        [7, 5000],
        [4 * DISK_PAGE_BYTES, DISK_PAGE_BYTES],
      ] as const) {
        for (const space of [memory.subarray(0, lengthBytes), memory.subarray(11, 11 + lengthBytes)]) {
          const expected = bytes.subarray(at, at + lengthBytes)
          assert.equal(await file.read(space, at, "direct"), expected.length)
          assert.deepEqual(space.subarray(0, expected.length), expected)
        }
      }
      // Written but unsynced bytes can be read.
      const again = await disk.open(`${folder}/direct`, "create")
      await again.write([bytes], 0)
      assert.equal(await again.read(memory.subarray(0, DISK_PAGE_BYTES), 0, "direct"), DISK_PAGE_BYTES)
      assert.deepEqual(memory.subarray(0, DISK_PAGE_BYTES), bytes.subarray(0, DISK_PAGE_BYTES))
      await file.close()
      await again.close()
    },
  )

  check("a direct write is like any other, whatever its shape, and beside cached ones", async (disk, folder) => {
    const file = await disk.open(`${folder}/direct-writes`, "create", { durable: true })
    const lengthBytes = 2 * MIB + 3 * DISK_PAGE_BYTES
    const expected = new Uint8Array(lengthBytes)
    const write = async (fill: number, at: number, lengths: readonly number[], use?: "direct") => {
      const buffers = lengths.map((length, i) => new Uint8Array(length).map((_, byte) => fill + i + byte))
      let to = at
      for (const buffer of buffers) {
        expected.set(buffer, to)
        to += buffer.length
      }
      await file.write(buffers, at, use)
    }
    await write(1, 0, [DISK_PAGE_BYTES])
    await write(2, DISK_PAGE_BYTES, [64, MIB + 7, 0, MIB - 71 + DISK_PAGE_BYTES], "direct")
    await write(3, 2 * DISK_PAGE_BYTES, [DISK_PAGE_BYTES], "direct")
    await write(4, 3 * DISK_PAGE_BYTES - 5, [10])
    await write(5, 100, [200, 3], "direct")
    await write(6, 2 * MIB + 2 * DISK_PAGE_BYTES, [DISK_PAGE_BYTES], "direct")
    assert.equal(await file.sizeBytes(), lengthBytes)
    const found = new Uint8Array(lengthBytes)
    assert.equal(await file.read(found, 0), lengthBytes)
    assert.ok(Buffer.from(expected).equals(found))
    await file.close()
  })

  check("many buffers are one write", async (disk, folder) => {
    const file = await disk.open(`${folder}/many`, "create", { durable: true })
    const buffers = Array.from({ length: 3000 }, (_, i) => Uint8Array.of(i % 256, (i >> 8) % 256))
    await file.write(buffers, 0)
    const all = new Uint8Array(6000)
    assert.equal(await file.read(all, 0), 6000)
    assert.ok(buffers.every((buffer, i) => all[2 * i] === buffer[0] && all[2 * i + 1] === buffer[1]))
    await file.write([], 10)
    await file.close()
  })

  check("the writer's buffer is free again once the write has resolved", async (disk, folder) => {
    const file = await disk.open(`${folder}/a`, "create")
    const buffer = text("first")
    await file.write([buffer], 0)
    buffer.fill(0)
    const read = new Uint8Array(5)
    await file.read(read, 0)
    assert.deepEqual(read, text("first"))
    await file.close()
  })

  check("files shrink and grow, and what was cut off stays away", async (disk, folder) => {
    const file = await disk.open(`${folder}/a`, "create")
    await file.write([text("0123456789")], 0)
    await file.truncate(4)
    assert.equal(await file.sizeBytes(), 4)
    await file.truncate(8)
    const buffer = new Uint8Array(10)
    assert.equal(await file.read(buffer, 0), 8)
    assert.deepEqual(buffer.subarray(0, 8), text("0123\0\0\0\0"))
    await file.sync()
    await file.close()
  })

  check("shared memory can be written from and read into", async (disk, folder) => {
    const shared = new Uint8Array(new SharedArrayBuffer(8)).fill(7)
    const file = await disk.open(`${folder}/a`, "create")
    await file.write([shared], 0)
    shared.fill(0)
    assert.equal(await file.read(shared, 0), 8)
    assert.ok(shared.every(byte => byte === 7))
    await file.close()
  })

  check("a closed file refuses, and closing twice is fine", async (disk, folder) => {
    const file = await disk.open(`${folder}/a`, "create")
    await file.close()
    await file.close()
    await assert.rejects(async () => file.write([text("x")], 0), failsWith("EBADF"))
    await assert.rejects(async () => file.read(new Uint8Array(1), 0), failsWith("EBADF"))
    assert.throws(() => file.read(new Uint8Array(1), 0, "resident"), failsWith("EBADF"))
  })

  check("closing waits for the calls under way", async (disk, folder) => {
    const file = await disk.open(`${folder}/a`, "create")
    const written = file.write([text("abc")], 0)
    const closed = file.close()
    await Promise.all([written, closed])
    const again = await disk.open(`${folder}/a`, "read")
    assert.equal(await again.sizeBytes(), 3)
    await again.close()
  })

  check("a file opened for reading cannot be written", async (disk, folder) => {
    await (await disk.open(`${folder}/a`, "create")).close()
    const file = await disk.open(`${folder}/a`, "read")
    await assert.rejects(async () => file.write([text("x")], 0), failsWith("EBADF"))
    await file.close()
  })
}

function nameChecks(check: Check): void {
  check("create wants a new name, the others an old one", async (disk, folder) => {
    await assert.rejects(disk.open(`${folder}/a`, "read"), failsWith("ENOENT"))
    await assert.rejects(disk.open(`${folder}/a`, "write"), failsWith("ENOENT"))
    await (await disk.open(`${folder}/a`, "create")).close()
    await assert.rejects(disk.open(`${folder}/a`, "create"), failsWith("EEXIST"))
    await assert.rejects(disk.open(`${folder}/no/a`, "create"), failsWith("ENOENT"))
    assert.equal(await disk.exists(`${folder}/a`), true)
    assert.equal(await disk.exists(`${folder}/b`), false)
  })

  check("a rename replaces, an open file keeps its content", async (disk, folder) => {
    const old = await disk.open(`${folder}/a`, "create")
    await old.write([text("old")], 0)
    const young = await disk.open(`${folder}/b`, "create")
    await young.write([text("young")], 0)
    await disk.rename(`${folder}/b`, `${folder}/a`)
    await disk.syncFolder(folder)
    assert.deepEqual(await disk.list(folder), ["a"])
    const buffer = new Uint8Array(8)
    const again = await disk.open(`${folder}/a`, "read")
    assert.equal(await again.read(buffer, 0), 5)
    assert.equal(await old.read(buffer, 0), 3)
    for (const file of [old, young, again]) await file.close()
    await assert.rejects(disk.rename(`${folder}/b`, `${folder}/c`), failsWith("ENOENT"))
  })

  check("a removed file is gone from its folder and stays readable where it is open", async (disk, folder) => {
    const file = await disk.open(`${folder}/a`, "create")
    await file.write([text("abc")], 0)
    await disk.remove(`${folder}/a`)
    assert.deepEqual(await disk.list(folder), [])
    assert.equal(await file.read(new Uint8Array(3), 0), 3)
    await file.close()
    await assert.rejects(disk.remove(`${folder}/a`), failsWith("ENOENT"))
  })

  check("folders nest, list in order and are not made twice", async (disk, folder) => {
    await assert.rejects(disk.makeFolder(`${folder}/x/y`), failsWith("ENOENT"))
    await disk.makeFolder(`${folder}/x`)
    await disk.makeFolder(`${folder}/x/y`)
    await disk.makeFolder(`${folder}/x/y`)
    await (await disk.open(`${folder}/x/b`, "create")).close()
    await (await disk.open(`${folder}/x/a`, "create")).close()
    assert.deepEqual(await disk.list(`${folder}/x`), ["a", "b", "y"])
    assert.deepEqual(await disk.list(`${folder}/x/y`), [])
    await disk.syncFolder(`${folder}/x/y`)
    await assert.rejects(disk.list(`${folder}/none`), failsWith("ENOENT"))
  })

  check("space is told, and folders on one file system say so", async (disk, folder) => {
    await disk.makeFolder(`${folder}/x`)
    const [here, below] = [await disk.space(folder), await disk.space(`${folder}/x`)]
    assert.ok(here.totalBytes > 0 && here.freeBytes >= 0 && here.freeBytes <= here.totalBytes)
    assert.equal(here.fileSystemId, below.fileSystemId)
    assert.equal(here.fileSystemKind, below.fileSystemKind)
  })
}
