/** Which pieces are copied: rates, the budget, admission and cooling, in virtual time and under random load. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { fc } from "@hayloft/base/testing-properties.js"
import { parseUploadId } from "@hayloft/base/ids.js"
import { KIB, MIB } from "@hayloft/base/limits.js"
import { parsePolicy } from "@hayloft/base/policy.js"
import type { Extent } from "../format/needles/extent.js"
import { CopyLedger, HOT_COPY_LIMITS, hottestExtents, keyOfUnit, lengthInUnit, unitAt } from "./hot-copies-core.js"
import type { HotCopy, Unit } from "./hot-copies-core.js"
import { ReadRates, RATE_WINDOW_MS } from "./read-rates-core.js"

const MINUTE = RATE_WINDOW_MS

const extentOf = (upload: number, lengthBytes: number = MIB, more: Partial<Extent> = {}): Extent => ({
  uploadId: parseUploadId(upload.toString(16).padStart(32, "0")),
  part: 0,
  lengthBytes,
  blockBytes: 4 * MIB,
  policy: parsePolicy("ec:4+2"),
  generation: 0,
  exceptions: [],
  ...more,
})

const unitOf = (upload: number, lengthBytes?: number): Unit =>
  unitAt({ extent: extentOf(upload, lengthBytes), offsetBytes: 0, lengthBytes: 1 })

test("a rate counts the reads of the last minute, and is 0 two minutes later", () => {
  const rates = new ReadRates()
  for (let i = 0; i < 40; i += 1) rates.note("a", 10 * MINUTE + i * 1_000)
  assert.equal(rates.of("a", 10 * MINUTE + 50_000), 40)
  assert.equal(rates.of("b", 10 * MINUTE + 50_000), 0)
  assert.equal(rates.of("a", 11 * MINUTE), 40)
  assert.equal(rates.of("a", 11 * MINUTE + 45_000), 10, "a quarter of the minute before")
  assert.equal(rates.note("a", 11 * MINUTE + 45_000), 11)
  assert.equal(rates.of("a", 13 * MINUTE), 0)
  rates.note("a", 13 * MINUTE)
  assert.equal(rates.of("a", 20 * MINUTE), 0)
})

test("rates are never too low, and hardly too high, while two hundred thousand other keys are read", () => {
  const rates = new ReadRates()
  const counts = new Map<string, number>()
  for (let i = 0; i < 200_000; i += 1) {
    const key = i % 10 === 0 ? `hot ${i % 70}` : `upload ${i}`
    counts.set(key, (counts.get(key) ?? 0) + 1)
    rates.note(key, MINUTE)
  }
  for (const [key, count] of counts) {
    const rate = rates.of(key, MINUTE)
    assert.ok(rate >= count, `${key} was read ${count} times, and has the rate ${rate}`)
    assert.ok(rate <= count + 3, `${key} was read ${count} times, and has the rate ${rate}`)
  }
})

test("units are parts of blocks, without gaps, and end with the block and the extent", () => {
  const blockBytes = 2 * MIB + 64 * KIB
  const extent = extentOf(1, 2 * blockBytes + 100, { blockBytes })
  const units: (readonly [number, number])[] = []
  for (let at = 0; at < extent.lengthBytes;) {
    const range = { extent, offsetBytes: at, lengthBytes: extent.lengthBytes - at }
    const { offsetBytes, lengthBytes } = unitAt(range)
    assert.equal(offsetBytes, at)
    assert.equal(lengthInUnit(range), lengthBytes)
    assert.equal(lengthInUnit({ extent, offsetBytes: at + 1, lengthBytes: 7 }), 7)
    units.push([Math.floor(at / blockBytes), lengthBytes])
    at += lengthBytes
  }
  const ofBlock = (block: number) => [MIB, MIB, 64 * KIB].map(length => [block, length])
  assert.deepEqual(units, [...ofBlock(0), ...ofBlock(1), [2, 100]])
})

test("units with other bytes have other keys", () => {
  const exception = { firstBlock: 1, lastBlock: 1, policy: parsePolicy("replica:2"), missingSlots: [], placedSlots: [] }
  const extents = [
    extentOf(1, 9 * MIB),
    extentOf(2, 9 * MIB),
    extentOf(1, 9 * MIB, { part: 7 }),
    extentOf(1, 9 * MIB, { generation: 1 }),
  ]
  const units = extents.flatMap(extent =>
    [0, MIB, 4 * MIB, 8 * MIB].map(offsetBytes => unitAt({ extent, offsetBytes, lengthBytes: 1 })),
  )
  const recoded = extentOf(1, 9 * MIB, { exceptions: [{ ...exception, generation: 3 }] })
  units.push(unitAt({ extent: recoded, offsetBytes: 4 * MIB, lengthBytes: 1 }))
  assert.equal(new Set(units.map(keyOfUnit)).size, units.length)
  const same = unitAt({ extent: recoded, offsetBytes: 100, lengthBytes: 1 })
  assert.equal(keyOfUnit(same), keyOfUnit(units[0] ?? same), "a block that was not re-encoded keeps its key")
})

/** A ledger with the memory that its owner would have. */
class Scene {
  nowMs = 0
  readonly memory = new Map<HotCopy, number>()
  readonly lent: HotCopy[] = []
  readonly ledger: CopyLedger

