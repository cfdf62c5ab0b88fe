/** The master key of several nodes is replaced under load: real processes, and a real PostgreSQL. */
import assert from "node:assert/strict"
import { randomBytes } from "node:crypto"
import { readFile, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { test } from "node:test"
import { setTimeout as wait } from "node:timers/promises"
import { until } from "@hayloft/base/seams/clock/testing-until.js"
import { Client } from "pg"
import { MASTER_KEY } from "@hayloft/admin/index.js"
import { must } from "@hayloft/base/assert.js"
import { AdminClient } from "@hayloft/client/index.js"
import { unsealRootCredentials } from "@hayloft/cli/credentials.js"
import { parseControlRecord } from "@hayloft/engine/format/device/control-record.js"
import type { TestNode, TestNodes } from "../harness/nodes.js"
import { noPostgres } from "../harness/postgres.js"
import { Load } from "./load.js"
import { BUCKET, withNodes } from "./stores.js"

const LOOK_MS = 250
const WAIT_MS_MAX = 300_000
const NEVER = new AbortController().signal

/** The files of the keys, and the token, which a rotation does not change. */
interface Keys {
  readonly token: string
  readonly old: string
  readonly next: string
}

async function call(node: TestNode, { token }: Keys, change = false) {
  const admin = new AdminClient({ endpoint: node.adminEndpoint, token }, NEVER)
  try {
    const got = change ? admin.post("/v1/master-key/rotate", {}) : admin.get("/v1/master-key")
    return MASTER_KEY.parse(await got)
  } finally {
    admin.close()
  }
}

const rotate = (node: TestNode, keys: Keys) => call(node, keys, true)

async function shows(node: TestNode, keys: Keys, isSo: (key: Awaited<ReturnType<typeof call>>) => boolean) {
  const untilMs = performance.now() + WAIT_MS_MAX
  for (;;) {
    const key = await call(node, keys)
    if (isSo(key)) return key
    if (performance.now() > untilMs) throw new Error(`${node.name} still shows ${JSON.stringify(key)}`)
    await wait(LOOK_MS)
  }
}

const withKeys = (file: string, next: string): readonly string[] => [
  "--master-key-file",
  file,
  "--next-master-key-file",
  next,
]

async function restart(node: TestNode, args: readonly string[]): Promise<void> {
  await node.stop()
  await node.start(args)
}

const masterKeysOn = ({ folders }: TestNode): Promise<readonly (number | undefined)[]> =>
  Promise.all(
    folders
      .flatMap(folder => [`${folder}/control`, `${folder}/control.second`])
      .map(async path => parseControlRecord(await readFile(path)).keyring?.masterKeyNumber),
  )

/** Ends the incarnation of a node, as if the node had been silent for minutes. */
async function endIncarnation(nodes: TestNodes, { name }: TestNode): Promise<void> {
  const client = new Client({ connectionString: nodes.url })
  await client.connect()
  try {
    const { rowCount } = await client.query(
      "UPDATE hayloft.incarnations SET ended = true WHERE node = $1 AND NOT ended",
      [name],
    )
    assert.equal(rowCount, 1)
  } finally {
    await client.end()
  }
}

async function keysOf(nodes: TestNodes, folder: string): Promise<Keys> {
  const next = join(folder, "next.key")
  await writeFile(next, randomBytes(32).toString("hex"), { mode: 0o600 })
  const old = must(nodes.masterKeyFile, "nodes have one")
  const { adminToken: token } = await unsealRootCredentials(nodes.at(1).folders, old)
  return { token, old, next }
}

async function rotateUnderLoad(nodes: TestNodes, folder: string): Promise<void> {
  const [one, two, three] = [nodes.at(1), nodes.at(2), nodes.at(3)]
  const keys = await keysOf(nodes, folder)
  const both = withKeys(keys.old, keys.next)
  const gateway = await nodes.add(0, { zone: three.zone })
  const other = join(folder, "other.key")
  await writeFile(other, randomBytes(32).toString("hex"), { mode: 0o600 })
  await gateway.start(withKeys(keys.old, other))
  const load = await Load.begin([...nodes.all], { bucket: BUCKET, clients: 1 })

  await assert.rejects(rotate(one, keys), /start the store with --next-master-key-file/)
  await restart(one, both)
  await shows(one, keys, ({ number }) => number === 1)
  await assert.rejects(rotate(one, keys), /node-2, node-3, node-4 without this new key/)
  await restart(two, both)
  await assert.rejects(rotate(two, keys), /: node-3, node-4 without this new key/)
  await restart(gateway, both)

  // The third node sleeps with the old key alone, so long that it counts as over.
  three.signal("SIGSTOP")
  await assert.rejects(rotate(one, keys), /: node-3 out of reach/)
  await endIncarnation(nodes, three)
  // Nodes read which incarnations are live every few seconds.
  const isOver = async (): Promise<boolean> =>
    !/node-3 out of reach/.test(await rotate(gateway, keys).then(() => "", String))
  await until("the incarnation of node-3 is over", isOver, LOOK_MS)
  const slept = must(three.process, "it runs")
  const shown = await shows(one, keys, ({ number, devices }) => number === 2 && devices.length === 1)
  assert.deepEqual([shown.former?.number, shown.devices[0]?.node], [1, three.name])
  await load.goesOn(8)
  three.signal("SIGCONT")
  assert.notEqual(await slept.exited, 0)
  assert.match(slept.output, /under master key 2, and the file holds another one, perhaps master key 1/)
  await three.stop()
  assert.match(await three.refusal(), /under master key 2, and the file holds another one, perhaps master key 1/)

  await three.start(both)
  await restart(one, ["--master-key-file", keys.next])
  await shows(two, keys, ({ devices }) => devices.length === 0)
  for (const node of [one, two, three]) assert.deepEqual(new Set(await masterKeysOn(node)), new Set([2]), node.name)
  await assert.rejects(rotate(three, keys), /master key 1 is needed until/)
  const { adminToken } = await unsealRootCredentials(one.folders, keys.old, keys.next)
  assert.equal(adminToken, keys.token)
  await load.goesOn(8)
  await load.end()
  await load.check(nodes.all)
}

test(
  "the master key is replaced under load; nodes without the new one are named, and end if they slept meanwhile",
  { skip: noPostgres },
  () => {
    const args = ["--encrypt-new-buckets", "--encrypt-at-rest"]
    return withNodes({ nodes: 3, foldersEach: 1, isHurried: true, args }, rotateUnderLoad)
  },
)
