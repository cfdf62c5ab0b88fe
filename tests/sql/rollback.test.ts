/**
 * A database that is restored to an earlier moment: every process notices, also at its start; incarnations are never
 * numbered twice; only coordination goes on until the halt ends. On simulated time and on a real PostgreSQL.
 */
import assert from "node:assert/strict"
import { after, before, test } from "node:test"
import { setTimeout as wait } from "node:timers/promises"
import { TEST_SEED } from "@hayloft/base/testing-seed.js"
import { isFailure } from "@hayloft/base/failures.js"
import { beatNode, joinNode, nodeRows } from "@hayloft/engine/coordination/index.js"
import { parseNodeFingerprint, parseNodeName, rowKeyOf } from "@hayloft/base/ids.js"
import type { DatabaseMark } from "@hayloft/engine/format/device/database-mark.js"
import { command, query } from "@hayloft/engine/metadata/index.js"
import { RealClock } from "@hayloft/base/seams/clock/real.js"
import { RealRandom } from "@hayloft/base/seams/random/real.js"
import { SimTelemetry } from "@hayloft/base/seams/telemetry/sim.js"
import { Postgres, SqlMetadata, StoreDatabase } from "@hayloft/engine/sql/index.js"
import { noPostgres } from "../harness/postgres.js"
import { AnsweredDatabase } from "./answered-database.js"
import { Databases } from "./databases.js"
import { increment, valueNow } from "./increments.js"
import { SimulatedWorld, SLOW } from "./simulated-world.js"

/** A database that can be put back to an earlier moment. */
interface Stage {
  open(node: string, marks?: readonly DatabaseMark[]): Promise<SqlMetadata>
  save(): Promise<void>
  restore(): Promise<void>
  /** Numbers up to this one are taken for incarnations, as if processes had begun them. */
  skip(upTo: number): Promise<void>
  /** Until a process has read the list of incarnations. */
  pass(): Promise<void>
}

const rolledBack = (error: unknown): boolean => isFailure(error, "databaseRolledBack")
const NODE = parseNodeName("a")
const UNSEEN = 5_000
const FACTS = { layoutVersion: 1, unreachable: [] }

async function until(stage: Stage, isSo: () => boolean): Promise<void> {
  for (let tries = 0; tries < 100 && !isSo(); tries += 1) await stage.pass()
  assert.ok(isSo())
}

const rowOf = ({ incarnations, position }: SqlMetadata) => ({
  name: NODE,
  incarnation: incarnations.own,
  address: "",
  fingerprint: parseNodeFingerprint("ab".repeat(32)),
  proof: new Uint8Array(1),
  zone: "",
  machine: "",
  program: "",
  beat: 1,
  position,
  ...FACTS,
})

/** Two processes; what one has committed is lost, and the other has lost nothing. */
async function noticedByAll(stage: Stage): Promise<void> {
  const [a, b] = [await stage.open("a"), await stage.open("b")]
  const stopping = new AbortController()
  const running = [a, b].map(engine => engine.keepUp(stopping.signal))
  try {
    const before = [a.incarnations.own, b.incarnations.own]
    assert.equal(await a.run(increment()), 1)
    await stage.save()
    assert.equal(await a.run(increment()), 2)
    await stage.restore()
    await assert.rejects(a.run(increment()), rolledBack)
    // An incarnation may learn of the halt before it notices that it has ended, and the next one begins.
    const says = ({ trouble = "" }: SqlMetadata): boolean => /lost changes.*hayloft cluster reconcile/.test(trouble)
    await until(
      stage,
      () => says(a) && says(b) && [a, b].every(({ incarnations }) => !before.includes(incarnations.own)),
    )
    for (const engine of [a, b]) {
      await assert.rejects(engine.run(increment()), rolledBack)
      assert.ok(engine.incarnations.own > Math.max(...before))
      assert.equal(engine.incarnations.isOver(engine.incarnations.oldestLive), false)
    }
    await a.run(joinNode(rowOf(a)))
    await a.run(beatNode(NODE, { ...FACTS, position: a.position }, []))
    assert.deepEqual(
      (await b.ask(nodeRows())).map(({ beat }) => beat),
      [2],
    )
    assert.equal(await b.duringHalt.run(increment()), 2)
    const { number } = a.halt ?? { number: 0 }
    assert.equal(await a.resume(number - 1), false)
    assert.equal(await a.resume(number), true)
    await until(stage, () => b.halt === undefined)
    assert.equal(await b.run(increment()), 3)
    assert.equal(b.incarnations.reconciliations, 1)
  } finally {
    stopping.abort()
    await Promise.all(running)
  }
}

