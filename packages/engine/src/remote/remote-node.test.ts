/** One remote node: hints, questions that share a call, deadlines, memory, and answers that are wrong. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { must } from "@hayloft/base/assert.js"
import { asFailure, isFailure, type Failure } from "@hayloft/base/failures.js"
import { parseDeviceId, type DeviceId } from "@hayloft/base/ids.js"
import { KIB, MIB } from "@hayloft/base/limits.js"
import { asPromise } from "@hayloft/base/soon.js"
import type { ShardDevice } from "../block/contract.js"
import { ALL_NEEDLES, type ShardStore } from "../block/index.js"
import { distant } from "../block/testing-blocks.js"
import { PartitionSet } from "../format/nodes/shard-calls.js"
import type { RpcAnswer } from "../rpc/contract.js"
import { bytesBody, RPC_LIMITS, RpcMetrics, RpcServer, type RpcMethod } from "../rpc/index.js"
import { SimClock } from "@hayloft/base/seams/clock/sim.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { waitIfSlow, type Needle } from "../volume/contract.js"
import { needleFor } from "../volume/testing-volumes.js"
import { REMOTE_LIMITS, RemoteNode, type RemoteLimits } from "./index.js"
import { METHODS } from "./methods.js"
import { DamagedDevice } from "./suite.js"
import { HERE, NodeWorld, OWN, type FarNode } from "./testing-remote.js"

const random = new SimRandom(4)
const idOf = (number: number): DeviceId => parseDeviceId(number.toString(16).padStart(16, "0"))

interface Far {
  readonly world: NodeWorld
  readonly node: FarNode
  readonly store: ShardStore
  readonly device: ShardDevice
}

/** A node with one real device, whose store may be changed. */
async function far(
  limits: Partial<RemoteLimits> = {},
  change: (store: ShardStore) => Partial<ShardStore> = () => ({}),
): Promise<Far> {
  const world = new NodeWorld(new SimClock(), new SimRandom(3), { ...REMOTE_LIMITS, ...limits })
  const damaged = new DamagedDevice()
  const store = distant(await damaged.open())
  const node = await world.add("far", [{ id: damaged.id, volumes: { ...store, ...change(store) }, isWritable: true }])
  const device = node.remote.shardsOf(damaged.id)
  await world.clock.advance(100)
  return { world, node, device, store: device.volumes }
}

const failureOf = async (world: NodeWorld, work: () => unknown): Promise<Failure> =>
  world.run(
    asPromise(async () => work()).then(
      () => assert.fail("it did not fail"),
      (error: unknown) => asFailure(error),
    ),
  )

test("questions of one turn go out as one call, also about several devices", async () => {
  const { world, node, store } = await far()
  const [other] = [node.remote.shardsOf(idOf(77)).volumes]
  const needles = Array.from({ length: 200 }, (_, i) => needleFor(i, 64, random))
  await world.run(Promise.all(needles.slice(0, 100).map(needle => store.append(needle))))
  const before = world.calls("has")
  const answers = await world.run(
    Promise.all([
      ...needles.map(({ id }) => Promise.resolve(store.has(id))),
      Promise.resolve(other.has(must(needles[0], "200").id)).catch((error: unknown) => asFailure(error).kind),
    ]),
  )
  assert.equal(world.calls("has") - before, 1)
  assert.deepEqual(answers, [...needles.map((_, i) => i < 100), "deviceFailed"])
  const many = Array.from({ length: 2_500 }, (_, i) => Promise.resolve(store.has(needleFor(i % 50, 0, random).id)))
  assert.ok((await world.run(Promise.all(many))).every(Boolean))
  assert.equal(world.calls("has") - before, 4)
  await world.close()
})

test("a device that is not open on the node fails, and only that one", async () => {
  const { world, node, device } = await far()
  const { volumes, ...other } = node.remote.shardsOf(idOf(77))
  const needle = needleFor(1, 64, random)
  assert.equal(other.isWritable, false)
  for (const work of [
    () => volumes.append(needle),
    () => volumes.read(needle.id, { offsetBytes: 0, lengthBytes: 1 }, waitIfSlow),
    () => volumes.fetch(needle.id, 64, length => new Uint8Array(length)),
    () => volumes.headerOf(needle.id),
    () => volumes.remove([needle.id]),
    () => volumes.markSuspect([needle.id]),
    () => volumes.indexed(ALL_NEEDLES, 5),
  ]) {
    const failure = await failureOf(world, work)
    assert.equal(failure.kind, "deviceFailed")
    assert.match(failure.message, /the device is not open on this node/)
  }
  assert.deepEqual([device.isWritable, node.remote.trouble], [true, undefined])
  assert.equal(node.remote.shardsOf(idOf(77)).volumes, volumes, "the same object")
  await world.close()
})