  constructor(budgetBytes: number, readsPerMinute = 10) {
    this.ledger = new CopyLedger({ budgetBytes, readsPerMinute }, copy => {
      assert.ok(this.memory.delete(copy), "a copy is freed once")
      assert.ok(copy.readers === 0 || copy.state === "failed", "no reader holds a copy that is freed")
    })
  }

  /** A read of a unit; returns its copy, whether it was there or is being made now. */
  read(unit: Unit): HotCopy | undefined {
    const key = keyOfUnit(unit)
    const isHot = this.ledger.note(key, this.nowMs)
    const found = this.ledger.find(key)
    if (found !== undefined || !isHot) return found
    const copy = this.ledger.admit(key, unit, this.nowMs)
    if (copy !== undefined) this.memory.set(copy, unit.lengthBytes)
    return copy
  }

  /** So many reads at once, whose copy is made at once. */
  heat(unit: Unit, reads: number): HotCopy | undefined {
    let copy: HotCopy | undefined
    for (let i = 0; i < reads; i += 1) copy = this.read(unit)
    if (copy?.state === "making") this.ledger.made(copy)
    return copy
  }

  has(unit: Unit): boolean {
    return [...this.ledger.all()].some(({ key, state }) => key === keyOfUnit(unit) && state === "made")
  }

  check(): void {
    const { usedBytes, terms, size } = this.ledger
    const bytes = [...this.memory.values()].reduce((sum, each) => sum + each, 0)
    assert.equal(usedBytes, bytes, "the ledger counts exactly the memory that there is")
    assert.ok(usedBytes <= terms.budgetBytes, `${usedBytes} bytes of ${terms.budgetBytes}`)
    assert.ok(size <= HOT_COPY_LIMITS.copiesMax)
  }
}

/** One random event: reads, makings that end well or not, readers that return what they hold, time. */
function act(scene: Scene, [what, upload, amount]: readonly [number, number, number]): void {
  const { ledger, memory, lent } = scene
  const making = [...memory.keys()].filter(({ state }) => state === "making")
  const first = making[upload % Math.max(1, making.length)]
  if (what < 5) {
    for (let i = 0; i < amount % 12; i += 1) {
      const copy = scene.read(unitOf(upload % 12, 1 + ((upload * 77_777) % MIB)))
      if (copy === undefined || copy.state === "failed" || amount % 3 !== 0) continue
      ledger.lend(copy)
      lent.push(copy)
    }
  } else if (what < 7 && first) ledger.made(first)
  else if (what === 7 && first) {
    ledger.failed(first, scene.nowMs)
    // Readers that waited for it have nothing to return.
    for (let i = lent.length - 1; i >= 0; i -= 1) if (lent[i] === first) lent.splice(i, 1)
  } else if (what === 8) {
    for (const copy of lent.splice(0, amount)) {
      if (copy.state === "made") ledger.giveBack(copy)
      else lent.push(copy)
    }
  } else {
    scene.nowMs += amount * 997
    ledger.dropCold(scene.nowMs)
  }
}

