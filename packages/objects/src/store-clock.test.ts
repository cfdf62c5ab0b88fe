/** The store's clock: processes that start, run and end one after another and beside each other, with wrong wall clocks. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { fail } from "@hayloft/base/failures.js"
import { parseIncarnation } from "@hayloft/base/ids.js"
import {
  reservedThreads,
  withFront,
  withoutFront,
  type Incarnations,
  type Metadata,
  type ThreadIncarnations,
} from "@hayloft/engine/metadata/index.js"
import { MemoryMetadata } from "@hayloft/engine/metadata/testing-engine.js"
import { incarnationsOf } from "@hayloft/engine/metadata/testing-incarnations.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import { SimClock } from "@hayloft/base/seams/clock/sim.js"
import { SimTelemetry } from "@hayloft/base/seams/telemetry/sim.js"
import { readConfirmedTime, readStoreClock } from "./commands/clock-commands-core.js"
import { STORE_CLOCK_LIMITS, StoreClock, type StoreTime } from "./store-clock.js"

const { advanceEveryMs, readEveryMs, watchMs, warnEveryMs } = STORE_CLOCK_LIMITS
const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS

/** The machine's clock with another wall clock, which may be set. */
class WrongClock implements Clock {
  constructor(
    private readonly right: SimClock,
    public wallOffsetMs: number,
    /** How fast its monotonic clock is. */
    private readonly rate: number,
  ) {}

  wallMs(): number {
    return this.right.wallMs() + this.wallOffsetMs
  }

  monotonicMs(): number {
    return this.right.monotonicMs() * this.rate
  }

  sleep(durationMs: number, signal: AbortSignal): Promise<void> {
    return this.right.sleep(durationMs, signal)
  }

  alarm(durationMs: number, ring: () => void): () => void {
    return this.right.alarm(durationMs, ring)
  }

  atEndOfTurn(call: () => void): void {
    this.right.atEndOfTurn(call)
  }
}

/** The rows of a store, and the processes that use them. */
class Store {
  readonly time = new SimClock()
  readonly rows = new MemoryMetadata()
  readonly live = new Set<number>()
  protected begun = 0

  constructor(readonly isShared: boolean) {}

  seenBy(own: Incarnations["own"]): Incarnations {
    const { live } = this
    return {
      own,
      get oldestLive() {
        return parseIncarnation(Math.min(own, ...live))
      },
      isOver: incarnation => !live.has(incarnation),
    }
  }

  get nowMs(): number {
    return this.time.wallMs()
  }

  get storedMs(): number {
    return readStoreClock().answer(this.rows.committed)
  }

  pass(durationMs: number): Promise<void> {
    return this.time.advance(durationMs)
  }

  /** Starts a process as an engine does. */
  async start(wallOffsetMs = 0, rate = 1, before?: StoreTime): Promise<Process> {
    this.begun += 1
    this.live.add(this.begun)
    const machine = new WrongClock(this.time, wallOffsetMs, rate)
    const process = new Process(this, parseIncarnation(this.begun), machine, before)
    await process.clock.start()
    process.supervise()
    return process
  }
}

/** One process whose engine thread begins first, under the number 9; then fronts begin under lower ones. */
class StoreWithFronts extends Store {
  private threads: ThreadIncarnations = reservedThreads(parseIncarnation(9), 8)

  constructor() {
    super(true)
    this.begun = 8
  }

  override seenBy(own: Incarnations["own"]): Incarnations {
    return incarnationsOf(() => this.threads, own)
  }

  startFront(wallOffsetMs = 0): Promise<Process> {
    const { front, after } = withFront(this.threads)
    this.threads = after
    this.begun = front - 1
    return this.start(wallOffsetMs)
  }

  async endFront(front: Process): Promise<void> {
    await front.kill()
    this.threads = withoutFront(this.threads, front.own)
  }
}

