import assert from "node:assert/strict"
import { test } from "node:test"
import { must } from "@hayloft/base/assert.js"
import type { FailureKind } from "@hayloft/base/failures.js"
import { fail, isFailure } from "@hayloft/base/failures.js"
import type { Family } from "@hayloft/base/rows/families.js"
import { rowKeyOf } from "@hayloft/base/ids.js"
import { KIB, MIB } from "@hayloft/base/limits.js"
import { Lent, owned } from "@hayloft/base/memory/lent.js"
import { asPromise } from "@hayloft/base/soon.js"
import { SyncReads } from "../device/index.js"
import { SimClock } from "@hayloft/base/seams/clock/sim.js"
import { failing, SimDisk } from "@hayloft/base/seams/disk/index.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import type { VolumePosition } from "../format/needles/volume.js"
import { volumeDirectory } from "./testing-volumes.js"
import { VOLUME_LIMITS } from "./limits.js"
import type { PayloadVolumePlace } from "./payloads.js"
import { PayloadReader, PayloadVolumes } from "./payloads.js"

const random = new SimRandom(11)
const FOLDER = "/device/payloads"
const rejects = (promise: Promise<unknown>, kind: FailureKind): Promise<void> =>
  assert.rejects(promise, error => isFailure(error, kind))

interface Row {
  readonly family: Family
  readonly key: ReturnType<typeof rowKeyOf>
  readonly payload: Uint8Array
}

const rowsOf = (count: number, lengthBytes = 3000): Row[] =>
  Array.from({ length: count }, (_, i) => ({
    family: i % 3 === 0 ? "versions" : "current",
    key: rowKeyOf(`\0\0\0\x01bucket/object ${i}`),
    payload: random.bytes(lengthBytes + (i % 50)),
  }))

async function assertReadable(
  sim: SimDisk,
  rows: readonly Row[],
  places: readonly PayloadVolumePlace[],
): Promise<void> {
  const reader = new PayloadReader(sim.boot(), FOLDER)
  for (const [i, { family, key, payload }] of rows.entries()) {
    const found = await owned(reader.read(family, key, places[i] ?? assert.fail("no place")))
    assert.ok(Buffer.from(payload).equals(found))
  }
  await reader.close()
}

test("payloads are at the places that append returned, in pieces of about 1 MiB, over several volumes", async () => {
  const sim = new SimDisk()
  const writes: number[] = []
  sim.intercept(call => {
    if (call.kind === "write" && call.change.kind === "write") writes.push(call.change.bytes.length)
  })
  const sink = await PayloadVolumes.open(sim.boot(), volumeDirectory(1, FOLDER), {
    ...VOLUME_LIMITS,
    volumeBytesMax: 3 * MIB,
  })
  const rows = [...rowsOf(3000), { family: "current" as const, key: rowKeyOf("empty"), payload: new Uint8Array(0) }]
  const places = rows.map(row => sink.append(row))
  await sink.flush()
  await assertReadable(sim, rows, places)
  assert.ok(new Set(places.map(({ volume }) => volume)).size >= 3)
  assert.ok(writes.every(bytes => bytes < MIB + 64 * KIB))
  assert.ok(writes.length < 20, `${writes.length} writes`)
  const more = rowsOf(5)
  const morePlaces = more.map(row => sink.append(row))
  await sink.flush()
  await sink.close()
  await assertReadable(sim, [...rows, ...more], [...places, ...morePlaces])
})

test("flushed payloads survive a power cut, and the next process writes elsewhere", async () => {
  const sim = new SimDisk()
  let rows: Row[] = []
  let places: PayloadVolumePlace[] = []
  for (let incarnation = 1; incarnation <= 4; incarnation += 1) {
    const sink = await PayloadVolumes.open(sim.boot(), volumeDirectory(incarnation, FOLDER))
    const now = rowsOf(20 * incarnation)
    const nowPlaces = now.map(row => sink.append(row))
    await sink.flush()
    sink.append({ family: "current", key: rowKeyOf("never flushed"), payload: random.bytes(900) })
    rows = [...rows, ...now]
    places = [...places, ...nowPlaces]
    sim.crash(random)
    await assertReadable(sim, rows, places)
  }
  assert.equal(new Set(places.map(({ volume }) => volume)).size, 4)
})