test("the bytes of all copies stay within the budget at every step, and no copy is freed while it is read", () => {
  const event = fc.tuple(fc.nat(9), fc.nat(1000), fc.nat(100))
  const run = fc.property(
    fc.array(event, { maxLength: 150 }),
    fc.integer({ min: 1, max: 3 * MIB }),
    (events, budget) => {
      const scene = new Scene(budget, 5)
      for (const each of events) {
        act(scene, each)
        scene.check()
      }
      for (const copy of scene.memory.keys()) if (copy.state === "making") scene.ledger.made(copy)
      for (const copy of scene.lent.splice(0)) if (copy.state === "made") scene.ledger.giveBack(copy)
      scene.nowMs += 60 * MINUTE
      scene.ledger.dropCold(scene.nowMs)
      assert.deepEqual([scene.ledger.usedBytes, scene.memory.size, scene.ledger.making], [0, 0, 0])
    },
  )
  fc.assert(run, { numRuns: 300 })
})

test("a unit gets its copy with the read that makes it hot, and not before", () => {
  const scene = new Scene(MIB)
  const unit = unitOf(1)
  for (let i = 0; i < 9; i += 1) assert.equal(scene.read(unit), undefined)
  assert.equal(scene.read(unit)?.state, "making")
  const slow = unitOf(2, 100)
  for (let i = 0; i < 60; i += 1) {
    scene.nowMs += 10_000
    assert.equal(scene.read(slow), undefined, "6 reads a minute are not 10")
  }
})

test("a scan over any amount of cold data, also twice, takes no space from hot copies", () => {
  const scene = new Scene(4 * MIB)
  const hot = [1, 2, 3, 4].map(upload => unitOf(upload))
  for (const unit of hot) scene.heat(unit, 20)
  for (let pass = 0; pass < 2; pass += 1)
    for (let upload = 100; upload < 5_000; upload += 1) assert.equal(scene.read(unitOf(upload)), undefined)
  assert.ok(hot.every(unit => scene.has(unit)))
  assert.equal(scene.ledger.counts.evicted, 0)
})

test("a clearly hotter unit takes the space of the coldest one; an equally hot one waits", () => {
  const scene = new Scene(3 * MIB)
  const [a, b, c, d, e] = [1, 2, 3, 4, 5].map(upload => unitOf(upload)) as [Unit, Unit, Unit, Unit, Unit]
  scene.heat(a, 30)
  scene.heat(b, 12)
  scene.heat(c, 20)
  scene.heat(d, 12)
  assert.ok(!scene.has(d), "as hot as the coldest")
  scene.heat(d, 12)
  assert.deepEqual(
    [a, b, c, d].map(unit => scene.has(unit)),
    [true, false, true, true],
    "24 reads to 12",
  )
  scene.heat(e, 25)
  assert.ok(!scene.has(e), "25 reads are not 1.5 times 20")
  assert.deepEqual([scene.ledger.counts.evicted, scene.ledger.usedBytes], [1, 3 * MIB])
})

test("of copies that are all colder, the coldest leaves", () => {
  const scene = new Scene(3 * MIB)
  for (const [upload, reads] of [
    [1, 12],
    [2, 10],
    [3, 11],
  ] as const)
    scene.heat(unitOf(upload), reads)
  // Until now there was no time to make its copy: all three are colder.
  for (let i = 0; i < 40; i += 1) scene.ledger.note(keyOfUnit(unitOf(4)), scene.nowMs)
  scene.heat(unitOf(4), 1)
  assert.deepEqual(
    [1, 2, 3, 4].map(upload => scene.has(unitOf(upload))),
    [true, false, true, true],
  )
})