class Process {
  readonly telemetry = new SimTelemetry()
  readonly clock: StoreClock
  /** Its way to the metadata is cut. */
  isCutOff = false
  /** The earliest time for decisions that it was told; 0: the wall clock counts. */
  earliestMs = 0
  private readonly life = new AbortController()
  private ended: Promise<void> = Promise.resolve()

  constructor(
    private readonly store: Store,
    readonly own: Incarnations["own"],
    readonly machine: WrongClock,
    before: StoreTime | undefined,
  ) {
    const metadata = { incarnations: this.incarnations, ...this.access() }
    this.clock = new StoreClock({ clock: machine, metadata, telemetry: this.telemetry }, store.isShared, before)
  }

  private get incarnations(): Incarnations {
    return this.store.seenBy(this.own)
  }

  private access(): Pick<Metadata, "ask" | "run" | "setEarliestTime"> {
    const { rows } = this.store
    const reach = (): void => {
      if (this.isCutOff) throw fail("databaseUnreachable")
      rows.incarnations = this.incarnations
    }
    return {
      ask: query => {
        reach()
        return rows.ask(query)
      },
      setEarliestTime: earliestMs => (this.earliestMs = earliestMs),
      run: async command => {
        reach()
        const { incarnations } = this
        const position = rows.position
        return rows.runAt(command, { nowMs: 0, commitUs: 0, position, id: "", incarnations })
      },
    }
  }

  supervise(): void {
    this.ended = this.clock.run(this.life.signal)
  }

  warnings(event: string): number {
    return this.telemetry.entries(event).length
  }

  /** Kills the process: nothing that it does after its death has an effect. */
  async kill(): Promise<void> {
    this.isCutOff = true
    await this.stop()
  }

  async stop(): Promise<void> {
    this.life.abort()
    await this.ended
    this.store.live.delete(this.own)
  }

  get aheadMs(): number {
    return this.clock.nowMs() - this.store.nowMs
  }
}

test("a new store has the time of the wall clock, and from then on that of the monotonic clock", async () => {
  const store = new Store(false)
  const process = await store.start()
  assert.equal(process.aheadMs, 0)
  for (const offsetMs of [10 * DAY_MS, -10 * DAY_MS, 365 * DAY_MS]) {
    process.machine.wallOffsetMs = offsetMs
    await store.pass(HOUR_MS)
    assert.equal(process.aheadMs, 0)
  }
  assert.ok(store.storedMs <= store.nowMs)
})

test("a wall clock that is set back while the store is stopped does not set the store's clock back", async () => {
  const store = new Store(false)
  const before = await store.start()
  await store.pass(DAY_MS)
  const lastMs = before.clock.nowMs()
  await before.stop()
  const after = await store.start(-30 * DAY_MS)
  assert.equal(after.clock.nowMs(), lastMs)
  await store.pass(DAY_MS / 2)
  assert.equal(after.clock.nowMs(), lastMs + DAY_MS / 2)
  assert.equal(after.warnings("store_clock_differs"), 1)
})

test("the time in which the store was stopped has passed, and a long one is reported", async () => {
  const store = new Store(false)
  await (await store.start()).stop()
  await store.pass(HOUR_MS / 2)
  const second = await store.start()
  assert.equal(second.aheadMs, 0)
  assert.equal(second.warnings("store_clock_set_ahead"), 0)
  await second.stop()
  await store.pass(2 * DAY_MS)
  const third = await store.start()
  assert.equal(third.aheadMs, 0)
  assert.equal(third.warnings("store_clock_set_ahead"), 1)
})

test("a clock that was set ahead at a start is doubtful for a part of the time, and for an hour at most", async () => {
  const store = new Store(false)
  const first = await store.start()
  assert.equal(first.clock.isDoubtful, false)
  await first.stop()
  await store.pass(2 * DAY_MS)
  const second = await store.start()
  await store.pass((2 * DAY_MS) / 240 - 1)
  assert.equal(second.clock.isDoubtful, true)
  await store.pass(1)
  assert.equal(second.clock.isDoubtful, false)
  await second.stop()
  const third = await store.start(3650 * DAY_MS)
  await store.pass(HOUR_MS - 1)
  assert.equal(third.clock.isDoubtful, true)
  await store.pass(1)
  assert.equal(third.clock.isDoubtful, false)
  await third.stop()
  assert.equal((await store.start()).clock.isDoubtful, false)
})

