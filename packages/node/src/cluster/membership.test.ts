/** A node as a member of its store: whom it admits, whose devices it reaches, and how it ends. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { MasterKeys } from "@hayloft/access/index.js"
import { must } from "@hayloft/base/assert.js"
import { isFailure, type Failure } from "@hayloft/base/failures.js"
import { parseNodeFingerprint, parseNodeName, type DeviceId } from "@hayloft/base/ids.js"
import { NEVER } from "@hayloft/base/never.js"
import { TEST_SEED } from "@hayloft/base/testing-seed.js"
import type { ShardDevice } from "@hayloft/engine/block/index.js"
import { claimDevice, deviceOf, markOffline } from "@hayloft/engine/cluster/index.js"
import { clusterOf, deviceId } from "@hayloft/engine/cluster/testing-records.js"
import { nodeRows, removeNodeRow } from "@hayloft/engine/coordination/index.js"
import { SimClock } from "@hayloft/base/seams/clock/sim.js"
import { SimNetwork } from "@hayloft/base/seams/net/sim.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { SimTelemetry } from "@hayloft/base/seams/telemetry/sim.js"
import { Membership } from "./membership.js"
import { readSharedRecord, SharedRecordManager, writeFirstRecord } from "./shared-record.js"
import { SharedMemory } from "./testing-shared.js"

const RECORD = clusterOf(["n1@a:1", "n2@b:1", "n3@c:1"], "replica:2")
const KEY = (byte: number): Uint8Array => new Uint8Array(32).fill(byte)
const MASTER_KEY = KEY(1)
const [D1, D2, D3] = [deviceId(0), deviceId(1), deviceId(2)] as const
const DEVICE_OF = new Map([
  ["n1", D1],
  ["n2", D2],
  ["n3", D3],
])

const unused = (): never => assert.fail("no shard is used")
const device = (id: DeviceId): ShardDevice => ({
  id,
  isWritable: true,
  volumes: {
    append: unused,
    read: unused,
    fetch: unused,
    headerOf: unused,
    remove: unused,
    has: unused,
    markSuspect: unused,
    indexed: unused,
    refusing: undefined,
  },
})

interface World {
  readonly clock: SimClock
  readonly random: SimRandom
  readonly network: SimNetwork
  readonly rows: SharedMemory
}

/** Starts one of the nodes of the record: it claims its device, joins, and runs. */
async function startNode({ clock, random, network, rows }: World, name: string, masterKeys: MasterKeys) {
  const fingerprint = parseNodeFingerprint(name.slice(1).repeat(64))
  const metadata = rows.join(name)
  const telemetry = new SimTelemetry()
  const record = must(await readSharedRecord(metadata), "the store has a record")
  const records = new SharedRecordManager(metadata, clock, telemetry.log, record)
  const own = must(DEVICE_OF.get(name), "the record has a device of each node")
  const { incarnations } = metadata
  await records.change("claim", before => {
    const home = must(deviceOf(before, own).home, "each device has a home")
    return claimDevice(before, own, { ...home, incarnation: incarnations.own }, each => incarnations.isOver(each))
  })
  const fingerprints = new Set<string>()
  const reached = new Map<DeviceId, ShardDevice>()
  const removed: Failure[] = []
  let [layoutVersion, elsewhere] = [record.layout.version, (): number => 0]
  let isCutOff = (): boolean => false
  const exchange = {
    own: new Map([[own, device(own)]]),
    isReached: () => true,
    setRemote: (id: DeviceId, remote: ShardDevice | undefined) => {
      if (remote === undefined) reached.delete(id)
      else reached.set(id, remote)
    },
    layoutVersion: () => layoutVersion,
    setElsewhere: (oldest: () => number) => void (elsewhere = oldest),
    setCutOff: (is: () => boolean) => void (isCutOff = is),
  }
  const membership = new Membership(
    {
      clock,
      random: random.fork(name),
      telemetry,
      net: network.host(name, fingerprint),
      metadata,
      records,
      admitted: { fingerprints, closeRevoked: () => undefined, onStranger: () => undefined },
      leases: { beginRenewal: () => ({ names: [], confirm: () => undefined }) },
    },
    {
      storeId: RECORD.storeId,
      name: parseNodeName(name),
      zone: undefined,
      machine: name,
      program: "1.0.0",
      fingerprint,
      masterKeys,
    },
    exchange,
    () => undefined,
    reason => void removed.push(reason),
  )
  await membership.join({ host: name, port: 7000 }, at => at)
  const stopping = new AbortController()
  const following = records.run(stopping.signal)
  let hasEnded = false
  const running = membership.run(stopping.signal).then(() => (hasEnded = true))
  return {
    metadata,
    records,
    membership,
    fingerprints,
    reached,
    removed,
    hasEnded: () => hasEnded,
    oldestElsewhere: () => elsewhere(),
    isCutOff: () => isCutOff(),
    use: (version: number) => void (layoutVersion = version),
    stop: async () => {
      stopping.abort()
      await Promise.all([running, following])
    },
  }
}

