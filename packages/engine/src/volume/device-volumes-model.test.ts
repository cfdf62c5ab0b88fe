/**
 * Volumes of needles that end, against a model: after appends with any ends, removals, moves, compaction, checkpoints,
 * stops and kills in any order, the device contains the needles of the model, and a scan of all volumes agrees.
 */
import assert from "node:assert/strict"
import { test } from "node:test"
import { runsOf } from "@hayloft/base/testing-seed.js"
import { fc } from "@hayloft/base/testing-properties.js"
import { KIB } from "@hayloft/base/limits.js"
import { ALL_ROWS } from "@hayloft/base/rows/key-range.js"
import { needleKeyOf } from "../format/needles/needle.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { waitIfSlow } from "./contract.js"
import { EXPIRING_CLASSES } from "./expiring-core.js"
import { VOLUME_LIMITS } from "./limits.js"
import { EndingDevice } from "./testing-device-volumes.js"
import { COMPACTION_FOR_TESTS, MapRows, needleFor, needleIdFor } from "./testing-volumes.js"

const LIMITS = {
  ...VOLUME_LIMITS,
  volumeBytesMax: 48 * KIB,
  groupNeedlesMax: 6,
  copyBytesPerGroupMax: 8 * KIB,
  filesOpenMax: 2,
}
const COMPACTION = { ...COMPACTION_FOR_TESTS, deadBytesMin: 8 * KIB, copyNeedlesMax: 6, pendingMax: 3 }
const RUNS = runsOf(60)
const DAY_MS = 86_400_000

const needle = (number: number) => needleFor(number, 64 * (1 + (number % 60)), new SimRandom(number))

const someNumbers = fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 1, maxLength: 12 })
/** Days; 0: it stays. */
const days = fc.constantFrom(0, 0, 1, 2, 9, 30, 90, 400)
const action = fc.oneof(
  { weight: 6, arbitrary: fc.record({ what: fc.constant("append" as const), numbers: someNumbers, days }) },
  { weight: 2, arbitrary: fc.record({ what: fc.constant("rebuild" as const), numbers: someNumbers }) },
  { weight: 5, arbitrary: fc.record({ what: fc.constant("remove" as const), numbers: someNumbers }) },
  {
    weight: 6,
    arbitrary: fc.record({ what: fc.constant("compact" as const), steps: fc.integer({ min: 1, max: 25 }) }),
  },
  // Needles that are appended and removed while compaction and moves run.
  { weight: 4, arbitrary: fc.record({ what: fc.constant("both" as const), numbers: someNumbers, days }) },
  // A write is repeated while it waits, and removed at the same time.
  { weight: 2, arbitrary: fc.record({ what: fc.constant("twice" as const), numbers: someNumbers, days }) },
  {
    weight: 4,
    arbitrary: fc.record({ what: fc.constant("pass" as const), days: fc.constantFrom(0.1, 1, 4, 40, 120) }),
  },
  { weight: 3, arbitrary: fc.constant({ what: "checkpoint" as const }) },
  { weight: 1, arbitrary: fc.constant({ what: "full" as const }) },
  { weight: 1, arbitrary: fc.constant({ what: "restart" as const }) },
  { weight: 2, arbitrary: fc.record({ what: fc.constant("kill" as const), steps: fc.integer({ min: 0, max: 8 }) }) },
  { weight: 1, arbitrary: fc.constant({ what: "loseBase" as const }) },
)
type Action = typeof action extends fc.Arbitrary<infer T> ? T : never

class Model {
  readonly live = new Set<number>()

  constructor(readonly world: EndingDevice) {}

  private appended(number: number, wantedDays: number): Promise<void> {
    const endsAtMs = wantedDays === 0 ? undefined : this.world.nowMs + wantedDays * DAY_MS
    return this.world.volumes.append({ ...needle(number), endsAtMs })
  }

  async append(numbers: readonly number[], wantedDays: number): Promise<void> {
    for (const number of numbers) this.live.add(number)
    await Promise.all(numbers.map(number => this.appended(number, wantedDays)))
  }

  async remove(numbers: readonly number[]): Promise<void> {
    for (const number of numbers) this.live.delete(number)
    await this.world.volumes.remove(numbers.map(number => needleIdFor(number)))
  }

  async compact(steps: number): Promise<void> {
    this.world.nowMs += 2000
    for (let step = 0; step < steps; step += 1) await this.world.step()
  }

