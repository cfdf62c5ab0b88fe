import assert from "node:assert/strict"
import { test } from "node:test"
import { fc } from "@hayloft/base/testing-properties.js"
import { parseVolumeId } from "@hayloft/base/ids.js"
import { KIB, MIB } from "@hayloft/base/limits.js"
import { TOMBSTONE_BYTES } from "../format/needles/needle.js"
import type { CompactionCandidate } from "./compaction-core.js"
import { chooseVolume, deadBytesOf } from "./compaction-core.js"
import { COMPACTION_LIMITS } from "./limits.js"

/** Volumes of 10 MiB, with so many MiB live, and KiB of tombstones in each (undefined: unknown). */
const volumes = (...facts: readonly (readonly [liveMib: number, tombstoneKib?: number])[]): CompactionCandidate[] =>
  facts.map(([liveMib, tombstoneKib], i) => ({
    volumeId: parseVolumeId(i + 1),
    writtenBytes: 10 * MIB,
    liveBytes: liveMib * MIB,
    liveNeedles: liveMib,
    tombstoneBytes: tombstoneKib === undefined ? undefined : tombstoneKib * KIB,
    isOldest: i === 0,
    isNewest: i === facts.length - 1,
  }))

const choose = (all: readonly CompactionCandidate[], isQuiet = true, isShort = false) =>
  chooseVolume(all, { isQuiet, isShort, spaceBytes: Infinity, emptyUpTo: 0 }, COMPACTION_LIMITS)
const compact = (number: number) => ({ kind: "compact", volumeId: parseVolumeId(number) })

test("the volume with the largest dead share is compacted, from a quarter on", () => {
  assert.deepEqual(choose(volumes([9, 0], [6, 0], [5, 0], [9, 0])), compact(3))
  assert.deepEqual(choose(volumes([9, 0], [8, 0], [8, 0], [9, 0])), { kind: "nothing" })
  assert.deepEqual(choose(volumes([9, 0], [0, 0], [5, 0], [9, 0])), compact(2))
  assert.deepEqual(choose([]), { kind: "nothing" })
})

test("tombstones are needed in all but the oldest volume, and counted if they are unknown", () => {
  assert.deepEqual(choose(volumes([10, 0], [0, 10 * KIB], [10, 0], [10, 0], [10, 0])), { kind: "nothing" })
  assert.deepEqual(choose(volumes([0, 10 * KIB], [9, 0], [9, 0])), compact(1))
  assert.deepEqual(choose(volumes([9, 0], [4], [9, 0])), { kind: "countTombstones", volumeId: parseVolumeId(2) })
  assert.deepEqual(choose(volumes([4], [9, 0], [9, 0])), compact(1))
})

test("writes of tombstones fill pages too: a volume that would come back as it is stays", () => {
  const limits = { ...COMPACTION_LIMITS, copyNeedlesMax: 6, copyBytes: 24 * KIB, deadBytesMin: 8 * KIB }
  const [oldest, volume] = volumes([0, 0], [0, 0], [0, 0]).map(each => ({ ...each, writtenBytes: 36 * KIB }))
  assert.ok(oldest && volume)
  const held = { liveBytes: 10 * KIB, liveNeedles: 5, tombstoneBytes: 35 * TOMBSTONE_BYTES }
  assert.equal(deadBytesOf({ ...volume, ...held }, limits), 0)
  assert.ok(deadBytesOf({ ...oldest, ...held }, limits) > 8 * KIB, "tombstones end in the oldest one")
})

test("if tombstones fill the device, the oldest volume is rolled although little of it is dead", () => {
  assert.deepEqual(choose(volumes([9, 0], [4, 6 * KIB], [4, 6 * KIB], [9, 0])), compact(1))
  const held = volumes([9, 0], [4, 6 * KIB], [4, 6 * KIB], [9, 0]).slice(1)
  assert.deepEqual(choose(held), { kind: "nothing" })
})

test("if many volumes are a little dead and together too much, the worst of them is compacted", () => {
  assert.deepEqual(choose(volumes([8, 0], [8, 1500], [7.9, 1500], [6, 3500])), compact(1))
})