test("a node whose process has ended is not written to any more, although no call has failed", async () => {
  const { world, node, device } = await far()
  await world.clock.advance(3 * REMOTE_LIMITS.statesRetryMs)
  assert.equal(device.isWritable, true)
  await world.run(node.server.close())
  await world.clock.advance(REMOTE_LIMITS.statesEveryMs / 10)
  assert.equal(device.isWritable, false)
  await world.close()
})

test("after a missed deadline nothing is written to the node until it answers, and a silent node fails immediately", async () => {
  const { world, node, device, store } = await far()
  const needle = needleFor(1, 64, random)
  world.network.partition(["here"], ["far"])
  assert.deepEqual([device.isWritable, store.refusing], [true, undefined], "nobody has noticed yet")
  assert.equal((await failureOf(world, () => store.has(needle.id))).kind, "deviceFailed")
  assert.equal(device.isWritable, false)
  assert.equal(store.refusing?.kind, "deviceFailed")
  assert.ok(node.remote.trouble !== undefined)
  await world.clock.advance(10_000)
  const startedMs = world.clock.monotonicMs()
  const failure = await failureOf(world, () => store.append(needle))
  assert.deepEqual([failure.kind, failure.details["device"]], ["deviceFailed", device.id])
  assert.equal(world.clock.monotonicMs(), startedMs, "without a wait")
  world.network.healAll()
  await world.clock.advance(8_000)
  assert.deepEqual([device.isWritable, node.remote.trouble, store.refusing], [true, undefined, undefined])
  await world.run(store.append(needle))
  await world.close()
})

test("a call that fails makes the node be asked immediately, so that one bad call costs little", async () => {
  let isHanging = true
  const never = new Promise<never>(() => undefined)
  const { world, device, store } = await far({ deadlineMs: { client: 1_000, background: 1_000 } }, own => ({
    headerOf: async id => (isHanging ? never : own.headerOf(id)),
  }))
  const needle = needleFor(1, 64, random)
  await world.run(store.append(needle))
  assert.equal((await failureOf(world, () => store.headerOf(needle.id))).kind, "deviceFailed")
  assert.equal(device.isWritable, false)
  await world.clock.advance(REMOTE_LIMITS.statesRetryMs)
  assert.equal(device.isWritable, true, "the node answers")
  isHanging = false
  assert.equal((await world.run(store.headerOf(needle.id))).bodyBytes, 64)
  await world.close()
})

test("a device that is added to a node can be written within a round trip of its first use", async () => {
  const { world, node, device } = await far()
  const damaged = new DamagedDevice()
  const added = { id: idOf(78), volumes: distant(await damaged.open()), isWritable: true }
  const other = await world.add("other", [added])
  await world.clock.advance(3 * REMOTE_LIMITS.statesRetryMs)
  const late = { ...added, id: idOf(79) }
  other.devices.set(late.id, late)
  const { isWritable } = other.remote.shardsOf(late.id)
  await world.clock.advance(2 * REMOTE_LIMITS.statesRetryMs)
  assert.deepEqual([isWritable, other.remote.shardsOf(late.id).isWritable], [false, true])
  assert.deepEqual([device.isWritable, node.remote.trouble], [true, undefined])
  await world.close()
})

