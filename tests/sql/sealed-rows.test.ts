/**
 * Rows of a store with `--encrypt-at-rest` in a database: what the tables contain, what happens to rows that somebody has
 * changed there, and the suite of all metadata engines on a real PostgreSQL.
 */
import assert from "node:assert/strict"
import { after, before, test } from "node:test"
import { isFailure } from "@hayloft/base/failures.js"
import { rowKeyOf, type RowKey } from "@hayloft/base/ids.js"
import { RowCipher, rowsKeyOf } from "@hayloft/base/encryption/row-cipher.js"
import { command, query } from "@hayloft/engine/metadata/index.js"
import { metadataSuite, type MetadataUnderTest } from "@hayloft/engine/metadata/suite.js"
import { RealClock } from "@hayloft/base/seams/clock/real.js"
import { RealRandom } from "@hayloft/base/seams/random/real.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { SimTelemetry } from "@hayloft/base/seams/telemetry/sim.js"
import { Postgres, SqlMetadata } from "@hayloft/engine/sql/index.js"
import { noPostgres } from "../harness/postgres.js"
import { Databases } from "./databases.js"
import { SimulatedWorld, SLOW, UNRELIABLE } from "./simulated-world.js"

const KEY = rowsKeyOf(new Uint8Array(32).fill(5))
const ALL_KEYS = { start: rowKeyOf(""), end: rowKeyOf("\xff".repeat(16)) }
const [ONE, TWO] = [rowKeyOf("\0\0\0\0\0\0\0\x01one\0"), rowKeyOf("\0\0\0\0\0\0\0\x01two\0")]

const textOf = (bytes: Uint8Array | undefined): string | undefined => bytes && Buffer.from(bytes).toString()

/** Writes an object's row, its head, a setting, and a row of coordination. */
const put = command<[key: RowKey, text: string], void>({
  name: "PutTexts",
  touches: key => [["current", key]],
  decide(view, _, key, text) {
    for (const family of ["current", "heads", "settings", "cluster"] as const) view.get(family, key)
    const value = Buffer.from(text)
    return {
      writes: [
        { family: "current", key, value, payload: Buffer.from("a sealed payload") },
        ...(["heads", "settings", "cluster"] as const).map(family => ({ family, key, value })),
      ],
      result: undefined,
    }
  },
})
const read = query("ReadText", (view, family: "current" | "heads" | "settings" | "cluster", key: RowKey) =>
  textOf(view.get(family, key)?.value),
)
const list = query("ListTexts", view => Array.from(view.range("current", ALL_KEYS), ([, { value }]) => textOf(value)))
const isDamage = (error: unknown): boolean => isFailure(error, "corruptRow")

/** An engine that encrypts its rows. */
async function openSealed(world: SimulatedWorld, node: string): Promise<SqlMetadata> {
  const engine = await world.open(node)
  engine.sealRows(new RowCipher(KEY, new SimRandom(node.length)))
  return engine
}

/** Returns what the database has, as another program sees it. */
const stored = (world: SimulatedWorld, family: "current" | "settings" | "cluster", key: RowKey) =>
  world.byOperator(async session => {
    const keys = [{ family, key }]
    const { rows } = await session.fetch({
      lane: { incarnation: 0, lane: 0 },
      keys,
      ranges: [],
      counters: [],
      usage: [],
    })
    return rows[0]
  })

for (const [name, faults] of [
  ["slow statements", SLOW],
  ["lost connections", UNRELIABLE],
] as const) {
  test(`nodes read each other's encrypted rows, which show nothing in the database: ${name}`, () => {
    const world = new SimulatedWorld(3, faults)
    return world.run(async () => {
      const [a, bb] = [await openSealed(world, "a"), await openSealed(world, "bb")]
      await a.run(put(ONE, "a secret"))
      await bb.run(put(ONE, "another secret"))
      await a.run(put(TWO, "a third secret"))
      for (const engine of [a, bb]) {
        await engine.confirm()
        for (const family of ["current", "heads", "settings"] as const)
          assert.equal(await engine.ask(read(family, ONE)), "another secret")
        assert.equal(await engine.known(read("settings", TWO)), "a third secret")
        assert.equal(engine.known(read("settings", TWO)), "a third secret", "known rows are open")
        assert.deepEqual(await engine.ask(list()), ["another secret", "a third secret"])
      }
      for (const family of ["current", "settings"] as const) {
        const row = await stored(world, family, ONE)
        for (const bytes of [row?.value, row?.head]) assert.doesNotMatch(String(textOf(bytes)), /secret/)
      }
      assert.equal(textOf((await stored(world, "cluster", ONE))?.value), "another secret", "coordination is readable")
    })
  })
}

