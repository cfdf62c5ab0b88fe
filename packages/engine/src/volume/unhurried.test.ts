/** Unhurried needles travel beside others: in small pieces, and never behind their own removal. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { isFailure } from "@hayloft/base/failures.js"
import { KIB } from "@hayloft/base/limits.js"
import { encodeNeedleHeader, needleKeyOf } from "../format/needles/needle.js"
import { SimDisk } from "@hayloft/base/seams/disk/index.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import type { Needle } from "./contract.js"
import { volumeDirectory, MapRows, needleFor } from "./testing-volumes.js"
import { VOLUME_LIMITS, type VolumeLimits } from "./limits.js"
import { openVolumes } from "./volumes.js"

const random = new SimRandom(11)
const LIMITS: VolumeLimits = { ...VOLUME_LIMITS, copyBytesPerGroupMax: 64 * KIB }

const device = (sim: SimDisk, incarnation = 1) =>
  openVolumes(sim.boot(), new MapRows(), volumeDirectory(incarnation), undefined, { limits: LIMITS })
const unhurried = (needle: Needle): Needle => ({ ...needle, isUnhurried: true })
const needles = (from: number, count: number, lengthBytes: number): Needle[] =>
  Array.from({ length: count }, (_, i) => needleFor(from + i, lengthBytes, random))

/** Lengths of the writes from now on. */
function writesOf(sim: SimDisk): number[] {
  const lengths: number[] = []
  sim.intercept(async call => {
    if (call.kind !== "write" || call.change.kind !== "write") return
    lengths.push(call.change.bytes.length)
    await new Promise(resolve => setImmediate(resolve))
  })
  return lengths
}

test("an append waits for little unhurried work, and unhurried work alone is fast", async () => {
  const sim = new SimDisk()
  const volumes = await device(sim)
  await volumes.append(needleFor(1, 64, random))
  const lengths = writesOf(sim)
  const slow = needles(100, 40, 32 * KIB)
  const mended = Promise.all(slow.map(needle => volumes.append(unhurried(needle))))
  for (const needle of needles(200, 5, 64)) await volumes.append(needle)
  const others = lengths.length
  assert.ok(Math.max(...lengths) <= 80 * KIB, `a write of ${Math.max(...lengths)} bytes`)
  await mended
  // The write that is under way, and its own.
  assert.ok(others <= 2 * 5, `5 appends took ${others} writes`)
  assert.ok(Math.max(...lengths) > 300 * KIB, "alone it is still written in small pieces")
  for (const { id } of slow) assert.ok(volumes.has(id))
  await volumes.close()
})

test("an unhurried needle that is removed while it is on its way is gone, also after a restart", async () => {
  const sim = new SimDisk()
  const volumes = await device(sim)
  const all = needles(300, 20, 32 * KIB)
  const appended = Promise.all(all.map(needle => volumes.append(unhurried(needle))))
  const removed = all.slice(10)
  await volumes.remove(removed.map(({ id }) => id))
  await appended
  assert.deepEqual(
    all.map(({ id }) => volumes.has(id)),
    all.map(needle => !removed.includes(needle)),
  )
  await volumes.close()
  const again = await device(sim, 2)
  for (const { id } of removed) assert.equal(again.has(id), false)
  await again.close()
})

test("a needle that is appended again is not removed by the copy of its old tombstone behind it in the same write", async () => {
  const sim = new SimDisk()
  const volumes = await device(sim)
  const [needle] = needles(400, 1, 64)
  assert.ok(needle)
  const { id } = needle
  await volumes.append(needle)
  await volumes.remove([id])
  const decoded = { kind: "tombstone", id } as const
  const isWanted = (): boolean => volumes.upkeep.index.placeOf(needleKeyOf(id)) === undefined
  const appended = volumes.append(unhurried(needle))
  const copied = volumes.upkeep.copy([
    { decoded, header: encodeNeedleHeader(decoded), body: new Uint8Array(), isWanted },
  ])
  await appended
  assert.equal(await copied, 0)
  assert.ok(volumes.has(id))
  await volumes.close()
  const again = await device(sim, 2)
  assert.ok(again.has(id))
  await again.close()
})

test("a removal after the first of two writes of one needle is behind the second, too", async () => {
  const sim = new SimDisk()
  const volumes = await device(sim)
  const [twice, ...others] = needles(500, 5, 64 * KIB)
  assert.ok(twice)
  const first = volumes.append(unhurried(twice))
  const later = [...others, twice].map(needle => volumes.append(unhurried(needle)))
  await first
  await volumes.remove([twice.id])
  await Promise.all(later)
  assert.equal(volumes.has(twice.id), false)
  await volumes.close()
  const again = await device(sim, 2)
  assert.equal(again.has(twice.id), false)
  await again.close()
})

test("closing accepts no more copies that are handed over a few at a time, and begins no volume for them", async () => {
  const sim = new SimDisk()
  const limits = { ...LIMITS, groupNeedlesMax: 2 }
  const volumes = await openVolumes(sim.boot(), new MapRows(), volumeDirectory(1), undefined, { limits })
  const copies = needles(600, 6, 64).map(({ id }) => {
    const decoded = { kind: "tombstone", id } as const
    return { decoded, header: encodeNeedleHeader(decoded), body: new Uint8Array(), isWanted: () => true }
  })
  const refused = assert.rejects(volumes.upkeep.copy(copies), error => isFailure(error, "stopping"))
  await volumes.close()
  const before = sim.medium.namesIn("/device/volumes")
  await refused
  assert.deepEqual(sim.medium.namesIn("/device/volumes"), before)
})