test("another row's payload, a damaged one and a place with nothing are refused", async () => {
  const sim = new SimDisk()
  const sink = await PayloadVolumes.open(sim.boot(), volumeDirectory(1, FOLDER))
  const [one, other] = rowsOf(2)
  assert.ok(one && other)
  const same = { ...other, payload: random.bytes(one.payload.length) }
  const [place, otherPlace] = [sink.append(one), sink.append(same)]
  await sink.flush()
  const reader = new PayloadReader(sim.boot(), FOLDER)
  await rejects(
    asPromise(() => owned(reader.read(one.family, one.key, otherPlace))),
    "corruptNeedle",
  )
  await rejects(
    asPromise(() => owned(reader.read("heads", one.key, place))),
    "corruptNeedle",
  )
  await rejects(
    asPromise(() => owned(reader.read(one.family, one.key, { ...place, offsetBytes: 10 * MIB }))),
    "corruptNeedle",
  )
  await rejects(
    asPromise(() => owned(reader.read(one.family, one.key, { ...place, volume: 77 }))),
    "corruptNeedle",
  )
  sim.flipBit(`${FOLDER}/0000000001.volume`, 8 * (place.offsetBytes + 500))
  await rejects(
    asPromise(() => owned(reader.read(one.family, one.key, place))),
    "corruptNeedle",
  )
  assert.equal((await owned(reader.read(same.family, same.key, otherPlace))).length, same.payload.length)
})

test("payloads that were read lately are lent, one at a time; others are read from the device", async () => {
  const sim = new SimDisk()
  const disk = sim.boot()
  const sink = await PayloadVolumes.open(disk, volumeDirectory(1, FOLDER))
  const rows = rowsOf(2)
  const places = rows.map(row => sink.append(row))
  await sink.flush()
  const cached = await PayloadReader.cachedPagesOf(disk, FOLDER, 1 * MIB)
  const reader = new PayloadReader(disk, FOLDER, { sync: { reads: new SyncReads(new SimClock()), cached } })
  const read = (i: number) => {
    const { family, key } = must(rows[i], "a row")
    return reader.read(family, key, must(places[i], "its place"))
  }
  const expected = (i: number) => must(rows[i], "a row").payload
  for (const i of [0, 1]) {
    const awaited = read(i)
    assert.ok(awaited instanceof Promise, "its pages have not been read yet")
    assert.ok(Buffer.from(expected(i)).equals(await awaited))
  }
  const lent = read(0)
  assert.ok(lent instanceof Lent && Buffer.from(expected(0)).equals(lent.borrow()))
  const kept = must(await owned(lent), "bytes")
  assert.ok(read(1) instanceof Lent)
  assert.ok(Buffer.from(expected(0)).equals(kept), "a copy is the caller's own")
  sim.intercept(failing({ kind: "readSync", nth: 1, code: "EIO" }))
  const retried = read(0)
  assert.ok(retried instanceof Promise)
  assert.ok(Buffer.from(expected(0)).equals(await retried))
  sim.intercept(() => undefined)
  sim.flipBit(`${FOLDER}/0000000001.volume`, 8 * (must(places[0], "a place").offsetBytes + 500))
  await rejects(
    asPromise(() => owned(read(0))),
    "corruptNeedle",
  )
})

