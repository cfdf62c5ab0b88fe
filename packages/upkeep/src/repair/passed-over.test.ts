/** When uploads that repair has passed over are visited again, by which process, and which of them no device waits for. */
import assert from "node:assert/strict"
import { test } from "node:test"
import {
  parseIncarnation,
  parsePartitionId,
  parseUploadId,
  type Incarnation,
  type UploadId,
} from "@hayloft/base/ids.js"
import { incarnationOf } from "@hayloft/engine/format/needles/upload-id.js"
import { SimClock } from "@hayloft/base/seams/clock/sim.js"
import { PassedOver } from "./passed-over.js"
import { REPAIR_LIMITS } from "./repair-limits.js"

const [OWN, OTHER, THIRD] = [1, 2, 3].map(parseIncarnation) as [Incarnation, Incarnation, Incarnation]
const PARTITION = parsePartitionId(7)
const { youngEveryMs, youngMsMax, youngPartitionsMax, retryMs } = REPAIR_LIMITS

const idOf = (incarnation: number, number = 1): UploadId =>
  parseUploadId(incarnation.toString(16).padStart(8, "0") + number.toString(16).padStart(24, "0"))

function begin() {
  const clock = new SimClock()
  const held = new Set<UploadId>()
  const ended = new Set<Incarnation>()
  const uploads = {
    isHeld: (id: UploadId) => held.has(id),
    mayBeYoung: (id: UploadId) => incarnationOf(id) !== OWN && !ended.has(incarnationOf(id)),
  }
  const passedOver = new PassedOver(clock, uploads, () => OWN)
  /** A visit of the partition by the process that has to make it; none waits for the abandoned ones. */
  const visit = (found: readonly UploadId[], abandoned: readonly UploadId[] = []) => {
    const by = passedOver.nextDecider(PARTITION)
    const notAwaited = new Set([...passedOver.notAwaited(PARTITION), ...abandoned])
    passedOver.noteAbandoned(new Set(abandoned))
    passedOver.note(PARTITION, new Set(found), by, notAwaited)
    return by
  }
  const due = () => passedOver.takeDue(() => false)
  return { clock, held, ended, passedOver, visit, due }
}

test("an upload that this process has released is visited at once, beside an abandoned one of a live process", async () => {
  const { clock, held, visit, due, passedOver } = begin()
  held.add(idOf(OWN))
  visit([idOf(OWN), idOf(OTHER)])
  await clock.advance(youngEveryMs)
  assert.equal(visit([idOf(OWN), idOf(OTHER)], [idOf(OTHER)]), OTHER)
  assert.deepEqual(due(), [])
  held.delete(idOf(OWN))
  assert.deepEqual([due(), passedOver.nextDecider(PARTITION)], [[PARTITION], OWN])
})

test("every process that decides an upload of a partition is asked, again and again", async () => {
  const { clock, visit, due, passedOver } = begin()
  const both = [idOf(OTHER), idOf(THIRD)]
  visit(both)
  assert.deepEqual([due(), passedOver.checkDueMs], [[], youngEveryMs])
  for (let round = 0; round < 2; round += 1) {
    await clock.advance(youngEveryMs)
    const asked = [visit(both), visit(both)]
    assert.deepEqual(asked.toSorted(), [OTHER, THIRD])
    assert.deepEqual(due(), [])
  }
})

test("an upload that was found abandoned in one partition is visited once more where devices wait for it", async () => {
  const { clock, visit, due, passedOver, ended } = begin()
  visit([idOf(OTHER)])
  passedOver.noteAbandoned(new Set([idOf(OTHER)]))
  await clock.advance(retryMs)
  assert.deepEqual(due(), [PARTITION])
  visit([idOf(OTHER)])
  await clock.advance(youngMsMax)
  assert.deepEqual(due(), [], "no device waits, and no process is left to be asked")
  ended.add(OTHER)
  assert.deepEqual([due(), passedOver.nextDecider(PARTITION)], [[PARTITION], OWN])
})

test("no device waits longer than the bound for an upload that this process holds, and its release is noticed", async () => {
  const { clock, held, visit, due, passedOver } = begin()
  held.add(idOf(OWN))
  visit([idOf(OWN)])
  await clock.advance(youngMsMax - 1)
  assert.deepEqual([due(), [...passedOver.notAwaited(PARTITION)]], [[], []])
  await clock.advance(1)
  assert.deepEqual([due(), [...passedOver.notAwaited(PARTITION)]], [[PARTITION], [idOf(OWN)]])
  visit([idOf(OWN)])
  assert.deepEqual(due(), [])
  held.delete(idOf(OWN))
  assert.deepEqual(due(), [PARTITION])
})

test("other processes are asked about a limited number of partitions in each interval, and the rest follows", async () => {
  const { clock, passedOver } = begin()
  const numbers = Array.from({ length: youngPartitionsMax + 1 }, (_, number) => parsePartitionId(number))
  for (const partition of numbers) passedOver.note(partition, new Set([idOf(OTHER)]), undefined, new Set())
  await clock.advance(youngEveryMs)
  const first = passedOver.takeDue(() => false)
  assert.equal(first.length, youngPartitionsMax)
  for (const partition of first)
    passedOver.note(partition, new Set([idOf(OTHER)]), passedOver.nextDecider(partition), new Set())
  assert.deepEqual([passedOver.takeDue(() => false), passedOver.checkDueMs], [[], 2 * youngEveryMs])
  await clock.advance(youngEveryMs)
  assert.ok(passedOver.takeDue(() => false).includes(parsePartitionId(youngPartitionsMax)))
})
