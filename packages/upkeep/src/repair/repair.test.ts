/** Whatever disks do, in the end every shard is on its assigned device, and nothing deleted is left or returns. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { setImmediate as later } from "node:timers/promises"
import { must } from "@hayloft/base/assert.js"
import { fail, isFailure } from "@hayloft/base/failures.js"
import { objectKeyOfText, type DeviceId } from "@hayloft/base/ids.js"
import { KIB, PARTITIONS } from "@hayloft/base/limits.js"
import { parsePolicy, shardCount, tolerance } from "@hayloft/base/policy.js"
import { waitIfSlow } from "@hayloft/engine/volume/contract.js"
import { ALL_NEEDLES, needleIdOf } from "@hayloft/engine/block/index.js"
import { standingOf } from "@hayloft/engine/block/testing-standing.js"
import { changed, deviceIdOf as deviceOf } from "@hayloft/engine/block/testing-blocks.js"
import { needleKeyOf } from "@hayloft/engine/format/needles/needle.js"
import { COLLECTOR_LIMITS } from "../garbage/collector.js"
import { hintOfKey } from "@hayloft/objects/commands/missing-shard-hints-core.js"
import { REPAIR_LIMITS } from "./repair-limits.js"
import { heldSource, sourceOf, plainUpload } from "@hayloft/objects/bodies/testing-bodies.js"
import { assertAll, assertWhole, noSignal, open, putSome, type Bodies } from "./testing-repair.js"

test("a healthy store is scanned in few steps, and nothing is written", async () => {
  const world = await open("ec:4+2")
  const bodies: Bodies = new Map()
  await putSome(world, bodies, 10)
  const before = world.needles
  assert.ok((await world.settle()) < 10)
  assert.equal(world.needles, before)
  await assertWhole(world, bodies, "as written")
  assert.equal(world.services.repair.report().partitionsScanned, PARTITIONS)
})

for (const text of ["ec:2+2", "ec:4+2", "replica:2"]) {
  test(`${text}: lost disks are replaced by empty ones and rebuilt, while clients work`, async () => {
    const world = await open(text)
    const bodies: Bodies = new Map()
    await putSome(world, bodies, 8)
    let number = 50
    for (let round = 0; round < 4; round += 1) {
      const first = world.random.below(4)
      const { devices } = world.layouts.current
      const lost = [...devices, ...devices]
        .slice(first % devices.length)
        .slice(0, 1 + (round % tolerance(world.policy)))
      for (const id of lost) world.takeOffline(id)
      await putSome(world, bodies, 3, `round${round} `)
      await assertAll(world, bodies, "while disks are offline")
      await world.settle()
      for (const id of lost) {
        number += 1
        const by = await world.replace(id, number)
        assert.equal(world.stateOf(by), "rebuilding")
      }
      await world.settle()
      for (const id of world.layouts.current.devices) assert.equal(world.stateOf(id), "active", `${text} ${round}`)
      assert.equal(world.tablet.rows("missingShardHints"), 0, "every hint is resolved")
      await assertAll(world, bodies, "after repair")
      await world.settle("reencode")
      await world.settle("collector")
      await assertWhole(world, bodies, `${text}, round ${round}`)
    }
  })
}

test("a device that returns after deletes and overwrites restores nothing deleted, and gets only what it missed", async () => {
  const world = await open("ec:4+2")
  const bodies: Bodies = new Map()
  await putSome(world, bodies, 20)
  await world.settle()
  const back = deviceOf(3)
  const had = world.devices.needlesOn(back)
  world.takeOffline(back)
  for (let i = 0; i < 6; i += 1) {
    await world.remove(`key${i}`)
    bodies.delete(`key${i}`)
  }
  for (let i = 6; i < 10; i += 1) {
    const bytes = world.random.bytes(30_000)
    await world.put(`key${i}`, bytes)
    bodies.set(`key${i}`, bytes)
  }
  await putSome(world, bodies, 3, "young")
  await world.settle("collector")
  await assertAll(world, bodies, "while it is away")
  world.bringBack(back)
  assert.equal(world.devices.needlesOn(back), had)
  let written = 0
  world.devices.meddle = what => void (written += what === "append" ? 1 : 0)
  await world.settle()
  const missed = [...bodies].filter(([key]) => key.startsWith("young") || /^key[6-9]$/.test(key))
  const blocks = missed.reduce((sum, [, bytes]) => sum + Math.ceil(bytes.length / (16 * KIB)), 0)
  assert.equal(written, blocks, "one shard for each block written meanwhile")
  await assertWhole(world, bodies, "after its return")
  await assertAll(world, bodies, "after its return")
  assert.deepEqual(world.whole, [back])
  for (let i = 0; i < 6; i += 1) await assert.rejects(world.get(`key${i}`), error => isFailure(error, "noSuchKey"))
  assert.equal(world.tablet.rows("missingShardHints"), 0)
})

test("blocks deleted while a device was away do not count as missing on other devices", async () => {
  const world = await open("ec:2+2")
  const bodies: Bodies = new Map()
  await putSome(world, bodies, 12)
  await world.settle()
  const back = deviceOf(3)
  world.takeOffline(back)
  for (let i = 0; i < 6; i += 1) await world.remove(`key${i}`)
  await world.settle("collector")
  world.bringBack(back)
  const { repair } = world.services
  for (let steps = 0; steps < 500 && world.stateOf(back) !== "active"; steps += 1) {
    await world.clock.runUntil(repair.step(noSignal))
    const others = [...repair.shardScan().lacking].filter(([id]) => id !== back)
    for (const [id, flags] of others) assert.ok(!flags.includes(1), `${id} lacks something after ${steps} steps`)
  }
  assert.deepEqual(world.whole, [back])
})

test("the ownership of a single copy on a returned device is resolved, although no shard is missing", async () => {
  const world = await open("replica:1", 2)
  const bodies: Bodies = new Map()
  await putSome(world, bodies, 12)
  const back = deviceOf(2)
  world.takeOffline(back)
  for (let i = 0; i < 6; i += 1) {
    await world.remove(`key${i}`)
    bodies.delete(`key${i}`)
  }
  await world.settle("collector")
  world.bringBack(back)
  await world.settle()
  await assertWhole(world, bodies, "after its return")
  await assertAll(world, bodies, "after its return")
})

test("bytes that a reader may still use are not removed before it has ended", async () => {
  const world = await open("ec:2+1")
  const bytes = world.random.bytes(60_000)
  await world.put("a", bytes)
  await world.replace(deviceOf(1), 60)
  const reading = await world.services.objects.get({ bucket: world.home, key: objectKeyOfText("a"), conditions: {} })
  await world.remove("a")
  for (let rounds = 0; rounds < 10; rounds += 1) {
    await world.settle()
    await world.settle("orphans")
    await world.clock.advance(60_000)
  }
  const pieces: Uint8Array[] = []
  for await (const piece of reading.read(noSignal)) pieces.push(piece.slice())
  assert.ok(Buffer.concat(pieces).equals(bytes))
  await world.removeAborted()
  assert.equal(world.needles, 0)
})

test("uploads in progress are left alone, and their late shards are written after their commit", async () => {
  const world = await open("ec:4+2")
  const bytes = world.random.bytes(50_000)
  const { slow, goOn } = heldSource(bytes)
  world.devices.meddle = (what, id) => {
    if (what === "append" && id.slot === 2) throw fail("deviceFailed")
  }
  const putting = world.services.objects.put(world.putting("a", slow))
  await world.clock.advance(1_000)
  assert.ok(world.needles > 0)
  world.devices.meddle = () => undefined
  const held = world.needles
  for (const { partition, shards } of (await world.blocks.shardScan(ALL_NEEDLES.start)).groups) {
    const { deviceId } = must(shards[0], "a shard")
    world.services.repair.onHints([{ partition, deviceId }])
  }
  await world.settle()
  assert.equal(world.needles, held)
  goOn()
  await world.clock.runUntil(putting)
  await world.settle()
  assert.equal(world.tablet.rows("missingShardHints"), 0)
  await assertWhole(world, new Map([["a", bytes]]), "after its commit")
})

test("an upload that loses a shard while in progress is made whole after its commit", async () => {
  const world = await open("ec:4+2")
  const bytes = world.random.bytes(50_000)
  const { slow, goOn } = heldSource(bytes)
  const putting = world.services.objects.put(world.putting("a", slow))
  await world.clock.advance(1_000)
  const by = await world.replace(deviceOf(3), 50)
  await world.settle()
  assert.equal(world.stateOf(by), "rebuilding", "it lacks shards of the upload in progress")
  goOn()
  await world.clock.runUntil(putting)
  await world.settle()
  const { groups } = await world.blocks.shardScan(ALL_NEEDLES.start)
  for (const group of groups) {
    assert.deepEqual(standingOf(group, world.policy, world.layouts.current).lacking, [], "without waiting for a day")
  }
  assert.ok(groups.length > 1)
  assert.equal(world.stateOf(by), "active")
})

test("a part aborted while it moves leaves nothing behind, and no device is reported as lacking it", async () => {
  const world = await open("replica:2")
  const { multipart } = world.services
  const { home: bucket } = world
  const key = objectKeyOfText("large")
  const created = await multipart.create(plainUpload(bucket, key))
  const target = { bucket, key, multipartId: created.multipartId }
  const body = sourceOf(world.random.bytes(300 * KIB))
  await world.clock.runUntil(multipart.putPart({ ...target, partNumber: 1, body, signal: noSignal }))
  await world.settle()
  world.relayout([...world.layouts.current.devices, await world.add(70)])
  // The collector deletes the existing shards just before the moved one is written; the part's row is deleted later.
  let goOn: () => void = () => undefined
  const gate = new Promise<void>(resolve => (goOn = resolve))
  let collecting: Promise<unknown> | undefined
  world.tablet.before = name => (name === "DropRows" && collecting ? gate : undefined)
  world.devices.meddle = async what => {
    if (what !== "append" || collecting) return
    await multipart.abort(target)
    collecting = world.job("collector").step(noSignal)
    await later()
  }
  const { repair } = world.services
  while (!collecting) await world.clock.runUntil(repair.step(noSignal))
  goOn()
  await collecting
  await world.settle("collector")
  await world.clock.advance(REPAIR_LIMITS.retryMs)
  await world.settle()
  await world.removeAborted()
  assert.equal(world.needles, 0)
  for (const [id, flags] of repair.shardScan().lacking) assert.ok(!flags.includes(1), `${id} lacks something`)
})

test("from d devices to d + 1 and back while clients write, read and delete", async () => {
  for (const text of ["ec:2+1", "ec:4+2", "replica:2"]) {
    const world = await open(text)
    const bodies: Bodies = new Map()
    await putSome(world, bodies, 10)
    await world.settle()
    const first = [...world.layouts.current.devices]
    const added = await world.add(70)
    for (const [round, ids] of [[...first, added], first].entries()) {
      world.relayout(ids)
      if (round === 1) world.setState(added, "draining")
      await putSome(world, bodies, 2, `round${round} `)
      for (let steps = 0; world.layouts.previous !== undefined; steps += 1) {
        assert.ok(steps < 200, "the transition ends")
        if ((await world.clock.runUntil(world.job("repair").step(noSignal))) === "throttled")
          await world.clock.advance(1_000)
        await assertAll(world, bodies, `${text} in step ${steps}`)
        if (steps === 1) {
          await world.remove(`key${round}`)
          bodies.delete(`key${round}`)
          await world.settle("collector")
        }
      }
      await world.settle()
      await assertWhole(world, bodies, `${text}, round ${round}`)
    }
    assert.equal(world.devices.needlesOn(added), 0)
    assert.deepEqual(world.moved, [2, 3])
    assert.equal(world.straysWhenMoved, 0)
    assert.ok(world.whole.includes(added))
  }
})

test("moves stay within their rate limit, and rebuilding lost shards ignores it", async () => {
  for (const what of ["move", "rebuild"] as const) {
    let world = await open("ec:2+1")
    await putSome(world, new Map(), 20)
    await world.settle()
    world.moveBytesPerSecondMax = 20_000
    world = world.restart(2)
    const { devices } = world.layouts.current
    if (what === "move") world.relayout([...devices, await world.add(72)])
    else await world.replace(must(devices[0], "a device"), 73)
    let writtenBytes = 0
    world.devices.meddle = (kind, id) => {
      if (kind !== "append") return
      const groups = world.blocks.shardScanOf(id.partition)
      assert.ok(!(groups instanceof Promise), "test devices answer synchronously")
      writtenBytes += groups[0]?.shards[0]?.bodyBytes ?? 0
    }
    const beganMs = world.clock.monotonicMs()
    await world.settle()
    const seconds = (world.clock.monotonicMs() - beganMs) / 1_000
    assert.ok(writtenBytes > 100_000, `${writtenBytes} bytes`)
    // One second's worth may be ahead of the limit, and the last step may exceed it by a partition.
    const boundBytes = 20_000 * (seconds + 2) + 20_000
    assert.equal(writtenBytes <= boundBytes, what === "move", `${writtenBytes} bytes in ${seconds} s`)
  }
})

test("a transition whose new device fails half-way ends without it, and loses nothing", async () => {
  const world = await open("ec:2+1")
  const bodies: Bodies = new Map()
  await putSome(world, bodies, 15)
  const first = [...world.layouts.current.devices]
  const added = await world.add(71)
  world.relayout([...first, added])
  for (let steps = 0; steps < 4; steps += 1) await world.clock.runUntil(world.job("repair").step(noSignal))
  world.takeOffline(added)
  await assertAll(world, bodies, "with the new device gone")
  await world.settle()
  assert.equal(world.layouts.previous, undefined, "all movable shards have moved")
  await assertAll(world, bodies, "after the transition")
  world.relayout(first)
  await world.settle()
  await assertWhole(world, bodies, "on the old devices again")
  await assertAll(world, bodies, "on the old devices again")
})

test("damaged shards are rewritten, also after a restart", async () => {
  for (const restarts of [false, true]) {
    let world = await open("ec:2+1")
    const bodies: Bodies = new Map()
    await putSome(world, bodies, 4)
    await world.settle()
    const { groups } = await world.blocks.shardScan(ALL_NEEDLES.start)
    const group = must(
      groups.find(({ shape }) => shape?.blockLengthBytes === 16 * KIB),
      "a full block",
    )
    const { deviceId, slot } = must(group.shards[1], "a shard")
    const id = needleIdOf(group, slot)
    let isBad = true
    let mayWrite = !restarts
    world.devices.meddle = (what, needle, device) => {
      if (device !== deviceId || needle.slot !== slot || needle.uploadId !== id.uploadId) return
      if (needle.block !== id.block) return
      if (what === "append" && !mayWrite) throw fail("deviceFailed")
      if (what === "append") isBad = false
      else if (isBad) throw fail("corruptNeedle")
    }
    await assertAll(world, bodies, "with a damaged shard")
    await world.job("repair").step(noSignal)
    if (restarts) assert.ok(world.tablet.rows("missingShardHints") > 0, "the damage is recorded")
    if (restarts) {
      await world.devices.reopen(deviceId)
      world = world.restart(2)
    }
    mayWrite = true
    await world.settle()
    assert.equal(isBad, false, "the shard was rewritten")
    assert.equal(world.tablet.rows("missingShardHints"), 0)
    await assertAll(world, bodies, "after repair")
  }
})

test("a damaged stray copy is removed, whether its block is live, deleted, or gone from all other devices", async () => {
  for (const fate of ["alive", "deleted", "gone"] as const) {
    const world = await open("ec:2+1", 4)
    const bodies: Bodies = new Map()
    await putSome(world, bodies, 4)
    await world.settle()
    const [group] = (await world.blocks.shardScan(ALL_NEEDLES.start)).groups
    const { deviceId: assigned, slot } = must(group?.shards[0], "a shard")
    const stray = must(
      [...world.devices.live.keys()].find(id => !group?.shards.some(({ deviceId }) => deviceId === id)),
      "a device without any of the block",
    )
    const { volumes: at } = must(world.devices.live.get(assigned), "the device is online")
    const { volumes } = must(world.devices.live.get(stray), "the device is online")
    const id = needleIdOf(must(group, "a block"), slot)
    const header = await at.headerOf(id)
    const body = await at.read(id, { offsetBytes: 0, lengthBytes: header.bodyBytes }, waitIfSlow)
    const held = world.devices.needlesOn(stray)
    const leave = () => volumes.append({ ...header, recoveryHeader: undefined, body })
    if (fate !== "gone") await leave()
    if (fate !== "alive") for (const key of bodies.keys()) await world.remove(key)
    if (fate === "gone") {
      await world.settle("collector")
      await world.settle()
      assert.equal(world.needles, 0)
      await leave()
    }
    world.services.repair.noteDamage({ deviceId: stray, id })
    await world.settle("collector")
    await world.settle()
    await world.removeAborted()
    // Checked by the bytes on disk: after the restart, damaged shards are no longer known.
    await world.devices.reopen(stray)
    assert.equal(world.devices.needlesOn(stray), fate === "alive" ? held : 0, fate)
    if (fate !== "alive") continue
    await assertWhole(world, bodies, "beside a damaged copy")
    await assertAll(world, bodies, "beside a damaged copy")
  }
})

test("a device is not reported whole while it has a hint that came too late for the scan", async () => {
  const world = await open("ec:2+1")
  const bodies: Bodies = new Map()
  await putSome(world, bodies, 4)
  await world.settle()
  const back = deviceOf(1)
  world.takeOffline(back)
  await putSome(world, bodies, 1, "degraded")
  const [[hint] = []] = world.tablet.committed.range("missingShardHints", ALL_NEEDLES)
  const { partition } = hintOfKey(must(hint, "a hint exists"))
  world.bringBack(back)
  const { repair } = world.services
  // While the hint is being dropped, a client's write records one for the same partition.
  let isLate = false
  world.tablet.before = name => {
    if (name !== "DropRows" || isLate) return
    isLate = true
    repair.onHints([{ partition, deviceId: back }])
  }
  while (!isLate) await world.clock.runUntil(repair.step(noSignal))
  assert.equal(world.stateOf(back), "rebuilding")
  await world.settle()
  assert.equal(world.stateOf(back), "active")
  for (const job of ["reencode", "collector"]) await world.settle(job)
  await assertWhole(world, bodies, "in the end")
})

test("a device that does not respond for a moment gets its shards as soon as it does, and no transition ends before", async () => {
  const world = await open("ec:2+1")
  await putSome(world, new Map(), 6)
  await world.settle()
  world.relayout([...world.layouts.current.devices, await world.add(70)])
  const silent = deviceOf(70)
  world.devices.down.add(silent)
  const { repair } = world.services
  for (let steps = 0; steps < 50; steps += 1) {
    await world.clock.runUntil(repair.step(noSignal))
    await world.clock.advance(1_000)
  }
  assert.deepEqual([world.moved, world.devices.needlesOn(silent)], [[], 0])
  world.devices.down.delete(silent)
  await world.clock.advance(REPAIR_LIMITS.waitingMs)
  await world.settle()
  assert.deepEqual([world.moved, world.straysWhenMoved], [[world.layouts.current.version], 0])
  assert.ok(world.devices.needlesOn(silent) > 0)
  assert.equal(world.stateOf(silent), "active")
})

test("only deletions on a disk without space for them wait", async () => {
  const world = await open("replica:1", 3)
  await putSome(world, new Map(), COLLECTOR_LIMITS.pendingDeletionsPerStep)
  const full = deviceOf(2)
  const device = must(world.devices.live.get(full), "three devices")
  const refusing = changed(device.volumes, { remove: () => Promise.reject(fail("deviceFull")) })
  world.devices.live.set(full, { ...device, volumes: refusing })
  await putSome(world, new Map(), COLLECTOR_LIMITS.pendingDeletionsPerStep, "young")
  const had = world.devices.needlesOn(full)
  for (let i = 0; i < COLLECTOR_LIMITS.pendingDeletionsPerStep; i += 1) {
    await world.remove(`key${i}`)
    await world.remove(`young${i}`)
  }
  for (let steps = 0; steps < 10; steps += 1) await world.job("collector").step(noSignal)
  assert.deepEqual([world.needles, world.devices.needlesOn(full)], [had, had], "only what is there is left")
  assert.ok(world.tablet.rows("pendingDeletions") > 0)
  world.devices.live.set(full, device)
  await world.settle("collector")
  assert.deepEqual([world.needles, world.tablet.rows("pendingDeletions")], [0, 0])
})

test("repair waits for a full disk, and writes everything once it has space", async () => {
  const world = await open("ec:2+1")
  const bodies: Bodies = new Map()
  await putSome(world, bodies, 6)
  const by = await world.replace(deviceOf(1), 80)
  world.devices.meddle = what => {
    if (what === "append") throw fail("deviceFull")
  }
  for (let steps = 0; steps < 10; steps += 1) {
    await world.job("repair").step(noSignal)
    await world.clock.advance(6_000)
  }
  assert.ok(world.services.repair.report().isShortOfSpace)
  assert.equal(world.stateOf(by), "rebuilding")
  assert.ok(world.services.repair.shardScan().lacking.get(by)?.includes(1))
  world.devices.meddle = () => undefined
  await world.settle()
  assert.equal(world.stateOf(by), "active")
  await assertWhole(world, bodies, "with space")
})

test("the riskiest partitions come first", async () => {
  const world = await open("ec:4+2")
  const bodies: Bodies = new Map()
  await putSome(world, bodies, 30)
  await world.settle()
  world.takeOffline(deviceOf(1))
  await putSome(world, bodies, 10, "degraded")
  world.bringBack(deviceOf(1))
  await world.replace(deviceOf(2), 81)
  const order: string[] = []
  world.devices.meddle = (what, id) => void (what === "append" ? order.push(`${id.uploadId} ${id.block}`) : undefined)
  await world.settle()
  // Blocks written without the first device lack two shards now, the others one.
  const counts = new Map<string, number>()
  for (const name of order) counts.set(name, (counts.get(name) ?? 0) + 1)
  const lackedTwo = order.map(name => counts.get(name) === 2)
  assert.ok(lackedTwo.includes(true) && lackedTwo.includes(false))
  assert.ok(lackedTwo.lastIndexOf(true) < lackedTwo.indexOf(false), "those with two missing shards were first")
})

test("a paused repair does nothing, and its report shows the progress", async () => {
  const world = await open("ec:2+1")
  const bodies: Bodies = new Map()
  await putSome(world, bodies, 20)
  await world.replace(deviceOf(1), 82)
  const { repair } = world.services
  repair.pause()
  assert.equal(await repair.step(noSignal), "idle")
  assert.equal(repair.report().partitionsScanned, 0)
  repair.resume()
  while (repair.report().partitionsScanned < PARTITIONS) await repair.step(noSignal)
  const { remainingBytes, partitionsRemaining } = repair.report().mending
  assert.ok(remainingBytes > 0 && partitionsRemaining > 0)
  await world.settle()
  const { mending } = repair.report()
  assert.deepEqual(mending, {
    doneBytes: remainingBytes,
    remainingBytes: 0,
    partitionsDone: partitionsRemaining,
    partitionsRemaining: 0,
  })
})

test("unreadable blocks are reported, and do not keep other blocks from being repaired", async () => {
  const world = await open("ec:2+1")
  const bodies: Bodies = new Map()
  await putSome(world, bodies, 4)
  const lost: DeviceId[] = [deviceOf(1), deviceOf(2)]
  for (const [i, id] of lost.entries()) await world.replace(id, 90 + i)
  await world.settle()
  while ((await world.job("integrity-audit").step(noSignal)) === "busy") continue
  assert.ok(world.services.integrityAudit.report().blocks > 0)
  assert.deepEqual(world.services.repair.shardScan().misplacedBlocks, [])
  await putSome(world, bodies, 2, "after")
  await assertAll(world, new Map([...bodies].filter(([key]) => key.startsWith("after"))), "new ones")
  assert.equal(shardCount(world.policy), 3)
})

test("blocks that waited for the collector during a scan are known to be gone some time later", async () => {
  const world = await open("ec:2+2")
  const bodies: Bodies = new Map()
  await putSome(world, bodies, 10)
  await world.settle()
  world.policy = parsePolicy("ec:2+1")
  world.policyVersion += 1
  await world.settle("reencode")
  await world.clock.advance(REPAIR_LIMITS.reencodedQuietMs)
  await world.settle()
  const { repair } = world.services
  assert.equal(repair.shardScan().policies.length, 2, "the replaced blocks still exist")
  await world.settle("collector")
  await world.clock.advance(2 * REPAIR_LIMITS.reencodedQuietMs)
  await world.settle()
  assert.deepEqual(
    repair.shardScan().policies.map(({ policy }) => policy),
    [world.policy],
  )
})

test("soon after re-encoding the location of all shards is known", async () => {
  const world = await open("ec:2+2")
  const bodies: Bodies = new Map()
  await putSome(world, bodies, 10)
  await world.settle()
  world.policy = parsePolicy("ec:2+1")
  world.policyVersion += 1
  for (const job of ["reencode", "collector"]) await world.settle(job)
  await world.clock.advance(REPAIR_LIMITS.reencodedQuietMs)
  await world.settle()
  const { policies, misplacedBlocks } = world.services.repair.shardScan()
  const bytes = [...bodies.values()].reduce((sum, body) => sum + body.length, 0)
  assert.deepEqual(policies, [{ policy: world.policy, bytes }])
  assert.deepEqual(misplacedBlocks, [])
})

for (const text of ["ec:2+2", "replica:3"]) {
  test(`${text}: rot beyond repair is reported by block and object, and repair becomes idle`, async () => {
    const world = await open(text, 5)
    const bodies: Bodies = new Map()
    await putSome(world, bodies, 12)
    await world.settle()
    const callRoll = async () => {
      while ((await world.job("integrity-audit").step(noSignal)) === "busy") continue
    }
    const [first, second, third] = world.layouts.current.devices
    for (const id of [first, second]) world.takeOffline(must(id, "a device"))
    await world.settle()
    await callRoll()
    const fresh = new Set<string>()
    world.devices.meddle = (what, id, device) => {
      if (device !== third) return
      if (what === "append") fresh.add(needleKeyOf(id))
      else if (!fresh.has(needleKeyOf(id))) throw fail("corruptNeedle")
    }
    const lost = new Set<string>()
    const readAll = async () => {
      for (const key of bodies.keys()) await world.get(key).catch(() => lost.add(key))
    }
    await readAll()
    assert.ok(lost.size > 0 && lost.size < bodies.size, "some are lost")
    await world.settle()
    const { integrityAudit } = world.services
    const reported = () =>
      [new Set(integrityAudit.objects().first.map(({ key }) => key)), integrityAudit.report().blocks] as const
    const [objects, blocks] = reported()
    assert.deepEqual(objects, lost, "without waiting for a walk")
    // A reader stops at the first lost block of an object; a visit has checked those that readers found.
    await callRoll()
    assert.equal(integrityAudit.report().blocks, blocks)
    const shardScan = world.services.repair.shardScan()
    for (const [id, flags] of shardScan.lacking)
      if (id === third)
        assert.ok(
          !flags.includes(1),
          "blocks that cannot be rebuilt do not mark the rest of their partition as lacking",
        )
    // Further readers change nothing: repair has nothing to do.
    const hints = world.tablet.rows("missingShardHints")
    assert.ok(hints > 0, "damaged shards are known after a restart")
    let written = 0
    world.tablet.before = name => void (written += name === "NoteDamages" || name === "RecordHints" ? 1 : 0)
    await readAll()
    const steps = await world.settle()
    assert.deepEqual([steps, written, world.tablet.rows("missingShardHints")], [1, 0, hints], "repair is idle")
  })
}
