/** Visits of repair are made by the nodes of the slots; whatever happens to a node, each visit is made by some node. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { fail, isFailure } from "@hayloft/base/failures.js"
import {
  parseIncarnation,
  parseNodeName,
  parsePartitionId,
  parseUploadId,
  type DeviceId,
  type Incarnation,
  type NodeName,
} from "@hayloft/base/ids.js"
import { TEST_SEED } from "@hayloft/base/testing-seed.js"
import { clusterOf, deviceId } from "@hayloft/engine/cluster/testing-records.js"
import type { RepairOutcome } from "@hayloft/engine/format/nodes/repair-calls.js"
import type { RepairWorkers, VisitOrder, VisitsForOthers } from "@hayloft/upkeep/index.js"
import { Peer, RPC_LIMITS, RpcMetrics, RpcServer } from "@hayloft/engine/rpc/index.js"
import { SimClock } from "@hayloft/base/seams/clock/sim.js"
import { SimNetwork } from "@hayloft/base/seams/net/sim.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { SimTelemetry } from "@hayloft/base/seams/telemetry/sim.js"
import { ClusterRepairWorkers, serveRepair } from "./repair-workers.js"
import { REPAIR_WORKER_LIMITS } from "./repair-workers-core.js"

const RECORD = clusterOf(["n1@a:1", "n2@b:1", "n3@c:1"], "replica:3")
const [D1, D2, D3] = [deviceId(0), deviceId(1), deviceId(2)]
const STORE = { storeId: RECORD.storeId, incarnation: 1 }
const UPLOAD = parseUploadId("ab".repeat(16))
const noSignal = new AbortController().signal

/** An outcome that tells who made the visit. */
const outcomeBy = (number: number, partition: number): RepairOutcome => ({
  writtenShards: number,
  writtenBytes: 7,
  isFull: false,
  isWaiting: false,
  left: undefined,

  passedOver: new Set([UPLOAD]),
  unreadable: new Set(),
  unreadableUploads: [],
  unreferenced: [],
  abandoned: new Set(),
  count: {
    partition,
    bytesByPolicy: new Map([["ec:4+2", 5]]),
    misplaced: new Map(),
    lackingOn: new Set([D1]),
    perhapsLackingOn: new Set(),
    unrebuildableOn: new Set(),
    singles: 0,
  },
})

type MakeVisit = VisitsForOthers["visit"]

/** Node n1 coordinates; n2 and n3 make visits as the test says. */
class RepairWorld {
  readonly clock = new SimClock()
  readonly random = new SimRandom(TEST_SEED)
  readonly network = new SimNetwork(this.clock, this.random.fork("network"))
  readonly telemetry = new SimTelemetry()
  readonly calls: string[] = []
  readonly trouble = new Map<string, string>()
  record = RECORD
  /** Generations of the records that n2 and n3 have, and what they have after reading it again. */
  readonly generations = new Map([
    ["n2", RECORD.generation],
    ["n3", RECORD.generation],
  ])
  readonly makeVisit = new Map<string, MakeVisit>()
  private readonly peers = new Map<string, Peer>()
  readonly workers: ClusterRepairWorkers

  private constructor() {
    const own: RepairWorkers = {
      count: 1,
      takingPart: 1,
      visit: async ({ partition }) => {
        this.calls.push(`n1 ${partition}`)
        return outcomeBy(1, partition)
      },
    }
    const { clock, telemetry } = this
    const others = () =>
      ["n2", "n3"].flatMap(name => {
        const peer = this.peers.get(name)
        return peer === undefined ? [] : [{ name: parseNodeName(name), peer, trouble: this.trouble.get(name) }]
      })
    const nodeOf = (number: Incarnation) => (number > 3 ? undefined : parseNodeName(`n${number}`))
    const seams = { clock, telemetry, record: () => this.record, others, nodeOf }
    this.workers = new ClusterRepairWorkers(seams, parseNodeName("n1"), own)
  }

  static async start(): Promise<RepairWorld> {
    const world = new RepairWorld()
    await world.serve("n2", 2)
    await world.serve("n3", 3)
    return world
  }

