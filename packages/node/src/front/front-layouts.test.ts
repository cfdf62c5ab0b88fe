/** Fronts write while devices and the redundancy change: all shards land where they belong, and every change ends. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { must } from "@hayloft/base/assert.js"
import { fail, isFailure } from "@hayloft/base/failures.js"
import { parseDeviceId } from "@hayloft/base/ids.js"
import { KIB } from "@hayloft/base/limits.js"
import { parsePolicy, textOfPolicy } from "@hayloft/base/policy.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { TEST_SEED } from "@hayloft/base/testing-seed.js"
import { ALL_NEEDLES } from "@hayloft/engine/block/index.js"
import { addDevice, setPolicy } from "@hayloft/engine/cluster/index.js"
import type { StoreServices } from "@hayloft/features/index.js"
import { folderOf, Machine } from "../testing-engine.js"
import { FrontWorld } from "./testing-fronts.js"
import { removeDevice } from "@hayloft/engine/cluster/testing-changes.js"

const random = new SimRandom(TEST_SEED)
const POLICY = "ec:2+1"
const WRITES = 6

async function opened(devices: number) {
  const world = await FrontWorld.withBucket(new Machine({ devices }), TEST_SEED)
  await change(world, POLICY)
  return world
}

const change = ({ engine }: FrontWorld, policy: string) =>
  engine.control.change("policy", record => setPolicy(record, parsePolicy(policy), []))

/**
 * Writes one object after another; returns them once all are answered. A block of `2+1` needs all its shards: one whose
 * device goes offline meanwhile is refused, and written again, as clients do.
 */
async function writing(world: FrontWorld, services: StoreServices, name: string) {
  const written = new Map<string, Buffer>()
  for (let at = 0; at < WRITES; at += 1) {
    const [key, body] = [`${name} ${at}`, Buffer.from(random.bytes(1 + random.below(300 * KIB)))]
    await world.putting(services, key, body).catch((error: unknown) => {
      if (!isFailure(error, "deviceFailed")) throw error
      return world.putting(services, key, body)
    })
    written.set(key, body)
  }
  return written
}

/** Each object is read by one of them. */
async function assertReadable(world: FrontWorld, services: readonly StoreServices[], written: Map<string, Buffer>) {
  for (const [key, body] of written) {
    const reader = must(services[random.below(services.length)], "there is one")
    assert.ok(body.equals(await world.get(reader, key)), key)
  }
}

/** Each object is whole without any one of the devices. */
async function assertRedundant(world: FrontWorld, services: StoreServices, written: Map<string, Buffer>) {
  for (const { place } of [...world.engine.devices]) {
    await world.run(world.engine.control.takeOffline(place.id, fail("deviceFailed")))
    await world.machine.clock.advance(1_000)
    await assertReadable(world, [services], written)
    const stack = await world.run(world.engine.bringIn(folderOf(place)))
    await world.run(world.engine.control.bringIn(stack))
    await world.settle("replicas", "repair")
  }
}

test("a device that is added while fronts write gets its share of all objects", async () => {
  const world = await opened(3)
  const { engine, machine } = world
  const fronts = await world.begins(3)
  const services = [engine.services, ...fronts.map(front => front.services)]
  const before = Promise.all(services.map((each, at) => writing(world, each, `before ${at}`)))
  await machine.clock.advance(3)
  const [id, path] = [parseDeviceId("f".repeat(16)), "/d9"]
  const { incarnation } = must(engine.devices[0], "there are three").place
  const stack = await world.run(engine.bringIn(folderOf({ id, path, incarnation })))
  const device = { id, pathHint: path, isMountPoint: true, capacityBytes: 0 }
  const nowMs = machine.clock.wallMs()
  await world.run(engine.control.change("add", record => addDevice(record, device, undefined, [], nowMs)))
  const written = new Map((await world.run(before)).flatMap(some => [...some]))
  const after = await world.run(Promise.all(services.map((each, at) => writing(world, each, `after ${at}`))))
  for (const some of after) for (const [key, body] of some) written.set(key, body)
  await world.settle("replicas", "repair", "reencode", "collector", "repair")
  assert.equal(engine.recordManager.record.previousLayout, undefined)
  assert.ok([...stack.volumes.indexed(ALL_NEEDLES)].length > 0, "it has some of them")
  await assertReadable(world, services, written)
  await assertRedundant(world, must(services[1], "a front"), written)
  await world.close()
})

/** Steps the jobs for a while; returns true if shards still move. */
async function isMoving(world: FrontWorld): Promise<boolean> {
  for (let steps = 0; steps < 20; steps += 1) {
    for (const job of ["repair", "reencode"]) await world.run(world.step(job))
    await world.machine.clock.advance(100)
  }
  return world.engine.recordManager.record.previousLayout !== undefined
}

/** The store's last device gives its shards to the others. */
async function removing(world: FrontWorld) {
  const { engine, machine } = world
  const { id } = must(engine.devices.at(-1), "there are devices").place
  await world.run(engine.control.change("remove", record => removeDevice(record, id, [], machine.clock.wallMs())))
}

