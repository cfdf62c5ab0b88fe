/**
 * Tests of what one node shows of the others, on two real nodes: a trace of OpenTelemetry over both, requests and
 * traffic merged, events, sessions and usage history; and how a killed node is reported.
 */
import assert from "node:assert/strict"
import { test } from "node:test"
import { setTimeout as later } from "node:timers/promises"
import { z } from "zod"
import { EVENT, STORE_SCHEMAS, streamOf, TRACE_LINE, TRAFFIC, USAGE_HISTORY } from "@hayloft/admin/index.js"
import { SESSION } from "@hayloft/admin/session-schemas.js"
import { run } from "@hayloft/cli/program.js"
import { testIo } from "@hayloft/cli/testing-io.js"
import { unsealRootCredentials } from "@hayloft/cli/credentials.js"
import { RealClock } from "@hayloft/base/seams/clock/real.js"
import { spanCollector, traceIdIn } from "../harness/collector.js"
import { quietParent, withFolder } from "../harness/folders.js"
import { TestNodes, type TestNode } from "../harness/nodes.js"
import { noPostgres } from "../harness/postgres.js"

const TIMEOUT_MS = 240_000
const POLL_MS = 250
const BUCKET = "shared"
const NEVER = new AbortController().signal
const EVENTS = z.array(EVENT)
const LINE = streamOf(TRACE_LINE)

interface World {
  readonly nodes: TestNodes
  readonly spans: Awaited<ReturnType<typeof spanCollector>>
  readonly token: string
}

/** Waits for what other nodes see a moment later. */
async function until<T>(what: string, look: () => Promise<T | undefined>): Promise<T> {
  for (const deadline = performance.now() + TIMEOUT_MS / 2; performance.now() < deadline; await later(POLL_MS)) {
    const found = await look()
    if (found !== undefined) return found
  }
  throw new Error(`not seen in time: ${what}`)
}

const valuesIn = (out: string): readonly unknown[] =>
  out
    .split("\n")
    .filter(line => line !== "")
    .map(line => JSON.parse(line) as unknown)

/** A command of the CLI, which runs here. */
async function hayloft({ token }: World, node: TestNode, args: readonly string[], signal = NEVER) {
  const environment = { HAYLOFT_ADMIN_ENDPOINT: node.adminEndpoint, HAYLOFT_ADMIN_TOKEN: token }
  const { io, written } = testIo({ clock: new RealClock(), environment })
  const done = run([...args], io, signal)
  return { written, done }
}

async function json(world: World, node: TestNode, args: readonly string[]): Promise<readonly unknown[]> {
  const { written, done } = await hayloft(world, node, [...args, "--json"])
  assert.equal(await done, 0, written.error)
  return valuesIn(written.out)
}

async function spansOfBothNodes({ nodes, spans }: World): Promise<void> {
  const headers = { "x-hayloft-trace": "1" }
  const body = Buffer.alloc(300_000, "x")
  const put = await nodes.at(2).rawClient.call("PUT", { bucket: BUCKET, key: "k", body, headers })
  assert.equal(put.status, 200)
  const found = await spans.traceOf(traceIdIn(put) ?? "", 2)
  const ofNode = (name: string) => found.filter(({ node }) => node === name)
  const [root] = found.filter(({ name }) => name === "PUT")
  assert.equal(root?.node, "node-2")
  const calls = ofNode("node-1")
  assert.ok(
    calls.some(({ name }) => name === "rpc append"),
    JSON.stringify(found.map(({ name }) => name)),
  )
  const own = new Set(ofNode("node-2").map(({ spanId }) => spanId))
  assert.ok(calls.every(({ name, parentSpanId = "" }) => !name.startsWith("rpc ") || own.has(parentSpanId)))
}

async function eventsOfTheOther(world: World): Promise<void> {
  for (const [asked, other] of [
    [1, "node-2"],
    [2, "node-1"],
  ] as const) {
    await until(`the start of ${other}`, async () => {
      const args = ["events", "--node", other, "--code", "started"]
      const events = EVENTS.parse(await json(world, world.nodes.at(asked), args))
      return events.length > 0 && events.every(({ node }) => node === other) ? events : undefined
    })
  }
}

/** A session that begins on one node, and a change with its cookie on the other. */
async function oneSession({ nodes, token }: World): Promise<void> {
  const [one, two] = [nodes.at(1).adminEndpoint, nodes.at(2).adminEndpoint]
  const send = (endpoint: string, method: string, path: string, headers: object, body?: object) =>
    fetch(`${endpoint}${path}`, {
      method,
      headers: { origin: endpoint, "content-type": "application/json", ...headers },
      ...(body && { body: JSON.stringify(body) }),
    })
  const signedIn = await send(one, "POST", "/v1/session", {}, { token })
  assert.equal(signedIn.status, 201)
  const { csrf = "" } = SESSION.parse(await signedIn.json())
  const cookie = (signedIn.headers.getSetCookie()[0] ?? "").split(";")[0] ?? ""
  const shown = SESSION.parse(await (await send(two, "GET", "/v1/session", { cookie })).json())
  assert.equal(shown.who?.kind, "operator")
  const bucket = { name: "by-session" }
  assert.equal((await send(two, "POST", "/v1/buckets", { cookie }, bucket)).status, 403, "without the CSRF token")
  const made = await send(two, "POST", "/v1/buckets", { cookie, "x-hayloft-csrf": csrf }, bucket)
  assert.equal(made.status, 201)
  assert.equal((await send(one, "DELETE", "/v1/session", { cookie, "x-hayloft-csrf": csrf })).status, 204)
}

