/**
 * Random histories of all commands and queries, on the embedded engine and on the SQL engine over a simulated database:
 * both do what a model in memory does.
 */
import assert from "node:assert/strict"
import { test } from "node:test"
import { seedsOf } from "@hayloft/base/testing-seed.js"
import { NO_FAULTS } from "@hayloft/engine/sql/simulated/faults.js"
import { SLOW, UNRELIABLE } from "../sql/simulated-world.js"
import { playOnEmbedded, playOnFronts, playOnSimulated } from "./histories.js"
import type { HistoryOptions } from "./player.js"

const ALONE = { rounds: 500, atOnce: 1, restartOneIn: 60, restarts: "before" } as const
const TOGETHER = { rounds: 150, atOnce: 4, restartOneIn: 40, restarts: "during" } as const

async function overSeeds(count: number, run: (seed: number) => Promise<unknown>): Promise<void> {
  for (const seed of seedsOf(count)) {
    try {
      await run(seed)
    } catch (error) {
      throw new Error(`seed ${seed}: ${String(error)}`, { cause: error })
    }
  }
}

test("one command after the other: both engines answer like the model, and like each other, over restarts", () =>
  overSeeds(1, async seed => {
    const embedded = await playOnEmbedded(seed, ALONE)
    // No time passes on either: the state of queue messages depends on it.
    const { player } = await playOnSimulated(seed, { ...ALONE, nodes: ["a"], faults: NO_FAULTS })
    assert.deepEqual(player.outcomes, embedded.outcomes)
  }))

test("commands at the same time on the embedded engine are as if one had come after the other", () =>
  overSeeds(2, seed => playOnEmbedded(seed, TOGETHER)))

test("an engine thread and its fronts take turns, over restarts of each", () =>
  overSeeds(1, seed => playOnFronts(seed, { ...ALONE, rounds: 200 })))

test("commands of an engine thread and its fronts at the same time are as if one had come after the other", () =>
  overSeeds(3, seed => playOnFronts(seed, { ...TOGETHER, rounds: 50 })))

test("two processes take turns on one database", () =>
  overSeeds(1, seed => playOnSimulated(seed, { ...ALONE, nodes: ["a", "b"], faults: SLOW })))

test("commands of two processes at the same time on one database are as if one had come after the other", () =>
  overSeeds(2, async seed => {
    const { counts } = await playOnSimulated(seed, { ...TOGETHER, nodes: ["a", "b"], faults: SLOW })
    assert.ok(counts.conflicts > 0, JSON.stringify(counts))
  }))

const FAILING = { ...UNRELIABLE, aborted: 0.08 }

test("with lost connections, late statements and aborted transactions each command takes effect once or not at all", () =>
  withFailures({ ...ALONE, restarts: "during", rounds: 300 }))

test("the same with commands of two processes at the same time", () => withFailures(TOGETHER))

async function withFailures(options: HistoryOptions): Promise<void> {
  const sums = { lost: 0, unanswered: 0, conflicts: 0, aborted: 0 }
  await overSeeds(2, async seed => {
    const { counts } = await playOnSimulated(seed, { ...options, nodes: ["a", "b"], faults: FAILING })
    for (const name of ["lost", "unanswered", "conflicts", "aborted"] as const) sums[name] += counts[name]
  })
  for (const [name, count] of Object.entries(sums)) assert.ok(count > 0, `nothing of this kind: ${name}`)
}
