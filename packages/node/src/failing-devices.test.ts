/** Failing devices of a running store: the store continues without them, and the control record shows it. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { objectKeyOfText, rowKeyOf } from "@hayloft/base/ids.js"
import { must } from "@hayloft/base/assert.js"
import { ALL_NEEDLES } from "@hayloft/engine/block/index.js"
import { decodeNeedlePlace, needleIdOfKey } from "@hayloft/engine/format/needles/needle.js"
import { fail, isFailure } from "@hayloft/base/failures.js"
import { KIB } from "@hayloft/base/limits.js"
import type { StepOutcome } from "@hayloft/base/life/index.js"
import type { Bucket } from "@hayloft/objects/index.js"
import { failing, fails, inTurn, FaultyDevice } from "@hayloft/base/seams/disk/index.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import type { Engine } from "./engine.js"
import { FIRST_TABLET } from "./metadata/first-tablet.js"
import { bytesOf, createBucket, folderOf, Machine, noSignal, sourceOf } from "./testing-engine.js"
import { parsePolicy } from "@hayloft/base/policy.js"
import { setPolicy, tabletOf } from "@hayloft/engine/cluster/index.js"
import { removeDevice } from "@hayloft/engine/cluster/testing-changes.js"

/** How long a device may delay a request. */
const STALL_MS_MAX = 5_000
/** How long a failed write may stay unknown to the control record. */
const REPORTED_MS_MAX = 200
const ALL = { start: rowKeyOf("\x00"), end: rowKeyOf("\xff") }
const SIZES = [1 * KIB, 200 * KIB]

/** A store whose background work runs in virtual time. */
class Scene {
  private readonly life = new AbortController()
  private ended: Promise<unknown> = Promise.resolve()

  private constructor(
    readonly machine: Machine,
    readonly engine: Engine,
    readonly bucket: Bucket,
  ) {}

  static async open(devices: number): Promise<Scene> {
    const machine = new Machine({ devices })
    const engine = await machine.open()
    return new Scene(machine, engine, await createBucket(engine)).begin()
  }

  private begin(): this {
    this.ended = Promise.all(this.engine.backgroundServices.map(service => service.run(this.life.signal)))
    return this
  }

  /** The next process incarnation. */
  async restart(): Promise<Scene> {
    await this.end()
    return new Scene(this.machine, await this.machine.open(), this.bucket).begin()
  }

  /** Waits in virtual time; returns the time passed. */
  async timed(promise: Promise<unknown>): Promise<number> {
    const { clock } = this.machine
    const begunMs = clock.monotonicMs()
    await clock.runUntil(promise)
    return clock.monotonicMs() - begunMs
  }

  put(name: string, bytes: Uint8Array): Promise<unknown> {
    const given = {
      key: objectKeyOfText(name),
      attributes: { headers: {}, userMetadata: [] },
      tags: [],
      conditions: {},
      signal: noSignal,
    }
    return this.engine.services.objects.put({ ...given, bucket: this.bucket, body: sourceOf(bytes) })
  }

  async get(name: string, engine = this.engine): Promise<Buffer> {
    return bytesOf(
      await engine.services.objects.get({ bucket: this.bucket, key: objectKeyOfText(name), conditions: {} }),
    )
  }

  async expect(name: string, bytes: Uint8Array, engine = this.engine): Promise<void> {
    assert.deepEqual(await this.machine.clock.runUntil(this.get(name, engine)), bytes)
  }

  states(): readonly string[] {
    return this.engine.recordManager.record.devices.map(device => device.state)
  }

  replicas(): readonly string[] {
    return tabletOf(this.engine.recordManager.record, FIRST_TABLET).replicas.map(replica => replica.id.slice(-1))
  }

  /** Waits until the store has added new metadata replicas. */
  async settleReplicas(): Promise<void> {
    for (let steps = 0; steps < 1_000; steps += 1) {
      const outcome = await this.machine.clock.runUntil(this.engine.control.step())
      if (outcome === "idle") return
      await this.machine.clock.advance(100)
    }
    assert.fail("the members do not settle")
  }

