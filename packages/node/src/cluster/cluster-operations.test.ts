/** Operations from any node: each is done by the node that can, and its failures arrive as they are. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { fail, isFailure } from "@hayloft/base/failures.js"
import {
  parseIncarnation,
  parseNodeFingerprint,
  parseNodeName,
  parsePosition,
  parseStoreId,
  parseUploadId,
} from "@hayloft/base/ids.js"
import { TEST_SEED } from "@hayloft/base/testing-seed.js"
import { clusterOf, deviceId } from "@hayloft/engine/cluster/testing-records.js"
import type { NodeRow } from "@hayloft/engine/format/nodes/cluster-rows.js"
import type { StoreOperations } from "../control/contract.js"
import { Peer, RPC_LIMITS, RpcMetrics, RpcServer } from "@hayloft/engine/rpc/index.js"
import { SimClock } from "@hayloft/base/seams/clock/sim.js"
import { SimNetwork } from "@hayloft/base/seams/net/sim.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { SimTelemetry } from "@hayloft/base/seams/telemetry/sim.js"
import type { Duty } from "../status/nodes-core.js"
import { ClusterOperations, LiveNodes, serveOperations, type OwnLive } from "./cluster-operations.js"

const STORE_ID = parseStoreId("00112233445566778899aabbccddeeff")
const RECORD = clusterOf(["n1@a:1", "n2@b:1"], "replica:2")
const [OWN_DEVICE, THEIR_DEVICE] = [deviceId(0), deviceId(1)]
const PLAN = {
  summary: "as asked",
  policyBefore: "replica:2",
  policyAfter: "replica:2",
  devices: [],
  movedBytes: 1,
  reencodedBytes: 0,
  hours: 1,
  survives: { before: 1, during: 1, after: 1 },
  warnings: [],
}

const COUNTS = { requests: 0, clientErrors: 0, serverErrors: 0, receivedBytes: 0, sentBytes: 0, bins: [] }
const TRAFFIC = { atMs: 5, seconds: 1, total: COUNTS, buckets: [], accounts: [], history: [] }

/** Operations of one node that note what they were asked to do. */
function notedOn(node: string, calls: string[]): StoreOperations {
  const note = (what: string): void => void calls.push(`${node} ${what}`)
  const job = async (name: string, what: string) => {
    note(`${what} ${name}`)
    return { name, state: "idle" as const, progress: `on ${node}`, throttle: 3 }
  }
  return {
    plan: async change => {
      note(`plan ${change.kind}`)
      if ("path" in change && change.path === "/full") throw fail("folderNotEmpty", { path: change.path, found: "x" })
      return { ...PLAN, outlook: `disks=${node === "n1" ? 1 : 2}` }
    },
    change: async (change, confirm, _, outlook) => {
      note(`change ${JSON.stringify(change)} ${confirm}${outlook === undefined ? "" : `, shown ${outlook}`}`)
      return { plan: PLAN, generation: 7 }
    },
    checkDevice: async id => {
      note(`check ${id}`)
      return { id, state: "active", finding: `${node} checked it` }
    },
    redundancy: () => assert.fail("not asked"),
    layout: () => assert.fail("not asked"),
    layoutFile: () => assert.fail("not asked"),
    setRepairPaused: async () => note("pause"),
    startScrub: async id => note(`scrub ${id ?? "all"}`),
    pauseScrub: async () => note("pause scrub"),
    pending: async () => {
      note("pending")
      const upload = parseUploadId("0000000700000001aabbccddeeff0011")
      return { uploads: [{ upload, bucket: undefined, key: node, blocks: 1, bytes: 2, removableMs: 3 }], more: 4 }
    },
    resumeOrphans: () => job("orphans", "resume"),
    setThrottle: name => job(name, "throttle"),
    setJobPaused: name => job(name, "pause"),
    wakeJob: name => job(name, "wake"),
    backup: async () => {
      note("look at backup")
      return { process: node === "n1" ? 1 : 2, isOrdered: false, isPaused: false, failures: 0 }
    },
    orderBackup: async () => {
      note("order backup")
      return { process: node === "n1" ? 1 : 2, isOrdered: true, isPaused: false, failures: 0 }
    },
  }
}