async function trafficOfBothNodes(world: World): Promise<void> {
  const [one, two] = [world.nodes.at(1), world.nodes.at(2)]
  for (const { rawClient } of [one, two]) {
    assert.equal((await rawClient.call("GET", { bucket: BUCKET, key: "k" })).status, 200)
  }
  const of = async (node: TestNode, ...only: readonly string[]) =>
    TRAFFIC.parse((await json(world, node, ["top", ...only]))[0])
  const all = await of(one)
  assert.deepEqual([all.nodes?.map(({ name }) => name), all.unshown], [["node-1", "node-2"], []])
  const requests = (report: typeof all): number => report.buckets.find(({ name }) => name === BUCKET)?.requests ?? 0
  const each = [requests(await of(one, "--node", "node-1")), requests(await of(one, "--node", "node-2"))]
  assert.ok(
    each.every(count => count > 0),
    String(each),
  )
  assert.equal(requests(all), (each[0] ?? 0) + (each[1] ?? 0))
  assert.equal(requests(await of(two)), requests(all), "whichever node is asked")
}

const holderOf = async ({ nodes }: World, job: string): Promise<TestNode> =>
  until(`a node that does ${job}`, async () => {
    const status = STORE_SCHEMAS.STATUS.parse(await (await nodes.at(1).admin()).get("/v1/status"))
    const holder = status.nodes?.nodes.find(({ jobs }) => jobs.includes(job))
    return nodes.all.find(({ name }) => name === holder?.name)
  })

/** The node that notes usage is killed while the other one shows a trace: it is named, and the other takes over. */
async function oneNodeKilled(world: World): Promise<void> {
  const { nodes } = world
  const killed = await holderOf(world, "usage-history")
  const other = nodes.all.find(node => node !== killed)
  assert.ok(other)
  const stop = new AbortController()
  const { written, done } = await hayloft(world, other, ["trace", "--json", "--bucket", BUCKET], stop.signal)
  const lines = () => valuesIn(written.out).map(line => LINE.parse(line))
  const servedBy = () => new Set(lines().flatMap(line => (line.type === "request" ? [line.node] : [])))
  const get = (node: TestNode) => node.rawClient.call("GET", { bucket: BUCKET, key: "k" })
  await until("requests of both nodes", async () => {
    for (const node of nodes.all) assert.equal((await get(node)).status, 200)
    return servedBy().size === 2 ? servedBy() : undefined
  })
  const nodeLines = () => lines().flatMap(line => (line.type === "node" ? [line] : []))
  await killed.kill()
  const [gone] = await until("what is not shown", async () => (nodeLines().length > 0 ? nodeLines() : undefined))
  assert.deepEqual([gone?.node, gone?.isShown], [killed.name, false])
  const before = lines().length
  assert.equal((await get(other)).status, 200)
  await until("requests of the node that is left", async () => (lines().length > before ? true : undefined))
  const { unshown } = TRAFFIC.parse((await json(world, other, ["top"]))[0])
  assert.deepEqual(
    unshown?.map(({ node }) => node),
    [killed.name],
  )
  const samplesAt = async (node: TestNode) => {
    const usage = await (await node.admin(other)).get(`/v1/buckets/${BUCKET}/usage`)
    return USAGE_HISTORY.parse(usage).samples
  }
  const noted = await until("a sample of usage", async () => {
    const samples = await samplesAt(other)
    return samples.some(({ objects }) => objects === 1) ? samples : undefined
  })
  await killed.start()
  assert.deepEqual(await samplesAt(killed), noted)
  await until("the node is shown again", async () => {
    assert.equal((await get(killed)).status, 200)
    const again = nodeLines().some(({ isShown }) => isShown)
    return again && lines().findLast(line => line.type === "request" && line.node === killed.name)
  })
  stop.abort()
  assert.equal(await done, 0, written.error)
}

test("each node shows what both do, and names the one that was killed", { skip: noPostgres, timeout: TIMEOUT_MS }, () =>
  withFolder(async folder => {
    const spans = await spanCollector()
    const args = ["--trace-endpoint", spans.url, "--trace-one-in", "1000000"]
    const nodes = await TestNodes.start(folder, { nodes: 2, foldersEach: 1, args })
    try {
      const { adminToken: token } = await unsealRootCredentials(nodes.at(1).folders, nodes.masterKeyFile)
      const world = { nodes, spans, token }
      await nodes.at(1).client.createBucket(BUCKET)
      await spansOfBothNodes(world)
      await eventsOfTheOther(world)
      await oneSession(world)
      await trafficOfBothNodes(world)
      await oneNodeKilled(world)
    } finally {
      if (process.env["SHOW"]) for (const node of nodes.all) console.error(node.name, node.output)
      await nodes.end()
      spans.close()
    }
  }, quietParent()),
)