  /** Runs a job until it has no work left. */
  async stepUntilIdle(name: string, ends: readonly StepOutcome[] = ["idle", "done"]): Promise<void> {
    const job = must(
      this.engine.jobs.find(each => each.name === name),
      "there is such a job",
    )
    for (let steps = 0; steps < 10_000; steps += 1) {
      const outcome = await this.machine.clock.runUntil(job.step(noSignal))
      if (ends.includes(outcome)) return
      await this.machine.clock.advance(100)
    }
    assert.fail(`${name} does not come to an end: ${job.progress()}`)
  }

  async end(): Promise<void> {
    this.life.abort()
    await this.machine.clock.runUntil(this.ended)
    await this.machine.clock.runUntil(this.engine.stop())
  }
}

const bodyOf = (name: string, lengthBytes: number): Buffer => Buffer.alloc(lengthBytes, name)

test("a failing log takes its device offline without losing writes or refusing later ones; another device becomes a metadata replica", async () => {
  const scene = await Scene.open(4)
  assert.deepEqual(scene.replicas(), ["1", "2", "3"])
  for (const size of SIZES) await scene.timed(scene.put(`before ${size}`, bodyOf("b", size)))
  scene.machine.disk.intercept(failing({ kind: "write", nth: 1, pathPart: "/d1/log", code: "EIO", forEver: true }))
  for (const size of SIZES) {
    const stalledMs = await scene.timed(scene.put(`after ${size}`, bodyOf("a", size)))
    assert.ok(stalledMs < STALL_MS_MAX, `${stalledMs} ms`)
  }
  assert.deepEqual(scene.states(), ["offline", "active", "active", "active"])
  assert.deepEqual(scene.replicas(), ["2", "3"])
  await scene.settleReplicas()
  assert.deepEqual(scene.replicas(), ["2", "3", "4"])
  for (const size of SIZES) await scene.timed(scene.put(`learned ${size}`, bodyOf("l", size)))
  scene.machine.disk.kill()
  const engine = await scene.machine.open()
  for (const size of SIZES) {
    await scene.expect(`before ${size}`, bodyOf("b", size), engine)
    await scene.expect(`after ${size}`, bodyOf("a", size), engine)
    await scene.expect(`learned ${size}`, bodyOf("l", size), engine)
  }
})

test("a device with a corrupt shard can be removed: nothing waits for shards that cannot be moved", async () => {
  const scene = await Scene.open(4)
  const { engine, machine } = scene
  // A policy that three devices can keep, so that no block is re-encoded.
  await scene.timed(engine.control.change("policy", record => setPolicy(record, parsePolicy("ec:2+1"), [])))
  for (let i = 0; i < 6; i += 1) await scene.timed(scene.put(`object ${i}`, bodyOf("o", 200 * KIB)))
  const leaver = must(engine.devices[3], "four devices")
  const { id } = leaver.place
  const [found] = leaver.volumes.indexed(ALL_NEEDLES)
  leaver.volumes.markSuspect([needleIdOfKey(must(found, "it has shards").key)])
  await scene.timed(engine.control.change("remove", record => removeDevice(record, id, [], machine.clock.wallMs())))
  for (let rounds = 0; rounds < 10 && engine.recordManager.record.devices.length === 4; rounds += 1) {
    for (const job of ["repair", "reencode", "collector"]) await scene.stepUntilIdle(job)
    await scene.settleReplicas()
  }
  assert.equal(engine.recordManager.record.devices.length, 3, "it has left")
  for (let i = 0; i < 6; i += 1) await scene.expect(`object ${i}`, bodyOf("o", 200 * KIB))
  await scene.end()
})

test("a start continues without a device that is too full to be opened, but not without too many", async () => {
  const scene = await Scene.open(4)
  for (const size of SIZES) await scene.timed(scene.put(`before ${size}`, bodyOf("b", size)))
  scene.machine.disk.kill()
  const full = (folder: string) =>
    failing({ kind: "open", nth: 1, pathPart: `${folder}/log/`, code: "ENOSPC", forEver: true })
  scene.machine.disk.intercept(inTurn(full("/d1"), full("/d2"), full("/d3")))
  await assert.rejects(scene.machine.open(), error => isFailure(error, "deviceFull"))
  scene.machine.disk.kill()
  scene.machine.disk.intercept(full("/d2"))
  const engine = await scene.machine.open()
  assert.deepEqual(
    engine.recordManager.record.devices.map(({ state }) => state),
    ["active", "offline", "active", "active"],
  )
  for (const size of SIZES) await scene.expect(`before ${size}`, bodyOf("b", size), engine)
})