  async act(action: Action): Promise<void> {
    const { world } = this
    switch (action.what) {
      case "append":
        return this.append(action.numbers, action.days)
      case "rebuild": {
        const there = action.numbers.filter(number => this.live.has(number))
        world.volumes.markSuspect(there.map(number => needleIdFor(number)))
        await Promise.all(there.map(number => world.volumes.append({ ...needle(number), isUnhurried: true })))
        return
      }
      case "remove":
        return this.remove(action.numbers)
      case "compact":
        return this.compact(action.steps)
      case "both": {
        const [odd, even] = [action.numbers.filter(n => n % 2 === 1), action.numbers.filter(n => n % 2 === 0)]
        await Promise.all([this.compact(9), this.append(odd, action.days), this.remove(even)])
        return
      }
      case "twice": {
        const appended = action.numbers.flatMap(number => [
          this.appended(number, action.days),
          this.appended(number, 1),
        ])
        await Promise.all([...appended, this.remove(action.numbers)])
        return
      }
      case "pass":
        world.nowMs += action.days * DAY_MS
        return
      case "checkpoint":
        return world.checkpoint()
      case "full":
        world.space.isFull = !world.space.isFull
        world.space.isShort = world.space.isFull || !world.space.isShort
        return
      case "restart":
        await world.stop()
        await world.start()
        return
      case "kill": {
        // Whatever compaction is about to do does not happen any more.
        const running = this.compact(action.steps).catch(() => undefined)
        for (let turns = 0; turns < action.steps * 5; turns += 1) await Promise.resolve()
        world.sim.kill()
        await Promise.race([running, new Promise(resolve => setImmediate(resolve))])
        await world.start()
        return
      }
      case "loseBase":
        await world.stop()
        world.base = { rows: new MapRows(), marks: new Map() }
        await world.start()
    }
  }

  async check(): Promise<void> {
    const { rows, volumes } = this.world
    const expected = [...this.live].map(number => needleKeyOf(needleIdFor(number))).sort()
    assert.deepEqual(
      [...volumes.indexed(ALL_ROWS)].map(({ key }) => key),
      expected,
    )
    const sorted = (of: MapRows): unknown => [...of.rows].sort(([a], [b]) => (a < b ? -1 : 1))
    assert.deepEqual(sorted(await this.world.rebuilt()), sorted(rows))
    assert.deepEqual(volumes.damages, [])
    for (const number of this.live) {
      const { id, body } = needle(number)
      assert.ok(volumes.has(id))
      const found = await volumes.read(id, { offsetBytes: 0, lengthBytes: body.length }, waitIfSlow)
      assert.ok(Buffer.from(body).equals(found), `needle ${number}`)
    }
  }

  /** Once every time is over, nothing is left in classes but what the newest volume of each may hold. */
  async checkAtEnd(): Promise<void> {
    const { world } = this
    world.space.isFull = false
    world.space.isShort = false
    world.nowMs += 400 * DAY_MS
    await world.settle()
    await this.check()
    for (const ends of EXPIRING_CLASSES) {
      assert.ok(world.filesOf(ends).length <= 1, `${world.filesOf(ends).length} volumes of ${ends.name} are left`)
    }
    const inClasses = world.volumes.expiring.map(({ volumes }) => volumes.usage().liveBytes)
    assert.ok(
      inClasses.every(bytes => bytes === 0),
      `live bytes in classes: ${inClasses.join(", ")}`,
    )
    assert.deepEqual(world.damaged, [])
  }
}

test("a device with needles that end holds what the model holds, and classes become empty", async () => {
  let [moved, whole] = [0, 0]
  await fc.assert(
    fc.asyncProperty(fc.array(action, { minLength: 5, maxLength: 40 }), async actions => {
      const model = new Model(await new EndingDevice(LIMITS, COMPACTION).start())
      for (const each of actions) {
        await model.act(each)
        await model.check()
      }
      await model.checkAtEnd()
      for (const counts of model.world.compaction.expiringCounts) {
        if (counts.movedBytes > 0) moved += 1
        if (counts.freedWholeBytes > 0) whole += 1
      }
    }),
    { numRuns: RUNS, endOnFailure: true, includeErrorInReport: true },
  )
  assert.ok(moved > RUNS / 10, `survivors moved only ${moved} times`)
  assert.ok(whole > RUNS / 10, `volumes were removed whole only ${whole} times`)
})