test("plain rows in a store that encrypts are damage, which fails only what reads them", () => {
  const world = new SimulatedWorld(4, SLOW)
  return world.run(async () => {
    const plain = await world.open("plain")
    await plain.run(put(ONE, "planted"))
    const engine = await openSealed(world, "engine")
    await engine.run(put(TWO, "mine"))
    // At the same time: one statement fetches the rows of all of them.
    const asked = await Promise.allSettled([
      engine.ask(read("current", ONE)),
      engine.ask(read("current", TWO)),
      engine.ask(read("settings", ONE)),
      engine.ask(read("settings", TWO)),
      engine.ask(list()),
    ])
    const said = asked.map(each => (each.status === "fulfilled" ? each.value : isDamage(each.reason)))
    assert.deepEqual(said, [true, "mine", true, "mine", true])
    const written = await Promise.allSettled([engine.run(put(ONE, "over it")), engine.run(put(TWO, "mine again"))])
    assert.deepEqual(
      written.map(({ status }) => status),
      ["rejected", "fulfilled"],
    )
    assert.equal(await engine.ask(read("current", TWO)), "mine again")
    assert.equal(textOf((await stored(world, "current", ONE))?.value), "planted", "nothing was written over it")
  })
})

let databases: Databases

async function openOn(url: string): Promise<MetadataUnderTest & { readonly metadata: SqlMetadata }> {
  const seams = { clock: new RealClock(), random: new RealRandom(), log: new SimTelemetry().log }
  const metadata = await SqlMetadata.open({ ...seams, database: new Postgres(url), node: "node" })
  metadata.sealRows(new RowCipher(KEY, seams.random))
  return {
    metadata,
    async reopen() {
      await metadata.stop()
      return openOn(url)
    },
    dispose: () => metadata.stop(),
  }
}

if (noPostgres !== false) test("encrypted rows on PostgreSQL", { skip: noPostgres })
else {
  before(async () => {
    databases = await Databases.start()
  })
  after(() => databases.stop())
  metadataSuite("PostgreSQL with encrypted rows", async () => openOn(await databases.create()))

  test("rows whose values somebody exchanges, moves or puts back in PostgreSQL do not open", async () => {
    const url = await databases.create()
    const name = new URL(url).pathname.slice(1)
    const sql = (text: string) => databases.server.sql(text, name)
    const { metadata } = await openOn(url)
    try {
      const rowOf = (key: RowKey, table = "rows"): string =>
        `${table}.family = 2 AND ${table}.key = '\\x${Buffer.from(key.slice(8), "latin1").toString("hex")}'`
      const fails = async (what: string): Promise<void> => {
        await assert.rejects(async () => metadata.ask(read("current", ONE)), isDamage, what)
        await metadata.run(put(TWO, "two"))
        assert.equal(await metadata.ask(read("current", TWO)), "two", what)
      }
      const begin = async (): Promise<void> => {
        await sql("DELETE FROM hayloft.rows WHERE family <> 28")
        await metadata.run(put(ONE, "first"))
        await metadata.run(put(TWO, "two"))
        await sql("DROP TABLE IF EXISTS saved; CREATE TABLE saved AS SELECT * FROM hayloft.rows")
        assert.equal(await metadata.ask(read("current", ONE)), "first")
      }
      await begin()
      await sql(
        `UPDATE hayloft.rows r SET value = o.value FROM saved o WHERE ${rowOf(ONE, "r")} AND ${rowOf(TWO, "o")}`,
      )
      await fails("the value of another row")
      await begin()
      const all = "value = o.value, head = o.head, version = o.version"
      await sql(`UPDATE hayloft.rows r SET ${all} FROM saved o WHERE ${rowOf(ONE, "r")} AND ${rowOf(TWO, "o")}`)
      await fails("all columns of another row")
      await begin()
      await sql(`UPDATE hayloft.rows SET value = head, head = value WHERE ${rowOf(ONE)}`)
      await fails("its own columns, exchanged")
      await begin()
      await metadata.run(put(ONE, "second"))
      await sql(
        `UPDATE hayloft.rows r SET value = o.value FROM saved o WHERE ${rowOf(ONE, "r")} AND ${rowOf(ONE, "o")}`,
      )
      await fails("an earlier value of the same row")
      await begin()
      await sql(`UPDATE hayloft.rows SET value = set_byte(value, 20, 1 # get_byte(value, 20)) WHERE ${rowOf(ONE)}`)
      await fails("a changed byte")
    } finally {
      await metadata.stop()
    }
  })
}