test("a device that hangs delays no request for long, and is taken offline", async () => {
  const scene = await Scene.open(4)
  for (const size of SIZES) await scene.timed(scene.put(`before ${size}`, bodyOf("b", size)))
  const faulty = new FaultyDevice(scene.machine.clock, new SimRandom(1), { folder: "/d2" })
  scene.machine.disk.intercept(faulty.intercept)
  faulty.become("hung")
  for (const size of SIZES) {
    const stalledMs = await scene.timed(scene.put(`after ${size}`, bodyOf("a", size)))
    assert.ok(stalledMs < STALL_MS_MAX, `a write of ${size} bytes took ${stalledMs} ms`)
    const readMs = await scene.timed(scene.get(`before ${size}`))
    assert.ok(readMs < STALL_MS_MAX, `a read of ${size} bytes took ${readMs} ms`)
  }
  assert.deepEqual(scene.states(), ["active", "offline", "active", "active"])
  await scene.settleReplicas()
  assert.deepEqual(scene.replicas(), ["1", "3", "4"])
})

test("a device whose write has failed is offline 200 ms later, whenever that was", async () => {
  for (const sinceSecondMs of [50, 500, 850]) {
    const scene = await Scene.open(4)
    const { clock, disk } = scene.machine
    await clock.advance(1_000 + sinceSecondMs - (clock.monotonicMs() % 1_000))
    let failedMs = Infinity
    const fault = failing({ kind: "write", nth: 1, pathPart: "/d4/volumes", code: "EIO", forEver: true })
    disk.intercept(call => {
      try {
        return fault(call)
      } catch (error) {
        failedMs = Math.min(failedMs, clock.monotonicMs())
        throw error
      }
    })
    await clock.runUntil(scene.put("key", bodyOf("k", 200 * KIB)))
    assert.ok(failedMs < Infinity)
    await clock.advance(Math.max(0, failedMs + REPORTED_MS_MAX - clock.monotonicMs()))
    assert.equal(scene.states()[3], "offline", `${sinceSecondMs} ms after the second`)
    await scene.end()
  }
})

test("two disks: one dies, writes continue with one copy; the last one is never taken offline", async () => {
  const scene = await Scene.open(2)
  scene.machine.disk.intercept(failing({ kind: "write", nth: 1, pathPart: "/d1/", code: "EIO", forEver: true }))
  for (const size of SIZES)
    await scene.timed(
      scene.put(`after ${size}`, bodyOf("a", size)).catch(() => scene.put(`after ${size}`, bodyOf("a", size))),
    )
  assert.deepEqual(scene.states(), ["offline", "active"])
  scene.machine.disk.intercept(failing({ kind: "write", nth: 1, pathPart: "/d", code: "EIO", forEver: true }))
  await assert.rejects(scene.machine.clock.runUntil(scene.put("lost", bodyOf("x", 10))))
  for (const size of SIZES) await scene.expect(`after ${size}`, bodyOf("a", size))
  assert.deepEqual(scene.states(), ["offline", "active"])
})