for (const isShared of [false, true]) {
  test(`a process that opens its store again goes on, whatever its wall clock says (shared: ${isShared})`, async () => {
    const store = new Store(isShared)
    const first = await store.start()
    await store.pass(3 * STORE_CLOCK_LIMITS.watchMs)
    const { time } = first.clock
    assert.ok(time !== undefined)
    await first.stop()
    await store.pass(HOUR_MS)
    const again = await store.start(40 * DAY_MS, 1, time)
    assert.equal(again.aheadMs, 0)
    await store.pass(HOUR_MS)
    assert.deepEqual([again.aheadMs, store.storedMs <= store.nowMs], [0, true])
  })
}

test("after a crash the clock resumes at a time that was used less than an interval before", async () => {
  const store = new Store(false)
  const process = await store.start()
  let usedMs = 0
  for (let passedMs = 0; passedMs < HOUR_MS; passedMs += 7_000) {
    await store.pass(7_000)
    usedMs = process.clock.nowMs()
  }
  await process.kill()
  const next = await store.start(-DAY_MS)
  assert.ok(next.clock.nowMs() > usedMs - advanceEveryMs - 1)
  assert.ok(next.clock.nowMs() <= usedMs)
})

test("an idle process that owns the metadata alone writes nothing, and stores its time when it stops", async () => {
  const store = new Store(false)
  const process = await store.start()
  await store.pass(DAY_MS)
  const { position } = store.rows
  await store.pass(DAY_MS)
  assert.equal(store.rows.position, position)
  await process.stop()
  assert.equal(store.storedMs, store.nowMs)
})

test("the engine thread of a process with fronts sets the clock at once", async () => {
  const store = new StoreWithFronts()
  const engine = await store.start()
  assert.equal(engine.aheadMs, 0)
  await engine.stop()
})

test("a front never follows its wall clock, also if it begins when no other front is live", async () => {
  const store = new StoreWithFronts()
  const engine = await store.start()
  const first = await store.startFront(40 * DAY_MS)
  await store.pass(advanceEveryMs)
  assert.ok(first.aheadMs <= 0)
  await store.endFront(first)
  await store.pass(HOUR_MS)
  const second = await store.startFront(40 * DAY_MS)
  await store.pass(HOUR_MS)
  assert.ok(second.aheadMs <= 0 && second.aheadMs >= -advanceEveryMs - readEveryMs)
  assert.equal(engine.aheadMs, 0)
  for (const process of [second, engine]) await process.stop()
})

test("a process that starts beside others takes over their time, whatever its wall clock says", async () => {
  const store = new Store(true)
  const first = await store.start()
  for (const offsetMs of [400 * DAY_MS, -400 * DAY_MS]) {
    await store.pass(10_000)
    const next = await store.start(offsetMs)
    assert.ok(next.aheadMs <= 0 && next.aheadMs >= -advanceEveryMs)
    await store.pass(10 * watchMs)
    for (const { aheadMs } of [first, next]) assert.ok(aheadMs <= 0 && aheadMs >= -readEveryMs)
  }
})

test("the store's time goes on in the other processes when the one that set it has ended", async () => {
  const store = new Store(true)
  const first = await store.start()
  await store.pass(advanceEveryMs)
  const second = await store.start(100 * DAY_MS)
  await store.pass(3)
  await first.stop()
  await store.pass(3 * watchMs)
  assert.ok(second.aheadMs <= 0 && second.aheadMs >= -readEveryMs)
  const third = await store.start(-DAY_MS)
  await store.pass(3 * watchMs)
  assert.ok(third.aheadMs <= 0 && third.aheadMs >= -2 * readEveryMs)
})

