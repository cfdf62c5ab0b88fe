/** Volumes of a device that encrypts names: everything works as without, and no name is in the files. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { DeviceCipher, deviceKeysOf } from "@hayloft/base/encryption/device-cipher.js"
import { isFailure } from "@hayloft/base/failures.js"
import { objectKeyOfText, parseDeviceId, rowKeyOf } from "@hayloft/base/ids.js"
import { owned } from "@hayloft/base/memory/lent.js"
import { NEVER } from "@hayloft/base/never.js"
import { isUnnamed } from "../format/needles/needle.js"
import { asPromise } from "@hayloft/base/soon.js"
import { SimDisk } from "@hayloft/base/seams/disk/index.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { SimClock } from "@hayloft/base/seams/clock/sim.js"
import { Compaction } from "./compaction.js"
import { fsckVolumes } from "./fsck.js"
import { inspectVolume } from "./inspect.js"
import { PayloadReader, PayloadVolumes } from "./payloads.js"
import { MapRows, needleFor, volumeDirectory } from "./testing-volumes.js"
import { openVolumes } from "./volumes.js"
import type { VolumeDirectory } from "./writer.js"

const random = new SimRandom(3)
const MARKER = "nobody-may-read-this"
/** Returns the cipher of a device. Two devices of one store have different device keys. */
const cipherOf = (device: string, fill = 4, acceptsPlain = false): DeviceCipher =>
  new DeviceCipher(deviceKeysOf(new Uint8Array(32).fill(fill), parseDeviceId(device), acceptsPlain), random)
const OWN = cipherOf("00000000000000d1")
const directoryOf = (number: number, folder?: string, cipher: DeviceCipher | undefined = OWN): VolumeDirectory => ({
  ...volumeDirectory(number, folder),
  cipher,
})
async function contains(sim: SimDisk, text: string, folder = "/device/volumes"): Promise<boolean> {
  const disk = sim.boot()
  const names = await disk.list(folder)
  assert.ok(names.length > 0)
  for (const name of names) {
    const file = await disk.open(`${folder}/${name}`, "read")
    const bytes = Buffer.alloc(await file.sizeBytes())
    await file.read(bytes, 0)
    await file.close()
    if (bytes.includes(text)) return true
  }
  return false
}

function markedNeedle(number: number) {
  const needle = needleFor(number, 70_000, random)
  const owner = { ...needle.owner, key: objectKeyOfText(`${MARKER} ${number}`) }
  return { ...needle, owner, recoveryHeader: Buffer.from(`${MARKER} in a recovery header`) }
}

async function written(cipher: DeviceCipher | undefined) {
  const sim = new SimDisk()
  const volumes = await openVolumes(sim.boot(), new MapRows(), { ...volumeDirectory(1), cipher }, undefined)
  const needles = [1, 2, 3].map(markedNeedle)
  for (const needle of needles) await volumes.append(needle)
  return { sim, volumes, needles }
}

test("needles with encrypted names are read, found by recovery, and show their names to the store alone", async () => {
  const { sim, needles } = await written(OWN)
  sim.crash(random)
  const again = await openVolumes(sim.boot(), new MapRows(), directoryOf(2), undefined)
  for (const { id, body, owner, recoveryHeader } of needles) {
    const read = await again.read(id, { offsetBytes: 66_000, lengthBytes: 4_000 }, slow => slow())
    assert.deepEqual(Buffer.from(read), Buffer.from(body.subarray(66_000)))
    const header = await again.headerOf(id)
    assert.deepEqual(header.owner, owner)
    assert.deepEqual(Buffer.from(header.recoveryHeader ?? assert.fail()), recoveryHeader)
    const fetched = await again.fetch(id, body.length, bytes => new Uint8Array(bytes))
    assert.deepEqual(fetched.header.owner, owner)
  }
  await again.close()
})

test("no name of an encrypted needle is in the files of its volume", async () => {
  const plain = await written(undefined)
  assert.ok(await contains(plain.sim, MARKER))
  await plain.volumes.close()
  const encrypted = await written(OWN)
  assert.ok(!(await contains(encrypted.sim, MARKER)))
  await encrypted.volumes.close()
})

test("a check without a key verifies needles; names are not shown; with another key a header does not open", async () => {
  const { sim, volumes, needles } = await written(OWN)
  const totals = await fsckVolumes(sim.boot(), volumeDirectory(1), NEVER, finding => assert.fail(finding.kind))
  assert.equal(totals.needles, 3)
  for await (const item of inspectVolume(sim.boot(), "/device/volumes/0000000001.volume")) {
    if (item.kind !== "needle") continue
    assert.equal(item.body, "good")
    assert.ok(isUnnamed(item.needle.header))
    assert.throws(
      () => item.needle.header.kind === "shard" && item.needle.header.owner,
      error => isFailure(error, "wrongMasterKey"),
    )
  }
  await volumes.close()
  const sibling = directoryOf(2, undefined, cipherOf("00000000000000d2"))
  const moved = await openVolumes(sim.boot(), new MapRows(), sibling, undefined)
  const [first] = needles
  assert.deepEqual((await moved.headerOf(first?.id ?? assert.fail())).owner, first?.owner, "names have one key")
  await moved.close()
  const other = directoryOf(3, undefined, cipherOf("00000000000000d1", 5))
  const wrong = await openVolumes(sim.boot(), new MapRows(), other, undefined)
  await assert.rejects(wrong.headerOf(first?.id ?? assert.fail()), error => isFailure(error, "corruptNeedle"))
  await wrong.close()
})