test("a metadata store with corrupt rows is discarded and learned again from the others", async () => {
  const scene = await Scene.open(3)
  for (const size of SIZES) await scene.timed(scene.put(`key ${size}`, bodyOf("k", size)))
  await scene.machine.clock.advance(10_000)
  scene.machine.rotTables(1)
  for (const size of SIZES) await scene.expect(`key ${size}`, bodyOf("k", size))
  await scene.settleReplicas()
  assert.deepEqual([...scene.replicas()].sort(), ["1", "2", "3"])
  assert.deepEqual(scene.states(), ["rebuilding", "active", "active"], "nobody has looked what it missed")
  await scene.stepUntilIdle("repair")
  assert.deepEqual(scene.states(), ["active", "active", "active"])
  for (const size of SIZES) await scene.expect(`key ${size}`, bodyOf("k", size))
  const [first] = scene.engine.devices.filter(({ place }) => place.path === "/d1")
  assert.deepEqual([...(first?.rows.range("current", ALL) ?? [])].length, SIZES.length, "the rows are there again")
  assert.ok([...(first?.rows.range("needles", ALL) ?? [])].length > 0, "and so is the index of the needles")
  await scene.end()
  scene.machine.disk.kill()
  const engine = await scene.machine.open()
  for (const size of SIZES) await scene.expect(`key ${size}`, bodyOf("k", size), engine)
})

test("a device that returns with a long obsolete log becomes a metadata replica", async () => {
  const first = await Scene.open(3)
  const { place } = must(first.engine.devices[0], "there are three")
  for (let i = 0; i < 300; i += 1) await first.timed(first.put(`key ${i}`, bodyOf("k", 3 * KIB)))
  await first.timed(first.engine.control.takeOffline(place.id, fail("deviceFailed")))
  first.machine.checkpointLimits = { logBytesMax: 300 * KIB }
  const scene = await first.restart()
  assert.deepEqual([...scene.replicas()].sort(), ["2", "3"])
  const stack = await scene.engine.bringIn(folderOf(place))
  assert.ok(stack.checkpointer.isOver(2) && stack.rows.memtableRows === 0)
  await scene.timed(scene.engine.control.bringIn(stack))
  await scene.settleReplicas()
  assert.deepEqual([...scene.replicas()].sort(), ["1", "2", "3"])
  await scene.end()
})

test("writes and removals during the rebuild of a metadata store are repaired immediately", async () => {
  const scene = await Scene.open(4)
  const { clock, disk } = scene.machine
  await scene.timed(scene.put("gone", bodyOf("g", 200 * KIB)))
  await scene.stepUntilIdle("repair")
  scene.engine.control.damaged(scene.engine.devices[3]?.place.id ?? assert.fail(), fail("corruptRow"))
  let built: () => void = () => undefined
  const building = new Promise<void>(resolve => (built = resolve))
  disk.intercept(call => (call.path.startsWith("/d4/volumes") ? building : undefined))
  const rebuilding = scene.engine.control.step()
  await clock.advance(1_000)
  await scene.timed(scene.put("young", bodyOf("y", 200 * KIB)))
  const gone = { bucket: scene.bucket, key: objectKeyOfText("gone"), conditions: {} }
  await scene.timed(scene.engine.services.objects.remove(gone))
  await scene.stepUntilIdle("collector")
  // It waits for the device, which lacks what is young.
  await scene.stepUntilIdle("repair", ["throttled"])
  disk.intercept(() => undefined)
  built()
  await clock.runUntil(rebuilding)
  await scene.settleReplicas()
  await scene.stepUntilIdle("repair")
  assert.deepEqual(scene.states(), ["active", "active", "active", "active"])
  const held = scene.engine.devices.map(({ rows }) => [...rows.range("needles", ALL)].length)
  assert.deepEqual(held, [4, 4, 4, 8], "what is young is whole")
  const { waitingBlocks } = scene.engine.services.orphans.report()
  assert.equal(waitingBlocks, 4, "what was removed meanwhile waits for a day")
  assert.deepEqual(
    [...must(scene.engine.tablet, "the devices keep the metadata").committed.range("missingShardHints", ALL)],
    [],
  )
})

test("a device that is removed while the record cannot be changed is marked as offline once it can", async () => {
  const scene = await Scene.open(4)
  const isRecord = (path: string): boolean => /^\/d[123]\/control/.test(path)
  scene.machine.disk.intercept(
    inTurn(failing({ kind: "write", nth: 1, pathPart: "/d4/volumes", code: "EIO", forEver: true }), call =>
      call.kind === "write" && isRecord(call.path) ? fails("ENOSPC")(call) : undefined,
    ),
  )
  await scene.timed(scene.put("key", bodyOf("k", 200 * KIB)))
  await scene.machine.clock.advance(1_000)
  assert.deepEqual([scene.engine.devices.length, scene.states()[3]], [3, "active"], "closed, and not out")
  scene.machine.disk.intercept(() => undefined)
  await scene.settleReplicas()
  assert.equal(scene.states()[3], "offline")
})