const OWN_HELLO = { storeId: STORE_ID, incarnation: 1 }
const AT = { host: "n2", port: 7000 }
const N2: NodeRow = {
  name: parseNodeName("n2"),
  incarnation: parseIncarnation(2),
  address: "n2:7000",
  zone: "b",
  machine: "n2",
  fingerprint: parseNodeFingerprint("0".repeat(64)),
  proof: new Uint8Array(32),
  program: "1.0.0",
  beat: 1,
  position: parsePosition(1),
  layoutVersion: 1,
  unreachable: [],
}

/** The operations of node n1, and what both nodes are asked to do. */
interface Given {
  readonly trouble?: string
  readonly duties?: readonly Duty[]
  readonly isOver?: boolean
  /** The other node's answer to a trace. */
  readonly answer?: OwnLive["requests"]["answer"]
}

async function world({ trouble, duties = [], isOver = false, answer = () => assert.fail("not asked") }: Given = {}) {
  const clock = new SimClock()
  const random = new SimRandom(TEST_SEED)
  const net = new SimNetwork(clock, random.fork("network"))
  const metrics = new RpcMetrics(new SimTelemetry())
  const calls: string[] = []
  const server = new RpcServer(
    { net: net.host("n2"), clock, metrics },
    { own: { ...OWN_HELLO, node: "n2" }, limits: RPC_LIMITS },
  )
  const disks = { read: async () => [{ device: THEIR_DEVICE, atMs: 5, failedCalls: 3 }] }
  const traffic = { counts: () => ({ ...TRAFFIC, seconds: 7 }) }
  serveOperations(server, notedOn("n2", calls), { requests: { answer }, traffic, disks })
  await server.listen(AT)
  const seams = { net: net.host("n1"), clock, random: random.fork("peer"), metrics }
  const peer = new Peer(seams, { address: AT, own: { ...OWN_HELLO, node: "n1" }, limits: RPC_LIMITS })
  const nodes = [{ name: N2.name, row: N2, report: undefined, trouble, peer }]
  const view = { nodes, isOver: () => isOver }
  const n1 = parseNodeName("n1")
  const operations = new ClusterOperations(
    n1,
    notedOn("n1", calls),
    () => RECORD,
    () => view,
    () => duties,
  )
  const run = <T>(work: Promise<T>): Promise<T> => clock.runUntil(work)
  return { operations, run, calls, live: new LiveNodes(n1, view) }
}

test("a device is checked, and a folder planned and added, by the node that has it", async () => {
  const { operations, run, calls } = await world()
  assert.equal((await run(operations.checkDevice(OWN_DEVICE))).finding, "n1 checked it")
  assert.equal((await run(operations.checkDevice(THEIR_DEVICE))).finding, "n2 checked it")
  const add = { kind: "addDevice", path: "/disk", weight: 2, node: N2.name } as const
  assert.deepEqual(await run(operations.plan(add)), { ...PLAN, outlook: "disks=2" })
  assert.deepEqual(await run(operations.change(add, "/disk")), { plan: PLAN, generation: 7 })
  await run(operations.change(add, "/disk", [], "disks=2"))
  await run(operations.plan({ kind: "addDevice", path: "/disk", weight: undefined }))
  await run(operations.plan({ kind: "replaceDevice", id: THEIR_DEVICE, path: "/new", acceptLoss: false }))
  await run(operations.plan({ kind: "drainNode", node: N2.name }))
  assert.deepEqual(calls, [
    `n1 check ${OWN_DEVICE}`,
    `n2 check ${THEIR_DEVICE}`,
    "n2 plan addDevice",
    'n2 change {"kind":"addDevice","path":"/disk","weight":2} /disk',
    'n2 change {"kind":"addDevice","path":"/disk","weight":2} /disk, shown disks=2',
    "n1 plan addDevice",
    "n2 plan replaceDevice",
    "n1 plan drainNode",
  ])
})

test("a failure of the other node arrives as it is, and one that cannot be reached is named", async () => {
  const { operations, run } = await world()
  const full = { kind: "addDevice", path: "/full", weight: undefined, node: N2.name } as const
  await assert.rejects(run(operations.plan(full)), error => isFailure(error, "folderNotEmpty"))
  const nobody = { ...full, node: parseNodeName("n9") }
  await assert.rejects(run(operations.plan(nobody)), error => isFailure(error, "invalidArgument"))
  const cut = await world({ trouble: "connection refused" })
  await assert.rejects(
    cut.run(cut.operations.checkDevice(THEIR_DEVICE)),
    error => isFailure(error, "peerUnreachable") && /node n2 .*connection refused/.test(error.message),
  )
  assert.deepEqual(cut.calls, [])
})