test("several small copies make space for a large one only if all of them are colder", () => {
  const scene = new Scene(MIB)
  const small = [1, 2, 3, 4].map(upload => unitOf(upload, 256 * KIB))
  for (const [i, unit] of small.entries()) scene.heat(unit, i === 3 ? 100 : 10)
  const large = unitOf(9)
  scene.heat(large, 50)
  assert.ok(!scene.has(large) && small.every(unit => scene.has(unit)), "nothing was dropped needlessly")
  scene.heat(large, 101)
  assert.ok(scene.has(large) && !small.some(unit => scene.has(unit)))
})

test("what never fits is never tried, and a copy that is held is not taken", () => {
  const scene = new Scene(MIB - 1)
  assert.equal(scene.heat(unitOf(1), 100), undefined)
  const held = scene.heat(unitOf(2, MIB - 1), 10)
  assert.ok(held)
  scene.ledger.lend(held)
  assert.equal(scene.heat(unitOf(3, 100), 200), undefined)
  scene.ledger.giveBack(held)
  assert.ok(scene.heat(unitOf(3, 100), 1))
})

test("copies that clients hold while they stall do not keep others from being taken", () => {
  const many = 2 * HOT_COPY_LIMITS.victimsMax
  const scene = new Scene(many * KIB)
  for (let upload = 1; upload <= many; upload += 1) {
    const copy = scene.heat(unitOf(upload, KIB), 10)
    if (copy && upload < many - 1) scene.ledger.lend(copy)
  }
  for (let i = 0; i < 4; i += 1) scene.heat(unitOf(1000, KIB), 100)
  assert.ok(scene.has(unitOf(1000, KIB)), "after a few reads the two that no node holds are found")
})

test("a copy is dropped once it was cold for some minutes, and not while it is warm", () => {
  const scene = new Scene(4 * MIB)
  const [warm, cold] = [unitOf(1), unitOf(2)]
  scene.heat(warm, 10)
  scene.heat(cold, 10)
  for (let minute = 1; minute <= 4; minute += 1) {
    for (let i = 0; i < 6; i += 1) {
      scene.nowMs += 10_000
      scene.read(warm)
    }
    scene.ledger.dropCold(scene.nowMs)
    assert.ok(scene.has(warm))
    assert.equal(scene.has(cold), minute < 4, `after ${minute} minutes`)
  }
  assert.deepEqual([scene.ledger.counts.cooled, scene.ledger.usedBytes], [1, MIB])
})

test("a copy that could not be made is tried again a minute later", () => {
  const scene = new Scene(MIB)
  for (let i = 0; i < 9; i += 1) scene.read(unitOf(1))
  const copy = scene.read(unitOf(1))
  assert.ok(copy)
  scene.ledger.failed(copy, scene.nowMs)
  scene.check()
  assert.equal(scene.read(unitOf(1))?.state, "failed")
  scene.nowMs += HOT_COPY_LIMITS.failedMs
  scene.ledger.dropCold(scene.nowMs)
  assert.equal(scene.read(unitOf(1))?.state, "making")
})

test("no more than a few copies are made at the same time", () => {
  const scene = new Scene(100 * MIB, 1)
  const copies = Array.from({ length: 20 }, (_, upload) => scene.read(unitOf(upload)))
  assert.equal(copies.filter(copy => copy !== undefined).length, HOT_COPY_LIMITS.makingMax)
})

test("the hottest extents come first, with the sums of their copies", () => {
  const scene = new Scene(100 * MIB)
  const long = extentOf(1, 3 * MIB)
  for (const [i, offsetBytes] of [0, MIB, 2 * MIB].entries())
    scene.heat(unitAt({ extent: long, offsetBytes, lengthBytes: 1 }), 20 + i)
  scene.heat(unitOf(2, 5_000), 90)
  const shown = hottestExtents(scene.ledger, scene.nowMs, 10)
  assert.deepEqual(
    shown.map(({ uploadId, copies, bytes, readsPerMinute }) => [uploadId, copies, bytes, readsPerMinute]),
    [
      [unitOf(2).extent.uploadId, 1, 5_000, 90],
      [long.uploadId, 3, 3 * MIB, 22],
    ],
  )
  assert.equal(hottestExtents(scene.ledger, scene.nowMs, 1).length, 1)
})
