/** Nodes of two neighbouring versions work together; others are refused, with the reason. */
import assert from "node:assert/strict"
import { randomBytes } from "node:crypto"
import { after, test } from "node:test"
import { FRAME_VERSIONS } from "@hayloft/engine/format/nodes/frame.js"
import { SCHEMA_VERSION } from "@hayloft/engine/sql/postgres/schema.js"
import { PlantedCopies } from "../harness/planted-copies.js"
import { noPostgres } from "../harness/postgres.js"
import { BUCKET, statusSays, withNodes } from "./stores.js"

const { lowest, highest } = FRAME_VERSIONS
const framesOf = (from: number, to: number): string => `{ lowest: ${from}, highest: ${to} }`
const FRAMES = framesOf(lowest, highest)
/** More than a row has: a body goes from node to node. */
const BODY_BYTES = 20_000
const copies = new PlantedCopies()
after(() => copies.remove())

/** A program that speaks other versions with its peers, and has another schema of the database. */
const programOf = (name: string, frames: string, schema: number): string =>
  copies
    .add([
      { file: "packages/engine/src/format/nodes/frame.ts", find: FRAMES, put: frames },
      {
        file: "packages/engine/src/sql/postgres/schema.ts",
        find: `export const SCHEMA_VERSION = ${SCHEMA_VERSION}`,
        put: `export const SCHEMA_VERSION = ${schema}`,
      },
    ])
    .command(name)

test("neighbouring versions run together, others are refused", { skip: noPostgres }, async () => {
  await withNodes({ nodes: 2, foldersEach: 1, isHurried: true }, async nodes => {
    const [first, second] = [nodes.at(1), nodes.at(2)]
    const bodies = new Map<string, Buffer>()
    /** Each node writes something, and reads what the other has written. */
    const bothWork = async () => {
      for (const { client } of nodes.all.slice(0, 2)) {
        const [key, body] = [`key-${bodies.size}`, randomBytes(BODY_BYTES)]
        await client.put({ bucket: BUCKET, key, body })
        bodies.set(key, body)
      }
      for (const { client } of nodes.all.slice(0, 2)) {
        for (const [key, body] of bodies) {
          const pieces: Uint8Array[] = []
          for await (const piece of (await client.get(BUCKET, key)).body) pieces.push(piece)
          assert.ok(Buffer.concat(pieces).equals(body), key)
        }
      }
    }
    await bothWork()

    // One node after another is upgraded; the schema is that of the newer program from then on.
    await second.stop()
    second.command = programOf("0.2.0", framesOf(highest, highest + 1), SCHEMA_VERSION + 1)
    await second.start()
    await bothWork()
    const { nodes: seen } = await statusSays(first, ({ nodes: known }) => known?.nodes[1]?.version === "0.2.0")
    assert.deepEqual(
      seen?.nodes.map(({ state }) => state),
      ["serving", "serving"],
    )
    await first.stop()
    await first.start()
    await bothWork()

    // A program that has skipped a release migrates nothing while others run.
    const skipping = await nodes.add(0)
    skipping.command = programOf("0.4.0", framesOf(highest + 2, highest + 3), SCHEMA_VERSION + 3)
    assert.match(
      await skipping.refusal(),
      /too old for the schema of this one: upgrade all nodes one release at a time/,
    )
    // With a schema that both know, its peers refuse it.
    const far = await nodes.add(0)
    far.command = programOf("0.3.0", framesOf(highest + 2, highest + 2), SCHEMA_VERSION + 1)
    const started = far.spawn()
    const { nodes: known } = await statusSays(first, ({ nodes: all }) =>
      /versions of two nodes are too far apart/.test(all?.nodes.find(({ name }) => name === far.name)?.reason ?? ""),
    )
    assert.equal(known?.nodes.find(({ name }) => name === far.name)?.version, "0.3.0")
    await started.stop()
    // A program that is two versions older than the schema is refused.
    const database = new URL(nodes.url).pathname.slice(1)
    await nodes.databases.server.sql(`UPDATE hayloft.schema_version SET version = ${SCHEMA_VERSION + 2}`, database)
    const old = await nodes.add(0)
    assert.match(await old.refusal(), /a newer version of Hayloft has migrated the database: upgrade this node/)
    await bothWork()
  })
})