test("a job is woken and throttled on the node that does it", async () => {
  const { operations, run, calls } = await world({ duties: [{ name: "repair", node: "n2" }] })
  assert.equal((await run(operations.setThrottle("repair", 3))).progress, "on n2")
  assert.equal((await run(operations.wakeJob("compaction on n2"))).name, "compaction")
  assert.equal((await run(operations.wakeJob("compaction"))).progress, "on n1")
  assert.equal((await run(operations.resumeOrphans())).progress, "on n1")
  assert.deepEqual(calls, ["n2 throttle repair", "n2 wake compaction", "n1 wake compaction", "n1 resume orphans"])
})

test("a backup is ordered from the node that makes the backups, and refused while none does", async () => {
  const far = await world({ duties: [{ name: "metadata-backup", node: "n2" }] })
  assert.deepEqual(await far.run(far.operations.orderBackup()), {
    process: 2,
    isOrdered: true,
    isPaused: false,
    failures: 0,
  })
  assert.equal((await far.run(far.operations.backup())).isOrdered, false)
  const near = await world({ duties: [{ name: "metadata-backup", node: "n1" }] })
  assert.equal((await near.run(near.operations.orderBackup())).process, 1)
  assert.deepEqual([far.calls, near.calls], [["n2 order backup", "n2 look at backup"], ["n1 order backup"]])
  const none = await world({ duties: [{ name: "metadata-backup", node: undefined }] })
  await assert.rejects(none.run(none.operations.orderBackup()), error => isFailure(error, "peerUnreachable"))
  const cut = await world({ duties: [{ name: "metadata-backup", node: "n2" }], trouble: "connection refused" })
  await assert.rejects(cut.run(cut.operations.backup()), /node n2 .*connection refused/)
})

test("pending uploads are those that the node found which does the job", async () => {
  const far = await world({ duties: [{ name: "orphans", node: "n2" }] })
  const { uploads, more } = await far.run(far.operations.pending())
  assert.deepEqual([uploads[0]?.key, uploads[0]?.removableMs, more], ["n2", 3, 4])
  const near = await world()
  assert.equal((await near.run(near.operations.pending())).uploads[0]?.key, "n1")
})

test("scrub begins on all nodes, or on the node of one device; nodes that cannot be reached are named", async () => {
  const { operations, run, calls } = await world()
  await run(operations.startScrub(undefined))
  await run(operations.startScrub(THEIR_DEVICE))
  assert.deepEqual(calls, ["n1 scrub all", "n2 scrub all", `n2 scrub ${THEIR_DEVICE}`])
  const cut = await world({ trouble: "it timed out" })
  await assert.rejects(cut.run(cut.operations.startScrub(undefined)), /all nodes but n2 \(.*it timed out/)
  assert.deepEqual(cut.calls, ["n1 scrub all"])
})

test("another node says what it serves; one that does not answer is refused with the reason", async () => {
  const asked: unknown[] = []
  const answer = (question: unknown) => {
    asked.push(question)
    return { requests: [], dropped: 4 }
  }
  const { live, run } = await world({ answer })
  const [never, filter] = [new AbortController().signal, { bucket: "photos" }]
  assert.deepEqual([live.own, live.others], ["n1", ["n2"]])
  assert.equal((await run(live.traffic("n2", "minute"))).seconds, 7)
  assert.deepEqual(await run(live.disks("n2")), [{ device: THEIR_DEVICE, atMs: 5, failedCalls: 3 }])
  assert.equal((await run(live.trace("n2", { trace: "n1 1", filter }, never))).dropped, 4)
  assert.deepEqual(JSON.parse(JSON.stringify(asked)), [
    { kind: "trace", trace: "n1 1", filter: { ...filter, errorsOnly: false } },
  ])
  await assert.rejects(run(live.traffic("n3", "minute")), /left the store/)
  const off = await world({ isOver: true })
  await assert.rejects(off.run(off.live.traffic("n2", "minute")), /does not run/)
  const cut = await world({ trouble: "connection refused" })
  await assert.rejects(cut.run(cut.live.traffic("n2", "minute")), /cannot be reached: connection refused/)
  // A release that does not know the operation answers with this failure.
  const old = await world({
    answer: () => {
      throw fail("corruptRecord", { what: "node operation" })
    },
  })
  await assert.rejects(old.run(old.live.trace("n2", { trace: "n1 1", filter }, never)), /release, 1\.0\.0, cannot tell/)
})