test("after a power cut of all machines one process sets the clock, once the others are known to be over", async () => {
  const store = new Store(true)
  const before = [await store.start(), await store.start()]
  await store.pass(HOUR_MS)
  for (const process of before) await process.kill()
  // Nobody has noticed their end.
  for (const number of [1, 2]) store.live.add(number)
  await store.pass(HOUR_MS)
  store.live.delete(1)
  const [first, second] = [await store.start(), await store.start(50 * DAY_MS)]
  await store.pass(5 * watchMs)
  for (const { aheadMs } of [first, second]) assert.ok(aheadMs < -HOUR_MS / 2, "a process may still run")
  store.live.delete(2)
  await store.pass(2 * advanceEveryMs)
  for (const { aheadMs } of [first, second]) assert.ok(aheadMs <= 0 && aheadMs >= -readEveryMs)
})

test("processes whose monotonic clocks are slow follow the fastest one, and the row never goes back", async () => {
  const store = new Store(true)
  const processes: Process[] = []
  for (const rate of [1, 0.9, 0.7]) {
    processes.push(await store.start(0, rate))
    await store.pass(1_000)
  }
  for (let lastMs = 0, second = 0; second < 600; second += 1) {
    await store.pass(1_000)
    assert.ok(store.storedMs >= lastMs)
    lastMs = store.storedMs
  }
  for (const { aheadMs } of processes) assert.ok(aheadMs <= 0 && aheadMs >= -advanceEveryMs)
})

test("two processes that start together agree on one time", async () => {
  const store = new Store(true)
  const [first, second] = await Promise.all([store.start(HOUR_MS), store.start(-HOUR_MS)])
  await store.pass(4 * watchMs)
  assert.equal(first.aheadMs, HOUR_MS)
  assert.ok(Math.abs(second.aheadMs - HOUR_MS) < 10)
})

test("a process that was cut off from the metadata does not set the clock back, and lags at most", async () => {
  const store = new Store(true)
  const first = await store.start()
  const second = await store.start()
  await store.pass(5 * advanceEveryMs)
  first.isCutOff = true
  await store.pass(HOUR_MS)
  assert.equal(first.warnings("store_clock_not_stored"), 1)
  first.isCutOff = false
  const storedMs = store.storedMs
  await store.pass(2 * advanceEveryMs)
  assert.ok(store.storedMs >= storedMs)
  for (const { aheadMs } of [first, second]) assert.ok(aheadMs <= 0 && aheadMs >= -2 * readEveryMs)
})

test("a start that cannot read the clock keeps everything locked, and reads it later", async () => {
  const store = new Store(true)
  await (await store.start()).stop()
  store.rows.later = () => Promise.reject(fail("databaseUnreachable"))
  const process = await store.start()
  assert.equal(process.clock.nowMs(), 0)
  assert.equal(process.clock.behindMs, undefined)
  store.rows.later = () => undefined
  await store.pass(advanceEveryMs)
  assert.equal(process.aheadMs, 0)
})

test("a wall clock that is behind a confirmed time dates nothing before it for six hours of running, then it is believed", async () => {
  const store = new Store(false)
  const first = await store.start()
  await store.pass(DAY_MS)
  assert.equal(first.earliestMs, 0)
  await first.kill()
  const second = await store.start(-30 * DAY_MS)
  // The process was idle: it has stored the time of its start only.
  assert.equal(second.earliestMs, 0)
  await second.stop()
  const third = await store.start()
  await store.pass(DAY_MS / 2)
  await third.stop()
  const fourth = await store.start(-30 * DAY_MS)
  assert.equal(fourth.earliestMs, store.nowMs)
  await store.pass(1)
  assert.match(
    JSON.stringify(fourth.telemetry.entries("store_clock_differs")),
    /new objects are dated from that time on/,
  )
  await store.pass(5 * HOUR_MS)
  assert.ok(fourth.earliestMs <= store.nowMs && fourth.earliestMs > store.nowMs - HOUR_MS)
  await store.pass(HOUR_MS)
  assert.equal(fourth.earliestMs, 0)
  await fourth.stop()
  assert.equal((await store.start(-30 * DAY_MS)).earliestMs, 0)
})