test("comparison finds replicas that differ, and the wrong one is rebuilt", async () => {
  const scene = await Scene.open(3)
  for (const size of SIZES) await scene.timed(scene.put(`key ${size}`, bodyOf("k", size)))
  await scene.machine.clock.advance(10_000)
  const base = await scene.machine.stores.openWriter("/d2/base", scene.machine.hostOf(2))
  const [lost] = [...base.range("current", ALL)]
  assert.ok(lost)
  await base.commit([{ family: "current", key: lost[0], value: undefined }])
  const find = () => scene.engine.devices.find(({ place }) => place.path === "/d2")
  await find()?.rows.prepare()
  find()?.rows.adopt()
  assert.equal([...(find()?.rows.range("current", ALL) ?? [])].length, SIZES.length - 1)
  const compare = scene.engine.jobs.find(({ name }) => name === "compare replicas")
  while ((await compare?.step(noSignal)) === "busy") continue
  await scene.settleReplicas()
  assert.equal([...(find()?.rows.range("current", ALL) ?? [])].length, SIZES.length)
  assert.deepEqual([...scene.replicas()].sort(), ["1", "2", "3"])
})

test("a scrub finds a corrupt shard that is never read, and repair rebuilds it", async () => {
  const scene = await Scene.open(4)
  const body = bodyOf("r", 200 * KIB)
  await scene.timed(scene.put("rotten", body))
  const stack = must(
    scene.engine.devices.find(({ place }) => place.path === "/d3"),
    "the device is open",
  )
  const [found] = [...stack.rows.range("needles", ALL)]
  const place = decodeNeedlePlace(must(found, "it has a needle")[1].value)
  const path = `/d3/volumes/${String(place.volume).padStart(10, "0")}.volume`
  scene.machine.disk.flipBit(path, 8 * (place.offsetBytes + place.headerBytes + 100))
  await stack.tending.scrub.startNow()
  await scene.stepUntilIdle("scrub")
  assert.equal(stack.tending.scrub.view.damagesFound, 1)
  await scene.stepUntilIdle("repair")
  await stack.tending.scrub.startNow()
  await scene.stepUntilIdle("scrub")
  assert.equal(stack.tending.scrub.view.damagesFound, 1, "a second pass finds nothing")
  assert.ok(stack.tending.scrub.view.oldestVerifiedMs > 0)
  await scene.expect("rotten", body)
})

/** Some devices stop answering for a time, while objects are written. */
async function stall(
  scene: Scene,
  folders: readonly string[],
  stallMs: number,
  atItsEnd: () => void = () => undefined,
): Promise<readonly unknown[]> {
  const { clock, disk } = scene.machine
  const hung = folders.map(folder => new FaultyDevice(clock, new SimRandom(1), { folder }))
  disk.intercept(inTurn(...hung.map(({ intercept }) => intercept)))
  for (const device of hung) device.become("hung")
  const puts = SIZES.map(size => scene.put(`during ${size}`, bodyOf("d", size)))
  const settled = Promise.allSettled(puts)
  await clock.advance(stallMs)
  atItsEnd()
  for (const device of hung) device.become("well")
  const failures: unknown[] = []
  for (const each of await clock.runUntil(settled)) if (each.status === "rejected") failures.push(each.reason)
  return failures
}