  private async serve(name: string, number: number): Promise<void> {
    const { clock, network, telemetry, generations, calls, makeVisit } = this
    const metrics = new RpcMetrics(telemetry)
    const address = { host: name, port: 7000 }
    const server = new RpcServer(
      { net: network.host(name), clock, metrics },
      { own: { ...STORE, node: name }, limits: RPC_LIMITS },
    )
    const records = {
      get record() {
        return { ...RECORD, generation: generations.get(name) ?? 0 }
      },
      refresh: async () => {
        calls.push(`${name} refreshes`)
        generations.set(name, 9)
      },
      ready: () => undefined,
    }
    const visit: MakeVisit = async (order, isOver) => {
      calls.push(`${name} ${order.partition}`)
      return (await makeVisit.get(name)?.(order, isOver)) ?? outcomeBy(number, order.partition)
    }
    serveRepair(server, { clock, metrics: new SimTelemetry().metrics, records, visits: { visit, writtenShards: 0 } })
    await server.listen(address)
    const seams = { net: network.host("n1"), clock, random: this.random.fork(name), metrics }
    this.peers.set(name, new Peer(seams, { address, own: { ...STORE, node: "n1" }, limits: RPC_LIMITS }))
  }

  /** The layout under which visits are ordered. */
  layoutVersion = RECORD.layout.version

  visit(number: number, slots: readonly DeviceId[], by?: Incarnation, signal = noSignal): Promise<RepairOutcome> {
    const partition = parsePartitionId(number)
    const order: VisitOrder = {
      partition,
      layoutVersion: this.layoutVersion,
      offline: [],
      longPassedOver: new Set([UPLOAD]),
      slots,
      by,
    }
    return this.workers.visit(order, signal)
  }

  /** The number of the node that made the visit. */
  async by(...visit: Parameters<RepairWorld["visit"]>): Promise<number> {
    return (await this.clock.runUntil(this.visit(...visit))).writtenShards
  }
}

test("no node makes a visit that was ordered under another layout, not even this one", async () => {
  const world = await RepairWorld.start()
  world.layoutVersion += 1
  await assert.rejects(world.clock.runUntil(world.visit(2, [D1])), { kind: "conflict" })
  assert.deepEqual(world.calls, [])
})

test("a partition is visited by the node of its first slot, and its outcome arrives", async () => {
  const world = await RepairWorld.start()
  assert.deepEqual(await world.clock.runUntil(world.visit(40_000, [D3, D2, D1])), outcomeBy(3, 40_000))
  assert.equal(await world.by(2, [D2, D3]), 2)
  assert.equal(await world.by(3, [D1, D2]), 1)
  assert.equal(await world.by(4, [D2, D3], parseIncarnation(1)), 1, "only this process can")
  assert.equal(await world.by(5, [D1, D2], parseIncarnation(3)), 3, "only that process can")
  assert.equal(await world.by(6, [D2, D3], parseIncarnation(9)), 2, "a process that runs no more")
  assert.equal(await world.by(5, []), 1)
  assert.deepEqual([world.workers.count, world.workers.takingPart], [3, 3])
  await world.clock.advance(REPAIR_WORKER_LIMITS.takesPartMs)
  assert.equal(world.workers.takingPart, 0)
})

test("a node that cannot be reached is passed over, which the metrics count, and counts no more", async () => {
  const world = await RepairWorld.start()
  const passedOver = () =>
    ["n2", "n3"].map(node =>
      world.telemetry.metric("hayloft_repair_visits_total", { node, outcome: "peerUnreachable" }),
    )
  world.trouble.set("n2", "connection refused")
  assert.equal(await world.by(1, [D2, D3]), 3)
  assert.equal(await world.by(1, [D3, D2]), 3)
  assert.deepEqual(passedOver(), [1, 0])
  world.trouble.set("n3", "connection refused")
  assert.equal(await world.by(2, [D2, D3]), 1)
  assert.deepEqual(passedOver(), [2, 1])
  assert.equal(world.workers.count, 1)
})

