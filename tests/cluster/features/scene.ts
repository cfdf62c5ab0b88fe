/**
 * The store that all features share: three nodes in three zones over a PostgreSQL, with everything on, and another store for
 * those that need one. Its nodes are killed while the features are used: first node 1, then node 2.
 */
import { chmodSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { setTimeout as wait } from "node:timers/promises"
import type { Call, Client } from "../../../conformance/client.js"
import type { AdminClient } from "@hayloft/client/index.js"
import { freePort } from "../../harness/free-port.js"
import { TestNodes, type TestNode } from "../../harness/nodes.js"
import { CREDENTIALS, REGION, ServerProcess } from "../../harness/server.js"
import { Proxy } from "../../remote/worlds.js"
import { areSettled } from "../stores.js"

/** A feature, as it is used through several nodes. */
export interface Feature {
  readonly name: string
  /** It is done before any feature is used: what jobs say of their work holds while nothing else is written. */
  readonly first?: (store: Store) => Promise<void>
  readonly run: (scene: Scene) => Promise<void>
}

/** The store as a feature has it, with the moments for which it waits: each comes once all features wait for it or have ended. */
export interface Scene extends Store {
  /** All features have done what needs all nodes: what begins now is under way when node 1 is killed. */
  readonly beforeTheKill: () => Promise<void>
  /** Node 1 has been killed. */
  readonly oneDead: () => Promise<void>
  /** Node 2 has been killed too. */
  readonly twoDead: () => Promise<void>
}

interface Store {
  readonly nodes: TestNodes
  /** The other store. It is a remote as `far`, by way of the proxy, and as `direct`. */
  readonly far: Client
  readonly proxy: Proxy
  /** By node: where it serves queues and Swift. */
  readonly queuePorts: readonly number[]
  readonly swiftPorts: readonly number[]
}

const NODES = 3
const LOOK_MS = 100
const WAIT_MS = 300_000

/** Runs the work with a store of its own. */
export async function withStore(folder: string, work: (store: Store) => Promise<void>): Promise<void> {
  const far = await ServerProcess.start({ folders: [join(folder, "far")] })
  const proxy = await Proxy.start(far.endpoint)
  const ports = () => Promise.all(Array.from({ length: NODES }, freePort))
  const [queuePorts, swiftPorts] = [await ports(), await ports()]
  // The other cluster is this one: a node that stays.
  const realm = ["[all]", "key = k", `cluster_here = http://127.0.0.1:${swiftPorts.at(-1)}/v1/`].join("\n")
  const realms = fileOf(folder, "realms.conf", realm)
  const key = { accessKeyId: CREDENTIALS.accessKey, secretAccessKey: CREDENTIALS.secretKey }
  const remoteOf = (endpoint: string) => ({ endpoint, region: REGION, ...key })
  const known = { far: remoteOf(proxy.endpoint), direct: remoteOf(far.endpoint) }
  const remotes = fileOf(folder, "remotes.json", JSON.stringify(known))
  const features = ["--coordination", "--transforms", "--remotes", remotes, "--swift-sync-realms", realms]
  const nodes = await TestNodes.empty(folder, ["--redundancy", "ec:2+1", ...features])
  try {
    for (const [at, port] of queuePorts.entries()) {
      const environment = {
        HAYLOFT_QUEUE_LISTEN: `127.0.0.1:${port}`,
        HAYLOFT_SWIFT_LISTEN: `127.0.0.1:${swiftPorts[at]}`,
      }
      await (await nodes.add(1, { environment })).start()
    }
    await areSettled(nodes.at(1), NODES)
    await work({ nodes, far: far.client(), proxy, queuePorts, swiftPorts })
  } catch (error) {
    if (process.env["SHOW"]) for (const node of nodes.all) console.error(node.name, node.output)
    throw error
  } finally {
    await nodes.end()
    await proxy.close()
    await far.kill()
  }
}

/** The file has secrets. */
function fileOf(folder: string, name: string, text: string): string {
  const path = join(folder, name)
  writeFileSync(path, text)
  chmodSync(path, 0o600)
  return path
}

/** A moment comes once every feature waits for it: then something is done, and all go on. */
class Meeting {
  private arrived = 0
  private open: (done: Promise<void>) => void = () => undefined
  private readonly opened = new Promise<void>(resolve => (this.open = resolve))

  constructor(
    private readonly parties: number,
    private readonly then: () => Promise<void>,
  ) {}

  arrive(): void {
    this.arrived += 1
    if (this.arrived === this.parties) this.open(this.then())
  }

  come(): Promise<void> {
    this.arrive()
    return this.opened
  }
}

/** Uses all features at once. Throws what any of them found. */
export async function useAll(store: Store, features: readonly Feature[]): Promise<void> {
  const { nodes } = store
  for (const { first } of features) await first?.(store)
  const meetings = [async () => undefined, () => nodes.at(1).kill(), () => nodes.at(2).kill()].map(
    then => new Meeting(features.length, then),
  )
  const use = async ({ name, run }: Feature): Promise<readonly string[]> => {
    let passed = 0
    const come = (number: number) => async (): Promise<void> => {
      for (; passed < number; passed += 1) meetings[passed]?.arrive()
      passed += 1
      await meetings[number]?.come()
    }
    try {
      await run({ ...store, beforeTheKill: come(0), oneDead: come(1), twoDead: come(2) })
      return []
    } catch (error) {
      return [`${name}: ${error instanceof Error ? error.stack : String(error)}`]
    } finally {
      // The others need not wait for it.
      for (const meeting of meetings.slice(passed)) meeting.arrive()
    }
  }
  const failures = (await Promise.all(features.map(use))).flat()
  if (failures.length > 0) throw new Error(failures.join("\n"))
}

/** Asks the admin API of a node. */
export async function asked<T>(node: TestNode, ask: (admin: AdminClient) => Promise<T>): Promise<T> {
  const admin = await node.admin()
  try {
    return await ask(admin)
  } finally {
    admin.close()
  }
}

/** The answer of a node, this one first, once one answers. Throws if none does. */
export async function anywhere(
  nodes: TestNodes,
  first: number,
  method: string,
  call: Call,
): ReturnType<Client["call"]> {
  const untilMs = performance.now() + WAIT_MS
  for (let attempt = first; performance.now() < untilMs; attempt += 1) {
    const node = nodes.at((attempt % NODES) + 1)
    const answer = await node.rawClient.call(method, call).catch(() => undefined)
    if (answer !== undefined && answer.status < 500) return answer
    await wait(20)
  }
  throw new Error(`no node answers ${method} ${call.bucket}/${call.key ?? ""}`)
}

/** The bytes of an object, as a node returns them. */
export async function bytesOf(node: TestNode, bucket: string, key: string): Promise<Buffer> {
  const all: Uint8Array[] = []
  for await (const piece of (await node.client.get(bucket, key)).body) all.push(piece)
  return Buffer.concat(all)
}

export async function keysOf(node: TestNode, bucket: string): Promise<readonly string[]> {
  const { keys } = await node.client.list(bucket, { prefix: "", delimiter: "" })
  return keys.map(({ key }) => key)
}

/** Waits until it is so. */
export async function eventually(what: string, isSo: () => Promise<boolean>): Promise<void> {
  for (const untilMs = performance.now() + WAIT_MS; performance.now() < untilMs; await wait(LOOK_MS))
    if (await isSo()) return
  throw new Error(`it does not happen that ${what}`)
}