test("a failed write fails the flush, and appending everything again succeeds", async () => {
  for (const [code, kind] of [
    ["EIO", "deviceFailed"],
    ["ENOSPC", "deviceFull"],
  ] as const) {
    for (let nth = 1; nth <= 4; nth += 1) {
      const sim = new SimDisk()
      const sink = await PayloadVolumes.open(sim.boot(), volumeDirectory(1, FOLDER))
      sim.intercept(failing({ kind: "write", nth, code }))
      const rows = rowsOf(1200)
      for (const row of rows) sink.append(row)
      await rejects(sink.flush(), kind)
      const places = rows.map(row => sink.append(row))
      await sink.flush()
      await assertReadable(sim, rows, places)
    }
  }
})

test("payload volumes are walked from the end of an earlier walk, and each has its length", async () => {
  const sim = new SimDisk()
  const limits = { ...VOLUME_LIMITS, volumeBytesMax: MIB, groupNeedlesMax: 20 }
  const sink = await PayloadVolumes.open(sim.boot(), volumeDirectory(1, FOLDER), limits)
  const rows = rowsOf(400)
  const places = rows.map(row => sink.append(row))
  await sink.flush()
  const sizes = new Map(sink.list().map(({ volume, writtenBytes }) => [volume, writtenBytes]))
  assert.deepEqual(
    sink.list().map(({ isOpen }) => isOpen),
    [false, true],
  )
  const found: string[] = []
  for (const volume of sizes.keys()) {
    let from: VolumePosition | undefined
    for (let steps = 0; from === undefined || from.offsetBytes < (sizes.get(volume) ?? 0); steps += 1) {
      assert.ok(steps < 100)
      for await (const event of sink.walk(volume, from)) {
        assert.notEqual(event.kind, "damage")
        for (const { family, key, place } of event.kind === "payloads" ? event.payloads : []) {
          found.push(`${family} ${key} ${JSON.stringify(place)}`)
        }
        if (event.kind !== "position") continue
        from = event.position
        break
      }
    }
  }
  const wanted = rows.map(({ family, key }, i) => {
    const { volume, offsetBytes, lengthBytes } = places[i] ?? assert.fail("no place")
    return `${family} ${key} ${JSON.stringify({ volume, offsetBytes, lengthBytes })}`
  })
  assert.deepEqual(found, wanted)
  await sink.close()
  const next = await PayloadVolumes.open(sim.boot(), volumeDirectory(2, FOLDER), limits)
  assert.deepEqual(new Map(next.list().map(({ volume, writtenBytes }) => [volume, writtenBytes])), sizes)
})

test("on a full disk payloads that no row will point at are removed, and the kept ones stay", async () => {
  const sim = new SimDisk()
  const sink = await PayloadVolumes.open(sim.boot(), volumeDirectory(1, FOLDER), {
    ...VOLUME_LIMITS,
    volumeBytesMax: MIB,
  })
  const [kept, flushed, late] = [rowsOf(100), rowsOf(500), rowsOf(500)]
  const places = kept.map(row => sink.append(row))
  await sink.flush()
  sink.keep()
  const flushedPlaces = flushed.map(row => sink.append(row))
  await sink.flush()
  const before = sim.medium.usedBytes
  sim.capacityBytes = before + 600 * KIB
  for (const row of late) sink.append(row)
  await rejects(sink.flush(), "deviceFull")
  await assertReadable(sim, [...kept, ...flushed], [...places, ...flushedPlaces])
  assert.ok(sim.medium.usedBytes - before < 400 * KIB, "at most the rest of the volume that was open")
  await sink.rollBack()
  assert.equal(sink.list().length, 1)
  await assertReadable(sim, kept, places)
  sim.capacityBytes = 2 ** 40
  const again = late.map(row => sink.append(row))
  await sink.flush()
  await assertReadable(sim, late, again)
})

