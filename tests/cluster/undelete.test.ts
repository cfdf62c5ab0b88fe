/** Undelete in a store of two nodes: enabled at one, it keeps what the other deletes, and each shows and restores it. */
import assert from "node:assert/strict"
import { randomBytes } from "node:crypto"
import { test } from "node:test"
import { DELETED_OBJECTS, PURGED, RESTORED, RESTORED_PREFIX } from "../../src/admin/index.js"
import type { AdminClient } from "../../src/client/index.js"
import type { TestNode, TestNodes } from "../harness/nodes.js"
import { noPostgres } from "../harness/postgres.js"
import { BUCKET, statusSays, withNodes } from "./stores.js"

const PATH = `/v1/buckets/${BUCKET}/undelete`

async function asked<T>(node: TestNode, ask: (admin: AdminClient) => Promise<T>): Promise<T> {
  const admin = await node.admin()
  try {
    return await ask(admin)
  } finally {
    admin.close()
  }
}

const listed = (node: TestNode) =>
  asked(node, async admin => {
    const { deleted } = DELETED_OBJECTS.parse(await admin.get(`${PATH}/deleted`))
    return deleted.map(({ key, reason }) => `${key} ${reason}`)
  })

async function read(node: TestNode, key: string): Promise<Buffer> {
  const all: Uint8Array[] = []
  for await (const piece of (await node.client.get(BUCKET, key)).body) all.push(piece)
  return Buffer.concat(all)
}

async function undeleteAcrossNodes(nodes: TestNodes): Promise<void> {
  const [one, two] = [nodes.at(1), nodes.at(2)]
  const [first, second] = [randomBytes(300_000), randomBytes(200_000)]
  await asked(one, admin => admin.post(PATH, { days: 2 }))
  await one.client.put({ bucket: BUCKET, key: "k", body: first })
  await two.client.put({ bucket: BUCKET, key: "k", body: second })
  await two.client.remove(BUCKET, "k")
  const all = ["k deleted", "k overwritten"]
  for (const node of [one, two]) assert.deepEqual(await listed(node), all, node.name)
  await statusSays(two, ({ undelete }) => undelete?.[0]?.objects === 2 && undelete[0].bytes === 500_000)
  await two.kill()
  const restored = await asked(one, admin => admin.post(`${PATH}/restore`, { key: "k" }))
  assert.deepEqual(RESTORED.parse(restored), { outcome: "restored" })
  assert.deepEqual(await read(one, "k"), second)
  await two.start()
  const below = await asked(two, admin => admin.post(`${PATH}/restore-prefix`, { prefix: "", over: true }))
  assert.deepEqual(RESTORED_PREFIX.parse(below), { restored: 1, exist: 0, nothingKept: 0 })
  for (const node of [one, two]) assert.deepEqual(await read(node, "k"), first, node.name)
  const purged = PURGED.parse(await asked(two, admin => admin.post(`${PATH}/purge`, { prefix: "" })))
  assert.deepEqual(purged, { objects: 1, bytes: 200_000, hasMore: false })
  assert.deepEqual(await listed(one), [])
  assert.deepEqual(await read(one, "k"), first)
}

test("what one node deletes the other shows and restores, also while the first is dead", { skip: noPostgres }, () =>
  withNodes({ nodes: 2, foldersEach: 2, args: ["--redundancy", "replica:2"] }, undeleteAcrossNodes),
)
