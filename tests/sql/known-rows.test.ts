/** Rows of buckets and identities that an engine has in memory: never older than the confirmation of a request. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { MasterKeys, openAccess } from "@hayloft/access/index.js"
import { isFailure } from "@hayloft/base/failures.js"
import { rowKeyOf } from "@hayloft/base/ids.js"
import { command, query, type Metadata } from "@hayloft/engine/metadata/index.js"
import type { FaultPlan } from "@hayloft/engine/sql/simulated/faults.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { SqlMetadata } from "@hayloft/engine/sql/index.js"
import { NOW_MS, ROOT_KEY } from "../access/world.js"
import { AnsweredDatabase } from "./answered-database.js"
import { SimulatedWorld, SLOW, UNRELIABLE } from "./simulated-world.js"

const ROUNDS = 40
const READERS = 4
const SETTING = { family: "settings", key: rowKeyOf(`${"\0".repeat(7)}\x01policy`) } as const

const textIn = query("TextIn", view => Buffer.from(view.get(SETTING.family, SETTING.key)?.value ?? []).toString())
const setText = command<[string | undefined], undefined>({
  name: "SetText",
  touches: () => [[SETTING.family, SETTING.key]],
  decide(view, _, text) {
    view.get(SETTING.family, SETTING.key)
    return { writes: [{ ...SETTING, value: text === undefined ? undefined : Buffer.from(text) }], result: undefined }
  },
})

const accessOn = (metadata: Metadata) =>
  openAccess(new SimRandom(7), metadata, new MasterKeys(new Uint8Array(32).fill(9)), ROOT_KEY).accounts

test("rows of one generation are read once", () => {
  const world = new SimulatedWorld(1, SLOW)
  return world.run(async () => {
    const [a, b] = [await world.open("a"), await world.open("b")]
    await a.run(setText("first"))
    await b.confirm()
    assert.equal(await b.known(textIn()), "first")
    assert.equal(b.known(textIn()), "first", "it is there at once")
    await a.run(setText(undefined))
    await b.confirm()
    assert.equal(await b.known(textIn()), "")
    assert.equal(b.known(textIn()), "", "an absent row is known too")
    await b.run(setText("own"))
    assert.equal(await b.known(textIn()), "own")
  })
})

for (const [name, faults] of [
  ["slow statements", SLOW],
  ["lost connections", UNRELIABLE],
] as const satisfies readonly (readonly [string, FaultPlan])[]) {
  test(`what another process has changed holds from the next confirmation on: ${name}`, () => {
    const world = new SimulatedWorld(5, faults)
    return world.run(async () => {
      const [a, b] = [await world.open("a"), await world.open("b")]
      let acknowledged = 0
      const isOver = () => acknowledged === ROUNDS
      const read = async (): Promise<void> => {
        while (!isOver()) {
          const before = acknowledged
          try {
            await b.confirm()
            const found = Number((await b.known(textIn())) || "0")
            assert.ok(found >= before, `${found} after ${before} was acknowledged`)
          } catch (error) {
            if (error instanceof assert.AssertionError) throw error
            await world.pass(20)
          }
        }
      }
      const write = async (): Promise<void> => {
        while (!isOver()) {
          const next = acknowledged + 1
          await a.run(setText(String(next))).then(
            () => (acknowledged = next),
            () => world.pass(20),
          )
        }
      }
      await Promise.all([write(), ...Array.from({ length: READERS }, read)])
    })
  })
}

test("a key that one process disables is refused by the next request to another", () => {
  const world = new SimulatedWorld(9, SLOW)
  return world.run(async () => {
    const [a, b] = [await world.open("a"), await world.open("b")]
    const [one, other] = [accessOn(a), accessOn(b)]
    await one.ensureRoot()
    const { key } = await one.createKey({ accountId: ROOT_KEY.accountId, userName: undefined })
    const isAccepted = async () => (await other.secretOf(key.id, undefined, NOW_MS)) !== undefined
    for (let round = 0; round < ROUNDS; round += 1) {
      assert.ok(await isAccepted())
      await one.setKeyActive(key.id, false)
      assert.ok(!(await isAccepted()), "it was disabled before the request")
      await one.setKeyActive(key.id, true)
    }
  })
})

// With one lost change, the generation of the answer is that after the reconciliation.
for (const lost of [1, 3]) {
  test(`an answer from before a rollback, which arrives after it, is not known: ${lost} changes were lost`, () => {
    const world = new SimulatedWorld(3, SLOW)
    return world.run(async () => {
      const { clock, random, telemetry } = world
      const database = new AnsweredDatabase(world.database)
      const engine = await SqlMetadata.open({ clock, random, log: telemetry.log, database, node: "a" })
      await engine.run(setText("kept"))
      const saved = world.database.copy()
      for (let round = 0; round < lost; round += 1) await engine.run(setText("lost"))
      const release = database.holdNext()
      const late = Promise.resolve(engine.ask(textIn()))
      await world.pass(1_000)
      world.database.restore(saved)
      await assert.rejects(engine.run(setText("more")))
      while (engine.halt === undefined) await world.pass(100)
      assert.ok(await engine.resume(engine.halt.number))
      await engine.confirm()
      release()
      await assert.rejects(late, error => isFailure(error, "databaseRolledBack"))
      assert.equal(await engine.known(textIn()), "kept")
      assert.equal(engine.known(textIn()), "kept", "it is there at once")
      await engine.stop()
    })
  })
}
