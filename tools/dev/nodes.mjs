/**
 * `npm run dev -- --nodes N`: a store of several nodes on loopback, in three zones, and the PostgreSQL with its metadata.
 *
 * Promises  The database runs under a user that is not root. Nodes stop before their database, and nothing outlives this
 *           process. A node that ends by itself leaves the others running, so that failures can be tried.
 */
import { randomBytes } from "node:crypto"
import { existsSync, mkdirSync, writeFileSync } from "node:fs"
import { createServer } from "node:net"
import { join } from "node:path"
import { seed } from "./seed.mjs"

const FOLDERS_EACH = 2
const ZONES = ["a", "b", "c"]
/** The ports of each node: S3, admin, calls of other nodes; the database has the fourth of the first node. */
const PORTS_EACH = 10

async function freePort() {
  const server = createServer()
  await new Promise((resolve, reject) => server.once("error", reject).listen(0, "127.0.0.1", resolve))
  const { port } = server.address()
  await new Promise(resolve => server.close(resolve))
  return port
}

function masterKeyIn(folder) {
  const path = join(folder, "master.key")
  if (!existsSync(path)) writeFileSync(path, `${randomBytes(32).toString("hex")}\n`, { mode: 0o600 })
  return path
}

/** Settings of a node, as in a config file of `serve`. */
function settingsOf(number, { folder, firstPort, databaseUrl, masterKeyFile }) {
  const node = `node-${number}`
  const at = offset => `127.0.0.1:${firstPort === 0 ? 0 : firstPort + (number - 1) * PORTS_EACH + offset}`
  return {
    node,
    zone: ZONES[(number - 1) % ZONES.length],
    data: Array.from({ length: FOLDERS_EACH }, (_, i) => join(folder, node, `disk${i + 1}`)),
    cluster: databaseUrl,
    masterKeyFile,
    listen: at(0),
    adminListen: at(1),
    nodeListen: at(2),
  }
}

const say = line => process.stdout.write(`${line}\n`)
const complain = error => process.stderr.write(`dev: ${error instanceof Error ? error.message : error}\n`)

/** Returns the exit code. */
export async function runNodes({ count, firstPort, folder, clock, signal }) {
  const { findPostgres, PostgresProcess } = await import("../../dist/packages/client/src/testing-postgres.js")
  const { StoreProcess, ROOT_KEY } = await import("../../dist/packages/client/src/testing-store-process.js")
  if (findPostgres() === undefined) {
    complain("several nodes need PostgreSQL, which is not installed; on Debian: apt-get install postgresql")
    return 1
  }
  const children = new Set()
  process.on("exit", () => children.forEach(child => child.kill("SIGKILL")))
  mkdirSync(folder, { recursive: true })
  const port = firstPort === 0 ? await freePort() : firstPort + 3
  const onSpawn = child => children.add(child) && child.once("exit", () => children.delete(child))
  const postgres = new PostgresProcess({ folder: join(folder, "postgres"), port, onSpawn }, clock)
  const nodes = []

  const startNode = settings => {
    const { node, data, listen, adminListen } = settings
    for (const path of data) mkdirSync(path, { recursive: true })
    const file = join(folder, `${node}.json`)
    writeFileSync(file, `${JSON.stringify(settings, undefined, 2)}\n`)
    const onLine = line => process.stderr.write(`${node} | ${line}\n`)
    const store = StoreProcess.spawn(
      { dataFolders: data, args: ["--config", file], listen, adminListen, onLine },
      clock,
    )
    children.add(store)
    void store.exited.then(code => {
      children.delete(store)
      const again = `; to start it again: ./bin/hayloft serve --config ${file}`
      complain(`${node} ended (${code ?? "killed"})${signal.aborted ? "" : again}`)
    })
    nodes.push({ ...settings, file, store })
  }

  const show = async () => {
    for (const { node, zone, store } of nodes) {
      const { endpoint, adminEndpoint } = await store.ready()
      say(`${node}  zone ${zone}  S3 ${endpoint}  admin ${adminEndpoint}  process ${store.pid}`)
    }
    say(`database ${postgres.url}`)
    say(`access key ${ROOT_KEY.accessKeyId}, secret key ${ROOT_KEY.secretAccessKey}`)
    const [first] = nodes
    const bucket = await seed(await first.store.access(), clock, signal)
    say(`seeded s3://${bucket}; try: ./bin/hayloft ls -r s3://${bucket} --config ${first.file}`)
  }

  let code = 0
  try {
    await postgres.open()
    const masterKeyFile = masterKeyIn(folder)
    const plan = { folder, firstPort, databaseUrl: postgres.url, masterKeyFile }
    signal.addEventListener("abort", () => nodes.forEach(({ store }) => store.kill("SIGTERM")))
    for (let number = 1; number <= count && !signal.aborted; number += 1) startNode(settingsOf(number, plan))
    await show()
  } catch (error) {
    if (!signal.aborted) {
      complain(error)
      code = 1
      await Promise.all(nodes.map(({ store }) => store.stop()))
    }
  }
  await Promise.all(nodes.map(({ store }) => store.exited))
  await postgres.stop()
  return code
}