test("the part of a piece that fitted on a full disk is given back", async () => {
  const sim = new SimDisk()
  const sink = await PayloadVolumes.open(sim.boot(), volumeDirectory(1, FOLDER))
  const kept = rowsOf(100)
  const places = kept.map(row => sink.append(row))
  await sink.flush()
  sink.keep()
  const before = sim.medium.usedBytes
  sim.capacityBytes = before + 600 * KIB
  for (const row of rowsOf(300)) sink.append(row)
  await rejects(sink.flush(), "deviceFull")
  assert.equal(sim.medium.usedBytes, before)
  assert.deepEqual(sink.list(), [{ volume: 1, writtenBytes: before, isOpen: false }])
  await assertReadable(sim, kept, places)
})

test("a reader of a removed volume keeps nothing of it, and reports the payload missing", async () => {
  const sim = new SimDisk()
  const sink = await PayloadVolumes.open(sim.boot(), volumeDirectory(1, FOLDER))
  const [row] = rowsOf(1)
  assert.ok(row)
  const place = sink.append(row)
  await sink.flush()
  const reader = new PayloadReader(sim.boot(), FOLDER)
  await reader.read(row.family, row.key, place)
  await sink.seal()
  await sink.remove(place.volume)
  await reader.giveUp(place.volume)
  assert.deepEqual(sim.medium.namesIn(FOLDER), [])
  await rejects(
    asPromise(() => owned(reader.read(row.family, row.key, place))),
    "corruptNeedle",
  )
  await reader.close()
})

test("payloads of a run are read together, and a damaged or unreadable one does not affect the others", async () => {
  const sim = new SimDisk()
  const sink = await PayloadVolumes.open(sim.boot(), volumeDirectory(1, FOLDER))
  const rows = rowsOf(100)
  const run = rows.map(row => ({ ...row, place: sink.append(row) })).filter((_, i) => i % 7 !== 3)
  await sink.flush()
  const [rotten, unreadable] = [must(run[20], "one"), must(run[40], "another")]
  const isAt = ({ place }: (typeof run)[number], from: number, lengthBytes: number): boolean =>
    place.offsetBytes + 500 >= from && place.offsetBytes + 500 < from + lengthBytes
  let [reads, isFaulty] = [0, false]
  sim.intercept(call => {
    if (call.kind !== "read" || !call.path.startsWith(FOLDER)) return
    reads += 1
    const { offsetBytes, lengthBytes } = call
    if (isFaulty && isAt(unreadable, offsetBytes, lengthBytes)) throw fail("deviceFailed", { code: "EIO" })
    if (!isAt(rotten, offsetBytes, lengthBytes)) return
    return { rot: bytes => (bytes[rotten.place.offsetBytes + 500 - offsetBytes] = 0) }
  })
  const assertFound = async (missing: readonly (typeof run)[number][]) => {
    const found = await sink.readRun(run)
    for (const [i, each] of run.entries()) {
      const bytes = found[i]
      assert.equal(bytes === undefined, missing.includes(each), `payload ${i}`)
      if (bytes) assert.ok(Buffer.from(each.payload).equals(bytes), `payload ${i}`)
    }
  }
  await assertFound([rotten])
  assert.equal(reads, 2, "the run, and the damaged one once more")
  isFaulty = true
  await assertFound([rotten, unreadable])
  assert.deepEqual(await sink.readRun([]), [])
  const wrong = { ...must(run[1], "one"), key: rowKeyOf("another key") }
  assert.deepEqual(await sink.readRun([wrong]), [undefined])
})

test("a volume of small payloads is walked in large reads", async () => {
  const sim = new SimDisk()
  const sink = await PayloadVolumes.open(sim.boot(), volumeDirectory(1, FOLDER))
  const places = rowsOf(3000, 4000).map(row => sink.append(row))
  await sink.flush()
  let reads = 0
  sim.intercept(call => void (reads += call.kind === "read" ? 1 : 0))
  let found = 0
  for await (const event of sink.walk(1, undefined)) if (event.kind === "payloads") found += event.payloads.length
  assert.equal(found, places.length)
  assert.ok(reads < 30, `${reads} reads for 12 MB`)
})
