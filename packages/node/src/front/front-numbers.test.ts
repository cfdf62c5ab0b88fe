/** Fronts of a process whose incarnations are given by a database: they end with the one in which they have begun. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { fail, isFailure } from "@hayloft/base/failures.js"
import type { Incarnation } from "@hayloft/base/ids.js"
import { supervise } from "@hayloft/base/life/index.js"
import { SimChannel } from "@hayloft/base/seams/channel/sim.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { TEST_SEED } from "@hayloft/base/testing-seed.js"
import type { SeenIncarnations } from "@hayloft/engine/metadata/index.js"
import { ThreadLink } from "@hayloft/engine/thread/index.js"
import { SharedMemory } from "../cluster/testing-shared.js"
import { Machine, servedBy } from "../testing-engine.js"
import { numbersOf, type FrontNumbers } from "./front-numbers.js"
import { Fronts } from "./fronts.js"
import { FRONT_METHODS } from "./methods.js"

const NOTICED_MS = 1_000

/** Numbers of the rows that two nodes share. What a test sets, it refuses. */
class TestNumbers implements FrontNumbers {
  readonly shared = new SharedMemory("a")
  private readonly numbers = numbersOf(this.shared)
  refusesEnds = false
  reconciliations = 0
  /** Called while a front begins. */
  whileBeginning: () => void = () => undefined

  get own(): Incarnation {
    return this.numbers.own
  }

  get seen(): SeenIncarnations {
    return { ...this.numbers.seen, reconciliations: this.reconciliations }
  }

  async begin() {
    const begun = await this.numbers.begin()
    this.whileBeginning()
    return begun
  }

  async end(front: Incarnation): Promise<void> {
    if (this.refusesEnds) throw fail("databaseUnreachable")
    await this.numbers.end(front)
  }
}

async function opened() {
  const machine = new Machine({ devices: 1 })
  const { clock, telemetry } = machine
  const engine = await clock.runUntil(machine.open())
  const numbers = new TestNumbers()
  const other = numbers.shared.join("b")
  const fronts = new Fronts(clock, numbers)
  const { recordManager } = engine
  const record = { refuses: false }
  const refresh = async (): Promise<void> => {
    if (record.refuses) throw fail("databaseUnreachable")
  }
  Object.defineProperty(recordManager, "refresh", { value: refresh })
  fronts.serve(servedBy(engine))
  const lifetime = new AbortController()
  const random = new SimRandom(TEST_SEED)
  const running = supervise([fronts], clock, random, telemetry.log, lifetime.signal)
  const begin = async () => {
    const [here, there] = SimChannel.pair(clock, random.fork("channel"))
    const ofEngine = new ThreadLink(there, clock)
    const { incarnation } = await clock.runUntil(fronts.begin(ofEngine))
    ofEngine.start()
    const link = new ThreadLink(here, clock)
    link.handle(FRONT_METHODS.follow, () => ({ oldestLayout: 1 }))
    link.start()
    return { incarnation, link, ofEngine }
  }
  const close = async (): Promise<void> => {
    lifetime.abort()
    await clock.runUntil(running)
    await clock.runUntil(engine.stop())
  }
  return { clock, numbers, record, other, fronts, begin, close }
}

test("others see when a front has ended; while that cannot be told, it is not over for them", async () => {
  const { clock, numbers, other, fronts, begin, close } = await opened()
  const [one, two] = [await begin(), await begin()]
  assert.deepEqual(
    [one, two].map(({ incarnation }) => other.incarnations.isOver(incarnation)),
    [false, false],
  )
  numbers.refusesEnds = true
  one.link.close()
  await clock.advance(NOTICED_MS)
  assert.equal(fronts.running, 1)
  assert.equal(other.incarnations.isOver(one.incarnation), false)
  numbers.refusesEnds = false
  await clock.advance(NOTICED_MS)
  assert.equal(other.incarnations.isOver(one.incarnation), true)
  assert.equal(other.incarnations.isOver(two.incarnation), false)
  two.link.close()
  await clock.advance(NOTICED_MS)
  await close()
})

test("fronts end once the process has begun another incarnation, and others begin in that", async () => {
  const { clock, numbers, other, fronts, begin, close } = await opened()
  const before = await begin()
  numbers.shared.begin()
  await clock.advance(NOTICED_MS)
  assert.equal(fronts.running, 0)
  assert.equal(other.incarnations.isOver(before.incarnation), true)
  const after = await begin()
  assert.equal(other.incarnations.isOver(after.incarnation), false)
  after.link.close()
  await clock.advance(NOTICED_MS)
  await close()
})

test("a front whose process begins another incarnation meanwhile does not begin", async () => {
  const { numbers, fronts, begin, close } = await opened()
  numbers.whileBeginning = () => numbers.shared.begin()
  await assert.rejects(begin(), error => isFailure(error, "tooManyInFlight"))
  assert.equal(fronts.running, 0)
  await close()
})

test("fronts end once the store was reconciled: another record may be in effect, with any generation", async () => {
  const { clock, numbers, fronts, begin, close } = await opened()
  await begin()
  numbers.reconciliations += 1
  await clock.advance(NOTICED_MS)
  assert.equal(fronts.running, 0)
  await close()
})

test("a front that cannot begin after all is over for everybody", async () => {
  const { clock, numbers, record, fronts, begin, close } = await opened()
  const before = numbers.seen.live
  record.refuses = true
  await assert.rejects(begin(), error => isFailure(error, "databaseUnreachable"))
  await clock.advance(NOTICED_MS)
  assert.deepEqual([fronts.running, numbers.seen.live], [0, before])
  await close()
})
