import assert from "node:assert/strict"
import { test } from "node:test"
import { KIB } from "@hayloft/base/limits.js"
import type { RowKey } from "@hayloft/base/ids.js"
import { rowKeyOf } from "@hayloft/base/ids.js"
import { decodeNeedlePlace, needleKeyOf } from "../format/needles/needle.js"
import { fails, SimDisk } from "@hayloft/base/seams/disk/index.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { CompactedDevice, volumeDirectory, needleFor, needleIdFor } from "./testing-volumes.js"
import type { FsckFinding, FsckProgress } from "./fsck.js"
import { compareIndex, fsckVolumes } from "./fsck.js"
import { VOLUME_LIMITS } from "./limits.js"
import { PayloadVolumes } from "./payloads.js"

const SMALL = { ...VOLUME_LIMITS, volumeBytesMax: 128 * KIB }
const HOME = volumeDirectory(1)
const signal = new AbortController().signal
const random = new SimRandom(11)

async function device(count: number): Promise<CompactedDevice> {
  const world = await new CompactedDevice(SMALL).start()
  for (let i = 1; i <= count; i += 4) {
    await Promise.all([0, 1, 2, 3].map(more => world.volumes.append(needleFor(i + more, 6000, random))))
  }
  return world
}

async function fsck(world: { readonly sim: SimDisk }, folder = HOME.folder) {
  const findings: FsckFinding[] = []
  const progress: FsckProgress[] = []
  const directory = { ...HOME, folder }
  const totals = await fsckVolumes(
    world.sim.boot(),
    directory,
    signal,
    found => findings.push(found),
    report => progress.push(report),
  )
  return { totals, findings, progress }
}

const placeOf = (world: CompactedDevice, number: number) =>
  decodeNeedlePlace(world.rows.get("needles", needleKeyOf(needleIdFor(number)))?.value ?? assert.fail("lost"))
const pathOf = (volume: number): string => `/device/volumes/${String(volume).padStart(10, "0")}.volume`

function* indexOf(world: CompactedDevice): Iterable<readonly [RowKey, Uint8Array]> {
  for (const [name, { value }] of world.rows.rows) yield [rowKeyOf(name.slice("needles/".length)), value]
}
async function differences(world: CompactedDevice, index = indexOf(world)) {
  const found = []
  for await (const difference of compareIndex(world.sim.boot(), HOME, index, signal)) found.push(difference)
  return found
}

test("in whole volumes fsck counts everything, finds nothing, and the index matches", async () => {
  const world = await device(60)
  await world.volumes.remove([needleIdFor(3), needleIdFor(30)])
  const { totals, findings, progress } = await fsck(world)
  assert.deepEqual(findings, [])
  const { volumes, writtenBytes } = world.volumes.usage()
  assert.deepEqual(totals, {
    volumes,
    bytes: writtenBytes,
    needles: 60,
    tombstones: 2,
    badNeedles: 0,
    verifiedBytes: 360_000,
  })
  const last = progress.at(-1)
  assert.deepEqual(last, { volumes, volumesDone: volumes, bytes: writtenBytes, bytesDone: writtenBytes })
  assert.ok(progress.every(({ bytesDone }, i) => bytesDone >= (progress[i - 1]?.bytesDone ?? 0)))
  assert.deepEqual(await differences(world), [])
})

test("each kind of damage is reported as its own kind", async () => {
  const world = await device(60)
  const body = placeOf(world, 10)
  world.sim.flipBit(pathOf(body.volume), 8 * (body.offsetBytes + body.headerBytes + 5))
  const header = placeOf(world, 40)
  world.sim.flipBit(pathOf(header.volume), 8 * (header.offsetBytes + 20))
  const newest = world.volumes.durable() ?? assert.fail()
  const file = await world.sim.boot().open(pathOf(newest.volumeId), "write")
  await file.write([Buffer.from("cut off")], newest.offsetBytes)
  const cut = await world.sim.boot().open(pathOf(99), "create")
  await cut.write([Buffer.from("HVo")], 0)
  const { totals, findings } = await fsck(world)
  assert.deepEqual(
    findings.map(({ kind }) => kind),
    ["needle", "damage", "tornTail", "nothing"],
  )
  assert.equal(totals.badNeedles, 1)
  const [needle, damage] = findings
  assert.ok(needle?.kind === "needle" && needle.header.kind === "shard" && damage?.kind === "damage")
  assert.deepEqual(needle.header.id, needleIdFor(10))
  assert.equal(damage.damage.fromBytes, header.offsetBytes)
})

