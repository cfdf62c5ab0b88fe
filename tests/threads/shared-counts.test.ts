/**
 * Front threads count together what limits a client, and what operators see of the process: attempts with a wrong secret, rates
 * in the status, hot copies, and requests that wait. All tests share a server.
 */
import assert from "node:assert/strict"
import { mkdtemp, rm } from "node:fs/promises"
import { join } from "node:path"
import { after, before, test } from "node:test"
import { until } from "@hayloft/base/seams/clock/testing-until.js"
import { z } from "zod"
import { Client } from "../../conformance/client.js"
import { exchangeOn, parseEndpoint, RawConnection } from "../../conformance/raw-client.js"
import { must } from "@hayloft/base/assert.js"
import { KIB, MIB } from "@hayloft/base/limits.js"
import { mapBounded } from "@hayloft/base/life/index.js"
import { createOtherAccount } from "../harness/accounts.js"
import { freePort } from "../harness/free-port.js"
import { quietParent } from "../harness/folders.js"
import { K2vClient } from "../harness/k2v-client.js"
import { noNode24 } from "../harness/new-node.js"
import { CREDENTIALS, REGION, ServerProcess } from "../harness/server.js"

/** Four threads that count alone would each allow five wrong secrets. */
const THREADS = 4
const ATTEMPTS = 80
const COMPARED_MAX = 14
const LOOK_MS = 50
const BURST = 40
const HOT_READS = 8
/** Some at each thread. */
const CONNECTIONS = 16

const skip = noNode24

let folder = ""
let k2v = ""
let shared: ServerProcess | undefined

before(async () => {
  if (skip !== false) return
  folder = await mkdtemp(join(quietParent(), "hayloft-counts-"))
  k2v = `127.0.0.1:${await freePort()}`
  const args = ["--hot-copies", "16MiB", "--hot-reads", String(HOT_READS), "--k2v-listen", k2v]
  shared = await ServerProcess.start({ folders: [join(folder, "data")], args, threads: THREADS })
})

after(async () => {
  await shared?.kill()
  if (folder !== "") await rm(folder, { recursive: true, force: true })
})

/** A test of the one server, which the last test stops. */
function testOfThreads(title: string, work: (server: ServerProcess) => Promise<void>): void {
  test(title, { skip }, () => work(must(shared, "it was started before all tests")))
}

testOfThreads("wrong secrets count for all front threads", async server => {
  const { accessKey } = await createOtherAccount(server)
  const wrong = new Client(parseEndpoint(server.endpoint), { accessKey, secretKey: "wrong" }, REGION)
  // Each has a connection of its own, which any of the threads gets.
  const statuses: number[] = []
  for (let i = 0; i < ATTEMPTS; i += 1) statuses.push((await wrong.call("GET", {})).status)
  const compared = statuses.filter(status => status === 403).length
  assert.ok(compared >= 5 && compared <= COMPARED_MAX, statuses.join(" "))
  assert.deepEqual(new Set(statuses), new Set([403, 503]))
})

const STATUS = z.object({ rates: z.array(z.object({ id: z.string(), refused: z.number() })).optional() })

testOfThreads("the status shows whose limits of rates front threads have applied", async server => {
  const limited = await createOtherAccount(server)
  const set = await server.hayloft(["key", "limit", limited.accessKey, "--requests", "4"])
  assert.equal(set.code, 0, set.stderr)
  const client = server.client(limited)
  let refused = 0
  const areRefused = async (): Promise<boolean> => {
    refused += (await client.call("GET", {})).status === 503 ? 1 : 0
    return refused >= THREADS
  }
  await until("requests are refused", areRefused, 0)
  const shown = async (): Promise<number> => {
    const { rates = [] } = STATUS.parse(await server.report("/v1/status"))
    return rates.find(({ id }) => id === limited.accessKey)?.refused ?? 0
  }
  await until("the refusals are shown", async () => (await shown()) >= refused, LOOK_MS)
  assert.equal(await shown(), refused)
})

testOfThreads(
  "one connection gets the whole limit of its key, and all front threads together no more",
  async server => {
    const limited = await createOtherAccount(server)
    const set = await server.hayloft(["key", "limit", limited.accessKey, "--requests", "1", "--burst", String(BURST)])
    assert.equal(set.code, 0, set.stderr)
    const client = server.client(limited)
    const began = performance.now()
    const passes = async (connection: RawConnection): Promise<boolean> => {
      const { status } = await exchangeOn(connection, client.prepare("GET", {}).request)
      assert.ok(status === 200 || status === 503, String(status))
      return status === 200
    }
    const connections = await mapBounded([...Array(CONNECTIONS).keys()], CONNECTIONS, () =>
      RawConnection.open(client.endpoint),
    )
    const [first, ...others] = connections
    assert.ok(first)
    let passed = 0
    while (await passes(first)) passed += 1
    assert.ok(passed >= BURST, `${passed} passed at one thread`)
    const later = await mapBounded(others, CONNECTIONS, passes)
    passed += later.filter(Boolean).length
    const earned = Math.ceil((performance.now() - began) / 1_000)
    assert.ok(passed <= BURST + earned, `${passed} passed in ${earned} s`)
    for (const connection of connections) connection.destroy()
  },
)

const HOT = z.object({
  budgetBytes: z.number(),
  hits: z.number(),
  misses: z.number(),
  hottest: z.array(z.object({ key: z.string().optional(), copies: z.number(), hits: z.number() })),
})

testOfThreads("hot copies of all front threads are shown", async server => {
  const client = server.client()
  assert.equal((await client.call("PUT", { bucket: "photos" })).status, 200)
  const body = Buffer.alloc(200 * KIB, "hot ")
  assert.equal((await client.call("PUT", { bucket: "photos", key: "hot", body })).status, 200)
  for (let i = 0; i < HOT_READS * THREADS; i += 1)
    assert.equal((await client.call("GET", { bucket: "photos", key: "hot" })).status, 200)
  const { budgetBytes, hits, misses, hottest } = HOT.parse(await server.report("/v1/hot-copies"))
  assert.equal(budgetBytes, 16 * MIB)
  assert.equal(hits + misses, HOT_READS * THREADS)
  assert.deepEqual(
    hottest.map(({ key, hits: ofObject }) => [key, ofObject]),
    [["hot", hits]],
  )
  assert.ok(hits > 0)
})

testOfThreads("metrics show requests that wait in any front thread, which a stop answers", async server => {
  const client = new K2vClient({ host: k2v, ...CREDENTIALS }, "mail")
  const made = await server.hayloft(["mb", "s3://mail"])
  assert.equal(made.code, 0, made.stderr)
  await client.insert("inbox", "a", "1")
  const { token } = await client.read("inbox", "a")
  assert.ok(token !== undefined)
  const polls = ["a", "b"].map(() => client.poll("inbox", "a", token, "600"))
  const waiting = async (): Promise<number> =>
    Number(/^hayloft_k2v_polls_waiting (\d+)$/m.exec(await server.metrics())?.[1])
  await until("the polls wait", async () => (await waiting()) >= polls.length, LOOK_MS)
  assert.equal(await server.stop(), 0)
  for (const poll of polls) assert.equal((await poll).status, 304)
})
