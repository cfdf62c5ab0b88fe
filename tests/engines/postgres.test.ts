/**
 * Random histories of all commands and queries on the SQL engine over a real PostgreSQL: it does what a model in memory
 * does, with two processes at the same time, and with connections that are cut.
 */
import assert from "node:assert/strict"
import { after, before, test } from "node:test"
import { setTimeout as later } from "node:timers/promises"
import { seedsOf } from "@hayloft/base/testing-seed.js"
import { RealClock } from "@hayloft/base/seams/clock/real.js"
import { RealRandom } from "@hayloft/base/seams/random/real.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { SimTelemetry } from "@hayloft/base/seams/telemetry/sim.js"
import { ConnectionLost, OutcomeUnknown, TryAgain } from "@hayloft/engine/sql/database.js"
import { Postgres, SqlMetadata } from "@hayloft/engine/sql/index.js"
import { noPostgres } from "../harness/postgres.js"
import { Cutter } from "../sql/cutter.js"
import { Databases } from "../sql/databases.js"
import { playOnEmbedded } from "./histories.js"
import { Player, type HistoryOptions } from "./player.js"
import { SqlProcess } from "./stores.js"

const ALONE = { rounds: 300, atOnce: 1, restartOneIn: 60, restarts: "before" } as const
const TOGETHER = { rounds: 120, atOnce: 4, restartOneIn: 40, restarts: "during" } as const

let databases: Databases
let cutter: Cutter

if (noPostgres === false) {
  before(async () => {
    databases = await Databases.start()
    cutter = await Cutter.before(databases.server.port)
  })
  after(async () => {
    await cutter.stop()
    await databases.stop()
  })
}

async function openNode(url: string, node: string): Promise<SqlMetadata> {
  const log = new SimTelemetry().log
  const seams = { clock: new RealClock(), random: new RealRandom(), log, database: new Postgres(url) }
  // Random commands also say that the store has left the database.
  const settings = { ...seams, node, moves: true }
  for (;;) {
    try {
      return await SqlMetadata.open(settings)
    } catch (error) {
      if (!(error instanceof ConnectionLost || error instanceof TryAgain || error instanceof OutcomeUnknown))
        throw error
    }
  }
}

async function playOn(url: string, seed: number, nodes: readonly string[], options: HistoryOptions): Promise<Player> {
  const open = (node: string) =>
    SqlProcess.open(
      () => openNode(url, node),
      () => later(1),
    )
  const processes = await Promise.all(nodes.map(open))
  try {
    const player = new Player({ processes }, new SimRandom(seed), options)
    await player.play()
    return player
  } finally {
    for (const process of processes) await process.stop()
  }
}

function historyTest(name: string, run: (seed: number, url: string) => Promise<unknown>): void {
  test(name, { skip: noPostgres }, async () => {
    for (const seed of seedsOf(1)) {
      try {
        await run(seed, await databases.create())
      } catch (error) {
        throw new Error(`seed ${seed}: ${String(error)}`, { cause: error })
      }
    }
  })
}

historyTest("one command after the other: PostgreSQL answers like the embedded engine", async (seed, url) => {
  const player = await playOn(url, seed, ["a"], ALONE)
  const embedded = await playOnEmbedded(seed, ALONE)
  assert.deepEqual(player.outcomes, embedded.outcomes)
})

historyTest(
  "commands of two processes at the same time on one PostgreSQL are as if one had come after the other",
  (seed, url) => playOn(url, seed, ["a", "b"], TOGETHER),
)

historyTest("connections to PostgreSQL are cut: each command takes effect once or not at all", async (seed, url) => {
  cutter.isCutting = true
  try {
    await playOn(cutter.urlOf(url), seed, ["a", "b"], { ...TOGETHER, rounds: 60 })
  } finally {
    cutter.isCutting = false
  }
  assert.ok(cutter.cuts > 5, `${cutter.cuts} cuts`)
})