test("a node whose wall clock is behind dates nothing before the time that other nodes have confirmed", async () => {
  const store = new Store(true)
  await store.start()
  await store.pass(2 * DAY_MS)
  const behind = await store.start(-30 * DAY_MS)
  assert.ok(behind.earliestMs > store.nowMs - 2 * HOUR_MS, "before it knows the time of the others")
  await store.pass(HOUR_MS)
  behind.machine.wallOffsetMs = 0
  await store.pass(advanceEveryMs)
  assert.equal(behind.earliestMs, 0)
})

test("a wall clock that is behind is not believed while other nodes confirm later times", async () => {
  const store = new Store(true)
  await store.start()
  const behind = await store.start()
  await store.pass(DAY_MS)
  behind.machine.wallOffsetMs = -3 * DAY_MS
  await store.pass(DAY_MS)
  assert.ok(behind.earliestMs > store.nowMs - 2 * HOUR_MS && behind.earliestMs <= store.nowMs)
})

test("after all nodes were ahead, they believe their corrected wall clocks six hours later, and do not go back", async () => {
  const store = new Store(true)
  const nodes = [await store.start(30 * DAY_MS), await store.start(30 * DAY_MS)]
  await store.pass(DAY_MS)
  for (const { machine } of nodes) machine.wallOffsetMs = 0
  await store.pass(DAY_MS)
  assert.deepEqual(
    nodes.map(({ earliestMs }) => earliestMs),
    [0, 0],
  )
  await store.pass(DAY_MS)
  assert.deepEqual(
    nodes.map(({ earliestMs }) => earliestMs),
    [0, 0],
  )
})

test("a node that is still behind when another one has believed an earlier time dates nothing later than now", async () => {
  const store = new Store(true)
  const other = await store.start(30 * DAY_MS)
  await store.pass(DAY_MS)
  other.machine.wallOffsetMs = 0
  await store.pass(3 * HOUR_MS)
  const behind = await store.start(-2 * HOUR_MS)
  for (let i = 0; i < 3_000; i += 1) {
    await store.pass(advanceEveryMs)
    const isHeld = behind.earliestMs > store.nowMs + DAY_MS
    if (!isHeld) assert.ok(behind.earliestMs <= store.nowMs, `after ${i} looks`)
  }
  assert.ok(behind.earliestMs <= store.nowMs)
})

test("a node whose wall clock is a little behind does not set the confirmed time of the others back", async () => {
  const store = new Store(true)
  for (const offsetMs of [0, -HOUR_MS / 2]) await store.start(offsetMs)
  await store.pass(DAY_MS)
  let youngestMs = DAY_MS
  for (let i = 0; i < 300; i += 1) {
    const ageMs = store.nowMs - readConfirmedTime().answer(store.rows.committed)
    assert.ok(ageMs < 2 * HOUR_MS)
    youngestMs = Math.min(youngestMs, ageMs)
    await store.pass(advanceEveryMs)
  }
  assert.ok(youngestMs <= 2 * advanceEveryMs)
})

test("a wall clock that differs from the store's clock is reported once a day", async () => {
  const store = new Store(false)
  const process = await store.start()
  process.machine.wallOffsetMs = 2 * HOUR_MS
  await store.pass(HOUR_MS)
  assert.equal(process.warnings("store_clock_differs"), 1)
  assert.equal(process.telemetry.metric("hayloft_store_clock_behind_seconds"), 7_200)
  await store.pass(warnEveryMs)
  assert.equal(process.warnings("store_clock_differs"), 2)
})