test("memory for shards is bounded, and a node that sends nothing delays others only until its deadline", async () => {
  let [now, most] = [0, 0]
  const limits = { servedBytesMax: { client: 256 * KIB, background: 64 * KIB } }
  const { world, node, store } = await far(limits, own => ({
    append: async needle => {
      most = Math.max(most, (now += needle.body.length))
      await world.clock.sleep(20, new AbortController().signal)
      await own.append(needle)
      now -= needle.body.length
    },
  }))
  const needles = Array.from({ length: 12 }, (_, i) => needleFor(i, 64 * KIB, random))
  await world.run(Promise.all(needles.map(needle => store.append(needle))))
  assert.equal(most, 128 * KIB, "the share of one device")
  // Another node announces shards and sends nothing.
  const stalled = world.peerOf("far", "other")
  const [stall] = needles
  const never = new Promise<never>(() => undefined)
  const calls = [0, 1].map(() => {
    const { id, owner, policy, blockLengthBytes, recoveryHeader, body, checksums } = must(stall, "12")
    const shape = { id, owner, policy, blockLengthBytes, recoveryHeader, checksums }
    const header = { kind: "shard", ...shape, bodyBytes: body.length } as const
    async function* pieces() {
      yield await never
    }
    const request = { deviceId: [...node.devices.keys()][0] ?? idOf(0), header, isUnhurried: false }
    const options = {
      callClass: "client",
      deadlineMs: 3_000,
      body: { lengthBytes: body.length, pieces: pieces() },
    } as const
    return stalled.call(METHODS.append, request, options).catch((error: unknown) => asFailure(error).kind)
  })
  await world.clock.advance(50)
  // It cannot say any more that it has given up.
  world.network.partition(["other"], ["far"])
  const startedMs = world.clock.monotonicMs()
  await world.run(store.append(must(needles[3], "12")))
  assert.ok(world.clock.monotonicMs() - startedMs < 4_000)
  assert.deepEqual(await world.run(Promise.all(calls)), ["indeterminate", "indeterminate"])
  await world.run(Promise.all(needles.map(needle => store.append(needle))))
  assert.equal(now, 0)
  stalled.close()
  await world.close()
})

test("a caller that gives up stops its calls: what waits for memory is not written", async () => {
  const appended: Needle[] = []
  let release = (): void => undefined
  const held = new Promise<void>(resolve => (release = resolve))
  const limits = {
    servedBytesMax: { client: 128 * KIB, background: 64 * KIB },
    deadlineMs: { client: 500, background: 60_000 },
  }
  const { world, store } = await far(limits, own => ({
    append: async needle => {
      appended.push(needle)
      await held
      await own.append(needle)
    },
  }))
  const needles = Array.from({ length: 4 }, (_, i) => needleFor(i, 64 * KIB, random))
  const outcomes = needles.map(needle =>
    asPromise(() => store.append(needle)).catch((error: unknown) => asFailure(error)),
  )
  for (const outcome of await world.run(Promise.all(outcomes))) assert.ok(isFailure(outcome, "deviceFailed"))
  await world.clock.advance(10)
  release()
  await world.clock.advance(1_000)
  assert.equal(appended.length, 1, "the first had the memory of the device")
  await world.close()
})

test("a node that reads nothing delays others only until its deadline", async () => {
  const { world, device, store } = await far({ servedBytesMax: { client: 4 * MIB, background: 4 * MIB } })
  const needle = needleFor(1, 2 * MIB, random)
  await world.run(store.append(needle))
  const other = world.peerOf("far", "other")
  const request = { deviceId: device.id, id: needle.id, bodyBytes: 2 * MIB, offsetBytes: 0, lengthBytes: 2 * MIB }
  const { body } = await world.run(other.call(METHODS.fetch, request, { callClass: "client", deadlineMs: 3_000 }))
  const startedMs = world.clock.monotonicMs()
  const fetched = await world.run(store.fetch(needle.id, 2 * MIB, length => new Uint8Array(length)))
  assert.ok(Buffer.from(needle.body).equals(fetched.body))
  const tookMs = world.clock.monotonicMs() - startedMs
  assert.ok(tookMs > 2_000 && tookMs < 4_000, `it waits for the memory of the device: ${tookMs}`)
  assert.equal((await failureOf(world, () => body.whole(2 * MIB))).kind, "peerUnreachable")
  other.close()
  await world.close()
})

