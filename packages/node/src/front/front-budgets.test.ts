/** Budgets that several threads have together, in virtual time: how much is under way, who is next, and threads that end. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { ByteBudget } from "@hayloft/base/life/index.js"
import { must } from "@hayloft/base/assert.js"
import { SimChannel } from "@hayloft/base/seams/channel/sim.js"
import { SimClock } from "@hayloft/base/seams/clock/sim.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { TEST_SEED } from "@hayloft/base/testing-seed.js"
import { ThreadLink } from "@hayloft/engine/thread/index.js"
import { FrontBudgets, serveBudgets } from "./front-budgets.js"

const FRONTS = 4
const UNITS = 10

function world() {
  const clock = new SimClock()
  const budgets = { work: new ByteBudget(() => UNITS), other: new ByteBudget(() => UNITS) }
  const fronts = Array.from({ length: FRONTS }, (_, at) => {
    const [here, there] = SimChannel.pair(clock, new SimRandom(TEST_SEED + at))
    const [ofEngine, ofFront] = [new ThreadLink(here, clock), new ThreadLink(there, clock)]
    serveBudgets(ofEngine, budgets)
    ofEngine.start()
    ofFront.start()
    return { budgets: new FrontBudgets(ofFront), ofEngine, die: () => there.die(false) }
  })
  const front = (at: number) => must(fronts[at % FRONTS], "there are so many fronts")
  return { clock, budgets, front }
}

test("all threads together have no more under way than the budget, and all of it", async () => {
  const { clock, budgets, front } = world()
  const random = new SimRandom(TEST_SEED)
  const under = { way: 0, most: 0 }
  const work = (units: number) => async (): Promise<string> => {
    under.way += units
    under.most = Math.max(under.most, under.way)
    await clock.sleep(random.below(50), new AbortController().signal)
    under.way -= units
    return "done"
  }
  const all = Array.from({ length: 200 }, (_, at) => {
    const units = 1 + random.below(4)
    // The engine thread works, too.
    return at % 5 === 0 ? budgets.work.run(units, work(units)) : front(at).budgets.of("work").run(units, work(units))
  })
  assert.deepEqual(new Set(await clock.runUntil(Promise.all(all))), new Set(["done"]))
  assert.equal(under.most, UNITS)
})

test("what a thread had that has ended is free, its calls are over, and others go on", async () => {
  const { clock, front } = world()
  const never = (): Promise<never> => new Promise(() => undefined)
  void front(0).budgets.of("work").run(UNITS, never)
  await clock.advance(10)
  front(0)
    .budgets.of("work")
    .run(1, never)
    .catch(() => undefined)
  await clock.advance(10)
  const isDone = { other: false, next: false, closed: false }
  const note = (name: keyof typeof isDone) => async (): Promise<void> => void (isDone[name] = true)
  void front(1).budgets.of("other").run(UNITS, note("other"))
  void front(1).budgets.of("work").run(UNITS, note("next"))
  await clock.advance(10)
  assert.deepEqual(isDone, { other: true, next: false, closed: false })
  front(0).die()
  void front(0).ofEngine.closed.then(note("closed"))
  await clock.advance(10)
  assert.deepEqual(isDone, { other: true, next: true, closed: true })
})

test("a thread whose calls wait while it ends is over at once, and keeps nothing that it is granted later", async () => {
  const { clock, front } = world()
  let end = (): void => undefined
  void front(1)
    .budgets.of("work")
    .run(UNITS, () => new Promise<void>(resolve => (end = resolve)))
  await clock.advance(10)
  front(0)
    .budgets.of("work")
    .run(UNITS, () => Promise.resolve())
    .catch(() => undefined)
  await clock.advance(10)
  const isDone = { closed: false, next: false }
  front(0).die()
  void front(0).ofEngine.closed.then(() => (isDone.closed = true))
  const next = front(2)
    .budgets.of("work")
    .run(UNITS, async () => void (isDone.next = true))
  await clock.advance(10)
  assert.deepEqual(isDone, { closed: true, next: false })
  end()
  await clock.advance(10)
  await next
  assert.ok(isDone.next)
})

test("work that fails gives back what it had, and its failure is the caller's", async () => {
  const { clock, front } = world()
  const failing = front(0)
    .budgets.of("work")
    .run(UNITS, () => Promise.reject(new Error("planted")))
  await assert.rejects(clock.runUntil(failing), /planted/)
  assert.equal(
    await clock.runUntil(
      front(1)
        .budgets.of("work")
        .run(UNITS, () => Promise.resolve(7)),
    ),
    7,
  )
})