test("payloads with encrypted names are read by their rows, walked and moved", async () => {
  const folder = "/device/payloads"
  const sim = new SimDisk()
  const shelf = await PayloadVolumes.open(sim.boot(), directoryOf(1, folder))
  const rows = Array.from({ length: 50 }, (_, i) => ({
    family: "current" as const,
    key: rowKeyOf(`${MARKER} ${i}`),
    payload: random.bytes(i * 70),
  }))
  const places = rows.map(row => shelf.append(row))
  await shelf.flush()
  const reader = new PayloadReader(sim.boot(), folder, { cipher: OWN })
  for (const [i, { family, key, payload }] of rows.entries()) {
    const place = places[i] ?? assert.fail()
    assert.deepEqual(Buffer.from(await owned(reader.read(family, key, place))), Buffer.from(payload))
    const wrong = rowKeyOf(key.replace("n", "m"))
    if (i === 0) continue
    await assert.rejects(
      asPromise(() => owned(reader.read(family, wrong, place))),
      error => isFailure(error, "corruptNeedle"),
    )
  }
  const walked: string[] = []
  for await (const found of shelf.walk(1, undefined)) {
    if (found.kind === "payloads") walked.push(...found.payloads.map(({ key }) => key))
  }
  assert.deepEqual(
    walked,
    rows.map(({ key }) => key),
  )
  const run = await shelf.readRun(rows.map((row, i) => ({ ...row, place: places[i] ?? assert.fail() })))
  assert.deepEqual(
    run.map(bytes => bytes?.length),
    rows.map(({ payload }) => payload.length),
  )
  assert.ok(!(await contains(sim, MARKER, folder)))
  const totals = await fsckVolumes(sim.boot(), directoryOf(1, folder), NEVER, finding => assert.fail(finding.kind))
  assert.equal(totals.needles, 50)
  await shelf.close()
  await reader.close()
})

test("plain payloads of a device that is being converted are read and moved, and are refused once it is", async () => {
  const folder = "/device/payloads"
  const sim = new SimDisk()
  const plain = await PayloadVolumes.open(sim.boot(), volumeDirectory(1, folder))
  const rows = Array.from({ length: 50 }, (_, i) => ({
    family: "current" as const,
    key: rowKeyOf(`${MARKER} ${i}`),
    payload: random.bytes(i * 70),
  }))
  const places = rows.map(row => plain.append(row))
  await plain.flush()
  await plain.close()
  const converting = cipherOf("00000000000000d1", 4, true)
  const reader = new PayloadReader(sim.boot(), folder, { cipher: converting })
  const strict = new PayloadReader(sim.boot(), folder, { cipher: OWN })
  const shelf = await PayloadVolumes.open(sim.boot(), directoryOf(2, folder, converting))
  const matches = rows.map(({ family, key }, i) => ({ family, key, place: places[i] ?? assert.fail() }))
  const run = (await shelf.readRun(matches)).map(payload => payload && Uint8Array.from(payload))
  for (const [i, { family, key, payload }] of rows.entries()) {
    const place = places[i] ?? assert.fail()
    assert.deepEqual(Uint8Array.from(await owned(reader.read(family, key, place))), Uint8Array.from(payload))
    assert.deepEqual(run[i], Uint8Array.from(payload))
    await assert.rejects(
      asPromise(() => owned(strict.read(family, key, place))),
      error => isFailure(error, "corruptNeedle"),
    )
    const moved = shelf.append({ family, key, payload })
    await shelf.flush()
    for (const each of [reader, strict]) {
      assert.deepEqual(Uint8Array.from(await owned(each.read(family, key, moved))), Uint8Array.from(payload))
    }
  }
  for await (const { kind } of shelf.walk(1, undefined)) assert.notEqual(kind, "damage")
  for (const each of [reader, strict, shelf]) await each.close()
})

test("compaction encrypts the names of a device that is being converted, and empties what is not dead", async () => {
  const { sim, volumes, needles } = await written(undefined)
  await volumes.close()
  const rows = new MapRows()
  const converting = cipherOf("00000000000000d1", 4, true)
  const disk = sim.boot()
  const again = await openVolumes(disk, rows, directoryOf(2, undefined, converting), undefined)
  const last = Math.max(...again.upkeep.usages.list().map(({ volumeId }) => volumeId))
  const compaction = new Compaction("compaction", again.upkeep, new SimClock(), () => assert.fail("no damage"))
  compaction.empty(last)
  while (again.upkeep.usages.list().some(({ volumeId }) => volumeId <= last)) {
    await compaction.step(NEVER)
    again.contained(again.durable())
  }
  assert.ok(!(await contains(sim, MARKER)))
  await again.close()
  const strict = await openVolumes(sim.boot(), new MapRows(), directoryOf(3), undefined)
  for (const { id, body, owner, recoveryHeader } of needles) {
    assert.deepEqual(
      Buffer.from(await strict.read(id, { offsetBytes: 0, lengthBytes: body.length }, slow => slow())),
      Buffer.from(body),
    )
    const header = await strict.headerOf(id)
    assert.deepEqual(header.owner, owner)
    assert.deepEqual(Buffer.from(header.recoveryHeader ?? assert.fail()), recoveryHeader)
  }
  await strict.close()
})
