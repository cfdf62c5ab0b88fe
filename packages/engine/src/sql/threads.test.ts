/** Threads of a process in the database: one is over only once nothing takes effect any more that it has asked for. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { isFailure } from "@hayloft/base/failures.js"
import { rowKeyOf } from "@hayloft/base/ids.js"
import { SimClock } from "@hayloft/base/seams/clock/sim.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { SimTelemetry } from "@hayloft/base/seams/telemetry/sim.js"
import { TEST_SEED } from "@hayloft/base/testing-seed.js"
import { command } from "../metadata/index.js"
import { ConnectionLost, type Database, type Session } from "./database.js"
import { SQL_LIMITS } from "./limits.js"
import { SessionAround } from "./session-around.js"
import { SimulatedDatabase } from "./simulated/simulated-database.js"
import { SqlMetadata } from "./sql-metadata.js"

const addRow = command<[key: string], void>({
  name: "AddRow",
  touches: key => [["accounts", rowKeyOf(key)]],
  decide: (_view, _time, key) => ({
    writes: [{ family: "accounts", key: rowKeyOf(key), value: Buffer.from("row") }],
    result: undefined,
  }),
})

/** The answers of commits are lost, and their outcomes are not known for as long as the test says. */
class Doubts {
  isOn = false
  private known: () => void = () => undefined
  private whenKnown = Promise.resolve()

  begin(): void {
    this.isOn = true
    this.whenKnown = new Promise(resolve => (this.known = resolve))
  }

  end(): void {
    this.isOn = false
    this.known()
  }

  sessionOver(inner: Session): Session {
    const doubts = this
    return new (class extends SessionAround {
      override async makeChanges(...request: Parameters<Session["makeChanges"]>) {
        const outcome = await this.inner.makeChanges(...request)
        if (!doubts.isOn) return outcome
        await this.inner.close()
        throw new ConnectionLost("the answer is lost")
      }

      override async resolve(...request: Parameters<Session["resolve"]>) {
        await doubts.whenKnown
        return this.inner.resolve(...request)
      }
    })(inner)
  }
}

async function opened() {
  const clock = new SimClock()
  const random = new SimRandom(TEST_SEED)
  const inner = new SimulatedDatabase({ clock, random })
  const doubts = new Doubts()
  const database: Database = {
    migrate: () => Promise.resolve(),
    connect: async () => doubts.sessionOver(await inner.connect()),
  }
  const open = (node: string) => SqlMetadata.open({ clock, random, log: new SimTelemetry().log, database, node })
  const [engine, other] = await clock.runUntil(Promise.all([open("a"), open("b")]))
  return { clock, doubts, engine, other }
}

test("a thread is not over while the outcome of a command is unknown that it has asked for", async () => {
  const { clock, doubts, engine, other } = await opened()
  const { thread, process } = await clock.runUntil(engine.beginThread())
  assert.equal(process, engine.incarnations.own)
  doubts.begin()
  const refused = assert.rejects(engine.run(addRow("one")), error => isFailure(error, "indeterminate"))
  await clock.runUntil(refused)
  // It is not known whether the command takes effect yet, although nobody waits for it.
  const ending = assert.rejects(engine.endThread(thread), error => isFailure(error, "databaseUnreachable"))
  await clock.advance(2 * SQL_LIMITS.commandMsMax)
  await clock.runUntil(ending)
  await clock.runUntil(other.learn())
  assert.equal(other.incarnations.isOver(thread), false)
  doubts.end()
  await clock.runUntil(engine.endThread(thread))
  await clock.runUntil(other.learn())
  assert.equal(other.incarnations.isOver(thread), true)
  await clock.runUntil(Promise.all([engine.stop(), other.stop()]))
})

test("once a process has begun another incarnation, its threads of before are over", async () => {
  const { clock, engine, other } = await opened()
  const { thread } = await clock.runUntil(engine.beginThread())
  await clock.runUntil(other.endIncarnation(engine.incarnations.own))
  assert.equal(other.incarnations.isOver(thread), true)
  await clock.runUntil(engine.learn())
  await clock.advance(SQL_LIMITS.reconnectMs.most)
  const next = await clock.runUntil(engine.beginThread())
  assert.ok(next.thread > next.process && next.process > thread)
  assert.ok(engine.incarnations.isOver(thread) && !engine.incarnations.isOver(next.thread))
  await clock.runUntil(Promise.all([engine.stop(), other.stop()]))
})
