/** Queries and decisions that read row after row: however many, they take a few statements, and see what is there. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { rowKeyOf } from "@hayloft/base/ids.js"
import { command, query, RememberedByGeneration } from "@hayloft/engine/metadata/index.js"
import { AskedDatabase } from "./asked-database.js"
import { SimulatedWorld, SLOW } from "./simulated-world.js"

const ROWS = 1_500
const ALL = { start: rowKeyOf("row"), end: rowKeyOf("rox") }
const keyOf = (at: number) => rowKeyOf(`row ${String(at).padStart(4, "0")}`)
const ODD = Buffer.from("odd")

/** Each row, and for every second one a row of the other family. */
const fill = command<[from: number, to: number], undefined>({
  name: "Fill",
  touches: () => [],
  decide(view, _, from, to) {
    const keys = Array.from({ length: to - from }, (_row, at) => from + at)
    const families = (at: number) =>
      at % 2 === 1 ? (["keyUses", "pendingDeletions"] as const) : (["keyUses"] as const)
    const writes = keys.flatMap(at =>
      families(at).map(family => {
        view.get(family, keyOf(at))
        return { family, key: keyOf(at), value: ODD }
      }),
    )
    return { writes, result: undefined }
  },
})

test("rows and ranges that rows name are read together", () => {
  const world = new SimulatedWorld(3, SLOW)
  return world.run(async () => {
    const engine = await world.open("node")
    for (let from = 0; from < ROWS; from += 100) await engine.run(fill(from, from + 100))
    let runs = 0
    const walk = query("WalkOfNames", view => {
      runs += 1
      if (view.get("keyUses", keyOf(0)) === undefined) throw new Error("the first row is there")
      let odd = 0
      let inRanges = 0
      for (const [key] of view.range("keyUses", ALL)) {
        if (view.get("pendingDeletions", key) !== undefined) odd += 1
        for (const _ of view.range("pendingDeletions", { start: key, end: rowKeyOf(`${key}~`) })) inRanges += 1
      }
      return { odd, inRanges }
    })
    assert.deepEqual(await engine.ask(walk()), { odd: ROWS / 2, inRanges: ROWS / 2 })
    assert.ok(runs < 20, `the query was run ${runs} times`)
  })
})

const fillAccounts = command<[from: number, to: number], undefined>({
  name: "FillAccounts",
  touches: () => [],
  decide(view, _, from, to) {
    const keys = Array.from({ length: to - from }, (_row, at) => keyOf(from + at))
    for (const key of keys) view.get("accounts", key)
    return { writes: keys.map(key => ({ family: "accounts" as const, key, value: ODD })), result: undefined }
  },
})

test("a list that is kept with its generation is whole, however many fetches it has taken", () => {
  const ACCOUNTS = 6_000
  const world = new SimulatedWorld(5, SLOW)
  return world.run(async () => {
    const engine = await world.open("node")
    for (let from = 0; from < ACCOUNTS; from += 100) await engine.run(fillAccounts(from, from + 100))
    const kept = new RememberedByGeneration(view => Array.from(view.range("accounts", ALL)).length)
    const countAccounts = query("CountAccounts", view => kept.of(view))
    assert.equal(await engine.ask(countAccounts()), ACCOUNTS)
    assert.equal(await engine.ask(countAccounts()), ACCOUNTS)
  })
})

const countRows = command<[], number>({
  name: "CountRows",
  touches: () => [],
  decide: view => ({ writes: [], result: Array.from(view.range("keyUses", ALL)).length }),
})

test("a range that many commands of a batch, or one query many times, find too short grows once for each fetch", () => {
  const world = new SimulatedWorld(4, SLOW)
  return world.run(async () => {
    const database = new AskedDatabase(world.database)
    const engine = await world.open("node", world.clock, [], database)
    for (let from = 0; from < ROWS; from += 100) await engine.run(fill(from, from + 100))
    const counts = await Promise.all(Array.from({ length: 30 }, () => engine.run(countRows())))
    assert.deepEqual([...new Set(counts)], [ROWS])
    const often = query("WalkOften", view =>
      Array.from({ length: 30 }, () => Array.from(view.range("keyUses", ALL)).length),
    )
    assert.deepEqual([...new Set(await engine.ask(often()))], [ROWS])
    assert.ok(database.rangeMax <= 4 * ROWS, `${database.rangeMax} rows were asked for`)
  })
})
