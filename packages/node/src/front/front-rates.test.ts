/** Limits of accounts and keys over simulated front threads, in virtual time: what passes, what waits, and who goes on. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { RateLimiter, type HeldLimits, type RateReport } from "@hayloft/access/index.js"
import { must } from "@hayloft/base/assert.js"
import { isFailure } from "@hayloft/base/failures.js"
import { parseAccountId } from "@hayloft/base/ids.js"
import { KIB, MIB } from "@hayloft/base/limits.js"
import { SimChannel } from "@hayloft/base/seams/channel/sim.js"
import { SimClock } from "@hayloft/base/seams/clock/sim.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { SimTelemetry } from "@hayloft/base/seams/telemetry/sim.js"
import { TEST_SEED } from "@hayloft/base/testing-seed.js"
import { ThreadLink } from "@hayloft/engine/thread/index.js"
import { FrontRates, serveRates } from "./front-rates.js"

const FRONTS = 4
const CONNECTIONS = 8
const PIECE_BYTES = 64 * KIB
/** Requests under way of one holder while its bytes wait (`RATE_BOUNDS.activeMax`). */
const ACTIVE_MAX = 16
const SECOND_MS = 1_000

type Limits = Partial<HeldLimits["limits"]>
type PacedExchange = Parameters<FrontRates["enter"]>[1]
type Begin = (go: () => void) => (() => void) | undefined

const limitsOf = (id: string, limits: Limits): readonly HeldLimits[] => [
  {
    holder: "account",
    id: parseAccountId(id),
    limits: { requestsPerSecond: undefined, burst: undefined, bytesPerSecond: undefined, ...limits },
  },
]

/** The parts of an exchange that rates use, as `HttpExchange` has them. */
class TestExchange implements PacedExchange {
  private pacer: Parameters<PacedExchange["paceBy"]>[0] | undefined
  private readonly meters: { count(): void }[] = []
  private readonly pauses = new Set<() => void>()

  paceBy(pacer: NonNullable<TestExchange["pacer"]>): Promise<void> | undefined {
    this.pacer = pacer
    return this.parked(go => pacer.begin(0, go))
  }

  countIn(meter: { count(): void }): void {
    this.meters.push(meter)
  }

  move(bytes: number): Promise<void> | undefined {
    return this.parked(go => this.pacer?.move(bytes, go))
  }

  done(): void {
    for (const meter of this.meters) meter.count()
  }

  goAway(): void {
    for (const end of this.pauses) end()
    this.done()
  }

  private parked(begin: Begin): Promise<void> | undefined {
    let go = (): void => undefined
    const cancel = begin(() => go())
    if (cancel === undefined) return undefined
    return new Promise(resolve => {
      const end = (): void => {
        cancel()
        go()
      }
      go = () => {
        this.pauses.delete(end)
        resolve()
      }
      this.pauses.add(end)
    })
  }
}

class World {
  readonly clock = new SimClock()
  readonly rates = new RateLimiter(this.clock, new SimTelemetry().metrics, () => 1)
  readonly fronts = Array.from({ length: FRONTS }, (_, at) => {
    const [here, there] = SimChannel.pair(this.clock, new SimRandom(TEST_SEED + at))
    const [ofEngine, ofFront] = [new ThreadLink(here, this.clock), new ThreadLink(there, this.clock)]
    serveRates(ofEngine, this.rates)
    ofEngine.start()
    ofFront.start()
    return { rates: new FrontRates(ofFront), ofEngine, die: () => there.die(false) }
  })

  front(at: number) {
    return must(this.fronts[at % FRONTS], "there are so many fronts")
  }

  /** A request that has begun, or waits to begin. */
  enter(at: number, limited: readonly HeldLimits[]) {
    const exchange = new TestExchange()
    const state = { exchange, isBegun: false, entering: Promise.resolve() }
    state.entering = Promise.resolve(this.front(at).rates.enter(limited, exchange)).then(() => {
      state.isBegun = true
    })
    state.entering.catch(() => undefined)
    return state
  }

  reportOf(id: string): RateReport {
    return must(
      this.rates.report().find(report => report.id === id),
      "its limits were used",
    )
  }
}

/** The place where the connections of an account are. */
const PLACES = [
  { id: "at-one-front", frontOf: () => 0 },
  { id: "at-all-fronts", frontOf: (connection: number) => connection },
] as const

