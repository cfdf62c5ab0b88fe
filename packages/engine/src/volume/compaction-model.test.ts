/**
 * Compaction against a model: after appends, removals, compaction, checkpoints, stops, kills and starts in any order,
 * the device contains the needles of the model, and a scan agrees.
 */
import assert from "node:assert/strict"
import { test } from "node:test"
import { runsOf } from "@hayloft/base/testing-seed.js"
import { fc } from "@hayloft/base/testing-properties.js"
import { KIB } from "@hayloft/base/limits.js"
import { waitIfSlow } from "./contract.js"
import { needleKeyOf } from "../format/needles/needle.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { COMPACTION_FOR_TESTS, CompactedDevice, MapRows, needleFor, needleIdFor } from "./testing-volumes.js"
import { VOLUME_LIMITS } from "./limits.js"

const LIMITS = {
  ...VOLUME_LIMITS,
  volumeBytesMax: 48 * KIB,
  groupNeedlesMax: 6,
  copyBytesPerGroupMax: 8 * KIB,
  filesOpenMax: 2,
}
const COMPACTION = { ...COMPACTION_FOR_TESTS, deadBytesMin: 8 * KIB, copyNeedlesMax: 6, pendingMax: 3 }
const RUNS = runsOf(80)

const needle = (number: number) => needleFor(number, 64 * (1 + (number % 60)), new SimRandom(number))

const someNumbers = fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 1, maxLength: 12 })
const action = fc.oneof(
  { weight: 6, arbitrary: fc.record({ what: fc.constant("append" as const), numbers: someNumbers }) },
  { weight: 5, arbitrary: fc.record({ what: fc.constant("remove" as const), numbers: someNumbers }) },
  {
    weight: 6,
    arbitrary: fc.record({ what: fc.constant("compact" as const), steps: fc.integer({ min: 1, max: 25 }) }),
  },
  // Needles that are appended and removed while compaction runs.
  { weight: 3, arbitrary: fc.record({ what: fc.constant("both" as const), numbers: someNumbers }) },
  { weight: 3, arbitrary: fc.constant({ what: "checkpoint" as const }) },
  { weight: 1, arbitrary: fc.constant({ what: "restart" as const }) },
  { weight: 1, arbitrary: fc.constant({ what: "kill" as const }) },
  { weight: 1, arbitrary: fc.constant({ what: "loseBase" as const }) },
)
type Action = typeof action extends fc.Arbitrary<infer T> ? T : never

class Model {
  readonly live = new Set<number>()

  constructor(readonly world: CompactedDevice) {}

  async append(numbers: readonly number[]): Promise<void> {
    for (const number of numbers) this.live.add(number)
    await Promise.all(numbers.map(number => this.world.volumes.append(needle(number))))
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
        return this.append(action.numbers)
      case "remove":
        return this.remove(action.numbers)
      case "compact":
        return this.compact(action.steps)
      case "both": {
        const [misplaced, even] = [action.numbers.filter(n => n % 2 === 1), action.numbers.filter(n => n % 2 === 0)]
        await Promise.all([this.compact(6), this.append(misplaced), this.remove(even)])
        return
      }
      case "checkpoint":
        return world.checkpoint()
      case "restart":
        await world.stop()
        await world.start()
        return
      case "kill":
        world.sim.kill()
        await world.start()
        return
      case "loseBase":
        await world.stop()
        world.base = new MapRows()
        world.mark = undefined
        await world.start()
    }
  }

  async check(): Promise<void> {
    const { rows, volumes } = this.world
    const expected = [...this.live].map(number => `needles/${needleKeyOf(needleIdFor(number))}`).sort()
    assert.deepEqual([...rows.rows.keys()].sort(), expected)
    const sorted = (of: MapRows): unknown => [...of.rows].sort(([a], [b]) => (a < b ? -1 : 1))
    assert.deepEqual(sorted(await this.world.rebuilt()), sorted(rows))
    assert.deepEqual(volumes.damages, [])
  }

  async checkAtEnd(): Promise<void> {
    await this.world.settle()
    await this.check()
    for (const number of this.live) {
      const { id, body } = needle(number)
      const found = await this.world.volumes.read(id, { offsetBytes: 0, lengthBytes: body.length }, waitIfSlow)
      assert.ok(Buffer.from(body).equals(found), `needle ${number}`)
    }
    const { volumes, writtenBytes, liveBytes = 0 } = this.world.volumes.usage()
    assert.equal(this.world.usedBytes, writtenBytes, "the lengths of the files equal the usage")
    // Volumes and writes are small here, and each occupies up to a page more than its needles.
    const pages = volumes + this.live.size / COMPACTION.copyNeedlesMax + writtenBytes / COMPACTION.copyBytes
    const floor = volumes * COMPACTION.deadBytesMin + pages * 4 * KIB
    assert.ok(writtenBytes - liveBytes <= 0.25 * writtenBytes + floor, `${liveBytes} of ${writtenBytes}`)
    assert.deepEqual(this.world.damaged, [])
  }
}

test("the device holds what the model holds, and its space comes back", async () => {
  let removed = 0
  await fc.assert(
    fc.asyncProperty(fc.array(action, { minLength: 5, maxLength: 40 }), async actions => {
      const model = new Model(await new CompactedDevice(LIMITS, COMPACTION).start())
      for (const each of actions) {
        await model.act(each)
        await model.check()
      }
      await model.checkAtEnd()
      const names = model.world.sim.medium.namesIn("/device/volumes")
      if (!names.includes("0000000001.volume")) removed += 1
    }),
    { numRuns: RUNS, endOnFailure: true, includeErrorInReport: true },
  )
  assert.ok(removed > RUNS / 3, `the first volume went in only ${removed} of ${RUNS} runs`)
})