type Started = Awaited<ReturnType<typeof startNode>>
type Start = (name: string, masterKeys?: MasterKeys) => Promise<Started>

/** Runs the test on the simulated clock, and stops all nodes after it. */
function inWorld(work: (start: Start, world: World & { pass(ms: number): Promise<void> }) => Promise<void>) {
  const clock = new SimClock()
  const random = new SimRandom(TEST_SEED)
  const network = new SimNetwork(clock, random.fork("network"))
  const world = { clock, random, network, rows: new SharedMemory("operator") }
  const nodes: Started[] = []
  const start: Start = async (name, masterKeys = new MasterKeys(MASTER_KEY)) => {
    const node = await startNode(world, name, masterKeys)
    nodes.push(node)
    return node
  }
  const whole = async (): Promise<void> => {
    await writeFirstRecord(world.rows, RECORD)
    await world.rows.stop()
    try {
      await work(start, { ...world, pass: durationMs => clock.sleep(durationMs, NEVER) })
    } finally {
      network.healAll()
      await Promise.all(nodes.map(node => node.stop()))
    }
  }
  return clock.runUntil(whole())
}

const namesOf = ({ membership }: Started) => membership.nodes.map(({ name }) => name)
const sorted = (ids: Iterable<DeviceId>) => [...ids].sort()

