/** Which nodes a store admits: gateways, and none with a wrong key or without a store; a name has one node. */
import assert from "node:assert/strict"
import { randomBytes } from "node:crypto"
import { writeFile } from "node:fs/promises"
import { join } from "node:path"
import { test } from "node:test"
import { noPostgres } from "../harness/postgres.js"
import { BUCKET, statusSays, withNodes } from "./stores.js"

test("gateways, wrong keys and names", { skip: noPostgres }, async () => {
  await withNodes({ nodes: 1, foldersEach: 2 }, async (nodes, folder) => {
    const first = nodes.at(1)
    const gateway = await nodes.add(0)
    await gateway.start()
    const body = randomBytes(1_000_000)
    await gateway.client.put({ bucket: BUCKET, key: "key", body })
    assert.equal((await first.client.head(BUCKET, "key")).sizeBytes, body.length)

    const otherKey = join(folder, "other.key")
    await writeFile(otherKey, randomBytes(32).toString("hex"), { mode: 0o600 })
    const stranger = await nodes.add(1, { environment: { HAYLOFT_MASTER_KEY_FILE: otherKey } })
    assert.match(await stranger.refusal(), /master key does not match/)

    const empty = { HAYLOFT_CLUSTER: await nodes.databases.create() }
    const early = await nodes.add(0, { environment: empty })
    assert.match(await early.refusal(), /the database has no store yet: start a node with --data first/)

    const again = await nodes.add(first.folders, { name: first.name })
    assert.match(await again.refusal(), /is in use/)
    await first.client.put({ bucket: BUCKET, key: "key", body })

    const twin = await nodes.add(1, { name: gateway.name })
    await twin.start()
    await twin.client.put({ bucket: BUCKET, key: "key", body })
    const { health } = await statusSays(gateway, status => !status.health.ready, first)
    assert.match(health.reasons.join(), /another process runs as this node/)
    assert.equal((await first.client.head(BUCKET, "key")).sizeBytes, body.length)
  })
})