test("memory for answers is free again once they are sent, or were not given", async () => {
  const limits = { servedBytesMax: { client: 256 * KIB, background: 64 * KIB } }
  const { world, store } = await far(limits)
  const needle = needleFor(1, 64 * KIB, random)
  await world.run(store.append(needle))
  const range = { offsetBytes: 0, lengthBytes: 64 * KIB }
  const memory = (length: number): Uint8Array => new Uint8Array(length)
  const missing = needleFor(2, 64, random).id
  for (let round = 0; round < 6; round += 1) {
    await world.run(Promise.all([1, 2, 3].map(() => asPromise(() => store.read(needle.id, range, waitIfSlow)))))
    await world.run(Promise.all([1, 2, 3].map(() => store.fetch(needle.id, 64 * KIB, memory))))
    await world.run(Promise.all([1, 2].map(() => asPromise(() => store.indexed(ALL_NEEDLES, 9)))))
    assert.equal((await failureOf(world, () => store.read(missing, range, waitIfSlow))).kind, "noSuchNeedle")
    assert.equal((await failureOf(world, () => store.fetch(missing, 64 * KIB, memory))).kind, "noSuchNeedle")
  }
  await world.close()
})

test("memory of a shard is not read after its append has settled, however the network fails", async () => {
  const { world, store } = await far({ deadlineMs: { client: 300, background: 300 } })
  for (let round = 0; round < 12; round += 1) {
    // The shorter one leaves in one write, of which the network holds only a part.
    const isShort = round % 2 === 0
    const needle = needleFor(round, isShort ? 400 * KIB : 1 * MIB, random)
    const good = Uint8Array.from(needle.body)
    const cut = (): void => world.network.cut("here", "far")
    const ends = [world.clock.alarm(round / 3, cut)]
    if (round % 3 === 1) ends.push(world.clock.alarm(50, () => world.network.dropAll()))
    if (isShort) cut()
    await world.run(
      store.append(needle).catch((error: unknown) => assert.ok(isFailure(error, "deviceFailed"), String(error))),
    )
    for (const end of ends) end()
    needle.body.fill(0xee)
    world.network.healAll()
    await world.clock.advance(25_000)
    if (await world.run(asPromise(() => store.has(needle.id)))) {
      const range = { offsetBytes: 0, lengthBytes: good.length }
      assert.ok(Buffer.from(good).equals(await world.run(asPromise(() => store.read(needle.id, range, waitIfSlow)))))
    }
  }
  const refused = { method: "append", class: "client", outcome: "malformedFrame" }
  assert.equal(world.telemetry.metric("hayloft_rpc_served_total", refused), 0)
  await world.close()
})

test("a page lists only the partitions that are wanted", async () => {
  const { world, node, device, store } = await far({ pageNeedlesMax: 2, pageSeeksMax: 3 })
  const needles = Array.from({ length: 30 }, (_, i) => needleFor(i, 64, random))
  await world.run(Promise.all(needles.map(needle => store.append(needle))))
  const partitions = needles.filter((_, i) => i % 3 === 0).map(({ id }) => id.partition)
  const { volumes } = node.remote.shardsOf(device.id)
  const listed = [...(await world.run(volumes.indexed(ALL_NEEDLES, Infinity, PartitionSet.of(partitions))))]
  assert.equal(listed.length, needles.filter(({ id }) => partitions.includes(id.partition)).length)
  await world.close()
})

/** A node whose answers are made up. */
async function wrongNode(answers: (server: RpcServer) => void) {
  const world = new NodeWorld(new SimClock(), new SimRandom(3))
  const { clock } = world
  const seams = { net: world.network.host("wrong"), clock, metrics: new RpcMetrics(world.telemetry) }
  const server = new RpcServer(seams, { own: { ...OWN, node: "wrong" }, limits: RPC_LIMITS })
  answers(server)
  await server.listen({ host: "wrong", port: 7000 })
  const peer = world.peerOf("wrong", "here")
  const store: ShardStore = new RemoteNode(clock, peer).shardsOf(idOf(1)).volumes
  const close = async (): Promise<void> => {
    peer.close()
    await world.run(server.close())
  }
  return { world, store, close }
}

