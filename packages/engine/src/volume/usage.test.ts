/** Usage agrees with the index, whatever happens while it is being counted. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { fc } from "@hayloft/base/testing-properties.js"
import { fail, isFailure } from "@hayloft/base/failures.js"
import { parseVolumeId } from "@hayloft/base/ids.js"
import { GIB, KIB, MIB } from "@hayloft/base/limits.js"
import { decodeNeedlePlace } from "../format/needles/needle.js"
import { SimDisk } from "@hayloft/base/seams/disk/index.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import type { KeptVolumes } from "./upkeep.js"
import { volumeDirectory, MapRows, needleFor, needleIdFor } from "./testing-volumes.js"
import { VOLUME_LIMITS, volumeBytesMaxFor } from "./limits.js"
import { openVolumes } from "./volumes.js"

const random = new SimRandom(3)
const SMALL = { ...VOLUME_LIMITS, volumeBytesMax: 64 * KIB }

interface World {
  readonly sim: SimDisk
  readonly rows: MapRows
  readonly volumes: KeptVolumes
}

async function opened(sim = new SimDisk(), incarnation = 1): Promise<World> {
  const rows = new MapRows()
  return {
    sim,
    rows,
    volumes: await openVolumes(sim.boot(), rows, volumeDirectory(incarnation), undefined, { limits: SMALL }),
  }
}

/** Needles that the index points at, by volume. */
function live({ rows }: World): Map<number, { bytes: number; needles: number }> {
  const found = new Map<number, { bytes: number; needles: number }>()
  for (const { value } of rows.rows.values()) {
    const { volume, headerBytes, bodyBytes } = decodeNeedlePlace(value)
    const known = found.get(volume) ?? { bytes: 0, needles: 0 }
    found.set(volume, { bytes: known.bytes + headerBytes + bodyBytes, needles: known.needles + 1 })
  }
  return found
}

function assertExact(world: World): void {
  const expected = live(world)
  const { usages } = world.volumes.upkeep
  let [writtenBytes, liveBytes] = [0, 0]
  for (const usage of usages.list()) {
    const { bytes = 0, needles = 0 } = expected.get(usage.volumeId) ?? {}
    assert.deepEqual([usage.liveBytes, usage.liveNeedles], [bytes, needles], `volume ${usage.volumeId}`)
    const name = String(usage.volumeId).padStart(10, "0")
    assert.equal(usage.writtenBytes, world.sim.medium.fileAt(`/device/volumes/${name}.volume`)?.current.length)
    writtenBytes += usage.writtenBytes
    liveBytes += bytes
  }
  assert.deepEqual(usages.listMissing(), [])
  const deadShare = writtenBytes === 0 ? 0 : (writtenBytes - liveBytes) / writtenBytes
  assert.deepEqual(world.volumes.usage(), { volumes: usages.list().length, writtenBytes, liveBytes, deadShare })
}

test("live bytes are unknown after a start until they are counted, and exact whatever happens meanwhile", async () => {
  const action = fc.tuple(fc.constantFrom("append", "remove", "count", "count"), fc.integer({ min: 1, max: 20 }))
  await fc.assert(
    fc.asyncProperty(fc.array(action, { maxLength: 60 }), async actions => {
      const first = await opened()
      for (let i = 1; i <= 12; i += 1) await first.volumes.append(needleFor(i, 900 * i, random))
      await first.volumes.close()
      const world = await opened(first.sim, 2)
      const { usages } = world.volumes.upkeep
      assert.equal(world.volumes.usage().liveBytes, undefined)
      assert.equal(world.volumes.usage().deadShare, undefined)
      for (const [what, number] of actions) {
        // The same number again is another copy of the same needle.
        if (what === "append") await world.volumes.append(needleFor(number, 900 * number, new SimRandom(number)))
        else if (what === "remove") await world.volumes.remove([needleIdFor(number)])
        else usages.countSome(3)
      }
      while (!usages.isCounted) usages.countSome(3)
      assertExact(world)
      await world.volumes.append(needleFor(30, 5000, random))
      await world.volumes.remove([needleIdFor(1), needleIdFor(30)])
      assertExact(world)
    }),
    { numRuns: 60 },
  )
})

test("a needle that is written twice in one write, or removed in its own, is counted once or not at all", async () => {
  const world = await opened()
  world.volumes.upkeep.usages.countSome(1)
  const [one, two] = [needleFor(1, 3000, random), needleFor(2, 3000, random)]
  await Promise.all([one, one, two].map(needle => world.volumes.append(needle)))
  assertExact(world)
  const again = world.volumes.append(needleFor(3, 3000, random))
  await Promise.all([again, world.volumes.remove([needleIdFor(3), one.id])])
  assertExact(world)
  assert.equal(world.volumes.usage().liveBytes, live(world).get(1)?.bytes)
})

test("tombstones are known for volumes of this process, and for others once they have been counted", async () => {
  const first = await opened()
  await first.volumes.append(needleFor(1, 3000, random))
  await first.volumes.remove([needleIdFor(1)])
  assert.equal(first.volumes.upkeep.usages.list()[0]?.tombstoneBytes, 80)
  const { usages } = (await opened(first.sim, 2)).volumes.upkeep
  assert.equal(usages.list()[0]?.tombstoneBytes, undefined)
  usages.foundTombstones(parseVolumeId(1), 80)
  assert.equal(usages.list()[0]?.tombstoneBytes, 80)
})

test("tombstones may use the reserve, needles may not", async () => {
  const sim = new SimDisk()
  let hasSpace = true
  const volumes = await openVolumes(sim.boot(), new MapRows(), volumeDirectory(1), undefined, {
    limits: SMALL,
    mayAppend: () => hasSpace,
  })
  await volumes.append(needleFor(1, 3000, random))
  hasSpace = false
  await assert.rejects(volumes.append(needleFor(2, 3000, random)), error => isFailure(error, "deviceFull"))
  await volumes.remove([needleIdFor(1)])
  assert.equal(volumes.has(needleIdFor(1)), false)
  assert.equal(volumes.refusing, undefined, "a full device is no broken one")
  hasSpace = true
  await volumes.append(needleFor(2, 3000, random))
  assert.ok(volumes.has(needleIdFor(2)))
})

test("a volume is half of the reserve at most, within bounds", () => {
  assert.deepEqual([64 * MIB, 1 * GIB, 8 * GIB, 64 * GIB, 0].map(volumeBytesMaxFor), [
    32 * MIB,
    512 * MIB,
    4 * GIB,
    4 * GIB,
    4 * MIB,
  ])
})

test("while removals are refused, a needle stays", async () => {
  let isRefused = true
  const volumes = await openVolumes(new SimDisk().boot(), new MapRows(), volumeDirectory(1), undefined, {
    limits: SMALL,
    checkRemoval: () => {
      if (isRefused) throw fail("databaseRolledBack")
    },
  })
  await volumes.append(needleFor(1, 3000, random))
  await assert.rejects(volumes.remove([needleIdFor(1)]), error => isFailure(error, "databaseRolledBack"))
  assert.ok(volumes.has(needleIdFor(1)))
  isRefused = false
  await volumes.remove([needleIdFor(1)])
  assert.equal(volumes.has(needleIdFor(1)), false)
})
