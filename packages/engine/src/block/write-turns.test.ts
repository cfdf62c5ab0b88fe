/** Whose block is written next while accounts compete, and that nothing waits while one writes alone. */
import { test } from "node:test"
import assert from "node:assert/strict"
import { setImmediate as later } from "node:timers/promises"
import { parseLogSequence } from "@hayloft/base/ids.js"
import { KIB } from "@hayloft/base/limits.js"
import { Rows } from "../device/index.js"
import { SimClock } from "@hayloft/base/seams/clock/sim.js"
import { MemoryStores } from "@hayloft/base/seams/store/testing-memory.js"
import { BLOCK_LIMITS } from "./limits.js"
import { ShardWorld } from "./testing-blocks.js"
import { WriteTurns } from "./write-turns.js"

const of = (account: string) => ({ account, address: "a1" })
const WRITES_MAX = 4

/** Turns, and the accounts whose blocks have begun, in order. */
function world() {
  const clock = new SimClock()
  const turns = new WriteTurns(clock)
  const begun: string[] = []
  const take = async (account: string): Promise<void> => {
    await turns.take(of(account), WRITES_MAX)
    begun.push(account)
  }
  return { clock, turns, begun, take }
}

test("blocks of one account alone do not wait", async () => {
  const { turns, begun, take } = world()
  await Promise.all(Array.from({ length: 40 }, () => take("a")))
  assert.equal(begun.length, 40)
  for (let i = 0; i < 40; i += 1) turns.leave(of("a"))
  assert.equal(turns.waiting, 0)
})

test("while another account writes, few blocks are under way, and its own are next", async () => {
  const { clock, turns, begun, take } = world()
  await Promise.all([take("b"), take("a")])
  for (let i = 0; i < 20; i += 1) void take("a")
  await clock.advance(1)
  assert.equal(begun.length, WRITES_MAX, "three of a and one of b")
  turns.leave(of("b"))
  await clock.advance(1)
  assert.equal(begun.length, WRITES_MAX + 1)
  void take("b")
  void take("b")
  turns.leave(of("a"))
  turns.leave(of("a"))
  await clock.advance(1)
  assert.deepEqual(begun.slice(-2), ["b", "b"])
})

test("nothing waits any more once nobody competes", async () => {
  const { clock, turns, begun, take } = world()
  await Promise.all([take("b"), take("a")])
  for (let i = 0; i < 20; i += 1) void take("a")
  await clock.advance(2_000)
  turns.leave(of("b"))
  await clock.advance(1)
  assert.equal(begun.length, 22)
  assert.equal(turns.waiting, 0)
})

/** How many of seven blocks a device has been given at once, of which the first is of another account if they compete. */
async function blocksAtOnce(lengthBytes: number, compete: boolean): Promise<number> {
  const makeRows = async () => new Rows(await new MemoryStores().openReader("base"), parseLogSequence(0))
  const world = await ShardWorld.open(makeRows, { kind: "replica", copies: 1 })
  const gates: (() => void)[] = []
  let isOpen = false
  world.meddle = async what => {
    if (what === "append" && !isOpen) await new Promise<void>(go => void gates.push(go))
  }
  const write = (account: string) =>
    world.write(new Uint8Array(lengthBytes), undefined, undefined, { payer: { payer: of(account), pausedMs: 0 } })
  const written = ["b", "a", "a", "a", "a", "a", "a"].map(account => write(compete ? account : "a"))
  for (let looks = 0; looks < 100; looks += 1) await later()
  const count = gates.length
  isOpen = true
  for (const go of gates) go()
  await world.clock.runUntil(Promise.all(written))
  return count
}

test("a device is given few long blocks at once while accounts compete", async () => {
  const long = BLOCK_LIMITS.shortWriteBytes + KIB
  assert.equal(await blocksAtOnce(long, true), BLOCK_LIMITS.sharedWritesOfDevice)
  assert.equal(await blocksAtOnce(long, false), 7)
  assert.equal(await blocksAtOnce(BLOCK_LIMITS.shortWriteBytes, true), 7, "short ones do not wait")
})