test("answers about another needle or range, of another length or with changed bytes are failures of the device", async () => {
  const [needle, other] = [needleFor(1, 640, random), needleFor(2, 640, random)]
  const bytes = needle.body.subarray(0, 100)
  const { id, owner, policy, blockLengthBytes, recoveryHeader, checksums } = other
  const shape = { id, owner, policy, blockLengthBytes, recoveryHeader, checksums }
  const wrongHeader = { kind: "shard", ...shape, bodyBytes: 640 } as const
  const body = bytesBody
  const answered =
    <Request, Response>(method: RpcMethod<Request, Response>, answer: () => RpcAnswer<Response>) =>
    (server: RpcServer): void =>
      server.handle(method, answer)
  const range = { offsetBytes: 0, lengthBytes: 100 }
  const read = (store: ShardStore) => store.read(needle.id, range, waitIfSlow)
  const fetch = (store: ShardStore) => store.fetch(needle.id, 640, length => new Uint8Array(length))
  const has = (store: ShardStore) => store.has(needle.id)
  const cases: readonly (readonly [string, ReturnType<typeof answered>, (store: ShardStore) => unknown])[] = [
    ["checksum", answered(METHODS.read, () => ({ value: 1n, body: body(bytes) })), read],
    ["short", answered(METHODS.read, () => ({ value: 1n, body: body(bytes.subarray(1)) })), read],
    ["no body", answered(METHODS.read, () => ({ value: 1n })), read],
    ["needle", answered(METHODS.fetch, () => ({ value: wrongHeader, body: body(other.body) })), fetch],
    ["header", answered(METHODS.headerOf, () => ({ value: wrongHeader })), store => store.headerOf(needle.id)],
    ["count", answered(METHODS.has, () => ({ value: ["yes", "yes"] as const })), has],
    [
      "page",
      answered(METHODS.indexed, () => ({ value: { kind: "more", next: ALL_NEEDLES.start } as const })),
      store => store.indexed(ALL_NEEDLES, 5),
    ],
    [
      "page body",
      answered(METHODS.indexed, () => ({ value: { kind: "end" } as const, body: body(bytes) })),
      store => store.indexed(ALL_NEEDLES, 5),
    ],
  ]
  for (const [what, answers, ask] of cases) {
    const { world, store, close } = await wrongNode(answers)
    const failure = await failureOf(world, () => ask(store))
    assert.equal(failure.kind, "deviceFailed", what)
    assert.equal(failure.details["device"], idOf(1), what)
    await close()
  }
})

test("a removal whose outcome is unknown fails once it cannot happen any more", async () => {
  const { world, store } = await far()
  const [needle, other] = [needleFor(1, 640, random), needleFor(2, 640, random)]
  await world.run(store.append(needle))
  for (const [from, to] of [
    [HERE, "far"],
    ["far", HERE],
  ] as const) {
    // It connects.
    await world.run(store.remove([other.id]))
    world.network.cut(from, to)
    const beganMs = world.clock.monotonicMs()
    const failure = await failureOf(world, () => store.remove([needle.id]))
    assert.equal(failure.kind, "deviceFailed")
    const waitedMs = world.clock.monotonicMs() - beganMs
    assert.ok(waitedMs >= REMOTE_LIMITS.removalMs, `${waitedMs} ms`)
    world.network.healAll()
    const has = async () => world.run(Promise.resolve(store.has(needle.id)))
    await world.clock.advance(20_000)
    const isThere = await has()
    assert.equal(isThere, from === HERE, "a request that did not arrive is lost")
    await world.clock.advance(60_000)
    assert.equal(await has(), isThere)
  }
  // A node that is known to be out of reach was sent nothing.
  world.network.partition([HERE], ["far"])
  await world.clock.advance(30_000)
  const beganMs = world.clock.monotonicMs()
  await failureOf(world, () => store.remove([needle.id]))
  assert.ok(world.clock.monotonicMs() - beganMs < 5_000)
  await world.close()
})

test("a node that does not know the calls yet is a device that fails, with the reason", async () => {
  const { world, store, close } = await wrongNode(() => undefined)
  const failure = await failureOf(world, () => store.headerOf(needleFor(1, 64, random).id))
  assert.equal(failure.kind, "deviceFailed")
  assert.match(failure.message, /does not know this call/)
  await close()
})

test("a shard whose bytes do not match its checksums is refused before it is written", async () => {
  const { world, store } = await far()
  const needle = needleFor(1, 640, random)
  const body = Uint8Array.from(needle.body)
  body[3] = (body[3] ?? 0) ^ 1
  assert.equal((await failureOf(world, () => store.append({ ...needle, body }))).kind, "deviceFailed")
  assert.equal(await world.run(Promise.resolve(store.has(needle.id))), false)
  await world.close()
})