async function assertRemoved(world: FrontWorld, readers: readonly StoreServices[], written: Map<string, Buffer>) {
  const { engine } = world
  for (let rounds = 0; rounds < 10 && engine.recordManager.record.devices.length === 4; rounds += 1)
    await world.settle("repair", "reencode", "collector", "replicas")
  assert.equal(engine.recordManager.record.devices.length, 3)
  await assertReadable(world, readers, written)
  await assertRedundant(world, must(readers[0], "there is one"), written)
}

test("a new redundancy holds for what fronts write from then on, and in the end for everything", async () => {
  const world = await opened(5)
  const fronts = await world.begins(3)
  const services = [world.engine.services, ...fronts.map(front => front.services)]
  const written = new Map<string, Buffer>()
  for (const policy of ["replica:3", "ec:2+1"]) {
    const writes = Promise.all(services.map((each, at) => writing(world, each, `${policy} ${at}`)))
    await world.machine.clock.advance(random.below(10))
    await world.run(change(world, policy))
    for (const some of await world.run(writes)) for (const [key, body] of some) written.set(key, body)
    await world.settle("replicas", "repair", "reencode", "collector", "repair")
    const policies = world.engine.devices.flatMap(({ volumes }) =>
      Array.from(volumes.indexed(ALL_NEEDLES), ({ shape }) => textOfPolicy(must(shape, "it is indexed").policy)),
    )
    assert.deepEqual([...new Set(policies)], [policy])
    assert.equal(world.engine.recordManager.record.previousLayout, undefined)
    await assertReadable(world, services, written)
  }
  await world.close()
})

test("a device that goes offline and returns while fronts write lacks nothing afterwards", async () => {
  const world = await opened(4)
  const fronts = await world.begins(3)
  const services = [world.engine.services, ...fronts.map(front => front.services)]
  const { place } = must(world.engine.devices[1], "there are four")
  const before = Promise.all(services.map((each, at) => writing(world, each, `before ${at}`)))
  await world.machine.clock.advance(3)
  await world.run(world.engine.control.takeOffline(place.id, fail("deviceFailed")))
  const written = new Map((await world.run(before)).flatMap(some => [...some]))
  await assertReadable(world, services, written)
  const during = Promise.all(services.map((each, at) => writing(world, each, `after ${at}`)))
  await world.machine.clock.advance(3)
  const stack = await world.run(world.engine.bringIn(folderOf(place)))
  await world.run(world.engine.control.bringIn(stack))
  for (const some of await world.run(during)) for (const [key, body] of some) written.set(key, body)
  await world.settle("replicas", "damage-notes", "repair", "collector")
  assert.deepEqual(
    world.engine.recordManager.record.devices.map(({ state }) => state),
    ["active", "active", "active", "active"],
  )
  await assertReadable(world, services, written)
  await assertRedundant(world, must(services[1], "a front"), written)
  await world.close()
})

for (const end of ["follows", "ends"] as const) {
  test(`shards move to a new layout only once a front that does not read ${end}`, async () => {
    const world = await opened(4)
    const [held, other] = await world.begins(2)
    assert.ok(held && other)
    const written = await world.run(writing(world, other.services, "before"))
    const goOn = held.hold()
    await removing(world)
    const others = writing(world, other.services, "meanwhile")
    assert.ok(await isMoving(world), "a front has not followed")
    for (const [key, bytes] of await world.run(others)) written.set(key, bytes)
    if (end === "ends") held.die()
    else {
      goOn()
      const late = Buffer.from(random.bytes(200 * KIB))
      await world.put(held.services, "late", late)
      written.set("late", late)
    }
    assert.ok(!(await isMoving(world)), "nothing holds it up any more")
    await assertRemoved(world, [other.services, world.engine.services], written)
    await world.close()
  })

  test(`shards move only once a block that a front writes by the former layout is written, and the front ${end}`, async () => {
    const world = await opened(4)
    const { disk } = world.machine
    const [slow, other] = await world.begins(2)
    assert.ok(slow && other)
    const written = await world.run(writing(world, other.services, "before"))
    let letGo: () => void = () => undefined
    const gate = new Promise<void>(resolve => (letGo = resolve))
    disk.intercept(call => (call.kind === "write" && call.path.startsWith("/d1/volumes") ? gate : undefined))
    // Some of its blocks are on that device.
    const body = Buffer.from(random.bytes(600 * KIB))
    const outcome = world.putting(slow.services, "slow", body).then(
      () => "answered",
      () => "lost",
    )
    await world.machine.clock.advance(50)
    await removing(world)
    assert.ok(await isMoving(world), "a block is under way")
    if (end === "ends") {
      slow.die()
      assert.ok(await isMoving(world), "its block is under way all the same")
    }
    letGo()
    disk.intercept(() => undefined)
    assert.equal(await world.run(outcome), end === "ends" ? "lost" : "answered")
    if (end === "follows") written.set("slow", body)
    assert.ok(!(await isMoving(world)), "nothing holds it up any more")
    await assertRemoved(world, [other.services, world.engine.services], written)
    await world.close()
  })
}