test("the newest volume is left once the device is quiet, if there is enough to gain", () => {
  assert.deepEqual(choose(volumes([9, 0], [5, 0])), { kind: "begin" })
  assert.deepEqual(choose(volumes([9, 0], [5, 0]), false), { kind: "nothing" })
  const [tiny] = volumes([0, 0])
  assert.ok(tiny)
  assert.deepEqual(choose([{ ...tiny, writtenBytes: 40 * KIB }]), { kind: "nothing" })
  // An empty file is worth removing once it is not the newest.
  assert.deepEqual(choose([{ ...tiny, writtenBytes: 4 * KIB, isNewest: false }, ...volumes([9, 0])]), compact(1))
})

test("while space is short a sixteenth is enough, also in the newest volume while others append", () => {
  assert.deepEqual(choose(volumes([9.2, 0], [9, 0], [9.3, 0], [9.5, 0]), false, true), compact(2))
  assert.deepEqual(choose(volumes([9.5, 0], [9.5, 0], [9.5, 0], [9.5, 0]), true, true), { kind: "nothing" })
  assert.deepEqual(choose(volumes([9.5, 0], [8, 0]), false, true), { kind: "begin" })
  assert.deepEqual(choose(volumes([9.5, 0], [9.2, 0]), false, true), { kind: "nothing" })
})

test("choosing comes to an end, and leaves no more dead than allowed", () => {
  const fact = fc.tuple(fc.double({ min: 0, max: 10, noNaN: true }), fc.integer({ min: 0, max: 4000 }))
  fc.assert(
    fc.property(fc.array(fact, { minLength: 1, maxLength: 12 }), fc.boolean(), (facts, isShort) => {
      let all = volumes(...facts.map(([live, kib]) => [Math.min(live, 9.9 - kib / 1024), kib] as const))
      all = all.map(each => ({ ...each, liveBytes: Math.max(0, each.liveBytes) }))
      for (let steps = 0; ; steps += 1) {
        assert.ok(steps < 200, "no end")
        const choice = choose(all, true, isShort)
        if (choice.kind === "nothing") break
        all = apply(all, choice.kind === "begin" ? undefined : choice.volumeId)
      }
      const [written, live] = [sum(all, "writtenBytes"), sum(all, "liveBytes")]
      const floor = all.length * (COMPACTION_LIMITS.deadBytesMin + 4 * KIB)
      assert.ok(written - live <= Math.max(0.25 * written, floor), `${written - live} of ${written}`)
      for (const volume of isShort ? all : []) {
        const dead = deadBytesOf(volume, COMPACTION_LIMITS)
        assert.ok(dead <= volume.writtenBytes / 16 || dead < COMPACTION_LIMITS.deadBytesMin, `${dead} of one volume`)
      }
    }),
    { numRuns: 500 },
  )
})

const sum = (all: readonly CompactionCandidate[], what: "writtenBytes" | "liveBytes"): number =>
  all.reduce((total, each) => total + each[what], 0)

/** The result of compaction: the rest of the volume is in the newest one. */
function apply(all: readonly CompactionCandidate[], compacted: number | undefined): CompactionCandidate[] {
  const last = all.at(-1)
  assert.ok(last)
  let next = [...all]
  const victim = all.find(each => each.volumeId === compacted)
  if (victim === undefined || last.writtenBytes > 8 * MIB) {
    const [empty] = volumes([0, 0])
    assert.ok(empty)
    next.push({ ...empty, volumeId: parseVolumeId(last.volumeId + 1), writtenBytes: 4 * KIB })
  }
  const target = next.at(-1)
  if (victim !== undefined && target !== undefined) {
    assert.ok(!victim.isNewest)
    const tombstones = victim.isOldest ? 0 : (victim.tombstoneBytes ?? 0)
    assert.ok(victim.isOldest || deadBytesOf(victim, COMPACTION_LIMITS) > 0)
    const copied = {
      writtenBytes: target.writtenBytes + victim.liveBytes + tombstones,
      liveBytes: target.liveBytes + victim.liveBytes,
      tombstoneBytes: (target.tombstoneBytes ?? 0) + tombstones,
    }
    next = next.filter(each => each !== victim && each !== target).concat({ ...target, ...copied })
  }
  return next.map((each, i) => ({ ...each, isOldest: i === 0, isNewest: i === next.length - 1 }))
}
