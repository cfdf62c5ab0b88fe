/**
 * The suites of one server, unchanged, against three nodes in three zones of which one is dead: the rows of the
 * conformance suite, races of writers, and clients. A request is answered by another node than the one before it.
 *
 * A landing runs some of the rows, which the seed draws, and the AWS SDK; `npm test -- tests/cluster/suites --times 8` runs
 * all suites, and all rows.
 */
import assert from "node:assert/strict"
import { after, before, test } from "node:test"
import { mkdtemp, rm } from "node:fs/promises"
import { join } from "node:path"
import { runsOf } from "@hayloft/base/testing-seed.js"
import { environmentOf } from "../harness/cluster.js"
import { run } from "../harness/commands.js"
import { quietParent } from "../harness/folders.js"
import { frontOfConnections, frontOfRequests, type Front } from "../harness/fronts.js"
import { TestNodes, type TestNode } from "../harness/nodes.js"
import { noPostgres } from "../harness/postgres.js"
import { CREDENTIALS, ROOT } from "../harness/server.js"
import { areSettled, statusOf } from "./stores.js"

/** In the quick start's layout: `ec:4+2` over three zones can spare one of them. */
const [ZONES, FOLDERS_EACH] = [3, 2]
/** Local providers of identities: one of the suites is one. Clients' keys of encryption: the rows use no TLS. */
const SERVE = ["--redundancy", "ec:4+2", "--allow-local-identity-providers", "--allow-sse-c-without-tls"]
const SUITE_MS_MAX = 570_000

interface Suite {
  readonly file: string
  /** Their clients keep connections: each request goes to the next node. The others open one for each request. */
  readonly front: "requests" | "connections"
  /** The least number of requests that each node answers. */
  readonly least: number
}

/** The first ones are those of a landing. */
const SUITES: readonly Suite[] = [
  { file: "conformance", front: "connections", least: 50 },
  { file: "clients/sdk", front: "requests", least: 100 },
  { file: "clients/sharing", front: "requests", least: 5 },
  { file: "races", front: "connections", least: 50 },
  { file: "clients/tools", front: "requests", least: 100 },
  { file: "clients/aws", front: "requests", least: 10 },
  { file: "clients/terraform", front: "requests", least: 10 },
]

let folder = ""
let nodes: TestNodes | undefined
const fronts: Partial<Record<Suite["front"], Front>> = {}

const portOf = (url: string): number => Number(new URL(url).port)

/** Nodes one and two run; the third was killed with everything in its places. */
async function openStore(): Promise<TestNodes> {
  const opened = await TestNodes.empty(folder, SERVE)
  nodes = opened
  const environment = {
    HAYLOFT_ROOT_ACCESS_KEY: CREDENTIALS.accessKey,
    HAYLOFT_ROOT_SECRET_KEY: CREDENTIALS.secretKey,
  }
  for (let i = 0; i < ZONES; i += 1) await (await opened.add(FOLDERS_EACH, { environment })).start()
  await areSettled(opened.at(1), ZONES * FOLDERS_EACH)
  await opened.at(ZONES).kill()
  const ports = survivors(opened).map(({ access }) => portOf(access.endpoint))
  fronts.connections = await frontOfConnections(ports)
  fronts.requests = await frontOfRequests(ports)
  return opened
}

const survivors = ({ all }: TestNodes): readonly TestNode[] => all.slice(0, ZONES - 1)

before(async () => {
  if (noPostgres !== false) return
  folder = await mkdtemp(join(quietParent(), "hayloft-suites-"))
  await openStore()
})

after(async () => {
  for (const front of Object.values(fronts)) front.close()
  await nodes?.end()
  if (folder !== "") await rm(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 })
})

/** Runs a suite in a process of its own, as the test runner does. False if all of it was skipped. */
async function runSuite({ file, front: kind, least }: Suite): Promise<boolean> {
  const front = fronts[kind]
  assert.ok(nodes !== undefined && front !== undefined)
  const node = nodes.at(1)
  const store = {
    port: front.port,
    adminPort: portOf(node.adminEndpoint),
    folders: node.folders,
    env: {
      HAYLOFT_CLUSTER: nodes.url,
      HAYLOFT_MASTER_KEY_FILE: nodes.masterKeyFile ?? "",
      HAYLOFT_NODE_LISTEN: "127.0.0.1:0",
    },
  }
  const before = [...front.turns]
  const args = ["--require", `${ROOT}tools/plain-tests.cjs`, "--test-reporter=tap", `${ROOT}dist/tests/${file}.test.js`]
  const { stdout, stderr } = await run(process.execPath, args, {
    env: { ...environmentOf(store), NODE_TEST_CONTEXT: undefined },
    timeoutMs: SUITE_MS_MAX,
  })
  const count = (what: string): number => Number(new RegExp(`^# ${what} (\\d+)$`, "m").exec(stdout)?.[1] ?? NaN)
  if (process.env["SHOW"]) console.error(stdout)
  assert.equal(count("fail") + count("cancelled"), 0, failuresIn(stdout) || `${stdout.slice(-4_000)}${stderr}`)
  assert.ok(count("pass") > 0 || count("skipped") > 0, `${stdout}${stderr}`)
  if (count("pass") === 0) return false
  const turns = front.turns.map((each, i) => each - (before[i] ?? 0))
  assert.ok(
    turns.every(each => each >= least),
    `each node answers some of the requests: ${turns.join(", ")}`,
  )
  return true
}

const failuresIn = (tap: string): string =>
  tap
    .split(/^(?=\s*(?:not )?ok )/m)
    .filter(text => /^\s*not ok /.test(text))
    .join("")

for (const suite of SUITES.slice(0, runsOf(3))) {
  test(`three zones, one of them dead: ${suite.file}`, { skip: noPostgres }, async context => {
    try {
      if (!(await runSuite(suite))) context.skip("its clients are not installed")
    } catch (error) {
      if (process.env["SHOW"]) for (const node of nodes?.all ?? []) console.error(node.name, node.output)
      throw error
    }
  })
}

test("the dead zone has not returned meanwhile", { skip: noPostgres }, async () => {
  assert.ok(nodes)
  for (const node of survivors(nodes)) {
    const { devices } = await statusOf(node)
    const away = devices.filter(({ state }) => state !== "active")
    assert.equal(away.length, FOLDERS_EACH, JSON.stringify(devices))
  }
})