for (const [devices, folders, stallMs] of [
  [1, ["/d1"], 600_000],
  [3, ["/d1", "/d2", "/d3"], 6_000],
  [3, ["/d1", "/d2", "/d3"], 600_000],
  [3, ["/d1", "/d2"], 60_000],
  [6, ["/d1", "/d2", "/d3", "/d4", "/d5", "/d6"], 60_000],
] as const) {
  test(`${folders.length} of ${devices} devices stop answering for ${stallMs / 1_000} s: one stall, which ends by itself`, async () => {
    const scene = await Scene.open(devices)
    for (const size of SIZES) await scene.timed(scene.put(`before ${size}`, bodyOf("b", size)))
    assert.deepEqual(
      await stall(scene, folders, stallMs, () => assert.match(String(scene.engine.stalled), /answer/)),
      [],
    )
    assert.equal(scene.engine.stalled, undefined)
    for (const size of SIZES) await scene.timed(scene.put(`after ${size}`, bodyOf("a", size)))
    assert.deepEqual(new Set(scene.states()), new Set(["active"]), "no device was taken offline")
    for (const size of SIZES) {
      for (const name of ["before", "during", "after"])
        await scene.expect(`${name} ${size}`, bodyOf(name.slice(0, 1), size))
    }
    await scene.end()
  })
}

test("devices that recover slowly from a stall are not given up one by one", async () => {
  const scene = await Scene.open(3)
  const { clock, disk } = scene.machine
  const [d1, d2, d3] = ["/d1", "/d2", "/d3"].map(
    (folder, i) => new FaultyDevice(clock, new SimRandom(i), { folder, slowMs: 2_000 + 1_500 * i }),
  )
  assert.ok(d1 && d2 && d3)
  disk.intercept(inTurn(d1.intercept, d2.intercept, d3.intercept))
  for (const device of [d1, d2, d3]) device.become("hung")
  const puts = Promise.allSettled(SIZES.map(size => scene.put(`during ${size}`, bodyOf("d", size))))
  await clock.advance(8_000)
  for (const device of [d1, d2, d3]) device.become("slow")
  const outcomes = await clock.runUntil(puts)
  assert.deepEqual(new Set(outcomes.map(({ status }) => status)), new Set(["fulfilled"]))
  // The slowest needs longer for a change of the record than one call may take.
  await scene.timed(scene.engine.control.change("policy", record => setPolicy(record, parsePolicy("ec:2+1"), [])))
  for (const device of [d1, d2, d3]) device.become("well")
  assert.deepEqual(scene.states(), ["active", "active", "active"])
  for (const size of SIZES) await scene.expect(`during ${size}`, bodyOf("d", size))
  await scene.end()
})

test("half of the devices stop answering: given up after a while, since the others can go on", async () => {
  const scene = await Scene.open(4)
  await scene.timed(scene.engine.control.change("policy", record => setPolicy(record, parsePolicy("ec:2+2"), [])))
  const { clock, disk } = scene.machine
  const hung = ["/d3", "/d4"].map(folder => new FaultyDevice(clock, new SimRandom(1), { folder }))
  disk.intercept(inTurn(...hung.map(({ intercept }) => intercept)))
  for (const device of hung) device.become("hung")
  const put = () => scene.put("during", bodyOf("d", 200 * KIB))
  // A block under way had places on both.
  const tookMs = await scene.timed(put().catch(put))
  assert.ok(tookMs > 29_000 && tookMs < 40_000, `${tookMs} ms`)
  assert.deepEqual(scene.states(), ["active", "active", "offline", "offline"])
  await scene.expect("during", bodyOf("d", 200 * KIB))
  await scene.end()
})

test("one device that stops answering for 6 s among others is taken offline, as it fails alone", async () => {
  const scene = await Scene.open(3)
  await stall(scene, ["/d2"], 6_000)
  assert.deepEqual(scene.states(), ["active", "offline", "active"])
  await scene.end()
})

test("while devices that may return are offline, what they hold is unavailable, not lost", async () => {
  const scene = await Scene.open(4)
  await scene.timed(scene.put("key", bodyOf("k", 200 * KIB)))
  for (const id of scene.engine.devices.slice(1).map(({ place }) => place.id)) {
    await scene.timed(scene.engine.control.takeOffline(id, fail("deviceFailed")))
  }
  assert.equal(scene.engine.devices.length, 1)
  await assert.rejects(scene.machine.clock.runUntil(scene.get("key")), error => isFailure(error, "deviceFailed"))
  assert.match(String(scene.engine.outOfReach), /only 1 of 4 devices/)
  await scene.end()
})
