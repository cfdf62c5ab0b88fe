/** Undelete: enabled at one node, it keeps what another deletes, and each shows and restores it. */
import assert from "node:assert/strict"
import { randomBytes } from "node:crypto"
import { DELETED_OBJECTS, PURGED, RESTORED, RESTORED_PREFIX } from "@hayloft/features/undelete/schemas.js"
import type { TestNode } from "../../harness/nodes.js"
import { statusSays } from "../stores.js"
import { asked, bytesOf, type Feature } from "./scene.js"

const BUCKET = "undelete"
const PATH = `/v1/buckets/${BUCKET}/undelete`

const listed = (node: TestNode) =>
  asked(node, async admin => {
    const { deleted } = DELETED_OBJECTS.parse(await admin.get(`${PATH}/deleted`))
    return deleted.map(({ key, reason }) => `${key} ${reason}`)
  })

export const UNDELETE: Feature = {
  name: "the others show and restore what a node deletes, also while it is dead",
  run: async ({ nodes, oneDead }) => {
    const [one, two, three] = [nodes.at(1), nodes.at(2), nodes.at(3)]
    const [first, second] = [randomBytes(300_000), randomBytes(200_000)]
    await one.client.createBucket(BUCKET)
    await asked(two, admin => admin.post(PATH, { days: 2 }))
    await two.client.put({ bucket: BUCKET, key: "k", body: first })
    await one.client.put({ bucket: BUCKET, key: "k", body: second })
    await one.client.remove(BUCKET, "k")
    for (const node of nodes.all) assert.deepEqual(await listed(node), ["k deleted", "k overwritten"], node.name)
    await statusSays(one, ({ undelete }) => undelete?.[0]?.objects === 2 && undelete[0].bytes === 500_000)
    await oneDead()
    const restored = await asked(two, admin => admin.post(`${PATH}/restore`, { key: "k" }))
    assert.deepEqual(RESTORED.parse(restored), { outcome: "restored" })
    assert.deepEqual(await bytesOf(two, BUCKET, "k"), second)
    const below = await asked(three, admin => admin.post(`${PATH}/restore-prefix`, { prefix: "", over: true }))
    assert.deepEqual(RESTORED_PREFIX.parse(below), { restored: 1, exist: 0, nothingKept: 0 })
    for (const node of [two, three]) assert.deepEqual(await bytesOf(node, BUCKET, "k"), first, node.name)
    const purged = PURGED.parse(await asked(three, admin => admin.post(`${PATH}/purge`, { prefix: "" })))
    assert.deepEqual(purged, { objects: 1, bytes: 200_000, hasMore: false })
    assert.deepEqual(await listed(two), [])
    assert.deepEqual(await bytesOf(two, BUCKET, "k"), first)
  },
}
