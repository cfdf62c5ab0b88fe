/** Tests of what nodes report to one another for the status of the store. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { isFailure } from "@hayloft/base/failures.js"
import { parseStoreId } from "@hayloft/base/ids.js"
import { PARTITIONS } from "@hayloft/base/limits.js"
import { TEST_SEED } from "@hayloft/base/testing-seed.js"
import { clusterOf, deviceId } from "@hayloft/engine/cluster/testing-records.js"
import { encodeNodeReport, type NodeReport } from "@hayloft/engine/format/nodes/node-report.js"
import { Peer, RPC_LIMITS, RpcMetrics, RpcServer } from "@hayloft/engine/rpc/index.js"
import { SimClock } from "@hayloft/base/seams/clock/sim.js"
import { SimNetwork } from "@hayloft/base/seams/net/sim.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { SimTelemetry } from "@hayloft/base/seams/telemetry/sim.js"
import { askForReport, serveReports } from "./node-reports.js"

const OWN = { storeId: parseStoreId("00112233445566778899aabbccddeeff"), incarnation: 1 }
const AT = { host: "n2", port: 7000 }
const [MINE, THEIRS] = [deviceId(0), deviceId(1)]
const RECORD = clusterOf(["n1@a:1", "n2@b:1"], "replica:2")

const deviceOf = (id: typeof MINE) => ({
  id,
  path: `/mnt/${id}`,
  trouble: undefined,
  checkpointError: undefined,
  deadBytes: 0,
  volumeBytes: 7,
  logBytes: 0,
  memtableRows: 0,
  callsQueued: 2,
  callsMax: 9,
  space: undefined,
})
const contents = (groups: number) => ({
  isKnown: true,
  isCounted: true,
  version: 3,
  policies: [],
  bucketPolicies: [RECORD.policy],
  lacking: new Map([[THEIRS, new Uint8Array(PARTITIONS).fill(1, 0, 3)]]),
  misplacedGroups: Array.from({ length: groups }, (_, partition) => ({
    partition,
    needed: 1,
    devices: [MINE],
    bytes: 5,
  })),
})
const reportWith = (groups: number): NodeReport => ({
  devices: [deviceOf(THEIRS)],
  jobs: [{ name: "scrub", state: "busy", progress: "half", lastError: undefined, throttle: 1 }],
  scrub: [],
  repairer: {
    contents: contents(groups),
    repair: undefined,
    reencoding: undefined,
    orphans: { isStopped: false, abortedBlocks: 1, abortedBlocksMax: 2, waitingBlocks: 3 },
  },
  database: undefined,
})

/** Node n2, and the peer by which n1 asks it. */
async function world(report: () => NodeReport, bytesMax?: number) {
  const clock = new SimClock()
  const random = new SimRandom(TEST_SEED)
  const network = new SimNetwork(clock, random.fork("network"))
  const metrics = new RpcMetrics(new SimTelemetry())
  const hello = { own: { ...OWN, node: "n2" }, limits: RPC_LIMITS }
  const server = new RpcServer({ net: network.host("n2"), clock, metrics }, hello)
  serveReports(server, report, bytesMax)
  await server.listen(AT)
  const seams = { net: network.host("n1"), clock, random: random.fork("peer"), metrics }
  const peer = new Peer(seams, { address: AT, own: { ...OWN, node: "n1" }, limits: RPC_LIMITS })
  return { network, clock, peer, ask: () => clock.runUntil(askForReport(peer)) }
}

test("a report arrives as it was made", async () => {
  const { ask } = await world(() => reportWith(10))
  assert.deepEqual(await ask(), reportWith(10))
})

test("a report that has grown beyond its limit says nothing of the blocks, rather than nothing at all", async () => {
  const limit = encodeNodeReport(reportWith(10)).length
  let groups = 10
  const { ask } = await world(() => reportWith(groups), limit)
  assert.equal((await ask()).repairer?.contents?.misplacedGroups.length, 10)
  groups = 1_000
  const { devices, jobs, repairer } = await ask()
  assert.deepEqual([devices, jobs], [reportWith(0).devices, reportWith(0).jobs])
  const { isKnown, lacking, misplacedGroups, bucketPolicies } = repairer?.contents ?? assert.fail()
  assert.deepEqual([isKnown, lacking.size, misplacedGroups], [false, 0, []])
  assert.deepEqual(bucketPolicies, [RECORD.policy])
  assert.equal(repairer?.orphans.waitingBlocks, 3)
})

test("a node that does not respond is given up after seconds", async () => {
  const { network, clock, ask } = await world(() => reportWith(0))
  await ask()
  network.partition(["n1"], ["n2"])
  const beganMs = clock.monotonicMs()
  await assert.rejects(ask(), error => isFailure(error, "peerUnreachable"))
  assert.ok(clock.monotonicMs() - beganMs <= 4_000, `${clock.monotonicMs() - beganMs} ms`)
})