test("nodes meet, reach one another's devices, and lose those of a node that does not respond until it does", () =>
  inWorld(async (start, { network, pass }) => {
    const n1 = await start("n1")
    const n2 = await start("n2")
    assert.deepEqual(sorted(n2.reached.keys()), [D1], "it has met the others before it serves")
    await pass(10_000)
    assert.deepEqual([sorted(n1.reached.keys()), namesOf(n1)], [[D2], ["n2"]])
    assert.equal(n1.reached.get(D2)?.isWritable, true)
    network.partition(["n1"], ["n2"])
    await pass(20_000)
    assert.deepEqual([n1.reached.size, n2.reached.size], [0, 0])
    assert.match(n1.membership.nodes[0]?.trouble ?? "", /^n2:\d+ does not respond \(/)
    network.healAll()
    await pass(20_000)
    assert.deepEqual([sorted(n1.reached.keys()), sorted(n2.reached.keys())], [[D2], [D1]])
    await n1.records.change("offline", record => markOffline(record, [D2], 0))
    assert.equal(n1.reached.size, 0, "offline devices are not used")
  }))

test("a node whose row has no proof under the master key is no peer", () =>
  inWorld(async (start, { pass, rows }) => {
    const [n1, intruder] = [await start("n1"), await start("n2", new MasterKeys(KEY(2)))]
    await pass(20_000)
    assert.equal((await rows.ask(nodeRows())).length, 2)
    assert.deepEqual([namesOf(n1), [...n1.fingerprints]], [[], ["1".repeat(64)]])
    assert.equal(n1.reached.size, 0)
    await intruder.stop()
  }))

test("during a rotation of the master key nodes are peers under either key, and prove themselves again", () =>
  inWorld(async (start, { pass, rows }) => {
    const [former, next] = [MASTER_KEY, KEY(2)]
    const both = () => new MasterKeys(former, undefined, next)
    const [first, second, late] = [both(), both(), new MasterKeys(former)]
    const [n1, n2] = [await start("n1", first), await start("n2", second)]
    await pass(10_000)
    const [claims, before] = [n1.records.record.devices, await rows.ask(nodeRows())]
    const isWhole = () => n1.reached.has(D2) && n2.reached.has(D1)
    first.use(next, former)
    await pass(10_000)
    assert.ok(isWhole(), "one node has read the new record")
    second.use(next, former)
    await start("n3", late)
    await pass(10_000)
    assert.ok(isWhole() && n1.reached.has(D3), "a node that is about to end is still a peer")
    const after = await rows.ask(nodeRows())
    for (const [i, { proof, incarnation }] of before.entries()) {
      assert.notDeepEqual(after[i]?.proof, proof)
      assert.equal(after[i]?.incarnation, incarnation)
    }
    assert.deepEqual(n1.records.record.devices.slice(0, 2), claims.slice(0, 2))
    for (const keys of [first, second]) keys.use(next, undefined)
    await pass(10_000)
    assert.ok(isWhole())
    assert.deepEqual([n1, n2].map(namesOf), [["n2"], ["n1"]])
  }))

test("a node whose row was removed ends, and the others forget it", () =>
  inWorld(async (start, { pass, rows }) => {
    const [n1, n2, n3] = [await start("n1"), await start("n2"), await start("n3")]
    await pass(10_000)
    assert.deepEqual(sorted(n1.reached.keys()), [D2, D3])
    await rows.run(removeNodeRow(parseNodeName("n2"), undefined))
    await pass(20_000)
    assert.ok(n2.hasEnded())
    const [reason, ...more] = n2.removed
    assert.ok(isFailure(reason, "nodeRemoved") && more.length === 0)
    assert.equal(n2.membership.removed, reason)
    assert.equal(n2.reached.size, 0)
    for (const node of [n1, n3]) {
      assert.ok(!namesOf(node).includes(parseNodeName("n2")))
      assert.ok(!node.fingerprints.has("2".repeat(64)))
      assert.ok(!node.reached.has(D2))
    }
    assert.deepEqual(sorted(n1.reached.keys()), [D3])
    const { home } = deviceOf(n1.records.record, D2)
    assert.equal(home?.incarnation, n2.metadata.incarnations.own, "a removed node changes nothing any more")
  }))

test("a node that was fenced and forgotten while it was away ends, and does not return", () =>
  inWorld(async (start, { pass, rows }) => {
    const [n1, n2] = [await start("n1"), await start("n2")]
    await pass(10_000)
    await rows.run(removeNodeRow(parseNodeName("n2"), undefined))
    n2.metadata.begin()
    await pass(20_000)
    assert.ok(n2.hasEnded())
    assert.deepEqual(
      n2.removed.map(({ kind }) => kind),
      ["nodeRemoved"],
    )
    assert.ok(!namesOf(n1).includes(parseNodeName("n2")))
    assert.equal((await rows.ask(nodeRows())).length, 1)
  }))

test("a node whose row a database has lost, that was rolled back, joins again: during the halt, or after it", () =>
  inWorld(async (start, { pass, rows }) => {
    const [n1, n2] = [await start("n1"), await start("n2")]
    await pass(10_000)
    for (const name of ["n1", "n2"]) await rows.run(removeNodeRow(parseNodeName(name), undefined))
    n1.metadata.halt = { number: 1, reason: "lost", highest: n2.metadata.incarnations.own, live: [] }
    n2.metadata.mark = { ...n2.metadata.mark, reconciliations: 1 }
    for (const { metadata } of [n1, n2]) metadata.begin()
    await pass(20_000)
    assert.deepEqual([n1.removed, n2.removed], [[], []])
    assert.equal((await rows.ask(nodeRows())).length, 2)
  }))

test("a node that stops releases its devices", () =>
  inWorld(async start => {
    const n1 = await start("n1")
    const { own } = n1.metadata.incarnations
    assert.equal(deviceOf(n1.records.record, D1).home?.incarnation, own)
    await n1.stop()
    assert.deepEqual(deviceOf(n1.records.record, D1).home, { ...deviceOf(RECORD, D1).home, incarnation: 0 })
    assert.deepEqual(n1.removed, [])
  }))

test("a node whose incarnation was ended joins and claims its devices again", () =>
  inWorld(async (start, { pass, rows }) => {
    const [n1, n2] = [await start("n1"), await start("n2")]
    await n1.records.change("offline", record => markOffline(record, [D2], 0))
    n2.metadata.begin()
    const { own } = n2.metadata.incarnations
    await pass(10_000)
    const row = (await rows.ask(nodeRows())).find(({ name }) => name === "n2")
    assert.equal(row?.incarnation, own)
    const { home, state } = deviceOf(n2.records.record, D2)
    assert.deepEqual([home?.incarnation, state], [own, "rebuilding"])
  }))

test("no other node counts as writing by the newest layout before all of them have reported it", () =>
  inWorld(async (start, { pass, rows }) => {
    const [n1, n2] = [await start("n1"), await start("n2")]
    await pass(15_000)
    assert.equal(n1.oldestElsewhere(), 1)
    const version = 2
    const next = (record: typeof RECORD) => ({ ...record, layout: { ...record.layout, version } })
    await n1.records.change("layout", next)
    n1.use(version)
    assert.equal(n1.oldestElsewhere(), 0, "nothing has been read since")
    await pass(4_000)
    assert.equal(n1.oldestElsewhere(), 1)
    n2.use(version)
    await pass(3_000)
    assert.equal(n1.oldestElsewhere(), version, "it reports another layout soon, and the report is read soon")
    // A process that is starting has no row yet: it may have read the record before.
    const starting = rows.join("n3")
    await pass(10_000)
    assert.equal(n1.oldestElsewhere(), 0)
    await starting.stop()
    await pass(10_000)
    assert.equal(n1.oldestElsewhere(), version)
  }))

test("a node that most of the others cannot reach is cut off, and knows it until they reach it again", () =>
  inWorld(async (start, { network, pass }) => {
    const [n1, n2, n3] = [await start("n1"), await start("n2"), await start("n3")]
    const cutOff = () => [n1, n2, n3].map(node => node.isCutOff())
    network.partition(["n1"], ["n2"])
    await pass(60_000)
    assert.deepEqual(cutOff(), [false, false, false], "one link is down")
    network.partition(["n1"], ["n2", "n3"])
    await pass(60_000)
    assert.deepEqual(cutOff(), [true, false, false])
    const seen = n3.membership.outOfReachMs.get(parseNodeName("n1")) ?? 0
    assert.ok(seen >= 30_000 && seen <= 60_000, `${seen} ms`)
    assert.ok((n3.membership.silentMs.get(parseNodeName("n1")) ?? 0) < 10_000, "it writes heartbeats")
    network.healAll()
    await pass(30_000)
    assert.deepEqual(cutOff(), [false, false, false])
  }))