test("an unreadable place costs its needle, or what is behind it in its volume, and the others are verified", async () => {
  const world = await device(60)
  const { volume, offsetBytes, headerBytes } = placeOf(world, 10)
  const fail = fails("EIO")
  for (const [badBytes, kind, hasAll] of [
    // Without its first page the needles of a volume are found.
    [0, "damage", true],
    [offsetBytes + 10, "unreadable", false],
    [offsetBytes + headerBytes + 10, "needle", true],
  ] as const) {
    world.sim.intercept(call => {
      if (call.kind !== "read" || call.path !== pathOf(volume)) return
      if (call.offsetBytes <= badBytes && badBytes < call.offsetBytes + call.lengthBytes) return fail(call)
    })
    const { totals, findings } = await fsck(world)
    assert.equal(totals.volumes, world.volumes.usage().volumes)
    assert.deepEqual(
      findings.map(finding => finding.kind),
      [kind],
      `byte ${badBytes}`,
    )
    assert.equal(totals.needles === 60, hasAll, `byte ${badBytes}: ${totals.needles} needles`)
  }
})

test("a wrong index is reported row by row, and writing the differences corrects it", async () => {
  const world = await device(60)
  await world.volumes.remove([needleIdFor(7)])
  const rows = new Map(indexOf(world))
  const [lost, wrong, torn] = [1, 2, 3].map(number => needleKeyOf(needleIdFor(number)))
  assert.ok(lost && wrong && torn)
  const right = new Map(rows)
  rows.delete(lost)
  rows.set(wrong, rows.get(lost) ?? right.get(lost) ?? assert.fail())
  rows.set(torn, Buffer.from("?"))
  rows.set(needleKeyOf(needleIdFor(7)), right.get(wrong) ?? assert.fail())
  const found = await differences(world, rows.entries())
  assert.equal(found.length, 4)
  for (const { key, expected } of found) {
    if (expected === undefined) rows.delete(key)
    else rows.set(key, expected)
  }
  assert.deepEqual(new Map([...rows].sort()), new Map([...right].sort()))
})

test("payload volumes are verified in the same way", async () => {
  const sim = new SimDisk()
  const directory = volumeDirectory(1, "/device/payloads")
  const payloads = await PayloadVolumes.open(sim.boot(), directory)
  const places = [1, 2, 3].map(number =>
    payloads.append({ family: "current", key: rowKeyOf(`row ${number}`), payload: random.bytes(3000) }),
  )
  await payloads.flush()
  sim.flipBit("/device/payloads/0000000001.volume", 8 * ((places[1]?.offsetBytes ?? 0) + 2000))
  // A group that a later one confirms.
  payloads.append({ family: "current", key: rowKeyOf("row 4"), payload: random.bytes(100) })
  await payloads.flush()
  const { totals, findings } = await fsck({ sim }, directory.folder)
  assert.deepEqual([totals.needles, totals.badNeedles, findings.length], [4, 1, 1])
  const [bad] = findings
  assert.ok(bad?.kind === "needle" && bad.header.kind === "payload")
  assert.equal(bad.header.key, "row 2")
})

test("a signal ends fsck early", async () => {
  const world = await device(60)
  const stopped = new AbortController()
  const totals = await fsckVolumes(
    world.sim.boot(),
    HOME,
    stopped.signal,
    () => undefined,
    ({ bytesDone }) => bytesDone > 50_000 && stopped.abort(),
  )
  assert.ok(totals.needles > 0 && totals.needles < 60)
})
