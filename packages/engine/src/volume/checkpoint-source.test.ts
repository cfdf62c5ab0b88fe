import assert from "node:assert/strict"
import { test } from "node:test"
import { KIB } from "@hayloft/base/limits.js"
import { needleKeyOf } from "../format/needles/needle.js"
import { SimDisk } from "@hayloft/base/seams/disk/index.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { VolumeScanSource } from "./checkpoint-source.js"
import type { Needle, Volumes } from "./contract.js"
import { volumeDirectory, MapRows, needleFor } from "./testing-volumes.js"
import { VOLUME_LIMITS } from "./limits.js"
import { openVolumes } from "./volumes.js"

const random = new SimRandom(13)
const SMALL = { ...VOLUME_LIMITS, volumeBytesMax: 128 * KIB }

/** An index as checkpoints write it, with its mark. */
class Base {
  readonly rows = new MapRows()
  mark: Uint8Array | undefined
  /** Writes that the last checkpoint collected. */
  taken = 0

  async checkpoint(sim: SimDisk, volumes: Volumes): Promise<VolumeScanSource> {
    const source = new VolumeScanSource(sim.boot(), volumeDirectory(1), volumes.durable())
    this.taken = 0
    for await (const write of source.collect(this.mark)) {
      this.rows.apply([write])
      this.taken += 1
    }
    this.mark = source.markAfter()
    return source
  }
}

async function appendAll(volumes: Volumes, needles: readonly Needle[]): Promise<void> {
  for (const needle of needles) await volumes.append(needle)
}
const needles = (from: number, count: number): Needle[] =>
  Array.from({ length: count }, (_, i) => needleFor(from + i, 9000, random))

test("checkpoint after checkpoint, the stored index equals the live one, and each collects only new needles", async () => {
  const sim = new SimDisk()
  const rows = new MapRows()
  const volumes = await openVolumes(sim.boot(), rows, volumeDirectory(1), undefined, { limits: SMALL })
  const base = new Base()
  await base.checkpoint(sim, volumes)
  assert.equal(base.taken, 0)
  for (let round = 0; round < 6; round += 1) {
    const some = needles(100 * round, 13)
    await appendAll(volumes, some)
    await volumes.remove(some.slice(0, 2).map(({ id }) => id))
    await base.checkpoint(sim, volumes)
    assert.equal(base.taken, 15)
    assert.deepEqual(base.rows.rows, rows.rows)
  }
  await base.checkpoint(sim, volumes)
  assert.equal(base.taken, 0)
  const rebuilt = new Base()
  await rebuilt.checkpoint(sim, volumes)
  assert.deepEqual(rebuilt.rows.rows, rows.rows, "the index from nothing is the same index")
})

test("needles written while a checkpoint walks are left to the next", async () => {
  const sim = new SimDisk()
  const rows = new MapRows()
  const volumes = await openVolumes(sim.boot(), rows, volumeDirectory(1), undefined, { limits: SMALL })
  await appendAll(volumes, needles(1, 20))
  const source = new VolumeScanSource(sim.boot(), volumeDirectory(1), volumes.durable())
  await appendAll(volumes, needles(100, 20))
  let count = 0
  for await (const write of source.collect(undefined)) count += write.value === undefined ? 0 : 1
  assert.equal(count, 20)
})

test("a walk reads headers, not bodies", async () => {
  const sim = new SimDisk()
  const volumes = await openVolumes(sim.boot(), new MapRows(), volumeDirectory(1), undefined)
  const large = Array.from({ length: 8 }, (_, i) => needleFor(i, 1024 * KIB, random))
  await appendAll(volumes, large)
  const base = new Base()
  const bodies = large[3] ?? assert.fail()
  // Readers and scrubbing find a damaged body; the index does not depend on it.
  sim.flipBit("/device/volumes/0000000001.volume", 8 * (3 * 1024 * KIB + 500_000))
  const source = await base.checkpoint(sim, volumes)
  assert.deepEqual(source.damages, [])
  assert.ok(base.rows.get("needles", needleKeyOf(bodies.id)))
})

test("a walk reports damage below the durable position, and continues behind it", async () => {
  const sim = new SimDisk()
  const volumes = await openVolumes(sim.boot(), new MapRows(), volumeDirectory(1), undefined)
  await appendAll(volumes, needles(1, 10))
  sim.flipBit("/device/volumes/0000000001.volume", 8 * (4096 + 3 * 12_288 + 10))
  const base = new Base()
  const source = await base.checkpoint(sim, volumes)
  assert.equal(source.damages.length, 1)
  assert.equal(base.taken, 9)
  const last = new VolumeScanSource(sim.boot(), volumeDirectory(1), volumes.durable())
  sim.flipBit("/device/volumes/0000000001.volume", 8 * (4096 + 9 * 12_288 + 10))
  let taken = 0
  for await (const write of last.collect(undefined)) taken += write.value === undefined ? 0 : 1
  assert.deepEqual([taken, last.damages.length], [8, 2], "the last group too: it is known to have been durable")
})
