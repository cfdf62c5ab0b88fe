/** Jobs over a key with many versions: their work grows with the number of versions, not with its square. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { rowKeyAfter } from "@hayloft/base/ids.js"
import { parsePolicy } from "@hayloft/base/policy.js"
import { deviceIdOf } from "@hayloft/engine/block/testing-blocks.js"
import { ALL_OBJECT_ROWS } from "@hayloft/objects/queries/extent-rows.js"
import { BLOCK_BYTES, convert, encryptAll, jobOf, putMultipart } from "./encrypt/testing-encrypt.js"
import { open, type World } from "./repair/testing-repair.js"
import { SMALL_PART_BYTES } from "./testing-services.js"

/** Every fourth one consists of two parts. */
const VERSIONS = 24

async function versionsOfOneKey(versions: number): Promise<World> {
  const world = await open("ec:2+1")
  await world.services.buckets.setVersioning(world.home, "enabled")
  for (let i = 0; i < versions; i += 1) {
    // Ids of multipart uploads have the wall clock's time, and versions that of commits.
    world.clock.jumpWall((await world.tablet.closeTo()) / 1_000 - world.clock.wallMs())
    if (i % 4 === 0) await putMultipart(world, "key", [SMALL_PART_BYTES, 5_000])
    else await world.put("key", world.random.bytes(5_000))
  }
  return world
}

/** The rows of ranges that a job reads. */
async function rowsReadBy(work: (world: World) => Promise<World>, versions: number): Promise<number> {
  const { rowsRead } = (await work(await versionsOfOneKey(versions))).tablet
  return [...rowsRead.values()].reduce((sum, rows) => sum + rows, 0)
}

async function growsWithVersions(work: (world: World) => Promise<World>): Promise<void> {
  const [once, twice] = [await rowsReadBy(work, VERSIONS), await rowsReadBy(work, 2 * VERSIONS)]
  assert.ok(twice < 2.2 * once, `${once} rows of ${VERSIONS} versions, ${twice} of twice as many`)
}

test("encryption reads as many rows for each version, however many a key has", () =>
  growsWithVersions(async before => {
    await before.settle()
    const world = convert(before)
    world.tablet.rowsRead.clear()
    await encryptAll(world)
    assert.equal(jobOf(world).progress(), "all objects are encrypted")
    return world
  }))

test("re-encoding reads as many rows for each version, however many a key has", () =>
  growsWithVersions(async world => {
    await world.settle()
    world.tablet.rowsRead.clear()
    world.policy = parsePolicy("replica:3")
    world.policyVersion += 1
    await world.settle("reencode")
    return world
  }))

test("repair looks for the row of an upload once, for all of its blocks", async () => {
  const rowsPerVersion = async (blocks: number): Promise<number> => {
    const world = await open("ec:2+1")
    await world.services.buckets.setVersioning(world.home, "enabled")
    for (let i = 0; i < VERSIONS; i += 1) await world.put("key", world.random.bytes(blocks * BLOCK_BYTES))
    await world.settle()
    const lost = deviceIdOf(1)
    world.takeOffline(lost)
    await world.settle()
    world.tablet.rowsRead.clear()
    await world.replace(lost, 50)
    await world.settle()
    const { rowsRead } = world.tablet
    return ["FirstNaming", "IsBlockKept"].reduce((sum, name) => sum + (rowsRead.get(name) ?? 0), 0) / VERSIONS
  }
  const [few, many] = [await rowsPerVersion(2), await rowsPerVersion(8)]
  assert.ok(many < 2 * few, `${few} rows for 2 blocks, ${many} for 8`)
})

test("a walk over blocks finds those of many versions with few searches", async () => {
  const versions = 150
  const before = await open("ec:2+1")
  await before.services.buckets.setVersioning(before.home, "enabled")
  for (let i = 0; i < versions; i += 1) await before.put("key", before.random.bytes(5_000))
  const [[oldest = ""] = []] = [...before.tablet.committed.range("versions", ALL_OBJECT_ROWS)].reverse()
  // A damaged row of another version does not end the search.
  before.tablet.plant("versions", rowKeyAfter(oldest), new Uint8Array(3))
  const world = before.restart(2)
  world.tablet.rowsRead.clear()
  await world.settle("orphans")
  const rows = world.tablet.rowsRead.get("FirstNaming") ?? 0
  assert.ok(rows >= versions && rows < (versions * versions) / 6, `${rows} rows for ${versions} versions`)
})

test("the audit of lost blocks reads as many rows for each version, however many a key has", () =>
  growsWithVersions(async world => {
    for (const id of world.layouts.current.devices.slice(1)) world.takeOffline(id)
    world.tablet.rowsRead.clear()
    const { integrityAudit } = world.services
    while (!integrityAudit.report().isComplete) await world.clock.runUntil(integrityAudit.step())
    assert.ok(integrityAudit.objects().count > 0)
    return world
  }))