/** No process runs while the database is restored. */
async function noticedAtStart(stage: Stage): Promise<void> {
  const first = await stage.open("a")
  await stage.save()
  assert.equal(await first.run(increment()), 1)
  await first.stop()
  const second = await stage.open("a", [first.mark])
  assert.equal(second.halt, undefined)
  await second.stop()
  await stage.restore()
  const third = await stage.open("a", [second.mark])
  assert.ok(third.incarnations.own > second.incarnations.own, "an incarnation was numbered twice")
  assert.match(third.halt?.reason ?? "", /incarnations up to/)
  await third.stop()
  // The halt is in the database: a node without any device finds it too.
  const fourth = await stage.open("b")
  await assert.rejects(fourth.run(increment()), rolledBack)
  await fourth.resume(fourth.halt?.number ?? 0)
  assert.equal(await fourth.run(increment()), 1)
  // A device that was away meanwhile does not halt the store again.
  const late = await stage.open("a", [second.mark])
  assert.equal(late.halt, undefined)
}

/** A process that was stopped during all of it. */
async function sleptThrough(stage: Stage): Promise<void> {
  const [a, b] = [await stage.open("a"), await stage.open("b")]
  await stage.save()
  assert.equal(await b.run(increment()), 1)
  assert.equal(await a.run(increment()), 2)
  await stage.restore()
  await assert.rejects(a.run(increment()), rolledBack)
  await until(stage, () => a.halt !== undefined)
  assert.equal(await a.resume(a.halt?.number ?? 0), true)
  await assert.rejects(b.run(increment()))
  await until(stage, () => b.trouble === undefined)
  assert.equal(await b.run(increment()), 1)
  assert.equal(a.trouble, undefined)
  assert.equal(await a.run(increment()), 2)
}

/** The read that finds the rollback is not answered from it. */
async function noticedByReader(stage: Stage): Promise<void> {
  const a = await stage.open("a")
  await stage.save()
  assert.equal(await a.run(increment()), 1)
  assert.equal(await a.ask(valueNow()), 1)
  await stage.restore()
  await assert.rejects(async () => a.ask(valueNow()), rolledBack)
  await until(stage, () => a.halt !== undefined)
}

/** A gateway starts between the rollback and its notice, and ends the process that it follows. */
async function noticedAfterRestart(stage: Stage): Promise<void> {
  const [a, before] = [await stage.open("a"), await stage.open("gateway")]
  assert.ok(await a.learn())
  await stage.save()
  assert.equal(await a.run(increment()), 1)
  await stage.restore()
  const after = await stage.open("gateway")
  await assert.rejects(a.run(increment()), rolledBack)
  await until(stage, () => a.halt !== undefined)
  for (const { incarnations } of [before, after]) {
    assert.ok(a.halt?.live.includes(incarnations.own), "what it has uploaded may be unknown to the database")
  }
}

/** A process begins and is lost, and the one that notices the rollback has never seen it. */
async function numberedOnce(stage: Stage): Promise<void> {
  const a = await stage.open("a")
  await stage.save()
  assert.equal(await a.run(increment()), 1)
  const lost = await stage.open("b")
  await stage.restore()
  await assert.rejects(a.run(increment()), rolledBack)
  await until(stage, () => a.halt !== undefined)
  assert.ok(a.incarnations.own > lost.incarnations.own, "an incarnation was numbered twice")
}

/** A process begins in the database that was rolled back, with the number of one that runs. */
async function numberedTwice(stage: Stage): Promise<void> {
  await stage.save()
  const a = await stage.open("a")
  await stage.restore()
  const b = await stage.open("b")
  assert.equal(a.incarnations.own, b.incarnations.own)
  await a.learn()
  await until(stage, () => a.halt !== undefined)
  await b.learn()
  await until(stage, () => b.halt !== undefined)
  assert.notEqual(a.incarnations.own, b.incarnations.own)
}

/** A process has seen incarnations that the one which reconciled the store has not. */
async function seenMore(stage: Stage): Promise<void> {
  const [a, b] = [await stage.open("a"), await stage.open("b")]
  await stage.save()
  assert.equal(await a.run(increment()), 1)
  await stage.skip(UNSEEN)
  assert.ok(await b.learn())
  await stage.restore()
  await assert.rejects(a.run(increment()), rolledBack)
  await until(stage, () => a.halt !== undefined)
  assert.equal(await a.resume(a.halt?.number ?? 0), true)
  await b.learn()
  await until(stage, () => b.incarnations.own > UNSEEN)
  assert.ok(await a.learn())
  for (const { trouble } of [a, b]) assert.equal(trouble, undefined, "the store is halted again")
  assert.equal(await b.run(increment()), 1)
}

const CHECKS = {
  "noticed by all": noticedByAll,
  "noticed at a start": noticedAtStart,
  "slept through": sleptThrough,
  "noticed by a reader": noticedByReader,
  "noticed after a restart": noticedAfterRestart,
  "noticed by a process whose number was given again": numberedTwice,
  "noticed, and no incarnation is numbered like a lost one": numberedOnce,
  "reconciled by a process that has seen less than others": seenMore,
}