test("a node with an older record reads it again; one that refuses all the same rests while others go on", async () => {
  const world = await RepairWorld.start()
  world.record = { ...RECORD, generation: RECORD.generation + 1 }
  world.generations.set("n3", RECORD.generation + 1)
  assert.equal(await world.by(1, [D2, D3]), 2)
  assert.deepEqual(world.calls, ["n2 refreshes", "n2 1"])
  world.makeVisit.set("n2", async () => {
    throw fail("conflict", { message: "the nodes do not have the same layout" })
  })
  assert.equal(await world.by(2, [D2, D3]), 3)
  assert.equal(await world.by(3, [D2, D3]), 3)
  assert.deepEqual(world.calls.slice(2), ["n2 2", "n3 2", "n3 3"])
  assert.equal(world.workers.count, 2)
  world.makeVisit.delete("n2")
  await world.clock.advance(REPAIR_WORKER_LIMITS.restMs)
  assert.equal(await world.by(4, [D2, D3]), 2)
})

test("a node that is lost in the middle of its visits loses none of them", async () => {
  const world = await RepairWorld.start()
  let isOverThere: (() => boolean) | undefined
  const never = new Promise<RepairOutcome>(() => undefined)
  world.makeVisit.set("n2", (_, isOver) => {
    isOverThere = isOver
    return never
  })
  const visits = [1, 2, 3].map(number => world.visit(number, [D2, D3]))
  await world.clock.advance(1_000)
  assert.deepEqual(world.calls, ["n2 1", "n2 2", "n2 3"])
  assert.equal(isOverThere?.(), false)
  world.network.partition(["n1"], ["n2"])
  const outcomes = await world.clock.runUntil(Promise.all(visits))
  assert.deepEqual(
    outcomes.map(({ writtenShards }) => writtenShards),
    [3, 3, 3],
  )
  await world.clock.advance(30_000)
  assert.equal(isOverThere?.(), true, "a visit that no node waits for ends after its block")
})

test("the last node that can make a visit decides whether it fails", async () => {
  const world = await RepairWorld.start()
  for (const name of ["n2", "n3"])
    world.makeVisit.set(name, async () => {
      throw fail("databaseUnreachable")
    })
  assert.equal(await world.by(1, [D2, D3]), 1)
  assert.deepEqual(world.calls, ["n2 1", "n3 1", "n1 1"])
})

test("a job that is stopped cancels its visits elsewhere and begins no others", async () => {
  const world = await RepairWorld.start()
  let isOverThere: (() => boolean) | undefined
  world.makeVisit.set("n2", (_, isOver) => {
    isOverThere = isOver
    return new Promise<RepairOutcome>(() => undefined)
  })
  const stop = new AbortController()
  const visit = world.visit(1, [D2, D3], undefined, stop.signal)
  const rejected = assert.rejects(visit, error => isFailure(error, "stopping"))
  await world.clock.advance(1_000)
  stop.abort(fail("stopping"))
  await world.clock.runUntil(rejected)
  await world.clock.advance(1_000)
  assert.equal(isOverThere?.(), true)
  assert.deepEqual(world.calls, ["n2 1"])
})

test("visits beyond the limits of the nodes wait for a place", async () => {
  const world = await RepairWorld.start()
  const begun: (() => void)[] = []
  const held: MakeVisit = async ({ partition }) => {
    await new Promise<void>(resolve => begun.push(resolve))
    return outcomeBy(2, partition)
  }
  for (const name of ["n2", "n3"]) world.makeVisit.set(name, held)
  const most = 2 * REPAIR_WORKER_LIMITS.partitionsPerNodeMax
  const visits = Array.from({ length: most + 5 }, (_, number) => world.visit(number, [D2, D3]))
  await world.clock.advance(1_000)
  assert.equal(begun.length, most)
  for (const finish of begun.splice(0)) finish()
  await world.clock.advance(1_000)
  assert.equal(begun.length, 5)
  for (const finish of begun.splice(0)) finish()
  await world.clock.runUntil(Promise.all(visits))
  const names = new Set<NodeName | string>(world.calls.map(call => call.slice(0, 2)))
  assert.deepEqual(names, new Set(["n2", "n3"]))
})
