/** A database that its store has left, or is leaving: no process that was silent meanwhile commits anything in it. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { isFailure } from "@hayloft/base/failures.js"
import { TEST_SEED } from "@hayloft/base/testing-seed.js"
import { parseNodeName } from "@hayloft/base/ids.js"
import { setConversion } from "@hayloft/engine/coordination/index.js"
import type { ConversionState } from "@hayloft/engine/format/nodes/cluster-rows.js"
import type { SqlMetadata } from "@hayloft/engine/sql/index.js"
import { increment } from "./increments.js"
import { SimulatedWorld, SLOW } from "./simulated-world.js"

const NODE = parseNodeName("first")
const LEAVING = { state: "leaving", generation: 5, node: NODE } as const
const elsewhere = (error: unknown): boolean => isFailure(error, "metadataElsewhere")
/** For clients, which may use another node. */
const refused = (error: unknown): boolean => isFailure(error, "stopping") && /this database/.test(error.message)

/** An engine of the process that leaves. */
async function openMover(world: SimulatedWorld): Promise<SqlMetadata> {
  world.moves = true
  const engine = await world.open("first")
  world.moves = false
  return engine
}

/** The store leaves, while node `gateway`, whose incarnation was ended, is silent. */
async function leftBehind(world: SimulatedWorld, states: readonly ConversionState[]) {
  const [mover, gateway] = [await openMover(world), await world.open("gateway")]
  assert.equal(await gateway.run(increment()), 1)
  await mover.endIncarnation(gateway.incarnations.own)
  let before: ConversionState | undefined
  for (const state of states) {
    await mover.run(setConversion(before, { ...LEAVING, state }))
    before = state
  }
  return { mover, gateway }
}

async function until(world: SimulatedWorld, isSo: () => boolean): Promise<void> {
  for (let tries = 0; tries < 100 && !isSo(); tries += 1) await world.pass(1_000)
  assert.ok(isSo())
}

for (const states of [["leaving"], ["leaving", "left"]] as const) {
  test(`a process that returns after a long silence commits nothing: ${states.join(", ")}`, async () => {
    const world = new SimulatedWorld(TEST_SEED, SLOW)
    await world.run(async () => {
      const { mover, gateway } = await leftBehind(world, states)
      const stop = new AbortController()
      const running = gateway.keepUp(stop.signal)
      await assert.rejects(gateway.run(increment()))
      await until(world, () => /(has left|is leaving) this database.* disks of node first/.test(gateway.trouble ?? ""))
      await assert.rejects(gateway.run(increment()), refused)
      await assert.rejects(Promise.resolve(gateway.confirm()), refused)
      await assert.rejects(world.open("another"), elsewhere)
      await mover.learn()
      assert.deepEqual(
        mover.live.nodes.map(({ node }) => node),
        ["first"],
      )
      assert.equal(await mover.run(increment()), 2)
      stop.abort()
      await running
    })
  })
}

test("a process goes on in a database that its store does not leave after all", async () => {
  const world = new SimulatedWorld(TEST_SEED, SLOW)
  await world.run(async () => {
    const { mover, gateway } = await leftBehind(world, ["leaving"])
    const stop = new AbortController()
    const running = gateway.keepUp(stop.signal)
    await assert.rejects(gateway.run(increment()))
    await until(world, () => /is leaving/.test(gateway.trouble ?? ""))
    await mover.run(setConversion("leaving", { ...LEAVING, state: "active" }))
    await until(world, () => gateway.trouble === undefined)
    assert.equal(await gateway.run(increment()), 2)
    stop.abort()
    await running
  })
})

test("of a process that begins and one that leaves at the same time, at least one notices the other", async () => {
  const outcomes = new Set<string>()
  for (let seed = TEST_SEED; seed < TEST_SEED + 100; seed += 1) {
    const world = new SimulatedWorld(seed, SLOW)
    await world.run(async () => {
      const mover = await openMover(world)
      const leaves = async (): Promise<boolean> => {
        await world.pass(world.random.below(80))
        await mover.run(setConversion(undefined, LEAVING))
        assert.equal(await mover.learn(), true)
        return mover.live.nodes.length === 1
      }
      const begins = world.open("gateway").then(
        () => true,
        (error: unknown) => {
          assert.ok(elsewhere(error))
          return false
        },
      )
      const [isAlone, hasBegun] = await Promise.all([leaves(), begins])
      assert.ok(!(isAlone && hasBegun), `seed ${seed}: the store leaves, and the process works`)
      outcomes.add(`${isAlone} ${hasBegun}`)
    })
  }
  assert.deepEqual([...outcomes].sort(), ["false false", "false true", "true false"])
})

test("nothing follows the note that the store has left", async () => {
  const world = new SimulatedWorld(TEST_SEED, SLOW)
  await world.run(async () => {
    const { mover } = await leftBehind(world, ["leaving", "left"])
    for (const state of ["copying", "active", "leaving"] as const) {
      const next = mover.run(setConversion("left", { ...LEAVING, state }))
      await assert.rejects(next, error => isFailure(error, "conflict") && /cannot be used again/.test(error.message))
    }
  })
})