for (const [name, check] of Object.entries(CHECKS)) {
  test(`simulated: a database that was rolled back is ${name}`, async () => {
    const world = new SimulatedWorld(TEST_SEED, SLOW)
    let saved = world.database.copy()
    await world.run(() =>
      check({
        open: (node, marks) => world.open(node, world.clock, marks),
        save: async () => void (saved = world.database.copy()),
        restore: async () => world.database.restore(saved),
        skip: upTo => world.byOperator(session => session.skipIncarnations(upTo)),
        pass: () => world.pass(1_000),
      }),
    )
  })
}

test("an answer of a server that is no longer the database halts nothing", () => {
  const world = new SimulatedWorld(TEST_SEED, SLOW)
  return world.run(async () => {
    const { clock, random, telemetry } = world
    const database = new AnsweredDatabase(world.database)
    const engine = await SqlMetadata.open({ clock, random, log: telemetry.log, database, node: "a" })
    const other = await world.open("b")
    for (const number of [1, 2]) assert.equal(await engine.run(increment()), number)
    database.answerOneCommitLate()
    await assert.rejects(engine.run(increment()), rolledBack)
    while (engine.trouble !== undefined && engine.halt === undefined) await world.pass(100)
    for (const each of [engine, other]) assert.ok(await each.learn())
    assert.deepEqual([engine.halt, other.halt], [undefined, undefined])
    assert.equal(await engine.run(increment()), 3)
    await engine.stop()
  })
})

const FIRST_ROW = { family: "accounts", key: rowKeyOf("first") } as const
const setFirst = command<[string], undefined>({
  name: "SetFirst",
  touches: () => [[FIRST_ROW.family, FIRST_ROW.key]],
  decide(view, _, text) {
    view.get(FIRST_ROW.family, FIRST_ROW.key)
    return { writes: [{ ...FIRST_ROW, value: Buffer.from(text) }], result: undefined }
  },
})
const keptFirst = new WeakMap<object, string>()
const firstNow = query("FirstNow", view => {
  const text = Buffer.from(view.get(FIRST_ROW.family, FIRST_ROW.key)?.value ?? []).toString()
  const { generationMark } = view
  const known = generationMark && keptFirst.get(generationMark)
  if (generationMark !== undefined) keptFirst.set(generationMark, known ?? text)
  return known ?? text
})

test("rows of a time that the database has lost are not kept for a later one", () => {
  const world = new SimulatedWorld(TEST_SEED, SLOW)
  return world.run(async () => {
    const { clock, random, telemetry } = world
    const database = new AnsweredDatabase(world.database)
    const engine = await SqlMetadata.open({ clock, random, log: telemetry.log, database, node: "a" })
    const saved = world.database.copy()
    // The end of the halt increases the generation too.
    for (const text of ["earlier", "lost"]) await engine.run(setFirst(text))
    const release = database.holdNext()
    const asked = engine.duringHalt.ask(firstNow())
    await world.pass(100)
    world.database.restore(saved)
    await assert.rejects(engine.run(setFirst("lost")), rolledBack)
    while (engine.halt === undefined) await world.pass(10)
    assert.equal(await engine.resume(engine.halt.number), true)
    await engine.run(setFirst("new"))
    release()
    assert.equal(await asked, "lost", "it was asked before")
    assert.equal(await engine.ask(firstNow()), "new")
    await engine.stop()
  })
})

let databases: Databases

if (noPostgres === false) {
  before(async () => {
    databases = await Databases.start()
  })
  after(() => databases.stop())
}

const TABLES = ["store", "incarnations", "lanes", "rows", "counters", "usage"]

for (const [name, check] of Object.entries(CHECKS)) {
  test(`PostgreSQL: a database that was rolled back is ${name}`, { skip: noPostgres }, async () => {
    const url = await databases.create()
    const script = async (text: string): Promise<void> => {
      const session = await new Postgres(url).connect()
      await session.script(text)
      await session.close()
    }
    const engines: SqlMetadata[] = []
    await new Postgres(url).migrate()
    await check({
      async open(node, marks = []) {
        const seams = { clock: new RealClock(), random: new RealRandom(), log: new SimTelemetry().log }
        const engine = await SqlMetadata.open({ ...seams, database: new Postgres(url), node, marks })
        engines.push(engine)
        return engine
      },
      save: () => script(TABLES.map(table => `CREATE TABLE saved_${table} AS TABLE hayloft.${table}`).join(";")),
      restore: () =>
        script(
          ["BEGIN", `TRUNCATE ${TABLES.map(table => `hayloft.${table}`).join(", ")}`]
            .concat(TABLES.map(table => `INSERT INTO hayloft.${table} TABLE saved_${table}`))
            .concat("COMMIT")
            .join(";"),
        ),
      skip: upTo => StoreDatabase.over(new Postgres(url), url).skipIncarnations(upTo),
      pass: () => wait(100),
    })
    await Promise.all(engines.map(engine => engine.stop()))
  })
}
