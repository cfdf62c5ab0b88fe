/** A confirmation is for what the plan showed: a change whose outcome is worse by then is refused, and no other. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { isFailure } from "@hayloft/base/failures.js"
import { PARTITIONS } from "@hayloft/base/limits.js"
import { markOffline, previewChange } from "@hayloft/engine/cluster/index.js"
import { deviceId, storeOf } from "@hayloft/engine/cluster/testing-records.js"
import type { ControlRecord } from "@hayloft/engine/format/device/control-record.js"
import type { StoreChange } from "./contract.js"
import { decideChange, lossesOf } from "./decide-change-core.js"
import { checkOutlook, outlookOf } from "./outlook-core.js"

const FACTS = {
  policies: [],
  lacking: new Map(),
  misplacedGroups: [],
  diskOf: (id: string) => id,
  bytesPerSecond: 1,
}
const NO_LOCKED = { listed: [], more: 0 }
const survivals = (after: number) => ({ before: 2, during: 1, after })
const isOutdated =
  (...words: readonly RegExp[]) =>
  (error: unknown): boolean =>
    isFailure(error, "planOutdated") && words.every(each => each.test(error.message))

const offline = (record: ControlRecord, ...numbers: number[]) => markOffline(record, numbers.map(deviceId), 5)

function outlookWith(record: ControlRecord, change: StoreChange): string {
  const after = decideChange(record, change, { device: undefined, ofBuckets: [], inUse: [], nowMs: 7 })
  return outlookOf(previewChange(record, after, FACTS, []), lossesOf(record, change, []), NO_LOCKED)
}

test("a change that gives up data is not made once it would give up more than was shown", () => {
  const forget = { kind: "forgetDevice", id: deviceId(4), acceptLoss: true } as const
  const store = storeOf(5, "ec:2+1")
  const [one, two, three] = [offline(store, 4), offline(store, 4, 3), offline(store, 4, 3, 2)]
  const shown = outlookWith(one, forget)
  assert.match(shown, /^disks=1 locked=0$/)
  assert.match(outlookWith(two, forget), /^disks=-?\d locked=0 ec:2\+1=\d+$/)
  assert.throws(
    () => checkOutlook(shown, outlookWith(two, forget)),
    isOutdated(
      /^the change was not made/,
      /about \d+\.\d % of the data stored as ec:2\+1 .*, in the plan that was shown none/,
      /read the new plan$/,
    ),
  )
  assert.throws(
    () => checkOutlook(outlookWith(two, forget), outlookWith(three, forget)),
    isOutdated(/ec:2\+1 .*, in the plan that was shown about \d+\.\d % of the data/),
  )
  checkOutlook(outlookWith(three, forget), outlookWith(two, forget))
  checkOutlook(outlookWith(two, forget), outlookWith(two, forget))
})

test("losses of all redundancies are compared, also of those with a matrix", () => {
  for (const policy of ["replica:3", "ec:2+1", "ec:4+2/vandermonde", "ec:2+1/xor"]) {
    const shown = `disks=1 locked=0 ${policy}=3`
    checkOutlook(shown, shown)
    assert.throws(() => checkOutlook(shown, `disks=1 locked=0 ${policy}=4`), isOutdated(/the change was not made/))
  }
})

test("what leaves the outcome as it was does not outdate a plan", () => {
  const drain = { kind: "drainDevice", id: deviceId(0) } as const
  const store = storeOf(6, "ec:2+1")
  const later = { ...store, generation: 90, pausedWork: ["scrub"] }
  checkOutlook(outlookWith(store, drain), outlookWith(later, drain))
  assert.throws(
    () => checkOutlook(outlookWith(store, drain), outlookWith(offline(later, 5), drain)),
    isOutdated(/after it 0 disks may fail, in the plan that was shown 1/),
  )
})

test("each figure is compared in the direction in which it is worse", () => {
  const levels = { survives: survivals(2), survivesMachines: survivals(1), survivesZones: survivals(1) }
  const losses = [{ policy: "ec:4+2", partitions: PARTITIONS / 4 }]
  const locked = { listed: ["a", "b"], more: 3 }
  const shown = outlookOf(levels, losses, locked)
  assert.equal(shown, "disks=2 machines=1 zones=1 locked=5 ec:4+2=16384")
  const better = [
    outlookOf({ ...levels, survives: survivals(3) }, losses, locked),
    outlookOf(levels, [], locked),
    outlookOf(levels, losses, NO_LOCKED),
    outlookOf(levels, losses, undefined),
  ]
  for (const now of [shown, ...better]) checkOutlook(shown, now)
  const worse: readonly (readonly [string, RegExp])[] = [
    [outlookOf({ ...levels, survives: survivals(1) }, losses, locked), /after it 1 disks may fail, .* 2\./],
    [outlookOf({ ...levels, survivesMachines: survivals(0) }, losses, locked), /after it 0 machines may fail/],
    [outlookOf({ ...levels, survivesZones: survivals(-1) }, losses, locked), /some data is not readable after it/],
    [outlookOf(levels, losses, { ...locked, more: 4 }), /6 buckets with object lock .*, in the plan that was shown 5/],
    [
      outlookOf(levels, [{ policy: "ec:4+2", partitions: PARTITIONS }], locked),
      /about 100 % .* ec:4\+2 .* shown about 25\.0 %/,
    ],
    [
      outlookOf(levels, [...losses, { policy: "replica:2", partitions: 1 }], locked),
      /replica:2 .* in the plan that was shown none/,
    ],
  ]
  for (const [now, words] of worse) assert.throws(() => checkOutlook(shown, now), isOutdated(words))
})

test("an outlook of another release is compared in what both know", () => {
  checkOutlook("disks=1 racks=1", "disks=1 machines=0 locked=0")
  assert.throws(() => checkOutlook("disks=1 racks=1", "disks=0"), isOutdated(/0 disks may fail/))
})

test("a text that is no outlook is refused as such", () => {
  for (const text of ["", "disks", "disks=", "disks=1  zones=0", "disks=one", " disks=1", "disks=1 ", "DISKS=1"]) {
    assert.throws(
      () => checkOutlook(text, "disks=1"),
      error => isFailure(error, "invalidArgument"),
    )
  }
})
