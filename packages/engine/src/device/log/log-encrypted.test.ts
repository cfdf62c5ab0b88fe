import assert from "node:assert/strict"
import { test } from "node:test"
import { isFailure } from "@hayloft/base/failures.js"
import { parseDeviceId, parseLogSequence } from "@hayloft/base/ids.js"
import { KIB } from "@hayloft/base/limits.js"
import { DeviceCipher, deviceKeysOf } from "@hayloft/base/encryption/device-cipher.js"
import { SimDisk } from "@hayloft/base/seams/disk/index.js"
import type { Disk } from "@hayloft/base/seams/disk/contract.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { openLogReader } from "./log-reader.js"
import { scrubLogStep } from "../checkpoint/scrub.js"
import { openLog, type SegmentedLog } from "./log.js"

const DEVICE = parseDeviceId("00000000000000aa")
const FOLDER = "/d/log"
const MARKER = "a-secret-name"
const random = new SimRandom(1)
const cipherOf = (fill: number, acceptsPlain = false): DeviceCipher =>
  new DeviceCipher(deviceKeysOf(new Uint8Array(32).fill(fill), DEVICE, acceptsPlain), random)
const open = (disk: Disk, cipher: DeviceCipher | undefined): Promise<SegmentedLog> =>
  openLog(disk, FOLDER, DEVICE, { segmentBytes: 32 * KIB, fillStepBytes: 8 * KIB, cipher })

const record = (n: number): Uint8Array => Buffer.from(`${n} ${MARKER} `.repeat(1 + (n % 9)))

/** The log has at least the records of the last six appends. */
const last = (found: readonly string[], count: number): string[] => found.slice(-count)

async function texts(records: AsyncIterable<{ readonly bytes: Uint8Array }>): Promise<string[]> {
  const found: string[] = []
  for await (const { bytes } of records) found.push(Buffer.from(bytes).toString())
  return found
}

/** All bytes of the log's files. */
async function bytesOn(disk: Disk): Promise<Buffer> {
  const files: Buffer[] = []
  for (const name of await disk.list(FOLDER)) {
    const file = await disk.open(`${FOLDER}/${name}`, "read")
    const bytes = Buffer.alloc(await file.sizeBytes())
    await file.read(bytes, 0)
    await file.close()
    files.push(bytes)
  }
  return Buffer.concat(files)
}

async function written(cipher: DeviceCipher | undefined) {
  const sim = new SimDisk()
  const disk = sim.boot()
  const log = await open(disk, cipher)
  for (let n = 0; n < 40; n += 1) {
    const { places } = await log.append([record(2 * n), record(2 * n + 1)])
    const [, second] = places
    assert.ok(second)
    const expected = Buffer.from(record(2 * n + 1).subarray(1, 21))
    const read = await log.read({ ...second, offsetBytes: second.offsetBytes + 1 }, new Uint8Array(expected.length))
    assert.deepEqual(Buffer.from(read), expected)
    // Segments are recycled meanwhile.
    if (n % 10 === 9) await log.cut(parseLogSequence(n - 5))
  }
  return { sim, disk, log }
}

test("an encrypted log returns its records, at their places, also after a restart", async () => {
  const { disk, log } = await written(cipherOf(1))
  const expected = Array.from({ length: 12 }, (_, i) => Buffer.from(record(68 + i)).toString())
  const [from, to] = [log.cutUpTo, log.durable]
  assert.deepEqual(last(await texts(log.records(from)), 12), expected)
  const reader = openLogReader(disk, FOLDER, DEVICE, cipherOf(1))
  assert.deepEqual(last(await texts(reader.records(from, to)), 12), expected)
  await log.close()
  const again = await open(disk, cipherOf(1))
  assert.deepEqual(last(await texts(again.records(from)), 12), expected)
  for await (const { place, bytes } of again.records(from)) {
    assert.deepEqual(Uint8Array.from(await again.read(place, new Uint8Array(bytes.length))), Uint8Array.from(bytes))
  }
  await again.close()
})

test("no record of an encrypted log is in its files", async () => {
  assert.ok((await bytesOn((await written(undefined)).disk)).includes(MARKER))
  assert.ok(!(await bytesOn((await written(cipherOf(1))).disk)).includes(MARKER))
})

test("a log opened with another key is refused, and keeps its last batch", async () => {
  const { sim } = await written(cipherOf(1))
  sim.crash(random)
  const before = await bytesOn(sim.boot())
  await assert.rejects(open(sim.boot(), cipherOf(2)), error => isFailure(error, "corruptSeal"))
  await assert.rejects(open(sim.boot(), undefined), error => isFailure(error, "wrongMasterKey"))
  assert.deepEqual(await bytesOn(sim.boot()), before)
  const log = await open(sim.boot(), cipherOf(1))
  assert.deepEqual(last(await texts(log.records(log.cutUpTo)), 1), [Buffer.from(record(79)).toString()])
  await log.close()
  await assert.rejects(open(sim.boot(), cipherOf(2)), error => isFailure(error, "corruptSeal"))
})

test("a batch that does not open is damage for a walk through the log", async () => {
  const { disk, log } = await written(cipherOf(1))
  const reader = openLogReader(disk, FOLDER, DEVICE, cipherOf(2))
  const { seen, damage } = await scrubLogStep(reader, log.cutUpTo, log.durable)
  assert.equal(damage?.kind, "corruptLog")
  assert.equal(seen, log.cutUpTo)
  await log.close()
})

test("plain batches in the log of an encrypted store are refused, and count as damage", async () => {
  const { disk, log } = await written(undefined)
  const reader = openLogReader(disk, FOLDER, DEVICE, cipherOf(1))
  const { damage } = await scrubLogStep(reader, log.cutUpTo, log.durable)
  assert.equal(damage?.kind, "corruptLog")
  await log.close()
  const before = await bytesOn(disk)
  await assert.rejects(open(disk, cipherOf(1)), error => isFailure(error, "corruptSeal"))
  assert.deepEqual(await bytesOn(disk), before)
})

test("a log that is being converted keeps its plain batches until they are cut, and no byte of them after that", async () => {
  const { sim, log } = await written(undefined)
  const expected = last(await texts(log.records(log.cutUpTo)), 12)
  await log.close()
  const converting = await open(sim.boot(), cipherOf(1, true))
  assert.deepEqual(last(await texts(converting.records(converting.cutUpTo)), 12), expected)
  const { sequence } = await converting.append([Buffer.from("new")])
  assert.ok(converting.holdsPlain, "uncut batches stay")
  await converting.close()
  // A crash and another start change nothing.
  const again = await open(sim.boot(), cipherOf(1, true))
  assert.deepEqual(last(await texts(again.records(again.cutUpTo)), 13), [...expected, "new"])
  await again.cut(sequence)
  assert.ok(!again.holdsPlain)
  assert.ok(!(await bytesOn(sim.boot())).includes(MARKER), "recycled and free files would still have them")
  for (let n = 0; n < 40; n += 1) await again.append([record(n)])
  await again.close()
  assert.ok(!(await bytesOn(sim.boot())).includes(MARKER))
  const strict = await open(sim.boot(), cipherOf(1))
  assert.equal((await texts(strict.records(sequence))).length, 40)
  await strict.close()
})