test("an account gets its limit of requests, no more and no less, at one front as spread over all", async () => {
  const world = new World()
  const limits = { requestsPerSecond: 50, burst: 100 }
  const endMs = 20 * SECOND_MS
  const passed = new Map<string, number>()
  const connect = async (id: string, at: number): Promise<void> => {
    while (world.clock.monotonicMs() < endMs) {
      const { exchange, entering } = world.enter(at, limitsOf(id, limits))
      try {
        await entering
        if (world.clock.monotonicMs() < endMs) passed.set(id, (passed.get(id) ?? 0) + 1)
      } catch (error) {
        assert.ok(isFailure(error, "rateExceeded"))
      }
      exchange.done()
    }
  }
  const all = PLACES.flatMap(({ id, frontOf }) =>
    Array.from({ length: CONNECTIONS }, (_, connection) => connect(id, frontOf(connection))),
  )
  await world.clock.runUntil(Promise.all(all))
  const most = limits.burst + (limits.requestsPerSecond * endMs) / SECOND_MS
  for (const { id } of PLACES) {
    const count = passed.get(id) ?? 0
    assert.ok(count <= most && count >= 0.9 * most, `${id}: ${count} of ${most}`)
    assert.ok(world.reportOf(id).refused >= CONNECTIONS)
  }
})

test("an account gets its limit of bytes, no more and no less, at one front as spread over all", async () => {
  const world = new World()
  const limits = { bytesPerSecond: 1 * MIB }
  const endMs = 20 * SECOND_MS
  const moved = new Map<string, number>()
  const connect = async (id: string, at: number): Promise<void> => {
    const { exchange, entering } = world.enter(at, limitsOf(id, limits))
    await entering
    while (world.clock.monotonicMs() < endMs) {
      await exchange.move(PIECE_BYTES)
      if (world.clock.monotonicMs() < endMs) moved.set(id, (moved.get(id) ?? 0) + PIECE_BYTES)
    }
    exchange.done()
  }
  const all = PLACES.flatMap(({ id, frontOf }) =>
    Array.from({ length: CONNECTIONS }, (_, connection) => connect(id, frontOf(connection))),
  )
  await world.clock.runUntil(Promise.all(all))
  for (const { id } of PLACES) {
    const bytes = moved.get(id) ?? 0
    const least = (limits.bytesPerSecond * endMs) / SECOND_MS
    const most = least + limits.bytesPerSecond + PIECE_BYTES
    assert.ok(bytes <= most && bytes >= 0.98 * least, `${id}: ${bytes} of ${least} to ${most}`)
    assert.equal(world.reportOf(id).waiting, 0)
  }
})

/** An account whose bytes wait, so that no more of its requests begin, with one that waits at another front. */
async function crowded(world: World, limited: readonly HeldLimits[]) {
  const active = Array.from({ length: ACTIVE_MAX }, () => world.enter(0, limited))
  await world.clock.advance(10)
  assert.ok(active.every(({ isBegun }) => isBegun))
  const [first] = active
  await world.clock.runUntil(Promise.resolve(must(first, "one is active").exchange.move(1_000 * MIB)))
  const waiting = world.enter(1, limited)
  await world.clock.advance(100)
  assert.equal(waiting.isBegun, false, "while bytes wait, no more begin at any front")
  return { active, waiting }
}

test("requests of a front that has ended are over for all others", async () => {
  const world = new World()
  const limited = limitsOf("dying", { bytesPerSecond: 1 * MIB })
  const { active, waiting } = await crowded(world, limited)
  void must(active[1], "it is active").exchange.move(PIECE_BYTES)
  await world.clock.advance(100)
  assert.equal(world.reportOf("dying").waiting, 2)
  const { ofEngine, die } = world.front(0)
  die()
  let isOver = false
  void ofEngine.closed.then(() => (isOver = true))
  await world.clock.advance(100)
  assert.ok(isOver && waiting.isBegun)
  assert.equal(world.reportOf("dying").waiting, 0)
})

test("a client that has gone waits no more, at whichever front it was", async () => {
  const world = new World()
  const limited = limitsOf("impatient", { bytesPerSecond: 1 * MIB })
  const { active, waiting } = await crowded(world, limited)
  waiting.exchange.goAway()
  const moving = must(active[1], "it is active").exchange
  const move = moving.move(PIECE_BYTES)
  await world.clock.advance(10)
  assert.equal(world.reportOf("impatient").waiting, 1)
  moving.goAway()
  await move
  const next = world.enter(2, limited)
  await world.clock.advance(100)
  assert.ok(next.isBegun)
  assert.equal(world.reportOf("impatient").waiting, 0)
})

test("a refusal comes after a while, with the time to wait, and a request without a limit of bytes asks no more", async () => {
  const world = new World()
  const limited = limitsOf("busy", { requestsPerSecond: 0.5, burst: 1 })
  const first = world.enter(0, limited)
  await world.clock.runUntil(first.entering)
  assert.equal(first.exchange.move(MIB), undefined)
  const beganMs = world.clock.monotonicMs()
  await assert.rejects(world.clock.runUntil(world.enter(1, limited).entering), error => {
    assert.ok(isFailure(error, "rateExceeded"))
    assert.equal(error.details["retryAfterSeconds"], 2)
    return true
  })
  assert.ok(world.clock.monotonicMs() - beganMs >= SECOND_MS)
  assert.equal(world.reportOf("busy").refused, 1)
  const unlimited = new TestExchange()
  assert.equal(world.front(0).rates.enter(undefined, unlimited), undefined)
})
